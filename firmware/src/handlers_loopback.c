/* Loop-backs of the board's own DACs, the array cut off. */
#include "job.h"

static uint16_t loopback_code(const request_t *request, uint16_t entry) {
    loopback_request_entry_t asked;
    loopback_request_entry_unpack(request_entry(request, entry), &asked);
    return asked.code;
}

static uint32_t larger(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

/* The array is cut off, and still its lines get no more than a pulse may have: switches can stick.
 */
static uint32_t loopback_limit(const limits_t *limits, uint8_t source) {
    const pulse_limits_t *of = limits->operations;
    switch (source) {
    case LOOP_SOURCE_BIT_LINE:
        return larger(of[OPERATION_SET].line_max, of[OPERATION_FORM].line_max);
    case LOOP_SOURCE_SOURCE_LINE:
        return of[OPERATION_RESET].line_max;
    case LOOP_SOURCE_WORD_LINE:
        return larger(of[OPERATION_RESET].gate_max,
                      larger(of[OPERATION_SET].gate_max, of[OPERATION_FORM].gate_max));
    default:
        return BOARD_CODE_MAX;
    }
}

static size_t check_loopback(const fw_t *fw, const request_t *request, uint8_t source,
                             uint8_t *out) {
    const uint32_t limit = loopback_limit(&fw->limits, source);
    for (uint16_t i = 0; i < request->entries; i++) {
        const uint16_t code = loopback_code(request, i);
        if (source == LOOP_SOURCE_REFERENCE && code > BOARD_LADDER_STEPS) {
            return status_out_of_range(out, 0, i, code, 0, (int32_t)BOARD_LADDER_STEPS);
        }
        if (code > limit) {
            return status_over_limit(out, 0, i, code, limit);
        }
    }
    return 0;
}

static bool above_read_level(const request_t *request, uint8_t source) {
    const bool line = source == LOOP_SOURCE_BIT_LINE || source == LOOP_SOURCE_SOURCE_LINE ||
                      source == LOOP_SOURCE_WORD_LINE;
    bool above = false;
    for (uint16_t i = 0; line && i < request->entries; i++) {
        above = above || loopback_code(request, i) > BOARD_READ_CODE_MAX;
    }
    return above;
}

size_t handle_loopback(fw_t *fw, const request_t *request, uint8_t *out) {
    loopback_request_t asked;
    loopback_request_unpack(request->payload, &asked);
    const bool above = above_read_level(request, asked.source);
    size_t refused = require_idle(fw, out);
    if (refused == 0) {
        refused = check_room(request, LOOPBACK_REQUEST_BYTES, LOOPBACK_REQUEST_ENTRY_BYTES, out);
    }
    if (refused == 0) {
        refused = check_loopback(fw, request, asked.source, out);
    }
    if (refused == 0 && above) {
        refused = require_safe_to_drive(fw, out);
    }
    if (refused == 0 && above) {
        refused =
            require_armed(fw, (uint64_t)request->entries * asked.samples * BOARD_READ_NS, out);
    }
    const job_t job = {.kind = JOB_LOOPBACK,
                       .request = *request,
                       .steps = request->entries,
                       .step_bytes = LOOPBACK_RESPONSE_ENTRY_BYTES,
                       .samples = asked.samples,
                       .driving = above};
    return refused != 0 ? refused : job_begin(fw, &job, out);
}

uint16_t loop_back(fw_t *fw, uint16_t count, uint32_t *sums) {
    uint16_t codes[READS_MAX] = {0};
    job_t *job = &fw->job;
    loopback_request_t asked;
    loopback_request_unpack(job->request.payload, &asked);
    for (uint16_t i = 0; i < count; i++) {
        codes[i] = loopback_code(&job->request, (uint16_t)(job->next + i));
    }
    const board_loopback_t loopback = {asked.source, asked.destination, asked.samples};
    return board_loopback(fw->board, &loopback, codes, count, sums);
}
