/* SPDX-License-Identifier: MIT */
/* Which pairs of CPUs a matrix has, which of them each trial visits, and when a class is looked at more widely. */
#include "unit.h"

#include <math.h>

#include "matrix.h"
#include "shapes.h"

enum { SEED = 7, CPUS_FEW = 8 }; /* with few, those without CPU 0 are fewer still */

static const struct shape large = {2, 1, 16, 8, 2}, guest = {2, 2, 1, 2, 2};

struct chosen {
    struct pair *items;
    unsigned count;
};

static struct chosen choose(const struct pairs *pairs, enum matrix matrix, const enum matrix_width *widths)
{
    struct chosen chosen;
    struct err err = {0};
    assert_int_equal(matrix_pairs(pairs, matrix, widths, SEED, &chosen.items, &chosen.count, &err), 0);
    for (unsigned i = 0; i < chosen.count; i++) {
        assert_true(chosen.items[i].a < chosen.items[i].b);
        assert_int_equal(chosen.items[i].class, pairs_class(pairs, chosen.items[i].a, chosen.items[i].b));
    }
    return chosen;
}

static unsigned count_of_class(const struct chosen *chosen, unsigned class)
{
    unsigned count = 0;
    for (unsigned i = 0; i < chosen->count; i++)
        count += chosen->items[i].class == class;
    return count;
}

static bool has_pair(const struct chosen *chosen, unsigned a, unsigned b)
{
    bool has = false;
    for (unsigned i = 0; i < chosen->count; i++)
        has |= chosen->items[i].a == a && chosen->items[i].b == b;
    return has;
}

static void every_cpu_is_in_a_pair(void **state)
{
    (void)state;
    static const struct shape shapes[] = {
        {1, 1, 1, 2, 1}, {1, 1, 1, 3, 1}, {1, 1, 1, 4, 2}, {2, 2, 1, 2, 2}, {2, 1, 16, 8, 2}};
    for (unsigned i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct pairs pairs = classify(&shapes[i]);
        struct chosen chosen = choose(&pairs, matrix_class, NULL);
        bool covered[CPUS_MAX] = {false};
        for (unsigned p = 0; p < chosen.count; p++)
            covered[chosen.items[p].a] = covered[chosen.items[p].b] = true;
        for (unsigned cpu = 0; cpu < pairs.cpu_count; cpu++)
            assert_true(covered[cpu]);
        for (unsigned class = 0; class < pairs.class_count; class ++)
            assert_true(count_of_class(&chosen, class) >= (pairs.classes[class].count < CPUS_FEW ? 1 : 3));
        assert_true(chosen.count <= (pairs.cpu_count + 1) / 2 + 3 * pairs.class_count);
        free(chosen.items);
    }
}

static void a_matrix_has_so_many_pairs(void **state)
{
    (void)state;
    struct pairs pairs = classify(&large);
    static const unsigned counts[] = {
        [matrix_l3] = 32 * 31 / 2 + 32, [matrix_core] = 256 * 255 / 2 + 256, [matrix_pu] = 512 * 511 / 2};
    for (enum matrix matrix = matrix_l3; matrix < matrix_count; matrix++) {
        struct chosen chosen = choose(&pairs, matrix, NULL);
        assert_int_equal(chosen.count, counts[matrix]);
        free(chosen.items);
    }
    pairs = classify(&guest);
    struct chosen chosen = choose(&pairs, matrix_l3, NULL);
    assert_int_equal(chosen.count, 4 * 3 / 2 + 4);
    for (unsigned i = 0; i < chosen.count; i++)
        assert_int_not_equal(pairs.cpus[chosen.items[i].a].os_index, 0); /* there is a choice */
    free(chosen.items);
}

