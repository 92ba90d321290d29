/* The run sequencer: trajectory by trajectory, tick by tick.
 *
 *   sequencer_prepare   outside interrupts: presets, works out and loads the next tick's words,
 *                       converts and stores what was captured
 *   sequencer_tick      at each tick: updates the outputs to the loaded words, or holds
 *
 * When a tick comes before its words are loaded, nothing is updated: the run stops with
 * RUN_STATE_LATE. A late output never appears. The two functions share `ready` and `phase`;
 * everything else belongs to the one that the phase names. */
#ifndef SEQUENCER_H
#define SEQUENCER_H

#include <stdbool.h>
#include <stdint.h>

#include "bits.h"
#include "board.h"
#include "pairs.h"
#include "waves.h"

typedef enum {
    PHASE_IDLE,   /* no run */
    PHASE_PRESET, /* prepare: the next trajectory */
    PHASE_SOLVE,  /* tick: it is being solved; prepare: its next words */
    PHASE_HELD,   /* prepare: convert and store */
} phase_t;

typedef struct {
    uint8_t state; /* RUN_STATE_... */
    uint16_t run_id;
    uint16_t first; /* initial condition */
    uint16_t count;
    uint16_t capture_tick;
    uint8_t noise;
    uint64_t seed;
    uint32_t trajectory; /* number of the first; keys the noise */
    uint16_t trace_every;
    uint16_t trace_count;  /* trajectories with points */
    uint16_t trace_points; /* of each */
    volatile uint8_t phase;
    volatile bool ready;    /* words of `tick` are loaded */
    volatile uint16_t done; /* trajectories */
    uint16_t tick;          /* the next to be updated */
    uint16_t fault;         /* what ended the run; FAULT_NONE */
    uint32_t cut;           /* noise words cut off at an end of their converter */
} run_t;

typedef struct {
    uint8_t initial[FW_TRAJECTORIES_MAX][PAIR_BYTES];
    uint8_t initial_loaded[BITS_BYTES(FW_TRAJECTORIES_MAX)];
    uint8_t samples[FW_TRAJECTORIES_MAX][PAIR_BYTES];
    uint8_t points[FW_TRACE_POINTS_MAX][PAIR_BYTES]; /* trajectory by trajectory */
} pairs_t;

typedef struct {
    board_t *board;
    waves_t *waves;
    board_layer_t layers[FW_LAYERS];
    uint8_t connected; /* one bit per layer */
    run_t run;
    pairs_t pairs;
} loop_t;

/* Nothing loaded, nothing connected, no run. */
void sequencer_forget(loop_t *loop);

/* Begins a run whose request was checked and copied to `loop->run`; a fault number. */
uint16_t sequencer_start(loop_t *loop);

/* Ends a run in progress; what was captured stays readable. */
void sequencer_abort(loop_t *loop, uint8_t state);

static inline bool sequencer_running(const loop_t *loop) {
    return loop->run.state == RUN_STATE_RUNNING;
}

void sequencer_prepare(loop_t *loop);
void sequencer_tick(loop_t *loop);

#endif
