#include "fake_board.h"

#include <string.h>

#include "build.h"
#include "messages.h"

size_t fake_count(const board_t *board, fake_deed_t deed) {
    size_t count = 0;
    for (size_t i = 0; i < board->deeds; i++) {
        count += board->log[i] == deed;
    }
    return count;
}

void fake_forget(board_t *board) {
    board->deeds = 0;
    board->sent_bytes = 0;
}

static void did(board_t *board, fake_deed_t deed, uint16_t detail) {
    if (board->deeds < FAKE_LOG) {
        board->log[board->deeds] = deed;
        board->detail[board->deeds] = detail;
        board->deeds++;
    }
}

static uint16_t fault_of(board_t *board, fake_deed_t deed) {
    if (board->fault == FAULT_NONE || board->fault_in != deed) {
        return FAULT_NONE;
    }
    const uint16_t fault = board->fault;
    board->fault = FAULT_NONE;
    return fault;
}

void board_identity(board_t *board, board_identity_t *identity) {
    (void)board;
    *identity = (board_identity_t){.port = PORT_HOST, .serial = UINT64_C(0x1122334455667788)};
    memcpy(identity->build, FW_BUILD, sizeof identity->build);
}

uint64_t board_time_ns(board_t *board) {
    return board->time_ns;
}

void board_send(board_t *board, const uint8_t *frame, size_t length) {
    if (board->sent_bytes + length <= FAKE_SENT) {
        memcpy(board->sent + board->sent_bytes, frame, length);
        board->sent_bytes += length;
    }
}

void board_frame(board_t *board, size_t payload_bytes) {
    board->frame_bytes += payload_bytes;
}

int64_t board_advance_left_us(board_t *board) {
    return board->advance_left_us;
}

void board_advance(board_t *board, uint64_t duration_ns) {
    board->time_ns += duration_ns;
}

void board_safe(board_t *board) {
    did(board, DID_SAFE, 0);
}

bool board_interlock_closed(board_t *board) {
    return !board->interlock_open;
}

uint32_t board_lock(board_t *board) {
    board->locked++;
    return 7;
}

void board_unlock(board_t *board, uint32_t state) {
    board->locked -= state == 7 ? 1 : 100;
}

uint16_t board_batch(board_t *board) {
    return board->batch;
}

uint16_t board_pulse_read(board_t *board, const board_pulse_t *pulses, uint16_t count,
                          uint16_t read_code, uint16_t *readings) {
    (void)read_code;
    for (uint16_t i = 0; i < count; i++) {
        did(board, DID_PULSE, pulses[i].row);
        readings[i] = (uint16_t)(1000u + pulses[i].row);
    }
    return fault_of(board, DID_PULSE);
}

uint16_t board_read(board_t *board, const board_cell_t *cells, uint16_t count, uint16_t read_code,
                    uint8_t samples, uint32_t *sums) {
    (void)read_code;
    for (uint16_t i = 0; i < count; i++) {
        did(board, DID_READ, cells[i].row);
        sums[i] = (uint32_t)cells[i].row * samples;
    }
    return fault_of(board, DID_READ);
}

uint16_t board_loopback(board_t *board, const board_loopback_t *loopback, const uint16_t *codes,
                        uint16_t count, uint32_t *sums) {
    for (uint16_t i = 0; i < count; i++) {
        did(board, DID_LOOPBACK, (uint16_t)(loopback->destination << 8 | loopback->source));
        sums[i] = (uint32_t)codes[i] * loopback->samples;
    }
    return fault_of(board, DID_LOOPBACK);
}

uint16_t board_read_reference(board_t *board, const board_reference_t *references, uint16_t count,
                              uint16_t read_code, uint8_t samples, uint32_t *sums) {
    (void)read_code;
    for (uint16_t i = 0; i < count; i++) {
        did(board, DID_REFERENCE, references[i].column);
        sums[i] = (uint32_t)references[i].resistor * samples;
    }
    return fault_of(board, DID_REFERENCE);
}

uint16_t board_line_check(board_t *board, const board_line_t *lines, uint16_t count,
                          uint16_t read_code, uint8_t samples, uint32_t *sums) {
    (void)read_code;
    for (uint16_t i = 0; i < count; i++) {
        did(board, DID_LINES, (uint16_t)(lines[i].driven << 8 | lines[i].line));
        sums[i] = (uint32_t)(lines[i].probe + lines[i].probed) * samples;
    }
    return fault_of(board, DID_LINES);
}

uint16_t board_multiply(board_t *board, const board_block_t *block, const uint16_t *codes,
                        uint16_t vectors, uint16_t *sums) {
    for (uint16_t v = 0; v < vectors; v++) {
        uint16_t total = 0;
        for (uint16_t i = 0; i < block->inputs; i++) {
            total = (uint16_t)(total + codes[v * block->inputs + i]);
        }
        did(board, DID_MULTIPLY, total);
        for (uint16_t i = 0; i < block->columns; i++) {
            sums[v * block->columns + i] = (uint16_t)(total + block->first_column + i);
        }
    }
    return fault_of(board, DID_MULTIPLY);
}

uint16_t board_probe(board_t *board, const board_layer_t *layers, const uint16_t x[2],
                     const uint16_t *embedding, uint8_t samples, uint32_t sums[FW_PROBES]) {
    did(board, DID_PROBE, layers[0].feedback_code);
    for (size_t i = 0; i < FW_PROBES; i++) {
        sums[i] = (uint32_t)(x[0] + embedding[i % FW_EMBEDDINGS]) * samples;
    }
    return fault_of(board, DID_PROBE);
}

uint16_t board_run_begin(board_t *board, const board_run_t *run) {
    did(board, DID_RUN_BEGIN, run->run_id);
    return fault_of(board, DID_RUN_BEGIN);
}

uint16_t board_preset(board_t *board, uint32_t trajectory, const uint16_t x[2]) {
    did(board, DID_PRESET, (uint16_t)trajectory);
    board->x[0] = x[0];
    board->x[1] = x[1];
    return fault_of(board, DID_PRESET);
}

void board_load(board_t *board, const uint16_t words[WORD_COUNT]) {
    did(board, DID_LOAD, words[WORD_DRIFT]);
    memcpy(board->loaded, words, sizeof board->loaded);
}

void board_start(board_t *board) {
    did(board, DID_START, 0);
}

void board_update(board_t *board, uint16_t tick) {
    did(board, DID_UPDATE, tick);
    memcpy(board->driven, board->loaded, sizeof board->driven);
}

void board_hold(board_t *board, uint16_t tick) {
    did(board, DID_HOLD, tick);
}

uint16_t board_convert(board_t *board, uint16_t tick, uint16_t x[2]) {
    did(board, DID_CONVERT, tick);
    x[0] = board->x[0]++;
    x[1] = board->x[1]++;
    return fault_of(board, DID_CONVERT);
}

void board_run_end(board_t *board) {
    did(board, DID_RUN_END, 0);
}

void board_prepare_soon(board_t *board) {
    board->prepare_soon++;
}

void board_poll_run(board_t *board, struct fw *fw) {
    (void)board;
    (void)fw;
}

bool board_random_ready(board_t *board) {
    return !board->no_random;
}

uint16_t board_random(board_t *board, const board_draw_t *draw, uint32_t words[4]) {
    board->draw = *draw;
    memcpy(words, board->random, sizeof board->random);
    return fault_of(board, DID_LOAD);
}