static void few_visits_have_more_rounds(void **state)
{
    (void)state;
    assert_int_equal(matrix_rounds(1), MATRIX_ROUNDS_ALL);
    assert_int_equal(matrix_rounds(5), 5);
    for (unsigned count = 1; count < 1000; count++) {
        assert_true(count * matrix_rounds(count) >= MATRIX_ROUNDS_ALL);
        assert_true(matrix_rounds(count) >= MATRIX_ROUNDS);
        assert_true(count < MATRIX_ROUNDS_ALL || matrix_rounds(count) == MATRIX_ROUNDS);
    }
}

static void what_there_is_no_pair_of_is_said(void **state)
{
    (void)state;
    struct pair *items;
    unsigned count;
    struct err err = {0};
    struct pairs pairs = classify(&(struct shape){1, 1, 1, 1, 1});
    for (enum matrix matrix = matrix_class; matrix < matrix_count; matrix++) {
        assert_int_equal(matrix_pairs(&pairs, matrix, NULL, SEED, &items, &count, &err), -ENXIO);
        assert_string_equal(err.text, "a pair needs two CPUs, there is 1");
    }
    pairs = classify(&(struct shape){1, 1, 1, 2, 1});
    for (unsigned i = 0; i < 2; i++)
        rows[i].l3 = -1;
    assert_int_equal(matrix_pairs(&pairs, matrix_l3, NULL, SEED, &items, &count, &err), -ENXIO);
    assert_string_equal(err.text, "this machine tells of no L3 cache");
    rows[0].l3 = rows[1].l3 = 0;
    rows[1].core = 0;
    assert_int_equal(matrix_pairs(&pairs, matrix_l3, NULL, SEED, &items, &count, &err), -ENXIO);
    assert_string_equal(err.text, "no two CPUs make a pair of this matrix here");
}

static void a_pair_of_cpus_that_stay_has_its_class(void **state)
{
    (void)state;
    struct pairs pairs = classify(&guest);
    assert_string_equal(matrix_stay(&pairs, os_index(0), os_index(8)).class, "core");
    assert_string_equal(matrix_stay(&pairs, os_index(8), os_index(7)).class, "machine");
    assert_string_equal(matrix_stay(&pairs, os_index(0), 1).class, ""); /* no such CPU */
    assert_string_equal(matrix_stay(NULL, 0, 1).class, "");
}

/* ---- trials ---- */

/* What a trial would write of its visits, at `ns` of a pair's rows for an operation. */
static json_t *record_of(const struct visit *visits, unsigned count, double (*ns)(unsigned a, unsigned b))
{
    json_t *list = json_array(), *batches = json_array();
    for (unsigned v = 0; v < count; v++) {
        const struct visit *visit = &visits[v];
        json_array_append_new(list,
                              json_pack("{s:i, s:i, s:s, s:i, s:b}", "a", (int)visit->cpus[0], "b", (int)visit->cpus[1],
                                        "class", visit->class, "rounds", MATRIX_ROUNDS, "canary", visit->canary));
        double each = ns(row_of(visit->cpus[0]), row_of(visit->cpus[1]));
        for (unsigned r = 0; r < MATRIX_ROUNDS; r++) /* the first is slow, the second is void; all are, where it is 0 */
            json_array_append_new(batches, r == 1 || each == 0 ? json_null()
                                                               : json_integer((json_int_t)(1000 * (r ? 1 : 5) * each)));
    }
    return json_pack("{s:o, s:[{s:i, s:o}]}", "pairs", list, "arms", "ops_per_batch", 1000, "batch_ns", batches);
}

/* One trial: what it visits is learnt. Returns the visits, which the caller frees. */
static struct visit *go(struct matrix_seen *seen, const struct pairs *pairs, enum matrix matrix, unsigned trials,
                        uint64_t seed, double (*ns)(unsigned, unsigned), unsigned *count)
{
    struct chosen chosen = choose(pairs, matrix, seen->widths);
    struct visit *visits;
    struct err err = {0};
    assert_int_equal(matrix_visits(pairs, chosen.items, chosen.count, seen, trials, seed, &visits, count, &err), 0);
    assert_int_equal(*count, matrix_visit_count(matrix_share(chosen.count, trials)));
    json_t *record = record_of(visits, *count, ns);
    assert_int_equal(matrix_learn(seen, pairs, record, &err), 0);
    json_decref(record);
    free(chosen.items);
    return visits;
}

