/* Sessions, exactly-once memory, safety, pulses and reads: through the wire, on the fake board. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire.h"

#define SECOND UINT64_C(1000000000)
static wire_t w;

static int power_up(void **state) {
    (void)state;
    wire_open(&w);
    return 0;
}

static int power_down(void **state) {
    (void)state;
    assert_int_equal(w.board->locked, 0);
    wire_close(&w);
    return 0;
}

static uint8_t one_pulse(unsigned row, uint32_t width) {
    payload_t payload = {0};
    payload_u16(&payload, 100);
    payload_pulse(&payload, row, 3, OPERATION_SET, 500, 500, width);
    return wire_ask(&w, MSG_PULSE_READ, payload.bytes, payload.length);
}

static uint32_t status_u32(size_t offset) {
    assert_int_equal(wire_ask(&w, MSG_STATUS, NULL, 0), STATUS_OK);
    return get_u32(w.answer + 1 + offset);
}

enum { AT_REASON = 8, AT_PULSES = 16, AT_FRAMES = 24, AT_DROPPED = 28, AT_REPEATED = 32 };

static uint8_t reason(void) {
    return (uint8_t)status_u32(AT_REASON);
}

static void power_up_is_safe_and_needs_no_clearing(void **state) {
    (void)state;
    assert_int_equal(fake_count(w.board, DID_SAFE), 1);
    assert_int_equal(wire_hello(&w, 1), SAFE_REASON_POWER_UP);
    assert_int_equal(reason(), SAFE_REASON_NONE);
}

static void hello_opens_repeats_and_ends_sessions(void **state) {
    (void)state;
    wire_hello(&w, 1);
    const uint16_t first = w.session;
    assert_int_equal(wire_ask(&w, MSG_STATUS, NULL, 0), STATUS_OK);
    const uint32_t next = w.next;
    assert_int_equal(wire_hello(&w, 1), SAFE_REASON_POWER_UP); /* the same answer again */
    assert_int_equal(w.session, first);
    w.next = next;
    assert_int_equal(status_u32(AT_REPEATED), 1);
    wire_hello(&w, 2);
    assert_int_not_equal(w.session, first);
    assert_int_equal(wire_send(&w, first, next + 1, MSG_STATUS, NULL, 0), STATUS_BAD_SESSION);
    assert_int_equal(get_u16(w.answer + 1), w.session);
}

static void requests_need_a_session(void **state) {
    (void)state;
    assert_int_equal(wire_send(&w, 0, 1, MSG_STATUS, NULL, 0), STATUS_BAD_SESSION);
    assert_int_equal(wire_send(&w, 0, 0, MSG_KEEP_ALIVE, NULL, 0), STATUS_OK);
    assert_int_equal(wire_send(&w, 0, 0, MSG_HELLO, (const uint8_t *)"abc", 3), STATUS_BAD_LENGTH);
}

static void acts_are_executed_once(void **state) {
    (void)state;
    wire_hello(&w, 1);
    wire_arm(&w, 1000);
    assert_int_equal(one_pulse(7, 10), STATUS_OK);
    uint8_t before[MSG_PAYLOAD_BYTES];
    memcpy(before, w.answer, w.length);
    const size_t length = w.length;
    w.next--;
    assert_int_equal(one_pulse(7, 10), STATUS_OK);
    assert_int_equal(w.length, length);
    assert_memory_equal(w.answer, before, length);
    assert_int_equal(fake_count(w.board, DID_PULSE), 1);
    assert_int_equal(status_u32(AT_PULSES), 1);
}

static void the_memory_is_as_long_as_the_window(void **state) {
    (void)state;
    wire_hello(&w, 1);
    for (uint32_t i = 0; i < FW_WINDOW + 1; i++) {
        assert_int_equal(wire_ask(&w, MSG_STATUS, NULL, 0), STATUS_OK);
    }
    for (uint32_t sequence = 2; sequence <= FW_WINDOW + 1; sequence++) {
        assert_int_equal(wire_send(&w, w.session, sequence, MSG_STATUS, NULL, 0), STATUS_OK);
    }
    assert_int_equal(wire_send(&w, w.session, 1, MSG_STATUS, NULL, 0), STATUS_BAD_SEQUENCE);
    assert_int_equal(get_u32(w.answer + 1), FW_WINDOW + 2);
    assert_int_equal(wire_send(&w, w.session, FW_WINDOW + 3, MSG_STATUS, NULL, 0),
                     STATUS_BAD_SEQUENCE);
}

