/* Consistent overhead byte stuffing, S. Cheshire and M. Baker, IEEE/ACM Trans. Networking 7, 159
 * (1999). The closing zero is the caller's. */
#ifndef COBS_H
#define COBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Most bytes that `length` bytes become. */
#define COBS_BYTES_MAX(length) ((length) + (length) / 254u + 1u)

/* Encodes into `out`, which has room for COBS_BYTES_MAX(length); how many bytes it wrote. */
size_t cobs_encode(const uint8_t *data, size_t length, uint8_t *out);

/* Decodes in place a block without zeros. False when it ends inside a group. */
bool cobs_decode(uint8_t *data, size_t length, size_t *decoded);

#endif
