/* The layers of the network, for one vector of lanes.
 *
 * `own` says whether each lane has its own weights (vectors) or all have the same (numbers). It is
 * a constant wherever it appears, so each choice is compiled by itself.
 */
#ifndef LOOP_LAYERS_H
#define LOOP_LAYERS_H

#include "loop_kernel.h"
#include "loop_lanes.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Sums that are kept in registers at once: half of AVX-512's, half of the others'. */
#define TILE (VECTOR_BYTES == 64 ? 16 : 8)

/* Outputs of all layers together. */
static int64_t all_outputs(const struct loop_problem *p) {
    int64_t sum = 0;
    for (int64_t layer = 0; layer < p->layers; layer++)
        sum += p->widths[layer + 1];
    return sum;
}

static int64_t all_weights(const struct loop_problem *p) {
    int64_t sum = 0;
    for (int64_t layer = 0; layer < p->layers; layer++)
        sum += (p->widths[layer] + 1) * p->widths[layer + 1];
    return sum;
}

static int64_t widest(const struct loop_problem *p) {
    int64_t most = 0;
    for (int64_t layer = 0; layer <= p->layers; layer++)
        most = p->widths[layer] > most ? p->widths[layer] : most;
    return most;
}

/* What one thread keeps of the trajectories that it is solving. */
struct work {
    const struct loop_problem *problem;
    struct keys keys;
    int noisy, same;
    int64_t block;            /* of normals in work->normal */
    real saturation, ceiling; /* 0: none */
    real output_gain, output_clamp, state_clamp;
    vec *x, *ahead, *slope, *held, *word; /* (dimensions) each */
    vec *normal;                          /* (dimensions), rounded up to a multiple of four */
    vec *output;                          /* of all layers */
    vec *noise;                           /* of all sums, rounded up to a multiple of four */
    vec *square;                          /* (widest layer) */
    vec *own;                             /* the lanes' own weights */
    double *sums;                         /* (weights), for the lanes' own */
    void *start; /* of all sums: bias, embedding, noise; real where `same`, else vec */
    void *memory;
};

static int allocate(struct work *work, const struct loop_problem *p) {
    int64_t outputs = all_outputs(p), rounded = (outputs + 3) / 4 * 4, dimensions = p->widths[0];
    int64_t own = p->weights ? 0 : all_weights(p);
    int64_t sums = (own * (int64_t)sizeof(double) + VECTOR_BYTES - 1) / VECTOR_BYTES;
    int64_t vectors =
        5 * dimensions + (dimensions + 3) / 4 * 4 + 2 * outputs + rounded + widest(p) + own + sums;
    vec *next = aligned_alloc(VECTOR_BYTES, (size_t)vectors * sizeof(vec));
    if (next == NULL)
        return -1;
    work->problem = p;
    work->noisy = p->noise > 0 || p->variance != NULL;
    work->same = p->weights != NULL && !work->noisy;
    work->saturation = p->saturates ? (real)p->saturation : 0;
    work->ceiling = p->has_ceiling ? (real)p->ceiling : 0;
    work->output_gain = (real)p->output_gain;
    work->output_clamp = (real)p->output_clamp;
    work->state_clamp = (real)p->state_clamp;
    work->memory = next;
    memset(next, 0, (size_t)vectors * sizeof(vec));
    work->x = next, next += dimensions;
    work->ahead = next, next += dimensions;
    work->slope = next, next += dimensions;
    work->held = next, next += dimensions;
    work->word = next, next += dimensions;
    work->normal = next, next += (dimensions + 3) / 4 * 4;
    work->output = next, next += outputs;
    work->noise = next, next += rounded;
    work->square = next, next += widest(p);
    work->start = next, next += outputs;
    work->own = next, next += own;
    work->sums = (double *)next;
    return 0;
}

/* --- layers ---------------------------------------------------------------------------------- */

/* What comes before and after the products of a sum. NULL and 0 leave a step out. */
struct stage {
    int same;        /* sums start from numbers, the same in all lanes; 0: from vectors */
    real saturation; /* 0: none */
    const real *embedding;
    int rectifies;
    real ceiling; /* 0: none */
};

