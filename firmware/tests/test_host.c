/* The shared library: virtual time, the front end's transactions, what a broken front end does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bytes.h"
#include "crc32.h"
#include "frame.h"
#include "fw_host.h"
#include "stub.h"
#include "virtual_board.h"

typedef struct {
    stub_t stub;
    size_t cut; /* bytes taken off each response */
    bool silent;
    bool late;        /* reported with ticks */
    uint32_t ticks;   /* transactions with words */
    uint64_t time_ns; /* of the last transaction */
} front_end_t;

static size_t answer(void *context, const uint8_t *request, size_t length, uint8_t *response,
                     size_t capacity) {
    front_end_t *front_end = context;
    if (front_end->silent) {
        return 0;
    }
    assert_int_equal(get_u16(request), length - 2);
    front_end->time_ns = get_u64(request + 4);
    if (request[2] == FRONT_END_TICKS && get_u16(request + FRONT_END_REQUEST_HEAD + 2) > 0) {
        front_end->ticks++;
    }
    front_end->stub.inputs = (uint16_t)((front_end->stub.inputs & INPUT_INTERLOCK_OPEN) |
                                        (front_end->late && request[2] == FRONT_END_TICKS ? 2 : 0));
    return stub_exchange(&front_end->stub, request, length, response, capacity) - front_end->cut;
}

static fw_host_t *host;
static front_end_t front_end;
static uint16_t session;
static uint32_t next;
static uint8_t got[MSG_PAYLOAD_BYTES];

static uint8_t ask(uint8_t code, const void *payload, size_t length) {
    uint8_t bytes[FRAME_ENCODED_MAX];
    const bool in_session = code != MSG_HELLO;
    const frame_head_t head = {in_session ? session : 0, in_session ? next++ : 0, code};
    const size_t encoded = frame_encode(&head, payload, length, bytes);
    const size_t waiting = fw_host_feed(host, bytes, encoded);
    assert_true(waiting > 0 && waiting <= sizeof bytes);
    assert_int_equal(fw_host_take(host, bytes, 3), 3); /* in two pieces */
    assert_int_equal(fw_host_take(host, bytes + 3, sizeof bytes - 3), waiting - 3);
    frame_head_t back;
    const uint8_t *answered = NULL;
    size_t answered_bytes = 0;
    assert_true(frame_decode(bytes, waiting - 1, &back, &answered, &answered_bytes));
    memcpy(got, answered, answered_bytes);
    return got[0];
}

static int power_up(void **state) {
    (void)state;
    front_end = (front_end_t){0};
    host = fw_host_create(answer, &front_end);
    assert_non_null(host);
    session = 0;
    assert_int_equal(ask(MSG_HELLO, "\1\2\3\4", 4), STATUS_OK);
    session = get_u16(got + 5);
    next = 1;
    return 0;
}

static int power_down(void **state) {
    (void)state;
    fw_host_destroy(host);
    return 0;
}

static void prepare(uint16_t ticks) {
    uint8_t begin[6];
    put_u16(begin, ticks);
    put_u32(begin + 2, 1000);
    assert_int_equal(ask(MSG_WAVE_BEGIN, begin, 6), STATUS_OK);
    uint32_t crc = 0;
    for (uint16_t k = 0; k < ticks; k++) {
        uint8_t load[40];
        put_u16(load, k);
        for (size_t i = 0; i < 19; i++) {
            put_u16(load + 2 + 2 * i, i == 2 ? 100 : 2048);
        }
        crc = crc32_update(crc, load + 2, 38);
        assert_int_equal(ask(MSG_WAVE_LOAD, load, 40), STATUS_OK);
    }
    uint8_t commit[28] = {0};
    put_u32(commit, crc32_update(crc, commit, 28));
    assert_int_equal(ask(MSG_WAVE_COMMIT, commit, 4), STATUS_OK);
    assert_int_equal(ask(MSG_LOOP_LAYER, "\0\0\0\0\0\3\0\16\0\1\1\0\0\0", 14), STATUS_OK);
    assert_int_equal(ask(MSG_LOOP_LAYER, "\1\24\0\0\0\17\0\16\0\1\1\0\0\0", 14), STATUS_OK);
    assert_int_equal(ask(MSG_LOOP_LAYER, "\2\50\0\0\0\17\0\2\0\1\1\0\0\0", 14), STATUS_OK);
    assert_int_equal(ask(MSG_INITIAL, "\0\0\144\0\310\0\144\0\310\0", 10), STATUS_OK);
}

