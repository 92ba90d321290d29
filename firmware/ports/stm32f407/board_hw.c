/* The bench: DACs, switches, ADC and timers of the reference board. */
#include <string.h>

#include "analog.h"
#include "build.h"
#include "dac.h"
#include "image.h"
#include "registers.h"
#include "system.h"
#include "uart.h"

#define READ_GATE_CODE BOARD_SET_GATE_MAX /* an open gate, as for a SET */
#define BOTH_PRESET    (SWITCH_PRESET_1 | SWITCH_PRESET_2)
#define BOTH_INTEGRATE (SWITCH_INTEGRATE_1 | SWITCH_INTEGRATE_2)
#define SETTLE_US      (BOARD_RUN_OVERHEAD_NS / 1000u)

static const dac_channel_t WORD_LINE = CHANNEL_WORD_LINE;
static const dac_channel_t BIT_LINE = CHANNEL_BIT_LINE;
static const dac_channel_t SOURCE_LINE = CHANNEL_SOURCE_LINE;
static const dac_channel_t INITIAL[2] = {CHANNEL_INITIAL_1, CHANNEL_INITIAL_2};
static const dac_channel_t FEEDBACK[FW_LAYERS] = {CHANNEL_FEEDBACK_1, CHANNEL_FEEDBACK_2,
                                                  CHANNEL_FEEDBACK_3};
static const dac_channel_t REFERENCE[FW_LAYERS] = {CHANNEL_REFERENCE_1, CHANNEL_REFERENCE_2,
                                                   CHANNEL_REFERENCE_3};

struct board {
    uint32_t tick_us;
    volatile bool idle_wanted; /* the loop's DACs are to go to their safe values */
};

static board_t the_board;

board_t *image_board(void) {
    analog_init();
    analog_switches(0);
    analog_select(SELECT_MODE, MODE_GROUNDED);
    dac_init();
    return &the_board;
}

bool image_start_fault(void) {
    return the_system.watchdog_reset ||
           (!the_system.emulated && the_system.clock_flags != CLOCK_ALL);
}

void image_emergency(void) {
    analog_switches(0);
    analog_pulse_off();
    system_tick_stop();
}

void board_identity(board_t *board, board_identity_t *identity) {
    (void)board;
    identity->port = PORT_STM32F407;
    identity->serial = system_serial();
    memcpy(identity->build, FW_BUILD, sizeof identity->build);
}

uint64_t board_time_ns(board_t *board) {
    (void)board;
    return system_time_ns();
}

void board_send(board_t *board, const uint8_t *frame, size_t length) {
    (void)board;
    uart_send(frame, length);
}

void board_frame(board_t *board, size_t payload_bytes) {
    (void)board;
    (void)payload_bytes;
}

int64_t board_advance_left_us(board_t *board) {
    (void)board;
    return -1;
}

void board_advance(board_t *board, uint64_t duration_ns) {
    (void)board;
    (void)duration_ns;
}

uint32_t board_lock(board_t *board) {
    (void)board;
    return system_lock();
}

void board_unlock(board_t *board, uint32_t state) {
    (void)board;
    system_unlock(state);
}

/* --- safety --------------------------------------------------------------------------------------
 */

void board_safe(board_t *board) {
    image_emergency();
    const uint32_t lock = system_lock();
    analog_select(SELECT_MODE, MODE_GROUNDED);
    dac_safe();
    board->idle_wanted = false;
    system_unlock(lock);
}

bool board_interlock_closed(board_t *board) {
    (void)board;
    return analog_interlock_closed();
}

/* --- the array -----------------------------------------------------------------------------------
 */

uint16_t board_batch(board_t *board) {
    (void)board;
    return 1;
}

static void select_cell(uint8_t row, uint8_t column, uint8_t mode) {
    analog_select(SELECT_ROW, row);
    analog_select(SELECT_COLUMN, column);
    analog_select(SELECT_MODE, mode);
}

