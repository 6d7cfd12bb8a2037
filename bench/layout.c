/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "layout.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "sysfile.h"

/* What CPUs belong to, from the largest on: each lies in those before it. */
enum level { PACKAGE, DIE, NODE, L3, CLUSTER, L2, CORE, LEVELS };

struct group {
    int first; /* usable CPU; -1: there is no such group */
    unsigned usable, all;
};

struct seen { /* a usable CPU */
    struct cpu_row row;
    unsigned at;      /* its place by OS index */
    int64_t strength; /* of its kind, for the order of kinds; -1: unknown */
    struct group groups[LEVELS];
    int key[LEVELS]; /* place in the tree */
};

struct reading {
    const char *root;
    const struct cpu_mask *cpus;
    struct layout *layout;
    struct seen *seen;           /* [layout->cpu_count] */
    struct cpu_mask listed;      /* by the file that was read last … */
    struct group group;          /* … and what these are */
    unsigned ordinal[NODES_MAX]; /* of a node of the layout among all that are online */
    unsigned online;
    char text[32768]; /* holds a list of every other one of CPUS_MAX CPUs */
};

void layout_free(struct layout *layout)
{
    free(layout->rows);
    free(layout->nodes);
    free(layout->distances);
    *layout = (struct layout){0};
}

int layout_node(const struct layout *layout, unsigned os_index)
{
    for (unsigned i = 0; i < layout->node_count; i++)
        if (layout->nodes[i].os_index == os_index)
            return (int)i;
    return -1;
}

/* ---- files below /sys/devices ---- */

