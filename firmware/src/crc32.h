/* CRC-32 as in zlib and IEEE 802.3: polynomial 0x04C11DB7 reflected, start and end inverted. */
#ifndef CRC32_H
#define CRC32_H

#include <stddef.h>
#include <stdint.h>

/* CRC of `data`, continuing `crc`, which is 0 at the start. */
uint32_t crc32_update(uint32_t crc, const uint8_t *data, size_t length);

#endif
