/* Frames: COBS, a CRC-32 and a closing zero around session | sequence | code | payload. */
#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cobs.h"
#include "messages.h"

#define FRAME_HEAD_BYTES   7u
#define FRAME_CRC_BYTES    4u
#define FRAME_BODY_MAX     (FRAME_HEAD_BYTES + MSG_PAYLOAD_BYTES + FRAME_CRC_BYTES)
#define FRAME_ENCODED_MAX  (COBS_BYTES_MAX(FRAME_BODY_MAX) + 1u)
#define FRAME_BLOCK_MAX    1024u /* a longer run without a zero is given up */
#define FRAME_RESPONSE_BIT 0x80u

typedef struct {
    uint16_t session;
    uint32_t sequence;
    uint8_t code;
} frame_head_t;

/* Bytes since the last zero. */
typedef struct {
    uint8_t block[FRAME_BLOCK_MAX];
    size_t length;
    bool overlong;
} receiver_t;

typedef enum { BLOCK_OPEN, BLOCK_COMPLETE, BLOCK_DROPPED } block_state_t;

/* Takes one byte of the line. An empty block is no block. */
block_state_t receiver_byte(receiver_t *receiver, uint8_t byte);

/* Decodes in place a block without its closing zero; the payload points into it. False: unreadable.
 */
bool frame_decode(uint8_t *block, size_t length, frame_head_t *head, const uint8_t **payload,
                  size_t *payload_bytes);

/* Decodes the complete block and empties the receiver; the payload stays valid until the next byte.
 */
bool receiver_frame(receiver_t *receiver, frame_head_t *head, const uint8_t **payload,
                    size_t *payload_bytes);

/* Encodes a frame with its closing zero into `out` of FRAME_ENCODED_MAX; how many bytes it has.
 * The payload has at most MSG_PAYLOAD_BYTES. */
size_t frame_encode(const frame_head_t *head, const uint8_t *payload, size_t payload_bytes,
                    uint8_t *out);

#endif
