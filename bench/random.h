/* SPDX-License-Identifier: MIT */
/* Seeded random numbers that are the same on every machine: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
#ifndef FAULTLINE_RANDOM_H
#define FAULTLINE_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Uniform in [0, below) without bias that could matter (below is far under 2^64); `below` > 0. */
static inline uint64_t random_below(struct random *random, uint64_t below)
{
    return (uint64_t)(((unsigned __int128)random_next(random) * below) >> 64);
}

/* Puts items[count] into a random order (Fisher-Yates). */
static inline void random_shuffle(struct random *random, unsigned *items, unsigned count)
{
    for (unsigned i = count; i > 1; i--) {
        unsigned j = (unsigned)random_below(random, i), swap = items[i - 1];
        items[i - 1] = items[j];
        items[j] = swap;
    }
}

/* A seed for one purpose, derived from another: different purposes never share a sequence. */
static inline uint64_t random_derive(uint64_t seed, uint64_t purpose)
{
    struct random random = {seed ^ (purpose * UINT64_C(0xd6e8feb86659fd93))};
    random_next(&random);
    return random_next(&random);
}

#endif
