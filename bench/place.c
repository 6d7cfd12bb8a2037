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

#ifndef FAULTLINE_MINIMAL
#include <hwloc.h>
#endif

enum { CPUS_MAX = 8192 }; /* the largest NR_CPUS a kernel can be built with (x86, MAXSMP) */

/* A set of CPUs of fixed size: the kernel accepts a longer mask than its own, and refuses a shorter one. */
struct cpu_mask {
    cpu_set_t part[CPUS_MAX / CPU_SETSIZE];
};

struct place {
    bool foreign;
    unsigned *cpus; /* [cpu_count] OS indices, CPU 0 last */
    unsigned cpu_count;
#ifndef FAULTLINE_MINIMAL
    hwloc_topology_t topology;
#endif
};

static bool mask_has(const struct cpu_mask *mask, unsigned cpu)
{
    return cpu < CPUS_MAX && CPU_ISSET_S(cpu, sizeof *mask, mask->part);
}

static int mask_read(struct cpu_mask *mask, struct err *err)
{
    CPU_ZERO_S(sizeof *mask, mask->part);
    if (sched_getaffinity(0, sizeof *mask, mask->part))
        return err_sys(err, "sched_getaffinity");
    return 0;
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
    if (CPU_COUNT_S(sizeof mask, mask.part) != 1 || !mask_has(&mask, cpu))
        return err_set(err, EXDEV, "bound to CPU %u, but the binding reads back differently", cpu);
    int now = sched_getcpu();
    if (now < 0 || (unsigned)now != cpu)
        return err_set(err, EXDEV, "bound to CPU %u, but running on CPU %d", cpu, now);
    return 0;
}

/* Appends; cpus has room for every CPU of the machine. CPU 0 serves interrupts and housekeeping, so it comes last. */
static void place_add_cpu(struct place *place, unsigned cpu)
{
    unsigned at = place->cpu_count++;
    if (at && place->cpus[at - 1] == 0) {
        place->cpus[at] = 0;
        at--;
    }
    place->cpus[at] = cpu;
}

unsigned place_cpu_count(const struct place *place)
{
    return place->cpu_count;
}

unsigned place_cpu(const struct place *place, unsigned n)
{
    return place->cpus[n % place->cpu_count];
}

bool place_is_this_machine(const struct place *place)
{
    return !place->foreign;
}

#ifdef FAULTLINE_MINIMAL

int place_load(struct place **out, struct err *err)
{
    struct cpu_mask mask;
    int rc = mask_read(&mask, err);
    if (rc)
        return rc;
    struct place *place = calloc(1, sizeof *place);
    unsigned *cpus = calloc(CPUS_MAX, sizeof *cpus);
    if (!place || !cpus) {
        free(cpus);
        free(place);
        return err_set(err, ENOMEM, "no memory for the list of CPUs");
    }
    place->cpus = cpus;
    for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++)
        if (mask_has(&mask, cpu))
            place_add_cpu(place, cpu);
    *out = place;
    return 0;
}

void place_free(struct place *place)
{
    if (!place)
        return;
    free(place->cpus);
    free(place);
}

json_t *place_json(const struct place *place)
{
    json_t *pus = json_array();
    for (unsigned n = 0; n < place->cpu_count; n++)
        json_array_append_new(pus, json_pack("{s:i, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:b}", "os_index",
                                             (int)place->cpus[n], "core", "smt", "l2", "l3", "die", "numa_node",
                                             "package", "kind", "allowed", 1));
    return json_pack("{s:s, s:b, s:n, s:n, s:n, s:i, s:o, s:[]}", "source", "sched_getaffinity", "this_machine", 1,
                     "packages", "numa_nodes", "cores", "cpus", (int)place->cpu_count, "pus", pus, "caches");
}

int place_export(const struct place *place, const char *path, struct err *err)
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

static bool pu_is_allowed(const struct place *place, hwloc_obj_t pu, const struct cpu_mask *mask)
{
    if (!hwloc_bitmap_isset(hwloc_topology_get_allowed_cpuset(place->topology), pu->os_index))
        return false;
    return place->foreign || mask_has(mask, pu->os_index);
}