static uint8_t run(uint16_t count, uint16_t ticks, uint8_t noise, uint16_t trace_every) {
    uint8_t asked[25] = {0};
    put_u16(asked + 4, count);
    put_u16(asked + 6, ticks);
    asked[8] = noise;
    put_u16(asked + 21, trace_every);
    put_u16(asked + 23, trace_every > 0 ? 1 : 0);
    return ask(MSG_RUN, asked, 25);
}

static uint8_t poll(void) {
    assert_int_equal(ask(MSG_PROGRESS, "", 0), STATUS_OK);
    return got[11];
}

static void the_stub_is_a_board(void **state) {
    (void)state;
    assert_int_equal(fw_host_api(), FW_HOST_API);
    fw_host_t *alone = fw_host_create(NULL, NULL);
    assert_non_null(alone);
    fw_host_destroy(alone);
    fw_host_destroy(NULL);
}

static void a_silent_front_end_is_no_board(void **state) {
    (void)state;
    front_end_t silent = {.silent = true};
    assert_null(fw_host_create(answer, &silent));
}

static void time_is_what_the_description_says(void **state) {
    (void)state;
    const uint64_t before = fw_host_time_ns(host);
    assert_int_equal(ask(MSG_READ, "\144\0\2\1\0\1\0\2\0\2\0", 11), STATUS_OK);
    const double line_s = 2 * BOARD_FRAME_OVERHEAD_S + (11 + 13 + 17 + 13) * 10.0 / BOARD_BAUD;
    const uint64_t lasted = fw_host_time_ns(host) - before;
    assert_in_range(lasted, 4 * BOARD_READ_NS + (uint64_t)(line_s * 1e9) - 2,
                    4 * BOARD_READ_NS + (uint64_t)(line_s * 1e9) + 2);
    assert_int_equal(ask(MSG_ADVANCE, "\0\0\0\1\0\0\0\0", 8), STATUS_OK);
    assert_int_equal(front_end.time_ns / 1000, get_u64(got + 1));
}

static void pulses_and_reads_are_transactions(void **state) {
    (void)state;
    assert_int_equal(ask(MSG_ARM, "\0\20\0\0", 4), STATUS_OK);
    const uint32_t before = front_end.stub.transactions;
    assert_int_equal(
        ask(MSG_PULSE_READ, "\144\0\1\0\2\0\0\1\0\1\0\12\0\0\0\1\0\3\0\0\1\0\1\0\12\0\0\0", 28),
        STATUS_OK);
    assert_int_equal(get_u16(got + 11), 137);
    /* what the core asks before it executes, the handler's own look, and the batch */
    assert_int_equal(front_end.stub.transactions - before, 3);
    front_end.stub.fault = 9;
    assert_int_equal(ask(MSG_READ, "\144\0\2\1\0\1\0\2\0\2\0", 11), STATUS_FRONT_END);
    assert_int_equal(get_u16(got + 1), 9);
}

static void references_are_transactions(void **state) {
    (void)state;
    const uint64_t before = fw_host_time_ns(host);
    assert_int_equal(ask(MSG_LOOPBACK, "\7\3\2\1\0\2\0\3\0", 9), STATUS_OK);
    assert_int_equal(get_u32(got + 9 + 8), 174);
    assert_int_equal(ask(MSG_READ_REFERENCE, "\144\0\2\1\0\1\2\0\3", 9), STATUS_OK);
    assert_int_equal(get_u32(got + 9 + 4), 137);
    assert_true(fw_host_time_ns(host) - before >= (6 + 4) * BOARD_READ_NS);
    assert_int_equal(ask(MSG_LINE_CHECK, "\144\0\2\0\1\0\3\0\0\1\2\0\4\0\0", 15), STATUS_OK);
    assert_int_equal(get_u32(got + 9 + 4), 137);
    front_end.stub.fault = 9;
    assert_int_equal(ask(MSG_LOOPBACK, "\7\3\2\1\0", 5), STATUS_FRONT_END);
}

