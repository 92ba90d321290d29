/* Products of a block with vectors: what is refused, what is converted, what comes between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire.h"

#define FITTING ((MSG_PAYLOAD_BYTES - MULTIPLY_REQUEST_BYTES) / MULTIPLY_REQUEST_ENTRY_BYTES)

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

static payload_t block(unsigned first_row, unsigned first_column, unsigned inputs,
                       unsigned columns) {
    payload_t payload = {0};
    payload_u16(&payload, first_row);
    payload_u16(&payload, first_column);
    payload_u16(&payload, inputs);
    payload_u16(&payload, columns);
    payload_u8(&payload, 1);
    payload_u8(&payload, 2);
    return payload;
}

static void codes(payload_t *payload, unsigned count, unsigned code) {
    for (unsigned i = 0; i < count; i++) {
        payload_u16(payload, code);
    }
}

static uint8_t ask(const payload_t *payload) {
    return wire_ask(&w, MSG_MULTIPLY, payload->bytes, payload->length);
}

static uint8_t ask_block(unsigned first_row, unsigned first_column, unsigned inputs,
                         unsigned columns) {
    payload_t payload = block(first_row, first_column, inputs, columns);
    codes(&payload, inputs <= FITTING ? inputs : 0, BOARD_CODE_ZERO);
    return ask(&payload);
}

static void vectors_are_converted_in_order(void **state) {
    (void)state;
    const uint16_t batches[] = {1, 2, 255};
    for (size_t i = 0; i < 3; i++) {
        w.board->batch = batches[i];
        payload_t payload = block(3, 7, 2, 4);
        for (unsigned v = 0; v < 3; v++) {
            codes(&payload, 2, BOARD_CODE_ZERO + v);
        }
        assert_int_equal(ask(&payload), STATUS_OK);
        assert_int_equal(w.length, 1 + 8 + 3 * 4 * 2);
        for (unsigned v = 0; v < 3; v++) {
            for (unsigned c = 0; c < 4; c++) {
                assert_int_equal(get_u16(w.answer + 9 + 2 * (4 * v + c)),
                                 2 * (BOARD_CODE_ZERO + v) + 7 + c);
            }
        }
        assert_int_equal(fake_count(w.board, DID_MULTIPLY), 3 * (i + 1));
    }
    assert_int_equal(fake_count(w.board, DID_READ), 0);
}

static void no_vector_is_no_conversion(void **state) {
    (void)state;
    const payload_t payload = block(0, 0, 5, 5);
    assert_int_equal(ask(&payload), STATUS_OK);
    assert_int_equal(w.length, 1 + 8);
    assert_int_equal(fake_count(w.board, DID_MULTIPLY), 0);
}

static void blocks_lie_in_the_array(void **state) {
    (void)state;
    static const struct {
        unsigned first_row, first_column, inputs, columns;
        uint8_t field;
        int32_t last;
    } CASES[] = {
        {0, 0, BOARD_ROWS + 1, 1, 2, BOARD_ROWS},           {0, 0, 1, FITTING + 1, 3, FITTING},
        {BOARD_ROWS - 4, 0, 5, 1, 0, BOARD_ROWS - 5},       {65535, 0, 5, 1, 0, BOARD_ROWS - 5},
        {0, BOARD_COLUMNS - 4, 1, 5, 1, BOARD_COLUMNS - 5},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        assert_int_equal(
            ask_block(CASES[i].first_row, CASES[i].first_column, CASES[i].inputs, CASES[i].columns),
            STATUS_OUT_OF_RANGE);
        assert_int_equal(w.answer[1], CASES[i].field);
        assert_int_equal(get_u32(w.answer + 12), CASES[i].last);
    }
    assert_int_equal(ask_block(BOARD_ROWS - 5, BOARD_COLUMNS - 5, 5, 5), STATUS_OK);
    assert_int_equal(ask_block(0, 0, FITTING, FITTING), STATUS_OK);
    assert_int_equal(w.length, 1 + 8 + FITTING * 2);
    assert_int_equal(ask_block(0, 0, 0, 1), STATUS_OUT_OF_RANGE);
    assert_int_equal(fake_count(w.board, DID_MULTIPLY), 2);
}

static void vectors_are_whole_and_have_room(void **state) {
    (void)state;
    payload_t payload = block(0, 0, 4, 30);
    codes(&payload, 7, BOARD_CODE_ZERO);
    assert_int_equal(ask(&payload), STATUS_BAD_LENGTH);
    assert_int_equal(get_u16(w.answer + 1), 10 + 7 * 2);
    assert_int_equal(get_u16(w.answer + 3), 10 + 8 * 2);
    codes(&payload, 9, BOARD_CODE_ZERO); /* four vectors of 30 sums, three fit */
    assert_int_equal(ask(&payload), STATUS_BAD_LENGTH);
    assert_int_equal(get_u16(w.answer + 3), 10 + 3 * 4 * 2);
}

static void rows_stay_at_the_read_level(void **state) {
    (void)state;
    for (int sign = -1; sign <= 1; sign += 2) {
        payload_t payload = block(0, 0, 2, 1);
        codes(&payload, 1, BOARD_CODE_ZERO);
        payload_t over = payload;
        codes(&payload, 1, (unsigned)((int)BOARD_CODE_ZERO + sign * (int)BOARD_MULTIPLY_CODE_MAX));
        assert_int_equal(ask(&payload), STATUS_OK);
        codes(&over, 1,
              (unsigned)((int)BOARD_CODE_ZERO + sign * ((int)BOARD_MULTIPLY_CODE_MAX + 1)));
        assert_int_equal(ask(&over), STATUS_OVER_LIMIT);
        assert_int_equal(get_u16(w.answer + 2), 1);
        assert_int_equal(get_u32(w.answer + 4), BOARD_MULTIPLY_CODE_MAX + 1);
        assert_int_equal(get_u32(w.answer + 8), BOARD_MULTIPLY_CODE_MAX);
    }
    assert_int_equal(fake_count(w.board, DID_MULTIPLY), 2);
}

static void the_safe_state_lets_them_through(void **state) {
    (void)state;
    assert_int_equal(wire_send(&w, 0, 0, MSG_STOP, NULL, 0), STATUS_OK);
    assert_int_equal(ask_block(0, 0, 3, 3), STATUS_OK);
}

static void a_run_makes_them_wait(void **state) {
    (void)state;
    wire_prepare_run(&w, 3, 0, 2);
    const run_words_t run = {.count = 1, .capture_tick = 2};
    assert_int_equal(wire_run(&w, &run), STATUS_OK);
    assert_int_equal(ask_block(0, 0, 3, 3), STATUS_BUSY);
}

static void a_fault_makes_safe(void **state) {
    (void)state;
    w.board->fault = FAULT_ADC;
    w.board->fault_in = DID_MULTIPLY;
    assert_int_equal(ask_block(0, 0, 3, 3), STATUS_FRONT_END);
    assert_int_equal(get_u16(w.answer + 1), FAULT_ADC);
    assert_int_equal(w.fw->safety.reason, SAFE_REASON_FAULT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, power_up, power_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(vectors_are_converted_in_order), TEST(no_vector_is_no_conversion),
        TEST(blocks_lie_in_the_array),        TEST(vectors_are_whole_and_have_room),
        TEST(rows_stay_at_the_read_level),    TEST(the_safe_state_lets_them_through),
        TEST(a_run_makes_them_wait),          TEST(a_fault_makes_safe),
    };
    return cmocka_run_group_tests_name("multiply", tests, NULL, NULL);
}
