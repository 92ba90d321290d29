/* Waveforms, layers, the run sequencer and what it captures, tick by tick on the fake board. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "noise.h"
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
    assert_int_equal(w.board->locked, 0);
    wire_close(&w);
    return 0;
}

/* What a port does at a tick: first the timer's part, then the one outside the interrupt. */
static void tick(void) {
    sequencer_tick(&w.fw->loop);
    sequencer_prepare(&w.fw->loop);
}

static uint8_t progress(uint16_t *done) {
    assert_int_equal(wire_ask(&w, MSG_PROGRESS, NULL, 0), STATUS_OK);
    *done = get_u16(w.answer + 12);
    return w.answer[11];
}

static uint8_t state_of_run(void) {
    uint16_t done = 0;
    return progress(&done);
}

static void begin_waves(uint16_t ticks) {
    payload_t begin = {0};
    payload_u16(&begin, ticks);
    payload_u32(&begin, 5000);
    assert_int_equal(wire_ask(&w, MSG_WAVE_BEGIN, begin.bytes, begin.length), STATUS_OK);
}

static payload_t flat_tick(uint16_t first, uint16_t embedding) {
    payload_t payload = {0};
    payload_u16(&payload, first);
    payload_u16(&payload, 2048);
    payload_u16(&payload, 2048);
    payload_u16(&payload, 0);
    payload_u16(&payload, 2048);
    payload_u16(&payload, 2048);
    for (int i = 0; i < 14; i++) {
        payload_u16(&payload, embedding);
    }
    return payload;
}

static void waveforms_have_a_beginning(void **state) {
    (void)state;
    payload_t begin = {0};
    payload_u16(&begin, FW_TICKS_MAX + 1);
    payload_u32(&begin, 5000);
    assert_int_equal(wire_ask(&w, MSG_WAVE_BEGIN, begin.bytes, 6), STATUS_OUT_OF_RANGE);
    put_u16(begin.bytes, FW_TICKS_MAX);
    put_u32(begin.bytes + 2, FW_TICK_US_MIN - 1);
    assert_int_equal(wire_ask(&w, MSG_WAVE_BEGIN, begin.bytes, 6), STATUS_OUT_OF_RANGE);
    payload_t load = flat_tick(0, 2048);
    assert_int_equal(wire_ask(&w, MSG_WAVE_LOAD, load.bytes, load.length), STATUS_NOT_READY);
    const uint8_t zeros[28] = {0};
    assert_int_equal(wire_ask(&w, MSG_WAVE_CLASS, zeros, 28), STATUS_NOT_READY);
    assert_int_equal(wire_ask(&w, MSG_WAVE_COMMIT, zeros, 4), STATUS_NOT_READY);
    begin_waves(2);
    load = flat_tick(2, 2048);
    assert_int_equal(wire_ask(&w, MSG_WAVE_LOAD, load.bytes, load.length), STATUS_OUT_OF_RANGE);
    assert_int_equal(get_u32(w.answer + 12), 1);
    load = flat_tick(1, 2048);
    assert_int_equal(wire_ask(&w, MSG_WAVE_LOAD, load.bytes, load.length), STATUS_OK);
    assert_int_equal(wire_ask(&w, MSG_WAVE_COMMIT, zeros, 4), STATUS_NOT_READY);
    load = flat_tick(0, 2048);
    assert_int_equal(wire_ask(&w, MSG_WAVE_LOAD, load.bytes, load.length), STATUS_OK);
    assert_int_equal(wire_ask(&w, MSG_WAVE_COMMIT, zeros, 4), STATUS_CRC_MISMATCH);
    assert_false(w.fw->waves.committed);
}

static void class_offsets_stay_in_range(void **state) {
    (void)state;
    begin_waves(2);
    payload_t class = {0};
    for (int i = 0; i < 14; i++) {
        payload_u16(&class, i == 5 ? 2000 : 0);
    }
    payload_t load = flat_tick(0, 2000);
    assert_int_equal(wire_ask(&w, MSG_WAVE_CLASS, class.bytes, class.length), STATUS_OK);
    assert_int_equal(wire_ask(&w, MSG_WAVE_LOAD, load.bytes, load.length), STATUS_OK);
    load = flat_tick(0, 2096);
    assert_int_equal(wire_ask(&w, MSG_WAVE_LOAD, load.bytes, load.length), STATUS_OUT_OF_RANGE);
    assert_int_equal(w.answer[1], 4);
    assert_int_equal(get_u32(w.answer + 4), 4096);
    put_u16(class.bytes + 10, (uint16_t)-2001);
    assert_int_equal(wire_ask(&w, MSG_WAVE_CLASS, class.bytes, class.length), STATUS_OUT_OF_RANGE);
    assert_int_equal((int32_t)get_u32(w.answer + 4), -1);
    assert_int_equal(waves_embedding(&w.fw->waves, 0, 5), 4000); /* as before the refusals */
}

