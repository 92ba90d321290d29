/* The analog loop's equations, compiled for the processor at hand: see hil/sim/loop.py.
 *
 * Trajectories are solved in lanes of one SIMD vector, each lane alone: what a trajectory comes to
 * depends neither on its neighbours nor on the number of lanes or threads. Within a segment every
 * word is held and one step of Heun's method is taken. hil/sim/loop_reference.py is the same in
 * plain numpy.
 */
#include "loop_layers.h"

/* --- held words ------------------------------------------------------------------------------ */

/* The code of a noise channel to a fraction of full scale, with the converter's errors. The codes
 * of the first `lanes` lanes that were cut off. */
INLINE int64_t convert(struct work *work, int64_t tick, int64_t i, int64_t lanes) {
    const struct loop_problem *p = work->problem;
    real offset = ((const real *)p->offset_codes)[tick * p->widths[0] + i];
    real bow = ((const real *)p->noise_bow)[i], zero = (real)p->code_zero;
    vec wanted = work->word[i] + offset;
    for (int lane = 0; lane < LANES; lane++)
        wanted[lane] = (real)__builtin_rint((double)wanted[lane]);
    vec code = below(at_least(wanted, 0), (real)p->code_max);
    vec u = code / (real)p->code_max;
    vec shift = ((const real *)p->noise_offset)[i] + 4 * bow * u * (1 - u);
    vec centred = (code - zero) * (1 + ((const real *)p->noise_gain)[i]);
    work->word[i] = (centred + shift) / zero;
    int64_t saturated = 0;
    for (int64_t lane = 0; lane < lanes; lane++)
        saturated += code[lane] != wanted[lane];
    return saturated;
}

/* Noise words of one tick into work->word: rates, or the fractions of full scale that a converter
 * makes of codes. The codes that were cut off. Where there are no codes, a trajectory's normals
 * are one sequence over all ticks, so that none of a counter's four is left out. */
INLINE int64_t noise_words(struct work *work, int64_t tick, int64_t lanes) {
    const struct loop_problem *p = work->problem;
    int64_t dimensions = p->widths[0], saturated = 0;
    real sd = p->noisy ? ((const real *)p->noise_sd)[tick] : 0;
    if (sd > 0 && p->coded)
        fill_normals(work->normal, &work->keys, p->wave_seed, (uint64_t)tick, 0, p->wave_stream,
                     dimensions);
    for (int64_t i = 0; i < dimensions; i++) {
        int64_t number = p->coded ? i : tick * dimensions + i, block = number / 4;
        if (sd > 0 && !p->coded && block != work->block) {
            fill_normals(work->normal, &work->keys, p->wave_seed, (uint64_t)block, 0,
                         p->wave_stream, 4);
            work->block = block;
        }
        work->word[i] = sd > 0 ? sd * work->normal[p->coded ? i : number % 4] : (vec){0};
        if (p->coded)
            saturated += convert(work, tick, i, lanes);
    }
    return saturated;
}

/* What does not depend on x in one tick, into work->held. `first` is the first tick of a call,
 * whose word before is drawn again. Codes cut off. */
INLINE int64_t hold(struct work *work, int64_t tick, int first, int64_t lanes) {
    const struct loop_problem *p = work->problem;
    const real *constant = p->constant;
    int64_t dimensions = p->widths[0];
    if (!p->coded && !p->noisy) {
        for (int64_t i = 0; first && i < dimensions; i++)
            work->held[i] = splat(constant[i]);
        return 0;
    }
    if (p->coded && first && tick > 0)
        noise_words(work, tick - 1, lanes);
    vec *before = work->slope; /* not in use between steps */
    memcpy(before, work->word, (size_t)dimensions * sizeof(vec));
    int64_t saturated = noise_words(work, tick, lanes);
    for (int64_t i = 0; i < dimensions; i++) {
        vec word = work->word[i];
        if (p->coded) {
            vec late = tick == 0 ? (vec){0} : before[i] - word; /* preset, nothing is late */
            word += ((const real *)p->noise_lag)[i] * late;
            word *= ((const real *)p->noise_rate)[i];
        }
        work->held[i] = constant[i] + word;
    }
    return saturated;
}

