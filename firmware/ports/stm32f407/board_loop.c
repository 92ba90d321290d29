/* The bench: loop-backs of the DACs, and the analog loop. */
#include <string.h>

#include "analog.h"
#include "board_hw.h"
#include "dac.h"
#include "registers.h"
#include "system.h"

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

/* --- loop-backs ----------------------------------------------------------------------------------
 */

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
        fault =
            analog_sum((uint8_t)(ADC_READ + loopback->destination), loopback->samples, &sums[i]);
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
        analog_select_line(first, layers[i].first_row);
        analog_select_line((uint8_t)(first + 1u), layers[i].first_column);
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
        fault = analog_sum(ADC_PROBE, samples, &sums[i]);
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
