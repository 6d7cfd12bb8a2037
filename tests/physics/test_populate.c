/* SPDX-License-Identifier: MIT */
/* A populated mapping takes no fault when it is visited: by a bare loop, by the counting pass, and in the timed
 * batches. */
#include "physics.h"

#include <sys/resource.h>

#include "work.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

enum { FILE_BYTES = 8 * 1024 * 1024, BATCHES = 20 };

extern const struct method method_first_touch, method_mmap;

static const enum recipe recipes[] = {recipe_write_4KiB, recipe_write_1MiB, recipe_refill_map};
static const enum populate populates[] = {populate_map_populate, populate_populate_read};
enum { RECIPES = sizeof recipes / sizeof *recipes, POPULATES = sizeof populates / sizeof *populates };

static uint64_t minor_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (uint64_t)usage.ru_minflt;
}

static uint64_t bare_faults(const struct target *target, enum populate populate)
{
    int flags = MAP_SHARED | (populate == populate_map_populate ? MAP_POPULATE : 0);
    unsigned char *base = mmap(NULL, target->file_bytes, PROT_READ, flags, target->fd, 0);
    assert_ptr_not_equal(base, MAP_FAILED);
    if (populate == populate_populate_read && madvise(base, target->file_bytes, MADV_POPULATE_READ))
        physics_skip("MADV_POPULATE_READ: %s", strerror(errno));
    (void)minor_faults(); /* the first call may itself fault */
    uint64_t faults = minor_faults();
    for (uint64_t offset = 0; offset < target->file_bytes; offset += target->page_bytes)
        (void)*(const volatile unsigned char *)(base + offset);
    faults = minor_faults() - faults;
    munmap(base, target->file_bytes);
    return faults;
}

static void bare_loop_takes_no_fault(void **state)
{
    (void)state;
    physics_need_exact_counts();
    for (unsigned r = 0; r < RECIPES; r++) {
        struct params params = physics_params(FILE_BYTES, recipes[r], cache_warm);
        struct target target;
        physics_open(&target, &params);
        assert_int_not_equal(bare_faults(&target, populate_none), 0); /* the control: there is something to save */
        for (unsigned p = 0; p < POPULATES; p++)
            assert_int_equal(bare_faults(&target, populates[p]), 0);
        target_close(&target);
    }
}

static void counting_pass_finds_no_fault(void **state)
{
    (void)state;
    physics_need_exact_counts();
    for (unsigned r = 0; r < RECIPES * POPULATES; r++) {
        struct params params = physics_params(FILE_BYTES, recipes[r / POPULATES], cache_warm);
        struct physics_cell cell;
        struct target target;
        physics_open(&target, &params);
        params.pattern = pattern_random;
        params.populate = populates[r % POPULATES];
        physics_begin(&cell, &params);
        physics_arm(&cell, &method_first_touch, params.touches);
        physics_arm(&cell, &method_mmap, params.touches);
        physics_arm(&cell, &method_mmap, params.touches)->params.sharing = sharing_private;
        physics_measure(&cell, &target, 3);
        for (unsigned a = 0; a < cell.cell.arm_count; a++) {
            physics_expect_ok(&cell, a);
            assert_int_equal(physics_count(&cell, a, COUNTER_minor_faults), 0);
            assert_int_equal(physics_count(&cell, a, COUNTER_major_faults), 0);
        }
        measure_free(&cell.result);
        target_close(&target);
    }
}

static uint64_t order(struct work *work, enum work_verb verb, uint64_t blocks)
{
    static struct work_answer answer; /* large: not to be faulted in on the stack while faults are counted */
    struct work_order one = {.verb = verb, .blocks = blocks};
    uint64_t before = minor_faults();
    work_do(work, &one, &answer);
    uint64_t faults = minor_faults() - before;
    if (answer.rc)
        fail_msg("%s", answer.err.text);
    return faults;
}

/* The batches that are timed, not only the pass that is counted. */
static void timed_batches_take_no_fault(void **state)
{
    struct params params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_warm);
    struct physics_cell cell;
    struct target target;
    struct work *work;
    struct err err = {0};
    struct offsets offsets;
    (void)state;
    physics_need_exact_counts();
    physics_open(&target, &params);
    params.pattern = pattern_random;
    params.populate = populate_map_populate;
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_mmap, params.touches);
    assert_int_equal(offsets_make(&offsets, &params, 42, &err), 0);
    struct work_cell work_cell = {
        .cell = &cell.cell, .target = &target, .offsets = {&offsets}, .worker_count = 1, .cpus = NULL};
    assert_int_equal(work_begin(&work, &work_cell, 0, &err), 0);
    order(work, WORK_SETUP, 0);
    order(work, WORK_RUN, 1); /* the harness's own first call */
    for (unsigned i = 0; i < BATCHES; i++) {
        order(work, WORK_RESET, params.touches);
        assert_int_equal(order(work, WORK_RUN, params.touches), 0);
    }
    work_end(work);
    offsets_free(&offsets);
    target_close(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bare_loop_takes_no_fault),
        cmocka_unit_test(counting_pass_finds_no_fault),
        cmocka_unit_test(timed_batches_take_no_fault),
    };
    return physics_run(tests);
}