INLINE vec weight(const int own, const void *weights, int64_t at) {
    return own ? ((const vec *)weights)[at] : splat(((const real *)weights)[at]);
}

/* `n` outputs, sums in registers; `parts` sums per output where few outputs would wait for each
 * other. Rows of `weights` are `stride` apart. */
INLINE void tile(const int own, const int n, const int parts, int64_t inputs, int64_t stride,
                 const vec *in, const void *weights, const void *start, const struct stage *stage,
                 vec *out) {
    const int64_t size = own ? (int64_t)sizeof(vec) : (int64_t)sizeof(real);
    vec sum[TILE];
    if (stage->same)
#pragma GCC unroll 16
        for (int j = 0; j < n; j++)
            sum[j] = splat(((const real *)start)[j]);
    else
#pragma GCC unroll 16
        for (int j = 0; j < n; j++)
            sum[j] = ((const vec *)start)[j];
#pragma GCC unroll 16
    for (int j = n; j < n * parts; j++)
        sum[j] = (vec){0};
    const char *row = weights;
    int64_t i = 0;
    for (; i + parts <= inputs; i += parts) {
#pragma GCC unroll 4
        for (int part = 0; part < parts; part++, row += stride * size) {
            vec signal = in[i + part];
#pragma GCC unroll 16
            for (int j = 0; j < n; j++)
                sum[part * n + j] += signal * weight(own, row, j);
        }
    }
    for (; i < inputs; i++, row += stride * size)
#pragma GCC unroll 16
        for (int j = 0; j < n; j++)
            sum[j] += in[i] * weight(own, row, j);
#pragma GCC unroll 16
    for (int j = n; j < n * parts; j++)
        sum[j % n] += sum[j];
    if (stage->saturation != 0)
#pragma GCC unroll 16
        for (int j = 0; j < n; j++)
            sum[j] = within(sum[j], stage->saturation);
    if (stage->embedding != NULL)
#pragma GCC unroll 16
        for (int j = 0; j < n; j++)
            sum[j] += stage->embedding[j];
    if (stage->rectifies)
#pragma GCC unroll 16
        for (int j = 0; j < n; j++)
            sum[j] = at_least(sum[j], 0);
    if (stage->ceiling != 0)
#pragma GCC unroll 16
        for (int j = 0; j < n; j++)
            sum[j] = below(sum[j], stage->ceiling);
#pragma GCC unroll 16
    for (int j = 0; j < n; j++)
        out[j] = sum[j];
}

typedef void tile_function(int64_t, int64_t, const vec *, const void *, const void *,
                           const struct stage *, vec *);

#define TILE_OF(own, n, parts)                                                                     \
    static void tile_##own##_##n(int64_t inputs, int64_t stride, const vec *in,                    \
                                 const void *weights, const void *start,                           \
                                 const struct stage *stage, vec *out) {                            \
        tile(own, n, parts, inputs, stride, in, weights, start, stage, out);                       \
    }
#define TILES_OF(own)                                                                              \
    TILE_OF(own, 1, 4)                                                                             \
    TILE_OF(own, 2, 4)                                                                             \
    TILE_OF(own, 3, 2)                                                                             \
    TILE_OF(own, 4, 2)                                                                             \
    TILE_OF(own, 5, 1)                                                                             \
    TILE_OF(own, 6, 1)                                                                             \
    TILE_OF(own, 7, 1)                                                                             \
    TILE_OF(own, 8, 1)                                                                             \
    TILES_ABOVE_8(own)
#if VECTOR_BYTES == 64
#define TILES_ABOVE_8(own)                                                                         \
    TILE_OF(own, 9, 1)                                                                             \
    TILE_OF(own, 10, 1)                                                                            \
    TILE_OF(own, 11, 1)                                                                            \
    TILE_OF(own, 12, 1)                                                                            \
    TILE_OF(own, 13, 1)                                                                            \
    TILE_OF(own, 14, 1)                                                                            \
    TILE_OF(own, 15, 1)                                                                            \
    TILE_OF(own, 16, 1)
