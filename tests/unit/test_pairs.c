/* SPDX-License-Identifier: MIT */
/* Distance classes of pairs of CPUs on machines that are made up, and which pairs stand for them. */
#include "unit.h"

#include "shapes.h"

static uint64_t all_pairs(const struct pairs *pairs)
{
    return (uint64_t)pairs->cpu_count * (pairs->cpu_count - 1) / 2;
}

static void check_class(const struct pairs *pairs, unsigned i, const char *name, uint64_t count)
{
    assert_string_equal(pairs->classes[i].name, name);
    assert_int_equal(pairs->classes[i].count, count);
}

static void one_cpu_has_no_pair(void **state)
{
    (void)state;
    struct pairs pairs = classify(&(struct shape){1, 1, 1, 1, 1});
    struct pair *items;
    struct err err = {0};
    unsigned count;
    assert_int_equal(pairs.class_count, 0);
    assert_int_equal(pairs_choose(&pairs, 3, 1, &items, &count, &err), 0);
    assert_int_equal(count, 0);
    free(items);
}

/* Two packages of two nodes of two L3 caches of two cores of two CPUs. */
static void every_level_is_a_class(void **state)
{
    (void)state;
    struct pairs pairs = classify(&(struct shape){2, 2, 2, 2, 2});
    assert_int_equal(pairs.cpu_count, 32);
    assert_int_equal(pairs.class_count, 5);
    check_class(&pairs, 0, "core", 16);
    check_class(&pairs, 1, "l3", 16 * 2 / 2 * 2); /* each CPU with the two of its neighbour core */
    check_class(&pairs, 2, "node", 32 * 4 / 2);
    check_class(&pairs, 3, "package", 32 * 8 / 2);
    check_class(&pairs, 4, "machine", 32 * 16 / 2);
    uint64_t sum = 0;
    for (unsigned c = 0; c < pairs.class_count; c++)
        sum += pairs.classes[c].count;
    assert_int_equal(sum, all_pairs(&pairs));
    assert_int_equal(pairs.classes[3].distance, 12);
    assert_int_equal(pairs.classes[4].distance, 32);
}

/* Two performance cores of two CPUs, and four efficient ones that share an L2 cache. */
static void kinds_of_cpu_are_told_apart(void **state)
{
    struct cpu_row hybrid[8];
    struct pairs pairs;
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        bool fast = i < 4;
        hybrid[i] = (struct cpu_row){.os_index = i,
                                     .smt = fast ? (int)i % 2 : 0,
                                     .core = fast ? (int)i / 2 : (int)i - 2,
                                     .l2 = fast ? (int)i / 2 : 2,
                                     .cluster = -1,
                                     .l3 = 0,
                                     .die = -1,
                                     .node = 0,
                                     .package = 0,
                                     .kind = fast};
    }
    pairs_classify(&pairs, hybrid, 8, NULL, 0);
    assert_int_equal(pairs.class_count, 4);
    check_class(&pairs, 0, "core", 2);
    check_class(&pairs, 1, "l2", 6);
    check_class(&pairs, 2, "l3-kinds-0-1", 16);
    check_class(&pairs, 3, "l3-kinds-1-1", 4);
    assert_int_equal(pairs_class(&pairs, 0, 7), 2);
    assert_int_equal(pairs_class(&pairs, 7, 0), 2);
}

