/* One function per message. Length and range of every field have been checked; a handler checks
 * what depends on the board's state, all of it before it changes anything. It gives the length of
 * its answer in `out`, or 0 when a job has been begun that will give it. */
#ifndef HANDLERS_H
#define HANDLERS_H

#include "fw.h"

typedef size_t handler_t(fw_t *fw, const request_t *request, uint8_t *out);

extern handler_t *const HANDLERS[MSG_COUNT];

handler_t handle_hello, handle_stop, handle_keep_alive, handle_status, handle_limits_lower,
    handle_arm, handle_disarm, handle_safe_clear, handle_pulse_read, handle_read, handle_loopback,
    handle_read_reference, handle_line_check, handle_multiply, handle_wave_begin, handle_wave_load,
    handle_wave_class, handle_wave_commit, handle_loop_layer, handle_initial, handle_probe,
    handle_run, handle_progress, handle_samples, handle_trace, handle_advance;

/* Goes on with a job; the length of the answer when it is done, else 0. */
size_t job_step(fw_t *fw, uint8_t *out);

/* Refusals that several handlers share: 0, or the length of the refusal. */
size_t require_idle(const fw_t *fw, uint8_t *out);
size_t require_safe_to_drive(fw_t *fw, uint8_t *out);

/* Whether lines `first` to `first + size - 1` are `there`. */
size_t check_span(uint8_t field, uint16_t first, uint16_t size, uint16_t there, uint8_t *out);

/* Everything safe because of a fault; the length of the refusal. */
size_t refuse_fault(fw_t *fw, uint16_t fault, uint8_t *out);

static inline size_t answer_ok(uint8_t *out) {
    out[0] = STATUS_OK;
    return 1;
}

#endif
