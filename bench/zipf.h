/* SPDX-License-Identifier: MIT */
/* Draws by popularity, and where in the file the popular blocks lie. Both need no memory, however many blocks there
 * are. */
#ifndef FAULTLINE_ZIPF_H
#define FAULTLINE_ZIPF_H

#include <stdint.h>

#include "random.h"

/* Constants of one distribution: ranks 0 … count - 1, the probability of rank k proportional to (k + 1)^-theta. */
struct zipf {
    uint64_t count;
    double theta;
    double low, high; /* integral of the hat at its two ends */
    double accepted;  /* so close to the next whole number nothing is ever rejected */
};

/* `count` > 0, `theta` finite and not negative; 0 is the uniform distribution. */
struct zipf zipf_begin(uint64_t count, double theta);

/*
 * One rank. Rejection-inversion: Hörmann and Derflinger, Rejection-inversion to generate variates from monotone
 * discrete distributions, ACM TOMACS 6 (1996) 169-184. Exact, at most a few tries a draw for any count and theta.
 */
uint64_t zipf_draw(const struct zipf *zipf, struct random *random);

/* A seeded permutation of 0 … count - 1, computed place by place. */
struct scatter {
    uint64_t count, seed;
    unsigned half_bits; /* of the two halves that are mixed; 4^half_bits >= count */
};

struct scatter scatter_begin(uint64_t count, uint64_t seed);

/* Where `index` < count comes to lie: a Feistel network, walked until it ends within the range (cycle walking). */
uint64_t scatter_place(const struct scatter *scatter, uint64_t index);

#endif