static double alike(unsigned a, unsigned b)
{
    (void)a;
    (void)b;
    return 40;
}

static void the_trials_see_all_pairs(void **state)
{
    (void)state;
    enum { TRIALS = 8 };
    struct pairs pairs = classify(&large);
    struct matrix_seen seen = {0};
    unsigned count;
    for (unsigned t = 0; t < TRIALS; t++) {
        struct visit *visits = go(&seen, &pairs, matrix_core, TRIALS, t, alike, &count);
        for (unsigned v = 0; v < count; v++)
            assert_int_equal(visits[v].canary, v % (MATRIX_BETWEEN + 1) == 0 || v + 1 == count);
        free(visits);
    }
    assert_int_equal(seen.count, 256 * 255 / 2 + 256);
    unsigned visited = 0;
    for (unsigned i = 0; i < seen.count; i++) {
        assert_in_range(seen.items[i].visits, 1, 2);
        assert_true(fabs(seen.items[i].ns - 40) < 1e-9); /* neither the slow round nor the void one */
        visited += seen.items[i].visits;
    }
    assert_int_equal(visited, TRIALS * matrix_share(seen.count, TRIALS));
    matrix_forget(&seen);
}

static double never(unsigned a, unsigned b)
{
    (void)a;
    (void)b;
    return 0;
}

static void what_was_void_is_still_to_be_seen(void **state)
{
    (void)state;
    struct pairs pairs = classify(&guest);
    struct matrix_seen seen = {0};
    unsigned count;
    for (unsigned t = 0; t < 4; t++)
        free(go(&seen, &pairs, matrix_pu, 8, t, t ? alike : never, &count));
    assert_int_equal(seen.count, 16 * 15 / 2);
    for (unsigned i = 0; i < seen.count; i++)
        assert_int_equal(seen.items[i].visits, 1); /* 40 a trial, in the three that count */
    matrix_forget(&seen);
}

static void a_single_pair_is_no_canary_and_changes_sides(void **state)
{
    (void)state;
    struct pairs pairs = classify(&(struct shape){1, 1, 1, 2, 1});
    struct matrix_seen seen = {0};
    for (unsigned t = 0; t < 4; t++) {
        unsigned count;
        struct visit *visits = go(&seen, &pairs, matrix_class, 8, t, alike, &count);
        assert_int_equal(count, 1);
        assert_false(visits[0].canary);
        assert_int_equal(visits[0].cpus[t % 2], os_index(0));
        assert_int_equal(visits[0].cpus[1 - t % 2], os_index(1));
        assert_string_equal(visits[0].class, "l3");
        free(visits);
    }
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.items[0].visits, 4);
    matrix_forget(&seen);
}

/* The order is drawn: another seed, another order; the same seed, the same. */
static void the_order_is_drawn(void **state)
{
    (void)state;
    struct pairs pairs = classify(&guest);
    struct visit *orders[3];
    unsigned count;
    for (unsigned i = 0; i < 3; i++) {
        struct matrix_seen seen = {0};
        orders[i] = go(&seen, &pairs, matrix_pu, 8, i / 2, alike, &count);
        matrix_forget(&seen);
    }
    assert_int_equal(memcmp(orders[0], orders[1], count * sizeof **orders), 0);
    assert_int_not_equal(memcmp(orders[0], orders[2], count * sizeof **orders), 0);
    for (unsigned i = 0; i < 3; i++)
        free(orders[i]);
}

/* ---- classes whose pairs differ ---- */

enum { SLOW = 77 };

/* One CPU to which everything takes longer, but no longer to its sibling's core than that is to others. */
static double one_is_slow(unsigned a, unsigned b)
{
    return a == SLOW || b == SLOW ? 60 : 40;
}

