/* The firmware as a shared library: any number of boards in one process, all of their state behind
 * a pointer. Bytes of the line in, bytes of the line out; the front end is a callback with the
 * transactions of ports/FRONT_END.md. One thread at a time per board. */
#ifndef FW_HOST_H
#define FW_HOST_H

#include <stddef.h>
#include <stdint.h>

#define FW_HOST_API 1u

#pragma GCC visibility push(default)

typedef struct fw_host fw_host_t;

/* Answers one transaction: writes at most `capacity` bytes to `response`, returns how many; 0 when
 * the front end has gone. */
typedef size_t fw_host_exchange_t(void *context, const uint8_t *request, size_t length,
                                  uint8_t *response, size_t capacity);

/* FW_HOST_API of this library. */
uint32_t fw_host_api(void);

/* Powers a board up. Without an exchange it has the built-in stub. NULL: no memory, or the front
 * end does not answer. */
fw_host_t *fw_host_create(fw_host_exchange_t *exchange, void *context);
void fw_host_destroy(fw_host_t *host);

/* Takes bytes of the line and executes every request in them; how many bytes of answers wait. */
size_t fw_host_feed(fw_host_t *host, const uint8_t *data, size_t length);

/* Moves waiting bytes to `out`; how many. */
size_t fw_host_take(fw_host_t *host, uint8_t *out, size_t capacity);

/* Board time. */
uint64_t fw_host_time_ns(fw_host_t *host);

#pragma GCC visibility pop

#endif
