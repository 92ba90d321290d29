#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bytes.h"
#include "crc32.h"

void wire_open(wire_t *wire) {
    *wire = (wire_t){.fw = malloc(sizeof(fw_t)), .board = calloc(1, sizeof(board_t)), .next = 1};
    assert_non_null(wire->fw);
    assert_non_null(wire->board);
    wire->board->batch = 255;
    wire->board->advance_left_us = INT64_MAX;
    fw_init(wire->fw, wire->board);
}

void wire_close(wire_t *wire) {
    free(wire->fw);
    free(wire->board);
}

void wire_feed(wire_t *wire, uint16_t session, uint32_t sequence, uint8_t code,
               const uint8_t *payload, size_t length) {
    uint8_t body[FRAME_BODY_MAX + 64];
    uint8_t frame[COBS_BYTES_MAX(sizeof body) + 1];
    put_u16(body, session);
    put_u32(body + 2, sequence);
    body[6] = code;
    if (length > 0) {
        memcpy(body + 7, payload, length);
    }
    put_u32(body + 7 + length, crc32_update(0, body, 7 + length));
    size_t encoded = cobs_encode(body, length + 11, frame);
    frame[encoded++] = 0;
    assert_int_equal(fw_receive(wire->fw, frame, encoded), encoded);
}

bool wire_take(wire_t *wire) {
    board_t *board = wire->board;
    uint8_t *end = memchr(board->sent, 0, board->sent_bytes);
    if (end == NULL) {
        return false;
    }
    const uint8_t *payload = NULL;
    assert_true(frame_decode(board->sent, (size_t)(end - board->sent), &wire->head, &payload,
                             &wire->length));
    assert_true(wire->length <= sizeof wire->answer);
    memcpy(wire->answer, payload, wire->length);
    const size_t taken = (size_t)(end - board->sent) + 1;
    memmove(board->sent, board->sent + taken, board->sent_bytes - taken);
    board->sent_bytes -= taken;
    return true;
}

uint8_t wire_send(wire_t *wire, uint16_t session, uint32_t sequence, uint8_t code,
                  const uint8_t *payload, size_t length) {
    wire_feed(wire, session, sequence, code, payload, length);
    while (fw_pending(wire->fw)) {
        fw_step(wire->fw);
    }
    assert_true(wire_take(wire));
    assert_int_equal(wire->board->sent_bytes, 0);
    assert_int_equal(wire->head.session, session);
    assert_int_equal(wire->head.sequence, sequence);
    assert_int_equal(wire->head.code, code | FRAME_RESPONSE_BIT);
    return wire->answer[0];
}

uint8_t wire_ask(wire_t *wire, uint8_t code, const uint8_t *payload, size_t length) {
    return wire_send(wire, wire->session, wire->next++, code, payload, length);
}

uint8_t wire_hello(wire_t *wire, uint32_t nonce) {
    uint8_t payload[4];
    put_u32(payload, nonce);
    assert_int_equal(wire_send(wire, 0, 0, MSG_HELLO, payload, 4), STATUS_OK);
    assert_int_equal(wire->length, 1 + HELLO_RESPONSE_BYTES);
    assert_int_equal(get_u32(wire->answer + 1), nonce);
    wire->session = get_u16(wire->answer + 5);
    wire->next = 1;
    return wire->answer[38];
}

void payload_u8(payload_t *payload, unsigned value) {
    payload->bytes[payload->length++] = (uint8_t)value;
}

void payload_u16(payload_t *payload, unsigned value) {
    put_u16(payload->bytes + payload->length, (uint16_t)value);
    payload->length += 2;
}

void payload_u32(payload_t *payload, uint32_t value) {
    put_u32(payload->bytes + payload->length, value);
    payload->length += 4;
}

void payload_u64(payload_t *payload, uint64_t value) {
    put_u64(payload->bytes + payload->length, value);
    payload->length += 8;
}

void payload_pulse(payload_t *payload, unsigned row, unsigned column, unsigned operation,
                   unsigned gate, unsigned line, uint32_t width) {
    payload_u16(payload, row);
    payload_u16(payload, column);
    payload_u8(payload, operation);
    payload_u16(payload, gate);
    payload_u16(payload, line);
    payload_u32(payload, width);
}

uint8_t wire_arm(wire_t *wire, uint32_t duration_ms) {
    payload_t payload = {0};
    payload_u32(&payload, duration_ms);
    return wire_ask(wire, MSG_ARM, payload.bytes, payload.length);
}

static void load_waves(wire_t *wire, uint16_t ticks, uint16_t sigma) {
    uint32_t crc = 0;
    for (uint16_t tick = 0; tick < ticks; tick++) {
        payload_t payload = {0};
        payload_u16(&payload, tick);
        payload_u16(&payload, 1000u + tick);
        payload_u16(&payload, 3000);
        payload_u16(&payload, sigma);
        for (int i = 0; i < 16; i++) {
            payload_u16(&payload, 2048);
        }
        crc = crc32_update(crc, payload.bytes + 2, payload.length - 2);
        assert_int_equal(wire_ask(wire, MSG_WAVE_LOAD, payload.bytes, payload.length), STATUS_OK);
    }
    const uint8_t none[28] = {0};
    uint8_t announced[4];
    put_u32(announced, crc32_update(crc, none, sizeof none));
    assert_int_equal(wire_ask(wire, MSG_WAVE_COMMIT, announced, 4), STATUS_OK);
}

void wire_prepare_run(wire_t *wire, uint16_t ticks, uint16_t sigma, uint16_t count) {
    static const uint8_t SIZES[3][2] = {{3, 14}, {15, 14}, {15, 2}};
    payload_t begin = {0};
    payload_u16(&begin, ticks);
    payload_u32(&begin, 5000);
    assert_int_equal(wire_ask(wire, MSG_WAVE_BEGIN, begin.bytes, begin.length), STATUS_OK);
    load_waves(wire, ticks, sigma);
    for (unsigned layer = 0; layer < 3; layer++) {
        payload_t payload = {0};
        payload_u8(&payload, layer);
        payload_u16(&payload, 20 * layer);
        payload_u16(&payload, 0);
        payload_u16(&payload, SIZES[layer][0]);
        payload_u16(&payload, SIZES[layer][1]);
        payload_u8(&payload, 1);
        payload_u16(&payload, 700 + layer);
        payload_u16(&payload, 0);
        assert_int_equal(wire_ask(wire, MSG_LOOP_LAYER, payload.bytes, payload.length), STATUS_OK);
    }
    for (uint16_t i = 0; i < count; i++) {
        payload_t payload = {0};
        payload_u16(&payload, i);
        payload_u16(&payload, 100u + i);
        payload_u16(&payload, 4000u - i);
        assert_int_equal(wire_ask(wire, MSG_INITIAL, payload.bytes, payload.length), STATUS_OK);
    }
}

uint8_t wire_run(wire_t *wire, const run_words_t *run) {
    payload_t payload = {0};
    payload_u16(&payload, run->run_id);
    payload_u16(&payload, run->first);
    payload_u16(&payload, run->count);
    payload_u16(&payload, run->capture_tick);
    payload_u8(&payload, run->noise);
    payload_u64(&payload, run->seed);
    payload_u32(&payload, run->trajectory);
    payload_u16(&payload, run->trace_every);
    payload_u16(&payload, run->trace_count);
    return wire_ask(wire, MSG_RUN, payload.bytes, payload.length);
}
