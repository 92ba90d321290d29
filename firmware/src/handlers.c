#include "handlers.h"

handler_t *const HANDLERS[MSG_COUNT] = {
    [MSG_INDEX_HELLO] = handle_hello,
    [MSG_INDEX_STOP] = handle_stop,
    [MSG_INDEX_KEEP_ALIVE] = handle_keep_alive,
    [MSG_INDEX_STATUS] = handle_status,
    [MSG_INDEX_LIMITS_LOWER] = handle_limits_lower,
    [MSG_INDEX_ARM] = handle_arm,
    [MSG_INDEX_DISARM] = handle_disarm,
    [MSG_INDEX_SAFE_CLEAR] = handle_safe_clear,
    [MSG_INDEX_PULSE_READ] = handle_pulse_read,
    [MSG_INDEX_READ] = handle_read,
    [MSG_INDEX_LOOPBACK] = handle_loopback,
    [MSG_INDEX_READ_REFERENCE] = handle_read_reference,
    [MSG_INDEX_LINE_CHECK] = handle_line_check,
    [MSG_INDEX_MULTIPLY] = handle_multiply,
    [MSG_INDEX_WAVE_BEGIN] = handle_wave_begin,
    [MSG_INDEX_WAVE_LOAD] = handle_wave_load,
    [MSG_INDEX_WAVE_CLASS] = handle_wave_class,
    [MSG_INDEX_WAVE_COMMIT] = handle_wave_commit,
    [MSG_INDEX_LOOP_LAYER] = handle_loop_layer,
    [MSG_INDEX_INITIAL] = handle_initial,
    [MSG_INDEX_PROBE] = handle_probe,
    [MSG_INDEX_RUN] = handle_run,
    [MSG_INDEX_PROGRESS] = handle_progress,
    [MSG_INDEX_SAMPLES] = handle_samples,
    [MSG_INDEX_TRACE] = handle_trace,
    [MSG_INDEX_ADVANCE] = handle_advance,
};

size_t require_idle(const fw_t *fw, uint8_t *out) {
    return sequencer_running(&fw->loop) ? status_busy(out, fw->loop.run.run_id) : 0;
}

size_t require_safe_to_drive(fw_t *fw, uint8_t *out) {
    if (!board_interlock_closed(fw->board)) {
        out[0] = STATUS_INTERLOCK_OPEN;
        return 1;
    }
    return safety_latched(&fw->safety) ? status_safe_state(out, fw->safety.reason) : 0;
}

size_t check_span(uint8_t field, uint16_t first, uint16_t size, uint16_t there, uint8_t *out) {
    const int32_t last = there > size ? there - size : 0;
    return first + size > there ? status_out_of_range(out, field, 0, first, 0, last) : 0;
}

size_t refuse_fault(fw_t *fw, uint16_t fault, uint8_t *out) {
    fw_make_safe(fw, SAFE_REASON_FAULT);
    return status_front_end(out, fault);
}
