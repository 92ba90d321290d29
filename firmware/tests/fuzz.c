/* libFuzzer on the whole core. The input is a list of pieces: a length byte, a kind byte, bytes.
 *
 *   kind & 3 = 0   bytes of the line as they are
 *          = 1   payload of a request (first byte: its code) in a good frame of the session
 *          = 2   the same, sent again with a number that was used before
 *          = 3   payload straight to the door and to its handler
 *
 * Every piece is decoded from a heap block of exactly its size, so that the sanitizer sees each
 * byte too far, which it would not inside the memory of a board. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "crc32.h"
#include "fw.h"
#include "handlers.h"
#include "stub.h"
#include "virtual_board.h"

typedef struct {
    fw_t fw;
    board_t board;
    stub_t stub;
    uint32_t next;
} rig_t;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void discard(void *context, const uint8_t *frame, size_t length) {
    (void)context;
    if (length == 0 || length > FRAME_ENCODED_MAX || frame[length - 1] != 0 ||
        memchr(frame, 0, length - 1) != NULL) {
        abort(); /* an answer has to be one frame */
    }
}

static void *exact(const uint8_t *data, size_t length) {
    void *copy = malloc(length > 0 ? length : 1);
    if (copy == NULL) {
        abort();
    }
    if (length > 0) {
        memcpy(copy, data, length);
    }
    return copy;
}

static void feed(rig_t *rig, const uint8_t *data, size_t length) {
    uint8_t *copy = exact(data, length);
    size_t taken = 0;
    while (taken < length) {
        taken += fw_receive(&rig->fw, copy + taken, length - taken);
        while (fw_pending(&rig->fw)) {
            fw_step(&rig->fw);
        }
    }
    free(copy);
    uint8_t *block = exact(data, length);
    frame_head_t head;
    const uint8_t *payload = NULL;
    size_t payload_bytes = 0;
    (void)frame_decode(block, length, &head, &payload, &payload_bytes);
    free(block);
}

static void send_request(rig_t *rig, const uint8_t *data, size_t length, bool again) {
    uint8_t body[300];
    uint8_t frame[COBS_BYTES_MAX(sizeof body) + 1];
    if (length == 0) {
        return;
    }
    const uint32_t sequence = again ? rig->next - 1u - data[0] % 10u : rig->next++;
    put_u16(body, rig->fw.session.number);
    put_u32(body + 2, sequence);
    memcpy(body + 6, data, length);
    put_u32(body + 6 + length, crc32_update(0, body, 6 + length));
    const size_t encoded = cobs_encode(body, length + 10, frame);
    frame[encoded] = 0;
    feed(rig, frame, encoded + 1);
}

static void call_handler(rig_t *rig, const uint8_t *data, size_t length) {
    const msg_info_t *info = length > 0 ? check_code(data[0]) : NULL;
    if (info == NULL) {
        return;
    }
    uint8_t *payload = exact(data + 1, length - 1);
    uint8_t *out = exact(rig->fw.answer, MSG_PAYLOAD_BYTES);
    request_t request;
    if (check_payload(info, payload, length - 1, out, &request) == 0) {
        const size_t answered = HANDLERS[info - MSG_TABLE](&rig->fw, &request, out);
        if (answered == 0 || answered > MSG_PAYLOAD_BYTES) {
            abort();
        }
    }
    free(out);
    free(payload);
    if (data[0] == MSG_HELLO) {
        rig->next = 1;
    }
}

static void begin(rig_t *rig) {
    static const uint8_t HELLO[] = {MSG_HELLO, 1, 2, 3, 4};
    memset(rig, 0, sizeof *rig);
    rig->stub.ticks_per_transaction = 3;
    (void)virtual_board_init(&rig->board, PORT_HOST, stub_exchange, discard, &rig->stub);
    rig->board.context = &rig->stub;
    fw_init(&rig->fw, &rig->board);
    call_handler(rig, HELLO, sizeof HELLO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static rig_t *rig;
    if (rig == NULL) {
        rig = malloc(sizeof *rig);
    }
    begin(rig);
    while (size >= 2) {
        const size_t wanted = data[0];
        const uint8_t kind = data[1];
        data += 2;
        size -= 2;
        const size_t length = wanted < size ? wanted : size;
        rig->stub.fault = (kind & 0xc0) == 0xc0 ? 3 : 0;
        rig->stub.inputs = (kind & 0x30) == 0x30 ? INPUT_INTERLOCK_OPEN : 0;
        if ((kind & 3) == 0) {
            feed(rig, data, length);
        } else if ((kind & 3) == 3) {
            call_handler(rig, data, length);
        } else {
            send_request(rig, data, length, (kind & 3) == 2);
        }
        data += length;
        size -= length;
    }
    return 0;
}
