/* Modules that need no board: the door, limits, safety, noise, pairs, sessions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check.h"
#include "crc32.h"
#include "limits.h"
#include "noise.h"
#include "pairs.h"
#include "safety.h"
#include "session.h"

#define MS UINT64_C(1000000)

/* The refusal of a payload, 0 when it passes; `out` gets it. */
static uint8_t door(uint8_t code, const uint8_t *payload, size_t length, uint8_t *out) {
    request_t request;
    uint8_t *copy = malloc(length > 0 ? length : 1);
    memcpy(copy, payload, length);
    const size_t refused = check_payload(check_code(code), copy, length, out, &request);
    free(copy);
    return refused == 0 ? 0 : out[0];
}

static void check_crc(void **state) {
    (void)state;
    assert_int_equal(crc32_update(0, (const uint8_t *)"123456789", 9), 0xcbf43926u);
}

static void unknown_codes_have_no_row(void **state) {
    (void)state;
    assert_null(check_code(0x00));
    assert_null(check_code(0x7f));
    assert_non_null(check_code(MSG_RUN));
}

static void lengths(void **state) {
    (void)state;
    const uint8_t zeros[256] = {0};
    uint8_t out[STATUS_BYTES_MAX];
    static const struct {
        uint8_t code;
        uint16_t length, expected;
    } CASES[] = {
        {MSG_STATUS, 1, 0},      {MSG_ARM, 3, 4},         {MSG_ARM, 5, 4},
        {MSG_PULSE_READ, 1, 2},  {MSG_PULSE_READ, 3, 15}, {MSG_PULSE_READ, 16, 28},
        {MSG_WAVE_LOAD, 41, 78}, {MSG_STATUS, 221, 220},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        assert_int_equal(door(CASES[i].code, zeros, CASES[i].length, out), STATUS_BAD_LENGTH);
        assert_int_equal(get_u16(out + 1), CASES[i].length);
        assert_int_equal(get_u16(out + 3), CASES[i].expected);
    }
    assert_int_equal(door(MSG_STATUS, zeros, 0, out), 0);
    assert_int_equal(door(MSG_PULSE_READ, zeros, 2, out), 0);
}

static void range(const uint8_t *out, uint8_t field, uint16_t entry, int32_t value, int32_t low,
                  int32_t high) {
    assert_int_equal(out[1], field);
    assert_int_equal(get_u16(out + 2), entry);
    assert_int_equal((int32_t)get_u32(out + 4), value);
    assert_int_equal((int32_t)get_u32(out + 8), low);
    assert_int_equal((int32_t)get_u32(out + 12), high);
}

static void ranges(void **state) {
    (void)state;
    uint8_t out[STATUS_BYTES_MAX];
    uint8_t pulses[28] = {0};
    put_u32(pulses + 11, 1);
    put_u32(pulses + 24, 1);
    pulses[19] = 3;
    assert_int_equal(door(MSG_PULSE_READ, pulses, 28, out), STATUS_OUT_OF_RANGE);
    range(out, 2, 1, 3, 0, 2);
    pulses[19] = 2;
    put_u32(pulses + 24, 0);
    assert_int_equal(door(MSG_PULSE_READ, pulses, 28, out), STATUS_OUT_OF_RANGE);
    range(out, 5, 1, 0, 1, INT32_MAX);
    put_u16(pulses, 4096);
    assert_int_equal(door(MSG_PULSE_READ, pulses, 28, out), STATUS_OUT_OF_RANGE);
    range(out, 0, 0, 4096, 0, 4095);
    uint8_t offsets[28] = {0};
    put_u16(offsets + 26, (uint16_t)-4096);
    assert_int_equal(door(MSG_WAVE_CLASS, offsets, 28, out), STATUS_OUT_OF_RANGE);
    range(out, 0, 0, -4096, -4095, 4095);
    put_u16(offsets + 26, (uint16_t)-4095);
    assert_int_equal(door(MSG_WAVE_CLASS, offsets, 28, out), 0);
    uint8_t duration[8] = {0};
    assert_int_equal(door(MSG_ADVANCE, duration, 8, out), STATUS_OUT_OF_RANGE);
    range(out, 0, 0, 0, 1, INT32_MAX);
    memset(duration, 0xff, 8);
    assert_int_equal(door(MSG_ADVANCE, duration, 8, out), 0);
}

