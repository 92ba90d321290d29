/* Pulses, reads and the board's own references. A batch is checked whole before the first pulse,
 * then worked through in order.
 */
#include "handlers.h"

#define PULSES_MAX ((MSG_PAYLOAD_BYTES - PULSE_READ_REQUEST_BYTES) / PULSE_READ_REQUEST_ENTRY_BYTES)
#define READS_MAX  ((MSG_PAYLOAD_BYTES - 1u - READ_RESPONSE_BYTES) / READ_RESPONSE_ENTRY_BYTES)

/* All conversions are answered alike: a time, then sums. */
_Static_assert(LOOPBACK_RESPONSE_BYTES == READ_RESPONSE_BYTES &&
                   READ_REFERENCE_RESPONSE_BYTES == READ_RESPONSE_BYTES &&
                   LINE_CHECK_RESPONSE_BYTES == READ_RESPONSE_BYTES &&
                   LINE_CHECK_RESPONSE_ENTRY_BYTES == READ_RESPONSE_ENTRY_BYTES &&
                   LOOPBACK_RESPONSE_ENTRY_BYTES == READ_RESPONSE_ENTRY_BYTES &&
                   READ_REFERENCE_RESPONSE_ENTRY_BYTES == READ_RESPONSE_ENTRY_BYTES,
               "answers of conversions");

static size_t check_column(uint8_t field, uint16_t entry, uint8_t column, uint8_t *out) {
    return column >= BOARD_COLUMNS
               ? status_out_of_range(out, field, entry, column, 0, (int32_t)BOARD_COLUMNS - 1)
               : 0;
}

static size_t check_cell(uint16_t entry, uint8_t row, uint8_t column, uint8_t *out) {
    if (row >= BOARD_ROWS) {
        return status_out_of_range(out, 0, entry, row, 0, (int32_t)BOARD_ROWS - 1);
    }
    return check_column(1, entry, column, out);
}

