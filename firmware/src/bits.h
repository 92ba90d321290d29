/* Sets of small numbers, one bit each. */
#ifndef BITS_H
#define BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BITS_BYTES(count) (((count) + 7u) / 8u)

static inline bool bit_get(const uint8_t *bits, size_t number) {
    return (bits[number / 8u] & (1u << (number % 8u))) != 0;
}

static inline void bit_set(uint8_t *bits, size_t number) {
    bits[number / 8u] = (uint8_t)(bits[number / 8u] | (1u << (number % 8u)));
}

#endif