/* Lines to 0 before the cell is let go. */
static void release_cell(void) {
    dac_write(BIT_LINE, 0);
    dac_write(SOURCE_LINE, 0);
    dac_write(WORD_LINE, 0);
    analog_select(SELECT_MODE, MODE_GROUNDED);
}

/* `samples` conversions, each after the settling time. */
static uint16_t convert(uint8_t input, uint8_t samples, uint32_t *sum) {
    uint16_t fault = FAULT_NONE;
    *sum = 0;
    for (uint8_t i = 0; fault == FAULT_NONE && i < samples; i++) {
        uint16_t code = 0;
        system_wait_ns(BOARD_READ_NS);
        fault = analog_convert(input, &code);
        *sum += code;
    }
    return fault;
}

static uint16_t read_cell(uint16_t read_code, uint8_t samples, uint32_t *sum) {
    dac_write(WORD_LINE, READ_GATE_CODE);
    dac_write(BIT_LINE, read_code);
    return convert(ADC_READ, samples, sum);
}

static uint16_t pulse_read(const board_pulse_t *pulse, uint16_t read_code, uint16_t *reading) {
    const bool reset = pulse->operation == OPERATION_RESET;
    select_cell(pulse->row, pulse->column, reset ? MODE_SOURCE_LINE : MODE_BIT_LINE);
    dac_write(WORD_LINE, pulse->gate_code);
    dac_write(reset ? SOURCE_LINE : BIT_LINE, pulse->line_code);
    system_wait_ns(BOARD_PULSE_OVERHEAD_NS);
    const uint16_t fault = analog_pulse(pulse->width_ticks);
    dac_write(reset ? SOURCE_LINE : BIT_LINE, 0);
    if (fault != FAULT_NONE) {
        return fault;
    }
    uint32_t sum = 0;
    analog_select(SELECT_MODE, MODE_READ);
    const uint16_t unread = read_cell(read_code, 1, &sum);
    *reading = (uint16_t)sum;
    return unread;
}

uint16_t board_pulse_read(board_t *board, const board_pulse_t *pulses, uint16_t count,
                          uint16_t read_code, uint16_t *readings) {
    (void)board;
    uint16_t fault = FAULT_NONE;
    for (uint16_t i = 0; fault == FAULT_NONE && i < count; i++) {
        fault = pulse_read(&pulses[i], read_code, &readings[i]);
        release_cell();
    }
    return fault;
}

uint16_t board_read(board_t *board, const board_cell_t *cells, uint16_t count, uint16_t read_code,
                    uint8_t samples, uint32_t *sums) {
    (void)board;
    uint16_t fault = FAULT_NONE;
    for (uint16_t i = 0; fault == FAULT_NONE && i < count; i++) {
        select_cell(cells[i].row, cells[i].column, MODE_READ);
        fault = read_cell(read_code, samples, &sums[i]);
        release_cell();
    }
    return fault;
}

/* --- the board's own references ------------------------------------------------------------------
 */

uint16_t board_read_reference(board_t *board, const board_reference_t *references, uint16_t count,
                              uint16_t read_code, uint8_t samples, uint32_t *sums) {
    (void)board;
    uint16_t fault = FAULT_NONE;
    for (uint16_t i = 0; fault == FAULT_NONE && i < count; i++) {
        analog_select(SELECT_COLUMN, references[i].column);
        analog_select(SELECT_RESISTOR, references[i].resistor);
        analog_select(SELECT_MODE, MODE_REFERENCE);
        dac_write(BIT_LINE, read_code);
        fault = convert(ADC_READ, samples, &sums[i]);
        release_cell();
        analog_select(SELECT_RESISTOR, 0);
    }
    return fault;
}

static uint8_t current_mode(uint8_t driven) {
    return driven == ARRAY_LINE_BIT_LINE ? MODE_ROW_CURRENT : MODE_COLUMN_CURRENT;
}

