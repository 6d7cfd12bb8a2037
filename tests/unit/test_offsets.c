/* SPDX-License-Identifier: MIT */
/* The order in which blocks are visited: permutations, strides, samples, seeds. */
#include "unit.h"

#include "offsets.h"

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
        cmocka_unit_test(sequential_is_front_to_back),      cmocka_unit_test(random_is_a_permutation),
        cmocka_unit_test(random_depends_on_its_seed_alone), cmocka_unit_test(random_has_no_favourites),
        cmocka_unit_test(many_blocks_are_sampled_evenly),   cmocka_unit_test(many_blocks_in_order_are_the_first_ones),
        cmocka_unit_test(stride_visits_pass_by_pass),       cmocka_unit_test(stride_depends_on_its_seed_alone),
        cmocka_unit_test(stride_visits_every_block_once),   cmocka_unit_test(refuses_a_block_beyond_the_working_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