static void a_class_that_is_not_uniform_is_looked_at_more_widely(void **state)
{
    (void)state;
    enum { TRIALS = 8 };
    struct pairs pairs = classify(&large);
    struct matrix_seen seen = {0};
    struct chosen narrow = choose(&pairs, matrix_class, NULL);
    unsigned count, with_slow = 0;
    for (unsigned t = 0; t < TRIALS; t++)
        free(go(&seen, &pairs, matrix_class, TRIALS, t, one_is_slow, &count));
    for (unsigned i = 0; i < seen.count; i++)
        with_slow += seen.items[i].ns > 59;
    assert_true(with_slow >= 1); /* every CPU is in a pair: it cannot hide */
    unsigned widened = 0;
    for (unsigned class = 0; class < pairs.class_count; class ++) {
        unsigned slow = 0;
        for (unsigned i = 0; i < seen.count; i++)
            slow += seen.items[i].class == class && seen.items[i].ns > 59;
        assert_true(slow || seen.widths[class] == WIDTH_FEW);
        widened += seen.widths[class] != WIDTH_FEW;
    }
    assert_true(widened >= 1);
    struct chosen wide = choose(&pairs, matrix_class, seen.widths);
    assert_true(wide.count > narrow.count);
    for (unsigned i = 0; i < narrow.count; i++)
        assert_true(has_pair(&wide, narrow.items[i].a, narrow.items[i].b));
    for (unsigned i = 0; i < wide.count; i++) {
        unsigned one = pairs.cpus[wide.items[i].a].os_index, other = pairs.cpus[wide.items[i].b].os_index;
        bool found = false;
        for (unsigned s = 0; s < seen.count; s++)
            found |= seen.items[s].a == one && seen.items[s].b == other;
        assert_true(found); /* what was added was visited too, and first */
    }
    free(narrow.items);
    free(wide.items);
    matrix_forget(&seen);
}

static void classes_that_are_uniform_stay_narrow(void **state)
{
    (void)state;
    struct pairs pairs = classify(&large);
    struct matrix_seen seen = {0};
    unsigned count;
    for (unsigned t = 0; t < 8; t++)
        free(go(&seen, &pairs, matrix_class, 8, t, alike, &count));
    for (unsigned class = 0; class < pairs.class_count; class ++)
        assert_int_equal(seen.widths[class], WIDTH_FEW);
    matrix_forget(&seen);
}

/* Three steps, one a trial: 3 pairs, 8, and one of every two caches. */
static void a_width_grows_step_by_step(void **state)
{
    (void)state;
    struct pairs pairs = classify(&large);
    unsigned far = pairs.class_count - 1;
    enum matrix_width widths[PAIR_CLASSES_MAX] = {0};
    static const unsigned least[] = {3, 8, 16 * 16};
    assert_string_equal(pairs.classes[far].name, "machine");
    for (enum matrix_width width = WIDTH_FEW; width <= WIDTH_CACHES; width++) {
        widths[far] = width;
        struct chosen chosen = choose(&pairs, matrix_class, widths);
        assert_in_range(count_of_class(&chosen, far), least[width], least[width] + 8);
        free(chosen.items);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cpu_is_in_a_pair),
        cmocka_unit_test(a_matrix_has_so_many_pairs),
        cmocka_unit_test(few_visits_have_more_rounds),
        cmocka_unit_test(what_there_is_no_pair_of_is_said),
        cmocka_unit_test(a_pair_of_cpus_that_stay_has_its_class),
        cmocka_unit_test(the_trials_see_all_pairs),
        cmocka_unit_test(what_was_void_is_still_to_be_seen),
        cmocka_unit_test(a_single_pair_is_no_canary_and_changes_sides),
        cmocka_unit_test(the_order_is_drawn),
        cmocka_unit_test(a_class_that_is_not_uniform_is_looked_at_more_widely),
        cmocka_unit_test(classes_that_are_uniform_stay_narrow),
        cmocka_unit_test(a_width_grows_step_by_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