#define NAMES_ABOVE_8(own)                                                                         \
    tile_##own##_9, tile_##own##_10, tile_##own##_11, tile_##own##_12, tile_##own##_13,            \
        tile_##own##_14, tile_##own##_15, tile_##own##_16
#else
#define TILES_ABOVE_8(own)
#define NAMES_ABOVE_8(own) NULL
#endif
#define NAMES_OF(own)                                                                              \
    NULL, tile_##own##_1, tile_##own##_2, tile_##own##_3, tile_##own##_4, tile_##own##_5,          \
        tile_##own##_6, tile_##own##_7, tile_##own##_8, NAMES_ABOVE_8(own)

TILES_OF(0)
TILES_OF(1)

static tile_function *const tiles[2][17] = {{NAMES_OF(0)}, {NAMES_OF(1)}};

/* One layer: all its outputs, in tiles of nearly equal size. */
INLINE void layer(const int own, int64_t inputs, int64_t outputs, const vec *in,
                  const void *weights, const void *start, struct stage stage, vec *out) {
    const int64_t size = own ? (int64_t)sizeof(vec) : (int64_t)sizeof(real);
    const int64_t step = stage.same ? (int64_t)sizeof(real) : (int64_t)sizeof(vec);
    int64_t count = (outputs + TILE - 1) / TILE, most = (outputs + count - 1) / count;
    for (int64_t j = 0; j < outputs; j += most) {
        int64_t n = at_most(most, outputs - j);
        tiles[own][n](inputs, outputs, in, (const char *)weights + j * size,
                      (const char *)start + j * step, &stage, out + j);
        stage.embedding = stage.embedding ? stage.embedding + n : NULL;
    }
}

/* What each sum of a layer starts from: the bias, the embedding where nothing saturates, and the
 * noise. `bias` is the last row of the layer's weights. */
INLINE void start_layer(const int own, const struct work *work, const void *bias, int64_t outputs,
                        const real *embedding, const vec *noise, void *start) {
    const real *added = work->saturation == 0 ? embedding : NULL;
    for (int64_t j = 0; work->same && j < outputs; j++)
        ((real *)start)[j] = ((const real *)bias)[j] + (added ? added[j] : 0);
    for (int64_t j = 0; !work->same && j < outputs; j++) {
        vec sum = weight(own, bias, j);
        if (added != NULL)
            sum += added[j];
        ((vec *)start)[j] = noise != NULL ? sum + noise[j] : sum;
    }
}

/* The noise of one layer's sums for a period of its clock: normals become volts of the variance
 * that sum_i variance_ij input_i^2 and the stage's own noise make together. */
INLINE void scale_noise(struct work *work, const real *variance, int64_t inputs, int64_t outputs,
                        const vec *in, vec *noise, vec *start, vec *scratch) {
    const real own = (real)(work->problem->noise * work->problem->noise);
    for (int64_t i = 0; i < inputs; i++)
        work->square[i] = in[i] * in[i];
    for (int64_t j = 0; j < outputs; j++)
        start[j] = splat(variance[inputs * outputs + j] + own);
    layer(0, inputs, outputs, work->square, variance, start, (struct stage){0}, scratch);
    for (int64_t j = 0; j < outputs; j++)
        noise[j] *= root(scratch[j]);
}

/* Where an evaluation of the layers stands. */
struct place {
    const vec *in;
    const char *weights;
    const real *variance; /* NULL: the noise is in volts, and in `start` */
    char *start;
    vec *noise, *out;
};

/* One layer, then on to the next. `published` says that the sizes are those of the published
 * network, which is compiled by itself: 2-14-14-2. */
