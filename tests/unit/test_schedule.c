/* SPDX-License-Identifier: MIT */
/* How much of everything a trial does. */
#include "unit.h"

#include "schedule.h"

extern const struct method method_pread, method_mmap, method_first_touch;

static struct params params_of(uint64_t working_set_bytes, uint64_t block_bytes)
{
    struct params params;
    params_default(&params);
    params.file_bytes = params.working_set_bytes = params.range_bytes = params.window_bytes = working_set_bytes;
    params.block_bytes = params.stride_bytes = block_bytes;
    params.touches = working_set_bytes / block_bytes;
    return params;
}

static void batch_fills_its_time(void **state)
{
    (void)state;
    assert_int_equal(schedule_batch(1000, 250 * US, 1, UINT64_MAX), 250);
    assert_int_equal(schedule_batch(1000, 250 * US, 100, UINT64_MAX), 300); /* rounded to whole granules */
    assert_int_equal(schedule_batch(1000, 250 * US, 1, 64), 64);            /* no more than may be in it */
    assert_int_equal(schedule_batch(200 * US, 250 * US, 1, UINT64_MAX), 1);
    assert_int_equal(schedule_batch(600, 250 * US, 1000, UINT64_MAX), 1000); /* long already: a granule and no more */
    assert_int_equal(schedule_batch(0.001, 250 * US, 1, UINT64_MAX), 250000000);
}

static void common_step_suits_all(void **state)
{
    const uint64_t granules[] = {1, 16, 4}, limits[] = {UINT64_MAX, 1000, 4096}, none[] = {UINT64_MAX, UINT64_MAX, 3};
    uint64_t granule, limit;
    (void)state;
    schedule_common(granules, limits, 3, &granule, &limit);
    assert_int_equal(granule, 16);
    assert_int_equal(limit, 1000 / 16 * 16);
    schedule_common(granules, none, 3, &granule, &limit);
    assert_int_equal(limit, 16); /* one granule at least */
}

static void close_is_within_four(void **state)
{
    (void)state;
    assert_true(schedule_is_close(100, 100));
    assert_true(schedule_is_close(400, 100));
    assert_true(schedule_is_close(25, 100));
    assert_false(schedule_is_close(401, 100));
    assert_false(schedule_is_close(24, 100));
}

static void rounds_are_whole_blocks(void **state)
{
    (void)state;
    for (unsigned arms = 1; arms <= ARMS_MAX; arms++)
        for (uint64_t batch_ns = 1000; batch_ns < 200 * MS; batch_ns *= 3) {
            unsigned rounds = schedule_rounds(arms, 50 * MS, batch_ns);
            assert_in_range(rounds, arms, ROUNDS_MAX);
            assert_int_equal(rounds % arms, 0);
        }
    assert_int_equal(schedule_rounds(4, 50 * MS, 250 * US), 200);
    assert_int_equal(schedule_rounds(4, 50 * MS, 500 * US), 100);
    assert_int_equal(schedule_rounds(3, 50 * MS, 5 * MS), 12); /* an odd number has both squares where there is time */
    assert_int_equal(schedule_rounds(5, 50 * MS, 100 * MS), 5);
    assert_int_equal(schedule_rounds(4, 50 * MS, 0), 200);
}

static void warm_up_has_two_ends(void **state)
{
    (void)state;
    assert_false(schedule_is_warm(0, 4, 0, 0));
    assert_false(schedule_is_warm(4, 4, 25 * MS, 250 * US)); /* five rounds … */
    assert_false(schedule_is_warm(5, 4, 19 * MS, 250 * US)); /* … and 20 ms */
    assert_true(schedule_is_warm(5, 4, 20 * MS, 250 * US));
    assert_false(schedule_is_warm(3, 4, 60 * MS, 6 * MS)); /* or a block of long batches */
    assert_true(schedule_is_warm(4, 4, 80 * MS, 6 * MS));
}

static void cold_batches_find_each_place_once(void **state)
{
    struct arm arm = {.method = &method_pread, .params = params_of(MIB, 4096)};
    (void)state;
    assert_int_equal(schedule_limit(&arm, 256), UINT64_MAX);
    arm.params.cache = cache_cold;
    assert_int_equal(schedule_limit(&arm, 256), 256);
    arm.params.surplus = 0.05; /* which comes on top, and in whole hundreds */
    assert_int_equal(schedule_limit(&arm, 256), 200);
    arm.method = &method_first_touch;
    arm.params.surplus = 0;
    arm.params.cache = cache_warm;
    assert_int_equal(schedule_limit(&arm, 100000), 256);
}

static uint64_t sum_blocks(const struct params *params, const struct method *method, const struct params *second)
{
    struct arm arms[2] = {{.method = method, .params = *params}, {.method = &method_mmap, .params = *second}};
    struct cell cell = {.params = *params, .arms = arms, .arm_count = 2};
    uint64_t unit, bytes = schedule_sum_bytes(&cell, &unit);
    assert_int_equal(bytes % unit, 0);
    return bytes / params->block_bytes;
}

static void checksum_is_short_where_blocks_are_dear(void **state)
{
    struct params warm = params_of(64 * MIB, 4096), cold = warm, limited = warm, large = params_of(64 * MIB, MIB);
    struct params passes = warm;
    (void)state;
    cold.cache = cache_cold;
    limited.memory_limit = 16 * MIB;
    passes.lifetime = lifetime_per_pass;
    passes.touches = 1000;
    assert_int_equal(sum_blocks(&warm, &method_pread, &warm), 4096);
    assert_int_equal(sum_blocks(&cold, &method_pread, &cold), 256);
    assert_int_equal(sum_blocks(&limited, &method_pread, &limited), 32);
    assert_int_equal(sum_blocks(&large, &method_pread, &large), 16);
    assert_int_equal(sum_blocks(&warm, &method_pread, &passes), 1000); /* a whole pass of each */
}

static void counting_pass_is_whole(void **state)
{
    struct params params = params_of(MIB, 4096);
    (void)state;
    params.count_ops = 100;
    assert_int_equal(schedule_count_blocks(&params, UINT64_MAX), 100);
    assert_int_equal(schedule_count_blocks(&params, 64), 64);
    params.lifetime = lifetime_per_pass;
    assert_int_equal(schedule_count_blocks(&params, UINT64_MAX), 256);
    params.per = per_pass;
    assert_int_equal(schedule_count_blocks(&params, UINT64_MAX), 25600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_fills_its_time),
        cmocka_unit_test(common_step_suits_all),
        cmocka_unit_test(close_is_within_four),
        cmocka_unit_test(rounds_are_whole_blocks),
        cmocka_unit_test(warm_up_has_two_ends),
        cmocka_unit_test(cold_batches_find_each_place_once),
        cmocka_unit_test(checksum_is_short_where_blocks_are_dear),
        cmocka_unit_test(counting_pass_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