static void limits_are_lowered_never_raised(void **state) {
    (void)state;
    uint8_t out[STATUS_BYTES_MAX];
    limits_t limits = HARD_LIMITS;
    limits_lower_request_t wanted = {OPERATION_RESET,           BOARD_RESET_GATE_MAX,
                                     BOARD_RESET_LINE_MAX,      BOARD_RESET_WIDTH_MAX,
                                     BOARD_PULSES_PER_CELL_MAX, BOARD_RESET_ENERGY_MAX,
                                     BOARD_ARM_MS_MAX};
    assert_int_equal(limits_lower(&limits, &wanted, out), 0);
    wanted.gate_max = 500;
    wanted.pulses_per_cell_max = 3;
    assert_int_equal(limits_lower(&limits, &wanted, out), 0);
    wanted.gate_max = 501;
    assert_true(limits_lower(&limits, &wanted, out) > 0);
    assert_int_equal(out[0], STATUS_OVER_LIMIT);
    assert_int_equal(out[1], 1);
    assert_int_equal(get_u32(out + 4), 501);
    assert_int_equal(get_u32(out + 8), 500);
    assert_int_equal(limits.operations[OPERATION_RESET].gate_max, 500);
    assert_int_equal(limits.operations[OPERATION_SET].gate_max, BOARD_SET_GATE_MAX);
    wanted.gate_max = 500;
    wanted.pulses_per_cell_max = 4;
    assert_true(limits_lower(&limits, &wanted, out) > 0);
    assert_int_equal(out[1], 4);
    wanted.pulses_per_cell_max = 3;
    wanted.energy_max++;
    assert_true(limits_lower(&limits, &wanted, out) > 0);
    assert_int_equal(out[1], 5);
    wanted.energy_max = 100;
    wanted.arm_ms_max++;
    assert_true(limits_lower(&limits, &wanted, out) > 0);
    assert_int_equal(out[1], 6);
    assert_int_equal(limits.operations[OPERATION_RESET].energy_max, BOARD_RESET_ENERGY_MAX);
    wanted.arm_ms_max = 1000;
    assert_int_equal(limits_lower(&limits, &wanted, out), 0);
    assert_int_equal(limits.operations[OPERATION_RESET].energy_max, 100);
    assert_int_equal(limits.arm_ms_max, 1000);
}

static void the_energy_of_a_pulse_bounds_its_width(void **state) {
    (void)state;
    uint8_t out[STATUS_BYTES_MAX];
    limits_t limits = HARD_LIMITS;
    limits.operations[OPERATION_SET].energy_max = 300000;
    const uint32_t longest = 300000u * BOARD_ENERGY_UNIT / (2000u * 2000u);
    pulse_read_request_entry_t pulse = {0, 0, OPERATION_SET, 0, 2000, longest};
    assert_int_equal(limits_check(&limits, &pulse, 0, out), 0);
    pulse.width_ticks++;
    assert_true(limits_check(&limits, &pulse, 0, out) > 0);
    assert_int_equal(out[1], 5);
    assert_int_equal(get_u32(out + 8), longest);
    pulse.line_code = 0;
    pulse.width_ticks = BOARD_SET_WIDTH_MAX;
    assert_int_equal(limits_check(&limits, &pulse, 0, out), 0);
    limits.operations[OPERATION_SET].energy_max = 0;
    pulse.line_code = 1;
    pulse.width_ticks = 1;
    assert_true(limits_check(&limits, &pulse, 0, out) > 0);
}

