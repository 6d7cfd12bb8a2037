/* SPDX-License-Identifier: MIT */
/* Topology, real and made up, and binding that is verified. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "place.h"

static cpu_set_t all_cpus;

static int remember_cpus(void **state)
{
    (void)state;
    return sched_getaffinity(0, sizeof all_cpus, &all_cpus);
}

/* After each test: the binding and the variables as they were. */
static int restore(void **state)
{
    (void)state;
    unsetenv("HWLOC_SYNTHETIC");
    unsetenv("HWLOC_XMLFILE");
    return sched_setaffinity(0, sizeof all_cpus, &all_cpus);
}

static unsigned first_cpu(void)
{
    unsigned cpu = 0;
    while (!CPU_ISSET(cpu, &all_cpus))
        cpu++;
    return cpu;
}

static struct topology *load(void)
{
    struct err err = {0};
    struct topology *place = NULL;
    int rc = place_load(&place, &err);
    if (rc)
        fail_msg("place_load: %s", err.text);
    return place;
}

static json_int_t number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void lists_the_cpus_of_the_affinity(void **state)
{
    (void)state;
    struct topology *place = load();
    assert_true(place_is_this_machine(place));
    assert_int_equal(place_cpu_count(place), CPU_COUNT(&all_cpus));
    for (unsigned n = 0; n < place_cpu_count(place); n++) {
        assert_true(CPU_ISSET(place_nth_cpu(place, n), &all_cpus));
        if (n + 1 < place_cpu_count(place))
            assert_int_not_equal(place_nth_cpu(place, n), 0);
    }
    assert_int_equal(place_nth_cpu(place, place_cpu_count(place)), place_nth_cpu(place, 0));
    place_free(place);
}

static void honours_a_narrower_affinity(void **state)
{
    (void)state;
    cpu_set_t one;
    unsigned cpu = first_cpu();
    if (CPU_COUNT(&all_cpus) < 2) {
        print_message("SKIP: one CPU is allowed here, there is nothing to narrow\n");
        skip();
    }
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    struct topology *place = load();
    json_t *json = place_json(place), *pus = json_object_get(json, "pus");
    assert_int_equal(place_cpu_count(place), 1);
    assert_int_equal(place_nth_cpu(place, 0), cpu);
    assert_int_equal(number(json, "cpus"), 1);
    assert_int_equal(json_array_size(pus), 1);
    assert_int_equal(number(json_array_get(pus, 0), "os_index"), cpu);
    json_decref(json);
    place_free(place);
}

static void agrees_with_itself(void **state)
{
    (void)state;
    struct topology *place = load();
    json_t *json = place_json(place), *pus = json_object_get(json, "pus"), *pu;
    size_t i;
    json_int_t allowed = 0;
    json_array_foreach(pus, i, pu)
    {
        allowed += json_is_true(json_object_get(pu, "allowed"));
        assert_in_range(number(pu, "core"), 0, number(json, "cores") - 1);
        assert_in_range(number(pu, "package"), 0, number(json, "packages") - 1);
    }
    assert_int_equal(allowed, number(json, "cpus"));
    json_decref(json);
    place_free(place);
}

static void shows_a_synthetic_machine_but_disowns_it(void **state)
{
    (void)state;
    setenv("HWLOC_SYNTHETIC", "pack:2 l3:1 core:2 pu:2", 1);
    struct topology *place = load();
    json_t *json = place_json(place), *pus = json_object_get(json, "pus");
    assert_false(place_is_this_machine(place));
    assert_true(json_is_false(json_object_get(json, "this_machine")));
    assert_int_equal(place_cpu_count(place), 8);
    assert_int_equal(place_nth_cpu(place, 0), 1);
    assert_int_equal(place_nth_cpu(place, 7), 0);
    assert_int_equal(number(json, "packages"), 2);
    assert_int_equal(number(json, "cores"), 4);
    assert_int_equal(number(json, "cpus"), 8);
    assert_int_equal(json_array_size(pus), 8);
    json_t *last = json_array_get(pus, 7);
    assert_int_equal(number(last, "core"), 3);
    assert_int_equal(number(last, "smt"), 1);
    assert_int_equal(number(last, "l3"), 1);
    assert_int_equal(number(last, "package"), 1);
    assert_true(json_is_null(json_object_get(last, "l2")));
    json_decref(json);
    place_free(place);
}

/* ---- distance classes of machines that are made up ---- */

static void check_classes(const struct topology *place, const char *const *names, unsigned count)
{
    const struct pairs *pairs = place_pairs(place);
    assert_int_equal(pairs->class_count, count);
    for (unsigned i = 0; i < count; i++)
        assert_string_equal(pairs->classes[i].name, names[i]);
}

