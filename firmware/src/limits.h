/* The hard limits, compiled in from the board description, and the lowered ones of a session. */
#ifndef LIMITS_H
#define LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "check.h"

#define LIMITS_OPERATIONS 3u

typedef struct {
    uint16_t gate_max;
    uint16_t line_max;
    uint32_t width_max; /* ticks of 20 ns */
    uint32_t pulses_per_cell_max;
    uint32_t energy_max; /* of line code^2 x ticks, in units of BOARD_ENERGY_UNIT */
} pulse_limits_t;

typedef struct {
    pulse_limits_t operations[LIMITS_OPERATIONS]; /* by OPERATION_... */
    uint32_t arm_ms_max;
} limits_t;

/* What the board allows at all. */
extern const limits_t HARD_LIMITS;

/* Lowers one operation's limits, and the arming's; 0, or the length of the refusal in `out`. */
size_t limits_lower(limits_t *limits, const limits_lower_request_t *request, uint8_t *out);

/* 0 when a pulse stays within the limits, or the length of the refusal. Of a pulse with too much
 * energy that names the longest width that its line code may have. */
size_t limits_check(const limits_t *limits, const pulse_read_request_entry_t *pulse, uint16_t entry,
                    uint8_t *out);

#endif
