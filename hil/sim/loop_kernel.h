/* The compiled kernel of the analog loop: what it is given.
 *
 * Every member has eight bytes, so that hil/sim/loop_call.py can write the same list without
 * knowing how a compiler packs. `real` is float or double, as the library was compiled. Arrays are
 * C-ordered. Nothing here is checked: hil/sim/loop_call.py checks shapes and types before it calls.
 */
#ifndef LOOP_KERNEL_H
#define LOOP_KERNEL_H

#include <stdint.h>

#define LOOP_KERNEL_API 1

struct loop_problem {
    /* Layers: the hidden ones, then the output. Weights are layer after layer, each (inputs + 1,
     * outputs) with the bias row last, in volts. */
    int64_t layers;
    const int64_t *widths;  /* (layers + 1): dimensions, hidden widths, dimensions */
    const void *weights;    /* real, one network for all; NULL: each trajectory has its own */
    const void *variance;   /* real, like weights: of a weight's fresh noise; NULL: none */
    int64_t cells;          /* of a trajectory's own network: */
    const int64_t *slot;    /* (cells), the weight that each adds to */
    const double *gain;     /* (cells), what it adds */
    const double *base;     /* (weights), what is added to */
    const float *deviation; /* (trajectories, cells), relative */
    double saturation;      /* of every sum, before the embedding is added */
    double ceiling;         /* of the rectifiers */
    double output_gain;
    double output_clamp;
    double state_clamp;
    int64_t saturates; /* 0: no sum ever saturates */
    int64_t has_ceiling;

    /* Noise of every sum, fresh in each period of its clock. */
    double noise;
    uint64_t noise_seed;
    uint64_t noise_stream;

    /* Held words, by tick; H is the width of the embedding. */
    const void *rate;      /* real (ticks, dimensions), of x */
    const void *pull;      /* real (ticks, dimensions), of the network's output */
    const void *embedding; /* real (ticks, H) */
    int64_t embedding_width;
    const void *constant; /* real (dimensions) */

    /* Held noise words: plain (a rate), or codes of a converter with its errors. */
    int64_t noisy;
    int64_t coded;
    uint64_t wave_seed;
    uint64_t wave_stream;
    const void *noise_sd;     /* real (ticks): rate, or codes */
    const void *offset_codes; /* real (ticks, dimensions); this and the next six only if coded */
    const void *noise_rate;   /* real (dimensions), at full scale */
    const void *noise_gain;   /* real (dimensions) */
    const void *noise_offset; /* real (dimensions) */
    const void *noise_bow;    /* real (dimensions) */
    const void *noise_lag;    /* real (dimensions) */
    double code_max;
    double code_zero;

    /* Segments: when held values change. */
    int64_t first_segment;
    int64_t last_segment;
    const int64_t *tick;
    const int64_t *noise_tick;
    const double *length_s;
    const uint8_t *ends_tick;

    /* Trajectories. */
    int64_t count;
    const int64_t *trajectory; /* (count), below 2^32: the key of their draws */
    double *x;                 /* (count, dimensions), from start to end */
    int64_t traced;            /* the first ones, of which points are kept */
    int64_t trace_points;
    int64_t trace_every;
    double *traces; /* (traced, trace_points, dimensions) */
};

/* LOOP_KERNEL_API and the bytes of a real, for the library to be known by. */
int64_t loop_api(void);
int64_t loop_real_bytes(void);

/* Solves trajectories first..last-1 in place. The number of noise words that were cut off at an end
 * of their converter, or -1 where there is no memory. May be called by several threads at once for
 * different trajectories. */
int64_t loop_solve(const struct loop_problem *problem, int64_t first, int64_t last);

/* Outputs (count, sum of the layers' outputs) of every layer for x as it is, with the words of
 * `first_segment` and, where problem->noise > 0, `noise` (count, sum of outputs) added. 0, or -1
 * where there is no memory. */
int64_t loop_outputs(const struct loop_problem *problem, const double *noise, double *outputs);

/* Four normals (count, 4) of each counter (trajectory, b, c, stream), as doubles. */
void loop_normals(const struct loop_problem *problem, uint64_t seed, uint64_t b, uint64_t c,
                  uint64_t stream, double *normals);

#endif