static struct topology *load_synthetic(const char *description)
{
    setenv("HWLOC_SYNTHETIC", description, 1);
    struct topology *place = load();
    assert_false(place_is_this_machine(place));
    return place;
}

static void classes_of_sockets_nodes_and_threads(void **state)
{
    (void)state;
    static const char *const names[] = {"core", "l3", "package", "machine"};
    struct topology *place = load_synthetic("pack:2 numa:2 l3:1 core:2 pu:2");
    json_t *json = place_json(place), *classes = json_object_get(json, "classes");
    check_classes(place, names, 4);
    assert_int_equal(json_array_size(classes), 4);
    assert_int_equal(number(json_array_get(classes, 0), "pairs"), 8);
    assert_int_equal(number(json_array_get(classes, 3), "pairs"), 64);
    assert_int_equal(json_array_size(json_object_get(json, "nodes")), 4);
    json_decref(json);
    place_free(place);
}

/* Numbered otherwise than they lie: the kernel's numbers are what counts. */
static void memory_lies_where_it_is_asked_for(void **state)
{
    (void)state;
    struct topology *place = load_synthetic("pack:2 numa:2(indexes=3,1,2,0) l3:1 core:2 pu:1");
    unsigned nodes[NODES_MAX], count = 0;
    struct err err = {0};
    assert_int_equal(place_memory_nodes(place, memory_node_local, 0, nodes, &count, &err), 0);
    assert_int_equal(count, 1);
    assert_int_equal(nodes[0], 3);
    assert_int_equal(place_memory_nodes(place, memory_node_local, 7, nodes, &count, &err), 0);
    assert_int_equal(nodes[0], 0);
    assert_int_equal(place_memory_nodes(place, memory_node_remote, 0, nodes, &count, &err), 0);
    assert_int_equal(count, 1);
    assert_int_not_equal(nodes[0], 3);
    assert_int_equal(place_memory_nodes(place, memory_node_interleave, 0, nodes, &count, &err), 0);
    assert_int_equal(count, 4);
    place_free(place);
    place = load_synthetic("pack:1 core:2 pu:1");
    assert_int_equal(place_memory_nodes(place, memory_node_local, 1, nodes, &count, &err), 0);
    assert_int_equal(place_memory_nodes(place, memory_node_remote, 0, nodes, &count, &err), -ENXIO);
    assert_string_equal(err.text, "CPU 0 has no other memory node");
    assert_int_equal(place_memory_nodes(place, memory_node_interleave, 0, nodes, &count, &err), -ENXIO);
    place_free(place);
}

static struct topology *load_xml(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, TESTS_DIR "/data/%s", name);
    setenv("HWLOC_XMLFILE", path, 1);
    return load();
}

static void check_memory(const struct topology *place, enum memory_node where, unsigned cpu, const unsigned *wanted,
                         unsigned wanted_count)
{
    unsigned nodes[NODES_MAX], count = 0;
    struct err err = {0};
    int rc = place_memory_nodes(place, where, cpu, nodes, &count, &err);
    assert_int_equal(rc, wanted_count ? 0 : -ENXIO);
    assert_int_equal(rc ? 0 : count, wanted_count);
    for (unsigned i = 0; i < wanted_count; i++)
        assert_int_equal(nodes[i], wanted[i]);
}

/* Two nodes with CPUs, the second behind a memory-side cache, and one that is memory and nothing else. */
static void memory_alone_is_memory(void **state)
{
    (void)state;
    static const unsigned all[] = {0, 1, 2};
    struct topology *place = load_xml("topology-with-memory-alone.xml");
    json_t *json = place_json(place), *nodes = json_object_get(json, "nodes");
    assert_int_equal(place_memory_node_count(place), 3);
    check_memory(place, memory_node_local, 0, &all[0], 1);
    check_memory(place, memory_node_local, 2, &all[1], 1);
    check_memory(place, memory_node_remote, 0, &all[1], 1); /* 21, and memory alone 14 */
    check_memory(place, memory_node_remote, 2, &all[2], 1); /* 24, and the other package 21 */
    check_memory(place, memory_node_interleave, 0, all, 3);
    assert_int_equal(number(json_array_get(nodes, 1), "cpus"), 2);
    assert_int_equal(number(json_array_get(nodes, 2), "cpus"), 0);
    assert_int_equal(number(json_array_get(nodes, 2), "os_index"), 2);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(json_object_get(json, "distances"), 2), 1)), 24);
    json_decref(json);
    place_free(place);
}

/* The second package has CPUs, and no memory. */
static void a_node_without_memory_is_none(void **state)
{
    (void)state;
    static const unsigned only = 0;
    struct topology *place = load_xml("topology-with-bare-node.xml");
    assert_int_equal(place_memory_node_count(place), 1);
    assert_int_equal(place_pairs(place)->class_count, 2);
    check_memory(place, memory_node_local, 1, &only, 1);
    check_memory(place, memory_node_local, 2, NULL, 0);
    check_memory(place, memory_node_remote, 1, NULL, 0);
    check_memory(place, memory_node_remote, 2, &only, 1);
    check_memory(place, memory_node_interleave, 2, NULL, 0);
    place_free(place);
}

