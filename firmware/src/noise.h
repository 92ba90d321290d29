/* Keyed random numbers: every draw is a pure function of its key, the same as on every other board.
 *
 * Philox4x32-10: J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11, doi
 * 10.1145/2063384.2063405. Normals: G. E. P. Box and M. E. Muller, Ann. Math. Stat. 29, 610 (1958).
 */
#ifndef NOISE_H
#define NOISE_H

#include <stdint.h>

#define NOISE_STREAM_WAVE 201u /* what a board adds to its noise words: (trajectory, tick) */

/* The four words of counter (a, b, c, stream) under a 64-bit key. */
void noise_words(uint64_t key, uint32_t a, uint32_t b, uint32_t c, uint32_t stream,
                 uint32_t words[4]);

/* Two standard normals from two words. */
void noise_normals(const uint32_t words[2], double normals[2]);

/* offset + sigma * normal, to the nearest code (ties to even); cut off at the ends of the
 * converter, and then `*cut` is raised by one. */
uint16_t noise_code(uint16_t offset, uint16_t sigma, double normal, uint32_t *cut);

#endif