static void layers_have_fixed_sizes(void **state) {
    (void)state;
    uint8_t layer[14] = {0, 0, 0, 0, 0, 3, 0, 14, 0, 1, 1, 0, 0, 0};
    assert_int_equal(wire_ask(&w, MSG_LOOP_LAYER, layer, 14), STATUS_OK);
    layer[5] = 4;
    assert_int_equal(wire_ask(&w, MSG_LOOP_LAYER, layer, 14), STATUS_OUT_OF_RANGE);
    layer[5] = 3;
    layer[7] = 13;
    assert_int_equal(wire_ask(&w, MSG_LOOP_LAYER, layer, 14), STATUS_OUT_OF_RANGE);
    layer[7] = 14;
    layer[1] = BOARD_ROWS - 2;
    assert_int_equal(wire_ask(&w, MSG_LOOP_LAYER, layer, 14), STATUS_OUT_OF_RANGE);
    assert_int_equal(w.answer[1], 1);
    layer[1] = 0;
    layer[3] = BOARD_COLUMNS - 27;
    assert_int_equal(wire_ask(&w, MSG_LOOP_LAYER, layer, 14), STATUS_OUT_OF_RANGE);
    assert_int_equal(get_u32(w.answer + 12), BOARD_COLUMNS - 28);
    layer[9] = 0;
    assert_int_equal(wire_ask(&w, MSG_LOOP_LAYER, layer, 14), STATUS_OK);
}

static void a_run_says_what_it_needs(void **state) {
    (void)state;
    const run_words_t run = {.count = 1, .capture_tick = 2};
    assert_int_equal(wire_run(&w, &run), STATUS_NOT_READY);
    assert_int_equal(w.answer[1], PART_WAVEFORMS);
    wire_prepare_run(&w, 3, 0, 2);
    run_words_t asked = {.count = 3, .capture_tick = 2};
    assert_int_equal(wire_run(&w, &asked), STATUS_NOT_READY);
    assert_int_equal(w.answer[1], PART_INITIAL_CONDITIONS);
    asked = (run_words_t){.first = FW_TRAJECTORIES_MAX - 1, .count = 2, .capture_tick = 2};
    assert_int_equal(wire_run(&w, &asked), STATUS_OUT_OF_RANGE);
    assert_int_equal(w.answer[1], 2);
    asked = (run_words_t){.count = 2, .capture_tick = 4};
    assert_int_equal(wire_run(&w, &asked), STATUS_OUT_OF_RANGE);
    assert_int_equal(w.answer[1], 3);
    asked = (run_words_t){.count = 2, .capture_tick = 2, .trajectory = UINT32_MAX};
    assert_int_equal(wire_run(&w, &asked), STATUS_OUT_OF_RANGE);
    assert_int_equal(w.answer[1], 6);
    asked = (run_words_t){.count = 2, .capture_tick = 2, .trace_every = 1, .trace_count = 3};
    assert_int_equal(wire_run(&w, &asked), STATUS_OUT_OF_RANGE);
    assert_int_equal(w.answer[1], 8);
    w.board->no_random = true;
    asked = (run_words_t){.count = 2, .capture_tick = 2, .noise = NOISE_HARDWARE};
    assert_int_equal(wire_run(&w, &asked), STATUS_NOT_SUPPORTED);
    w.fw->loop.connected = 3;
    assert_int_equal(wire_run(&w, &run), STATUS_NOT_READY);
    assert_int_equal(w.answer[1], PART_LAYERS);
    payload_t initial = {0};
    payload_u16(&initial, FW_TRAJECTORIES_MAX);
    payload_u32(&initial, 0);
    assert_int_equal(wire_ask(&w, MSG_INITIAL, initial.bytes, 6), STATUS_OUT_OF_RANGE);
}