static int place_list_cpus(struct place *place, struct err *err)
{
    struct cpu_mask mask;
    int rc = mask_read(&mask, err);
    if (rc)
        return rc;
    int pu_count = hwloc_get_nbobjs_by_type(place->topology, HWLOC_OBJ_PU);
    place->cpus = calloc(pu_count > 0 ? (size_t)pu_count : 1, sizeof *place->cpus);
    if (!place->cpus)
        return err_set(err, ENOMEM, "no memory for the list of CPUs");
    hwloc_const_cpuset_t set = hwloc_topology_get_topology_cpuset(place->topology);
    for (int cpu = hwloc_bitmap_first(set); cpu >= 0; cpu = hwloc_bitmap_next(set, cpu)) {
        hwloc_obj_t pu = hwloc_get_pu_obj_by_os_index(place->topology, (unsigned)cpu);
        if (pu && pu_is_allowed(place, pu, &mask))
            place_add_cpu(place, (unsigned)cpu);
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

int place_load(struct place **out, struct err *err)
{
    const char *variable = foreign_variable();
    struct place *place = calloc(1, sizeof *place);
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
    rc = place_list_cpus(place, err);
out:
    if (rc)
        place_free(place);
    else
        *out = place;
    return rc;
}

void place_free(struct place *place)
{
    if (!place)
        return;
    if (place->topology)
        hwloc_topology_destroy(place->topology);
    free(place->cpus);
    free(place);
}

/* hwloc's index of the enclosing object of that type, or null when the machine shows none. */
static json_t *ancestor_index(hwloc_topology_t topology, hwloc_obj_t pu, hwloc_obj_type_t type)
{
    hwloc_obj_t object = hwloc_get_ancestor_obj_by_type(topology, type, pu);
    return object ? json_integer(object->logical_index) : json_null();
}

static json_t *pu_row(const struct place *place, hwloc_obj_t pu, const struct cpu_mask *mask)
{
    hwloc_topology_t topology = place->topology;
    hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);
    int smt = core ? hwloc_bitmap_weight(core->cpuset) > 1 ? (int)pu->sibling_rank : 0 : -1;
    int node = hwloc_bitmap_first(pu->nodeset);
    int kind = hwloc_cpukinds_get_by_cpuset(topology, pu->cpuset, 0);
    json_t *row = json_pack("{s:i, s:b}", "os_index", (int)pu->os_index, "allowed", pu_is_allowed(place, pu, mask));
    json_object_set_new(row, "core", ancestor_index(topology, pu, HWLOC_OBJ_CORE));
    json_object_set_new(row, "smt", smt >= 0 ? json_integer(smt) : json_null());
    json_object_set_new(row, "l2", ancestor_index(topology, pu, HWLOC_OBJ_L2CACHE));
    json_object_set_new(row, "l3", ancestor_index(topology, pu, HWLOC_OBJ_L3CACHE));
    json_object_set_new(row, "die", ancestor_index(topology, pu, HWLOC_OBJ_DIE));
    json_object_set_new(row, "numa_node", node >= 0 ? json_integer(node) : json_null());
    json_object_set_new(row, "package", ancestor_index(topology, pu, HWLOC_OBJ_PACKAGE));
    json_object_set_new(row, "kind", kind >= 0 ? json_integer(kind) : json_null());
    return row;
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

json_t *place_json(const struct place *place)
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
    return json_pack("{s:s, s:b, s:i, s:i, s:i, s:i, s:o, s:o}", "source", source, "this_machine", !place->foreign,
                     "packages", hwloc_get_nbobjs_by_type(place->topology, HWLOC_OBJ_PACKAGE), "numa_nodes",
                     hwloc_get_nbobjs_by_type(place->topology, HWLOC_OBJ_NUMANODE), "cores",
                     hwloc_get_nbobjs_by_type(place->topology, HWLOC_OBJ_CORE), "cpus", (int)place->cpu_count, "pus",
                     pus, "caches", caches_list(place->topology));
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

int place_export(const struct place *place, const char *path, struct err *err)
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
