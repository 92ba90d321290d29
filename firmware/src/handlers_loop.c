/* Waveforms, layers, initial conditions, runs and what they captured. */
#include "handlers.h"

size_t handle_wave_begin(fw_t *fw, const request_t *request, uint8_t *out) {
    wave_begin_request_t asked;
    wave_begin_request_unpack(request->payload, &asked);
    const size_t refused = require_idle(fw, out);
    if (refused != 0) {
        return refused;
    }
    if (asked.ticks > FW_TICKS_MAX) {
        return status_out_of_range(out, 0, 0, asked.ticks, 1, (int32_t)FW_TICKS_MAX);
    }
    if (asked.tick_us < FW_TICK_US_MIN) {
        return status_out_of_range(out, 1, 0, (int32_t)asked.tick_us, (int32_t)FW_TICK_US_MIN,
                                   INT32_MAX);
    }
    waves_begin(&fw->waves, asked.ticks, asked.tick_us);
    return answer_ok(out);
}

size_t handle_wave_load(fw_t *fw, const request_t *request, uint8_t *out) {
    const size_t refused = require_idle(fw, out);
    return refused != 0 ? refused : waves_load(&fw->waves, request, out);
}

size_t handle_wave_class(fw_t *fw, const request_t *request, uint8_t *out) {
    const size_t refused = require_idle(fw, out);
    return refused != 0 ? refused : waves_class(&fw->waves, request, out);
}

size_t handle_wave_commit(fw_t *fw, const request_t *request, uint8_t *out) {
    wave_commit_request_t asked;
    wave_commit_request_unpack(request->payload, &asked);
    const size_t refused = require_idle(fw, out);
    return refused != 0 ? refused : waves_commit(&fw->waves, asked.crc, out);
}

/* A value that is wired. */
static size_t check_fixed(uint8_t field, uint16_t value, uint16_t wanted, uint8_t *out) {
    return value != wanted ? status_out_of_range(out, field, 0, value, wanted, wanted) : 0;
}

/* Connects a block of the array. The loop's widths are wired, so the sizes are fixed. */
size_t handle_loop_layer(fw_t *fw, const request_t *request, uint8_t *out) {
    static const uint8_t INPUTS[FW_LAYERS] = {3, BOARD_HIDDEN_WIDTH + 1, BOARD_HIDDEN_WIDTH + 1};
    static const uint8_t OUTPUTS[FW_LAYERS] = {BOARD_HIDDEN_WIDTH, BOARD_HIDDEN_WIDTH, 2};
    loop_layer_request_t asked;
    loop_layer_request_unpack(request->payload, &asked);
    const uint16_t columns = (uint16_t)(asked.outputs * (asked.differential != 0 ? 2 : 1));
    size_t refused = require_idle(fw, out);
    if (refused == 0) {
        refused = check_fixed(3, asked.inputs, INPUTS[asked.layer], out);
    }
    if (refused == 0) {
        refused = check_fixed(4, asked.outputs, OUTPUTS[asked.layer], out);
    }
    if (refused == 0) {
        refused = check_span(1, asked.first_row, asked.inputs, BOARD_ROWS, out);
    }
    if (refused == 0) {
        refused = check_span(2, asked.first_column, columns, BOARD_COLUMNS, out);
    }
    if (refused != 0) {
        return refused;
    }
    fw->loop.layers[asked.layer] = (board_layer_t){
        .first_row = asked.first_row,
        .first_column = asked.first_column,
        .inputs = asked.inputs,
        .outputs = asked.outputs,
        .differential = asked.differential,
        .feedback_code = asked.feedback_code,
        .reference_code = asked.reference_code,
    };
    fw->loop.connected |= (uint8_t)(1u << asked.layer);
    return answer_ok(out);
}

size_t handle_initial(fw_t *fw, const request_t *request, uint8_t *out) {
    initial_request_t asked;
    initial_request_unpack(request->payload, &asked);
    const size_t refused = require_idle(fw, out);
    if (refused != 0) {
        return refused;
    }
    if ((uint32_t)asked.first + request->entries > FW_TRAJECTORIES_MAX) {
        return status_out_of_range(out, 0, 0, asked.first, 0,
                                   (int32_t)FW_TRAJECTORIES_MAX - request->entries);
    }
    for (uint16_t i = 0; i < request->entries; i++) {
        initial_request_entry_t entry;
        initial_request_entry_unpack(request_entry(request, i), &entry);
        const uint16_t at = (uint16_t)(asked.first + i);
        pair_put(fw->loop.pairs.initial[at], entry.x);
        bit_set(fw->loop.pairs.initial_loaded, at);
    }
    return answer_ok(out);
}

