/* A host of a few lines: requests in, answers out, every frame numbered by the test. */
#ifndef WIRE_H
#define WIRE_H

#include "fake_board.h"
#include "fw.h"

typedef struct {
    fw_t *fw;
    board_t *board;
    uint16_t session;
    uint32_t next;
    frame_head_t head;                 /* of the last answer */
    uint8_t answer[MSG_PAYLOAD_BYTES]; /* its payload */
    size_t length;
} wire_t;

/* A board that was just powered up, in memory that the test frees with wire_close. */
void wire_open(wire_t *wire);
void wire_close(wire_t *wire);

/* Feeds a frame without letting the board work on it. */
void wire_feed(wire_t *wire, uint16_t session, uint32_t sequence, uint8_t code,
               const uint8_t *payload, size_t length);

/* Takes the next answer out of what was sent; false when there is none. */
bool wire_take(wire_t *wire);

/* Sends, lets the board work, takes the one answer; its status. */
uint8_t wire_send(wire_t *wire, uint16_t session, uint32_t sequence, uint8_t code,
                  const uint8_t *payload, size_t length);

/* The next request of the session; the answer's status. */
uint8_t wire_ask(wire_t *wire, uint8_t code, const uint8_t *payload, size_t length);

/* Opens a session; the safe reason before it. */
uint8_t wire_hello(wire_t *wire, uint32_t nonce);

/* --- payloads */
typedef struct {
    uint8_t bytes[MSG_PAYLOAD_BYTES + 64];
    size_t length;
} payload_t;

void payload_u8(payload_t *payload, unsigned value);
void payload_u16(payload_t *payload, unsigned value);
void payload_u32(payload_t *payload, uint32_t value);
void payload_u64(payload_t *payload, uint64_t value);

/* Appends an entry of pulse_read. */
void payload_pulse(payload_t *payload, unsigned row, unsigned column, unsigned operation,
                   unsigned gate, unsigned line, uint32_t width);

uint8_t wire_arm(wire_t *wire, uint32_t duration_ms);

/* Loads `ticks` ticks of flat waveforms with noise of `sigma` codes, commits them, connects three
 * layers and stores `count` initial conditions. */
void wire_prepare_run(wire_t *wire, uint16_t ticks, uint16_t sigma, uint16_t count);

typedef struct {
    uint16_t run_id, first, count, capture_tick;
    uint8_t noise;
    uint64_t seed;
    uint32_t trajectory;
    uint16_t trace_every, trace_count;
} run_words_t;

uint8_t wire_run(wire_t *wire, const run_words_t *run);

#endif
