/* SPDX-License-Identifier: MIT */
/* How the CPUs and the memory of a machine lie, whoever has read it: hwloc (place.c), or what sysfs tells. */
#ifndef FAULTLINE_LAYOUT_H
#define FAULTLINE_LAYOUT_H

#include <stdint.h>

#include "err.h"
#include "mask.h"
#include "pairs.h"

struct node_row {
    unsigned os_index;
    uint64_t bytes; /* of memory; 0: there are but CPUs */
};

struct layout {
    struct cpu_row *rows; /* [cpu_count] by OS index: the usable CPUs */
    unsigned cpu_count;
    struct node_row *nodes; /* [node_count] by OS index, with and without CPUs; rows[].node is an index of them */
    unsigned *distances;    /* [node_count][node_count]; NULL: none are told */
    unsigned node_count;
    int package_count, core_count; /* -1: none are told */
};

/*
 * Reads /sys/devices/system (Documentation/admin-guide/cputopology.rst and ABI/stable/sysfs-devices-node of the kernel)
 * as hwloc does, and numbers as it does: everything in the order of the tree, by its lowest CPU. `root` stands before
 * /sys and /proc: "" but in tests. Only `cpus` are looked at, and of the nodes with memory only `memory`, or all with
 * NULL. A CPU of which nothing is told has a row of its number alone; a machine that tells no nodes is one, as every
 * machine is to hwloc. -ENXIO with text when there is no CPU, -ENOMEM.
 *
 * Against hwloc: kinds of CPU are told by Intel's core types, else by the kernel's capacities, and not by frequencies;
 * the books and drawers of s390, and two cores that Bulldozer calls one, are not seen; a package that is left with
 * memory and no usable CPU is not counted.
 */
int layout_read(struct layout *layout, const char *root, const struct cpu_mask *cpus, const struct node_mask *memory,
                struct err *err);
void layout_free(struct layout *layout);

/* The place of a node in `nodes`; -1 when it is not among them. */
int layout_node(const struct layout *layout, unsigned os_index);

#endif
