/* SPDX-License-Identifier: MIT */
/* The look at the storage below a folder: it leaves nothing, and says something that can be. */
#include "unit.h"

#include <sys/resource.h>

#include "storage.h"

static int begin_on_disk(void **state)
{
    (void)state;
    return unit_begin_in("/var/tmp");
}

static void leaves_nothing(void **state)
{
    struct storage before = *storage_rates();
    (void)state;
    unsigned descriptors = unit_count_descriptors();
    storage_look(unit_folder);
    const struct storage *rates = storage_rates();
    assert_int_equal(unit_count_entries(unit_folder), 0);
    assert_int_equal(unit_count_descriptors(), descriptors);
    assert_true(rates->write_byte_ns != before.write_byte_ns && rates->sync_ns != before.sync_ns);
    assert_true(rates->write_byte_ns > 0 && rates->sync_ns > 0 && rates->fetch_ns > 0 && rates->read_byte_ns > 0);
}

static bool is_unchanged(const struct storage *before)
{
    const struct storage *now = storage_rates();
    return before->sync_ns == now->sync_ns && before->write_byte_ns == now->write_byte_ns &&
           before->fetch_ns == now->fetch_ns && before->read_byte_ns == now->read_byte_ns;
}

/* Where nothing can be written the rates stay what they were. */
static void cannot_look(void **state)
{
    (void)state;
    struct storage before = *storage_rates();
    storage_look(unit_path("absent"));
    assert_true(is_unchanged(&before));
}

/* A file that may not grow is no reason to die: there is only nothing to learn. */
static void files_may_not_grow(void **state)
{
    const struct rlimit none = {0, RLIM_INFINITY};
    struct storage before = *storage_rates();
    struct rlimit limit;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    storage_look(unit_folder);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_true(is_unchanged(&before));
    assert_int_equal(unit_count_entries(unit_folder), 0);
}

/* More is dearer, apart is dearer than side by side, memory is free. */
static void write_back_is_ordered(void **state)
{
    struct params params;
    (void)state;
    params_default(&params);
    params.working_set_bytes = params.file_bytes = 16 * MIB;
    params.recipe = recipe_write_4KiB;
    double one = storage_write_back_ns(&params, 1, false), many = storage_write_back_ns(&params, 100, false);
    double apart = storage_write_back_ns(&params, 100, true);
    assert_true(0 < one && one < many && many < apart);
    assert_true(storage_write_back_ns(&params, 0, false) == 0);
    params.recipe = recipe_write_2MiB; /* a folio is written as a whole, but none twice */
    double folio = storage_write_back_ns(&params, 1, false), all = storage_write_back_ns(&params, 4096, false);
    assert_true(folio > one);
    assert_true(storage_write_back_ns(&params, 4096, true) < 1.1 * all);
    params.backing = backing_memfd;
    assert_true(storage_write_back_ns(&params, 100, true) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(leaves_nothing, begin_on_disk, unit_end),
        cmocka_unit_test_setup_teardown(cannot_look, unit_begin, unit_end),
        cmocka_unit_test_setup_teardown(files_may_not_grow, begin_on_disk, unit_end),
        cmocka_unit_test(write_back_is_ordered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