static void a_solve_goes_tick_by_tick(void **state) {
    (void)state;
    wire_prepare_run(&w, 4, 0, 2);
    fake_forget(w.board);
    const run_words_t run = {.run_id = 9, .count = 2, .capture_tick = 3, .trajectory = 70};
    assert_int_equal(wire_run(&w, &run), STATUS_OK);
    assert_int_equal(get_u64(w.answer + 1), 2 * (BOARD_RUN_OVERHEAD_NS / 1000 + 3 * 5000));
    sequencer_prepare(&w.fw->loop); /* as board_prepare_soon has asked */
    uint16_t done = 9;
    assert_int_equal(progress(&done), RUN_STATE_RUNNING);
    assert_int_equal(done, 0);
    for (int i = 0; i < 4; i++) {
        tick();
    }
    assert_int_equal(progress(&done), RUN_STATE_RUNNING);
    assert_int_equal(done, 1);
    static const fake_deed_t ONE[] = {DID_RUN_BEGIN, DID_PRESET, DID_LOAD,   DID_START,
                                      DID_UPDATE,    DID_LOAD,   DID_UPDATE, DID_LOAD,
                                      DID_UPDATE,    DID_HOLD,   DID_CONVERT};
    assert_int_equal(w.board->deeds, sizeof ONE / sizeof ONE[0]);
    assert_memory_equal(w.board->log, ONE, sizeof ONE);
    assert_int_equal(w.board->detail[1], 70);
    assert_int_equal(w.board->driven[WORD_DRIFT], 1002);
    sequencer_prepare(&w.fw->loop);
    for (int i = 0; i < 4; i++) {
        tick();
    }
    assert_int_equal(progress(&done), RUN_STATE_DONE);
    assert_int_equal(done, 2);
    assert_int_equal(w.board->log[w.board->deeds - 1], DID_RUN_END);
    const uint8_t both[3] = {0, 0, 2};
    assert_int_equal(wire_ask(&w, MSG_SAMPLES, both, 3), STATUS_OK);
    assert_int_equal(get_u16(w.answer + 1), 100);
    assert_int_equal(get_u16(w.answer + 5), 101);
    assert_int_equal(get_u16(w.answer + 7), 3999);
    const uint8_t more[3] = {1, 0, 2};
    assert_int_equal(wire_ask(&w, MSG_SAMPLES, more, 3), STATUS_NO_DATA);
    const uint8_t none[5] = {0, 0, 0, 0, 1};
    assert_int_equal(wire_ask(&w, MSG_TRACE, none, 5), STATUS_NO_DATA);
    tick(); /* a tick after the end is nothing */
    assert_int_equal(state_of_run(), RUN_STATE_DONE);
}

static void points_are_captured_on_the_way(void **state) {
    (void)state;
    wire_prepare_run(&w, 4, 0, 3);
    const run_words_t run = {.count = 3, .capture_tick = 4, .trace_every = 2, .trace_count = 2};
    assert_int_equal(wire_run(&w, &run), STATUS_OK);
    for (int i = 0; i < 3; i++) {
        sequencer_prepare(&w.fw->loop);
        for (int k = 0; k < 5; k++) {
            tick();
        }
    }
    assert_int_equal(state_of_run(), RUN_STATE_DONE);
    const uint8_t points[5] = {1, 0, 0, 0, 3};
    assert_int_equal(wire_ask(&w, MSG_TRACE, points, 5), STATUS_OK);
    assert_int_equal(get_u16(w.answer + 1), 101); /* as preset, then one more at each conversion */
    assert_int_equal(get_u16(w.answer + 5), 102);
    assert_int_equal(get_u16(w.answer + 9), 103);
    const uint8_t sample[3] = {1, 0, 1};
    assert_int_equal(wire_ask(&w, MSG_SAMPLES, sample, 3), STATUS_OK);
    assert_int_equal(get_u16(w.answer + 1), 103);
    const uint8_t beyond[5] = {1, 0, 1, 0, 3};
    assert_int_equal(wire_ask(&w, MSG_TRACE, beyond, 5), STATUS_NO_DATA);
    assert_int_equal(get_u16(w.answer + 3), 3);
    const uint8_t third[5] = {2, 0, 0, 0, 1};
    assert_int_equal(wire_ask(&w, MSG_TRACE, third, 5), STATUS_NO_DATA);
}