static void pulses_over_a_limit_are_named(void **state) {
    (void)state;
    uint8_t out[STATUS_BYTES_MAX];
    pulse_read_request_entry_t pulse = {
        0, 0, OPERATION_FORM, BOARD_FORM_GATE_MAX, BOARD_FORM_LINE_MAX, BOARD_FORM_WIDTH_MAX};
    assert_int_equal(limits_check(&HARD_LIMITS, &pulse, 4, out), 0);
    pulse.width_ticks++;
    assert_true(limits_check(&HARD_LIMITS, &pulse, 4, out) > 0);
    assert_int_equal(out[1], 5);
    assert_int_equal(get_u16(out + 2), 4);
    pulse.line_code++;
    assert_true(limits_check(&HARD_LIMITS, &pulse, 4, out) > 0);
    assert_int_equal(out[1], 4);
    pulse.gate_code++;
    assert_true(limits_check(&HARD_LIMITS, &pulse, 4, out) > 0);
    assert_int_equal(out[1], 3);
}

static void arming_ends(void **state) {
    (void)state;
    safety_t safety;
    safety_init(&safety);
    assert_int_equal(safety.reason, SAFE_REASON_POWER_UP);
    assert_false(safety_latched(&safety));
    assert_int_equal(safety_arm(&safety, 10 * MS, 5 * MS), 15 * MS);
    assert_int_equal(safety_armed_ns(&safety, 12 * MS), 3 * MS);
    safety_feed(&safety, 14 * MS);
    assert_int_equal(safety.reason, SAFE_REASON_NONE);
    safety_feed(&safety, 15 * MS);
    assert_int_equal(safety_armed_ns(&safety, 15 * MS), 0);
    assert_int_equal(safety.reason, SAFE_REASON_ARM_TIMEOUT);
    assert_false(safety_latched(&safety));
}

static void silence_bites_while_armed_or_running(void **state) {
    (void)state;
    const uint64_t watchdog = BOARD_WATCHDOG_MS * MS;
    safety_t safety;
    safety_init(&safety);
    assert_false(safety_silence(&safety, 10 * watchdog, false));
    safety_feed(&safety, 10 * watchdog);
    (void)safety_arm(&safety, 10 * watchdog, 100 * watchdog);
    assert_false(safety_silence(&safety, 11 * watchdog - 1, false));
    assert_true(safety_silence(&safety, 11 * watchdog, false));
    assert_int_equal(safety.reason, SAFE_REASON_WATCHDOG);
    assert_false(safety_silence(&safety, 12 * watchdog, false));
    assert_true(safety_silence(&safety, 12 * watchdog, true));
}

static void an_arming_that_ends_in_the_silence_is_no_watchdog(void **state) {
    (void)state;
    const uint64_t watchdog = BOARD_WATCHDOG_MS * MS;
    safety_t safety;
    safety_init(&safety);
    (void)safety_arm(&safety, 0, watchdog / 2);
    assert_false(safety_silence(&safety, 3 * watchdog, false));
    assert_int_equal(safety.reason, SAFE_REASON_ARM_TIMEOUT);
}

static void lesser_reasons_do_not_cover_up(void **state) {
    (void)state;
    safety_t safety;
    safety_init(&safety);
    safety_make_safe(&safety, SAFE_REASON_STOP);
    safety_make_safe(&safety, SAFE_REASON_DISARM);
    assert_int_equal(safety.reason, SAFE_REASON_STOP);
    safety_make_safe(&safety, SAFE_REASON_WATCHDOG);
    assert_int_equal(safety.reason, SAFE_REASON_WATCHDOG);
    safety_make_safe(&safety, SAFE_REASON_FAULT);
    safety_make_safe(&safety, SAFE_REASON_STOP);
    assert_int_equal(safety.reason, SAFE_REASON_FAULT);
    safety_make_safe(&safety, SAFE_REASON_INTERLOCK);
    assert_int_equal(safety.reason, SAFE_REASON_INTERLOCK);
    assert_int_equal(safety_greet(&safety), SAFE_REASON_INTERLOCK);
    assert_true(safety_latched(&safety));
}

