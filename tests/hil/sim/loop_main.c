/* Runs the kernel on arrays of exactly the size that it may touch, for the sanitizers to watch. */
#include "loop_kernel.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#if LOOP_SINGLE
typedef float real;
#else
typedef double real;
#endif

enum { TICKS = 5, SEGMENTS = 7, COUNT = 19, TRACED = 3, EVERY = 2 };

static uint64_t state = 1;

static double some(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 40) / (double)(1 << 24) - 0.5;
}

static void *reals(int64_t count, double scale) {
    real *out = malloc((size_t)count * sizeof *out);
    for (int64_t i = 0; i < count; i++)
        out[i] = (real)(scale < 0 ? -scale * (some() + 0.5) : scale * some());
    return out;
}

static double *doubles(int64_t count, double scale) {
    double *out = malloc((size_t)count * sizeof *out);
    for (int64_t i = 0; i < count; i++)
        out[i] = scale * some();
    return out;
}

static int64_t *integers(int64_t count) {
    int64_t *out = malloc((size_t)count * sizeof *out);
    for (int64_t i = 0; i < count; i++)
        out[i] = i;
    return out;
}

static void words_of(struct loop_problem *p, int64_t d, int64_t h) {
    p->rate = reals(TICKS * d, 1.0), p->pull = reals(TICKS * d, 1.0);
    p->embedding = reals(TICKS * h, 1.0), p->embedding_width = h;
    p->constant = reals(d, 1.0), p->noise_sd = reals(TICKS, -300.0);
    if (!p->coded)
        return;
    p->offset_codes = reals(TICKS * d, -4000.0), p->noise_rate = reals(d, 1.0);
    p->noise_gain = reals(d, 0.01), p->noise_offset = reals(d, 1.0);
    p->noise_bow = reals(d, 1.0), p->noise_lag = reals(d, 0.1);
    p->code_max = 4095.0, p->code_zero = 2048.0;
}

static void network_of(struct loop_problem *p, int64_t weights, int own, int variance) {
    if (own) {
        p->cells = 2 * weights;
        int64_t *slot = integers(p->cells);
        for (int64_t m = 0; m < p->cells; m++)
            slot[m] %= weights;
        float *deviation = malloc((size_t)(COUNT * p->cells) * sizeof *deviation);
        for (int64_t i = 0; i < COUNT * p->cells; i++)
            deviation[i] = (float)some();
        p->slot = slot, p->deviation = deviation;
        p->gain = doubles(p->cells, 0.3), p->base = doubles(weights, 0.3);
    } else {
        p->weights = reals(weights, 0.6);
    }
    p->variance = variance ? reals(weights, -0.01) : NULL;
}

static void segments_of(struct loop_problem *p) {
    static const int64_t tick[SEGMENTS] = {0, 0, 1, 2, 3, 3, 4};
    static const int64_t noise[SEGMENTS] = {0, 1, 1, 1, 1, 2, 2};
    int64_t *ticks = integers(SEGMENTS), *noise_ticks = integers(SEGMENTS);
    double *length = doubles(SEGMENTS, 0.0);
    uint8_t *ends = malloc(SEGMENTS);
    for (int k = 0; k < SEGMENTS; k++) {
        ticks[k] = tick[k], noise_ticks[k] = noise[k], length[k] = 0.01;
        ends[k] = k + 1 == SEGMENTS || tick[k + 1] != tick[k];
    }
    p->tick = ticks, p->noise_tick = noise_ticks, p->length_s = length, p->ends_tick = ends;
    p->last_segment = SEGMENTS;
}

static int solve_one(const int64_t *widths, int64_t layers, int own, int variance, int coded,
                     int limited) {
    struct loop_problem p = {.layers = layers, .count = COUNT, .coded = coded, .noisy = 1};
    int64_t weights = 0, outputs = 0, d = widths[0];
    int64_t *sizes = integers(layers + 1);
    for (int64_t k = 0; k <= layers; k++)
        sizes[k] = widths[k];
    for (int64_t k = 0; k < layers; k++)
        weights += (widths[k] + 1) * widths[k + 1], outputs += widths[k + 1];
    p.widths = sizes;
    network_of(&p, weights, own, variance);
    words_of(&p, d, widths[1]);
    segments_of(&p);
    p.saturates = p.has_ceiling = limited;
    p.saturation = 0.5, p.ceiling = 0.4, p.output_gain = 2.0;
    p.output_clamp = p.state_clamp = limited ? 0.5 : 1e30;
    p.noise = 0.01 * limited, p.wave_seed = 7, p.wave_stream = 8, p.noise_seed = 9;
    p.trajectory = integers(COUNT), p.x = doubles(COUNT * d, 1.0);
    p.traced = TRACED, p.trace_every = EVERY, p.trace_points = TICKS / EVERY + 1;
    p.traces = doubles(TRACED * p.trace_points * d, 0.0);
    double *noise = doubles(COUNT * outputs, 0.1), *found = doubles(COUNT * outputs, 0.0);
    double *normals = doubles(4 * COUNT, 0.0);
    if (loop_outputs(&p, noise, found) < 0 || loop_solve(&p, 0, 3) < 0 ||
        loop_solve(&p, 3, COUNT) < 0)
        return 0;
    loop_normals(&p, 1, 2, 3, 4, normals);
    int good = 1;
    for (int64_t i = 0; i < COUNT * d; i++)
        good = good && fabs(p.x[i]) < 1e6;
    const void *all[] = {p.widths,       p.weights,   p.variance,     p.slot,       p.gain,
                         p.base,         p.deviation, p.rate,         p.pull,       p.embedding,
                         p.constant,     p.noise_sd,  p.offset_codes, p.noise_rate, p.noise_gain,
                         p.noise_offset, p.noise_bow, p.noise_lag,    p.tick,       p.noise_tick,
                         p.length_s,     p.ends_tick, p.trajectory,   p.x,          p.traces,
                         noise,          found,       normals};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free((void *)all[i]);
    return good;
}

int main(void) {
    static const int64_t published[] = {2, 14, 14, 2}, odd[] = {5, 37, 37, 37, 5},
                         tiny[] = {1, 1, 1};
    int solved = 0;
    for (int choice = 0; choice < 16; choice++) {
        int own = choice & 1, variance = choice >> 1 & 1, coded = choice >> 2 & 1,
            limited = choice >> 3;
        solved += solve_one(published, 3, own, variance, coded, limited);
        solved += solve_one(odd, 4, own, variance, coded, limited);
        solved += solve_one(tiny, 2, own, variance, coded, limited);
    }
    printf("%d solves, real of %d bytes\n", solved, (int)loop_real_bytes());
    return solved == 48 ? 0 : 1;
}
