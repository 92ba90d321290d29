/* Loop-backs and reference resistors: what is refused, what is converted, what a stop ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire.h"

static wire_t w;

static int power_up(void **state) {
    (void)state;
    wire_open(&w);
    wire_hello(&w, 1);
    return 0;
}

static int power_down(void **state) {
    (void)state;
    wire_close(&w);
    return 0;
}

static payload_t loopback(uint8_t source, uint8_t destination, const uint16_t *codes,
                          size_t count) {
    payload_t payload = {0};
    payload_u8(&payload, source);
    payload_u8(&payload, destination);
    payload_u8(&payload, 4);
    for (size_t i = 0; i < count; i++) {
        payload_u16(&payload, codes[i]);
    }
    return payload;
}

static uint8_t ask_loopback(uint8_t source, uint16_t code) {
    const uint16_t codes[] = {1, code};
    const payload_t payload = loopback(source, ADC_INPUT_READ, codes, 2);
    return wire_ask(&w, MSG_LOOPBACK, payload.bytes, payload.length);
}

static void loopbacks_are_converted_in_order(void **state) {
    (void)state;
    w.board->batch = 1;
    const uint16_t codes[] = {10, 300, 0};
    const payload_t payload = loopback(LOOP_SOURCE_EMBEDDING_3, ADC_INPUT_PROBE, codes, 3);
    assert_int_equal(wire_ask(&w, MSG_LOOPBACK, payload.bytes, payload.length), STATUS_OK);
    assert_int_equal(w.length, 1 + 8 + 3 * 4);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(get_u32(w.answer + 9 + 4 * i), 4 * codes[i]);
    }
    assert_int_equal(fake_count(w.board, DID_LOOPBACK), 3);
    assert_int_equal(w.board->detail[w.board->deeds - 1],
                     ADC_INPUT_PROBE << 8 | LOOP_SOURCE_EMBEDDING_3);
}

static void the_ladder_has_an_end(void **state) {
    (void)state;
    assert_int_equal(ask_loopback(LOOP_SOURCE_REFERENCE, BOARD_LADDER_STEPS), STATUS_OK);
    assert_int_equal(ask_loopback(LOOP_SOURCE_REFERENCE, BOARD_LADDER_STEPS + 1),
                     STATUS_OUT_OF_RANGE);
    assert_int_equal(get_u16(w.answer + 2), 1);
    assert_int_equal(get_u32(w.answer + 12), BOARD_LADDER_STEPS);
}

static void a_line_above_the_read_level_needs_an_armed_board(void **state) {
    (void)state;
    static const struct {
        uint8_t source;
        uint16_t limit;
    } LINES[] = {
        {LOOP_SOURCE_BIT_LINE, BOARD_FORM_LINE_MAX},
        {LOOP_SOURCE_SOURCE_LINE, BOARD_RESET_LINE_MAX},
        {LOOP_SOURCE_WORD_LINE, BOARD_RESET_GATE_MAX},
    };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ask_loopback(LINES[i].source, BOARD_READ_CODE_MAX), STATUS_OK);
        assert_int_equal(ask_loopback(LINES[i].source, BOARD_READ_CODE_MAX + 1), STATUS_NOT_ARMED);
        assert_int_equal(ask_loopback(LINES[i].source, (uint16_t)(LINES[i].limit + 1)),
                         STATUS_OVER_LIMIT);
    }
    assert_int_equal(ask_loopback(LOOP_SOURCE_DRIFT, BOARD_CODE_MAX), STATUS_OK);
    wire_arm(&w, 1000);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ask_loopback(LINES[i].source, LINES[i].limit), STATUS_OK);
    }
}

static void lowered_limits_hold_for_loopbacks(void **state) {
    (void)state;
    payload_t lower = {0};
    payload_u8(&lower, OPERATION_RESET);
    payload_u16(&lower, 500);
    payload_u16(&lower, 400);
    payload_u32(&lower, 100);
    payload_u32(&lower, 2);
    payload_u32(&lower, 20000);
    payload_u32(&lower, 60000);
    assert_int_equal(wire_ask(&w, MSG_LIMITS_LOWER, lower.bytes, lower.length), STATUS_OK);
    wire_arm(&w, 1000);
    assert_int_equal(ask_loopback(LOOP_SOURCE_SOURCE_LINE, 401), STATUS_OVER_LIMIT);
    assert_int_equal(ask_loopback(LOOP_SOURCE_WORD_LINE, BOARD_SET_GATE_MAX), STATUS_OK);
    assert_int_equal(ask_loopback(LOOP_SOURCE_WORD_LINE, BOARD_SET_GATE_MAX + 1),
                     STATUS_OVER_LIMIT);
}

static void the_safe_state_leaves_the_read_level(void **state) {
    (void)state;
    wire_arm(&w, 1000);
    assert_int_equal(wire_send(&w, 0, 0, MSG_STOP, NULL, 0), STATUS_OK);
    assert_int_equal(ask_loopback(LOOP_SOURCE_BIT_LINE, 100), STATUS_OK);
    assert_int_equal(ask_loopback(LOOP_SOURCE_BIT_LINE, 1000), STATUS_SAFE_STATE);
}

static void a_stop_ends_a_loopback_above_the_read_level(void **state) {
    (void)state;
    w.board->batch = 1;
    wire_arm(&w, 1000);
    const uint16_t codes[] = {2000, 2000, 2000};
    const payload_t payload = loopback(LOOP_SOURCE_BIT_LINE, ADC_INPUT_READ, codes, 3);
    wire_feed(&w, w.session, w.next++, MSG_LOOPBACK, payload.bytes, payload.length);
    fw_step(w.fw);
    wire_feed(&w, 0, 0, MSG_STOP, NULL, 0);
    assert_true(wire_take(&w));
    while (fw_pending(w.fw)) {
        fw_step(w.fw);
    }
    assert_true(wire_take(&w));
    assert_int_equal(w.answer[0], STATUS_SAFE_STATE);
    assert_int_equal(fake_count(w.board, DID_LOOPBACK), 1);
}

static uint8_t ask_reference(uint16_t read_code, unsigned column, unsigned resistor) {
    payload_t payload = {0};
    payload_u16(&payload, read_code);
    payload_u8(&payload, 5);
    payload_u16(&payload, column);
    payload_u8(&payload, resistor);
    return wire_ask(&w, MSG_READ_REFERENCE, payload.bytes, payload.length);
}

static void reference_resistors_are_read_by_column(void **state) {
    (void)state;
    assert_int_equal(ask_reference(BOARD_READ_CODE_MAX, BOARD_COLUMNS - 1, 3), STATUS_OK);
    assert_int_equal(get_u32(w.answer + 9), 15);
    assert_int_equal(ask_reference(BOARD_READ_CODE_MAX + 1, 0, 0), STATUS_OVER_LIMIT);
    assert_int_equal(ask_reference(100, BOARD_COLUMNS, 0), STATUS_OUT_OF_RANGE);
    assert_int_equal(ask_reference(100, 0, 4), STATUS_OUT_OF_RANGE);
    assert_int_equal(fake_count(w.board, DID_REFERENCE), 1);
}

static uint8_t ask_line(uint16_t read_code, const board_line_t *line) {
    payload_t payload = {0};
    payload_u16(&payload, read_code);
    payload_u8(&payload, 5);
    payload_u8(&payload, line->driven);
    payload_u16(&payload, line->line);
    payload_u8(&payload, line->probe);
    payload_u16(&payload, line->probed);
    return wire_ask(&w, MSG_LINE_CHECK, payload.bytes, payload.length);
}

static void lines_are_driven_at_the_read_level(void **state) {
    (void)state;
    const board_line_t last_row = {ARRAY_LINE_BIT_LINE, LINE_PROBE_FAR_SOURCE_LINE, BOARD_ROWS - 1,
                                   BOARD_COLUMNS - 1};
    assert_int_equal(ask_line(BOARD_READ_CODE_MAX, &last_row), STATUS_OK);
    assert_int_equal(get_u32(w.answer + 9), 5 * (LINE_PROBE_FAR_SOURCE_LINE + BOARD_COLUMNS - 1));
    assert_int_equal(ask_line(BOARD_READ_CODE_MAX + 1, &last_row), STATUS_OVER_LIMIT);
    board_line_t column = {ARRAY_LINE_WORD_LINE, LINE_PROBE_CURRENT, BOARD_COLUMNS - 1,
                           BOARD_SET_GATE_MAX};
    assert_int_equal(ask_line(100, &column), STATUS_OK);
    column.probed = BOARD_SET_GATE_MAX + 1;
    assert_int_equal(ask_line(100, &column), STATUS_OVER_LIMIT);
    const board_line_t no_line = {ARRAY_LINE_SOURCE_LINE, LINE_PROBE_NEAR, BOARD_COLUMNS, 0};
    assert_int_equal(ask_line(100, &no_line), STATUS_OUT_OF_RANGE);
    const board_line_t no_end = {ARRAY_LINE_BIT_LINE, LINE_PROBE_FAR_BIT_LINE, 0, BOARD_ROWS};
    assert_int_equal(ask_line(100, &no_end), STATUS_OUT_OF_RANGE);
    const board_line_t no_probe = {ARRAY_LINE_BIT_LINE, 5, 0, 0};
    assert_int_equal(ask_line(100, &no_probe), STATUS_OUT_OF_RANGE);
    assert_int_equal(fake_count(w.board, DID_LINES), 2);
    assert_int_equal(fake_count(w.board, DID_PULSE), 0);
}

static void answers_have_room_for_so_many(void **state) {
    (void)state;
    payload_t codes = {0};
    payload_u8(&codes, LOOP_SOURCE_REFERENCE);
    payload_u8(&codes, ADC_INPUT_READ);
    payload_u8(&codes, 1);
    payload_t resistors = {0};
    payload_u16(&resistors, 100);
    payload_u8(&resistors, 1);
    for (size_t i = 0; i < 53; i++) {
        payload_u16(&codes, 1);
        payload_u16(&resistors, 0);
        payload_u8(&resistors, 0);
    }
    assert_int_equal(wire_ask(&w, MSG_LOOPBACK, codes.bytes, codes.length), STATUS_BAD_LENGTH);
    assert_int_equal(get_u16(w.answer + 3), 3 + 2 * 52);
    assert_int_equal(wire_ask(&w, MSG_READ_REFERENCE, resistors.bytes, resistors.length),
                     STATUS_BAD_LENGTH);
    assert_int_equal(wire_ask(&w, MSG_LOOPBACK, codes.bytes, codes.length - 2), STATUS_OK);
    assert_int_equal(wire_ask(&w, MSG_READ_REFERENCE, resistors.bytes, resistors.length - 3),
                     STATUS_OK);
}

static void a_run_makes_them_wait(void **state) {
    (void)state;
    wire_prepare_run(&w, 3, 0, 2);
    const run_words_t run = {.count = 1, .capture_tick = 2};
    assert_int_equal(wire_run(&w, &run), STATUS_OK);
    assert_int_equal(ask_loopback(LOOP_SOURCE_DRIFT, 1), STATUS_BUSY);
    assert_int_equal(ask_reference(100, 0, 1), STATUS_BUSY);
    assert_int_equal(ask_line(100, &(const board_line_t){0}), STATUS_BUSY);
}

static void a_fault_makes_safe(void **state) {
    (void)state;
    w.board->fault = FAULT_ADC;
    w.board->fault_in = DID_LOOPBACK;
    assert_int_equal(ask_loopback(LOOP_SOURCE_SCORE, 5), STATUS_FRONT_END);
    assert_int_equal(get_u16(w.answer + 1), FAULT_ADC);
    w.board->fault = FAULT_ADC;
    w.board->fault_in = DID_REFERENCE;
    assert_int_equal(ask_reference(100, 0, 1), STATUS_FRONT_END);
    assert_int_equal(w.fw->safety.reason, SAFE_REASON_FAULT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, power_up, power_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(loopbacks_are_converted_in_order),
        TEST(the_ladder_has_an_end),
        TEST(a_line_above_the_read_level_needs_an_armed_board),
        TEST(lowered_limits_hold_for_loopbacks),
        TEST(the_safe_state_leaves_the_read_level),
        TEST(a_stop_ends_a_loopback_above_the_read_level),
        TEST(reference_resistors_are_read_by_column),
        TEST(lines_are_driven_at_the_read_level),
        TEST(answers_have_room_for_so_many),
        TEST(a_run_makes_them_wait),
        TEST(a_fault_makes_safe),
    };
    return cmocka_run_group_tests_name("references", tests, NULL, NULL);
}
