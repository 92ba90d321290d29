/* Pulses and conversions that are worked through a few steps at a time, so that a stop can come
 * between. A step is an entry of the request, or one vector of `multiply`. */
#ifndef JOB_H
#define JOB_H

#include "handlers.h"

#define READS_MAX ((MSG_PAYLOAD_BYTES - 1u - READ_RESPONSE_BYTES) / READ_RESPONSE_ENTRY_BYTES)

/* Begins a job whose request has been checked; the length of the answer if it is done at once,
 * else 0. */
size_t job_begin(fw_t *fw, const job_t *job, uint8_t *out);

/* The steps of one kind of job: `count` of them, from the job's next on. What they give goes to
 * `out`, or to `sums`, from its beginning on. A fault number. */
uint16_t step_pulses(fw_t *fw, uint16_t count, uint8_t *out);
uint16_t step_products(fw_t *fw, uint16_t count, uint8_t *out);
uint16_t read_cells(fw_t *fw, uint16_t count, uint32_t *sums);
uint16_t read_references(fw_t *fw, uint16_t count, uint32_t *sums);
uint16_t check_lines(fw_t *fw, uint16_t count, uint32_t *sums);
uint16_t loop_back(fw_t *fw, uint16_t count, uint32_t *sums);

/* Checks that several kinds share: 0, or the length of the refusal. */
size_t check_column(uint8_t field, uint16_t entry, uint16_t column, uint8_t *out);
size_t check_cell(uint16_t entry, uint16_t row, uint16_t column, uint8_t *out);
size_t check_room(const request_t *request, size_t head, size_t each, uint8_t *out);
size_t check_read_code(uint16_t read_code, uint8_t *out);
size_t require_armed(const fw_t *fw, uint64_t lasting_ns, uint8_t *out);

#endif
