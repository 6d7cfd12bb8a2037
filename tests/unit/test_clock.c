/* SPDX-License-Identifier: MIT */
/* The grid of the clock from made-up readings; a reading of the real one. */
#include "unit.h"

#include "clock.h"

static unsigned seen[CLOCK_STEP_MAX];

static int clear(void **state)
{
    (void)state;
    memset(seen, 0, sizeof seen);
    return 0;
}

/* Multiples of `grid` thousandths of a ns, as two readings at random places show them after rounding down. */
static void see_multiples(uint64_t grid, uint64_t first, uint64_t last)
{
    for (uint64_t n = first; n <= last; n++)
        for (uint64_t at = 0; at < 1000; at++) {
            uint64_t start = at * grid / 1000, end = (at * grid + n * grid) / 1000;
            seen[end - start] += CLOCK_SEEN;
        }
}

static void check_grid(uint64_t grid, uint64_t first, uint64_t last, uint64_t expected)
{
    memset(seen, 0, sizeof seen);
    see_multiples(grid, first, last);
    assert_int_equal(clock_grid(seen), expected);
}

static void finds_a_coarse_grid(void **state)
{
    (void)state;
    check_grid(10000, 2, 5, 10);
    check_grid(40000, 0, 2, 40);
    check_grid(100000, 0, 1, 100);
    check_grid(41667, 0, 2, 42); /* 24 MHz: to the nearest ns */
}

static void is_not_misled_by_rounding(void **state)
{
    (void)state;
    /* A grid of 10 whose multiples also show one ns off. */
    static const unsigned steps[] = {20, 21, 30, 31, 40, 41, 50};
    for (size_t i = 0; i < LENGTH_OF(steps); i++)
        seen[steps[i]] = 1000;
    assert_int_equal(clock_grid(seen), 10);
}

static void takes_the_smallest_gap(void **state)
{
    (void)state;
    seen[20] = seen[30] = seen[50] = seen[90] = 100;
    assert_int_equal(clock_grid(seen), 10);
}

static void finds_a_fine_clock(void **state)
{
    (void)state;
    for (unsigned step = 18; step < 40; step++)
        seen[step] = 500;
    assert_int_equal(clock_grid(seen), 1);
    memset(seen, 0, sizeof seen);
    seen[23] = seen[24] = seen[25] = CLOCK_SEEN; /* the shortest run that counts */
    assert_int_equal(clock_grid(seen), 1);
}

static void ignores_what_was_hardly_seen(void **state)
{
    (void)state;
    seen[20] = seen[30] = seen[40] = 1000;
    for (unsigned step = 100; step < 110; step++)
        seen[step] = CLOCK_SEEN - 1; /* interruptions */
    assert_int_equal(clock_grid(seen), 10);
}

static void has_an_answer_for_little(void **state)
{
    (void)state;
    assert_int_equal(clock_grid(seen), 1);
    seen[40] = 1000;
    assert_int_equal(clock_grid(seen), 40); /* one step only: it is the best guess */
    seen[0] = 1000000;                      /* equal readings say nothing */
    assert_int_equal(clock_grid(seen), 40);
    seen[40] = 0;
    seen[CLOCK_STEP_MAX - 1] = 1000; /* the last one is looked at, too */
    assert_int_equal(clock_grid(seen), CLOCK_STEP_MAX - 1);
}

static void real_readings_rise_on_their_grid(void **state)
{
    (void)state;
    struct clock_quality quality = clock_measure();
    assert_true(quality.grid_ns >= 1);
    uint64_t previous = clock_now_ns();
    for (int i = 0; i < 10000; i++) {
        uint64_t now = clock_now_ns();
        assert_true(now >= previous);
        previous = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(finds_a_coarse_grid, clear),
        cmocka_unit_test_setup(is_not_misled_by_rounding, clear),
        cmocka_unit_test_setup(takes_the_smallest_gap, clear),
        cmocka_unit_test_setup(finds_a_fine_clock, clear),
        cmocka_unit_test_setup(ignores_what_was_hardly_seen, clear),
        cmocka_unit_test_setup(has_an_answer_for_little, clear),
        cmocka_unit_test(real_readings_rise_on_their_grid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