static void select_line(const board_line_t *line) {
    const bool current = line->probe == LINE_PROBE_CURRENT;
    const bool column = current && line->driven != ARRAY_LINE_BIT_LINE;
    analog_select(SELECT_SOURCE, line->driven);
    analog_select(SELECT_TAP, line->probe);
    analog_select(SELECT_ROW, line->line);
    analog_select(SELECT_COLUMN, column ? line->line : line->probed);
    analog_select(SELECT_MODE, current ? current_mode(line->driven) : MODE_LINE_END);
}

uint16_t board_line_check(board_t *board, const board_line_t *lines, uint16_t count,
                          uint16_t read_code, uint8_t samples, uint32_t *sums) {
    const dac_channel_t drivers[] = {[ARRAY_LINE_BIT_LINE] = BIT_LINE,
                                     [ARRAY_LINE_SOURCE_LINE] = SOURCE_LINE,
                                     [ARRAY_LINE_WORD_LINE] = WORD_LINE};
    (void)board;
    uint16_t fault = FAULT_NONE;
    for (uint16_t i = 0; fault == FAULT_NONE && i < count; i++) {
        select_line(&lines[i]);
        if (lines[i].probe == LINE_PROBE_CURRENT) {
            fault = read_cell(read_code, samples, &sums[i]);
        } else {
            dac_write(drivers[lines[i].driven], read_code);
            fault = convert(ADC_READ, samples, &sums[i]);
        }
        release_cell();
        analog_select(SELECT_TAP, 0);
    }
    return fault;
}

static void put_out(uint8_t source, uint16_t code) {
    switch (source) {
    case LOOP_SOURCE_REFERENCE:
        analog_select(SELECT_TAP, (uint8_t)code);
        break;
    case LOOP_SOURCE_BIT_LINE:
        dac_write(BIT_LINE, code);
        break;
    case LOOP_SOURCE_SOURCE_LINE:
        dac_write(SOURCE_LINE, code);
        break;
    case LOOP_SOURCE_WORD_LINE:
        dac_write(WORD_LINE, code);
        break;
    case LOOP_SOURCE_INITIAL_1:
    case LOOP_SOURCE_INITIAL_2:
        dac_write(INITIAL[source - LOOP_SOURCE_INITIAL_1], code);
        break;
    default:
        dac_write_word((uint8_t)(source - LOOP_SOURCE_DRIFT), code);
        break;
    }
}

/* The array is cut off before anything is put out, and let go after everything is at its safe
 * value. */
uint16_t board_loopback(board_t *board, const board_loopback_t *loopback, const uint16_t *codes,
                        uint16_t count, uint32_t *sums) {
    (void)board;
    uint16_t fault = FAULT_NONE;
    analog_switches(0);
    analog_select(SELECT_SOURCE, loopback->source);
    analog_select(SELECT_MODE, MODE_LOOPBACK);
    for (uint16_t i = 0; fault == FAULT_NONE && i < count; i++) {
        put_out(loopback->source, codes[i]);
        fault = convert((uint8_t)(ADC_READ + loopback->destination), loopback->samples, &sums[i]);
    }
    const uint32_t lock = system_lock();
    dac_safe();
    analog_select(SELECT_TAP, 0);
    analog_select(SELECT_MODE, MODE_GROUNDED);
    system_unlock(lock);
    return fault;
}

/* --- the loop ------------------------------------------------------------------------------------
 */

static void connect(const board_layer_t *layers) {
    for (uint8_t i = 0; i < FW_LAYERS; i++) {
        const uint8_t first = (uint8_t)(SELECT_LAYER + 3u * i);
        analog_select(first, layers[i].first_row);
        analog_select((uint8_t)(first + 1u), layers[i].first_column);
        analog_select((uint8_t)(first + 2u), layers[i].differential);
        dac_write(FEEDBACK[i], layers[i].feedback_code);
        dac_write(REFERENCE[i], layers[i].reference_code);
    }
    analog_select(SELECT_MODE, MODE_LOOP);
}

