/* SPDX-License-Identifier: MIT */
/* The order in which blocks are visited: permutations, strides, samples, seeds. */
#include "unit.h"

#include <math.h>

#include "offsets.h"
#include "zipf.h"

static struct params work(uint64_t pattern, uint64_t block_bytes, uint64_t working_set_bytes, uint64_t stride_bytes)
{
    struct params params;
    params_default(&params);
    params.pattern = pattern;
    params.block_bytes = block_bytes;
    params.working_set_bytes = working_set_bytes;
    params.stride_bytes = stride_bytes;
    return params;
}

static struct offsets make(const struct params *params, uint64_t seed)
{
    struct offsets offsets;
    struct err err = {0};
    if (offsets_make(&offsets, params, seed, &err))
        fail_msg("%s", err.text);
    for (uint64_t i = 0; i < offsets.count; i++) {
        assert_int_equal(offsets.items[i] % params->block_bytes, 0);
        assert_true(offsets.items[i] + params->block_bytes <= params->working_set_bytes);
    }
    return offsets;
}

static bool equal(const struct offsets *a, const struct offsets *b)
{
    return a->count == b->count && memcmp(a->items, b->items, a->count * sizeof *a->items) == 0;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Sorts the list: afterwards it must be 0, 1, 2 … blocks. */
static void check_every_block_once(struct offsets *offsets, const struct params *params)
{
    assert_int_equal(offsets->count, params->working_set_bytes / params->block_bytes);
    qsort(offsets->items, offsets->count, sizeof *offsets->items, compare);
    for (uint64_t i = 0; i < offsets->count; i++)
        assert_int_equal(offsets->items[i], i * params->block_bytes);
}

static void sequential_is_front_to_back(void **state)
{
    (void)state;
    struct params params = work(pattern_sequential, 4 * KIB, MIB, 4 * KIB);
    struct offsets offsets = make(&params, 1), other = make(&params, 2);
    assert_int_equal(offsets.count, 256);
    for (uint64_t i = 0; i < offsets.count; i++)
        assert_int_equal(offsets.items[i], i * 4 * KIB);
    assert_true(equal(&offsets, &other)); /* the seed has no part in it */
    offsets_free(&offsets);
    offsets_free(&other);
}

static void random_is_a_permutation(void **state)
{
    (void)state;
    static const uint64_t patterns[] = {pattern_random, pattern_chain};
    static const struct {
        uint64_t block_bytes, working_set_bytes;
    } sizes[] = {{1, 1},         {1, 2},          {64, 64 * KIB}, {4 * KIB, 16 * MIB}, {4 * KIB, 4 * KIB},
                 {1000, 123456}, {1, OFFSETS_MAX}};
    for (size_t p = 0; p < LENGTH_OF(patterns); p++)
        for (size_t s = 0; s < LENGTH_OF(sizes); s++) {
            struct params params = work(patterns[p], sizes[s].block_bytes, sizes[s].working_set_bytes, 4 * KIB);
            struct offsets offsets = make(&params, s);
            check_every_block_once(&offsets, &params);
            offsets_free(&offsets);
        }
}

static void random_depends_on_its_seed_alone(void **state)
{
    (void)state;
    struct params params = work(pattern_random, 64, MIB, 4 * KIB), ordered = work(pattern_sequential, 64, MIB, 4 * KIB);
    struct offsets first = make(&params, 3), same = make(&params, 3), other = make(&params, 4);
    struct offsets sequential = make(&ordered, 3);
    assert_true(equal(&first, &same));
    assert_false(equal(&first, &other));
    assert_false(equal(&first, &sequential));
    offsets_free(&first);
    offsets_free(&same);
    offsets_free(&other);
    offsets_free(&sequential);
}

/* No block is preferred in any place: where block 0 comes to lie differs from seed to seed and covers both halves. */
static void random_has_no_favourites(void **state)
{
    (void)state;
    struct params params = work(pattern_random, 64, 64 * 64, 4 * KIB);
    uint64_t places = 0;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct offsets offsets = make(&params, seed);
        for (uint64_t i = 0; i < offsets.count; i++)
            if (offsets.items[i] == 0)
                places |= UINT64_C(1) << i;
        offsets_free(&offsets);
    }
    assert_true(places == UINT64_MAX); /* missing one of 64 places in 2000 draws: 64 * (63/64)^2000 = 1e-12 */
}

