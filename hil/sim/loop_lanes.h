/* Lanes of one SIMD vector, and normals for them.
 *
 * LOOP_SINGLE chooses the precision of everything: 1 is float, 0 is double. A normal is a pure
 * function of (seed, trajectory, b, c, stream): Philox words, then Box and Muller's transform, the
 * same as hil/sim/draws.py up to rounding.
 */
#ifndef LOOP_LANES_H
#define LOOP_LANES_H

#include <stdint.h>

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include <immintrin.h>
#define VECTOR_BYTES       64
#define MULTIPLY_LOW(a, b) ((words)_mm512_mul_epu32((__m512i)(a), (__m512i)(b)))
#elif defined(__AVX2__)
#include <immintrin.h>
#define VECTOR_BYTES       32
#define MULTIPLY_LOW(a, b) ((words)_mm256_mul_epu32((__m256i)(a), (__m256i)(b)))
#elif defined(__SSE2__)
#include <emmintrin.h>
#define VECTOR_BYTES       16
#define MULTIPLY_LOW(a, b) ((words)_mm_mul_epu32((__m128i)(a), (__m128i)(b)))
#else
#define VECTOR_BYTES       16
#define MULTIPLY_LOW(a, b) (((a)&LOW) * ((b)&LOW))
#endif

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "lanes of 32 and 64 bits are taken to be laid out as on a little-endian processor"
#endif

#define INLINE static inline __attribute__((always_inline))
#define LOW    0xffffffffULL

#if LOOP_SINGLE
typedef float real;
typedef int32_t integer;
typedef uint32_t natural;
#define LANE_BITS     32
#define MANTISSA_BITS 23
#define ROOT_HALF     0x3f3504f3 /* sqrt(1/2) */
enum { ATANH_TERMS = 5, SINE_TERMS = 5, COSINE_TERMS = 5 };
#else
typedef double real;
typedef int64_t integer;
typedef uint64_t natural;
#define LANE_BITS     64
#define MANTISSA_BITS 52
#define ROOT_HALF     0x3fe6a09e667f3bcd
enum { ATANH_TERMS = 10, SINE_TERMS = 8, COSINE_TERMS = 9 };
#endif

#define LANES ((int64_t)(VECTOR_BYTES / sizeof(real)))
#define PARTS                                                                                      \
    ((int)(8 / sizeof(real))) /* vectors of 64-bit words that make one vector of lanes             \
                               */

typedef uint64_t words __attribute__((vector_size(VECTOR_BYTES)));
typedef real vec __attribute__((vector_size(VECTOR_BYTES)));
typedef integer ivec __attribute__((vector_size(VECTOR_BYTES)));
typedef natural uvec __attribute__((vector_size(VECTOR_BYTES)));

static inline int64_t at_most(int64_t a, int64_t b) {
    return a < b ? a : b;
}

INLINE vec splat(real value) {
    return value - (vec){0};
}

INLINE vec at_least(vec value, real bound) {
    vec out;
    for (int lane = 0; lane < LANES; lane++)
        out[lane] = value[lane] > bound ? value[lane] : bound;
    return out;
}

INLINE vec below(vec value, real bound) {
    vec out;
    for (int lane = 0; lane < LANES; lane++)
        out[lane] = value[lane] < bound ? value[lane] : bound;
    return out;
}

INLINE vec within(vec value, real bound) {
    return below(at_least(value, -bound), bound);
}

INLINE vec root(vec value) {
    vec out;
    for (int lane = 0; lane < LANES; lane++)
        out[lane] = (real)(LANE_BITS == 32 ? __builtin_sqrtf((float)value[lane])
                                           : __builtin_sqrt((double)value[lane]));
    return out;
}

INLINE vec either(ivec mask, vec yes, vec no) {
    return (vec)((mask & (ivec)yes) | (~mask & (ivec)no));
}

INLINE words every_lane(uint64_t value) {
    return value - (words){0};
}

/* --- Philox4x32-10, as in hil/sim/draws.py -------------------------------------------------- */

enum { ROUNDS = 10 };
static const uint64_t M0 = 0xD2511F53, M1 = 0xCD9E8D57, W0 = 0x9E3779B9, W1 = 0xBB67AE85;

/* The two words of the key in each round. */
struct schedule {
    uint64_t first[ROUNDS], second[ROUNDS];
};

INLINE struct schedule schedule_of(uint64_t seed) {
    struct schedule key = {{seed & LOW}, {seed >> 32}};
    for (int round = 1; round < ROUNDS; round++) {
        key.first[round] = (key.first[round - 1] + W0) & LOW;
        key.second[round] = (key.second[round - 1] + W1) & LOW;
    }
    return key;
}

/* Words of the counters (a, b, c, d), a by lane, in the low halves of out[0..3]. The high halves
 * of a and of what comes out are rubbish, which no step looks at. */
INLINE void philox(words out[4], words a, const struct schedule *key, uint64_t b, uint64_t c,
                   uint64_t d) {
    /* Two rounds in which most of the state is still the same in all lanes. */
    uint64_t product = M1 * c, same = (product >> 32) ^ b ^ key->first[0], second = M0 * same;
    words p0 = MULTIPLY_LOW(a, every_lane(M0));
    words p1 = MULTIPLY_LOW((p0 >> 32) ^ every_lane(d ^ key->second[0]), every_lane(M1));
    words x0 = (p1 >> 32) ^ every_lane((product & LOW) ^ key->first[1]), x1 = p1;
    words x2 = p0 ^ every_lane((second >> 32) ^ key->second[1]), x3 = every_lane(second);
#pragma GCC unroll 8
    for (int round = 2; round < ROUNDS; round++) {
        p0 = MULTIPLY_LOW(x0, every_lane(M0));
        p1 = MULTIPLY_LOW(x2, every_lane(M1));
        x0 = (p1 >> 32) ^ x1 ^ every_lane(key->first[round]), x1 = p1;
        x2 = (p0 >> 32) ^ x3 ^ every_lane(key->second[round]), x3 = p0;
    }
    out[0] = x0, out[1] = x1, out[2] = x2, out[3] = x3;
}

