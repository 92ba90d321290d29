/* One session: whose it is, which request is next, and the answers that may be asked again.
 *
 * A request is executed only when its number is the expected one. A number among the last FW_WINDOW
 * answers is answered from memory; any other is refused with the expected one. A refused request
 * consumes its number too. */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capacity.h"
#include "frame.h"

typedef struct {
    uint32_t sequence;
    uint16_t length;
    uint8_t frame[FRAME_ENCODED_MAX];
} answer_t;

typedef struct {
    uint16_t number; /* 0: none yet */
    uint32_t nonce;
    uint32_t expected;
    uint8_t stored; /* answers in memory */
    uint8_t next;   /* where the next one goes */
    answer_t answers[FW_WINDOW];
    uint8_t greeting[MSG_PAYLOAD_BYTES]; /* the answer to the hello that opened it */
    uint16_t greeting_bytes;
} session_t;

typedef enum {
    REQUEST_NEW,
    REQUEST_REPEATED,
    REQUEST_BAD_SESSION,
    REQUEST_BAD_SEQUENCE
} request_kind_t;

/* Whether a hello with this nonce opened the present session. */
bool session_knows(const session_t *session, uint32_t nonce);

/* Starts a new one. Its number is never 0 nor that of the session before. */
void session_open(session_t *session, uint32_t nonce);

/* What to do with a request; `answer` is set for a repeated one. */
request_kind_t session_classify(const session_t *session, const frame_head_t *head,
                                const answer_t **answer);

/* Encodes the answer to the expected request, keeps it and expects the next number. */
const answer_t *session_remember(session_t *session, const frame_head_t *head,
                                 const uint8_t *payload, size_t payload_bytes);

#endif
