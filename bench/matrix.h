/* SPDX-License-Identifier: MIT */
/*
 * Cells that go from pair to pair of CPUs (`matrix`): which pairs there are to see, which of them a trial visits, and
 * which classes have shown pairs so unlike each other that more of them have to be seen. Pure functions of the
 * topology's rows, a seed and the records.
 */
#ifndef FAULTLINE_MATRIX_H
#define FAULTLINE_MATRIX_H

#include <jansson.h>

#include "pairs.h"

struct visit {
    unsigned cpus[2];           /* OS indices, of the first worker and of the second */
    char class[PAIR_NAME_SIZE]; /* of the pair; "" where unknown */
    bool canary;                /* the pair that is visited again and again, so that the machine's own drift shows */
    unsigned rounds;            /* that were measured there; filled in by measuring */
    uint64_t t_ns;              /* when they began, since the first did; filled in by measuring */
};

enum {
    MATRIX_ROUNDS = 3,      /* timed ones of a visit, at least … */
    MATRIX_ROUNDS_ALL = 24, /* … and more where a trial would have fewer than these */
    MATRIX_VISITS = 40,     /* of a trial, where a few trials see every pair like that */
    MATRIX_BETWEEN = 100,   /* visits between two of the canary: about a second */
};

/* How many pairs of a class are looked at: 3, 8 where these differ, and then one of every two L3 caches. */
enum matrix_width { WIDTH_FEW, WIDTH_MORE, WIDTH_CACHES };

struct matrix_best { /* what has been seen of a pair */
    unsigned a, b;   /* OS indices, the lower first */
    unsigned class, visits;
    double ns; /* least of an operation of the baseline; 0: none that counts */
};

/* What has been seen so far of the pairs of a cell; zero at first. */
struct matrix_seen {
    struct matrix_best *items; /* [count] by a, then by b */
    unsigned count;
    enum matrix_width widths[PAIR_CLASSES_MAX]; /* by class */
};

/*
 * The pairs of a matrix, each once:
 *   class  every CPU in at least one pair (n/2 pairs of neighbours), and of each class as many as its width says
 *   l3     one of every two L3 caches, and one within each that has two cores
 *   core   the first CPUs of every two cores, and one within each core that has two
 *   pu     every two CPUs
 * In *items, which the caller frees. -ENXIO with text when there is no pair, or no L3 cache is told; -ENOMEM.
 */
int matrix_pairs(const struct pairs *pairs, enum matrix matrix, const enum matrix_width *widths, uint64_t seed,
                 struct pair **items, unsigned *count, struct err *err);

/* Pairs that one trial sees of `count`, so that `trials` see each at least once. */
unsigned matrix_share(unsigned count, unsigned trials);

/* Visits of a trial that sees so many pairs: the canary's are at both ends and every MATRIX_BETWEEN, unless there is
 * nothing else. */
unsigned matrix_visit_count(unsigned share);

/* Timed rounds of each of so many visits. */
unsigned matrix_rounds(unsigned visit_count);

/*
 * What the next of `trials` trials visits: `share` pairs, those that were visited least, in drawn order, and the
 * canary. A pair's CPUs change places with each visit. In *visits, which the caller frees; -ENOMEM.
 */
int matrix_visits(const struct pairs *pairs, const struct pair *items, unsigned count, const struct matrix_seen *seen,
                  unsigned trials, uint64_t seed, struct visit **visits, unsigned *visit_count, struct err *err);

/*
 * Takes over what a trial's record shows of its pairs. A class whose pairs differ by more than a tenth is looked at
 * more widely from then on. -ENOMEM.
 */
int matrix_learn(struct matrix_seen *seen, const struct pairs *pairs, const json_t *record, struct err *err);
void matrix_forget(struct matrix_seen *seen);

/* Two workers that stay where they are, as a visit. Its class is "" where the pairs do not know the CPUs. */
struct visit matrix_stay(const struct pairs *pairs, unsigned a, unsigned b);

#endif