static bool read_text(struct reading *reading, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool read_text(struct reading *reading, const char *format, ...)
{
    char path[SYSFILE_PATH_SIZE];
    struct err unused;
    va_list args;
    va_start(args, format);
    vsnprintf(path, sizeof path, format, args);
    va_end(args);
    return sysfile_line(reading->text, sizeof reading->text, &unused, "%s/sys/devices/%s", reading->root, path) == 0;
}

/* The CPUs in reading->text. */
static void take_list(struct reading *reading)
{
    struct group group = {.first = -1};
    unsigned first, last;
    CPU_ZERO_S(sizeof reading->listed, reading->listed.part);
    for (const char *at = reading->text; sysfile_list_next(&at, &first, &last) > 0;)
        for (unsigned cpu = first; cpu <= last && cpu < CPUS_MAX; cpu++) {
            group.all++;
            if (!cpu_mask_has(reading->cpus, cpu))
                continue;
            CPU_SET_S(cpu, sizeof reading->listed, reading->listed.part);
            group.first = group.usable++ ? group.first : (int)cpu;
        }
    reading->group = group;
}

/* ---- groups of CPUs ---- */

static void read_topology(struct reading *reading, struct seen *seen)
{
    static const struct {
        enum level level;
        const char *name, *old_name; /* before Linux 5.3 */
    } files[] = {{PACKAGE, "package_cpus_list", "core_siblings_list"},
                 {DIE, "die_cpus_list", "die_cpus_list"},
                 {CLUSTER, "cluster_cpus_list", "cluster_cpus_list"},
                 {CORE, "core_cpus_list", "thread_siblings_list"}};
    static const char path[] = "system/cpu/cpu%u/topology/%s";
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (read_text(reading, path, seen->row.os_index, files[i].name) ||
            read_text(reading, path, seen->row.os_index, files[i].old_name)) {
            take_list(reading);
            seen->groups[files[i].level] = reading->group;
        }
}

static void read_caches(struct reading *reading, struct seen *seen)
{
    static const char path[] = "system/cpu/cpu%u/cache/index%u/%s";
    unsigned cpu = seen->row.os_index;
    for (unsigned i = 0; read_text(reading, path, cpu, i, "level"); i++) {
        int level = atoi(reading->text);
        bool other = read_text(reading, path, cpu, i, "type") && strcmp(reading->text, "Instruction") == 0;
        if (other || (level != 2 && level != 3) || !read_text(reading, path, cpu, i, "shared_cpu_list"))
            continue;
        take_list(reading);
        seen->groups[level == 2 ? L2 : L3] = reading->group;
    }
}

/* A die that is a CPU or a package is none: kernels that know no dies say so. Nor is a cluster that is something else.
 */
static void drop_repeated(struct group *groups)
{
    static const enum level around[] = {PACKAGE, DIE, NODE, L3};
    struct group *die = &groups[DIE], *cluster = &groups[CLUSTER];
    if (die->all == 1 || die->all == groups[PACKAGE].all)
        die->first = -1;
    bool kept = cluster->usable > 1 && cluster->usable != groups[CORE].usable && cluster->usable != groups[L2].usable;
    for (size_t i = 0; i < sizeof around / sizeof *around; i++)
        kept &= groups[around[i]].first < 0 || cluster->usable < groups[around[i]].usable;
    cluster->first = kept ? cluster->first : -1;
}

/* ---- kinds of CPU ---- */

static bool read_core_types(struct reading *reading)
{
    static const char *const types[] = {"cpu_lowpower", "cpu_atom", "cpu_core"};
    bool found = false;
    for (unsigned type = 0; type < sizeof types / sizeof *types; type++) {
        if (!read_text(reading, "%s/cpus", types[type]))
            continue;
        found = true;
        take_list(reading);
        for (unsigned i = 0; i < reading->layout->cpu_count; i++)
            if (cpu_mask_has(&reading->listed, reading->seen[i].row.os_index))
                reading->seen[i].strength = type;
    }
    return found;
}

/* Where the kernel knows frequencies but no capacities, the CPUs are taken to be of one kind. */
static void read_strength(struct reading *reading, struct seen *seen)
{
    if (read_text(reading, "system/cpu/cpu%u/cpu_capacity", seen->row.os_index))
        seen->strength = strtoll(reading->text, NULL, 10);
    else if (read_text(reading, "system/cpu/cpu%u/cpufreq/cpuinfo_max_freq", seen->row.os_index))
        seen->strength = 0;
}

static void rank_kinds(struct seen *seen, unsigned count)
{
    int64_t before = -1, next = 0;
    for (int kind = 0; next != INT64_MAX; kind++) {
        next = INT64_MAX;
        for (unsigned i = 0; i < count; i++)
            next = seen[i].strength > before && seen[i].strength < next ? seen[i].strength : next;
        for (unsigned i = 0; i < count; i++)
            seen[i].row.kind = seen[i].strength == next ? kind : seen[i].row.kind;
        before = next;
    }
}

/* ---- memory ---- */

/* The CPUs that were listed lie at a node; its index is below 0 where its memory may not be used. */
static void join_node(struct reading *reading, int index)
{
    for (unsigned i = 0; i < reading->layout->cpu_count; i++)
        if (cpu_mask_has(&reading->listed, reading->seen[i].row.os_index)) {
            reading->seen[i].groups[NODE] = reading->group;
            reading->seen[i].row.node = index;
        }
}

static void read_node(struct reading *reading, unsigned node, const struct node_mask *memory)
{
    struct layout *layout = reading->layout;
    uint64_t kib = 0;
    take_list(reading);
    if (read_text(reading, "system/node/node%u/meminfo", node))
        sscanf(reading->text, "Node %*u MemTotal: %" SCNu64, &kib);
    /* One without memory stays, whatever is allowed: its CPUs lie somewhere. */
    bool kept = !memory || !kib || node_mask_has(memory, node);
    join_node(reading, kept ? (int)layout->node_count : -1);
    if (!kept)
        return;
    reading->ordinal[layout->node_count] = reading->online;
    layout->nodes[layout->node_count++] = (struct node_row){node, 1024 * kib};
}

/* A kernel without NUMA: all memory is as near to all CPUs. */
static void make_only_node(struct reading *reading)
{
    struct err unused;
    cgroup_memory_total(reading->root, &reading->layout->nodes[0].bytes, &unused);
    reading->layout->node_count = 1;
    snprintf(reading->text, sizeof reading->text, "0-%d", CPUS_MAX - 1);
    take_list(reading);
    join_node(reading, 0);
}

/* A node's file has its distance from each that is online. All of them, or none. */
static int read_distances(struct reading *reading, struct err *err)
{
    struct layout *layout = reading->layout;
    unsigned count = layout->node_count, values[NODES_MAX];
    bool told = count > 1;
    layout->distances = told ? calloc((size_t)count * count, sizeof *layout->distances) : NULL;
    if (told && !layout->distances)
        return err_set(err, ENOMEM, "no memory for the distances");
    for (unsigned a = 0; a < count && told; a++) {
        unsigned found = 0;
        char *save = NULL, *at = reading->text;
        told = read_text(reading, "system/node/node%u/distance", layout->nodes[a].os_index);
        for (char *word; told && found < NODES_MAX && (word = strtok_r(at, " ", &save)); at = NULL)
            values[found++] = (unsigned)strtoul(word, NULL, 10);
        told = told && found == reading->online;
        for (unsigned b = 0; told && b < count; b++)
            layout->distances[(size_t)a * count + b] = values[reading->ordinal[b]];
    }
    if (!told) {
        free(layout->distances);
        layout->distances = NULL;
    }
    return 0;
}

static int read_nodes(struct reading *reading, const struct node_mask *memory, struct err *err)
{
    for (unsigned node = 0; node < NODES_MAX; node++)
        if (read_text(reading, "system/node/node%u/cpulist", node)) {
            read_node(reading, node, memory);
            reading->online++;
        }
    if (reading->online == 0)
        make_only_node(reading);
    return read_distances(reading, err);
}

/* ---- numbers ---- */

static int compare_keys(const void *a, const void *b)
{
    const struct seen *one = a, *other = b;
    for (unsigned level = 0; level < LEVELS; level++)
        if (one->key[level] != other->key[level])
            return one->key[level] < other->key[level] ? -1 : 1;
    return one->row.os_index < other->row.os_index ? -1 : one->row.os_index > other->row.os_index;
}

/* In the order of the tree, in which what a CPU does not belong to is as small as what it does. */
static void sort_by_tree(struct seen *seen, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int key = (int)seen[i].row.os_index;
        for (unsigned level = LEVELS; level-- > 0;)
            seen[i].key[level] = key = seen[i].groups[level].first >= 0 ? seen[i].groups[level].first : key;
    }
    qsort(seen, count, sizeof *seen, compare_keys);
}

