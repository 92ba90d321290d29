/* A board of virtual time whose converters are a front end behind transactions (FRONT_END.md). */
#ifndef VIRTUAL_BOARD_H
#define VIRTUAL_BOARD_H

#include "board.h"

#ifndef VIRTUAL_TICKS_KEPT
#define VIRTUAL_TICKS_KEPT 32u /* most ticks of one transaction */
#endif

#define FRONT_END_VERSION       2u
#define FRONT_END_REQUEST_HEAD  12u
#define FRONT_END_RESPONSE_HEAD 6u
#define FRONT_END_REQUEST_MAX   (FRONT_END_REQUEST_HEAD + 256u + VIRTUAL_TICKS_KEPT * WORD_COUNT * 2u)
#define FRONT_END_RESPONSE_MAX  256u

enum {
    FRONT_END_OPEN = 0x01,
    FRONT_END_SAFE = 0x02,
    FRONT_END_INPUTS = 0x03,
    FRONT_END_TIME = 0x04,
    FRONT_END_PULSE_READ = 0x10,
    FRONT_END_READ = 0x11,
    FRONT_END_PROBE = 0x12,
    FRONT_END_LOOPBACK = 0x13,
    FRONT_END_REFERENCE = 0x14,
    FRONT_END_LINES = 0x15,
    FRONT_END_MULTIPLY = 0x16,
    FRONT_END_RUN = 0x20,
    FRONT_END_PRESET = 0x21,
    FRONT_END_TICKS = 0x22,
    FRONT_END_RUN_END = 0x23,
};

enum { INPUT_INTERLOCK_OPEN = 1, INPUT_LATE = 2 };

/* Sends one request and waits for its response; its bytes, or 0 when there is none. */
typedef size_t front_end_exchange_t(void *context, const uint8_t *request, size_t length,
                                    uint8_t *response, size_t capacity);
typedef void line_send_t(void *context, const uint8_t *frame, size_t length);

struct board {
    front_end_exchange_t *exchange;
    line_send_t *send;
    void *context;
    board_identity_t identity;
    uint64_t time_ns;
    uint64_t chip_time_ns; /* of the chip at power-up */
    uint64_t noise_seed;   /* of the run */
    uint64_t solve_ns;     /* of a trajectory of the run */
    uint16_t ticks_wanted; /* in one transaction */
    uint16_t ticks_kept;
    uint16_t first_kept;
    uint16_t loaded[WORD_COUNT];
    bool hold;
    bool late;
    uint16_t fault; /* of a tick; reported by the next function that can */
    uint16_t request_bytes;
    uint8_t request[FRONT_END_REQUEST_MAX];
    uint8_t response[FRONT_END_RESPONSE_MAX];
};

/* Power-up: asks the front end whose board this is. False: it does not answer; the board then has
 * serial number 0 and answers the host that everything is a fault. */
bool virtual_board_init(board_t *board, uint8_t port, front_end_exchange_t *exchange,
                        line_send_t *send, void *context);

#endif