/* Memory that has the CPUs of another node, as hwloc shows fast memory on a package. */
static void more_memory_of_the_same_cpus_is_another_node(void **state)
{
    (void)state;
    static const unsigned all[] = {0, 1};
    struct topology *place = load_synthetic("pack:1 [numa(memory=4GiB)] [numa(memory=1GiB)] core:2 pu:1");
    assert_int_equal(place_memory_node_count(place), 2);
    check_memory(place, memory_node_local, 1, &all[0], 1);
    check_memory(place, memory_node_remote, 1, &all[1], 1);
    check_memory(place, memory_node_interleave, 1, all, 2);
    place_free(place);
}

/* What is touched after that lies there, and the kernel is asked whether it does. */
static void binds_memory_and_verifies(void **state)
{
    (void)state;
    struct topology *place = load();
    unsigned nodes[NODES_MAX], count = 0, absent = NODES_MAX - 1;
    struct err err = {0};
    int node = -1;
    if (place_memory_nodes(place, memory_node_local, place_nth_cpu(place, 0), nodes, &count, &err))
        skip();
    assert_int_equal(place_bind_memory(nodes, count, &err), 0);
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    *page = 1;
    void *address = page;
    assert_int_equal(syscall(SYS_move_pages, 0, 1UL, &address, NULL, &node, 0), 0);
    assert_int_equal(node, nodes[0]);
    munmap(page, 4096);
    assert_int_equal(place_bind_memory(&absent, 1, &err), -EXDEV);
    assert_non_null(strstr(err.text, "node 1023"));
    assert_int_equal(syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0UL), 0);
    place_free(place);
}

static void classes_of_512_cpus(void **state)
{
    (void)state;
    static const char *const names[] = {"core", "l3", "node", "package", "machine"};
    struct topology *place = load_synthetic("pack:2 numa:4 l3:4 core:8 pu:2");
    assert_int_equal(place_cpu_count(place), 512);
    check_classes(place, names, 5);
    place_free(place);
}

/* Nothing is known but the cores: two CPUs share the machine, and no cache. */
static void classes_without_caches(void **state)
{
    (void)state;
    struct topology *place = load_synthetic("core:4 pu:1");
    const struct pairs *pairs = place_pairs(place);
    assert_int_equal(pairs->class_count, 1);
    assert_true(pairs->classes[0].level >= PAIR_NODE); /* hwloc gives every machine a node */
    assert_int_equal(pairs->cpus[0].l3, -1);
    place_free(place);
}

static void one_cpu_has_no_class(void **state)
{
    (void)state;
    struct topology *place = load_synthetic("core:1 pu:1");
    assert_int_equal(place_pairs(place)->class_count, 0);
    place_free(place);
}

/* A cache of its own between each CPU and its core, as emulators have it, leaves siblings siblings. */
static void ranks_of_siblings_with_caches_of_their_own(void **state)
{
    (void)state;
    struct topology *place = load_synthetic("pack:1 core:2 l1:2 pu:1");
    const struct pairs *pairs = place_pairs(place);
    assert_int_equal(pairs->cpu_count, 4);
    for (unsigned i = 0; i < pairs->cpu_count; i++) {
        assert_int_equal(pairs->cpus[i].core, i / 2);
        assert_int_equal(pairs->cpus[i].smt, i % 2);
    }
    place_free(place);
}

/* CPUs that are numbered with gaps, as where some are offline. */
static void classes_of_scattered_numbers(void **state)
{
    (void)state;
    static const char *const names[] = {"core", "l3"};
    struct topology *place = load_synthetic("l3:1 core:2 pu:2(indexes=4,40,6,60)");
    const struct pairs *pairs = place_pairs(place);
    check_classes(place, names, 2);
    bool seen = false;
    for (unsigned i = 0; i < pairs->cpu_count; i++)
        seen |= pairs->cpus[i].os_index == 60;
    assert_true(seen);
    place_free(place);
}

/* What hwloc 3 has written hwloc 2 cannot read, and says so. */
static void names_a_topology_of_a_later_hwloc(void **state)
{
    struct err err = {0};
    struct topology *place = NULL;
    (void)state;
    setenv("HWLOC_XMLFILE", TESTS_DIR "/data/topology-of-hwloc-3.xml", 1);
    assert_int_equal(place_load(&place, &err), -EINVAL);
    assert_non_null(strstr(err.text, "topology-of-hwloc-3.xml"));
    assert_non_null(strstr(err.text, "hwloc 2 does not read the XML that hwloc 3 writes"));
}

