/* Pulses. A batch is checked whole before the first one, then worked through in order. */
#include "job.h"

#define PULSES_MAX ((MSG_PAYLOAD_BYTES - PULSE_READ_REQUEST_BYTES) / PULSE_READ_REQUEST_ENTRY_BYTES)

static uint16_t *pulses_of(fw_t *fw, uint16_t row, uint16_t column) {
    return &fw->cell_pulses[(size_t)row * BOARD_COLUMNS + column];
}

/* Each cell's pulses in the session, those of this batch included, against the limit of the
 * operation asked for. Counts are raised on the way and taken back; a pulse that was driven counts.
 */
static size_t check_budget(fw_t *fw, const request_t *request, uint8_t *out) {
    pulse_read_request_entry_t pulse;
    uint16_t counted = 0;
    size_t refused = 0;
    while (refused == 0 && counted < request->entries) {
        pulse_read_request_entry_unpack(request_entry(request, counted), &pulse);
        const uint32_t limit = fw->limits.operations[pulse.operation].pulses_per_cell_max;
        uint16_t *had = pulses_of(fw, pulse.row, pulse.column);
        if (*had >= limit) {
            refused = status_pulse_budget(out, counted, *had, limit);
        } else {
            (*had)++;
            counted++;
        }
    }
    while (counted > 0) {
        pulse_read_request_entry_unpack(request_entry(request, --counted), &pulse);
        (*pulses_of(fw, pulse.row, pulse.column))--;
    }
    return refused;
}

static size_t check_pulses(fw_t *fw, const request_t *request, uint8_t *out) {
    pulse_read_request_entry_t pulse;
    size_t refused = 0;
    for (uint16_t i = 0; refused == 0 && i < request->entries; i++) {
        pulse_read_request_entry_unpack(request_entry(request, i), &pulse);
        refused = check_cell(i, pulse.row, pulse.column, out);
    }
    for (uint16_t i = 0; refused == 0 && i < request->entries; i++) {
        pulse_read_request_entry_unpack(request_entry(request, i), &pulse);
        refused = limits_check(&fw->limits, &pulse, i, out);
    }
    return refused != 0 ? refused : check_budget(fw, request, out);
}

static size_t check_armed(const fw_t *fw, const request_t *request, uint8_t *out) {
    uint64_t lasting_ns = 0;
    for (uint16_t i = 0; i < request->entries; i++) {
        pulse_read_request_entry_t pulse;
        pulse_read_request_entry_unpack(request_entry(request, i), &pulse);
        lasting_ns += (uint64_t)pulse.width_ticks * BOARD_WIDTH_TICK_NS + BOARD_PULSE_OVERHEAD_NS +
                      BOARD_READ_NS;
    }
    return require_armed(fw, lasting_ns, out);
}

size_t handle_pulse_read(fw_t *fw, const request_t *request, uint8_t *out) {
    pulse_read_request_t asked;
    pulse_read_request_unpack(request->payload, &asked);
    size_t refused = require_safe_to_drive(fw, out);
    if (refused == 0) {
        refused = require_idle(fw, out);
    }
    if (refused == 0) {
        refused = check_armed(fw, request, out);
    }
    if (refused == 0) {
        refused = check_read_code(asked.read_code, out);
    }
    if (refused == 0) {
        refused = check_pulses(fw, request, out);
    }
    const job_t job = {.kind = JOB_PULSES,
                       .request = *request,
                       .steps = request->entries,
                       .step_bytes = PULSE_READ_RESPONSE_ENTRY_BYTES,
                       .read_code = asked.read_code,
                       .driving = true};
    return refused != 0 ? refused : job_begin(fw, &job, out);
}

uint16_t step_pulses(fw_t *fw, uint16_t count, uint8_t *out) {
    board_pulse_t pulses[PULSES_MAX] = {0};
    uint16_t readings[PULSES_MAX];
    job_t *job = &fw->job;
    for (uint16_t i = 0; i < count; i++) {
        pulse_read_request_entry_t entry;
        pulse_read_request_entry_unpack(request_entry(&job->request, (uint16_t)(job->next + i)),
                                        &entry);
        pulses[i] = (board_pulse_t){entry.row,       entry.column,    entry.operation,
                                    entry.gate_code, entry.line_code, entry.width_ticks};
    }
    const uint16_t fault = board_pulse_read(fw->board, pulses, count, job->read_code, readings);
    if (fault != FAULT_NONE) {
        return fault;
    }
    fw->counters.pulses += count;
    fw->counters.reads += count;
    for (uint16_t i = 0; i < count; i++) {
        const pulse_read_response_entry_t entry = {readings[i]};
        (*pulses_of(fw, pulses[i].row, pulses[i].column))++;
        pulse_read_response_entry_pack(&entry, out + i * PULSE_READ_RESPONSE_ENTRY_BYTES);
    }
    return FAULT_NONE;
}