/* The words of the paper's own implementation (Random123, kat_vectors). */
static void philox(void **state) {
    (void)state;
    uint32_t words[4];
    noise_words(0, 0, 0, 0, 0, words);
    assert_int_equal(words[0], 0x6627e8d5u);
    assert_int_equal(words[1], 0xe169c58du);
    assert_int_equal(words[2], 0xbc57ac4cu);
    assert_int_equal(words[3], 0x9b00dbd8u);
    noise_words(UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, words);
    assert_int_equal(words[0], 0x408f276du);
    assert_int_equal(words[1], 0x41c83b0eu);
    assert_int_equal(words[2], 0xa20bc7c6u);
    assert_int_equal(words[3], 0x6d5451fdu);
}

static void normals_are_normal(void **state) {
    (void)state;
    double sum = 0.0;
    double squares = 0.0;
    const uint32_t count = 20000;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t words[4];
        double pair[2];
        noise_words(11, i, 3, 0, NOISE_STREAM_WAVE, words);
        noise_normals(words, pair);
        sum += pair[0] + pair[1];
        squares += pair[0] * pair[0] + pair[1] * pair[1];
    }
    assert_true(fabs(sum / (2.0 * count)) < 0.02);
    assert_true(fabs(squares / (2.0 * count) - 1.0) < 0.03);
    const uint32_t least[2] = {0, 0};
    double extreme[2];
    noise_normals(least, extreme);
    assert_true(isfinite(extreme[0]) && extreme[0] < 6.77);
}

static void noise_codes_stay_in_range(void **state) {
    (void)state;
    uint32_t cut = 0;
    assert_int_equal(noise_code(2048, 100, 1.0, &cut), 2148);
    assert_int_equal(noise_code(2048, 1, 0.5, &cut), 2048);
    assert_int_equal(noise_code(2049, 1, 0.5, &cut), 2050);
    assert_int_equal(cut, 0);
    assert_int_equal(noise_code(2048, 1000, -4.0, &cut), 0);
    assert_int_equal(noise_code(2048, 1000, 4.0, &cut), 4095);
    assert_int_equal(cut, 2);
}

static void pairs_come_back(void **state) {
    (void)state;
    static const uint16_t VALUES[] = {0, 1, 255, 256, 2048, 4094, 4095};
    for (size_t i = 0; i < 7; i++) {
        for (size_t j = 0; j < 7; j++) {
            const uint16_t codes[2] = {VALUES[i], VALUES[j]};
            uint8_t *pair = malloc(PAIR_BYTES);
            uint16_t back[2];
            pair_put(pair, codes);
            pair_get(pair, back);
            free(pair);
            assert_memory_equal(codes, back, sizeof codes);
        }
    }
}

static void sessions_have_numbers(void **state) {
    (void)state;
    session_t *session = calloc(1, sizeof *session);
    assert_false(session_knows(session, 0));
    session_open(session, 5);
    const uint16_t first = session->number;
    assert_true(first != 0 && session_knows(session, 5));
    session->nonce = 6; /* another nonce with the same number */
    session_open(session, 5);
    assert_int_equal(session->number, (uint16_t)(first + 1));
    free(session);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_crc),
        cmocka_unit_test(unknown_codes_have_no_row),
        cmocka_unit_test(lengths),
        cmocka_unit_test(ranges),
        cmocka_unit_test(limits_are_lowered_never_raised),
        cmocka_unit_test(the_energy_of_a_pulse_bounds_its_width),
        cmocka_unit_test(pulses_over_a_limit_are_named),
        cmocka_unit_test(arming_ends),
        cmocka_unit_test(silence_bites_while_armed_or_running),
        cmocka_unit_test(an_arming_that_ends_in_the_silence_is_no_watchdog),
        cmocka_unit_test(lesser_reasons_do_not_cover_up),
        cmocka_unit_test(philox),
        cmocka_unit_test(normals_are_normal),
        cmocka_unit_test(noise_codes_stay_in_range),
        cmocka_unit_test(pairs_come_back),
        cmocka_unit_test(sessions_have_numbers),
    };
    return cmocka_run_group_tests_name("parts", tests, NULL, NULL);
}