static void products_are_transactions(void **state) {
    (void)state;
    const uint64_t before = fw_host_time_ns(host);
    const uint32_t asked = front_end.stub.transactions;
    /* two vectors of two rows, three columns, two samples */
    assert_int_equal(ask(MSG_MULTIPLY, "\1\0\2\0\2\0\3\0\1\2\0\10\0\10\0\10\0\10", 18), STATUS_OK);
    assert_int_equal(front_end.stub.transactions - asked, 2);
    assert_int_equal(get_u16(got + 9 + 2 * 5), 100 + 37 * 5);
    assert_true(fw_host_time_ns(host) - before >= 2 * BOARD_VECTOR_NS + 12 * BOARD_READ_NS);
    front_end.stub.fault = 9;
    assert_int_equal(ask(MSG_MULTIPLY, "\1\0\2\0\1\0\3\0\1\2\0\10", 12), STATUS_FRONT_END);
}

static void responses_of_a_wrong_length_are_faults(void **state) {
    (void)state;
    front_end.cut = 1;
    assert_int_equal(ask(MSG_READ, "\144\0\2\1\0\1\0\2\0\2\0", 11), STATUS_FRONT_END);
    assert_int_equal(get_u16(got + 1), FAULT_LINE);
    front_end.cut = 0;
    assert_int_equal(ask(MSG_STATUS, "", 0), STATUS_OK);
}

static void a_front_end_that_has_gone_is_an_open_interlock(void **state) {
    (void)state;
    front_end.silent = true;
    assert_int_equal(ask(MSG_ARM, "\0\20\0\0", 4), STATUS_INTERLOCK_OPEN);
    assert_int_equal(ask(MSG_STATUS, "", 0), STATUS_OK);
    assert_int_equal(got[9], SAFE_REASON_INTERLOCK);
}

static void runs_go_on_with_each_poll(void **state) {
    (void)state;
    prepare(5);
    assert_int_equal(run(2, 5, NOISE_HARDWARE, 0), STATUS_OK);
    const uint64_t before = fw_host_time_ns(host);
    assert_int_equal(poll(), RUN_STATE_DONE);
    assert_int_equal(front_end.ticks, 2); /* all ticks of a solve in one */
    assert_true(fw_host_time_ns(host) - before > 2 * (BOARD_RUN_OVERHEAD_NS + 5000000u));
    assert_int_equal(ask(MSG_SAMPLES, "\0\0\1", 3), STATUS_OK);
    assert_int_equal(get_u16(got + 1), 105);
    assert_int_equal(ask(MSG_PROBE, "\0\0\0\0\0\0\1", 7), STATUS_OK);
}

static void ticks_can_go_one_by_one(void **state) {
    (void)state;
    power_down(state);
    front_end = (front_end_t){.stub.ticks_per_transaction = 1};
    host = fw_host_create(answer, &front_end);
    session = 0;
    assert_int_equal(ask(MSG_HELLO, "\1\2\3\4", 4), STATUS_OK);
    session = get_u16(got + 5);
    next = 1;
    prepare(6);
    assert_int_equal(run(1, 6, NOISE_SEEDED, 2), STATUS_OK);
    assert_int_equal(poll(), RUN_STATE_DONE);
    assert_int_equal(front_end.ticks, 6);
    assert_int_equal(ask(MSG_TRACE, "\0\0\0\0\4", 5), STATUS_OK);
    for (uint16_t point = 0; point < 4; point++) {
        assert_int_equal(get_u16(got + 1 + 4 * point), 100 + 2 * point);
    }
    front_end.late = true;
    assert_int_equal(run(1, 6, NOISE_NONE, 0), STATUS_OK);
    assert_int_equal(poll(), RUN_STATE_LATE);
    front_end.late = false;
    assert_int_equal(run(1, 6, NOISE_NONE, 0), STATUS_OK);
    front_end.stub.fault = 5;
    assert_int_equal(poll(), RUN_STATE_ABORTED);
    assert_int_equal(ask(MSG_STATUS, "", 0), STATUS_OK);
    assert_int_equal(got[9], SAFE_REASON_FAULT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, power_up, power_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_stub_is_a_board),
        TEST(a_silent_front_end_is_no_board),
        TEST(time_is_what_the_description_says),
        TEST(pulses_and_reads_are_transactions),
        TEST(references_are_transactions),
        TEST(products_are_transactions),
        TEST(responses_of_a_wrong_length_are_faults),
        TEST(a_front_end_that_has_gone_is_an_open_interlock),
        TEST(runs_go_on_with_each_poll),
        TEST(ticks_can_go_one_by_one),
    };
    return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
