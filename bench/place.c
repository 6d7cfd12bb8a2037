/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/mempolicy.h>
#include <sys/syscall.h>

#ifndef FAULTLINE_MINIMAL
#include <hwloc.h>
#endif

struct node_row {
    unsigned os_index;
    uint64_t bytes; /* of memory; 0: there are but CPUs */
};

struct topology {
    bool foreign;
    unsigned *cpus; /* [cpu_count] OS indices, CPU 0 last */
    unsigned cpu_count;
    struct cpu_row *rows;   /* [cpu_count] by OS index */
    struct node_row *nodes; /* [node_count] by OS index, with and without CPUs; rows[].node is an index of them */
    unsigned *distances;    /* [node_count][node_count]; NULL: none are told */
    unsigned node_count;
    struct pairs pairs;
#ifndef FAULTLINE_MINIMAL
    hwloc_topology_t topology;
#endif
};

int place_bind_memory(const unsigned *nodes, unsigned count, struct err *err)
{
    struct node_mask mask = {{0}}, found = {{0}};
    int mode = count > 1 ? MPOL_INTERLEAVE : MPOL_BIND, found_mode = -1;
    for (unsigned i = 0; i < count; i++)
        node_mask_add(&mask, nodes[i]);
    if (syscall(SYS_set_mempolicy, mode, mask.part, (unsigned long)NODE_MASK_BITS))
        return err_set(err, errno == EPERM || errno == ENOSYS ? EOPNOTSUPP : EXDEV,
                       "cannot bind memory to node %u%s: %s", nodes[0], count > 1 ? " and others" : "",
                       strerror(errno));
    if (syscall(SYS_get_mempolicy, &found_mode, found.part, (unsigned long)NODES_MAX, NULL, 0UL) ||
        found_mode != mode || memcmp(&found, &mask, sizeof mask) != 0)
        return err_set(err, EXDEV, "binding memory to node %u did not take", nodes[0]);
    return 0;
}

static int mask_read(struct cpu_mask *mask, struct err *err)
{
    return cpu_mask_read(mask) ? err_sys(err, "sched_getaffinity") : 0;
}

/* The kernel's affinity calls directly: hwloc would need a loaded topology, milliseconds in every trial process. */
int place_bind(unsigned cpu, struct err *err)
{
    struct cpu_mask mask;
    if (cpu >= CPUS_MAX)
        return err_set(err, EXDEV, "cannot bind to CPU %u: no kernel numbers CPUs beyond %d", cpu, CPUS_MAX - 1);
    CPU_ZERO_S(sizeof mask, mask.part);
    CPU_SET_S(cpu, sizeof mask, mask.part);
    if (sched_setaffinity(0, sizeof mask, mask.part))
        return err_set(err, EXDEV, "cannot bind to CPU %u: %s", cpu,
                       errno == EINVAL ? "it is offline, absent or not allowed to this process" : strerror(errno));
    int rc = mask_read(&mask, err);
    if (rc)
        return rc;
    if (cpu_mask_count(&mask) != 1 || !cpu_mask_has(&mask, cpu))
        return err_set(err, EXDEV, "bound to CPU %u, but the binding reads back differently", cpu);
    int now = sched_getcpu();
    if (now < 0 || (unsigned)now != cpu)
        return err_set(err, EXDEV, "bound to CPU %u, but running on CPU %d", cpu, now);
    return 0;
}

/* Appends; cpus has room for every CPU of the machine. CPU 0 serves interrupts and housekeeping, so it comes last. */
static void place_add_cpu(struct topology *place, unsigned cpu)
{
    unsigned at = place->cpu_count++;
    if (at && place->cpus[at - 1] == 0) {
        place->cpus[at] = 0;
        at--;
    }
    place->cpus[at] = cpu;
}

unsigned place_cpu_count(const struct topology *place)
{
    return place->cpu_count;
}

