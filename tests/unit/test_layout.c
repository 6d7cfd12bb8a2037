/* SPDX-License-Identifier: MIT */
/* Machines that are made of files: what is read from them has to be what hwloc says of the same files. */
#include "unit.h"

#include <inttypes.h>
#include <sched.h>

#include "layout.h"
#include "place.h"

typedef uint64_t set; /* of CPUs, by their bits */

/* One CPU and what it shares with others; 0: nothing is told of that. */
struct made {
    unsigned cpu;
    set core, cluster, die, package, l2, l3;
};

static struct layout layout;

static int begin(void **state)
{
    setenv("HWLOC_COMPONENTS", "-x86", 1); /* it would ask this machine's processor */
    return unit_begin(state);
}

static int end(void **state)
{
    unsetenv("HWLOC_COMPONENTS");
    unsetenv("HWLOC_FSROOT");
    layout_free(&layout);
    return unit_end(state);
}

/* ---- files ---- */

static void put(const char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(const char *text, const char *format, ...)
{
    char name[256], path[UNIT_PATH_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    snprintf(path, sizeof path, "%s", unit_path(name));
    for (char *slash = path + strlen(unit_folder) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    unit_write(name, text, strlen(text));
}

/* As the kernel writes it: ranges, so that 0, 1, 2 and 5 are "0-2,5". */
static const char *list_text(set cpus)
{
    static char text[256];
    int used = 0;
    text[0] = '\0';
    for (unsigned first = 0, last; first < 64; first = last + 1) {
        for (last = first; last < 63 && (cpus >> first & 1) && (cpus >> (last + 1) & 1); last++)
            continue;
        if (cpus >> first & 1)
            used += snprintf(text + used, sizeof text - (size_t)used, first < last ? "%s%u-%u" : "%s%u",
                             used ? "," : "", first, last);
    }
    strcat(text, "\n");
    return text;
}

/* hwloc reads the one, and layout_read the other. */
static void put_both(set cpus, const char *folder, const char *mask, const char *list)
{
    char text[32];
    snprintf(text, sizeof text, "%08" PRIx32 ",%08" PRIx32 "\n", (uint32_t)(cpus >> 32), (uint32_t)cpus);
    put(text, "%s/%s", folder, mask);
    put(list_text(cpus), "%s/%s", folder, list);
}

static void put_cache(unsigned cpu, unsigned index, const char *level, const char *type, set cpus)
{
    char folder[128];
    if (!cpus)
        return;
    snprintf(folder, sizeof folder, "sys/devices/system/cpu/cpu%u/cache/index%u", cpu, index);
    put(level, "%s/level", folder);
    put(type, "%s/type", folder);
    put_both(cpus, folder, "shared_cpu_map", "shared_cpu_list");
}

static void put_cpu(const struct made *made)
{
    char folder[128];
    snprintf(folder, sizeof folder, "sys/devices/system/cpu/cpu%u/topology", made->cpu);
    put_both(made->core, folder, "core_cpus", "core_cpus_list");
    put_both(made->package, folder, "package_cpus", "package_cpus_list");
    if (made->die)
        put_both(made->die, folder, "die_cpus", "die_cpus_list");
    if (made->cluster)
        put_both(made->cluster, folder, "cluster_cpus", "cluster_cpus_list");
    put_cache(made->cpu, 0, "1\n", "Data\n", made->core);
    put_cache(made->cpu, 1, "2\n", "Instruction\n", (set)1 << made->cpu); /* not the one that is meant */
    put_cache(made->cpu, 2, "2\n", "Unified\n", made->l2);
    put_cache(made->cpu, made->l2 ? 3 : 2, "3\n", "Unified\n", made->l3);
}

static void put_node(unsigned node, set cpus, unsigned mib, const char *distances)
{
    char folder[128], text[64];
    snprintf(folder, sizeof folder, "sys/devices/system/node/node%u", node);
    put_both(cpus, folder, "cpumap", "cpulist");
    snprintf(text, sizeof text, "Node %u MemTotal:       %u kB\nNode %u MemFree: 7 kB\n", node, 1024 * mib, node);
    put(text, "%s/meminfo", folder);
    put(distances, "%s/distance", folder);
}

/* ---- both answers ---- */

static struct cpu_mask mask_of(set cpus)
{
    struct cpu_mask mask;
    CPU_ZERO_S(sizeof mask, mask.part);
    for (unsigned cpu = 0; cpu < 64; cpu++)
        if (cpus >> cpu & 1)
            CPU_SET_S(cpu, sizeof mask, mask.part);
    return mask;
}

static void read_made(set cpus, const struct node_mask *memory)
{
    struct err err = {0};
    struct cpu_mask mask = mask_of(cpus);
    layout_free(&layout);
    if (layout_read(&layout, unit_folder, &mask, memory, &err))
        fail_msg("layout_read: %s", err.text);
}

static void check_rows(const struct pairs *other)
{
    assert_int_equal(layout.cpu_count, other->cpu_count);
    for (unsigned i = 0; i < layout.cpu_count; i++) {
        const struct cpu_row *row = &layout.rows[i], *wanted = &other->cpus[i];
        assert_int_equal(row->os_index, wanted->os_index);
        assert_int_equal(row->smt, wanted->smt);
        assert_int_equal(row->core, wanted->core);
        assert_int_equal(row->l2, wanted->l2);
        assert_int_equal(row->cluster, wanted->cluster);
        assert_int_equal(row->l3, wanted->l3);
        assert_int_equal(row->die, wanted->die);
        assert_int_equal(row->node, wanted->node);
        assert_int_equal(row->package, wanted->package);
        assert_int_equal(row->kind, wanted->kind);
    }
}

static void check_classes(const struct pairs *other)
{
    struct pairs pairs;
    pairs_classify(&pairs, layout.rows, layout.cpu_count, layout.distances, layout.node_count);
    assert_int_equal(pairs.class_count, other->class_count);
    for (unsigned i = 0; i < pairs.class_count; i++) {
        assert_string_equal(pairs.classes[i].name, other->classes[i].name);
        assert_int_equal(pairs.classes[i].count, other->classes[i].count);
    }
}

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void check_memory(const struct topology *place, const struct pairs *other)
{
    json_t *json = place_json(place), *nodes = json_object_get(json, "nodes");
    assert_int_equal(layout.package_count, number(json, "packages"));
    assert_int_equal(layout.core_count, number(json, "cores"));
    assert_int_equal(layout.node_count, json_array_size(nodes));
    assert_int_equal(layout.distances != NULL, other->distances != NULL);
    for (unsigned a = 0; a < layout.node_count; a++) {
        assert_int_equal(layout.nodes[a].os_index, number(json_array_get(nodes, a), "os_index"));
        assert_int_equal(layout.nodes[a].bytes, number(json_array_get(nodes, a), "bytes"));
        for (unsigned b = 0; layout.distances && b < layout.node_count; b++)
            assert_int_equal(layout.distances[a * layout.node_count + b], other->distances[a * layout.node_count + b]);
    }
    json_decref(json);
}

static void check_with_hwloc(void)
{
    struct topology *place = NULL;
    struct err err = {0};
    if (place_load(&place, &err))
        fail_msg("place_load: %s", err.text);
    const struct pairs *other = place_pairs(place);
    check_rows(other);
    check_classes(other);
    check_memory(place, other);
    place_free(place);
}

/* hwloc takes the machine's name from the files too, when there are any. */
static void check(set cpus)
{
    put("MemTotal:        2097152 kB\n", "proc/meminfo");
    put("OSName: Linux\nArchitecture: x86_64\n", "proc/hwloc-nofile-info");
    put(list_text(cpus), "sys/devices/system/cpu/online");
    setenv("HWLOC_FSROOT", unit_folder, 1);
    read_made(cpus, NULL);
    check_with_hwloc();
}

/* ---- machines ---- */

static void of_one_cpu(void **state)
{
    (void)state;
    put_cpu(&(struct made){.cpu = 0, .core = 1, .die = 1, .package = 1, .l2 = 1, .l3 = 1});
    put_node(0, 1, 512, "10\n");
    check(1);
    assert_int_equal(layout.rows[0].die, -1);
    assert_int_equal(layout.rows[0].smt, 0);
    assert_null(layout.distances);
}

enum { BOX_CPUS = 16 };
#define BOX_SET UINT64_C(0xffff)
static const char *const box_distances[] = {"10 12 21 32\n", "12 10 21 21\n", "21 21 10 12\n", "32 21 12 10\n"};

/* Two packages of two nodes of two cores of two threads; `order` says which number the n-th thread of the tree has. */
static set box_group(const unsigned *order, unsigned n, unsigned size)
{
    set cpus = 0;
    for (unsigned i = n / size * size; i < n / size * size + size; i++)
        cpus |= (set)1 << order[i];
    return cpus;
}

static void put_box(const unsigned *order)
{
    for (unsigned n = 0; n < BOX_CPUS; n++)
        put_cpu(&(struct made){.cpu = order[n],
                               .core = box_group(order, n, 2),
                               .die = box_group(order, n, 8),
                               .package = box_group(order, n, 8),
                               .l2 = box_group(order, n, 2),
                               .l3 = box_group(order, n, 4)});
    for (unsigned node = 0; node < 4; node++)
        put_node(node, box_group(order, 4 * node, 4), 256U << node, box_distances[node]);
}

static const unsigned in_row[BOX_CPUS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void of_two_packages_of_two_nodes(void **state)
{
    (void)state;
    put_box(in_row);
    check(BOX_SET);
    assert_int_equal(layout.package_count, 2);
    assert_int_equal(layout.rows[15].core, 7);
    assert_int_equal(layout.rows[15].smt, 1);
    assert_int_equal(layout.distances[3], 32);
}

/* Cores first and then their siblings, packages in turn: the order of the tree is not that of the numbers. */
static void that_number_their_threads_last(void **state)
{
    (void)state;
    static const unsigned turns[BOX_CPUS] = {0, 8, 2, 10, 4, 12, 6, 14, 1, 9, 3, 11, 5, 13, 7, 15};
    put_box(turns);
    check(BOX_SET);
    assert_int_equal(layout.rows[1].package, 1);
    assert_int_equal(layout.rows[1].core, 4);
    assert_int_equal(layout.rows[9].smt, 1);
}

static void whose_numbers_have_gaps(void **state)
{
    (void)state;
    static const unsigned gaps[BOX_CPUS] = {60, 4, 40, 6, 33, 31, 32, 17, 1, 63, 62, 61, 20, 22, 24, 26};
    set all = 0;
    for (unsigned i = 0; i < BOX_CPUS; i++)
        all |= (set)1 << gaps[i];
    put_box(gaps);
    check(all);
}

static void without_caches(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 4; n++)
        put_cpu(&(struct made){.cpu = n, .core = (set)1 << n, .die = (set)1 << n, .package = 15});
    put_node(0, 15, 512, "10\n");
    check(15);
    assert_int_equal(layout.rows[3].die, -1); /* what architectures say that know no dies */
    assert_int_equal(layout.rows[3].l3, -1);
    assert_int_equal(layout.rows[3].core, 3);
}

/* A kernel that knows no nodes, and no names but the old ones. */
static void of_an_old_kernel(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 4; n++) {
        char folder[128];
        snprintf(folder, sizeof folder, "sys/devices/system/cpu/cpu%u/topology", n);
        put_both((set)3 << (n & 2), folder, "thread_siblings", "thread_siblings_list");
        put_both(15, folder, "core_siblings", "core_siblings_list");
        put_cache(n, 0, "3\n", "Unified\n", 15);
    }
    check(15);
    assert_int_equal(layout.node_count, 1);
    assert_int_equal(layout.nodes[0].bytes, UINT64_C(2) << 30);
    assert_int_equal(layout.rows[3].node, 0);
    assert_int_equal(layout.rows[3].core, 1);
}

/* Two dies of a package, and in each two clusters of two cores. */
static void of_dies_and_clusters(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 8; n++)
        put_cpu(&(struct made){.cpu = n,
                               .core = (set)1 << n,
                               .cluster = (set)3 << (n & 6),
                               .die = (set)15 << (n & 4),
                               .package = 255,
                               .l2 = (set)1 << n,
                               .l3 = 255});
    put_node(0, 255, 512, "10\n");
    check(255);
    assert_int_equal(layout.rows[7].cluster, 6);
    assert_int_equal(layout.rows[7].die, 1);
}

/* Two fast cores of two threads, and four slow ones that share an L2 cache, which is told as a cluster too. */
static void put_hybrid(void)
{
    for (unsigned n = 0; n < 8; n++)
        put_cpu(&(struct made){.cpu = n,
                               .core = n < 4 ? (set)3 << (n & 2) : (set)1 << n,
                               .cluster = n < 4 ? (set)3 << (n & 2) : 0xf0,
                               .die = 255,
                               .package = 255,
                               .l2 = n < 4 ? (set)3 << (n & 2) : 0xf0,
                               .l3 = 255});
    put_node(0, 255, 512, "10\n");
}

/* These hwloc 2.9 asks the processor itself for. */
static void of_two_core_types(void **state)
{
    (void)state;
    put_hybrid();
    check(255);
    assert_int_equal(layout.rows[0].kind, -1);
    put("0-3\n", "sys/devices/cpu_core/cpus");
    put("4-7\n", "sys/devices/cpu_atom/cpus");
    for (unsigned n = 0; n < 8; n++)
        put("1024\n", "sys/devices/system/cpu/cpu%u/cpu_capacity", n);
    read_made(255, NULL);
    assert_int_equal(layout.rows[0].kind, 1);
    assert_int_equal(layout.rows[7].kind, 0);
    assert_int_equal(layout.rows[7].cluster, -1);
}

static void of_two_capacities(void **state)
{
    (void)state;
    put_hybrid();
    for (unsigned n = 0; n < 8; n++)
        put(n < 4 ? "446\n" : "1024\n", "sys/devices/system/cpu/cpu%u/cpu_capacity", n);
    check(255);
    assert_int_equal(layout.rows[0].kind, 0);
    assert_int_equal(layout.rows[7].kind, 1);
}

static void of_one_frequency(void **state)
{
    (void)state;
    put_box(in_row);
    for (unsigned n = 0; n < BOX_CPUS; n++)
        put("3000000\n", "sys/devices/system/cpu/cpu%u/cpufreq/cpuinfo_max_freq", n);
    check(BOX_SET);
    assert_int_equal(layout.rows[5].kind, 0);
}

/* Nodes 0 and 4 have CPUs, 4 has no memory, and 2 has nothing else; 1 and 3 are offline. */
static void with_memory_alone_and_cpus_alone(void **state)
{
    struct node_mask memory = {{0}};
    (void)state;
    for (unsigned n = 0; n < 4; n++)
        put_cpu(&(struct made){.cpu = n, .core = (set)1 << n, .package = (set)3 << (n & 2), .l3 = (set)3 << (n & 2)});
    put_node(0, 3, 512, "10 14 21\n");
    put_node(2, 0, 1024, "14 10 24\n");
    put_node(4, 12, 0, "21 24 10\n");
    put("0,2,4\n", "sys/devices/system/node/online");
    check(15);
    assert_int_equal(layout.node_count, 3);
    assert_int_equal(layout.rows[3].node, 2);
    assert_int_equal(layout.nodes[1].os_index, 2);
    assert_int_equal(layout.nodes[2].bytes, 0);
    assert_int_equal(layout.distances[5], 24);
    node_mask_add(&memory, 0);
    read_made(15, &memory);
    assert_int_equal(layout.node_count, 2); /* memory alone that may not be used is gone, CPUs alone are not */
    assert_int_equal(layout.rows[3].node, 1);
    assert_int_equal(layout.distances[1], 21);
}

/* ---- what no file tells, or this process may not use ---- */

static void what_is_missing_is_unknown(void **state)
{
    (void)state;
    put_cpu(&(struct made){.cpu = 0, .core = 1, .package = 3, .l3 = 3});
    put("\n", "sys/devices/system/cpu/cpu1/online");
    put("nonsense\n", "sys/devices/system/cpu/cpu2/topology/core_cpus_list");
    put_node(0, 7, 512, "10\n");
    put_node(1, 8, 512, "20 10\n");
    read_made(7, NULL);
    assert_int_equal(layout.cpu_count, 3);
    for (unsigned i = 1; i < 3; i++) {
        const struct cpu_row *row = &layout.rows[i];
        assert_int_equal(row->os_index, i);
        assert_int_equal(row->node, 0);
        assert_true(row->core == -1 && row->smt == -1 && row->l2 == -1 && row->l3 == -1 && row->die == -1);
        assert_true(row->package == -1 && row->cluster == -1 && row->kind == -1);
    }
    assert_null(layout.distances); /* one node tells but one */
}

static void an_empty_folder_has_cpus_and_a_node(void **state)
{
    (void)state;
    read_made(5, NULL);
    assert_int_equal(layout.cpu_count, 2);
    assert_int_equal(layout.rows[1].os_index, 2);
    assert_int_equal(layout.rows[1].node, 0);
    assert_int_equal(layout.node_count, 1);
    assert_int_equal(layout.nodes[0].bytes, 0);
    assert_int_equal(layout.package_count, -1);
}

static void no_cpu_is_an_error(void **state)
{
    (void)state;
    struct err err = {0};
    struct cpu_mask none = mask_of(0);
    assert_int_equal(layout_read(&layout, unit_folder, &none, NULL, &err), -ENXIO);
    assert_null(layout.rows);
}

/* Of the second package one thread of a core, and both of another; of the memory two nodes. */
static void only_what_may_be_used_is_numbered(void **state)
{
    (void)state;
    struct node_mask memory = {{0}};
    put_box(in_row);
    node_mask_add(&memory, 0);
    node_mask_add(&memory, 3);
    read_made((set)1 << 9 | (set)1 << 14 | (set)1 << 15, &memory);
    assert_int_equal(layout.cpu_count, 3);
    assert_int_equal(layout.package_count, 1);
    assert_int_equal(layout.core_count, 2);
    assert_int_equal(layout.rows[0].smt, 0);
    assert_int_equal(layout.rows[2].smt, 1);
    assert_int_equal(layout.rows[2].core, 1);
    assert_int_equal(layout.rows[2].l3, 1);
    assert_int_equal(layout.rows[0].node, -1); /* its memory may not be used */
    assert_int_equal(layout.rows[2].node, 1);
    assert_int_equal(layout.node_count, 2);
    assert_int_equal(layout.nodes[1].os_index, 3);
    assert_int_equal(layout.distances[1], 32);
}

/* As the static program does; hwloc may ask the processor too. */
static void this_machine(void **state)
{
    (void)state;
    struct cpu_mask mask;
    struct node_mask memory;
    struct err err = {0};
    unsetenv("HWLOC_COMPONENTS");
    assert_int_equal(cpu_mask_read(&mask), 0);
    assert_int_equal(layout_read(&layout, "", &mask, node_mask_read(&memory) ? NULL : &memory, &err), 0);
    check_with_hwloc();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(of_one_cpu, begin, end),
        cmocka_unit_test_setup_teardown(of_two_packages_of_two_nodes, begin, end),
        cmocka_unit_test_setup_teardown(that_number_their_threads_last, begin, end),
        cmocka_unit_test_setup_teardown(whose_numbers_have_gaps, begin, end),
        cmocka_unit_test_setup_teardown(without_caches, begin, end),
        cmocka_unit_test_setup_teardown(of_an_old_kernel, begin, end),
        cmocka_unit_test_setup_teardown(of_dies_and_clusters, begin, end),
        cmocka_unit_test_setup_teardown(of_two_core_types, begin, end),
        cmocka_unit_test_setup_teardown(of_two_capacities, begin, end),
        cmocka_unit_test_setup_teardown(of_one_frequency, begin, end),
        cmocka_unit_test_setup_teardown(with_memory_alone_and_cpus_alone, begin, end),
        cmocka_unit_test_setup_teardown(what_is_missing_is_unknown, begin, end),
        cmocka_unit_test_setup_teardown(an_empty_folder_has_cpus_and_a_node, begin, end),
        cmocka_unit_test_setup_teardown(no_cpu_is_an_error, begin, end),
        cmocka_unit_test_setup_teardown(only_what_may_be_used_is_numbered, begin, end),
        cmocka_unit_test_setup_teardown(this_machine, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