/* Normals for all sums, of one period of the noise's clock; volts where no variance follows. */
INLINE void draw_noise(struct work *work, int64_t noise_tick, int64_t outputs) {
    const struct loop_problem *p = work->problem;
    fill_normals(work->noise, &work->keys, p->noise_seed, (uint64_t)noise_tick, 0, p->noise_stream,
                 outputs);
    for (int64_t j = 0; p->variance == NULL && j < outputs; j++)
        work->noise[j] *= (real)p->noise;
}

/* --- integration ----------------------------------------------------------------------------- */

/* x after one step of Heun's method of `length` seconds with everything held. */
INLINE void step(const int own, const int published, const int64_t dimensions, struct work *work,
                 int64_t tick, real length, int fresh) {
    const struct loop_problem *p = work->problem;
    const real *rate = (const real *)p->rate + tick * dimensions;
    const real *pull = (const real *)p->pull + tick * dimensions;
    const real gain = work->output_gain, clamp = work->output_clamp, bound = work->state_clamp;
    const vec *sum = layers(own, published, work, work->x, tick, fresh);
    for (int64_t i = 0; i < dimensions; i++) {
        vec score = within(gain * sum[i], clamp);
        work->slope[i] = rate[i] * work->x[i] + pull[i] * score + work->held[i];
        work->ahead[i] = within(work->x[i] + length * work->slope[i], bound);
    }
    sum = layers(own, published, work, work->ahead, tick, 0);
    for (int64_t i = 0; i < dimensions; i++) {
        vec score = within(gain * sum[i], clamp);
        vec slopes = work->slope[i] + rate[i] * work->ahead[i] + pull[i] * score + work->held[i];
        work->x[i] = within(work->x[i] + (real)0.5 * length * slopes, bound);
    }
}

INLINE void keep(struct work *work, int64_t point, int64_t at, int64_t lanes) {
    const struct loop_problem *p = work->problem;
    int64_t dimensions = p->widths[0];
    for (int64_t lane = 0; lane < at_most(lanes, p->traced - at); lane++)
        for (int64_t i = 0; i < dimensions; i++)
            p->traces[((at + lane) * p->trace_points + point) * dimensions + i] =
                (double)work->x[i][lane];
}

/* Solves the trajectories of one vector of lanes from number `at` on. Noise words cut off. */
INLINE int64_t solve_lanes(const int own, const int published, const int64_t dimensions,
                           struct work *work, int64_t at, int64_t lanes) {
    const struct loop_problem *p = work->problem;
    int64_t tick_now = -1, noise_now = -1, saturated = 0, outputs = all_outputs(p);
    for (int64_t k = p->first_segment; k < p->last_segment; k++) {
        int64_t tick = p->tick[k];
        int fresh = work->noisy && p->noise_tick[k] != noise_now;
        if (tick != tick_now)
            saturated += hold(work, tick, tick_now < 0, lanes);
        if (fresh)
            draw_noise(work, p->noise_tick[k], outputs);
        if (tick != tick_now || fresh)
            start_all(own, work, tick);
        tick_now = tick, noise_now = p->noise_tick[k];
        step(own, published, dimensions, work, tick, (real)p->length_s[k], fresh);
        if (at < p->traced && p->ends_tick[k] && (tick + 1) % p->trace_every == 0)
            keep(work, (tick + 1) / p->trace_every, at, lanes);
    }
    return saturated;
}