unsigned place_nth_cpu(const struct topology *place, unsigned n)
{
    return place->cpus[n % place->cpu_count];
}

const struct pairs *place_pairs(const struct topology *place)
{
    return &place->pairs;
}

static void rows_free(struct topology *place)
{
    free(place->distances);
    free(place->nodes);
    free(place->rows);
    free(place->cpus);
    free(place);
}

bool place_is_this_machine(const struct topology *place)
{
    return !place->foreign;
}

/* ---- memory ---- */

static unsigned all_with_memory(const struct topology *place, unsigned *nodes)
{
    unsigned count = 0;
    for (unsigned i = 0; i < place->node_count && count < NODES_MAX; i++)
        if (place->nodes[i].bytes)
            nodes[count++] = place->nodes[i].os_index;
    return count;
}

unsigned place_memory_node_count(const struct topology *place)
{
    unsigned nodes[NODES_MAX];
    return all_with_memory(place, nodes);
}

/* Index of the node that is nearest to the CPU; -1: the machine tells none. */
static int node_of_cpu(const struct topology *place, unsigned cpu)
{
    for (unsigned i = 0; place->rows && i < place->cpu_count; i++)
        if (place->rows[i].os_index == cpu)
            return place->rows[i].node;
    return -1;
}

/* The node with memory that is farthest from that one; -1 when there is no other. */
static int farthest_from(const struct topology *place, int here)
{
    int farthest = -1;
    unsigned most = 0;
    for (unsigned i = 0; here >= 0 && i < place->node_count; i++) {
        unsigned distance = place->distances ? place->distances[(unsigned)here * place->node_count + i] : 0;
        if ((int)i == here || !place->nodes[i].bytes || (farthest >= 0 && distance <= most))
            continue;
        farthest = (int)i;
        most = distance;
    }
    return farthest;
}

int place_memory_nodes(const struct topology *place, enum memory_node where, unsigned cpu, unsigned *nodes,
                       unsigned *count, struct err *err)
{
    int here = node_of_cpu(place, cpu), one = where == memory_node_remote ? farthest_from(place, here) : here;
    if (where == memory_node_interleave) {
        *count = all_with_memory(place, nodes);
        return *count > 1 ? 0
                          : err_set(err, ENXIO, "pages in turn need two memory nodes, there %s %u",
                                    *count == 1 ? "is" : "are", *count);
    }
    if (one < 0 || !place->nodes[one].bytes)
        return err_set(err, ENXIO,
                       where == memory_node_remote ? "CPU %u has no other memory node"
                                                   : "CPU %u has no memory node of its own",
                       cpu);
    nodes[0] = place->nodes[one].os_index;
    *count = 1;
    return 0;
}

/* ---- what is told of it ---- */

static json_t *nodes_json(const struct topology *place)
{
    json_t *nodes = json_array();
    for (unsigned n = 0; n < place->node_count; n++) {
        int cpus = 0;
        for (unsigned i = 0; i < place->cpu_count; i++)
            cpus += place->rows[i].node == (int)n;
        json_array_append_new(nodes, json_pack("{s:i, s:I, s:i}", "os_index", (int)place->nodes[n].os_index, "bytes",
                                               (json_int_t)place->nodes[n].bytes, "cpus", cpus));
    }
    return nodes;
}