static void names_a_topology_that_does_not_load(void **state)
{
    (void)state;
    struct err err = {0};
    struct topology *place = NULL;
    setenv("HWLOC_XMLFILE", "/dev/null", 1);
    assert_int_equal(place_load(&place, &err), -EINVAL);
    assert_non_null(strstr(err.text, "HWLOC_XMLFILE=/dev/null"));
    assert_null(place);
}

static void count_lines(const char *path, const char *word, unsigned *count)
{
    char line[4096];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    *count = 0;
    while (fgets(line, sizeof line, file))
        *count += strstr(line, word) != NULL;
    fclose(file);
}

/* A machine that tells its serial number, its name and its group: none of it may be in what is written. */
static void exports_without_names_and_serials(void **state)
{
    (void)state;
    struct err err = {0};
    char path[] = "/tmp/faultline-test-place-XXXXXX";
    unsigned count;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    setenv("HWLOC_XMLFILE", TESTS_DIR "/data/topology-with-names.xml", 1);
    struct topology *place = load();
    assert_int_equal(place_export(place, path, &err), 0);
    place_free(place);
    count_lines(path, "secret", &count);
    assert_int_equal(count, 0);
    count_lines(path, "CPUModel\"", &count);
    assert_int_equal(count, 1);
    count_lines(path, "<topology version=\"2", &count);
    assert_int_equal(count, 1);
    setenv("HWLOC_XMLFILE", path, 1);
    place = load();
    assert_false(place_is_this_machine(place));
    assert_int_equal(place_cpu_count(place), 3);
    json_t *json = place_json(place), *pus = json_object_get(json, "pus");
    assert_int_equal(json_array_size(pus), 4);
    assert_true(json_is_false(json_object_get(json_array_get(pus, 3), "allowed")));
    json_decref(json);
    place_free(place);
    unlink(path);
}

static void says_where_it_cannot_export(void **state)
{
    (void)state;
    struct err err = {0};
    struct topology *place = load();
    assert_int_equal(place_export(place, "/nonexistent/topology.xml", &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/topology.xml"));
    place_free(place);
}

static void binds_and_verifies(void **state)
{
    (void)state;
    struct err err = {0};
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all_cpus)) {
            cpu_set_t now;
            assert_int_equal(place_bind(cpu, &err), 0);
            assert_int_equal(sched_getcpu(), cpu);
            assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
            assert_int_equal(CPU_COUNT(&now), 1);
            assert_true(CPU_ISSET(cpu, &now));
        }
}

static void refuses_a_cpu_that_is_not_there(void **state)
{
    (void)state;
    struct err err = {0};
    cpu_set_t now;
    assert_int_equal(place_bind(8191, &err), -EXDEV);
    assert_non_null(strstr(err.text, "CPU 8191"));
    assert_int_equal(place_bind(4000000000U, &err), -EXDEV);
    assert_non_null(strstr(err.text, "CPU 4000000000"));
    assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
    assert_true(CPU_EQUAL(&now, &all_cpus));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(lists_the_cpus_of_the_affinity, restore),
        cmocka_unit_test_teardown(honours_a_narrower_affinity, restore),
        cmocka_unit_test_teardown(agrees_with_itself, restore),
        cmocka_unit_test_teardown(shows_a_synthetic_machine_but_disowns_it, restore),
        cmocka_unit_test_teardown(classes_of_sockets_nodes_and_threads, restore),
        cmocka_unit_test_teardown(memory_lies_where_it_is_asked_for, restore),
        cmocka_unit_test_teardown(memory_alone_is_memory, restore),
        cmocka_unit_test_teardown(a_node_without_memory_is_none, restore),
        cmocka_unit_test_teardown(more_memory_of_the_same_cpus_is_another_node, restore),
        cmocka_unit_test_teardown(binds_memory_and_verifies, restore),
        cmocka_unit_test_teardown(classes_of_512_cpus, restore),
        cmocka_unit_test_teardown(classes_without_caches, restore),
        cmocka_unit_test_teardown(one_cpu_has_no_class, restore),
        cmocka_unit_test_teardown(ranks_of_siblings_with_caches_of_their_own, restore),
        cmocka_unit_test_teardown(classes_of_scattered_numbers, restore),
        cmocka_unit_test_teardown(names_a_topology_of_a_later_hwloc, restore),
        cmocka_unit_test_teardown(names_a_topology_that_does_not_load, restore),
        cmocka_unit_test_teardown(exports_without_names_and_serials, restore),
        cmocka_unit_test_teardown(says_where_it_cannot_export, restore),
        cmocka_unit_test_teardown(binds_and_verifies, restore),
        cmocka_unit_test_teardown(refuses_a_cpu_that_is_not_there, restore),
    };
    return cmocka_run_group_tests(tests, remember_cpus, NULL);
}