static void late_words_are_never_output(void **state) {
    (void)state;
    wire_prepare_run(&w, 4, 0, 1);
    const run_words_t run = {.count = 1, .capture_tick = 4};
    assert_int_equal(wire_run(&w, &run), STATUS_OK);
    sequencer_prepare(&w.fw->loop);
    sequencer_tick(&w.fw->loop);
    fake_forget(w.board);
    sequencer_tick(&w.fw->loop); /* nobody has loaded tick 1 */
    assert_int_equal(fake_count(w.board, DID_UPDATE), 0);
    assert_int_equal(fake_count(w.board, DID_RUN_END), 1);
    assert_int_equal(state_of_run(), RUN_STATE_LATE);
    sequencer_prepare(&w.fw->loop);
    assert_int_equal(fake_count(w.board, DID_LOAD), 0);
}

static void seeded_noise_is_keyed_by_trajectory_and_tick(void **state) {
    (void)state;
    wire_prepare_run(&w, 2, 300, 1);
    const run_words_t run = {.count = 1,
                             .capture_tick = 2,
                             .noise = NOISE_SEEDED,
                             .seed = UINT64_C(0x123456789abcdef),
                             .trajectory = 41};
    assert_int_equal(wire_run(&w, &run), STATUS_OK);
    sequencer_prepare(&w.fw->loop);
    for (uint32_t k = 0; k < 2; k++) {
        uint32_t words[4];
        double normals[2];
        uint32_t cut = 0;
        noise_words(run.seed, 41, k, 0, NOISE_STREAM_WAVE, words);
        noise_normals(words, normals);
        assert_int_equal(w.board->loaded[WORD_NOISE], noise_code(2048, 300, normals[0], &cut));
        assert_int_equal(w.board->loaded[WORD_NOISE + 1], noise_code(2048, 300, normals[1], &cut));
        tick();
    }
}

static void hardware_noise_comes_from_the_board(void **state) {
    (void)state;
    wire_prepare_run(&w, 2, 300, 1);
    w.board->random[0] = 0x80000000u;
    w.board->random[1] = 0x40000000u; /* a quarter turn: all of it on the second axis */
    const run_words_t run = {
        .count = 1, .capture_tick = 2, .noise = NOISE_HARDWARE, .trajectory = 5};
    assert_int_equal(wire_run(&w, &run), STATUS_OK);
    sequencer_prepare(&w.fw->loop);
    assert_int_equal(w.board->draw.trajectory, 5);
    assert_int_equal(w.board->loaded[WORD_NOISE], 2048);
    assert_int_equal(w.board->loaded[WORD_NOISE + 1], 2048 + 353);
    w.board->fault = FAULT_RANDOM;
    w.board->fault_in = DID_LOAD;
    tick();
    assert_int_equal(state_of_run(), RUN_STATE_ABORTED);
    assert_int_equal(w.fw->safety.reason, SAFE_REASON_FAULT);
}

static void faults_end_a_run(void **state) {
    (void)state;
    static const fake_deed_t WHERE[] = {DID_PRESET, DID_CONVERT, DID_CONVERT};
    for (size_t i = 0; i < 3; i++) {
        wire_hello(&w, 100 + (uint32_t)i);
        const uint8_t fault = SAFE_REASON_FAULT;
        wire_ask(&w, MSG_SAFE_CLEAR, &fault, 1);
        wire_prepare_run(&w, 2, 0, 1);
        const run_words_t run = {
            .count = 1, .capture_tick = 2, .trace_every = 1, .trace_count = i == 1 ? 1 : 0};
        assert_int_equal(wire_run(&w, &run), STATUS_OK);
        w.board->fault = FAULT_ADC;
        w.board->fault_in = WHERE[i];
        sequencer_prepare(&w.fw->loop);
        for (int k = 0; k < 4; k++) {
            tick();
        }
        fw_poll(w.fw);
        assert_int_equal(w.fw->safety.reason, SAFE_REASON_FAULT);
        assert_int_equal(state_of_run(), RUN_STATE_ABORTED);
    }
    wire_hello(&w, 200);
    const uint8_t fault = SAFE_REASON_FAULT;
    wire_ask(&w, MSG_SAFE_CLEAR, &fault, 1);
    wire_prepare_run(&w, 2, 0, 1);
    w.board->fault = 7;
    w.board->fault_in = DID_RUN_BEGIN;
    const run_words_t run = {.count = 1, .capture_tick = 2};
    assert_int_equal(wire_run(&w, &run), STATUS_FRONT_END);
}

