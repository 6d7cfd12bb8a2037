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
#include <sys/wait.h>

#ifndef FAULTLINE_MINIMAL
#include <hwloc.h>
#endif

#include "layout.h"

struct topology {
    bool foreign;
    struct layout layout;
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

unsigned place_cpu_count(const struct topology *place)
{
    return place->layout.cpu_count;
}

/* CPU 0 serves interrupts and housekeeping, so it comes last; rows are in the order of numbers. */
unsigned place_nth_cpu(const struct topology *place, unsigned n)
{
    const struct layout *layout = &place->layout;
    bool has_zero = layout->rows[0].os_index == 0;
    return layout->rows[(n + has_zero) % layout->cpu_count].os_index;
}

const struct pairs *place_pairs(const struct topology *place)
{
    return &place->pairs;
}

bool place_is_this_machine(const struct topology *place)
{
    return !place->foreign;
}

/* NULL: it may not be used. */
static const struct cpu_row *find_row(const struct layout *layout, unsigned cpu)
{
    for (unsigned i = 0; i < layout->cpu_count; i++)
        if (layout->rows[i].os_index == cpu)
            return &layout->rows[i];
    return NULL;
}

/* ---- memory ---- */

static unsigned all_with_memory(const struct topology *place, unsigned *nodes)
{
    unsigned count = 0;
    for (unsigned i = 0; i < place->layout.node_count && count < NODES_MAX; i++)
        if (place->layout.nodes[i].bytes)
            nodes[count++] = place->layout.nodes[i].os_index;
    return count;
}

unsigned place_memory_node_count(const struct topology *place)
{
    unsigned nodes[NODES_MAX];
    return all_with_memory(place, nodes);
}

/* The node with memory that is farthest from that one; -1 when there is no other. */
static int farthest_from(const struct layout *layout, int here)
{
    int farthest = -1;
    unsigned most = 0;
    for (unsigned i = 0; here >= 0 && i < layout->node_count; i++) {
        unsigned distance = layout->distances ? layout->distances[(unsigned)here * layout->node_count + i] : 0;
        if ((int)i == here || !layout->nodes[i].bytes || (farthest >= 0 && distance <= most))
            continue;
        farthest = (int)i;
        most = distance;
    }
    return farthest;
}

int place_memory_nodes(const struct topology *place, enum memory_node where, unsigned cpu, unsigned *nodes,
                       unsigned *count, struct err *err)
{
    const struct layout *layout = &place->layout;
    const struct cpu_row *row = find_row(layout, cpu);
    int here = row ? row->node : -1, one = where == memory_node_remote ? farthest_from(layout, here) : here;
    if (where == memory_node_interleave) {
        *count = all_with_memory(place, nodes);
        return *count > 1 ? 0
                          : err_set(err, ENXIO, "pages in turn need two memory nodes, there %s %u",
                                    *count == 1 ? "is" : "are", *count);
    }
    if (one < 0 || !layout->nodes[one].bytes)
        return err_set(err, ENXIO,
                       where == memory_node_remote ? "CPU %u has no other memory node"
                                                   : "CPU %u has no memory node of its own",
                       cpu);
    nodes[0] = layout->nodes[one].os_index;
    *count = 1;
    return 0;
}

/* ---- who tells how CPUs and memory lie: hwloc, or sysfs where there is none ---- */

#ifdef FAULTLINE_MINIMAL

static int source_read(struct topology *place, struct err *err)
{
    struct cpu_mask cpus; /* those of the control group at most */
    struct node_mask memory;
    int rc = mask_read(&cpus, err);
    return rc ? rc : layout_read(&place->layout, "", &cpus, node_mask_read(&memory) ? NULL : &memory, err);
}

static void source_free(struct topology *place)
{
    (void)place;
}

static json_t *source_name(void)
{
    return json_string("sysfs");
}

static json_t *kind_frequency(const struct topology *place, int kind)
{
    (void)place;
    (void)kind;
    return json_null();
}

static void add_unusable(const struct topology *place, json_t *pus)
{
    (void)place;
    (void)pus;
}

static json_t *caches_json(const struct topology *place)
{
    (void)place;
    return json_array();
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

static struct cpu_row row_of(const struct topology *place, hwloc_obj_t pu)
{
    hwloc_topology_t topology = place->topology;
    hwloc_obj_t node = node_of(pu);
    return (struct cpu_row){
        .os_index = pu->os_index,
        .smt = smt_of(topology, pu),
        .core = ancestor(topology, pu, HWLOC_OBJ_CORE),
        .l2 = ancestor(topology, pu, HWLOC_OBJ_L2CACHE),
        .cluster = cluster_of(pu),
        .l3 = ancestor(topology, pu, HWLOC_OBJ_L3CACHE),
        .die = ancestor(topology, pu, HWLOC_OBJ_DIE),
        .node = node ? layout_node(&place->layout, node->os_index) : -1,
        .package = ancestor(topology, pu, HWLOC_OBJ_PACKAGE),
        .kind = hwloc_cpukinds_get_by_cpuset(topology, pu->cpuset, 0),
    };
}

/* Those with memory alone too, which lie near some CPUs but are no CPU's own. */
static int read_nodes(struct topology *place, struct err *err)
{
    struct layout *layout = &place->layout;
    hwloc_const_nodeset_t set = hwloc_topology_get_topology_nodeset(place->topology);
    int most = hwloc_bitmap_weight(set);
    layout->nodes = calloc(most > 0 ? (size_t)most : 1, sizeof *layout->nodes);
    if (!layout->nodes)
        return err_set(err, ENOMEM, "no memory for the list of memory nodes");
    for (int n = most > 0 ? hwloc_bitmap_first(set) : -1; n >= 0; n = hwloc_bitmap_next(set, n)) {
        hwloc_obj_t node = hwloc_get_numanode_obj_by_os_index(place->topology, (unsigned)n);
        if (node)
            layout->nodes[layout->node_count++] = (struct node_row){(unsigned)n, node->attr->numanode.local_memory};
    }
    return 0;
}

/* Distances as the firmware tells them (the kernel's node distances); none is no error. */
static int read_distances(struct topology *place, struct err *err)
{
    struct layout *layout = &place->layout;
    struct hwloc_distances_s *found = NULL;
    unsigned wanted = 1;
    if (hwloc_distances_get_by_type(place->topology, HWLOC_OBJ_NUMANODE, &wanted, &found,
                                    HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0) ||
        wanted == 0)
        return 0;
    layout->distances = calloc((size_t)layout->node_count * layout->node_count, sizeof *layout->distances);
    for (unsigned a = 0; layout->distances && a < found->nbobjs; a++)
        for (unsigned b = 0; b < found->nbobjs; b++) {
            int from = layout_node(layout, found->objs[a]->os_index),
                to = layout_node(layout, found->objs[b]->os_index);
            if (from >= 0 && to >= 0)
                layout->distances[(unsigned)from * layout->node_count + (unsigned)to] =
                    (unsigned)found->values[a * found->nbobjs + b];
        }
    hwloc_distances_release(place->topology, found);
    return layout->distances ? 0 : err_set(err, ENOMEM, "no memory for the distances");
}

static bool pu_is_allowed(const struct topology *place, hwloc_obj_t pu, const struct cpu_mask *mask)
{
    if (!hwloc_bitmap_isset(hwloc_topology_get_allowed_cpuset(place->topology), pu->os_index))
        return false;
    return place->foreign || cpu_mask_has(mask, pu->os_index);
}

static int read_cpus(struct topology *place, struct err *err)
{
    struct layout *layout = &place->layout;
    struct cpu_mask mask;
    int rc = mask_read(&mask, err);
    if (rc)
        return rc;
    int pu_count = hwloc_get_nbobjs_by_type(place->topology, HWLOC_OBJ_PU);
    layout->rows = calloc(pu_count > 0 ? (size_t)pu_count : 1, sizeof *layout->rows);
    if (!layout->rows)
        return err_set(err, ENOMEM, "no memory for the list of CPUs");
    hwloc_const_cpuset_t set = hwloc_topology_get_topology_cpuset(place->topology);
    for (int cpu = hwloc_bitmap_first(set); cpu >= 0; cpu = hwloc_bitmap_next(set, cpu)) {
        hwloc_obj_t pu = hwloc_get_pu_obj_by_os_index(place->topology, (unsigned)cpu);
        if (pu && pu_is_allowed(place, pu, &mask))
            layout->rows[layout->cpu_count++] = row_of(place, pu);
    }
    if (layout->cpu_count == 0)
        return err_set(err, ENXIO, "the topology has no CPU that this process may use");
    layout->package_count = hwloc_get_nbobjs_by_type(place->topology, HWLOC_OBJ_PACKAGE);
    layout->core_count = hwloc_get_nbobjs_by_type(place->topology, HWLOC_OBJ_CORE);
    return 0;
}

enum { LOAD_LIMIT_S = 60 }; /* a large foreign topology takes a second */

/* In a process of its own, whose output goes nowhere: does not return. */
static void try_foreign(void)
{
    hwloc_topology_t topology;
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0)
        dup2(nowhere, STDERR_FILENO);
    alarm(LOAD_LIMIT_S);
    if (hwloc_topology_init(&topology) == 0)
        topology_load(topology, true);
    _exit(0);
}

/* Whether hwloc gets to the end with what a variable names: over some damaged files it crashes. */
static bool survives_foreign(void)
{
    int status = 0;
    pid_t child = fork(), ended;
    if (child < 0)
        return false;
    if (child == 0)
        try_foreign();
    do
        ended = waitpid(child, &status, 0);
    while (ended < 0 && errno == EINTR);
    return ended == child && status == 0;
}

/*
 * What a variable names and cannot be read: some of hwloc's readers say so, with others it falls back to the real
 * machine without a word.
 */
static int topology_load_checked(hwloc_topology_t topology, const char *variable, struct err *err)
{
    if (variable && !survives_foreign())
        return err_set(err, EINVAL, "%s=%.200s: hwloc breaks down over it", variable, getenv(variable));
    int rc = topology_load(topology, variable != NULL);
    if (!variable)
        return rc ? err_sys(err, "hwloc cannot load the topology") : 0;
    if (rc == 0 && (getenv("HWLOC_THISSYSTEM") || !hwloc_topology_is_thissystem(topology)))
        return 0;
    return err_set(err, EINVAL, "%s=%.200s: hwloc cannot load it%s", variable, getenv(variable),
                   strcmp(variable, "HWLOC_XMLFILE") == 0 ? " (hwloc 2 does not read the XML that hwloc 3 writes)"
                                                          : "");
}

static int source_read(struct topology *place, struct err *err)
{
    const char *variable = foreign_variable();
    if (hwloc_topology_init(&place->topology)) {
        place->topology = NULL;
        return err_sys(err, "hwloc_topology_init");
    }
    int rc = topology_load_checked(place->topology, variable, err);
    if (rc)
        return rc;
    place->foreign = variable || !hwloc_topology_is_thissystem(place->topology);
    rc = read_nodes(place, err);
    if (rc == 0)
        rc = read_cpus(place, err);
    return rc ? rc : read_distances(place, err);
}

static void source_free(struct topology *place)
{
    if (place->topology)
        hwloc_topology_destroy(place->topology);
}

static json_t *source_name(void)
{
    unsigned version = hwloc_get_api_version();
    return json_sprintf("hwloc API %u.%u.%u", version >> 16, version >> 8 & 255, version & 255);
}

/* The highest frequency that a class of CPUs is said to have. */
static json_t *kind_frequency(const struct topology *place, int kind)
{
    hwloc_topology_t topology = place->topology;
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

static json_t *row_json(const struct topology *place, const struct cpu_row *row, bool usable); /* below */

/* Of another machine also the CPUs that are not allowed there. */
static void add_unusable(const struct topology *place, json_t *pus)
{
    for (hwloc_obj_t pu = NULL; (pu = hwloc_get_next_obj_by_type(place->topology, HWLOC_OBJ_PU, pu));) {
        const struct cpu_row row = row_of(place, pu);
        if (!find_row(&place->layout, row.os_index))
            json_array_append_new(pus, row_json(place, &row, false));
    }
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

static json_t *caches_json(const struct topology *place)
{
    hwloc_topology_t topology = place->topology;
    json_t *caches = json_array();
    for (hwloc_obj_type_t type = HWLOC_OBJ_L1CACHE; type <= HWLOC_OBJ_L5CACHE; type++)
        for (hwloc_obj_t cache = NULL; (cache = hwloc_get_next_obj_by_type(topology, type, cache));)
            caches_add(caches, cache);
    return caches;
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

/* ---- all of it ---- */

int place_load(struct topology **out, struct err *err)
{
    struct topology *place = calloc(1, sizeof *place);
    if (!place)
        return err_set(err, ENOMEM, "no memory for the topology");
    int rc = source_read(place, err);
    if (rc) {
        place_free(place);
        return rc;
    }
    const struct layout *layout = &place->layout;
    pairs_classify(&place->pairs, layout->rows, layout->cpu_count, layout->distances, layout->node_count);
    *out = place;
    return 0;
}

void place_free(struct topology *place)
{
    if (!place)
        return;
    source_free(place);
    layout_free(&place->layout);
    free(place);
}

/* An index, or null when the machine shows none. */
static json_t *index_json(int index)
{
    return index < 0 ? json_null() : json_integer(index);
}

static json_t *row_json(const struct topology *place, const struct cpu_row *row, bool usable)
{
    json_t *json = json_pack("{s:i, s:b}", "os_index", (int)row->os_index, "allowed", usable);
    json_object_set_new(json, "core", index_json(row->core));
    json_object_set_new(json, "smt", index_json(row->smt));
    json_object_set_new(json, "l2", index_json(row->l2));
    json_object_set_new(json, "cluster", index_json(row->cluster));
    json_object_set_new(json, "l3", index_json(row->l3));
    json_object_set_new(json, "die", index_json(row->die));
    json_object_set_new(json, "numa_node",
                        index_json(row->node < 0 ? -1 : (int)place->layout.nodes[row->node].os_index));
    json_object_set_new(json, "package", index_json(row->package));
    json_object_set_new(json, "kind", index_json(row->kind));
    json_object_set_new(json, "frequency_mhz", kind_frequency(place, row->kind));
    return json;
}

static json_t *rows_json(const struct topology *place)
{
    json_t *pus = json_array();
    for (unsigned i = 0; i < place->layout.cpu_count; i++)
        json_array_append_new(pus, row_json(place, &place->layout.rows[i], true));
    add_unusable(place, pus);
    return pus;
}

static json_t *nodes_json(const struct layout *layout)
{
    json_t *nodes = json_array();
    for (unsigned n = 0; n < layout->node_count; n++) {
        int cpus = 0;
        for (unsigned i = 0; i < layout->cpu_count; i++)
            cpus += layout->rows[i].node == (int)n;
        json_array_append_new(nodes, json_pack("{s:i, s:I, s:i}", "os_index", (int)layout->nodes[n].os_index, "bytes",
                                               (json_int_t)layout->nodes[n].bytes, "cpus", cpus));
    }
    return nodes;
}

static json_t *distances_json(const struct layout *layout)
{
    if (!layout->distances)
        return json_null();
    json_t *list = json_array();
    for (unsigned a = 0; a < layout->node_count; a++) {
        json_t *row = json_array();
        for (unsigned b = 0; b < layout->node_count; b++)
            json_array_append_new(row, json_integer(layout->distances[a * layout->node_count + b]));
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

json_t *place_json(const struct topology *place)
{
    const struct layout *layout = &place->layout;
    return json_pack("{s:o, s:b, s:o, s:i, s:o, s:i, s:o, s:o, s:o, s:o, s:o}", "source", source_name(), "this_machine",
                     !place->foreign, "packages", index_json(layout->package_count), "numa_nodes",
                     (int)layout->node_count, "cores", index_json(layout->core_count), "cpus", (int)layout->cpu_count,
                     "pus", rows_json(place), "caches", caches_json(place), "nodes", nodes_json(layout), "distances",
                     distances_json(layout), "classes", classes_json(&place->pairs));
}