/* --- normals --------------------------------------------------------------------------------- */

/* Coefficients of (atanh s)/s in s^2, (sin x)/x and cos x in x^2: their series. */
static const double ATANH[] = {1.0,      1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9,
                               1.0 / 11, 1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19};
static const double SINE[] = {
    1.0,          -1.0 / 6,        1.0 / 120,          -1.0 / 5040,
    1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800.0, -1.0 / 1307674368e3};
static const double COSINE[] = {1.0,
                                -0.5,
                                1.0 / 24,
                                -1.0 / 720,
                                1.0 / 40320,
                                -1.0 / 3628800,
                                1.0 / 479001600,
                                -1.0 / 87178291200.0,
                                1.0 / 20922789888e3};

INLINE vec horner(vec z, const double *coefficient, int terms) {
    vec sum = splat((real)coefficient[terms - 1]);
#pragma GCC unroll 10
    for (int k = terms - 2; k >= 0; k--)
        sum = sum * z + (real)coefficient[k];
    return sum;
}

/* -2 ln u of u = (w + 1/2) / 2^32; the word w stands at the top of its lane. */
INLINE vec minus_two_log(uvec word) {
    const real scale = (real)(LANE_BITS == 32 ? 0x1p-32 : 0x1p-64), half = (real)0x1p-33;
    vec u = __builtin_convertvector(word, vec) * scale + half;
    ivec bits = (ivec)u - (integer)ROOT_HALF;
    ivec exponent = bits >> MANTISSA_BITS;
    ivec fraction = bits & (((integer)1 << MANTISSA_BITS) - 1);
    vec off = (vec)(fraction + (integer)ROOT_HALF) - 1;
    if (LANE_BITS == 32) /* near 1 a float u has lost what matters: take 1 - u from the word */
        off = either(exponent == 0, -__builtin_convertvector(~word, vec) * scale - half, off);
    vec s = off / (off + 2);
    vec log_fraction = s * horner(s * s, ATANH, ATANH_TERMS);
    vec whole = __builtin_convertvector(exponent, vec) * (real)-1.3862943611198906188;
    return whole - 4 * log_fraction;
}

/* Two normals from two words, each at the top of its lane. */
INLINE void normal_pair(vec *first, vec *second, uvec for_radius, uvec for_angle) {
    vec radius = root(minus_two_log(for_radius));
    const natural eighth = (natural)1 << (LANE_BITS - 3);
    uvec quarter = (for_angle + eighth) >> (LANE_BITS - 2);
    ivec rest = (ivec)(for_angle - (quarter << (LANE_BITS - 2)));
    const real turn = (real)(6.283185307179586477 * (LANE_BITS == 32 ? 0x1p-32 : 0x1p-64));
    vec angle = __builtin_convertvector(rest, vec) * turn + (real)(6.283185307179586477 * 0x1p-33);
    vec z = angle * angle;
    vec sine = radius * (angle * horner(z, SINE, SINE_TERMS));
    vec cosine = radius * horner(z, COSINE, COSINE_TERMS);
    ivec swap = (quarter & 1) != 0;
    uvec flip_first = ((quarter + 1) & 2) << (LANE_BITS - 2);
    uvec flip_second = (quarter & 2) << (LANE_BITS - 2);
    *first = (vec)((uvec)either(swap, sine, cosine) ^ flip_first);
    *second = (vec)((uvec)either(swap, cosine, sine) ^ flip_second);
}

/* The lanes' trajectory numbers, as Philox takes them. */
struct keys {
    words part[8 / sizeof(real)];
};

/* Numbers of `trajectory`; lanes past `count` repeat the last one. */
INLINE struct keys keys_of(const int64_t *trajectory, int64_t count) {
    uvec number;
    for (int64_t lane = 0; lane < LANES; lane++)
        number[lane] = (natural)trajectory[at_most(lane, count - 1)];
    struct keys keys;
    for (int part = 0; part < PARTS; part++)
        keys.part[part] = (words)number >> (32 * part);
    return keys;
}

/* `count` normals of each lane: four of each counter (trajectory, b, c, stream), c from `first`. */
static __attribute__((noinline)) void fill_normals(vec *out, const struct keys *keys, uint64_t seed,
                                                   uint64_t b, uint64_t first, uint64_t stream,
                                                   int64_t count) {
    const struct schedule key = schedule_of(seed);
    for (int64_t at = 0; at < count; at += 4) {
        words word[2][4];
        for (int part = 0; part < PARTS; part++)
            philox(word[part], keys->part[part], &key, b, first + (uint64_t)at / 4, stream);
        uvec top[4];
        for (int k = 0; k < 4; k++)
            top[k] =
                (uvec)(PARTS == 2 ? (word[0][k] & LOW) | (word[1][k] << 32) : word[0][k] << 32);
        normal_pair(&out[at], &out[at + 1], top[0], top[1]);
        if (count - at > 2)
            normal_pair(&out[at + 2], &out[at + 3], top[2], top[3]);
    }
}

#endif