/* Every group gets its number when its first CPU comes by. How many there are; -1: none are told. */
static int number_level(struct seen *seen, unsigned count, enum level level, size_t member)
{
    int next = 0, numbers[CPUS_MAX];
    memset(numbers, -1, sizeof numbers);
    for (unsigned i = 0; i < count; i++) {
        int first = seen[i].groups[level].first;
        if (first >= 0 && numbers[first] < 0)
            numbers[first] = next++;
        *(int *)((char *)&seen[i].row + member) = first < 0 ? -1 : numbers[first];
    }
    return next ? next : -1;
}

static void number_all(struct layout *layout, struct seen *seen)
{
    unsigned count = layout->cpu_count;
    sort_by_tree(seen, count);
    layout->package_count = number_level(seen, count, PACKAGE, offsetof(struct cpu_row, package));
    number_level(seen, count, DIE, offsetof(struct cpu_row, die));
    number_level(seen, count, L3, offsetof(struct cpu_row, l3));
    number_level(seen, count, L2, offsetof(struct cpu_row, l2));
    layout->core_count = number_level(seen, count, CORE, offsetof(struct cpu_row, core));
    for (unsigned i = 0; i < count; i++) {
        struct cpu_row *row = &seen[i].row;
        bool sibling = i && row->core >= 0 && row->core == seen[i - 1].row.core;
        row->smt = row->core < 0 ? -1 : sibling ? seen[i - 1].row.smt + 1 : 0;
        row->cluster = seen[i].groups[CLUSTER].first;
    }
}

/* ---- all of it ---- */

static int begin(struct reading *reading, struct err *err)
{
    struct layout *layout = reading->layout;
    unsigned room = cpu_mask_count(reading->cpus);
    if (room == 0)
        return err_set(err, ENXIO, "there is no CPU that this process may use");
    reading->seen = calloc(room, sizeof *reading->seen);
    layout->rows = calloc(room, sizeof *layout->rows);
    layout->nodes = calloc(NODES_MAX, sizeof *layout->nodes);
    if (!reading->seen || !layout->rows || !layout->nodes)
        return err_set(err, ENOMEM, "no memory for the lists of CPUs and nodes");
    for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++) {
        if (!cpu_mask_has(reading->cpus, cpu))
            continue;
        struct seen *seen = &reading->seen[layout->cpu_count];
        *seen = (struct seen){{.os_index = cpu, .node = -1, .kind = -1}, .at = layout->cpu_count++, .strength = -1};
        for (unsigned level = 0; level < LEVELS; level++)
            seen->groups[level].first = -1;
    }
    return 0;
}

static void read_cpus(struct reading *reading)
{
    struct layout *layout = reading->layout;
    bool typed = read_core_types(reading);
    for (unsigned i = 0; i < layout->cpu_count; i++) {
        read_topology(reading, &reading->seen[i]);
        read_caches(reading, &reading->seen[i]);
        drop_repeated(reading->seen[i].groups);
        if (!typed)
            read_strength(reading, &reading->seen[i]);
    }
    rank_kinds(reading->seen, layout->cpu_count);
    number_all(layout, reading->seen);
    for (unsigned i = 0; i < layout->cpu_count; i++)
        layout->rows[reading->seen[i].at] = reading->seen[i].row;
}

int layout_read(struct layout *layout, const char *root, const struct cpu_mask *cpus, const struct node_mask *memory,
                struct err *err)
{
    struct reading *reading = calloc(1, sizeof *reading);
    *layout = (struct layout){0};
    if (!reading)
        return err_set(err, ENOMEM, "no memory for the layout of the machine");
    reading->root = root;
    reading->cpus = cpus;
    reading->layout = layout;
    int rc = begin(reading, err);
    if (rc == 0)
        rc = read_nodes(reading, memory, err);
    if (rc == 0)
        read_cpus(reading);
    free(reading->seen);
    free(reading);
    if (rc)
        layout_free(layout);
    return rc;
}