static void refused_requests_consume_their_number(void **state) {
    (void)state;
    wire_hello(&w, 1);
    assert_int_equal(wire_ask(&w, 0x7f, NULL, 0), STATUS_UNKNOWN_CODE);
    assert_int_equal(w.answer[1], 0x7f);
    assert_int_equal(wire_ask(&w, MSG_ARM, NULL, 0), STATUS_BAD_LENGTH);
    const uint8_t zeros[MSG_PAYLOAD_BYTES + 10] = {0};
    assert_int_equal(wire_ask(&w, MSG_READ, zeros, sizeof zeros), STATUS_BAD_LENGTH);
    assert_int_equal(get_u16(w.answer + 1), sizeof zeros);
    assert_int_equal(wire_ask(&w, MSG_STATUS, NULL, 0), STATUS_OK);
}

static void a_window_of_requests_waits_and_more_is_dropped(void **state) {
    (void)state;
    wire_hello(&w, 1);
    for (uint32_t i = 1; i <= FW_WINDOW + 1; i++) {
        wire_feed(&w, w.session, i, MSG_STATUS, NULL, 0);
    }
    size_t answers = 0;
    while (fw_pending(w.fw)) {
        fw_step(w.fw);
        assert_true(wire_take(&w));
        assert_int_equal(w.head.sequence, ++answers);
    }
    assert_int_equal(answers, FW_WINDOW);
    w.next = FW_WINDOW + 1;
    assert_int_equal(status_u32(AT_DROPPED), 1);
    fw_step(w.fw); /* nothing waits: nothing happens */
}

static void unreadable_bytes_are_counted(void **state) {
    (void)state;
    wire_hello(&w, 1);
    uint8_t noise[3000];
    memset(noise, 0x55, sizeof noise);
    noise[2999] = 0;
    assert_int_equal(fw_receive(w.fw, noise, sizeof noise), sizeof noise);
    assert_int_equal(fw_receive(w.fw, (const uint8_t *)"\x02\x11\0\0", 4), 3);
    assert_int_equal(fw_receive(w.fw, (const uint8_t *)"\0", 1), 1);
    wire_feed(&w, 0, 0, MSG_KEEP_ALIVE | FRAME_RESPONSE_BIT, NULL, 0);
    assert_int_equal(w.board->sent_bytes, 0);
    assert_int_equal(status_u32(AT_DROPPED), 3);
}

static void pulses_need_an_armed_board(void **state) {
    (void)state;
    wire_hello(&w, 1);
    assert_int_equal(one_pulse(0, 10), STATUS_NOT_ARMED);
    assert_int_equal(wire_arm(&w, BOARD_ARM_MS_MAX + 1), STATUS_OVER_LIMIT);
    assert_int_equal(wire_arm(&w, 1), STATUS_OK);
    assert_int_equal(one_pulse(0, BOARD_SET_WIDTH_MAX), STATUS_OK);
    payload_t payload = {0};
    payload_u16(&payload, 100);
    for (unsigned i = 0; i < 16; i++) { /* lasts longer than the arming */
        payload_pulse(&payload, i, 0, OPERATION_SET, 1, 1, BOARD_SET_WIDTH_MAX);
    }
    assert_int_equal(wire_ask(&w, MSG_PULSE_READ, payload.bytes, payload.length), STATUS_NOT_ARMED);
    assert_int_equal(wire_ask(&w, MSG_DISARM, NULL, 0), STATUS_OK);
    assert_int_equal(one_pulse(0, 10), STATUS_NOT_ARMED);
    assert_int_equal(reason(), SAFE_REASON_DISARM);
}

