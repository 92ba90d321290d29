/* Reads of cells, of reference resistors and of whole lines: one conversion path, three things at
 * its other end. */
#include "job.h"

static size_t convert_begin(fw_t *fw, job_kind_t kind, const request_t *request, uint16_t read_code,
                            uint8_t samples, uint8_t *out) {
    const job_t job = {.kind = kind,
                       .request = *request,
                       .steps = request->entries,
                       .step_bytes = READ_RESPONSE_ENTRY_BYTES,
                       .read_code = read_code,
                       .samples = samples};
    return job_begin(fw, &job, out);
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
    return refused != 0
               ? refused
               : convert_begin(fw, JOB_READS, request, asked.read_code, asked.samples, out);
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
    return refused != 0
               ? refused
               : convert_begin(fw, JOB_REFERENCES, request, asked.read_code, asked.samples, out);
}

/* Far ends are numbered as the kinds of lines are. */
_Static_assert((int)LINE_PROBE_FAR_BIT_LINE == (int)ARRAY_LINE_BIT_LINE &&
                   (int)LINE_PROBE_FAR_SOURCE_LINE == (int)ARRAY_LINE_SOURCE_LINE &&
                   (int)LINE_PROBE_FAR_WORD_LINE == (int)ARRAY_LINE_WORD_LINE,
               "far ends");

static size_t check_line(uint8_t field, uint16_t entry, uint8_t kind, uint16_t line, uint8_t *out) {
    int32_t last = BOARD_COLUMNS - 1;
    if (kind == ARRAY_LINE_BIT_LINE) {
        last = BOARD_ROWS - 1;
    }
    return line > last ? status_out_of_range(out, field, entry, line, 0, last) : 0;
}

static board_line_t asked_line(const request_t *request, uint16_t number) {
    line_check_request_entry_t entry;
    line_check_request_entry_unpack(request_entry(request, number), &entry);
    return (board_line_t){entry.driven, entry.probe, entry.line, entry.probed};
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
        if (refused == 0 && line.probe == LINE_PROBE_CURRENT && line.probed > BOARD_SET_GATE_MAX) {
            refused = status_over_limit(out, 3, i, line.probed, BOARD_SET_GATE_MAX);
        }
    }
    return refused != 0
               ? refused
               : convert_begin(fw, JOB_LINES, request, asked.read_code, asked.samples, out);
}

uint16_t read_cells(fw_t *fw, uint16_t count, uint32_t *sums) {
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

uint16_t read_references(fw_t *fw, uint16_t count, uint32_t *sums) {
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

uint16_t check_lines(fw_t *fw, uint16_t count, uint32_t *sums) {
    board_line_t lines[READS_MAX] = {0};
    job_t *job = &fw->job;
    for (uint16_t i = 0; i < count; i++) {
        lines[i] = asked_line(&job->request, (uint16_t)(job->next + i));
    }
    return board_line_check(fw->board, lines, count, job->read_code, job->samples, sums);
}
