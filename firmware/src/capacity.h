/* How much one board holds. All memory is static, so these figures are the RAM. */
#ifndef CAPACITY_H
#define CAPACITY_H

#include "board_limits.h"
#include "messages.h"

#define FW_WINDOW            8u    /* requests in flight, and responses remembered */
#define FW_TICKS_MAX         512u  /* of the waveforms */
#define FW_TICK_US_MIN       100u  /* shortest tick */
#define FW_TRAJECTORIES_MAX  2048u /* initial conditions, and samples of one run */
#define FW_TRACE_POINTS_MAX  4096u /* points of captured trajectories of one run */
#define FW_TRAJECTORIES_POLL 256u  /* most that one poll of a board with virtual time solves */

#define FW_LAYERS     3u
#define FW_EMBEDDINGS 14u
#define FW_PROBES     (2u * BOARD_HIDDEN_WIDTH + 2u)
#define FW_CELLS      (BOARD_ROWS * BOARD_COLUMNS)

/* Words of one tick, in the order in which every board gets them. */
enum {
    WORD_DRIFT = 0,
    WORD_SCORE = 1,
    WORD_NOISE = 2, /* two */
    WORD_EMBEDDING = 4,
    WORD_COUNT = WORD_EMBEDDING + FW_EMBEDDINGS,
};

#endif
