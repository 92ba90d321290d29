/* Session, safety and time. */
#include <string.h>

#include "handlers.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)

static uint64_t time_us(const fw_t *fw) {
    return board_time_ns(fw->board) / NS_PER_US;
}

/* The session before ends: outputs safe, what it loaded forgotten. */
static uint8_t new_session(fw_t *fw, uint32_t nonce) {
    session_open(&fw->session, nonce);
    sequencer_forget(&fw->loop);
    waves_begin(&fw->waves, 0, 0);
    fw->limits = HARD_LIMITS;
    fw->job.kind = JOB_NONE;
    fw->queue.count = 0;
    fw->counters.pulses = 0;
    fw->counters.reads = 0;
    memset(fw->cell_pulses, 0, sizeof fw->cell_pulses);
    board_safe(fw->board);
    return safety_greet(&fw->safety);
}

size_t handle_hello(fw_t *fw, const request_t *request, uint8_t *out) {
    hello_request_t asked;
    hello_request_unpack(request->payload, &asked);
    board_identity_t identity = {0};
    board_identity(fw->board, &identity);
    const uint8_t reason = new_session(fw, asked.nonce);
    const pulse_limits_t *limits = HARD_LIMITS.operations;
    hello_response_t answer = {
        .nonce = asked.nonce,
        .session = fw->session.number,
        .protocol_version = MSG_PROTOCOL_VERSION,
        .fingerprint = MSG_FINGERPRINT,
        .board_serial = identity.serial,
        .port = identity.port,
        .safe_reason = reason,
        .window = FW_WINDOW,
        .payload_bytes = MSG_PAYLOAD_BYTES,
        .rows = BOARD_ROWS,
        .columns = BOARD_COLUMNS,
        .multiply_code_max = BOARD_MULTIPLY_CODE_MAX,
        .read_code_max = BOARD_READ_CODE_MAX,
        .set_gate_max = limits[OPERATION_SET].gate_max,
        .set_line_max = limits[OPERATION_SET].line_max,
        .set_width_max = limits[OPERATION_SET].width_max,
        .reset_gate_max = limits[OPERATION_RESET].gate_max,
        .reset_line_max = limits[OPERATION_RESET].line_max,
        .reset_width_max = limits[OPERATION_RESET].width_max,
        .form_gate_max = limits[OPERATION_FORM].gate_max,
        .form_line_max = limits[OPERATION_FORM].line_max,
        .form_width_max = limits[OPERATION_FORM].width_max,
        .set_energy_max = limits[OPERATION_SET].energy_max,
        .reset_energy_max = limits[OPERATION_RESET].energy_max,
        .form_energy_max = limits[OPERATION_FORM].energy_max,
        .pulses_per_cell_max = BOARD_PULSES_PER_CELL_MAX,
        .arm_ms_max = BOARD_ARM_MS_MAX,
        .watchdog_ms = BOARD_WATCHDOG_MS,
        .tick_us_min = FW_TICK_US_MIN,
        .ticks_max = FW_TICKS_MAX,
        .trajectories_max = FW_TRAJECTORIES_MAX,
        .trace_points_max = FW_TRACE_POINTS_MAX,
    };
    memcpy(answer.build, identity.build, sizeof answer.build);
    hello_response_pack(&answer, out + 1);
    return answer_ok(out) + HELLO_RESPONSE_BYTES;
}

size_t handle_stop(fw_t *fw, const request_t *request, uint8_t *out) {
    (void)request;
    fw_make_safe(fw, SAFE_REASON_STOP);
    const stop_response_t answer = {fw->safety.reason};
    stop_response_pack(&answer, out + 1);
    return answer_ok(out) + STOP_RESPONSE_BYTES;
}

size_t handle_keep_alive(fw_t *fw, const request_t *request, uint8_t *out) {
    (void)request;
    const keep_alive_response_t answer = {time_us(fw), fw->safety.reason};
    keep_alive_response_pack(&answer, out + 1);
    return answer_ok(out) + KEEP_ALIVE_RESPONSE_BYTES;
}

size_t handle_status(fw_t *fw, const request_t *request, uint8_t *out) {
    (void)request;
    const uint64_t now_ns = board_time_ns(fw->board);
    const uint64_t left_ns = safety_armed_ns(&fw->safety, now_ns);
    const status_response_t answer = {
        .time_us = now_ns / NS_PER_US,
        .safe_reason = fw->safety.reason,
        .armed_ms = (uint32_t)((left_ns + NS_PER_MS - 1u) / NS_PER_MS),
        .run_state = fw->loop.run.state,
        .run_id = fw->loop.run.run_id,
        .pulses = fw->counters.pulses,
        .reads = fw->counters.reads,
        .frames = fw->counters.frames,
        .dropped = fw->counters.dropped,
        .repeated = fw->counters.repeated,
    };
    status_response_pack(&answer, out + 1);
    return answer_ok(out) + STATUS_RESPONSE_BYTES;
}

size_t handle_limits_lower(fw_t *fw, const request_t *request, uint8_t *out) {
    limits_lower_request_t asked;
    limits_lower_request_unpack(request->payload, &asked);
    const size_t refused = limits_lower(&fw->limits, &asked, out);
    return refused != 0 ? refused : answer_ok(out);
}

size_t handle_arm(fw_t *fw, const request_t *request, uint8_t *out) {
    arm_request_t asked;
    arm_request_unpack(request->payload, &asked);
    const size_t refused = require_safe_to_drive(fw, out);
    if (refused != 0) {
        return refused;
    }
    const uint32_t most = fw->limits.arm_ms_max;
    if (asked.duration_ms > most) {
        return status_over_limit(out, 0, 0, asked.duration_ms, most);
    }
    const uint64_t until_ns =
        safety_arm(&fw->safety, board_time_ns(fw->board), asked.duration_ms * NS_PER_MS);
    const arm_response_t answer = {until_ns / NS_PER_US};
    arm_response_pack(&answer, out + 1);
    return answer_ok(out) + ARM_RESPONSE_BYTES;
}

size_t handle_disarm(fw_t *fw, const request_t *request, uint8_t *out) {
    (void)request;
    fw_make_safe(fw, SAFE_REASON_DISARM);
    return answer_ok(out);
}

size_t handle_safe_clear(fw_t *fw, const request_t *request, uint8_t *out) {
    safe_clear_request_t asked;
    safe_clear_request_unpack(request->payload, &asked);
    if (!board_interlock_closed(fw->board)) {
        return require_safe_to_drive(fw, out);
    }
    if (safety_latched(&fw->safety) && asked.reason != fw->safety.reason) {
        return status_safe_state(out, fw->safety.reason);
    }
    fw->safety.reason = SAFE_REASON_NONE;
    return answer_ok(out);
}

/* Time passes without a word of the host: the watchdog may act. */
size_t handle_advance(fw_t *fw, const request_t *request, uint8_t *out) {
    advance_request_t asked;
    advance_request_unpack(request->payload, &asked);
    const int64_t left_us = board_advance_left_us(fw->board);
    if (left_us < 0) {
        out[0] = STATUS_NOT_SUPPORTED;
        return 1;
    }
    if (asked.duration_us > (uint64_t)left_us) {
        return status_out_of_range(out, 0, 0, clamp_i32(asked.duration_us), 1,
                                   clamp_i32((uint64_t)left_us));
    }
    board_advance(fw->board, asked.duration_us * NS_PER_US);
    fw_poll(fw);
    const advance_response_t answer = {time_us(fw)};
    advance_response_pack(&answer, out + 1);
    return answer_ok(out) + ADVANCE_RESPONSE_BYTES;
}
