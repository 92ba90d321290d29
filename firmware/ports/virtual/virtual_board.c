#include "virtual_board.h"

#include <math.h>
#include <string.h>

#include "build.h"
#include "fw.h"
#include "noise.h"
#include "transaction.h"

#define ADVANCE_US_MAX (UINT64_C(10) * 365u * 86400u * 1000000u)
#define FRAME_BYTES    13u /* of a frame around its payload on the line */
#define BITS_PER_BYTE  10.0
#define NS_PER_S       1e9

static void add_layers(board_t *board, const board_layer_t *layers) {
    for (size_t i = 0; i < FW_LAYERS; i++) {
        transaction_u16(board, layers[i].first_row);
        transaction_u16(board, layers[i].first_column);
        transaction_u16(board, layers[i].inputs);
        transaction_u16(board, layers[i].outputs);
        transaction_u8(board, layers[i].differential);
        transaction_u8(board, 0);
        transaction_u16(board, layers[i].feedback_code);
        transaction_u16(board, layers[i].reference_code);
    }
}

bool virtual_board_init(board_t *board, uint8_t port, front_end_exchange_t *exchange,
                        line_send_t *send, void *context) {
    memset(board, 0, sizeof *board);
    board->exchange = exchange;
    board->send = send;
    board->context = context;
    board->identity.port = port;
    memcpy(board->identity.build, FW_BUILD, sizeof board->identity.build);
    transaction_begin(board, FRONT_END_OPEN);
    transaction_u16(board, FRONT_END_VERSION);
    transaction_u8(board, port);
    transaction_u8(board, 0);
    transaction_u16(board, BOARD_ROWS);
    transaction_u16(board, BOARD_COLUMNS);
    if (transaction_finish(board, 20) != FAULT_NONE) {
        return false;
    }
    board->identity.serial = get_u64(transaction_body(board));
    board->chip_time_ns = get_u64(transaction_body(board) + 8);
    const uint16_t wanted = get_u16(transaction_body(board) + 16);
    board->ticks_wanted = wanted == 0 || wanted > VIRTUAL_TICKS_KEPT ? VIRTUAL_TICKS_KEPT : wanted;
    return true;
}

/* --- identity, line, time, safety ----------------------------------------------------------------
 */

void board_identity(board_t *board, board_identity_t *identity) {
    *identity = board->identity;
}

uint64_t board_time_ns(board_t *board) {
    return board->time_ns;
}

void board_send(board_t *board, const uint8_t *frame, size_t length) {
    board->send(board->context, frame, length);
}

void board_frame(board_t *board, size_t payload_bytes) {
    const double bits = (double)(payload_bytes + FRAME_BYTES) * BITS_PER_BYTE;
    const double seconds = BOARD_FRAME_OVERHEAD_S + bits / (double)BOARD_BAUD;
    board->time_ns += (uint64_t)rint(seconds * NS_PER_S);
}

int64_t board_advance_left_us(board_t *board) {
    const uint64_t chip_us = (board->chip_time_ns + board->time_ns) / 1000u;
    return chip_us < ADVANCE_US_MAX ? (int64_t)(ADVANCE_US_MAX - chip_us) : 0;
}

void board_advance(board_t *board, uint64_t duration_ns) {
    board->time_ns += duration_ns;
    transaction_begin(board, FRONT_END_TIME);
    (void)transaction_finish(board, 0);
}

void board_safe(board_t *board) {
    transaction_begin(board, FRONT_END_SAFE);
    (void)transaction_finish(board, 0);
}

/* A front end that does not answer is no closed interlock. */
bool board_interlock_closed(board_t *board) {
    transaction_begin(board, FRONT_END_INPUTS);
    return transaction_finish(board, 0) == FAULT_NONE &&
           (get_u16(board->response + 4) & INPUT_INTERLOCK_OPEN) == 0;
}

uint32_t board_lock(board_t *board) {
    (void)board;
    return 0;
}

void board_unlock(board_t *board, uint32_t state) {
    (void)board;
    (void)state;
}

/* --- the array -----------------------------------------------------------------------------------
 */

uint16_t board_batch(board_t *board) {
    (void)board;
    return UINT16_MAX;
}

uint16_t board_pulse_read(board_t *board, const board_pulse_t *pulses, uint16_t count,
                          uint16_t read_code, uint16_t *readings) {
    uint64_t lasting_ns = 0;
    transaction_begin(board, FRONT_END_PULSE_READ);
    transaction_u16(board, read_code);
    transaction_u16(board, count);
    for (uint16_t i = 0; i < count; i++) {
        transaction_u16(board, pulses[i].row);
        transaction_u16(board, pulses[i].column);
        transaction_u8(board, pulses[i].operation);
        transaction_u8(board, 0);
        transaction_u16(board, pulses[i].gate_code);
        transaction_u16(board, pulses[i].line_code);
        transaction_u32(board, pulses[i].width_ticks);
        lasting_ns += BOARD_PULSE_OVERHEAD_NS +
                      (uint64_t)pulses[i].width_ticks * BOARD_WIDTH_TICK_NS + BOARD_READ_NS;
    }
    const uint16_t fault = transaction_finish(board, count * 2u);
    if (fault != FAULT_NONE) {
        return fault;
    }
    for (uint16_t i = 0; i < count; i++) {
        readings[i] = get_u16(transaction_body(board) + i * 2u);
    }
    board->time_ns += lasting_ns;
    return FAULT_NONE;
}