static void many_blocks_are_sampled_evenly(void **state)
{
    (void)state;
    uint64_t blocks = UINT64_C(3) * OFFSETS_MAX + 12345; /* strata of 3 and of 4 blocks */
    struct params params = work(pattern_random, 16, blocks * 16, 4 * KIB);
    struct offsets offsets = make(&params, 5);
    assert_int_equal(offsets.count, OFFSETS_MAX);
    qsort(offsets.items, offsets.count, sizeof *offsets.items, compare);
    for (uint64_t i = 0; i < offsets.count; i++) {
        assert_true(offsets.items[i] / 16 >= i * blocks / OFFSETS_MAX);
        assert_true(offsets.items[i] / 16 < (i + 1) * blocks / OFFSETS_MAX);
    }
    offsets_free(&offsets);
}

static void many_blocks_in_order_are_the_first_ones(void **state)
{
    (void)state;
    struct params params = work(pattern_sequential, 16, UINT64_C(16) * (OFFSETS_MAX + 5), 4 * KIB);
    struct offsets offsets = make(&params, 5);
    assert_int_equal(offsets.count, OFFSETS_MAX);
    for (uint64_t i = 0; i < offsets.count; i++)
        assert_int_equal(offsets.items[i], i * 16);
    offsets_free(&offsets);
}

/* Passes of 400 bytes' stride through ten blocks: 0 400 800, 100 500 900, 200 600 and 300 700, in any order. */
static void stride_visits_pass_by_pass(void **state)
{
    (void)state;
    struct params params = work(pattern_stride, 100, 1000, 400);
    unsigned firsts = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct offsets offsets = make(&params, seed);
        assert_int_equal(offsets.count, 10);
        firsts |= 1U << offsets.items[0] / 100;
        for (size_t i = 1, begun = 0; i < 10; i++) {
            bool is_last = offsets.items[i - 1] + 400 + 100 > 1000;
            if (is_last) {
                assert_in_range(offsets.items[i], 0, 300);
                begun++;
            } else {
                assert_int_equal(offsets.items[i], offsets.items[i - 1] + 400);
            }
            assert_in_range(begun, 0, 3);
        }
        offsets_free(&offsets);
    }
    assert_int_equal(firsts, 15); /* every pass comes first with some seed */
}

static void stride_depends_on_its_seed_alone(void **state)
{
    (void)state;
    struct params params = work(pattern_stride, 64, MIB, 4 * KIB);
    struct offsets first = make(&params, 3), same = make(&params, 3), other = make(&params, 4);
    assert_true(equal(&first, &same));
    assert_false(equal(&first, &other));
    offsets_free(&first);
    offsets_free(&same);
    offsets_free(&other);
}

static void stride_visits_every_block_once(void **state)
{
    (void)state;
    for (uint64_t blocks = 1; blocks <= 40; blocks++)
        for (uint64_t stride = 1; stride <= blocks; stride++) {
            struct params params = work(pattern_stride, 64, 64 * blocks + 10, 64 * stride);
            struct offsets offsets = make(&params, blocks);
            check_every_block_once(&offsets, &params);
            offsets_free(&offsets);
        }
}

/*
 * Pearson's chi-square of `observed` draws of ranks against rank^-theta. Ranks of few expected draws are taken
 * together. In units of the standard deviation above the mean that the right distribution would have: sqrt(2 df) above
 * df.
 */
static double chi_square_score(const uint64_t *observed, uint64_t ranks, uint64_t draws, double theta)
{
    enum { EXPECTED_MIN = 20 };
    double total = 0, chi_square = 0, expected = 0, seen = 0;
    unsigned cells = 0;
    for (uint64_t k = 1; k <= ranks; k++)
        total += pow((double)k, -theta);
    for (uint64_t k = 1; k <= ranks; k++) {
        expected += (double)draws * pow((double)k, -theta) / total;
        seen += (double)observed[k - 1];
        if (expected < EXPECTED_MIN && k < ranks)
            continue;
        chi_square += (seen - expected) * (seen - expected) / expected;
        cells++;
        expected = seen = 0;
    }
    double freedom = cells > 1 ? cells - 1 : 1;
    return (chi_square - freedom) / sqrt(2 * freedom);
}

enum { SCORE_MAX = 5, ZIPF_RANKS_MAX = 5000, ZIPF_DRAWS = 400000 };