static json_t *distances_json(const struct topology *place)
{
    if (!place->distances)
        return json_null();
    json_t *list = json_array();
    for (unsigned a = 0; a < place->node_count; a++) {
        json_t *row = json_array();
        for (unsigned b = 0; b < place->node_count; b++)
            json_array_append_new(row, json_integer(place->distances[a * place->node_count + b]));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *classes_json(const struct pairs *pairs)
{
    json_t *classes = json_array();
    for (unsigned i = 0; i < pairs->class_count; i++) {
        const struct pair_class *one = &pairs->classes[i];
        json_t *kinds = one->kinds[0] < 0 ? json_null() : json_pack("[i, i]", one->kinds[0], one->kinds[1]);
        json_array_append_new(classes, json_pack("{s:s, s:s, s:o, s:o, s:I}", "name", one->name, "level",
                                                 pair_level_name(one->level), "distance",
                                                 one->distance ? json_integer(one->distance) : json_null(), "kinds",
                                                 kinds, "pairs", (json_int_t)one->count));
    }
    return classes;
}

#ifdef FAULTLINE_MINIMAL

int place_load(struct topology **out, struct err *err)
{
    struct cpu_mask mask;
    int rc = mask_read(&mask, err);
    if (rc)
        return rc;
    struct topology *place = calloc(1, sizeof *place);
    if (!place)
        return err_set(err, ENOMEM, "no memory for the list of CPUs");
    place->cpus = calloc(CPUS_MAX, sizeof *place->cpus);
    if (!place->cpus) {
        rows_free(place);
        return err_set(err, ENOMEM, "no memory for the list of CPUs");
    }
    for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++)
        if (cpu_mask_has(&mask, cpu))
            place_add_cpu(place, cpu);
    *out = place; /* how they lie is unknown: no pairs, no classes */
    return 0;
}

void place_free(struct topology *place)
{
    if (place)
        rows_free(place);
}

json_t *place_json(const struct topology *place)
{
    json_t *pus = json_array();
    for (unsigned n = 0; n < place->cpu_count; n++)
        json_array_append_new(pus, json_pack("{s:i, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:b}", "os_index",
                                             (int)place->cpus[n], "core", "smt", "l2", "cluster", "l3", "die",
                                             "numa_node", "package", "kind", "frequency_mhz", "allowed", 1));
    return json_pack("{s:s, s:b, s:n, s:n, s:n, s:i, s:o, s:[], s:[], s:n, s:o}", "source", "sched_getaffinity",
                     "this_machine", 1, "packages", "numa_nodes", "cores", "cpus", (int)place->cpu_count, "pus", pus,
                     "caches", "nodes", "distances", "classes", classes_json(&place->pairs));
}

int place_export(const struct topology *place, const char *path, struct err *err)
{
    (void)place;
    return err_set(err, ENOTSUP, "cannot write %s: this build is without hwloc", path);
}

#else

/* The variables by which hwloc can be told to describe another machine; "/" as root is this one. */
static const char *foreign_variable(void)
{
    static const char *const names[] = {"HWLOC_SYNTHETIC", "HWLOC_XMLFILE", "HWLOC_FSROOT", "HWLOC_CPUID_PATH"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value && strcmp(value, "/") != 0)
            return names[i];
    }
    return NULL;
}

/*
 * The restriction to the binding needs IS_THISSYSTEM, and that flag makes hwloc believe any source: it is given only
 * when nothing asks for a foreign one. CPUs outside the cgroup are left out by default; a foreign machine is shown
 * whole.
 */
static int topology_load(hwloc_topology_t topology, bool foreign)
{
    unsigned long here = HWLOC_TOPOLOGY_FLAG_RESTRICT_TO_CPUBINDING | HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM;
    if (hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_ALL) ||
        hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE) ||
        hwloc_topology_set_icache_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE) ||
        hwloc_topology_set_flags(topology, foreign ? HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED : here))
        return -1;
    return hwloc_topology_load(topology);
}

static int ancestor(hwloc_topology_t topology, hwloc_obj_t pu, hwloc_obj_type_t type)
{
    hwloc_obj_t object = hwloc_get_ancestor_obj_by_type(topology, type, pu);
    return object ? (int)object->logical_index : -1;
}

/*
 * The lowest CPU of the group of cores that Linux calls a cluster. A group that has memory of its own is a NUMA node in
 * a package, and no cluster.
 */
