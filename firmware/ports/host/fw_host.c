#include "fw_host.h"

#include <stdlib.h>
#include <string.h>

#include "fw.h"
#include "stub.h"
#include "virtual_board.h"

struct fw_host {
    fw_t fw;
    board_t board;
    fw_host_exchange_t *exchange;
    void *context;
    stub_t stub;
    uint8_t *out; /* answers that wait */
    size_t length;
    size_t capacity;
};

static size_t exchange(void *context, const uint8_t *request, size_t length, uint8_t *response,
                       size_t capacity) {
    fw_host_t *host = context;
    const size_t got = host->exchange(host->context, request, length, response, capacity);
    return got <= capacity ? got : 0;
}

/* Answers without memory are answers that the line lost: the host asks again. */
static void send(void *context, const uint8_t *frame, size_t length) {
    fw_host_t *host = context;
    if (host->length + length > host->capacity) {
        const size_t wanted = 2 * (host->length + length);
        uint8_t *grown = realloc(host->out, wanted);
        if (grown == NULL) {
            return;
        }
        host->out = grown;
        host->capacity = wanted;
    }
    memcpy(host->out + host->length, frame, length);
    host->length += length;
}

uint32_t fw_host_api(void) {
    return FW_HOST_API;
}

fw_host_t *fw_host_create(fw_host_exchange_t *callback, void *context) {
    fw_host_t *host = calloc(1, sizeof *host);
    if (host == NULL) {
        return NULL;
    }
    host->exchange = callback != NULL ? callback : stub_exchange;
    host->context = callback != NULL ? context : &host->stub;
    if (!virtual_board_init(&host->board, PORT_HOST, exchange, send, host)) {
        free(host);
        return NULL;
    }
    fw_init(&host->fw, &host->board);
    return host;
}

void fw_host_destroy(fw_host_t *host) {
    if (host != NULL) {
        free(host->out);
        free(host);
    }
}

size_t fw_host_feed(fw_host_t *host, const uint8_t *data, size_t length) {
    size_t taken = 0;
    while (taken < length) {
        taken += fw_receive(&host->fw, data + taken, length - taken);
        while (fw_pending(&host->fw)) {
            fw_step(&host->fw);
        }
    }
    return host->length;
}

size_t fw_host_take(fw_host_t *host, uint8_t *out, size_t capacity) {
    const size_t count = host->length < capacity ? host->length : capacity;
    if (count > 0) {
        memcpy(out, host->out, count);
        memmove(host->out, host->out + count, host->length - count);
        host->length -= count;
    }
    return count;
}

uint64_t fw_host_time_ns(fw_host_t *host) {
    return board_time_ns(&host->board);
}
