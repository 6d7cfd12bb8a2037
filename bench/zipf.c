/* SPDX-License-Identifier: MIT */
#include "zipf.h"

#include <math.h>

enum { FEISTEL_ROUNDS = 4 }; /* three make a permutation hard to tell from a random one, four are customary */

/* (e^x - 1) / x, and its limit at 0. */
static double expm1_over(double x)
{
    return fabs(x) > 1e-8 ? expm1(x) / x : 1 + x / 2 * (1 + x / 3);
}

/* log(1 + x) / x, and its limit at 0. */
static double log1p_over(double x)
{
    return fabs(x) > 1e-8 ? log1p(x) / x : 1 - x * (0.5 - x / 3);
}

/* The hat: x^-theta. */
static double hat(const struct zipf *zipf, double x)
{
    return exp(-zipf->theta * log(x));
}

/* Its integral from 1 to x, in a form that has no gap at theta = 1. */
static double integral(const struct zipf *zipf, double x)
{
    double log_x = log(x);
    return expm1_over((1 - zipf->theta) * log_x) * log_x;
}

static double integral_inverse(const struct zipf *zipf, double y)
{
    double t = y * (1 - zipf->theta);
    return exp(log1p_over(t < -1 ? -1 : t) * y); /* below -1 only by rounding */
}

struct zipf zipf_begin(uint64_t count, double theta)
{
    struct zipf zipf = {.count = count, .theta = theta};
    zipf.low = integral(&zipf, 1.5) - 1;
    zipf.high = integral(&zipf, (double)count + 0.5);
    zipf.accepted = 2 - integral_inverse(&zipf, integral(&zipf, 2.5) - hat(&zipf, 2));
    return zipf;
}

/* Uniform in [0, 1) with 53 bits. */
static double uniform(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

uint64_t zipf_draw(const struct zipf *zipf, struct random *random)
{
    double most = (double)zipf->count;
    for (;;) {
        double y = zipf->high + uniform(random) * (zipf->low - zipf->high), x = integral_inverse(zipf, y);
        double rank = floor(x + 0.5);
        rank = rank < 1 ? 1 : rank > most ? most : rank; /* out of range only by rounding */
        if (rank - x <= zipf->accepted || y >= integral(zipf, rank + 0.5) - hat(zipf, rank))
            return (uint64_t)rank - 1;
    }
}

struct scatter scatter_begin(uint64_t count, uint64_t seed)
{
    struct scatter scatter = {.count = count, .seed = seed, .half_bits = 1};
    while (scatter.half_bits < 32 && (count - 1) >> (2 * scatter.half_bits))
        scatter.half_bits++;
    return scatter;
}

static uint64_t mix(const struct scatter *scatter, unsigned round, uint64_t half)
{
    return random_derive(scatter->seed + round, half + 1) & ((UINT64_C(1) << scatter->half_bits) - 1);
}

uint64_t scatter_place(const struct scatter *scatter, uint64_t index)
{
    uint64_t mask = (UINT64_C(1) << scatter->half_bits) - 1;
    do {
        uint64_t left = index >> scatter->half_bits, right = index & mask;
        for (unsigned round = 0; round < FEISTEL_ROUNDS; round++) {
            uint64_t next = left ^ mix(scatter, round, right);
            left = right;
            right = next;
        }
        index = left << scatter->half_bits | right;
    } while (index >= scatter->count);
    return index;
}