static int cluster_of(hwloc_obj_t pu)
{
    for (hwloc_obj_t object = pu->parent; object && !object->memory_first_child; object = object->parent)
        if (object->type == HWLOC_OBJ_L3CACHE || object->type == HWLOC_OBJ_DIE || object->type == HWLOC_OBJ_PACKAGE)
            return -1;
        else if (object->type == HWLOC_OBJ_GROUP && hwloc_bitmap_weight(object->cpuset) > 1)
            return hwloc_bitmap_first(object->cpuset);
    return -1;
}

/*
 * The node that lies nearest to the CPU: of the lowest part of the machine that has memory, which may lie behind a
 * memory-side cache. Of several the first, for hwloc puts memory without CPUs last. NULL when none is known.
 */
static hwloc_obj_t node_of(hwloc_obj_t pu)
{
    hwloc_obj_t object = pu->parent;
    while (object && !object->memory_first_child)
        object = object->parent;
    hwloc_obj_t memory = object ? object->memory_first_child : NULL;
    while (memory && memory->type == HWLOC_OBJ_MEMCACHE)
        memory = memory->memory_first_child;
    return memory;
}

/*
 * Rank among the CPUs of its core; -1 where the machine shows no cores. hwloc's own rank is that below a parent, which
 * may be a cache that each CPU of the core has for itself.
 */
static int smt_of(hwloc_topology_t topology, hwloc_obj_t pu)
{
    hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);
    int rank = core ? 0 : -1;
    for (int cpu = core ? hwloc_bitmap_first(core->cpuset) : -1; cpu >= 0 && (unsigned)cpu < pu->os_index;
         cpu = hwloc_bitmap_next(core->cpuset, cpu))
        rank++;
    return rank;
}

static int index_of(const struct topology *place, hwloc_obj_t node)
{
    for (unsigned i = 0; node && i < place->node_count; i++)
        if (place->nodes[i].os_index == node->os_index)
            return (int)i;
    return -1;
}

static struct cpu_row row_of(const struct topology *place, hwloc_obj_t pu)
{
    hwloc_topology_t topology = place->topology;
    return (struct cpu_row){
        .os_index = pu->os_index,
        .smt = smt_of(topology, pu),
        .core = ancestor(topology, pu, HWLOC_OBJ_CORE),
        .l2 = ancestor(topology, pu, HWLOC_OBJ_L2CACHE),
        .cluster = cluster_of(pu),
        .l3 = ancestor(topology, pu, HWLOC_OBJ_L3CACHE),
        .die = ancestor(topology, pu, HWLOC_OBJ_DIE),
        .node = index_of(place, node_of(pu)),
        .package = ancestor(topology, pu, HWLOC_OBJ_PACKAGE),
        .kind = hwloc_cpukinds_get_by_cpuset(topology, pu->cpuset, 0),
    };
}

/* Those with memory alone too, which lie near some CPUs but are no CPU's own. */
static int read_nodes(struct topology *place, struct err *err)
{
    hwloc_const_nodeset_t set = hwloc_topology_get_topology_nodeset(place->topology);
    int most = hwloc_bitmap_weight(set);
    place->nodes = calloc(most > 0 ? (size_t)most : 1, sizeof *place->nodes);
    if (!place->nodes)
        return err_set(err, ENOMEM, "no memory for the list of memory nodes");
    for (int n = most > 0 ? hwloc_bitmap_first(set) : -1; n >= 0; n = hwloc_bitmap_next(set, n)) {
        hwloc_obj_t node = hwloc_get_numanode_obj_by_os_index(place->topology, (unsigned)n);
        if (node)
            place->nodes[place->node_count++] = (struct node_row){(unsigned)n, node->attr->numanode.local_memory};
    }
    return 0;
}

