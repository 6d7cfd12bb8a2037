/* SPDX-License-Identifier: MIT */
#include "rounds.h"

void rounds_begin(struct rounds *rounds, unsigned arm_count, uint64_t seed)
{
    *rounds = (struct rounds){.random = {seed}, .arm_count = arm_count};
}

static void relabel(struct rounds *rounds)
{
    for (unsigned i = 0; i < rounds->arm_count; i++)
        rounds->label[i] = i;
    random_shuffle(&rounds->random, rounds->label, rounds->arm_count);
}

void rounds_next(struct rounds *rounds, unsigned *order)
{
    unsigned count = rounds->arm_count, row = rounds->round % count, block = rounds->round / count;
    /* An odd number of arms needs the square and its mirror image for balance: both with the same labels. */
    bool odd = count % 2 == 1, mirrored = odd && block % 2 == 1;
    if (row == 0 && !mirrored)
        relabel(rounds);
    for (unsigned slot = 0; slot < count; slot++) {
        /* First row 0, 1, count-1, 2, count-2 …; every further row adds one. */
        unsigned step = slot % 2 ? (slot + 1) / 2 : (count - slot / 2) % count;
        unsigned at = mirrored ? count - 1 - slot : slot;
        order[at] = rounds->label[(step + row) % count];
    }
    rounds->round++;
}