/* A machine that tells of no caches, nodes or packages. */
static void nothing_told_is_one_class(void **state)
{
    struct cpu_row bare[4];
    struct pairs pairs;
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        bare[i] = (struct cpu_row){3 * i, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    pairs_classify(&pairs, bare, 4, NULL, 0);
    assert_int_equal(pairs.class_count, 1);
    check_class(&pairs, 0, "machine", 6);
}

static void distances_tell_classes_apart(void **state)
{
    (void)state;
    const struct shape shape = {4, 1, 1, 2, 1};
    unsigned count = build(&shape), nodes = build_distances(&shape);
    struct pairs pairs;
    distances[0 * nodes + 3] = distances[3 * nodes + 0] = 21; /* two of the four are nearer to each other */
    pairs_classify(&pairs, rows, count, distances, nodes);
    assert_int_equal(pairs.class_count, 3);
    check_class(&pairs, 1, "machine-distance-21", 4);
    check_class(&pairs, 2, "machine-distance-32", 20);
}

/* Sixteen kinds would make 120 classes: they are told apart by what they share alone. */
static void kinds_that_are_too_many_are_one(void **state)
{
    struct cpu_row odd[16];
    struct pairs pairs;
    (void)state;
    for (unsigned i = 0; i < 16; i++)
        odd[i] = (struct cpu_row){i, -1, -1, -1, -1, -1, -1, -1, -1, (int)i};
    pairs_classify(&pairs, odd, 16, NULL, 0);
    assert_int_equal(pairs.class_count, 1);
    check_class(&pairs, 0, "machine", 120);
}

/* What the firmware says of both ways may differ: the pair has the larger distance, whichever comes first. */
static void a_pair_has_one_distance(void **state)
{
    static const unsigned one_way[] = {10, 20, 40, 10};
    struct cpu_row two[2] = {{0, 0, 0, 0, -1, 0, -1, 0, 0, -1}, {1, 0, 1, 1, -1, 1, -1, 1, 1, -1}};
    struct pairs pairs;
    (void)state;
    pairs_classify(&pairs, two, 2, one_way, 2);
    assert_int_equal(pairs.class_count, 1);
    assert_int_equal(pairs.classes[0].distance, 40);
    assert_int_equal(pairs_class(&pairs, 1, 0), 0);
}

/* Dies and clusters, where a machine has them. */
static void dies_and_clusters_are_classes(void **state)
{
    struct cpu_row cpus[8];
    struct pairs pairs;
    (void)state;
    for (unsigned i = 0; i < 8; i++)
        cpus[i] = (struct cpu_row){i, 0, (int)i, (int)i, (int)i / 2, (int)i / 2, (int)i / 4, 0, 0, -1};
    pairs_classify(&pairs, cpus, 8, NULL, 0);
    assert_int_equal(pairs.class_count, 3);
    check_class(&pairs, 0, "cluster", 4);
    check_class(&pairs, 1, "die", 8);
    check_class(&pairs, 2, "node", 16);
}

static struct pair *choose(const struct pairs *pairs, uint64_t seed, unsigned *count)
{
    struct pair *items;
    struct err err = {0};
    if (pairs_choose(pairs, 3, seed, &items, count, &err))
        fail_msg("%s", err.text);
    for (unsigned i = 0; i < *count; i++) {
        assert_true(items[i].a < items[i].b && items[i].b < pairs->cpu_count);
        assert_int_equal(items[i].class, pairs_class(pairs, items[i].a, items[i].b));
        for (unsigned j = 0; j < i; j++)
            assert_false(items[i].a == items[j].a && items[i].b == items[j].b);
    }
    return items;
}

/* Three pairs a class, whatever the machine's size, without CPU 0, and others with another seed. */
static void classes_are_sampled(void **state)
{
    (void)state;
    struct pairs pairs = classify(&(struct shape){2, 4, 4, 8, 2});
    unsigned count, count_again, differ = 0;
    assert_int_equal(pairs.cpu_count, 512);
    struct pair *items = choose(&pairs, 1, &count);
    struct pair *again = choose(&pairs, 1, &count_again);
    assert_int_equal(count, 3 * pairs.class_count);
    assert_int_equal(count_again, count);
    assert_memory_equal(items, again, count * sizeof *items);
    free(again);
    for (unsigned i = 0; i < count; i++)
        assert_true(pairs.cpus[items[i].a].os_index && pairs.cpus[items[i].b].os_index);
    again = choose(&pairs, 2, &count_again);
    for (unsigned i = 0; i < count; i++)
        differ += memcmp(&items[i], &again[i], sizeof *items) != 0;
    assert_in_range(differ, 1, pairs.class_count);
    free(items);
    free(again);
}

/* Where there is no other pair, CPU 0 stands in one. */
static void two_cpus_are_one_pair(void **state)
{
    (void)state;
    struct pairs pairs = classify(&(struct shape){1, 1, 1, 1, 2});
    unsigned count;
    struct pair *items = choose(&pairs, 1, &count);
    assert_int_equal(count, 1);
    free(items);
}

/* Drawn pairs are drawn fairly: over many seeds each of those between comes up about as often. */
static void draws_are_fair(void **state)
{
    enum { SEEDS = 6000 };
    static unsigned seen[CPUS_MAX];
    (void)state;
    struct pairs pairs = classify(&(struct shape){1, 1, 1, 6, 1}); /* 15 pairs, 10 without CPU 0, 8 between the ends */
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        unsigned count;
        struct pair *items = choose(&pairs, seed, &count);
        assert_int_equal(count, 3);
        seen[items[2].a * 6 + items[2].b]++;
        free(items);
    }
    for (unsigned a = 1; a < 6; a++)
        for (unsigned b = a + 1; b < 6; b++)
            if (!(a == 1 && b == 2) && !(a == 4 && b == 5))
                assert_in_range(seen[a * 6 + b], SEEDS / 8 - 150, SEEDS / 8 + 150); /* 5.8 standard deviations */
}

/* Two nodes a package, two L3 caches a node, two cores a cache, two CPUs a core. */
static void pairs_are_placed(void **state)
{
    static const struct {
        enum place place;
        enum pair_level level;
    } places[] = {{place_same_core, PAIR_CORE},
                  {place_same_l3, PAIR_L3},
                  {place_other_l3, PAIR_NODE},
                  {place_other_node, PAIR_PACKAGE},
                  {place_other_package, PAIR_MACHINE}};
    (void)state;
    struct pairs pairs = classify(&(struct shape){2, 2, 2, 2, 2});
    for (unsigned p = 0; p < LENGTH_OF(places); p++)
        for (unsigned turn = 0; turn < 12; turn++) {
            unsigned cpus[2], again[2];
            struct err err = {0};
            assert_int_equal(pairs_place(&pairs, places[p].place, turn, cpus, 2, &err), 0);
            unsigned class = pairs_class(&pairs, row_of(cpus[0]), row_of(cpus[1]));
            assert_int_equal(pairs.classes[class].level, places[p].level);
            assert_int_equal(pairs_place(&pairs, places[p].place, turn, again, 2, &err), 0);
            assert_memory_equal(cpus, again, sizeof cpus);
        }
}