/* Distances as the firmware tells them (the kernel's node distances); none is no error. */
static int read_distances(struct topology *place, struct err *err)
{
    struct hwloc_distances_s *found = NULL;
    unsigned wanted = 1;
    if (hwloc_distances_get_by_type(place->topology, HWLOC_OBJ_NUMANODE, &wanted, &found,
                                    HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0) ||
        wanted == 0)
        return 0;
    place->distances = calloc((size_t)place->node_count * place->node_count, sizeof *place->distances);
    if (!place->distances) {
        hwloc_distances_release(place->topology, found);
        return err_set(err, ENOMEM, "no memory for the distances");
    }
    for (unsigned a = 0; a < found->nbobjs; a++)
        for (unsigned b = 0; b < found->nbobjs; b++) {
            int from = index_of(place, found->objs[a]), to = index_of(place, found->objs[b]);
            if (from >= 0 && to >= 0)
                place->distances[(unsigned)from * place->node_count + (unsigned)to] =
                    (unsigned)found->values[a * found->nbobjs + b];
        }
    hwloc_distances_release(place->topology, found);
    return 0;
}

static bool pu_is_allowed(const struct topology *place, hwloc_obj_t pu, const struct cpu_mask *mask)
{
    if (!hwloc_bitmap_isset(hwloc_topology_get_allowed_cpuset(place->topology), pu->os_index))
        return false;
    return place->foreign || cpu_mask_has(mask, pu->os_index);
}

static int place_list_cpus(struct topology *place, struct err *err)
{
    struct cpu_mask mask;
    int rc = mask_read(&mask, err);
    if (rc)
        return rc;
    int pu_count = hwloc_get_nbobjs_by_type(place->topology, HWLOC_OBJ_PU);
    size_t room = pu_count > 0 ? (size_t)pu_count : 1;
    place->cpus = calloc(room, sizeof *place->cpus);
    place->rows = calloc(room, sizeof *place->rows);
    if (!place->cpus || !place->rows)
        return err_set(err, ENOMEM, "no memory for the list of CPUs");
    hwloc_const_cpuset_t set = hwloc_topology_get_topology_cpuset(place->topology);
    for (int cpu = hwloc_bitmap_first(set); cpu >= 0; cpu = hwloc_bitmap_next(set, cpu)) {
        hwloc_obj_t pu = hwloc_get_pu_obj_by_os_index(place->topology, (unsigned)cpu);
        if (pu && pu_is_allowed(place, pu, &mask)) {
            place->rows[place->cpu_count] = row_of(place, pu);
            place_add_cpu(place, (unsigned)cpu);
        }
    }
    if (place->cpu_count == 0)
        return err_set(err, ENXIO, "the topology has no CPU that this process may use");
    return 0;
}

/*
 * What a variable names and cannot be read: some of hwloc's readers say so, with others it falls back to the real
 * machine without a word.
 */
static int topology_load_checked(hwloc_topology_t topology, const char *variable, struct err *err)
{
    int rc = topology_load(topology, variable != NULL);
    if (!variable)
        return rc ? err_sys(err, "hwloc cannot load the topology") : 0;
    if (rc == 0 && (getenv("HWLOC_THISSYSTEM") || !hwloc_topology_is_thissystem(topology)))
        return 0;
    return err_set(err, EINVAL, "%s=%.200s: hwloc cannot load it%s", variable, getenv(variable),
                   strcmp(variable, "HWLOC_XMLFILE") == 0 ? " (hwloc 2 does not read the XML that hwloc 3 writes)"
                                                          : "");
}

int place_load(struct topology **out, struct err *err)
{
    const char *variable = foreign_variable();
    struct topology *place = calloc(1, sizeof *place);
    if (!place)
        return err_set(err, ENOMEM, "no memory for the topology");
    int rc = 0;
    if (hwloc_topology_init(&place->topology)) {
        place->topology = NULL;
        rc = err_sys(err, "hwloc_topology_init");
        goto out;
    }
    rc = topology_load_checked(place->topology, variable, err);
    if (rc)
        goto out;
    place->foreign = variable || !hwloc_topology_is_thissystem(place->topology);
    rc = read_nodes(place, err);
    if (rc == 0)
        rc = place_list_cpus(place, err);
    if (rc == 0)
        rc = read_distances(place, err);
    if (rc == 0)
        pairs_classify(&place->pairs, place->rows, place->cpu_count, place->distances, place->node_count);
out:
    if (rc)
        place_free(place);
    else
        *out = place;
    return rc;
}

