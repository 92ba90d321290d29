#include "noise.h"

#include <math.h>

#include "board_limits.h"

#define TWO_PI 6.283185307179586
#define STEP   0x1p-32 /* a word w stands for the uniform (w + 1/2) * STEP, never 0 nor 1 */

void noise_words(uint64_t key, uint32_t a, uint32_t b, uint32_t c, uint32_t stream,
                 uint32_t words[4]) {
    uint32_t k0 = (uint32_t)key;
    uint32_t k1 = (uint32_t)(key >> 32);
    uint32_t x0 = a;
    uint32_t x1 = b;
    uint32_t x2 = c;
    uint32_t x3 = stream;
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = UINT64_C(0xD2511F53) * x0;
        const uint64_t p1 = UINT64_C(0xCD9E8D57) * x2;
        x0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0;
        x2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
        x1 = (uint32_t)p1;
        x3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = x0;
    words[1] = x1;
    words[2] = x2;
    words[3] = x3;
}

void noise_normals(const uint32_t words[2], double normals[2]) {
    const double radius = sqrt(-2.0 * log(((double)words[0] + 0.5) * STEP));
    const double angle = TWO_PI * (((double)words[1] + 0.5) * STEP);
    normals[0] = radius * cos(angle);
    normals[1] = radius * sin(angle);
}

uint16_t noise_code(uint16_t offset, uint16_t sigma, double normal, uint32_t *cut) {
    const double code = rint((double)offset + (double)sigma * normal);
    if (code < 0.0) {
        (*cut)++;
        return 0;
    }
    if (code > (double)BOARD_CODE_MAX) {
        (*cut)++;
        return BOARD_CODE_MAX;
    }
    return (uint16_t)code;
}
