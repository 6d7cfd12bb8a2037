/* SPDX-License-Identifier: MIT */
/* The order of arms within rounds: blocks of a Williams square, relabelled at random (Williams, Aust. J. Sci. Res.
 * 1949). */
#ifndef FAULTLINE_ROUNDS_H
#define FAULTLINE_ROUNDS_H

#include <stdbool.h>
#include <stdint.h>

#include "random.h"

/*
 * Fills order[arm_count] for one round: order[slot] is the arm that runs there. Call it for round 0, 1, 2 … with the
 * same state. In every block of arm_count rounds each arm stands once in each slot; over a block (two, when arm_count
 * is odd) each arm follows each other arm equally often.
 */
struct rounds {
    struct random random;
    unsigned arm_count, round;
    unsigned label[16];
};

void rounds_begin(struct rounds *rounds, unsigned arm_count, uint64_t seed);
void rounds_next(struct rounds *rounds, unsigned *order);

#endif
