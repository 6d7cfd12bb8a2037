/* SPDX-License-Identifier: MIT */
/* CPUs beside the one at work: never that one, each of the others once, and round again for the many. */
#define _GNU_SOURCE
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "elsewhere.h"
#include "mask.h"
#include "place.h"

static struct cpu_mask allowed; /* when the program began */

static int restore(void **state)
{
    (void)state;
    return sched_setaffinity(0, sizeof allowed, allowed.part);
}

static void bind_here(unsigned *own)
{
    struct err err = {0};
    *own = (unsigned)sched_getcpu();
    assert_int_equal(place_bind(*own, &err), 0);
}

/* A binding hides the other CPUs, and they are found all the same. */
static void every_other_cpu_is_elsewhere(void **state)
{
    (void)state;
    unsigned own, others = cpu_mask_count(&allowed) - 1;
    bind_here(&own);
    for (unsigned n = 0; n < others; n++) {
        unsigned cpu = elsewhere_cpu(n);
        assert_int_not_equal(cpu, own);
        assert_true(cpu_mask_has(&allowed, cpu));
        assert_true(n == 0 || cpu < elsewhere_cpu(n - 1));
        assert_int_equal(elsewhere_cpu_of_many(n), cpu);
        assert_int_equal(elsewhere_cpu_of_many(n + 2 * others), cpu);
    }
    assert_int_equal(elsewhere_cpu(others), CPUS_MAX);
    if (others == 0)
        assert_int_equal(elsewhere_cpu_of_many(3), CPUS_MAX);
}

static void whoever_goes_there_is_there(void **state)
{
    (void)state;
    struct err err = {0};
    unsigned own;
    bind_here(&own);
    unsigned cpu = elsewhere_cpu(0);
    assert_int_equal(elsewhere_go(cpu, &err), 0);
    assert_int_equal(sched_getcpu(), cpu == CPUS_MAX ? own : cpu);
    assert_int_equal(elsewhere_go(CPUS_MAX, &err), 0);
    assert_int_equal(sched_getcpu(), cpu == CPUS_MAX ? own : cpu);
}

static void where_no_kernel_has_a_cpu_nobody_goes(void **state)
{
    (void)state;
    struct err err = {0};
    assert_true(elsewhere_go(CPUS_MAX + 1, &err) < 0);
    assert_non_null(err.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_other_cpu_is_elsewhere, restore),
        cmocka_unit_test_teardown(whoever_goes_there_is_there, restore),
        cmocka_unit_test_teardown(where_no_kernel_has_a_cpu_nobody_goes, restore),
    };
    if (cpu_mask_read(&allowed))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
