#include "limits.h"

#include "board_limits.h"

const limits_t HARD_LIMITS = {
    .operations =
        {
            [OPERATION_SET] = {BOARD_SET_GATE_MAX, BOARD_SET_LINE_MAX, BOARD_SET_WIDTH_MAX,
                               BOARD_PULSES_PER_CELL_MAX, BOARD_SET_ENERGY_MAX},
            [OPERATION_RESET] = {BOARD_RESET_GATE_MAX, BOARD_RESET_LINE_MAX, BOARD_RESET_WIDTH_MAX,
                                 BOARD_PULSES_PER_CELL_MAX, BOARD_RESET_ENERGY_MAX},
            [OPERATION_FORM] = {BOARD_FORM_GATE_MAX, BOARD_FORM_LINE_MAX, BOARD_FORM_WIDTH_MAX,
                                BOARD_PULSES_PER_CELL_MAX, BOARD_FORM_ENERGY_MAX},
        },
    .arm_ms_max = BOARD_ARM_MS_MAX,
};

/* The first of `count` values that is over its limit; fields are numbered from `field`. */
static size_t check_values(const uint32_t *values, const uint32_t *limits, uint8_t count,
                           uint8_t field, uint16_t entry, uint8_t *out) {
    for (uint8_t i = 0; i < count; i++) {
        if (values[i] > limits[i]) {
            return status_over_limit(out, (uint8_t)(field + i), entry, values[i], limits[i]);
        }
    }
    return 0;
}

size_t limits_lower(limits_t *limits, const limits_lower_request_t *request, uint8_t *out) {
    pulse_limits_t *present = &limits->operations[request->operation];
    const uint32_t values[] = {request->gate_max,   request->line_max,
                               request->width_max,  request->pulses_per_cell_max,
                               request->energy_max, request->arm_ms_max};
    const uint32_t most[] = {present->gate_max,   present->line_max,
                             present->width_max,  present->pulses_per_cell_max,
                             present->energy_max, limits->arm_ms_max};
    const size_t refused = check_values(values, most, 6, 1, 0, out);
    if (refused == 0) {
        *present = (pulse_limits_t){request->gate_max, request->line_max, request->width_max,
                                    request->pulses_per_cell_max, request->energy_max};
        limits->arm_ms_max = request->arm_ms_max;
    }
    return refused;
}

/* The longest width that a line code may have: by its own limit and by the energy. */
static uint32_t longest_width(const pulse_limits_t *most, uint16_t line_code) {
    const uint64_t square = (uint64_t)line_code * line_code;
    const uint64_t energy = (uint64_t)most->energy_max * BOARD_ENERGY_UNIT;
    return square * most->width_max <= energy ? most->width_max : (uint32_t)(energy / square);
}

size_t limits_check(const limits_t *limits, const pulse_read_request_entry_t *pulse, uint16_t entry,
                    uint8_t *out) {
    const pulse_limits_t *most = &limits->operations[pulse->operation];
    const uint32_t values[] = {pulse->gate_code, pulse->line_code, pulse->width_ticks};
    const uint32_t allowed[] = {most->gate_max, most->line_max,
                                longest_width(most, pulse->line_code)};
    return check_values(values, allowed, 3, 3, entry, out);
}