/* The draws against the law by its definition, around the gap of the integral at 1 too; and against a law beside it. */
static void zipf_draws_follow_the_law(void **state)
{
    (void)state;
    static const double thetas[] = {0, 0.2, 0.5, 0.99, 1, 1 + 1e-9, 1.2, 2, 5};
    static const uint64_t ranks[] = {2, 3, 10, 1000, ZIPF_RANKS_MAX};
    for (size_t t = 0; t < LENGTH_OF(thetas); t++)
        for (size_t r = 0; r < LENGTH_OF(ranks); r++) {
            uint64_t observed[ZIPF_RANKS_MAX] = {0};
            struct random random = {1000 * t + r};
            struct zipf zipf = zipf_begin(ranks[r], thetas[t]);
            for (unsigned i = 0; i < ZIPF_DRAWS; i++) {
                uint64_t rank = zipf_draw(&zipf, &random);
                assert_true(rank < ranks[r]);
                observed[rank]++;
            }
            double score = chi_square_score(observed, ranks[r], ZIPF_DRAWS, thetas[t]);
            if (score > SCORE_MAX)
                fail_msg("theta %g, %u ranks: %g standard deviations off", thetas[t], (unsigned)ranks[r], score);
            assert_true(chi_square_score(observed, ranks[r], ZIPF_DRAWS, thetas[t] + 0.05) > SCORE_MAX);
        }
}

/* One rank only: nothing to draw, and no endless loop. */
static void zipf_of_one_block_is_that_block(void **state)
{
    (void)state;
    struct random random = {1};
    for (double theta = 0; theta < 3; theta += 0.5) {
        struct zipf zipf = zipf_begin(1, theta);
        for (unsigned i = 0; i < 100; i++)
            assert_int_equal(zipf_draw(&zipf, &random), 0);
    }
}

static void scatter_is_a_permutation(void **state)
{
    (void)state;
    static const uint64_t counts[] = {1, 2, 3, 4, 5, 15, 16, 17, 64, 255, 256, 257, 1000, 65536, 65537};
    static unsigned char seen[65537];
    for (size_t c = 0; c < LENGTH_OF(counts); c++)
        for (uint64_t seed = 0; seed < 3; seed++) {
            struct scatter scatter = scatter_begin(counts[c], seed);
            memset(seen, 0, sizeof seen);
            for (uint64_t i = 0; i < counts[c]; i++) {
                uint64_t place = scatter_place(&scatter, i);
                assert_true(place < counts[c]);
                assert_int_equal(seen[place]++, 0);
            }
        }
}

/* Neighbours in rank lie a third of the file apart, as two random places do: |x - y| has mean 1/3, deviation 0.236. */
static void scatter_leaves_no_order(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    struct scatter scatter = scatter_begin(COUNT, 7), other = scatter_begin(COUNT, 8);
    double sum = 0;
    unsigned same = 0;
    for (uint64_t i = 1; i < COUNT; i++) {
        sum += fabs((double)scatter_place(&scatter, i) - (double)scatter_place(&scatter, i - 1));
        same += scatter_place(&scatter, i) == scatter_place(&other, i);
    }
    double mean = sum / (COUNT - 1) / COUNT;
    assert_true(fabs(mean - 1.0 / 3) < 5 * 0.236 / sqrt(COUNT)); /* five deviations of the mean */
    assert_true(same < 10);                                      /* one is expected of independent permutations */
}

static int descending(const void *a, const void *b)
{
    return compare(b, a);
}

static struct params zipf_work(uint64_t blocks, double theta)
{
    struct params params = work(pattern_zipf, 64, blocks * 64, 4 * KIB);
    params.zipf_theta = theta;
    return params;
}

/* Of the list itself: how often the most popular block, the next … come by, wherever they lie. */
static void zipf_lists_follow_the_law(void **state)
{
    (void)state;
    enum { BLOCKS = 1000, SEEDS = 20, TOP = 8 };
    double top[TOP] = {0}, total = 0;
    uint64_t firsts = 0;
    for (unsigned k = 1; k <= BLOCKS; k++)
        total += pow(k, -1.2);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct params params = zipf_work(BLOCKS, 1.2);
        struct offsets offsets = make(&params, seed);
        uint64_t counts[BLOCKS] = {0}, most = 0;
        assert_int_equal(offsets.count, OFFSETS_ZIPF_DRAWS * BLOCKS);
        for (uint64_t i = 0; i < offsets.count; i++)
            counts[offsets.items[i] / 64]++;
        for (uint64_t block = 1; block < BLOCKS; block++)
            most = counts[block] > counts[most] ? block : most;
        firsts |= UINT64_C(1) << most * 64 / BLOCKS;
        qsort(counts, BLOCKS, sizeof *counts, descending);
        for (unsigned k = 0; k < TOP; k++)
            top[k] += (double)counts[k] / (double)offsets.count / SEEDS;
        offsets_free(&offsets);
    }
    for (unsigned k = 0; k < 3; k++) { /* these keep their order: 5 deviations apart in each list */
        double share = pow(k + 1, -1.2) / total;
        assert_true(fabs(top[k] - share) < 5 * sqrt(share / (OFFSETS_ZIPF_DRAWS * BLOCKS * SEEDS)));
    }
    assert_true(__builtin_popcountll(firsts) > 10); /* 20 draws of 64 places: 17.3 are expected to differ */
}