static size_t require_loop(const fw_t *fw, uint8_t *out) {
    if (!fw->waves.committed) {
        return status_not_ready(out, PART_WAVEFORMS);
    }
    const uint8_t all = (1u << FW_LAYERS) - 1u;
    return fw->loop.connected != all ? status_not_ready(out, PART_LAYERS) : 0;
}

size_t handle_probe(fw_t *fw, const request_t *request, uint8_t *out) {
    probe_request_t asked;
    probe_request_unpack(request->payload, &asked);
    size_t refused = require_idle(fw, out);
    if (refused == 0) {
        refused = require_loop(fw, out);
    }
    if (refused == 0 && asked.tick >= fw->waves.ticks) {
        refused = status_out_of_range(out, 0, 0, asked.tick, 0, fw->waves.ticks - 1);
    }
    if (refused != 0) {
        return refused;
    }
    uint16_t embedding[FW_EMBEDDINGS];
    uint32_t sums[FW_PROBES];
    for (uint8_t i = 0; i < FW_EMBEDDINGS; i++) {
        embedding[i] = waves_embedding(&fw->waves, asked.tick, i);
    }
    const uint16_t fault =
        board_probe(fw->board, fw->loop.layers, asked.x, embedding, asked.samples, sums);
    if (fault != FAULT_NONE) {
        return refuse_fault(fw, fault, out);
    }
    for (size_t i = 0; i < FW_PROBES; i++) {
        const probe_response_entry_t entry = {sums[i]};
        probe_response_entry_pack(&entry, out + 1 + i * PROBE_RESPONSE_ENTRY_BYTES);
    }
    return answer_ok(out) + FW_PROBES * PROBE_RESPONSE_ENTRY_BYTES;
}

/* --- runs ---------------------------------------------------------------------------------------
 */

static bool all_initial(const fw_t *fw, uint16_t first, uint16_t count) {
    for (uint32_t i = first; i < (uint32_t)first + count; i++) {
        if (!bit_get(fw->loop.pairs.initial_loaded, i)) {
            return false;
        }
    }
    return true;
}

/* Points of one captured trajectory; 0 where none is captured. */
static uint16_t trace_points(const run_request_t *asked) {
    if (asked->trace_every == 0 || asked->trace_count == 0) {
        return 0;
    }
    return (uint16_t)(asked->capture_tick / asked->trace_every + 1u);
}

/* Whether a request fits the board and what was loaded. */
static size_t check_run(const fw_t *fw, const run_request_t *asked, uint8_t *out) {
    const uint32_t most = FW_TRAJECTORIES_MAX;
    if ((uint32_t)asked->first + asked->count > most) {
        const uint32_t left = asked->first < most ? most - asked->first : 0;
        return status_out_of_range(out, 2, 0, asked->count, 1, (int32_t)left);
    }
    if (!all_initial(fw, asked->first, asked->count)) {
        return status_not_ready(out, PART_INITIAL_CONDITIONS);
    }
    if (asked->capture_tick > fw->waves.ticks) {
        return status_out_of_range(out, 3, 0, asked->capture_tick, 1, fw->waves.ticks);
    }
    const uint32_t last = UINT32_MAX - asked->count + 1u;
    if (asked->trajectory > last) {
        return status_out_of_range(out, 6, 0, clamp_i32(asked->trajectory), 0, clamp_i32(last));
    }
    const uint16_t points = trace_points(asked);
    if (points > 0) {
        const uint32_t room = FW_TRACE_POINTS_MAX / points;
        const uint32_t fit = room < asked->count ? room : asked->count;
        if (asked->trace_count > fit) {
            return status_out_of_range(out, 8, 0, asked->trace_count, 0, (int32_t)fit);
        }
    }
    return 0;
}