static void a_batch_is_checked_whole(void **state) {
    (void)state;
    wire_hello(&w, 1);
    wire_arm(&w, 60000);
    static const struct {
        unsigned read_code, row, column, gate;
        uint8_t status;
    } CASES[] = {
        {BOARD_READ_CODE_MAX + 1, 0, 0, 0, STATUS_OVER_LIMIT},
        {100, BOARD_ROWS, 0, 0, STATUS_OUT_OF_RANGE},
        {100, 0, BOARD_COLUMNS, 0, STATUS_OUT_OF_RANGE},
        {100, 0, 0, BOARD_SET_GATE_MAX + 1, STATUS_OVER_LIMIT},
    };
    for (size_t i = 0; i < 4; i++) {
        payload_t payload = {0};
        payload_u16(&payload, CASES[i].read_code);
        payload_pulse(&payload, 0, 0, OPERATION_SET, 1, 1, 1);
        payload_pulse(&payload, CASES[i].row, CASES[i].column, OPERATION_SET, CASES[i].gate, 1, 1);
        assert_int_equal(wire_ask(&w, MSG_PULSE_READ, payload.bytes, payload.length),
                         CASES[i].status);
    }
    assert_int_equal(fake_count(w.board, DID_PULSE), 0);
    assert_int_equal(status_u32(AT_PULSES), 0);
}

static void cells_have_a_budget(void **state) {
    (void)state;
    wire_hello(&w, 1);
    payload_t lower = {0};
    payload_u8(&lower, OPERATION_SET);
    payload_u16(&lower, 500);
    payload_u16(&lower, 500);
    payload_u32(&lower, 100);
    payload_u32(&lower, 3);
    payload_u32(&lower, 50000);
    payload_u32(&lower, 60000);
    assert_int_equal(wire_ask(&w, MSG_LIMITS_LOWER, lower.bytes, lower.length), STATUS_OK);
    lower.bytes[2] = 0x0f;
    assert_int_equal(wire_ask(&w, MSG_LIMITS_LOWER, lower.bytes, lower.length), STATUS_OVER_LIMIT);
    wire_arm(&w, 60000);
    assert_int_equal(one_pulse(5, 10), STATUS_OK);
    payload_t batch = {0};
    payload_u16(&batch, 100);
    for (int i = 0; i < 3; i++) {
        payload_pulse(&batch, 5, 3, OPERATION_SET, 1, 1, 1);
    }
    assert_int_equal(wire_ask(&w, MSG_PULSE_READ, batch.bytes, batch.length), STATUS_PULSE_BUDGET);
    assert_int_equal(get_u16(w.answer + 1), 2);
    assert_int_equal(get_u32(w.answer + 3), 3);
    assert_int_equal(get_u32(w.answer + 7), 3);
    assert_int_equal(one_pulse(5, 10), STATUS_OK); /* the refused batch has not counted */
    assert_int_equal(one_pulse(5, 10), STATUS_OK);
    assert_int_equal(one_pulse(5, 10), STATUS_PULSE_BUDGET);
    wire_hello(&w, 9);
    wire_arm(&w, 60000);
    assert_int_equal(one_pulse(5, 1000), STATUS_OK); /* limits and counts are the session's */
}

static void pulses_go_one_by_one_where_a_stop_may_come(void **state) {
    (void)state;
    wire_hello(&w, 1);
    wire_arm(&w, 60000);
    w.board->batch = 1;
    payload_t batch = {0};
    payload_u16(&batch, 100);
    for (unsigned i = 0; i < 5; i++) {
        payload_pulse(&batch, i, 3, OPERATION_SET, 1, 1, 1);
    }
    assert_int_equal(wire_ask(&w, MSG_PULSE_READ, batch.bytes, batch.length), STATUS_OK);
    assert_int_equal(w.length, 1 + 8 + 10);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(get_u16(w.answer + 9 + 2 * i), 1000 + i);
    }
    wire_feed(&w, w.session, w.next++, MSG_PULSE_READ, batch.bytes, batch.length);
    fw_step(w.fw);
    fw_step(w.fw);
    fw_poll(w.fw);
    wire_feed(&w, 0, 0, MSG_STOP, NULL, 0);
    assert_true(wire_take(&w)); /* answered before the batch */
    assert_int_equal(w.head.code, MSG_STOP | FRAME_RESPONSE_BIT);
    fw_step(w.fw);
    assert_true(wire_take(&w));
    assert_int_equal(w.answer[0], STATUS_SAFE_STATE);
    assert_int_equal(w.answer[1], SAFE_REASON_STOP);
    assert_int_equal(fake_count(w.board, DID_PULSE), 5 + 2);
    assert_int_equal(status_u32(AT_PULSES), 7);
}