/* More entries than an answer has room for sums are refused by the length that they have. */
static size_t check_room(const request_t *request, size_t head, size_t each, uint8_t *out) {
    return request->entries > READS_MAX
               ? status_bad_length(out, (uint16_t)(head + (size_t)request->entries * each),
                                   (uint16_t)(head + READS_MAX * each))
               : 0;
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
static size_t require_armed(const fw_t *fw, uint64_t lasting_ns, uint8_t *out) {
    if (safety_armed_ns(&fw->safety, board_time_ns(fw->board)) <= lasting_ns) {
        out[0] = STATUS_NOT_ARMED;
        return 1;
    }
    return 0;
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
    const job_t job = {
        .kind = JOB_PULSES, .request = *request, .read_code = asked.read_code, .driving = true};
    return refused != 0 ? refused : begin(fw, &job, out);
}

size_t handle_read(fw_t *fw, const request_t *request, uint8_t *out) {
    read_request_t asked;
    read_request_unpack(request->payload, &asked);
    size_t refused = require_idle(fw, out);
    if (refused == 0) {
        refused = check_room(request, READ_REQUEST_BYTES, READ_REQUEST_ENTRY_BYTES, out);
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

size_t handle_read_reference(fw_t *fw, const request_t *request, uint8_t *out) {
    read_reference_request_t asked;
    read_reference_request_unpack(request->payload, &asked);
    size_t refused = require_idle(fw, out);
    if (refused == 0) {
        refused = check_room(request, READ_REFERENCE_REQUEST_BYTES,
                             READ_REFERENCE_REQUEST_ENTRY_BYTES, out);
    }
    if (refused == 0) {
        refused = check_read_code(asked.read_code, out);
    }
    for (uint16_t i = 0; refused == 0 && i < request->entries; i++) {
        read_reference_request_entry_t reference;
        read_reference_request_entry_unpack(request_entry(request, i), &reference);
        refused = check_column(0, i, reference.column, out);
    }
    const job_t job = {.kind = JOB_REFERENCES,
                       .request = *request,
                       .read_code = asked.read_code,
                       .samples = asked.samples};
    return refused != 0 ? refused : begin(fw, &job, out);
}

/* Far ends are numbered as the kinds of lines are. */
_Static_assert((int)LINE_PROBE_FAR_BIT_LINE == (int)ARRAY_LINE_BIT_LINE &&
                   (int)LINE_PROBE_FAR_SOURCE_LINE == (int)ARRAY_LINE_SOURCE_LINE &&
                   (int)LINE_PROBE_FAR_WORD_LINE == (int)ARRAY_LINE_WORD_LINE,
               "far ends");

static size_t check_line(uint8_t field, uint16_t entry, uint8_t kind, uint8_t line, uint8_t *out) {
    int32_t last = BOARD_COLUMNS - 1;
    if (kind == ARRAY_LINE_BIT_LINE) {
        last = BOARD_ROWS - 1;
    }
    return line > last ? status_out_of_range(out, field, entry, line, 0, last) : 0;
}

static board_line_t asked_line(const request_t *request, uint16_t number) {
    line_check_request_entry_t entry;
    line_check_request_entry_unpack(request_entry(request, number), &entry);
    return (board_line_t){entry.driven, entry.line, entry.probe, entry.probed};
}

size_t handle_line_check(fw_t *fw, const request_t *request, uint8_t *out) {
    line_check_request_t asked;
    line_check_request_unpack(request->payload, &asked);
    size_t refused = require_idle(fw, out);
    if (refused == 0) {
        refused =
            check_room(request, LINE_CHECK_REQUEST_BYTES, LINE_CHECK_REQUEST_ENTRY_BYTES, out);
    }
    if (refused == 0) {
        refused = check_read_code(asked.read_code, out);
    }
    for (uint16_t i = 0; refused == 0 && i < request->entries; i++) {
        const board_line_t line = asked_line(request, i);
        refused = check_line(1, i, line.driven, line.line, out);
        if (refused == 0 && line.probe <= LINE_PROBE_FAR_WORD_LINE) {
            refused = check_line(3, i, line.probe, line.probed, out);
        }
    }
    const job_t job = {.kind = JOB_LINES,
                       .request = *request,
                       .read_code = asked.read_code,
                       .samples = asked.samples};
    return refused != 0 ? refused : begin(fw, &job, out);
}

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
    const job_t job = {
        .kind = JOB_LOOPBACK, .request = *request, .samples = asked.samples, .driving = above};
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

static uint16_t read_cells(fw_t *fw, uint16_t count, uint32_t *sums) {
    board_cell_t cells[READS_MAX] = {0};
    job_t *job = &fw->job;
    for (uint16_t i = 0; i < count; i++) {
        read_request_entry_t entry;
        read_request_entry_unpack(request_entry(&job->request, (uint16_t)(job->next + i)), &entry);
        cells[i] = (board_cell_t){entry.row, entry.column};
    }
    const uint16_t fault = board_read(fw->board, cells, count, job->read_code, job->samples, sums);
    fw->counters.reads += fault == FAULT_NONE ? (uint32_t)count * job->samples : 0;
    return fault;
}

static uint16_t read_references(fw_t *fw, uint16_t count, uint32_t *sums) {
    board_reference_t references[READS_MAX] = {0};
    job_t *job = &fw->job;
    for (uint16_t i = 0; i < count; i++) {
        read_reference_request_entry_t entry;
        read_reference_request_entry_unpack(request_entry(&job->request, (uint16_t)(job->next + i)),
                                            &entry);
        references[i] = (board_reference_t){entry.column, entry.resistor};
    }
    return board_read_reference(fw->board, references, count, job->read_code, job->samples, sums);
}

static uint16_t check_lines(fw_t *fw, uint16_t count, uint32_t *sums) {
    board_line_t lines[READS_MAX] = {0};
    job_t *job = &fw->job;
    for (uint16_t i = 0; i < count; i++) {
        lines[i] = asked_line(&job->request, (uint16_t)(job->next + i));
    }
    return board_line_check(fw->board, lines, count, job->read_code, job->samples, sums);
}

static uint16_t loop_back(fw_t *fw, uint16_t count, uint32_t *sums) {
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
    job_t *job = &fw->job;
    const uint16_t fault = convert(fw, count, sums);
    if (fault != FAULT_NONE) {
        return fault;
    }
    for (uint16_t i = 0; i < count; i++) {
        const read_response_entry_t entry = {sums[i]};
        read_response_entry_pack(&entry, out + (job->next + i) * READ_RESPONSE_ENTRY_BYTES);
    }
    return FAULT_NONE;
}

static size_t job_answer(fw_t *fw, uint8_t *out) {
    const size_t each =
        fw->job.kind == JOB_PULSES ? PULSE_READ_RESPONSE_ENTRY_BYTES : READ_RESPONSE_ENTRY_BYTES;
    const read_response_t head = {board_time_ns(fw->board) / 1000u}; /* all begin with the time */
    read_response_pack(&head, out + 1);
    return answer_ok(out) + READ_RESPONSE_BYTES + fw->job.request.entries * each;
}

size_t job_step(fw_t *fw, uint8_t *out) {
    job_t *job = &fw->job;
    const bool pulses = job->kind == JOB_PULSES;
    uint8_t *entries = out + 1 + READ_RESPONSE_BYTES;
    if (job->driving && safety_latched(&fw->safety)) { /* a stop has come between */
        job->kind = JOB_NONE;
        return status_safe_state(out, fw->safety.reason);
    }
    const uint16_t left = (uint16_t)(job->request.entries - job->next);
    const uint16_t batch = board_batch(fw->board);
    const uint16_t count = left < batch ? left : batch;
    if (count > 0) {
        const uint16_t fault =
            pulses ? step_pulses(fw, count, entries) : step_conversions(fw, count, entries);
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