void place_free(struct topology *place)
{
    if (!place)
        return;
    if (place->topology)
        hwloc_topology_destroy(place->topology);
    rows_free(place);
}

/* An index, or null when the machine shows none. */
static json_t *index_json(int index)
{
    return index < 0 ? json_null() : json_integer(index);
}

/* The highest frequency that a class of CPUs is said to have. */
static json_t *kind_frequency(hwloc_topology_t topology, int kind)
{
#if HWLOC_API_VERSION >= 0x00030000
    struct hwloc_infos_s *all = NULL;
    if (kind < 0 || hwloc_cpukinds_get_info(topology, (unsigned)kind, NULL, NULL, &all, 0))
        return json_null();
    const struct hwloc_info_s *infos = all->array;
    unsigned count = all->count;
#else
    struct hwloc_info_s *infos = NULL;
    unsigned count = 0;
    if (kind < 0 || hwloc_cpukinds_get_info(topology, (unsigned)kind, NULL, NULL, &count, &infos, 0))
        return json_null();
#endif
    for (unsigned i = 0; i < count; i++)
        if (strcmp(infos[i].name, "FrequencyMaxMHz") == 0)
            return json_integer(atoi(infos[i].value));
    return json_null();
}

static json_t *pu_row(const struct topology *place, hwloc_obj_t pu, const struct cpu_mask *mask)
{
    const struct cpu_row row = row_of(place, pu);
    json_t *json = json_pack("{s:i, s:b}", "os_index", (int)pu->os_index, "allowed", pu_is_allowed(place, pu, mask));
    json_object_set_new(json, "core", index_json(row.core));
    json_object_set_new(json, "smt", index_json(row.smt));
    json_object_set_new(json, "l2", index_json(row.l2));
    json_object_set_new(json, "cluster", index_json(row.cluster));
    json_object_set_new(json, "l3", index_json(row.l3));
    json_object_set_new(json, "die", index_json(row.die));
    json_object_set_new(json, "numa_node", index_json(row.node < 0 ? -1 : (int)place->nodes[row.node].os_index));
    json_object_set_new(json, "package", index_json(row.package));
    json_object_set_new(json, "kind", index_json(row.kind));
    json_object_set_new(json, "frequency_mhz", kind_frequency(place->topology, row.kind));
    return json;
}

/* Caches alike in level, size, line, ways and sharing are one row with a count. */
static void caches_add(json_t *caches, hwloc_obj_t cache)
{
    const struct hwloc_cache_attr_s *attr = &cache->attr->cache;
    json_t *row = json_pack("{s:i, s:s, s:I, s:i, s:i, s:i}", "level", (int)attr->depth, "type",
                            attr->type == HWLOC_OBJ_CACHE_UNIFIED ? "unified" : "data", "bytes", (json_int_t)attr->size,
                            "line_bytes", (int)attr->linesize, "ways", attr->associativity, "cpus",
                            hwloc_bitmap_weight(cache->cpuset));
    size_t i;
    json_t *old;
    json_array_foreach(caches, i, old)
    {
        json_int_t count = json_integer_value(json_object_get(old, "count"));
        json_object_set_new(row, "count", json_integer(count));
        if (json_equal(row, old)) {
            json_object_set_new(old, "count", json_integer(count + 1));
            json_decref(row);
            return;
        }
    }
    json_object_set_new(row, "count", json_integer(1));
    json_array_append_new(caches, row);
}

