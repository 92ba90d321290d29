/* The yardstick: the ideal loop of the published 2-14-14-2 network, written by hand for nothing
 * else. Sizes are constants, there is no noise, no limit, no choice of anything, and the number of
 * trajectories is a multiple of the lanes. One step of Heun's method per held tick, in float.
 *
 * weights: (3, 14), (15, 14), (15, 2), bias row last in each; the output gain is in the last layer.
 */
#include <stddef.h>

enum { H = 14, LANES = 16 };
typedef float vec __attribute__((vector_size(4 * LANES)));

static inline __attribute__((always_inline)) vec rectified(vec v) {
    vec out;
    for (int lane = 0; lane < LANES; lane++)
        out[lane] = v[lane] > 0 ? v[lane] : 0;
    return out;
}

static inline __attribute__((always_inline)) void network(const float *w, const float *e, vec x,
                                                          vec y, vec *s, vec *r) {
    vec h[H], g[H];
    for (int j = 0; j < H; j++)
        h[j] = rectified((w[2 * H + j] + e[j]) + x * w[j] + y * w[H + j]);
    w += 3 * H;
    for (int j = 0; j < H; j++)
        g[j] = (vec){0} + (w[H * H + j] + e[j]);
    for (int i = 0; i < H; i++)
#pragma GCC unroll 14
        for (int j = 0; j < H; j++)
            g[j] += h[i] * w[i * H + j];
    w += (H + 1) * H;
    vec even[2] = {(vec){0} + w[2 * H], (vec){0} + w[2 * H + 1]}, odd[2] = {{0}, {0}};
    for (int i = 0; i < H; i += 2) {
        vec a = rectified(g[i]), b = rectified(g[i + 1]);
        even[0] += a * w[2 * i], even[1] += a * w[2 * i + 1];
        odd[0] += b * w[2 * i + 2], odd[1] += b * w[2 * i + 3];
    }
    *s = even[0] + odd[0], *r = even[1] + odd[1];
}

void solve(float *x, ptrdiff_t first, ptrdiff_t last, ptrdiff_t ticks, float dt,
           const float *weights, const float *embedding, const float *rate, const float *pull) {
    for (ptrdiff_t at = first; at < last; at += LANES) {
        vec x0, x1, s0, s1;
        for (int lane = 0; lane < LANES; lane++)
            x0[lane] = x[2 * (at + lane)], x1[lane] = x[2 * (at + lane) + 1];
        for (ptrdiff_t t = 0; t < ticks; t++) {
            const float *w = weights;
            __asm__("" : "+r"(w)); /* weights stay in the cache instead of crowding registers */
            network(w, embedding + t * H, x0, x1, &s0, &s1);
            vec k0 = rate[t] * x0 + pull[t] * s0, k1 = rate[t] * x1 + pull[t] * s1;
            vec y0 = x0 + dt * k0, y1 = x1 + dt * k1;
            __asm__("" : "+r"(w));
            network(w, embedding + t * H, y0, y1, &s0, &s1);
            x0 += 0.5f * dt * (k0 + rate[t] * y0 + pull[t] * s0);
            x1 += 0.5f * dt * (k1 + rate[t] * y1 + pull[t] * s1);
        }
        for (int lane = 0; lane < LANES; lane++)
            x[2 * (at + lane)] = x0[lane], x[2 * (at + lane) + 1] = x1[lane];
    }
}