static void load(struct work *work, int64_t at, int64_t lanes) {
    const struct loop_problem *p = work->problem;
    int64_t dimensions = p->widths[0];
    for (int64_t i = 0; i < dimensions; i++)
        for (int64_t lane = 0; lane < LANES; lane++)
            work->x[i][lane] = (real)p->x[(at + at_most(lane, lanes - 1)) * dimensions + i];
    work->keys = keys_of(p->trajectory + at, lanes);
    work->block = -1;
    if (p->weights == NULL)
        own_weights(work, at, lanes);
}

/* The kinds of solve that are compiled by themselves. */
static int64_t solve_published(struct work *work, int64_t at, int64_t lanes) {
    return solve_lanes(0, 1, 2, work, at, lanes);
}

static int64_t solve_shared(struct work *work, int64_t at, int64_t lanes) {
    return solve_lanes(0, 0, work->problem->widths[0], work, at, lanes);
}

static int64_t solve_own(struct work *work, int64_t at, int64_t lanes) {
    return solve_lanes(1, 0, work->problem->widths[0], work, at, lanes);
}

static int is_published(const struct loop_problem *p) {
    const int64_t *widths = p->widths;
    return p->layers == 3 && widths[0] == 2 && widths[1] == 14 && widths[2] == 14;
}

int64_t loop_outputs(const struct loop_problem *p, const double *noise, double *outputs) {
    struct work work;
    if (allocate(&work, p) != 0)
        return -1;
    int64_t all = all_outputs(p), dimensions = p->widths[0], tick = p->tick[p->first_segment];
    for (int64_t at = 0; at < p->count; at += LANES) {
        int64_t lanes = at_most(LANES, p->count - at);
        load(&work, at, lanes);
        for (int64_t j = 0; j < all; j++)
            for (int64_t lane = 0; lane < lanes; lane++)
                work.noise[j][lane] = (real)noise[(at + lane) * all + j];
        if (p->weights == NULL) {
            start_all(1, &work, tick);
            layers(1, 0, &work, work.x, tick, 0);
        } else {
            start_all(0, &work, tick);
            layers(0, 0, &work, work.x, tick, 0);
        }
        for (int64_t j = all - dimensions; j < all; j++)
            work.output[j] = within((real)p->output_gain * work.output[j], (real)p->output_clamp);
        for (int64_t lane = 0; lane < lanes; lane++)
            for (int64_t j = 0; j < all; j++)
                outputs[(at + lane) * all + j] = (double)work.output[j][lane];
    }
    free(work.memory);
    return 0;
}

int64_t loop_solve(const struct loop_problem *p, int64_t first, int64_t last) {
    struct work work;
    if (allocate(&work, p) != 0)
        return -1;
    int64_t saturated = 0, dimensions = p->widths[0];
    for (int64_t at = first; at < last; at += LANES) {
        int64_t lanes = at_most(LANES, last - at);
        load(&work, at, lanes);
        if (p->weights == NULL)
            saturated += solve_own(&work, at, lanes);
        else if (is_published(p))
            saturated += solve_published(&work, at, lanes);
        else
            saturated += solve_shared(&work, at, lanes);
        for (int64_t lane = 0; lane < lanes; lane++)
            for (int64_t i = 0; i < dimensions; i++)
                p->x[(at + lane) * dimensions + i] = (double)work.x[i][lane];
    }
    free(work.memory);
    return saturated;
}

void loop_normals(const struct loop_problem *p, uint64_t seed, uint64_t b, uint64_t c,
                  uint64_t stream, double *normals) {
    for (int64_t at = 0; at < p->count; at += LANES) {
        struct keys keys = keys_of(p->trajectory + at, p->count - at);
        vec out[4];
        fill_normals(out, &keys, seed, b, c, stream, 4);
        for (int64_t lane = 0; lane < at_most(LANES, p->count - at); lane++)
            for (int k = 0; k < 4; k++)
                normals[4 * (at + lane) + k] = (double)out[k][lane];
    }
}

int64_t loop_api(void) {
    return LOOP_KERNEL_API;
}

int64_t loop_real_bytes(void) {
    return (int64_t)sizeof(real);
}
