/* The bench: pulses, reads, line checks and products on the array. */
#include "analog.h"
#include "board.h"
#include "dac.h"
#include "rows.h"
#include "system.h"

static const dac_channel_t WORD_LINE = CHANNEL_WORD_LINE;
static const dac_channel_t BIT_LINE = CHANNEL_BIT_LINE;
static const dac_channel_t SOURCE_LINE = CHANNEL_SOURCE_LINE;

_Static_assert(READ_GATE_CODE <= BOARD_SET_GATE_MAX && MULTIPLY_GATE_CODE <= BOARD_SET_GATE_MAX,
               "the gates of reads and products are drawn above the limit of a SET");

uint16_t board_batch(board_t *board) {
    (void)board;
    return PULSES_PER_STEP;
}

static void select_cell(uint16_t row, uint16_t column, uint8_t mode) {
    analog_select_line(SELECT_ROW, row);
    analog_select_line(SELECT_COLUMN, column);
    analog_select(SELECT_MODE, mode);
}

/* Lines to 0 before the cell is let go. */
static void release_cell(void) {
    dac_write(BIT_LINE, 0);
    dac_write(SOURCE_LINE, 0);
    dac_write(WORD_LINE, 0);
    analog_select(SELECT_MODE, MODE_GROUNDED);
}

static uint16_t read_behind(uint16_t gate_code, uint16_t read_code, uint8_t samples,
                            uint32_t *sum) {
    dac_write(WORD_LINE, gate_code);
    dac_write(BIT_LINE, read_code);
    return analog_sum(ADC_READ, samples, sum);
}

static uint16_t read_cell(uint16_t read_code, uint8_t samples, uint32_t *sum) {
    return read_behind(READ_GATE_CODE, read_code, samples, sum);
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

uint16_t board_read_reference(board_t *board, const board_reference_t *references, uint16_t count,
                              uint16_t read_code, uint8_t samples, uint32_t *sums) {
    (void)board;
    uint16_t fault = FAULT_NONE;
    for (uint16_t i = 0; fault == FAULT_NONE && i < count; i++) {
        analog_select_line(SELECT_COLUMN, references[i].column);
        analog_select(SELECT_RESISTOR, references[i].resistor);
        analog_select(SELECT_MODE, MODE_REFERENCE);
        dac_write(BIT_LINE, read_code);
        fault = analog_sum(ADC_READ, samples, &sums[i]);
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
    analog_select_line(SELECT_ROW, line->line);
    analog_select_line(SELECT_COLUMN, column ? line->line : line->probed);
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
            const uint16_t gate = lines[i].probed != 0 ? lines[i].probed : READ_GATE_CODE;
            fault = read_behind(gate, read_code, samples, &sums[i]);
        } else {
            dac_write(drivers[lines[i].driven], read_code);
            fault = analog_sum(ADC_READ, samples, &sums[i]);
        }
        release_cell();
        analog_select(SELECT_TAP, 0);
    }
    return fault;
}

/* --- products ------------------------------------------------------------------------------------
 */

/* One column after the other gets its gates opened and its stage connected. */
static uint16_t convert_columns(const board_block_t *block, uint16_t *sums) {
    uint16_t fault = FAULT_NONE;
    for (uint16_t i = 0; fault == FAULT_NONE && i < block->columns; i++) {
        uint32_t sum = 0;
        analog_select_line(SELECT_COLUMN, (uint16_t)(block->first_column + i));
        fault = analog_sum(ADC_READ, block->samples, &sum);
        sums[i] = (uint16_t)sum;
    }
    return fault;
}

/* Every vector takes the same time, however many rows it has. */
static void drive_rows(const board_block_t *block, const uint16_t *codes) {
    const uint64_t until_ns = system_time_ns() + BOARD_VECTOR_NS;
    rows_load(block->first_row, codes, block->inputs);
    const uint64_t now_ns = system_time_ns();
    if (now_ns < until_ns) {
        system_wait_ns((uint32_t)(until_ns - now_ns));
    }
}

uint16_t board_multiply(board_t *board, const board_block_t *block, const uint16_t *codes,
                        uint16_t vectors, uint16_t *sums) {
    (void)board;
    uint16_t fault = FAULT_NONE;
    analog_select(SELECT_SCALE, block->scale);
    analog_select(SELECT_MODE, MODE_PRODUCT);
    dac_write(WORD_LINE, MULTIPLY_GATE_CODE);
    for (uint16_t v = 0; fault == FAULT_NONE && v < vectors; v++) {
        drive_rows(block, codes + (size_t)v * block->inputs);
        fault = convert_columns(block, sums + (size_t)v * block->columns);
    }
    rows_clear();
    release_cell();
    analog_select(SELECT_SCALE, 0);
    return fault;
}
