/* Random and mutated frames into the host port: soak FRAMES [SEED]. No finding of the sanitizers,
 * every answer one good frame, and at the end the board still answers hello. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "check.h"
#include "crc32.h"
#include "frame.h"
#include "fw_host.h"

static uint64_t state;
static uint64_t answers;

/* splitmix64: S. Vigna, public domain reference. */
static uint32_t draw(uint32_t below) {
    state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (uint32_t)((z >> 32) * below >> 32);
}

typedef struct {
    fw_host_t *host;
    uint16_t session;
    uint32_t next;
} line_t;

/* Takes every answer apart; true when the last one was to hello. */
static bool take(line_t *line) {
    static uint8_t out[1u << 16];
    bool greeted = false;
    const size_t length = fw_host_take(line->host, out, sizeof out);
    size_t at = 0;
    while (at < length) {
        uint8_t *end = memchr(out + at, 0, length - at);
        frame_head_t head;
        const uint8_t *payload = NULL;
        size_t bytes = 0;
        if (end == NULL ||
            !frame_decode(out + at, (size_t)(end - out) - at, &head, &payload, &bytes)) {
            fprintf(stderr, "soak: an answer is no frame\n");
            abort();
        }
        answers++;
        greeted = head.code == (MSG_HELLO | FRAME_RESPONSE_BIT) && payload[0] == STATUS_OK;
        if (greeted) {
            line->session = get_u16(payload + 5);
            line->next = 1;
        } else if (payload[0] == STATUS_BAD_SEQUENCE) {
            line->next = get_u32(payload + 1);
        }
        at = (size_t)(end - out) + 1;
    }
    return greeted;
}

static bool send(line_t *line, const frame_head_t *head, const uint8_t *payload, size_t length,
                 bool mutate) {
    uint8_t out[FRAME_ENCODED_MAX];
    size_t bytes = frame_encode(head, payload, length, out);
    if (mutate) {
        out[draw((uint32_t)bytes)] ^= (uint8_t)(1u << draw(8));
    }
    uint8_t *exact = malloc(bytes);
    memcpy(exact, out, bytes);
    (void)fw_host_feed(line->host, exact, bytes);
    free(exact);
    return take(line);
}

static bool hello(line_t *line, uint32_t nonce) {
    uint8_t payload[4];
    const frame_head_t head = {0, 0, MSG_HELLO};
    put_u32(payload, nonce);
    return send(line, &head, payload, 4, false);
}

/* A payload of about the right length, of small or any values. */
static size_t fill(const msg_info_t *info, uint8_t *payload) {
    size_t length = info->head_bytes;
    if (info->entry_bytes > 0) {
        length += info->entry_bytes * draw(5u);
    }
    if (draw(50) == 0) {
        length = draw(MSG_PAYLOAD_BYTES + 1u);
    }
    length = length < MSG_PAYLOAD_BYTES ? length : MSG_PAYLOAD_BYTES;
    const uint32_t span = draw(2) == 0 ? 256 : 3;
    for (size_t i = 0; i < length; i++) {
        payload[i] = (uint8_t)(draw(4) == 0 ? draw(span) : draw(2));
    }
    return length;
}

static void one(line_t *line) {
    uint8_t payload[MSG_PAYLOAD_BYTES];
    const msg_info_t *info = &MSG_TABLE[draw(MSG_COUNT)];
    frame_head_t head = {line->session, line->next, info->code};
    const uint32_t kind = draw(100);
    if (info->code == MSG_HELLO && kind > 2) {
        return;
    }
    if (kind < 4) {
        head.code = (uint8_t)draw(256);
        head.session = (uint16_t)draw(0x10000);
    } else if (kind < 12) {
        head.sequence -= draw(12);
    } else if (info->scope == MSG_SESSION) {
        line->next++;
    }
    const size_t length = fill(info, payload);
    (void)send(line, &head, payload, length, kind >= 85);
}

int main(int count, char **arguments) {
    const uint64_t frames = count > 1 ? strtoull(arguments[1], NULL, 10) : 1000000;
    state = count > 2 ? strtoull(arguments[2], NULL, 10) : 1;
    line_t line = {.host = fw_host_create(NULL, NULL), .next = 1};
    if (line.host == NULL || !hello(&line, 1)) {
        return 1;
    }
    for (uint64_t i = 0; i < frames; i++) {
        one(&line);
    }
    (void)fw_host_feed(line.host, (const uint8_t *)"", 1);
    (void)take(&line);
    const bool alive = hello(&line, 0x51515151u);
    printf("soak: %llu frames, %llu answers, hello %s\n", (unsigned long long)frames,
           (unsigned long long)answers, alive ? "answered" : "not answered");
    fw_host_destroy(line.host);
    return alive ? 0 : 1;
}