/* The head of a transaction of conversions: two bytes of its own, then how many of what. */
static void begin_conversions(board_t *board, uint8_t op, uint16_t own, uint8_t samples,
                              uint16_t count) {
    transaction_begin(board, op);
    transaction_u16(board, own);
    transaction_u8(board, samples);
    transaction_u8(board, 0);
    transaction_u16(board, count);
    transaction_u16(board, 0);
}

static uint16_t finish_conversions(board_t *board, uint16_t count, uint8_t samples,
                                   uint32_t *sums) {
    const uint16_t fault = transaction_finish(board, count * 4u);
    if (fault != FAULT_NONE) {
        return fault;
    }
    for (uint16_t i = 0; i < count; i++) {
        sums[i] = get_u32(transaction_body(board) + i * 4u);
    }
    board->time_ns += (uint64_t)count * samples * BOARD_READ_NS;
    return FAULT_NONE;
}

uint16_t board_read(board_t *board, const board_cell_t *cells, uint16_t count, uint16_t read_code,
                    uint8_t samples, uint32_t *sums) {
    begin_conversions(board, FRONT_END_READ, read_code, samples, count);
    for (uint16_t i = 0; i < count; i++) {
        transaction_u16(board, cells[i].row);
        transaction_u16(board, cells[i].column);
    }
    return finish_conversions(board, count, samples, sums);
}

uint16_t board_read_reference(board_t *board, const board_reference_t *references, uint16_t count,
                              uint16_t read_code, uint8_t samples, uint32_t *sums) {
    begin_conversions(board, FRONT_END_REFERENCE, read_code, samples, count);
    for (uint16_t i = 0; i < count; i++) {
        transaction_u16(board, references[i].column);
        transaction_u8(board, references[i].resistor);
        transaction_u8(board, 0);
    }
    return finish_conversions(board, count, samples, sums);
}

uint16_t board_line_check(board_t *board, const board_line_t *lines, uint16_t count,
                          uint16_t read_code, uint8_t samples, uint32_t *sums) {
    begin_conversions(board, FRONT_END_LINES, read_code, samples, count);
    for (uint16_t i = 0; i < count; i++) {
        transaction_u8(board, lines[i].driven);
        transaction_u8(board, lines[i].probe);
        transaction_u16(board, lines[i].line);
        transaction_u16(board, lines[i].probed);
    }
    return finish_conversions(board, count, samples, sums);
}

uint16_t board_loopback(board_t *board, const board_loopback_t *loopback, const uint16_t *codes,
                        uint16_t count, uint32_t *sums) {
    const uint16_t path = (uint16_t)(loopback->destination << 8 | loopback->source);
    begin_conversions(board, FRONT_END_LOOPBACK, path, loopback->samples, count);
    for (uint16_t i = 0; i < count; i++) {
        transaction_u16(board, codes[i]);
    }
    return finish_conversions(board, count, loopback->samples, sums);
}

uint16_t board_multiply(board_t *board, const board_block_t *block, const uint16_t *codes,
                        uint16_t vectors, uint16_t *sums) {
    const uint16_t count = (uint16_t)(vectors * block->columns);
    transaction_begin(board, FRONT_END_MULTIPLY);
    transaction_u16(board, block->first_row);
    transaction_u16(board, block->first_column);
    transaction_u16(board, block->inputs);
    transaction_u16(board, block->columns);
    transaction_u8(board, block->scale);
    transaction_u8(board, block->samples);
    transaction_u16(board, vectors);
    for (uint16_t i = 0; i < vectors * block->inputs; i++) {
        transaction_u16(board, codes[i]);
    }
    const uint16_t fault = transaction_finish(board, count * 2u);
    if (fault != FAULT_NONE) {
        return fault;
    }
    for (uint16_t i = 0; i < count; i++) {
        sums[i] = get_u16(transaction_body(board) + i * 2u);
    }
    board->time_ns += vectors * BOARD_VECTOR_NS + (uint64_t)count * block->samples * BOARD_READ_NS;
    return FAULT_NONE;
}

