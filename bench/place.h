/* SPDX-License-Identifier: MIT */
/* Where work runs: topology, binding and its verification. hwloc is used only in place.c; without it
 * (FAULTLINE_MINIMAL) the same functions work on what sysfs tells (layout.h). */
#ifndef FAULTLINE_PLACE_H
#define FAULTLINE_PLACE_H

#include <stdbool.h>

#include <jansson.h>

#include "err.h"
#include "mask.h"
#include "pairs.h"

struct topology; /* a loaded topology */

/*
 * Loads this machine's topology (cgroup and affinity honoured), or the one that hwloc's variables name. Free with
 * place_free. -errno with text, also when such a variable names what hwloc cannot load.
 */
int place_load(struct topology **place, struct err *err);
void place_free(struct topology *place);

/* False for a synthetic or foreign topology (HWLOC_SYNTHETIC, HWLOC_XMLFILE, HWLOC_FSROOT): planning only. */
bool place_is_this_machine(const struct topology *place);

/* CPUs this process may use. */
unsigned place_cpu_count(const struct topology *place);

/* The usable CPUs, and the distances between their NUMA nodes, sorted into classes of pairs; lives as long as the
 * place. */
const struct pairs *place_pairs(const struct topology *place);

/* OS index of the n-th usable CPU (n from 0, wraps), in an order that leaves CPU 0 to the last. */
unsigned place_nth_cpu(const struct topology *place, unsigned n);

/*
 * Summary for the fingerprint:
 *   {"source","this_machine","packages","numa_nodes","cores","cpus",
 *    "pus":[{"os_index","allowed","core","smt","l2","cluster","l3","die","numa_node","package","kind","frequency_mhz"}],
 *    "caches":[{"level","type","bytes","line_bytes","ways","cpus","count"}],
 *    "nodes":[{"os_index","bytes","cpus"}], "distances":[[…]] in the order of nodes, or null,
 *    "classes":[{"name","level","distance","kinds","pairs"}]}
 * "cpus" counts the usable ones. Of a PU os_index and numa_node are the kernel's numbers, smt is its rank in the core,
 * kind hwloc's class of CPUs (0: the slowest) and frequency_mhz the highest of that class, the others hwloc's logical
 * indices; alike caches are one row, "cpus" sharing each. The "cpus" of a node are those usable ones to
 * which it is the nearest; a cluster is told by its lowest CPU. "classes" are those of the pairs of usable CPUs,
 * nearest first (pairs.h). What the machine does not show is null. Without hwloc "caches" is empty and frequency_mhz
 * null. New reference; NULL on failure.
 */
json_t *place_json(const struct topology *place);

/* Writes topology.xml (version-2 format), without serial numbers and names. -errno with text; -ENOTSUP without hwloc.
 */
int place_export(const struct topology *place, const char *path, struct err *err);

/* How many memory nodes have memory, whether CPUs belong to them or not. */
unsigned place_memory_node_count(const struct topology *place);

/*
 * OS indices of the memory nodes on which pages lie for `where` (not `any`) when the first worker is on `cpu`, in
 * nodes[NODES_MAX]; *count of them. Nodes without memory are left out, those without CPUs are not. -ENXIO with text
 * where the machine has no such node.
 */
int place_memory_nodes(const struct topology *place, enum memory_node where, unsigned cpu, unsigned *nodes,
                       unsigned *count, struct err *err);

/*
 * What the calling thread, and whom it starts, touches first from now on lies on these nodes: the only one, or all in
 * turn (set_mempolicy(2), MPOL_BIND and MPOL_INTERLEAVE). Read back; -EXDEV with text when it did not take, -EOPNOTSUPP
 * where the call is forbidden or absent.
 */
int place_bind_memory(const unsigned *nodes, unsigned count, struct err *err);

/*
 * Binds the calling thread to one CPU by its OS index, reads the binding back and checks sched_getcpu; -EXDEV when it
 * did not take. Needs no loaded topology, so that a trial process pays nothing for hwloc.
 */
int place_bind(unsigned cpu, struct err *err);

#endif
