#include "frame.h"

#include <string.h>

#include "bytes.h"
#include "crc32.h"

block_state_t receiver_byte(receiver_t *receiver, uint8_t byte) {
    if (byte == 0) {
        if (receiver->overlong) {
            receiver->overlong = false;
            receiver->length = 0;
            return BLOCK_DROPPED;
        }
        return receiver->length > 0 ? BLOCK_COMPLETE : BLOCK_OPEN;
    }
    if (receiver->length == FRAME_BLOCK_MAX) {
        receiver->overlong = true;
    } else if (!receiver->overlong) {
        receiver->block[receiver->length++] = byte;
    }
    return BLOCK_OPEN;
}

bool frame_decode(uint8_t *block, size_t length, frame_head_t *head, const uint8_t **payload,
                  size_t *payload_bytes) {
    size_t decoded = 0;
    if (!cobs_decode(block, length, &decoded) || decoded < FRAME_HEAD_BYTES + FRAME_CRC_BYTES) {
        return false;
    }
    const size_t covered = decoded - FRAME_CRC_BYTES;
    if (crc32_update(0, block, covered) != get_u32(block + covered)) {
        return false;
    }
    head->session = get_u16(block);
    head->sequence = get_u32(block + 2);
    head->code = block[6];
    *payload = block + FRAME_HEAD_BYTES;
    *payload_bytes = covered - FRAME_HEAD_BYTES;
    return true;
}

bool receiver_frame(receiver_t *receiver, frame_head_t *head, const uint8_t **payload,
                    size_t *payload_bytes) {
    const size_t length = receiver->length;
    receiver->length = 0;
    return frame_decode(receiver->block, length, head, payload, payload_bytes);
}

size_t frame_encode(const frame_head_t *head, const uint8_t *payload, size_t payload_bytes,
                    uint8_t *out) {
    uint8_t body[FRAME_BODY_MAX];
    put_u16(body, head->session);
    put_u32(body + 2, head->sequence);
    body[6] = head->code;
    memcpy(body + FRAME_HEAD_BYTES, payload, payload_bytes);
    const size_t covered = FRAME_HEAD_BYTES + payload_bytes;
    put_u32(body + covered, crc32_update(0, body, covered));
    const size_t encoded = cobs_encode(body, covered + FRAME_CRC_BYTES, out);
    out[encoded] = 0;
    return encoded + 1;
}
