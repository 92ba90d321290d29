#include "job.h"

/* All jobs are answered alike: a time, then what each step gave. */
_Static_assert(LOOPBACK_RESPONSE_BYTES == READ_RESPONSE_BYTES &&
                   READ_REFERENCE_RESPONSE_BYTES == READ_RESPONSE_BYTES &&
                   LINE_CHECK_RESPONSE_BYTES == READ_RESPONSE_BYTES &&
                   PULSE_READ_RESPONSE_BYTES == READ_RESPONSE_BYTES &&
                   MULTIPLY_RESPONSE_BYTES == READ_RESPONSE_BYTES &&
                   LINE_CHECK_RESPONSE_ENTRY_BYTES == READ_RESPONSE_ENTRY_BYTES &&
                   LOOPBACK_RESPONSE_ENTRY_BYTES == READ_RESPONSE_ENTRY_BYTES &&
                   READ_REFERENCE_RESPONSE_ENTRY_BYTES == READ_RESPONSE_ENTRY_BYTES,
               "answers of jobs");

size_t check_column(uint8_t field, uint16_t entry, uint16_t column, uint8_t *out) {
    return column >= BOARD_COLUMNS
               ? status_out_of_range(out, field, entry, column, 0, (int32_t)BOARD_COLUMNS - 1)
               : 0;
}

size_t check_cell(uint16_t entry, uint16_t row, uint16_t column, uint8_t *out) {
    if (row >= BOARD_ROWS) {
        return status_out_of_range(out, 0, entry, row, 0, (int32_t)BOARD_ROWS - 1);
    }
    return check_column(1, entry, column, out);
}

/* More entries than an answer has room for sums are refused by the length that they have. */
size_t check_room(const request_t *request, size_t head, size_t each, uint8_t *out) {
    return request->entries > READS_MAX
               ? status_bad_length(out, (uint16_t)(head + (size_t)request->entries * each),
                                   (uint16_t)(head + READS_MAX * each))
               : 0;
}

size_t check_read_code(uint16_t read_code, uint8_t *out) {
    return read_code > BOARD_READ_CODE_MAX
               ? status_over_limit(out, 0, 0, read_code, BOARD_READ_CODE_MAX)
               : 0;
}

/* The arming has to outlast the batch. */
size_t require_armed(const fw_t *fw, uint64_t lasting_ns, uint8_t *out) {
    if (safety_armed_ns(&fw->safety, board_time_ns(fw->board)) <= lasting_ns) {
        out[0] = STATUS_NOT_ARMED;
        return 1;
    }
    return 0;
}

size_t job_begin(fw_t *fw, const job_t *job, uint8_t *out) {
    fw->job = *job;
    return job_step(fw, out);
}

static uint16_t convert(fw_t *fw, uint16_t count, uint32_t *sums) {
    switch (fw->job.kind) {
    case JOB_LOOPBACK:
        return loop_back(fw, count, sums);
    case JOB_REFERENCES:
        return read_references(fw, count, sums);
    case JOB_LINES:
        return check_lines(fw, count, sums);
    default:
        return read_cells(fw, count, sums);
    }
}

static uint16_t step_conversions(fw_t *fw, uint16_t count, uint8_t *out) {
    uint32_t sums[READS_MAX];
    const uint16_t fault = convert(fw, count, sums);
    if (fault != FAULT_NONE) {
        return fault;
    }
    for (uint16_t i = 0; i < count; i++) {
        const read_response_entry_t entry = {sums[i]};
        read_response_entry_pack(&entry, out + i * READ_RESPONSE_ENTRY_BYTES);
    }
    return FAULT_NONE;
}

/* What steps give is written behind the steps before them; what stands there is kept between them
 * in `fw->answer`, so `out` is always that. */
static uint16_t steps(fw_t *fw, uint16_t count, uint8_t *out) {
    const job_t *job = &fw->job;
    uint8_t *behind = out + 1 + READ_RESPONSE_BYTES + (size_t)job->next * job->step_bytes;
    switch (job->kind) {
    case JOB_PULSES:
        return step_pulses(fw, count, behind);
    case JOB_PRODUCTS:
        return step_products(fw, count, behind);
    default:
        return step_conversions(fw, count, behind);
    }
}

static size_t job_answer(fw_t *fw, uint8_t *out) {
    const read_response_t head = {board_time_ns(fw->board) / 1000u};
    read_response_pack(&head, out + 1);
    return answer_ok(out) + READ_RESPONSE_BYTES + (size_t)fw->job.steps * fw->job.step_bytes;
}

size_t job_step(fw_t *fw, uint8_t *out) {
    job_t *job = &fw->job;
    if (job->driving && safety_latched(&fw->safety)) { /* a stop has come between */
        job->kind = JOB_NONE;
        return status_safe_state(out, fw->safety.reason);
    }
    const uint16_t left = (uint16_t)(job->steps - job->next);
    const uint16_t batch = board_batch(fw->board);
    const uint16_t count = left < batch ? left : batch;
    if (count > 0) {
        const uint16_t fault = steps(fw, count, out);
        if (fault != FAULT_NONE) {
            job->kind = JOB_NONE;
            return refuse_fault(fw, fault, out);
        }
        job->next = (uint16_t)(job->next + count);
    }
    if (job->next < job->steps) {
        return 0;
    }
    const size_t length = job_answer(fw, out);
    job->kind = JOB_NONE;
    return length;
}