static void much_is_refused_while_running(void **state) {
    (void)state;
    wire_prepare_run(&w, 4, 0, 2);
    const run_words_t run = {.run_id = 6, .count = 1, .capture_tick = 4};
    assert_int_equal(wire_run(&w, &run), STATUS_OK);
    const uint8_t zeros[64] = {0};
    uint8_t begin[6] = {1, 0, 136, 19, 0, 0};
    uint8_t layer[14] = {0, 0, 0, 0, 0, 3, 0, 14, 0, 1, 1, 0, 0, 0};
    uint8_t probe[7] = {0, 0, 0, 0, 0, 0, 1};
    uint8_t read[7] = {100, 0, 1, 0, 0, 0, 0};
    assert_int_equal(wire_ask(&w, MSG_WAVE_BEGIN, begin, 6), STATUS_BUSY);
    assert_int_equal(wire_ask(&w, MSG_WAVE_LOAD, zeros, 40), STATUS_BUSY);
    assert_int_equal(wire_ask(&w, MSG_WAVE_CLASS, zeros, 28), STATUS_BUSY);
    assert_int_equal(wire_ask(&w, MSG_WAVE_COMMIT, zeros, 4), STATUS_BUSY);
    assert_int_equal(wire_ask(&w, MSG_LOOP_LAYER, layer, 14), STATUS_BUSY);
    assert_int_equal(wire_ask(&w, MSG_INITIAL, zeros, 6), STATUS_BUSY);
    assert_int_equal(wire_ask(&w, MSG_PROBE, probe, 7), STATUS_BUSY);
    assert_int_equal(wire_ask(&w, MSG_READ, read, 7), STATUS_BUSY);
    assert_int_equal(wire_run(&w, &run), STATUS_BUSY);
    assert_int_equal(get_u16(w.answer + 1), 6);
    assert_int_equal(wire_send(&w, 0, 0, MSG_STOP, NULL, 0), STATUS_OK);
    assert_int_equal(state_of_run(), RUN_STATE_ABORTED);
    assert_int_equal(wire_run(&w, &run), STATUS_SAFE_STATE);
}

static void silence_ends_a_run(void **state) {
    (void)state;
    wire_prepare_run(&w, 4, 0, 1);
    const run_words_t run = {.count = 1, .capture_tick = 4};
    assert_int_equal(wire_run(&w, &run), STATUS_OK);
    w.board->time_ns += BOARD_WATCHDOG_MS * UINT64_C(1000000);
    fw_poll(w.fw);
    assert_int_equal(w.fw->safety.reason, SAFE_REASON_WATCHDOG);
    assert_int_equal(state_of_run(), RUN_STATE_ABORTED);
}

static void probes_hold_the_loop(void **state) {
    (void)state;
    uint8_t probe[7] = {0, 0, 232, 3, 0, 0, 2};
    assert_int_equal(wire_ask(&w, MSG_PROBE, probe, 7), STATUS_NOT_READY);
    wire_prepare_run(&w, 2, 0, 1);
    assert_int_equal(wire_ask(&w, MSG_PROBE, probe, 7), STATUS_OK);
    assert_int_equal(w.length, 1 + 4 * FW_PROBES);
    assert_int_equal(get_u32(w.answer + 1), 2 * (1000 + 2048));
    w.board->fault = 3;
    w.board->fault_in = DID_PROBE;
    assert_int_equal(wire_ask(&w, MSG_PROBE, probe, 7), STATUS_FRONT_END);
    probe[0] = 2;
    assert_int_equal(wire_ask(&w, MSG_PROBE, probe, 7), STATUS_OUT_OF_RANGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, power_up, power_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(waveforms_have_a_beginning),
        TEST(class_offsets_stay_in_range),
        TEST(layers_have_fixed_sizes),
        TEST(a_run_says_what_it_needs),
        TEST(a_solve_goes_tick_by_tick),
        TEST(points_are_captured_on_the_way),
        TEST(late_words_are_never_output),
        TEST(seeded_noise_is_keyed_by_trajectory_and_tick),
        TEST(hardware_noise_comes_from_the_board),
        TEST(faults_end_a_run),
        TEST(much_is_refused_while_running),
        TEST(silence_ends_a_run),
        TEST(probes_hold_the_loop),
    };
    return cmocka_run_group_tests_name("runs", tests, NULL, NULL);
}