static void preset(const uint16_t x[2]) {
    analog_switches(0);
    dac_write(INITIAL[0], x[0]);
    dac_write(INITIAL[1], x[1]);
    analog_switches(BOTH_PRESET);
}

uint16_t board_probe(board_t *board, const board_layer_t *layers, const uint16_t x[2],
                     const uint16_t *embedding, uint8_t samples, uint32_t sums[FW_PROBES]) {
    uint16_t words[WORD_COUNT] = {BOARD_CODE_ZERO, BOARD_CODE_ZERO, BOARD_CODE_ZERO,
                                  BOARD_CODE_ZERO};
    memcpy(words + WORD_EMBEDDING, embedding, FW_EMBEDDINGS * sizeof words[0]);
    connect(layers);
    preset(x);
    dac_load_tick(words);
    dac_update_tick();
    system_wait_ns(BOARD_PRESET_SETTLE_NS);
    uint16_t fault = FAULT_NONE;
    for (uint8_t i = 0; fault == FAULT_NONE && i < FW_PROBES; i++) {
        analog_select(SELECT_PROBE, i);
        fault = convert(ADC_PROBE, samples, &sums[i]);
    }
    board_safe(board);
    return fault;
}

uint16_t board_run_begin(board_t *board, const board_run_t *run) {
    board->tick_us = run->tick_us;
    connect(run->layers);
    return FAULT_NONE;
}

uint16_t board_preset(board_t *board, uint32_t trajectory, const uint16_t x[2]) {
    (void)board;
    (void)trajectory;
    preset(x);
    return FAULT_NONE;
}

void board_load(board_t *board, const uint16_t words[WORD_COUNT]) {
    (void)board;
    dac_load_tick(words);
}

void board_start(board_t *board) {
    system_tick_start(SETTLE_US, board->tick_us);
}

void board_update(board_t *board, uint16_t tick) {
    (void)board;
    if (tick == 0) {
        analog_switches(0);
        dac_update_tick();
        analog_switches(BOTH_INTEGRATE);
    } else {
        dac_update_tick();
    }
}

void board_hold(board_t *board, uint16_t tick) {
    (void)board;
    (void)tick;
    analog_switches(0);
    system_tick_stop();
}

uint16_t board_convert(board_t *board, uint16_t tick, uint16_t x[2]) {
    (void)board;
    (void)tick;
    const uint16_t fault = analog_convert(ADC_X1, &x[0]);
    return fault != FAULT_NONE ? fault : analog_convert(ADC_X2, &x[1]);
}

/* Also from the tick's interrupt, in the middle of a word perhaps: switches now, DACs by PendSV. */
void board_run_end(board_t *board) {
    analog_switches(0);
    system_tick_stop();
    board->idle_wanted = true;
    SCB_ICSR = ICSR_PENDSVSET;
}

void board_prepare_soon(board_t *board) {
    (void)board;
    SCB_ICSR = ICSR_PENDSVSET;
}

void board_poll_run(board_t *board, struct fw *fw) {
    (void)board;
    (void)fw;
}

bool board_random_ready(board_t *board) {
    (void)board;
    return analog_random_ready();
}

uint16_t board_random(board_t *board, const board_draw_t *draw, uint32_t words[4]) {
    (void)board;
    (void)draw;
    uint16_t fault = FAULT_NONE;
    for (uint32_t i = 0; fault == FAULT_NONE && i < 4; i++) {
        fault = analog_random(&words[i]);
    }
    return fault;
}

/* --- interrupts ----------------------------------------------------------------------------------
 */

void image_poll(fw_t *fw) {
    fw_poll(fw);
}

void image_tick(fw_t *fw) {
    sequencer_tick(&fw->loop);
}

void image_pend(fw_t *fw) {
    if (the_board.idle_wanted) {
        the_board.idle_wanted = false;
        analog_select(SELECT_MODE, MODE_GROUNDED);
        dac_safe();
    }
    sequencer_prepare(&fw->loop);
}
