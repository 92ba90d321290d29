/* The checks at the door: length of a payload and range of every field, from the generated tables.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "messages.h"

/* A request as a handler gets it. */
typedef struct {
    const msg_info_t *info;
    const uint8_t *payload;
    uint16_t entries; /* how many */
} request_t;

/* The row of a code, NULL for one that is not known. */
const msg_info_t *check_code(uint8_t code);

/* 0 when the payload is what the message allows; else the length of the refusal in `out`. */
size_t check_payload(const msg_info_t *info, const uint8_t *payload, size_t length, uint8_t *out,
                     request_t *request);

/* Where an entry of a checked request starts. */
static inline const uint8_t *request_entry(const request_t *request, uint16_t number) {
    return request->payload + request->info->head_bytes +
           (size_t)number * request->info->entry_bytes;
}

#endif
