/* The whole state of one board in one struct, and what a port calls. */
#ifndef FW_H
#define FW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "board.h"
#include "check.h"
#include "frame.h"
#include "limits.h"
#include "safety.h"
#include "sequencer.h"
#include "session.h"
#include "waves.h"

/* A request that waits for its turn, or is being executed. */
typedef struct {
    frame_head_t head;
    uint16_t length; /* of the payload as it came, also where it was too long */
    uint8_t payload[MSG_PAYLOAD_BYTES];
} queued_t;

typedef struct {
    queued_t requests[FW_WINDOW];
    uint8_t first;
    uint8_t count;
} queue_t;

typedef enum {
    JOB_NONE,
    JOB_PULSES,
    JOB_READS,
    JOB_LOOPBACK,
    JOB_REFERENCES,
    JOB_LINES,
    JOB_PRODUCTS
} job_kind_t;

/* Pulses or conversions that are being worked through (job.h). */
typedef struct {
    job_kind_t kind;
    request_t request;
    uint16_t steps;
    uint16_t next;       /* step */
    uint16_t step_bytes; /* of the answer */
    uint16_t read_code;
    uint8_t samples;
    bool driving; /* above the read level: a stop ends it */
} job_t;

typedef struct {
    uint32_t frames;
    uint32_t dropped;
    uint32_t repeated;
    uint32_t pulses; /* in this session */
    uint32_t reads;
} counters_t;

typedef struct fw {
    board_t *board;
    receiver_t receiver;
    queue_t queue;
    session_t session;
    safety_t safety;
    limits_t limits;
    counters_t counters;
    job_t job;
    loop_t loop;
    waves_t waves;
    uint16_t cell_pulses[FW_CELLS]; /* in this session */
    uint8_t answer[MSG_PAYLOAD_BYTES];
} fw_t;

/* Power-up. `board` has to be ready. */
void fw_init(fw_t *fw, board_t *board);

/* Takes bytes of the line up to the end of a frame; how many it took. What needs no turn is
 * answered at once, the rest waits for fw_step. */
size_t fw_receive(fw_t *fw, const uint8_t *data, size_t length);

/* Whether fw_step has something to do. */
bool fw_pending(const fw_t *fw);

/* Works on the oldest request for a bounded time. */
void fw_step(fw_t *fw);

/* Looks after time-outs, the interlock and faults. A port of real time calls it at least every
 * millisecond. */
void fw_poll(fw_t *fw);

/* Makes safe after an open interlock or a fault of a run. */
void fw_check_hardware(fw_t *fw);

/* Every output to its safe value, with the reason; ends a run and a batch in progress. */
void fw_make_safe(fw_t *fw, uint8_t reason);

#endif
