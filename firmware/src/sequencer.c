#include "sequencer.h"

#include <string.h>

#include "noise.h"

void sequencer_forget(loop_t *loop) {
    sequencer_abort(loop, RUN_STATE_ABORTED);
    loop->run = (run_t){.state = RUN_STATE_IDLE};
    loop->connected = 0;
    memset(loop->pairs.initial_loaded, 0, sizeof loop->pairs.initial_loaded);
}

void sequencer_abort(loop_t *loop, uint8_t state) {
    const uint32_t lock = board_lock(loop->board);
    const bool running = sequencer_running(loop);
    if (running) {
        loop->run.phase = PHASE_IDLE;
        loop->run.state = state;
    }
    board_unlock(loop->board, lock);
    if (running) {
        board_run_end(loop->board);
    }
}

static void stop_by_fault(loop_t *loop, uint16_t fault) {
    loop->run.fault = fault;
    sequencer_abort(loop, RUN_STATE_ABORTED);
}

uint16_t sequencer_start(loop_t *loop) {
    run_t *run = &loop->run;
    const board_run_t setup = {.layers = loop->layers,
                               .run_id = run->run_id,
                               .count = run->count,
                               .capture_tick = run->capture_tick,
                               .tick_us = loop->waves->tick_us,
                               .noise = run->noise,
                               .seed = run->seed};
    const uint16_t fault = board_run_begin(loop->board, &setup);
    if (fault != FAULT_NONE) {
        return fault;
    }
    run->done = 0;
    run->fault = FAULT_NONE;
    run->state = RUN_STATE_RUNNING;
    run->phase = PHASE_PRESET;
    board_prepare_soon(loop->board);
    return FAULT_NONE;
}

/* The two noise words of a tick; a fault number. */
static uint16_t noise_of(loop_t *loop, const wave_t *wave, uint16_t words[2]) {
    run_t *run = &loop->run;
    uint32_t random[4] = {0};
    double normals[2] = {0.0, 0.0};
    if (run->noise != NOISE_NONE && wave->noise > 0) {
        const board_draw_t draw = {run->trajectory + run->done, run->tick};
        if (run->noise == NOISE_SEEDED) {
            noise_words(run->seed, draw.trajectory, draw.tick, 0, NOISE_STREAM_WAVE, random);
        } else {
            const uint16_t fault = board_random(loop->board, &draw, random);
            if (fault != FAULT_NONE) {
                return fault;
            }
        }
        noise_normals(random, normals);
    }
    for (size_t axis = 0; axis < 2; axis++) {
        words[axis] = noise_code(wave->offset[axis], wave->noise, normals[axis], &run->cut);
    }
    return FAULT_NONE;
}

/* Works out the words of the next tick and loads them. */
static void load(loop_t *loop) {
    run_t *run = &loop->run;
    uint16_t words[WORD_COUNT];
    if (run->tick < run->capture_tick) {
        const wave_t *wave = &loop->waves->waves[run->tick];
        words[WORD_DRIFT] = wave->drift;
        words[WORD_SCORE] = wave->score;
        const uint16_t fault = noise_of(loop, wave, words + WORD_NOISE);
        if (fault != FAULT_NONE) {
            stop_by_fault(loop, fault);
            return;
        }
        for (uint8_t i = 0; i < FW_EMBEDDINGS; i++) {
            words[WORD_EMBEDDING + i] = waves_embedding(loop->waves, run->tick, i);
        }
        board_load(loop->board, words);
    }
    run->ready = true;
}

static bool is_traced(const run_t *run) {
    return run->done < run->trace_count && run->tick % run->trace_every == 0;
}

static void store_point(loop_t *loop, const uint16_t x[2]) {
    const run_t *run = &loop->run;
    const size_t point = (size_t)run->done * run->trace_points + run->tick / run->trace_every;
    pair_put(loop->pairs.points[point], x);
}

static void preset(loop_t *loop) {
    run_t *run = &loop->run;
    uint16_t x[2];
    pair_get(loop->pairs.initial[run->first + run->done], x);
    const uint16_t fault = board_preset(loop->board, run->trajectory + run->done, x);
    if (fault != FAULT_NONE) {
        stop_by_fault(loop, fault);
        return;
    }
    run->tick = 0;
    load(loop);
    const uint32_t lock = board_lock(loop->board);
    const bool running = sequencer_running(loop);
    if (running) {
        run->phase = PHASE_SOLVE;
    }
    board_unlock(loop->board, lock);
    if (running) {
        board_start(loop->board);
    }
}

static void store(loop_t *loop) {
    run_t *run = &loop->run;
    uint16_t x[2];
    const uint16_t fault = board_convert(loop->board, run->tick, x);
    if (fault != FAULT_NONE) {
        stop_by_fault(loop, fault);
        return;
    }
    pair_put(loop->pairs.samples[run->done], x);
    if (is_traced(run)) {
        store_point(loop, x);
    }
    run->done++;
    const uint32_t lock = board_lock(loop->board);
    const bool over = sequencer_running(loop) && run->done == run->count;
    if (over) {
        run->phase = PHASE_IDLE;
        run->state = RUN_STATE_DONE;
    } else if (sequencer_running(loop)) {
        run->phase = PHASE_PRESET;
    }
    board_unlock(loop->board, lock);
    if (over) {
        board_run_end(loop->board);
    } else {
        board_prepare_soon(loop->board);
    }
}

void sequencer_prepare(loop_t *loop) {
    switch (loop->run.phase) {
    case PHASE_PRESET:
        preset(loop);
        break;
    case PHASE_SOLVE:
        if (!loop->run.ready) {
            load(loop);
        }
        break;
    case PHASE_HELD:
        store(loop);
        break;
    default:
        break;
    }
}

void sequencer_tick(loop_t *loop) {
    run_t *run = &loop->run;
    if (run->phase != PHASE_SOLVE) {
        return;
    }
    if (!run->ready) {
        sequencer_abort(loop, RUN_STATE_LATE);
        return;
    }
    run->ready = false;
    if (run->tick == run->capture_tick) {
        board_hold(loop->board, run->tick);
        run->phase = PHASE_HELD;
    } else {
        uint16_t x[2];
        if (is_traced(run)) {
            if (board_convert(loop->board, run->tick, x) == FAULT_NONE) {
                store_point(loop, x);
            } else {
                stop_by_fault(loop, FAULT_ADC);
                return;
            }
        }
        board_update(loop->board, run->tick);
        run->tick++;
    }
    board_prepare_soon(loop->board);
}