static size_t check_noise(const fw_t *fw, const run_request_t *asked, uint8_t *out) {
    if (asked->noise == NOISE_HARDWARE && !board_random_ready(fw->board)) {
        out[0] = STATUS_NOT_SUPPORTED;
        return 1;
    }
    return 0;
}

static uint64_t solve_ns(const fw_t *fw, uint16_t capture_tick) {
    return BOARD_RUN_OVERHEAD_NS + (uint64_t)capture_tick * fw->waves.tick_us * 1000u;
}

static size_t start(fw_t *fw, const run_request_t *asked, uint8_t *out) {
    const uint16_t points = trace_points(asked);
    fw->loop.run = (run_t){
        .state = RUN_STATE_IDLE,
        .run_id = asked->run_id,
        .first = asked->first,
        .count = asked->count,
        .capture_tick = asked->capture_tick,
        .noise = asked->noise,
        .seed = asked->seed,
        .trajectory = asked->trajectory,
        .trace_every = asked->trace_every,
        .trace_count = points > 0 ? asked->trace_count : 0,
        .trace_points = points,
    };
    const uint16_t fault = sequencer_start(&fw->loop);
    if (fault != FAULT_NONE) {
        return refuse_fault(fw, fault, out);
    }
    const run_response_t answer = {asked->count * solve_ns(fw, asked->capture_tick) / 1000u};
    run_response_pack(&answer, out + 1);
    return answer_ok(out) + RUN_RESPONSE_BYTES;
}

size_t handle_run(fw_t *fw, const request_t *request, uint8_t *out) {
    run_request_t asked;
    run_request_unpack(request->payload, &asked);
    size_t refused = require_safe_to_drive(fw, out);
    if (refused == 0) {
        refused = require_idle(fw, out);
    }
    if (refused == 0) {
        refused = require_loop(fw, out);
    }
    if (refused == 0) {
        refused = check_run(fw, &asked, out);
    }
    if (refused == 0) {
        refused = check_noise(fw, &asked, out);
    }
    return refused != 0 ? refused : start(fw, &asked, out);
}

size_t handle_progress(fw_t *fw, const request_t *request, uint8_t *out) {
    (void)request;
    board_poll_run(fw->board, fw);
    fw_check_hardware(fw);
    const run_t *run = &fw->loop.run;
    const progress_response_t answer = {board_time_ns(fw->board) / 1000u, run->run_id, run->state,
                                        run->done};
    progress_response_pack(&answer, out + 1);
    return answer_ok(out) + PROGRESS_RESPONSE_BYTES;
}

/* --- what was captured --------------------------------------------------------------------------
 */

static void put_pair(const uint8_t *pair, uint16_t number, uint8_t *out) {
    samples_response_entry_t entry = {0};
    pair_get(pair, entry.x);
    samples_response_entry_pack(&entry, out + 1 + number * SAMPLES_RESPONSE_ENTRY_BYTES);
}

size_t handle_samples(fw_t *fw, const request_t *request, uint8_t *out) {
    samples_request_t asked;
    samples_request_unpack(request->payload, &asked);
    const uint16_t done = fw->loop.run.done;
    if ((uint32_t)asked.first + asked.count > done) {
        return status_no_data(out, asked.first, done);
    }
    for (uint16_t i = 0; i < asked.count; i++) {
        put_pair(fw->loop.pairs.samples[asked.first + i], i, out);
    }
    return answer_ok(out) + asked.count * SAMPLES_RESPONSE_ENTRY_BYTES;
}

size_t handle_trace(fw_t *fw, const request_t *request, uint8_t *out) {
    trace_request_t asked;
    trace_request_unpack(request->payload, &asked);
    const run_t *run = &fw->loop.run;
    const uint16_t captured = run->trace_count < run->done ? run->trace_count : run->done;
    if (asked.trajectory >= captured) {
        return status_no_data(out, asked.trajectory, captured);
    }
    if ((uint32_t)asked.first + asked.count > run->trace_points) {
        return status_no_data(out, asked.first, run->trace_points);
    }
    const size_t at = (size_t)asked.trajectory * run->trace_points + asked.first;
    for (uint16_t i = 0; i < asked.count; i++) {
        put_pair(fw->loop.pairs.points[at + i], i, out);
    }
    return answer_ok(out) + asked.count * TRACE_RESPONSE_ENTRY_BYTES;
}
