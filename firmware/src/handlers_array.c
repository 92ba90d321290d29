/* Pulses and reads. A batch is checked whole before the first pulse, then worked through in order.
 */
#include "handlers.h"

#define PULSES_MAX ((MSG_PAYLOAD_BYTES - PULSE_READ_REQUEST_BYTES) / PULSE_READ_REQUEST_ENTRY_BYTES)
#define READS_MAX  ((MSG_PAYLOAD_BYTES - 1u - READ_RESPONSE_BYTES) / READ_RESPONSE_ENTRY_BYTES)

static size_t check_cell(uint16_t entry, uint8_t row, uint8_t column, uint8_t *out) {
    if (row >= BOARD_ROWS) {
        return status_out_of_range(out, 0, entry, row, 0, (int32_t)BOARD_ROWS - 1);
    }
    if (column >= BOARD_COLUMNS) {
        return status_out_of_range(out, 1, entry, column, 0, (int32_t)BOARD_COLUMNS - 1);
    }
    return 0;
}

static size_t check_read_code(uint16_t read_code, uint8_t *out) {
    return read_code > BOARD_READ_CODE_MAX
               ? status_over_limit(out, 0, 0, read_code, BOARD_READ_CODE_MAX)
               : 0;
}

static uint16_t *pulses_of(fw_t *fw, uint8_t row, uint8_t column) {
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

/* The arming has to outlast the batch. */
static size_t check_armed(const fw_t *fw, const request_t *request, uint8_t *out) {
    uint64_t lasting_ns = 0;
    for (uint16_t i = 0; i < request->entries; i++) {
        pulse_read_request_entry_t pulse;
        pulse_read_request_entry_unpack(request_entry(request, i), &pulse);
        lasting_ns += (uint64_t)pulse.width_ticks * BOARD_WIDTH_TICK_NS + BOARD_PULSE_OVERHEAD_NS +
                      BOARD_READ_NS;
    }
    if (safety_armed_ns(&fw->safety, board_time_ns(fw->board)) <= lasting_ns) {
        out[0] = STATUS_NOT_ARMED;
        return 1;
    }
    return 0;
}

static size_t begin(fw_t *fw, const job_t *job, uint8_t *out) {
    fw->job = *job;
    return job_step(fw, out);
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
    const job_t job = {.kind = JOB_PULSES, .request = *request, .read_code = asked.read_code};
    return refused != 0 ? refused : begin(fw, &job, out);
}

size_t handle_read(fw_t *fw, const request_t *request, uint8_t *out) {
    read_request_t asked;
    read_request_unpack(request->payload, &asked);
    size_t refused = require_idle(fw, out);
    if (refused == 0 && request->entries > READS_MAX) {
        const size_t length =
            READ_REQUEST_BYTES + (size_t)request->entries * READ_REQUEST_ENTRY_BYTES;
        refused = status_bad_length(out, (uint16_t)length,
                                    READ_REQUEST_BYTES + READS_MAX * READ_REQUEST_ENTRY_BYTES);
    }
    if (refused == 0) {
        refused = check_read_code(asked.read_code, out);
    }
    for (uint16_t i = 0; refused == 0 && i < request->entries; i++) {
        read_request_entry_t cell;
        read_request_entry_unpack(request_entry(request, i), &cell);
        refused = check_cell(i, cell.row, cell.column, out);
    }
    const job_t job = {.kind = JOB_READS,
                       .request = *request,
                       .read_code = asked.read_code,
                       .samples = asked.samples};
    return refused != 0 ? refused : begin(fw, &job, out);
}

/* Readings are written behind the entries before them; what stands there is kept between steps in
 * `fw->answer`, so `out` is always that. */
static uint16_t step_pulses(fw_t *fw, uint16_t count, uint8_t *out) {
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
        pulse_read_response_entry_pack(&entry,
                                       out + (job->next + i) * PULSE_READ_RESPONSE_ENTRY_BYTES);
    }
    return FAULT_NONE;
}

static uint16_t step_reads(fw_t *fw, uint16_t count, uint8_t *out) {
    board_cell_t cells[READS_MAX] = {0};
    uint32_t sums[READS_MAX];
    job_t *job = &fw->job;
    for (uint16_t i = 0; i < count; i++) {
        read_request_entry_t entry;
        read_request_entry_unpack(request_entry(&job->request, (uint16_t)(job->next + i)), &entry);
        cells[i] = (board_cell_t){entry.row, entry.column};
    }
    const uint16_t fault = board_read(fw->board, cells, count, job->read_code, job->samples, sums);
    if (fault != FAULT_NONE) {
        return fault;
    }
    fw->counters.reads += (uint32_t)count * job->samples;
    for (uint16_t i = 0; i < count; i++) {
        const read_response_entry_t entry = {sums[i]};
        read_response_entry_pack(&entry, out + (job->next + i) * READ_RESPONSE_ENTRY_BYTES);
    }
    return FAULT_NONE;
}

static size_t job_answer(fw_t *fw, uint8_t *out) {
    const size_t each =
        fw->job.kind == JOB_PULSES ? PULSE_READ_RESPONSE_ENTRY_BYTES : READ_RESPONSE_ENTRY_BYTES;
    const read_response_t head = {board_time_ns(fw->board) / 1000u}; /* both begin with the time */
    read_response_pack(&head, out + 1);
    return answer_ok(out) + READ_RESPONSE_BYTES + fw->job.request.entries * each;
}

size_t job_step(fw_t *fw, uint8_t *out) {
    job_t *job = &fw->job;
    const bool pulses = job->kind == JOB_PULSES;
    uint8_t *entries = out + 1 + READ_RESPONSE_BYTES;
    if (pulses && safety_latched(&fw->safety)) { /* a stop has come between */
        job->kind = JOB_NONE;
        return status_safe_state(out, fw->safety.reason);
    }
    const uint16_t left = (uint16_t)(job->request.entries - job->next);
    const uint16_t batch = board_batch(fw->board);
    const uint16_t count = left < batch ? left : batch;
    if (count > 0) {
        const uint16_t fault =
            pulses ? step_pulses(fw, count, entries) : step_reads(fw, count, entries);
        if (fault != FAULT_NONE) {
            job->kind = JOB_NONE;
            return refuse_fault(fw, fault, out);
        }
        job->next = (uint16_t)(job->next + count);
    }
    if (job->next < job->request.entries) {
        return 0;
    }
    const size_t length = job_answer(fw, out);
    job->kind = JOB_NONE;
    return length;
}