static json_t *caches_list(hwloc_topology_t topology)
{
    json_t *caches = json_array();
    for (hwloc_obj_type_t type = HWLOC_OBJ_L1CACHE; type <= HWLOC_OBJ_L5CACHE; type++)
        for (hwloc_obj_t cache = NULL; (cache = hwloc_get_next_obj_by_type(topology, type, cache));)
            caches_add(caches, cache);
    return caches;
}

json_t *place_json(const struct topology *place)
{
    struct err err;
    struct cpu_mask mask;
    if (mask_read(&mask, &err))
        return NULL;
    char source[32];
    unsigned version = hwloc_get_api_version();
    snprintf(source, sizeof source, "hwloc API %u.%u.%u", version >> 16, version >> 8 & 255, version & 255);
    json_t *pus = json_array();
    for (hwloc_obj_t pu = NULL; (pu = hwloc_get_next_obj_by_type(place->topology, HWLOC_OBJ_PU, pu));)
        json_array_append_new(pus, pu_row(place, pu, &mask));
    return json_pack("{s:s, s:b, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o}", "source", source, "this_machine",
                     !place->foreign, "packages", hwloc_get_nbobjs_by_type(place->topology, HWLOC_OBJ_PACKAGE),
                     "numa_nodes", (int)place->node_count, "cores",
                     hwloc_get_nbobjs_by_type(place->topology, HWLOC_OBJ_CORE), "cpus", (int)place->cpu_count, "pus",
                     pus, "caches", caches_list(place->topology), "nodes", nodes_json(place), "distances",
                     distances_json(place), "classes", classes_json(&place->pairs));
}

/*
 * hwloc notes serial numbers, the host's name and the cgroup's path among the remarks of the machine object; only these
 * remarks are kept. Everything else in the file is structure.
 */
static bool line_is_kept(const char *line, size_t length)
{
    static const char *const kept[] = {"Backend",       "Architecture",    "OSName",
                                       "CPUVendor",     "CPUFamilyNumber", "CPUModelNumber",
                                       "CPUModel",      "CPUStepping",     "hwlocVersion",
                                       "CoreType",      "FrequencyMaxMHz", "FrequencyBaseMHz",
                                       "LinuxCapacity", "Inclusive",       "SyntheticDescription",
                                       "Kind"};
    static const char mark[] = "<info name=\"";
    const char *name = memmem(line, length, mark, sizeof mark - 1);
    if (!name)
        return true;
    name += sizeof mark - 1;
    size_t room = length - (size_t)(name - line);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        size_t size = strlen(kept[i]);
        if (size < room && memcmp(name, kept[i], size) == 0 && name[size] == '"')
            return true;
    }
    return false;
}

static int write_kept(FILE *file, const char *xml)
{
    while (*xml) {
        size_t length = strcspn(xml, "\n");
        length += xml[length] == '\n';
        if (line_is_kept(xml, length) && fwrite(xml, 1, length, file) != length)
            return -1;
        xml += length;
    }
    return 0;
}

int place_export(const struct topology *place, const char *path, struct err *err)
{
#if HWLOC_API_VERSION >= 0x00030000
    unsigned long flags = HWLOC_TOPOLOGY_EXPORT_XML_FLAG_V2;
#else
    unsigned long flags = 0; /* version 2 is what hwloc 2 writes */
#endif
    char *xml = NULL;
    int size = 0;
    if (hwloc_topology_export_xmlbuffer(place->topology, &xml, &size, flags))
        return err_sys(err, "hwloc cannot export the topology");
    int rc = 0;
    FILE *file = fopen(path, "we");
    if (!file) {
        rc = err_sys(err, "%s", path);
        goto out;
    }
    if (write_kept(file, xml))
        rc = err_sys(err, "write %s", path);
    if (fclose(file) && !rc)
        rc = err_sys(err, "close %s", path);
out:
    hwloc_free_xmlbuffer(place->topology, xml);
    return rc;
}

#endif
