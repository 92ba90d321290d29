/* Products of a block of the array with vectors of codes, all of it at the read level. */
#include "job.h"

#define CODES_MAX ((MSG_PAYLOAD_BYTES - MULTIPLY_REQUEST_BYTES) / MULTIPLY_REQUEST_ENTRY_BYTES)
#define SUMS_MAX                                                                                   \
    ((MSG_PAYLOAD_BYTES - 1u - MULTIPLY_RESPONSE_BYTES) / MULTIPLY_RESPONSE_ENTRY_BYTES)
#define COLUMNS_MAX (BOARD_COLUMNS < SUMS_MAX ? BOARD_COLUMNS : SUMS_MAX)

static board_block_t block_of(const multiply_request_t *asked) {
    return (board_block_t){.first_row = asked->first_row,
                           .first_column = asked->first_column,
                           .inputs = asked->inputs,
                           .columns = asked->columns,
                           .scale = asked->scale,
                           .samples = asked->samples};
}

static size_t check_size(uint8_t field, uint16_t size, uint32_t most, uint8_t *out) {
    return size > most ? status_out_of_range(out, field, 0, size, 1, (int32_t)most) : 0;
}

static size_t check_block(const multiply_request_t *asked, uint8_t *out) {
    size_t refused = check_size(2, asked->inputs, BOARD_ROWS, out);
    if (refused == 0) {
        refused = check_size(3, asked->columns, COLUMNS_MAX, out);
    }
    if (refused == 0) {
        refused = check_span(0, asked->first_row, asked->inputs, BOARD_ROWS, out);
    }
    if (refused == 0) {
        refused = check_span(1, asked->first_column, asked->columns, BOARD_COLUMNS, out);
    }
    return refused;
}

static uint16_t bytes_of(size_t codes) {
    return (uint16_t)(MULTIPLY_REQUEST_BYTES + codes * MULTIPLY_REQUEST_ENTRY_BYTES);
}

/* Whole vectors, and not more of them than the answer has room for. */
static size_t check_vectors(const request_t *request, const multiply_request_t *asked,
                            uint8_t *out) {
    const size_t codes = request->entries;
    const size_t vectors = codes / asked->inputs;
    if (codes % asked->inputs != 0) {
        return status_bad_length(out, bytes_of(codes), bytes_of((vectors + 1) * asked->inputs));
    }
    const size_t most = SUMS_MAX / asked->columns;
    return vectors > most ? status_bad_length(out, bytes_of(codes), bytes_of(most * asked->inputs))
                          : 0;
}

static uint16_t code_of(const request_t *request, uint16_t number) {
    multiply_request_entry_t entry;
    multiply_request_entry_unpack(request_entry(request, number), &entry);
    return entry.code;
}

static size_t check_codes(const request_t *request, uint8_t *out) {
    for (uint16_t i = 0; i < request->entries; i++) {
        const int32_t from_zero = (int32_t)code_of(request, i) - (int32_t)BOARD_CODE_ZERO;
        const uint32_t size = (uint32_t)(from_zero < 0 ? -from_zero : from_zero);
        if (size > BOARD_MULTIPLY_CODE_MAX) {
            return status_over_limit(out, 0, i, size, BOARD_MULTIPLY_CODE_MAX);
        }
    }
    return 0;
}

size_t handle_multiply(fw_t *fw, const request_t *request, uint8_t *out) {
    multiply_request_t asked;
    multiply_request_unpack(request->payload, &asked);
    size_t refused = require_idle(fw, out);
    if (refused == 0) {
        refused = check_block(&asked, out);
    }
    if (refused == 0) {
        refused = check_vectors(request, &asked, out);
    }
    if (refused == 0) {
        refused = check_codes(request, out);
    }
    const job_t job = {.kind = JOB_PRODUCTS,
                       .request = *request,
                       .steps = (uint16_t)(request->entries / asked.inputs),
                       .step_bytes = (uint16_t)(asked.columns * MULTIPLY_RESPONSE_ENTRY_BYTES)};
    return refused != 0 ? refused : job_begin(fw, &job, out);
}

uint16_t step_products(fw_t *fw, uint16_t count, uint8_t *out) {
    uint16_t codes[CODES_MAX] = {0};
    uint16_t sums[SUMS_MAX];
    const job_t *job = &fw->job;
    multiply_request_t asked;
    multiply_request_unpack(job->request.payload, &asked);
    const board_block_t block = block_of(&asked);
    for (uint16_t i = 0; i < count * block.inputs; i++) {
        codes[i] = code_of(&job->request, (uint16_t)(job->next * block.inputs + i));
    }
    const uint16_t fault = board_multiply(fw->board, &block, codes, count, sums);
    if (fault != FAULT_NONE) {
        return fault;
    }
    for (uint16_t i = 0; i < count * block.columns; i++) {
        const multiply_response_entry_t entry = {sums[i]};
        multiply_response_entry_pack(&entry, out + i * MULTIPLY_RESPONSE_ENTRY_BYTES);
    }
    return FAULT_NONE;
}