static void a_new_session_ends_a_batch(void **state) {
    (void)state;
    wire_hello(&w, 1);
    w.board->batch = 1;
    payload_t read = {0};
    payload_u16(&read, 100);
    payload_u8(&read, 2);
    for (unsigned i = 0; i < 4; i++) {
        payload_u16(&read, i);
        payload_u16(&read, 0);
    }
    wire_feed(&w, w.session, w.next, MSG_READ, read.bytes, read.length);
    fw_step(w.fw);
    wire_hello(&w, 2);
    assert_false(fw_pending(w.fw));
    assert_int_equal(wire_ask(&w, MSG_READ, read.bytes, read.length), STATUS_OK);
    assert_int_equal(get_u32(w.answer + 9 + 4 * 3), 6);
}

static void reads_are_checked(void **state) {
    (void)state;
    wire_hello(&w, 1);
    payload_t read = {0};
    payload_u16(&read, 100);
    payload_u8(&read, 1);
    for (unsigned i = 0; i < 53; i++) {
        payload_u16(&read, i);
        payload_u16(&read, 0);
    }
    assert_int_equal(wire_ask(&w, MSG_READ, read.bytes, read.length), STATUS_BAD_LENGTH);
    assert_int_equal(get_u16(w.answer + 3), 3 + 52 * 4);
    assert_int_equal(wire_ask(&w, MSG_READ, read.bytes, read.length - 4), STATUS_OK);
    assert_int_equal(w.length, 1 + 8 + 52 * 4);
    put_u16(read.bytes + 5, BOARD_COLUMNS);
    assert_int_equal(wire_ask(&w, MSG_READ, read.bytes, read.length - 4), STATUS_OUT_OF_RANGE);
    put_u16(read.bytes, BOARD_READ_CODE_MAX + 1);
    assert_int_equal(wire_ask(&w, MSG_READ, read.bytes, read.length - 4), STATUS_OVER_LIMIT);
    w.board->fault = FAULT_ADC;
    w.board->fault_in = DID_READ;
    put_u16(read.bytes + 5, 0);
    put_u16(read.bytes, 100);
    assert_int_equal(wire_ask(&w, MSG_READ, read.bytes, read.length - 4), STATUS_FRONT_END);
    assert_int_equal(reason(), SAFE_REASON_FAULT);
}

static void stop_works_without_a_session_and_latches(void **state) {
    (void)state;
    assert_int_equal(wire_send(&w, 77, 88, MSG_STOP, NULL, 0), STATUS_OK);
    assert_int_equal(w.answer[1], SAFE_REASON_STOP);
    assert_int_equal(wire_hello(&w, 1), SAFE_REASON_STOP);
    assert_int_equal(wire_arm(&w, 1000), STATUS_SAFE_STATE);
    assert_int_equal(one_pulse(0, 1), STATUS_SAFE_STATE);
    uint8_t named = SAFE_REASON_WATCHDOG;
    assert_int_equal(wire_ask(&w, MSG_SAFE_CLEAR, &named, 1), STATUS_SAFE_STATE);
    named = SAFE_REASON_STOP;
    assert_int_equal(wire_ask(&w, MSG_SAFE_CLEAR, &named, 1), STATUS_OK);
    assert_int_equal(wire_arm(&w, 1000), STATUS_OK);
}

static void a_fault_makes_safe(void **state) {
    (void)state;
    wire_hello(&w, 1);
    wire_arm(&w, 60000);
    w.board->fault = 42;
    w.board->fault_in = DID_PULSE;
    fake_forget(w.board);
    assert_int_equal(one_pulse(0, 1), STATUS_FRONT_END);
    assert_int_equal(get_u16(w.answer + 1), 42);
    assert_int_equal(fake_count(w.board, DID_SAFE), 1);
    assert_int_equal(reason(), SAFE_REASON_FAULT);
    assert_int_equal(status_u32(AT_PULSES), 0);
}

