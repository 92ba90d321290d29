/* The vectors of tests/golden, which the Python side is held against as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check.h"
#include "frame.h"

typedef struct {
    const uint8_t *bytes;
    size_t length;
} blob_t;
typedef struct {
    const char *name;
    blob_t decoded, encoded;
} golden_cobs_t;
typedef struct {
    const char *name;
    blob_t stream;
    size_t frames, dropped;
    struct {
        frame_head_t head;
        blob_t payload;
    } frame[4];
} golden_stream_t;
typedef struct {
    const char *name;
    int request;
    frame_head_t head;
    blob_t payload, frame;
    void (*check)(const uint8_t *payload);
} golden_message_t;
typedef struct {
    const char *name;
    blob_t payload;
    size_t (*pack)(uint8_t *out);
} golden_refusal_t;

#define SAME(left, right) assert_true((uint64_t)(left) == (uint64_t)(right))
#define SET(left, right)  ((left) = (__typeof__(left))(right))
#include "golden_vectors.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A copy in a heap block of exactly its size, so that the sanitizer sees every byte too far. */
static uint8_t *exact(const blob_t *blob) {
    uint8_t *copy = malloc(blob->length > 0 ? blob->length : 1);
    assert_non_null(copy);
    memcpy(copy, blob->bytes, blob->length);
    return copy;
}

static void cobs(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(GOLDEN_COBS); i++) {
        const golden_cobs_t *v = &GOLDEN_COBS[i];
        uint8_t *plain = exact(&v->decoded);
        uint8_t *out = malloc(COBS_BYTES_MAX(v->decoded.length));
        assert_int_equal(cobs_encode(plain, v->decoded.length, out), v->encoded.length);
        assert_memory_equal(out, v->encoded.bytes, v->encoded.length);
        uint8_t *block = exact(&v->encoded);
        size_t length = 0;
        assert_true(cobs_decode(block, v->encoded.length, &length));
        assert_int_equal(length, v->decoded.length);
        assert_memory_equal(block, v->decoded.bytes, length);
        free(plain);
        free(out);
        free(block);
    }
}

static void streams(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(GOLDEN_STREAMS); i++) {
        const golden_stream_t *v = &GOLDEN_STREAMS[i];
        receiver_t *receiver = calloc(1, sizeof *receiver);
        size_t frames = 0;
        size_t dropped = 0;
        for (size_t at = 0; at < v->stream.length; at++) {
            const block_state_t got = receiver_byte(receiver, v->stream.bytes[at]);
            frame_head_t head;
            const uint8_t *payload = NULL;
            size_t length = 0;
            if (got == BLOCK_COMPLETE && receiver_frame(receiver, &head, &payload, &length)) {
                assert_true(frames < v->frames);
                assert_int_equal(head.session, v->frame[frames].head.session);
                assert_int_equal(head.sequence, v->frame[frames].head.sequence);
                assert_int_equal(head.code, v->frame[frames].head.code);
                assert_int_equal(length, v->frame[frames].payload.length);
                assert_memory_equal(payload, v->frame[frames].payload.bytes, length);
                frames++;
            } else if (got != BLOCK_OPEN) {
                dropped++;
            }
        }
        assert_int_equal(frames, v->frames);
        assert_int_equal(dropped, v->dropped);
        free(receiver);
    }
}

static void messages(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(GOLDEN_MESSAGES); i++) {
        const golden_message_t *v = &GOLDEN_MESSAGES[i];
        uint8_t *out = malloc(FRAME_ENCODED_MAX);
        uint8_t *payload = exact(&v->payload);
        assert_int_equal(frame_encode(&v->head, payload, v->payload.length, out), v->frame.length);
        assert_memory_equal(out, v->frame.bytes, v->frame.length);
        v->check(payload);
        free(out);
        free(payload);
    }
}

static void requests_pass_the_door(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(GOLDEN_MESSAGES); i++) {
        const golden_message_t *v = &GOLDEN_MESSAGES[i];
        if (v->request) {
            request_t request;
            uint8_t out[STATUS_BYTES_MAX];
            const msg_info_t *info = check_code(v->head.code);
            uint8_t *payload = exact(&v->payload);
            assert_non_null(info);
            assert_int_equal(check_payload(info, payload, v->payload.length, out, &request), 0);
            free(payload);
        }
    }
}

static void refusals(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(GOLDEN_REFUSALS); i++) {
        const golden_refusal_t *v = &GOLDEN_REFUSALS[i];
        uint8_t out[STATUS_BYTES_MAX];
        assert_int_equal(v->pack(out), v->payload.length);
        assert_memory_equal(out, v->payload.bytes, v->payload.length);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cobs),     cmocka_unit_test(streams),
        cmocka_unit_test(messages), cmocka_unit_test(requests_pass_the_door),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
