/* A board for the unit tests: it records what the core asks of it, and does what a test plants. */
#ifndef FAKE_BOARD_H
#define FAKE_BOARD_H

#include "board.h"

#define FAKE_LOG  512u
#define FAKE_SENT 16384u

typedef enum {
    DID_SAFE,
    DID_PULSE,
    DID_READ,
    DID_LOOPBACK,
    DID_REFERENCE,
    DID_LINES,
    DID_MULTIPLY,
    DID_PROBE,
    DID_RUN_BEGIN,
    DID_PRESET,
    DID_LOAD,
    DID_START,
    DID_UPDATE,
    DID_HOLD,
    DID_CONVERT,
    DID_RUN_END,
} fake_deed_t;

struct board {
    uint64_t time_ns;
    int64_t advance_left_us;
    bool interlock_open;
    bool no_random;
    uint16_t batch;
    uint16_t fault;       /* planted: of the next call that can fail */
    fake_deed_t fault_in; /* ... of this kind */
    uint32_t random[4];
    board_draw_t draw; /* last asked for */
    uint16_t loaded[WORD_COUNT];
    uint16_t driven[WORD_COUNT];
    uint16_t x[2]; /* each conversion gives it, then both rise by one */
    int locked;
    int prepare_soon;
    fake_deed_t log[FAKE_LOG];
    uint16_t detail[FAKE_LOG]; /* row of a pulse, tick of an update */
    size_t deeds;
    uint8_t sent[FAKE_SENT];
    size_t sent_bytes;
    size_t frame_bytes; /* payload bytes that passed */
};

/* How often something was done. */
size_t fake_count(const board_t *board, fake_deed_t deed);

/* Forgets what was done and sent. */
void fake_forget(board_t *board);

#endif
