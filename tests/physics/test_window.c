/* SPDX-License-Identifier: MIT */
/*
 * A window that slides over the file shows the same bytes as a mapping of the whole, in order and by stride, with a
 * last window that is shorter, and stores through it arrive. How often it is mapped is counted where system calls are.
 */
#include "physics.h"

#include "mapping.h"

enum { PAGES = 256 };

extern const struct method method_mmap, method_pread, method_pwrite;

static struct arm *window_arm(struct physics_cell *cell, uint64_t window_bytes)
{
    struct arm *arm = physics_arm(cell, &method_mmap, cell->cell.params.touches);
    arm->params.lifetime = lifetime_per_pass;
    arm->params.window_bytes = window_bytes;
    return arm;
}

static struct params window_params(enum pattern pattern, uint64_t block_bytes)
{
    struct params params = physics_params(PAGES * physics_page_bytes(), recipe_write_4KiB, cache_warm);
    params.pattern = pattern;
    params.block_bytes = block_bytes;
    params.stride_bytes = 4 * physics_page_bytes();
    params.touches = params.count_ops = params.working_set_bytes / block_bytes;
    return params;
}

static void expect_equal_sums(struct physics_cell *cell, struct target *target)
{
    physics_measure(cell, target, 4);
    for (unsigned a = 0; a < cell->cell.arm_count; a++) {
        physics_expect_ok(cell, a);
        assert_true(cell->result.arms[a].has_sum);
        if (cell->result.arms[a].sum != cell->result.arms[0].sum)
            fail_msg("arm %u has another checksum", a);
    }
}

/* Windows of one page, of several, and such that the last is shorter than the others. */
static void loads_find_the_same_bytes(void **state)
{
    static const enum pattern patterns[] = {pattern_sequential, pattern_stride};
    const uint64_t page_bytes = physics_page_bytes(), blocks[] = {page_bytes / 64, page_bytes};
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct params params = window_params(patterns[i % 2], blocks[i / 2]);
        struct physics_cell cell;
        struct target target;
        physics_open(&target, &params);
        physics_begin(&cell, &params);
        physics_arm(&cell, &method_pread, params.touches);
        window_arm(&cell, page_bytes);
        window_arm(&cell, 16 * page_bytes);
        window_arm(&cell, 100 * page_bytes);
        expect_equal_sums(&cell, &target);
        measure_free(&cell.result);
        target_close(&target);
    }
}

static void stores_arrive(void **state)
{
    (void)state;
    uint64_t page_bytes = physics_page_bytes();
    struct params params = window_params(pattern_sequential, page_bytes);
    struct physics_cell cell;
    struct target target;
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_pwrite, params.touches);
    window_arm(&cell, 16 * page_bytes)->params.access = access_store;
    window_arm(&cell, 100 * page_bytes)->params.access = access_store;
    expect_equal_sums(&cell, &target);
    measure_free(&cell.result);
    target_close(&target);
}

/* A window of one page is a VMA of one page: nothing is mapped around a fault, so each page takes its own. */
static void windows_of_one_page_fault_for_each(void **state)
{
    (void)state;
    physics_need_exact_counts();
    uint64_t page_bytes = physics_page_bytes();
    struct params params = window_params(pattern_sequential, page_bytes);
    struct physics_cell cell;
    struct target target;
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    window_arm(&cell, page_bytes);
    physics_measure(&cell, &target, 4);
    physics_expect_ok(&cell, 0);
    assert_int_equal(physics_count(&cell, 0, COUNTER_minor_faults), PAGES);
    measure_free(&cell.result);
    target_close(&target);
}

/* Never more than a window is mapped. */
static void no_more_than_a_window_is_mapped(void **state)
{
    (void)state;
    uint64_t page_bytes = physics_page_bytes();
    struct params params = window_params(pattern_sequential, page_bytes);
    struct target target;
    struct err err = {0};
    params.window_bytes = 100 * page_bytes;
    assert_true(mapping_slides(&params));
    physics_open(&target, &params);
    struct worker worker = {.params = &params, .target = &target, .fd = target.fd};
    assert_int_equal(mapping_make_window(&worker, 100 * page_bytes, &err), 0);
    assert_int_equal(worker.base_bytes, 100 * page_bytes);
    unsigned char *expected = malloc(100 * page_bytes);
    assert_non_null(expected);
    assert_int_equal(pread(target.fd, expected, 100 * page_bytes, (off_t)(100 * page_bytes)), 100 * page_bytes);
    assert_memory_equal(expected, worker.base, 100 * page_bytes);
    free(expected);
    assert_int_equal(mapping_remove(&worker), 0);
    assert_int_equal(mapping_make_window(&worker, 200 * page_bytes, &err), 0);
    assert_int_equal(worker.base_bytes, 56 * page_bytes); /* the last ends with the working set */
    assert_int_equal(mapping_remove(&worker), 0);
    target_close(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_find_the_same_bytes),
        cmocka_unit_test(stores_arrive),
        cmocka_unit_test(windows_of_one_page_fault_for_each),
        cmocka_unit_test(no_more_than_a_window_is_mapped),
    };
    return physics_run(tests);
}