INLINE void one_layer(const int own, const int published, struct work *work, int64_t inputs,
                      int64_t outputs, int hidden, const real *embedding, struct place *at) {
    const struct loop_problem *p = work->problem;
    struct stage stage = {
        .same = work->same,
        .saturation = work->saturation,
        .embedding = hidden && p->saturates ? embedding : NULL,
        .rectifies = hidden,
        .ceiling = hidden ? work->ceiling : 0,
    };
    const int64_t size = own ? (int64_t)sizeof(vec) : (int64_t)sizeof(real);
    if (at->variance != NULL) {
        scale_noise(work, at->variance, inputs, outputs, at->in, at->noise, (vec *)at->start,
                    at->out);
        start_layer(own, work, at->weights + inputs * outputs * size, outputs,
                    hidden ? embedding : NULL, at->noise, at->start);
        at->variance += (inputs + 1) * outputs;
    }
    if (!published)
        layer(own, inputs, outputs, at->in, at->weights, at->start, stage, at->out);
    else if (!hidden)
        tile(own, 2, 4, inputs, 2, at->in, at->weights, at->start, &stage, at->out);
    else if (TILE >= 14)
        tile(own, 14, 1, inputs, 14, at->in, at->weights, at->start, &stage, at->out);
    else
        layer(own, inputs, 14, at->in, at->weights, at->start, stage, at->out);
    at->in = at->out;
    at->weights += (inputs + 1) * outputs * size;
    at->start += outputs * (work->same ? (int64_t)sizeof(real) : (int64_t)sizeof(vec));
    at->noise += outputs, at->out += outputs;
}

/* All layers for x; `fresh` says that the noise is still normals to be scaled. Outputs of every
 * layer are left in work->output; the last one's, before its gain, are returned. */
INLINE const vec *layers(const int own, const int published, struct work *work, const vec *x,
                         int64_t tick, int fresh) {
    const struct loop_problem *p = work->problem;
    const real *embedding = (const real *)p->embedding + tick * p->embedding_width;
    struct place at = {
        .in = x,
        .weights = own ? (const char *)work->own : p->weights,
        .start = work->start,
        .variance = fresh ? p->variance : NULL,
        .noise = work->noise,
        .out = work->output,
    };
    __asm__("" : "+r"(at.weights)); /* keep its loads where they are used: not all fit registers */
    if (published) {
        one_layer(own, 1, work, 2, 14, 1, embedding, &at);
        one_layer(own, 1, work, 14, 14, 1, embedding, &at);
        one_layer(own, 1, work, 14, 2, 0, embedding, &at);
    } else {
        for (int64_t layer = 0; layer < p->layers; layer++)
            one_layer(own, 0, work, p->widths[layer], p->widths[layer + 1], layer + 1 < p->layers,
                      embedding, &at);
    }
    return at.in;
}

/* What all sums start from, with the words of a tick and the noise as it is. */
INLINE void start_all(const int own, struct work *work, int64_t tick) {
    const struct loop_problem *p = work->problem;
    const real *embedding = (const real *)p->embedding + tick * p->embedding_width;
    const int64_t size = own ? (int64_t)sizeof(vec) : (int64_t)sizeof(real);
    const char *weights = own ? (const char *)work->own : p->weights;
    const vec *noise = work->noisy ? work->noise : NULL;
    char *start = work->start;
    for (int64_t layer = 0; layer < p->layers; layer++) {
        int64_t inputs = p->widths[layer], outputs = p->widths[layer + 1];
        weights += inputs * outputs * size;
        start_layer(own, work, weights, outputs, layer + 1 < p->layers ? embedding : NULL, noise,
                    start);
        weights += outputs * size;
        start += outputs * (work->same ? (int64_t)sizeof(real) : (int64_t)sizeof(vec));
        noise = noise != NULL ? noise + outputs : NULL;
    }
}

/* The weights of the lanes' trajectories: each cell with its own frozen relative deviation. */
static void own_weights(struct work *work, int64_t at, int64_t lanes) {
    const struct loop_problem *p = work->problem;
    int64_t count = all_weights(p);
    double *sum = work->sums;
    for (int64_t lane = 0; lane < lanes; lane++) {
        const float *deviation = p->deviation + (at + lane) * p->cells;
        memcpy(sum, p->base, (size_t)count * sizeof *sum);
        for (int64_t m = 0; m < p->cells; m++)
            sum[p->slot[m]] += p->gain[m] * (1.0 + (double)deviation[m]);
        for (int64_t k = 0; k < count; k++)
            work->own[k][lane] = (real)sum[k];
    }
}

#endif
