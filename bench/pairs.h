/* SPDX-License-Identifier: MIT */
/*
 * How far apart two CPUs are, and which pairs stand for all that are as far: pure functions of rows that place.c has
 * read, so that machines which nobody has at hand can be tried.
 */
#ifndef FAULTLINE_PAIRS_H
#define FAULTLINE_PAIRS_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "params.h"

/* One CPU that may be used. Members but the first are indices of what it belongs to; -1 where the machine tells none.
 */
struct cpu_row {
    unsigned os_index;
    int smt; /* rank among the CPUs of its core */
    int core, l2, cluster, l3, die, node, package;
    int kind; /* of CPU: 0 is the slowest */
};

/* The first thing that two CPUs have in common, from the nearest on. */
enum pair_level {
    PAIR_CORE,
    PAIR_L2,
    PAIR_CLUSTER,
    PAIR_L3,
    PAIR_DIE,
    PAIR_NODE,
    PAIR_PACKAGE,
    PAIR_MACHINE,
    PAIR_LEVELS,
};

enum { PAIR_CLASSES_MAX = 64, PAIR_NAME_SIZE = 48 };

/* Pairs with the same nearest level, the same NUMA distance and the same two kinds of CPU. */
struct pair_class {
    enum pair_level level;
    unsigned distance; /* between their NUMA nodes, the larger of both ways (10: the same node); 0: unknown */
    int kinds[2];      /* the lower first */
    uint64_t count;    /* of unordered pairs */
    char name[PAIR_NAME_SIZE];
};

struct pair {
    unsigned a, b; /* indices of rows, a < b */
    unsigned class;
};

struct pairs {
    const struct cpu_row *cpus; /* [cpu_count] borrowed */
    unsigned cpu_count;
    const unsigned *distances; /* [node_count][node_count] borrowed, by node index; NULL: none are told */
    unsigned node_count;
    bool same_kinds;                             /* kinds are not told apart */
    struct pair_class classes[PAIR_CLASSES_MAX]; /* nearest first */
    unsigned class_count;
};

/*
 * Finds the classes of all pairs. `cpus` and `distances` have to live as long. Where there are more than
 * PAIR_CLASSES_MAX, kinds of CPU are no longer told apart, and then no distances.
 */
void pairs_classify(struct pairs *pairs, const struct cpu_row *cpus, unsigned cpu_count, const unsigned *distances,
                    unsigned node_count);

/* Class of the pair of rows a and b. */
unsigned pairs_class(const struct pairs *pairs, unsigned a, unsigned b);

/* Whether one of the two rows is CPU 0, where interrupts tend to go. */
bool pairs_has_cpu_zero(const struct pairs *pairs, unsigned a, unsigned b);

/* Some of the pairs, zero at first; whoever has it frees items. */
struct pair_list {
    struct pair *items; /* [count] */
    unsigned count, room;
};

/* -ENOMEM, and the list is as it was. */
int pair_list_add(struct pair_list *list, struct pair pair);

/* Name of a level: "core", "l3" … */
const char *pair_level_name(enum pair_level level);

/*
 * Pairs that stand for each class: the first, the last and some drawn by the seed, `per_class` at most (18), without
 * CPU 0 (where interrupts tend to go) as far as there is a choice. In *items, which the caller frees. -ENOMEM.
 */
int pairs_choose(const struct pairs *pairs, unsigned per_class, uint64_t seed, struct pair **items, unsigned *count,
                 struct err *err);

/*
 * OS indices of the CPUs that `count` workers are bound to (params->place; not `any`), in cpus[count]. Pairs take
 * turns: `turn` says which of them it is, and which of its two CPUs comes first. -ENXIO with text when the machine has
 * no such pair, or fewer CPUs. -ENOMEM.
 */
int pairs_place(const struct pairs *pairs, uint64_t place, unsigned turn, unsigned *cpus, unsigned count,
                struct err *err);

/* All rows in the order of place: pack or spread, in rows[cpu_count]. -ENOMEM. */
int pairs_order(const struct pairs *pairs, enum place place, unsigned *rows, struct err *err);

/* The pairs that take turns for a place of two workers; none for the others. -ENOMEM. The caller frees *items. */
int pairs_of_place(const struct pairs *pairs, enum place place, struct pair **items, unsigned *count, struct err *err);

#endif