static void zipf_of_theta_0_is_uniform(void **state)
{
    (void)state;
    enum { BLOCKS = 500 };
    struct params params = zipf_work(BLOCKS, 0);
    struct offsets offsets = make(&params, 3);
    uint64_t counts[BLOCKS] = {0};
    for (uint64_t i = 0; i < offsets.count; i++)
        counts[offsets.items[i] / 64]++;
    assert_true(chi_square_score(counts, BLOCKS, offsets.count, 0) < SCORE_MAX);
    offsets_free(&offsets);
}

static void zipf_depends_on_its_seed_alone(void **state)
{
    (void)state;
    struct params params = zipf_work(1000, 0.99);
    struct offsets first = make(&params, 3), same = make(&params, 3), other = make(&params, 4);
    assert_true(equal(&first, &same));
    assert_false(equal(&first, &other));
    offsets_free(&first);
    offsets_free(&same);
    offsets_free(&other);
}

static void zipf_lists_are_bounded(void **state)
{
    (void)state;
    struct params params = zipf_work(OFFSETS_MAX * UINT64_C(5), 0.99);
    struct offsets offsets = make(&params, 3);
    assert_int_equal(offsets.count, OFFSETS_MAX);
    offsets_free(&offsets);
    params = zipf_work(1, 0.99);
    offsets = make(&params, 3);
    assert_int_equal(offsets.count, OFFSETS_ZIPF_DRAWS);
    offsets_free(&offsets);
}

static void refuses_a_skew_that_is_no_number_from_0(void **state)
{
    (void)state;
    const double bad[] = {-0.5, (double)NAN, (double)INFINITY, -(double)INFINITY};
    for (size_t i = 0; i < LENGTH_OF(bad); i++) {
        struct params params = zipf_work(10, bad[i]);
        struct offsets offsets;
        struct err err = {0};
        assert_int_equal(offsets_make(&offsets, &params, 0, &err), -EINVAL);
        unit_assert_text(err.text, "zipf_theta");
        offsets_free(&offsets);
    }
}

static void refuses_a_block_beyond_the_working_set(void **state)
{
    (void)state;
    struct params params = work(pattern_random, 8 * KIB, 4 * KIB, 4 * KIB);
    struct offsets offsets;
    struct err err = {0};
    assert_int_equal(offsets_make(&offsets, &params, 0, &err), -EINVAL);
    unit_assert_text(err.text, "block");
    offsets_free(&offsets);
    assert_null(offsets.items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequential_is_front_to_back),
        cmocka_unit_test(random_is_a_permutation),
        cmocka_unit_test(random_depends_on_its_seed_alone),
        cmocka_unit_test(random_has_no_favourites),
        cmocka_unit_test(many_blocks_are_sampled_evenly),
        cmocka_unit_test(many_blocks_in_order_are_the_first_ones),
        cmocka_unit_test(stride_visits_pass_by_pass),
        cmocka_unit_test(stride_depends_on_its_seed_alone),
        cmocka_unit_test(stride_visits_every_block_once),
        cmocka_unit_test(refuses_a_block_beyond_the_working_set),
        cmocka_unit_test(zipf_draws_follow_the_law),
        cmocka_unit_test(zipf_of_one_block_is_that_block),
        cmocka_unit_test(scatter_is_a_permutation),
        cmocka_unit_test(scatter_leaves_no_order),
        cmocka_unit_test(zipf_lists_follow_the_law),
        cmocka_unit_test(zipf_of_theta_0_is_uniform),
        cmocka_unit_test(zipf_depends_on_its_seed_alone),
        cmocka_unit_test(zipf_lists_are_bounded),
        cmocka_unit_test(refuses_a_skew_that_is_no_number_from_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
