/* SPDX-License-Identifier: MIT */
/* Machines that are made up, for what is to be tried on more CPUs than there are. */
#ifndef FAULTLINE_SHAPES_H
#define FAULTLINE_SHAPES_H

#include "pairs.h"

enum { CPUS_MAX = 512, NODES_MAX = 8 };

/* A regular machine; CPUs are numbered as Linux does: first one of each core, then their siblings. */
struct shape {
    unsigned packages, nodes, l3s, cores, smt; /* of the machine; each in what stands before it, but all l3s in nodes */
};

static struct cpu_row rows[CPUS_MAX];
static unsigned distances[NODES_MAX * NODES_MAX];

/* The kernel's numbers are not the places of rows: 0, 8, 11 … */
static inline unsigned os_index(unsigned row)
{
    return row ? 3 * row + 5 : 0;
}

static inline unsigned row_of(unsigned os)
{
    return os ? (os - 5) / 3 : 0;
}

static inline unsigned build(const struct shape *shape)
{
    unsigned cores = shape->packages * shape->nodes * shape->l3s * shape->cores, count = 0;
    for (unsigned smt = 0; smt < shape->smt; smt++)
        for (unsigned core = 0; core < cores; core++) {
            int l3 = (int)(core / shape->cores), node = l3 / (int)shape->l3s;
            rows[count] = (struct cpu_row){.os_index = os_index(count),
                                           .smt = (int)smt,
                                           .core = (int)core,
                                           .l2 = (int)core,
                                           .cluster = -1,
                                           .l3 = l3,
                                           .die = -1,
                                           .node = node,
                                           .package = node / (int)shape->nodes,
                                           .kind = -1};
            count++;
        }
    return count;
}

/* As firmware tells them: 10 the own node, 12 the same package, 32 another one. */
static inline unsigned build_distances(const struct shape *shape)
{
    unsigned nodes = shape->packages * shape->nodes;
    for (unsigned a = 0; a < nodes; a++)
        for (unsigned b = 0; b < nodes; b++)
            distances[a * nodes + b] = a == b ? 10 : a / shape->nodes == b / shape->nodes ? 12 : 32;
    return nodes;
}

static inline struct pairs classify(const struct shape *shape)
{
    struct pairs pairs;
    unsigned count = build(shape), nodes = build_distances(shape);
    pairs_classify(&pairs, rows, count, distances, nodes);
    return pairs;
}

#endif
