/* SPDX-License-Identifier: MIT */
/*
 * Sets of CPUs and of memory nodes, as the kernel's calls take them. They are as large as for the largest kernel: one
 * that is built for fewer accepts a longer mask than its own, and refuses a shorter one.
 */
#ifndef FAULTLINE_MASK_H
#define FAULTLINE_MASK_H

#include <errno.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    CPUS_MAX = 8192,                /* the largest NR_CPUS a kernel can be built with (x86, MAXSMP) */
    NODES_MAX = 1024,               /* the largest MAX_NUMNODES (CONFIG_NODES_SHIFT 10) */
    NODE_MASK_BITS = NODES_MAX + 1, /* the kernel takes the last bit for none (mm/mempolicy.c get_nodes) */
    MASK_PART_BITS = 8 * sizeof(long)
};

struct cpu_mask {
    cpu_set_t part[CPUS_MAX / CPU_SETSIZE];
};

struct node_mask {
    unsigned long part[NODES_MAX / MASK_PART_BITS];
};

/* The CPUs that the calling thread may use; -errno, and none, where they cannot be asked for. */
static inline int cpu_mask_read(struct cpu_mask *mask)
{
    CPU_ZERO_S(sizeof *mask, mask->part);
    return sched_getaffinity(0, sizeof *mask, mask->part) ? -errno : 0;
}

static inline bool cpu_mask_has(const struct cpu_mask *mask, unsigned cpu)
{
    return cpu < CPUS_MAX && CPU_ISSET_S(cpu, sizeof *mask, mask->part);
}

static inline unsigned cpu_mask_count(const struct cpu_mask *mask)
{
    return (unsigned)CPU_COUNT_S(sizeof *mask, mask->part);
}

/* `node` is below NODES_MAX. */
static inline void node_mask_add(struct node_mask *mask, unsigned node)
{
    mask->part[node / MASK_PART_BITS] |= 1UL << node % MASK_PART_BITS;
}

/* The nodes whose memory the calling thread may use, by its control group; -errno, and none, where that is not told. */
static inline int node_mask_read(struct node_mask *mask)
{
    *mask = (struct node_mask){{0}};
    return syscall(SYS_get_mempolicy, NULL, mask->part, (unsigned long)NODES_MAX, NULL, MPOL_F_MEMS_ALLOWED) ? -errno
                                                                                                             : 0;
}

static inline unsigned node_mask_count(const struct node_mask *mask)
{
    unsigned count = 0;
    for (unsigned i = 0; i < NODES_MAX / MASK_PART_BITS; i++)
        count += (unsigned)__builtin_popcountl(mask->part[i]);
    return count;
}

static inline bool node_mask_has(const struct node_mask *mask, unsigned node)
{
    return mask->part[node / MASK_PART_BITS] >> node % MASK_PART_BITS & 1;
}

#endif
