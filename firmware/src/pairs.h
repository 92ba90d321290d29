/* Pairs of 12-bit codes in three bytes each: initial conditions, samples, points of trajectories.
 */
#ifndef PAIRS_H
#define PAIRS_H

#include <stdint.h>

#define PAIR_BYTES 3u

static inline void pair_put(uint8_t *pair, const uint16_t codes[2]) {
    pair[0] = (uint8_t)codes[0];
    pair[1] = (uint8_t)((codes[0] >> 8 & 15u) | (codes[1] & 15u) << 4);
    pair[2] = (uint8_t)(codes[1] >> 4);
}

static inline void pair_get(const uint8_t *pair, uint16_t codes[2]) {
    codes[0] = (uint16_t)(pair[0] | (pair[1] & 15u) << 8);
    codes[1] = (uint16_t)(pair[1] >> 4 | pair[2] << 4);
}

#endif