uint16_t board_probe(board_t *board, const board_layer_t *layers, const uint16_t x[2],
                     const uint16_t *embedding, uint8_t samples, uint32_t sums[FW_PROBES]) {
    transaction_begin(board, FRONT_END_PROBE);
    transaction_u8(board, samples);
    transaction_u8(board, 0);
    transaction_u16(board, x[0]);
    transaction_u16(board, x[1]);
    for (size_t i = 0; i < FW_EMBEDDINGS; i++) {
        transaction_u16(board, embedding[i]);
    }
    add_layers(board, layers);
    const uint16_t fault = transaction_finish(board, FW_PROBES * 4u);
    if (fault != FAULT_NONE) {
        return fault;
    }
    for (size_t i = 0; i < FW_PROBES; i++) {
        sums[i] = get_u32(transaction_body(board) + i * 4u);
    }
    board->time_ns += BOARD_PRESET_SETTLE_NS + (uint64_t)FW_PROBES * samples * BOARD_READ_NS;
    return FAULT_NONE;
}

/* --- a run ---------------------------------------------------------------------------------------
 */

uint16_t board_run_begin(board_t *board, const board_run_t *run) {
    transaction_begin(board, FRONT_END_RUN);
    transaction_u16(board, run->run_id);
    transaction_u16(board, run->count);
    transaction_u16(board, run->capture_tick);
    transaction_u8(board, run->noise);
    transaction_u8(board, 0);
    transaction_u32(board, run->tick_us);
    transaction_u64(board, run->seed);
    add_layers(board, run->layers);
    const uint16_t fault = transaction_finish(board, 8);
    board->noise_seed = get_u64(transaction_body(board));
    board->solve_ns = BOARD_RUN_OVERHEAD_NS + (uint64_t)run->capture_tick * run->tick_us * 1000u;
    board->fault = FAULT_NONE;
    return fault;
}

uint16_t board_preset(board_t *board, uint32_t trajectory, const uint16_t x[2]) {
    board->ticks_kept = 0;
    board->first_kept = 0;
    board->hold = false;
    transaction_begin(board, FRONT_END_PRESET);
    transaction_u32(board, trajectory);
    transaction_u16(board, x[0]);
    transaction_u16(board, x[1]);
    return transaction_finish(board, 0);
}

void board_load(board_t *board, const uint16_t words[WORD_COUNT]) {
    memcpy(board->loaded, words, sizeof board->loaded);
}

void board_start(board_t *board) {
    (void)board;
}

/* Where ticks are kept, their words are written straight behind the head of the next request. */
#define TICKS_HEAD 8u

static uint16_t send_ticks(board_t *board, bool convert) {
    const uint16_t words = (uint16_t)(board->ticks_kept * WORD_COUNT * 2u);
    transaction_begin(board, FRONT_END_TICKS);
    transaction_u16(board, board->first_kept);
    transaction_u16(board, board->ticks_kept);
    transaction_u8(board, convert ? 1 : 0);
    transaction_u8(board, board->hold ? 1 : 0);
    transaction_u16(board, 0);
    board->request_bytes = (uint16_t)(board->request_bytes + words);
    board->first_kept = (uint16_t)(board->first_kept + board->ticks_kept);
    board->ticks_kept = 0;
    return transaction_finish(board, convert ? 4u : 0u);
}

void board_update(board_t *board, uint16_t tick) {
    (void)tick;
    uint8_t *kept = board->request + FRONT_END_REQUEST_HEAD + TICKS_HEAD +
                    (size_t)board->ticks_kept * WORD_COUNT * 2u;
    for (size_t i = 0; i < WORD_COUNT; i++) {
        put_u16(kept + 2 * i, board->loaded[i]);
    }
    board->ticks_kept++;
    if (board->ticks_kept == board->ticks_wanted && board->fault == FAULT_NONE) {
        board->fault = send_ticks(board, false);
    }
}

void board_hold(board_t *board, uint16_t tick) {
    (void)tick;
    board->hold = true;
    board->time_ns += board->solve_ns;
}

uint16_t board_convert(board_t *board, uint16_t tick, uint16_t x[2]) {
    (void)tick;
    const uint16_t fault = board->fault != FAULT_NONE ? board->fault : send_ticks(board, true);
    x[0] = get_u16(transaction_body(board)) & BOARD_CODE_MAX;
    x[1] = get_u16(transaction_body(board) + 2) & BOARD_CODE_MAX;
    board->fault = FAULT_NONE;
    return fault;
}

void board_run_end(board_t *board) {
    transaction_begin(board, FRONT_END_RUN_END);
    (void)transaction_finish(board, 0);
}

void board_prepare_soon(board_t *board) {
    (void)board;
}

void board_poll_run(board_t *board, struct fw *fw) {
    const uint32_t until = (uint32_t)fw->loop.run.done + FW_TRAJECTORIES_POLL;
    board->late = false;
    while (sequencer_running(&fw->loop) && fw->loop.run.done < until) {
        if (!(board->late && fw->loop.run.phase == PHASE_SOLVE)) {
            sequencer_prepare(&fw->loop);
        }
        sequencer_tick(&fw->loop);
    }
}

bool board_random_ready(board_t *board) {
    (void)board;
    return true;
}

uint16_t board_random(board_t *board, const board_draw_t *draw, uint32_t words[4]) {
    noise_words(board->noise_seed, draw->trajectory, draw->tick, 0, NOISE_STREAM_WAVE, words);
    return FAULT_NONE;
}