static void an_open_interlock_latches(void **state) {
    (void)state;
    wire_hello(&w, 1);
    wire_arm(&w, 60000);
    w.board->interlock_open = true;
    assert_int_equal(one_pulse(0, 1), STATUS_INTERLOCK_OPEN);
    assert_int_equal(reason(), SAFE_REASON_INTERLOCK);
    const uint8_t named = SAFE_REASON_INTERLOCK;
    assert_int_equal(wire_ask(&w, MSG_SAFE_CLEAR, &named, 1), STATUS_INTERLOCK_OPEN);
    w.board->interlock_open = false;
    assert_int_equal(one_pulse(0, 1), STATUS_SAFE_STATE);
    assert_int_equal(wire_ask(&w, MSG_SAFE_CLEAR, &named, 1), STATUS_OK);
    w.board->interlock_open = true;
    fw_poll(w.fw);
    assert_int_equal(w.fw->safety.reason, SAFE_REASON_INTERLOCK);
}

static void silence_makes_safe(void **state) {
    (void)state;
    wire_hello(&w, 1);
    wire_arm(&w, 60000);
    payload_t advance = {0};
    payload_u64(&advance, BOARD_WATCHDOG_MS * UINT64_C(1000));
    fake_forget(w.board);
    assert_int_equal(wire_ask(&w, MSG_ADVANCE, advance.bytes, 8), STATUS_OK);
    assert_int_equal(get_u64(w.answer + 1), BOARD_WATCHDOG_MS * UINT64_C(1000));
    assert_int_equal(fake_count(w.board, DID_SAFE), 1);
    assert_int_equal(reason(), SAFE_REASON_WATCHDOG);
}

static void real_time_cannot_be_advanced(void **state) {
    (void)state;
    wire_hello(&w, 1);
    payload_t advance = {0};
    payload_u64(&advance, 100);
    w.board->advance_left_us = -1;
    assert_int_equal(wire_ask(&w, MSG_ADVANCE, advance.bytes, 8), STATUS_NOT_SUPPORTED);
    w.board->advance_left_us = 99;
    assert_int_equal(wire_ask(&w, MSG_ADVANCE, advance.bytes, 8), STATUS_OUT_OF_RANGE);
    assert_int_equal(get_u32(w.answer + 12), 99);
}

static void arming_shows_its_time(void **state) {
    (void)state;
    w.board->time_ns = 5 * SECOND;
    wire_hello(&w, 1);
    assert_int_equal(wire_arm(&w, 1500), STATUS_OK);
    assert_int_equal(get_u64(w.answer + 1), 6500000);
    w.board->time_ns += SECOND + 1;
    assert_int_equal(wire_ask(&w, MSG_STATUS, NULL, 0), STATUS_OK);
    assert_int_equal(get_u32(w.answer + 10), 500); /* rounded up: not over yet */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, power_up, power_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        // clang-format off
        TEST(power_up_is_safe_and_needs_no_clearing),
        TEST(hello_opens_repeats_and_ends_sessions), 
        TEST(requests_need_a_session), TEST(acts_are_executed_once),
        TEST(the_memory_is_as_long_as_the_window), TEST(refused_requests_consume_their_number),
        TEST(a_window_of_requests_waits_and_more_is_dropped), TEST(unreadable_bytes_are_counted),
        TEST(pulses_need_an_armed_board), TEST(a_batch_is_checked_whole),
        TEST(cells_have_a_budget), TEST(pulses_go_one_by_one_where_a_stop_may_come),
        TEST(a_new_session_ends_a_batch), TEST(reads_are_checked),
        TEST(stop_works_without_a_session_and_latches), TEST(a_fault_makes_safe),
        TEST(an_open_interlock_latches), TEST(silence_makes_safe),
        TEST(real_time_cannot_be_advanced), TEST(arming_shows_its_time),
        // clang-format on
    };
    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