static void check_order(const struct pairs *pairs, enum place place, const unsigned *expected, unsigned count)
{
    unsigned cpus[CPUS_MAX];
    struct err err = {0};
    assert_int_equal(pairs_place(pairs, place, 0, cpus, pairs->cpu_count, &err), 0);
    bool seen[CPUS_MAX] = {false};
    for (unsigned i = 0; i < pairs->cpu_count; i++) {
        assert_false(seen[row_of(cpus[i])]);
        seen[row_of(cpus[i])] = true;
    }
    for (unsigned i = 0; i < count; i++)
        if (row_of(cpus[i]) != expected[i])
            fail_msg("place %u: worker %u has row %u, not %u", place, i, row_of(cpus[i]), expected[i]);
}

/* Two packages of two nodes of two L3 caches of two cores of two CPUs: rows 0-15 are cores, 16-31 their siblings. */
static void workers_are_packed_and_spread(void **state)
{
    static const unsigned packed[] = {0, 1, 16, 17, 2, 3, 18, 19, 4};
    static const unsigned spread[] = {0, 8, 4, 12, 2, 10, 6, 14, 1, 9};
    (void)state;
    struct pairs pairs = classify(&(struct shape){2, 2, 2, 2, 2});
    check_order(&pairs, place_pack, packed, LENGTH_OF(packed));
    check_order(&pairs, place_spread, spread, LENGTH_OF(spread));
}

/* Over its turns a place has each of its pairs, both ways round. */
static void pairs_take_turns(void **state)
{
    (void)state;
    struct pairs pairs = classify(&(struct shape){1, 1, 1, 4, 1});
    unsigned cpus[6][2];
    struct err err = {0};
    for (unsigned turn = 0; turn < 6; turn++)
        assert_int_equal(pairs_place(&pairs, place_same_l3, turn, cpus[turn], 2, &err), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(cpus[i][0], cpus[i + 3][1]);
        assert_int_equal(cpus[i][1], cpus[i + 3][0]);
        for (unsigned j = 0; j < i; j++)
            assert_false(cpus[i][0] == cpus[j][0] && cpus[i][1] == cpus[j][1]);
    }
}

static void what_is_not_there_is_said(void **state)
{
    (void)state;
    struct pairs pairs = classify(&(struct shape){1, 1, 1, 2, 1});
    unsigned cpus[4];
    struct err err = {0};
    assert_int_equal(pairs_place(&pairs, place_same_core, 0, cpus, 2, &err), -ENXIO);
    assert_string_equal(err.text, "no two CPUs are placed same-core here");
    assert_int_equal(pairs_place(&pairs, place_pack, 0, cpus, 3, &err), -ENXIO);
    assert_non_null(strstr(err.text, "3 workers need as many CPUs, there are 2"));
    assert_int_equal(pairs_place(&pairs, place_spread, 0, cpus, 2, &err), 0);
    assert_int_equal(row_of(cpus[0]) + row_of(cpus[1]), 1);
    assert_int_equal(pairs_place(&pairs, place_same_l3, 0, cpus, 1, &err), -EINVAL);
    pairs_classify(&pairs, NULL, 0, NULL, 0);
    assert_int_equal(pairs_place(&pairs, place_same_l3, 0, cpus, 2, &err), -ENXIO);
    assert_string_equal(err.text, "2 workers need as many CPUs, there are 0");
}

/* Caches that nobody knows of are not other ones. */
static void unknown_caches_are_not_other_ones(void **state)
{
    struct cpu_row bare[2] = {{0, 0, 0, -1, -1, -1, -1, 0, 0, -1}, {1, 0, 1, -1, -1, -1, -1, 0, 0, -1}};
    struct pairs pairs;
    struct err err = {0};
    unsigned cpus[2];
    (void)state;
    pairs_classify(&pairs, bare, 2, NULL, 0);
    assert_int_equal(pairs_place(&pairs, place_other_l3, 0, cpus, 2, &err), -ENXIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_cpu_has_no_pair),
        cmocka_unit_test(every_level_is_a_class),
        cmocka_unit_test(kinds_of_cpu_are_told_apart),
        cmocka_unit_test(nothing_told_is_one_class),
        cmocka_unit_test(distances_tell_classes_apart),
        cmocka_unit_test(kinds_that_are_too_many_are_one),
        cmocka_unit_test(a_pair_has_one_distance),
        cmocka_unit_test(dies_and_clusters_are_classes),
        cmocka_unit_test(classes_are_sampled),
        cmocka_unit_test(two_cpus_are_one_pair),
        cmocka_unit_test(draws_are_fair),
        cmocka_unit_test(pairs_are_placed),
        cmocka_unit_test(workers_are_packed_and_spread),
        cmocka_unit_test(unknown_caches_are_not_other_ones),
        cmocka_unit_test(pairs_take_turns),
        cmocka_unit_test(what_is_not_there_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
