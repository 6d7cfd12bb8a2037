/* SPDX-License-Identifier: MIT */
/*
 * All ways of taking a snapshot end with the same bytes; what is copied is what the kernel's counts say: everything, or
 * the pages written.
 */
#include "hand.h"

#include <fcntl.h>

enum { PAGES = 1024 };

extern const struct method method_snapshot_copy, method_snapshot_map, method_snapshot_fork;

static struct params snapshot_params(double share)
{
    struct params params = physics_params(PAGES * physics_page_bytes(), recipe_write_1MiB, cache_warm);
    params.per = per_pass;
    params.count_ops = 1;
    params.consumer = consumer_none;
    params.written_share = share;
    return params;
}

static struct arm *add(struct physics_cell *cell, const struct method *method, enum buffer buffer)
{
    struct arm *arm = physics_arm(cell, method, 1);
    arm->params.buffer = buffer;
    return arm;
}

/* Sum of the snapshot's bytes, which must be the same in all arms. */
static uint64_t common_sum(double share)
{
    struct params params = snapshot_params(share);
    struct target target;
    struct physics_cell cell;
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    add(&cell, &method_snapshot_copy, buffer_fresh);
    add(&cell, &method_snapshot_copy, buffer_reused);
    add(&cell, &method_snapshot_map, buffer_reused);
    add(&cell, &method_snapshot_fork, buffer_reused);
    physics_measure(&cell, &target, 1);
    for (unsigned a = 0; a < 4; a++) {
        physics_expect_ok(&cell, a);
        assert_true(cell.result.arms[a].has_sum);
        assert_int_equal(cell.result.arms[a].sum, cell.result.arms[0].sum);
    }
    uint64_t sum = cell.result.arms[0].sum;
    measure_free(&cell.result);
    target_close(&target);
    return sum;
}

static void all_end_with_the_same_bytes(void **state)
{
    (void)state;
    uint64_t untouched = common_sum(0), some = common_sum(0.25), all = common_sum(1);
    assert_int_not_equal(untouched, some); /* the stores do show in it */
    assert_int_not_equal(some, all);
}

/* Each in a cell of its own: a fork makes the pages of the whole process fault once more. */
static uint64_t faults_of(const struct method *method, enum buffer buffer, double share, enum counter_id counter)
{
    struct params params = snapshot_params(share);
    struct target target;
    struct physics_cell cell;
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    add(&cell, method, buffer);
    physics_measure(&cell, &target, 1);
    physics_expect_ok(&cell, 0);
    uint64_t faults = physics_count(&cell, 0, counter);
    measure_free(&cell.result);
    target_close(&target);
    return faults;
}

/* The fewest of some: a child that is interrupted takes one more, for what the kernel then writes to its memory. */
static uint64_t child_faults_of(double share)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 5; i++) {
        uint64_t faults = faults_of(&method_snapshot_fork, buffer_reused, share, COUNTER_child_faults);
        least = faults < least ? faults : least;
    }
    return least;
}

static void copying_everything_faults_for_everything(void **state)
{
    (void)state;
    physics_need_exact_counts();
    assert_int_equal(faults_of(&method_snapshot_copy, buffer_fresh, 0, COUNTER_minor_faults), PAGES);
    assert_int_equal(faults_of(&method_snapshot_copy, buffer_fresh, 1, COUNTER_minor_faults), PAGES);
    assert_int_equal(faults_of(&method_snapshot_copy, buffer_reused, 1, COUNTER_minor_faults), 0);
}

static void copying_on_write_faults_for_what_is_written(void **state)
{
    static const double shares[] = {0, 0.25, 1};
    (void)state;
    physics_need_exact_counts();
    for (unsigned i = 0; i < sizeof shares / sizeof *shares; i++) {
        uint64_t written = (uint64_t)(shares[i] * PAGES);
        assert_int_equal(faults_of(&method_snapshot_map, buffer_reused, shares[i], COUNTER_minor_faults), written);
        assert_int_equal(child_faults_of(shares[i]), written);
    }
}

/* Neither the file nor what a fork has copied changes by a snapshot's stores. */
static void the_source_stays_as_it_was(void **state)
{
    struct params params = snapshot_params(1);
    uint64_t bytes = params.working_set_bytes;
    struct target target;
    struct hand hand;
    unsigned char *before = malloc(bytes), *after = malloc(bytes);
    (void)state;
    assert_true(before && after);
    physics_open(&target, &params);
    assert_int_equal(pread(target.fd, before, bytes, 0), bytes);
    hand_begin(&hand, &method_snapshot_map, &params, &target);
    hand_run(&hand, params.touches);
    hand_end(&hand);
    hand_begin(&hand, &method_snapshot_fork, &params, &target);
    hand_reset(&hand, params.touches);
    hand_run(&hand, params.touches);
    assert_memory_equal(hand.worker.buffer, before, bytes);
    hand_end(&hand);
    assert_int_equal(pread(target.fd, after, bytes, 0), bytes);
    assert_memory_equal(after, before, bytes);
    target_close(&target);
    free(before);
    free(after);
}

/* Pages of this process's address space. */
static uint64_t mapped_pages(void)
{
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t done = read(fd, text, sizeof text - 1);
    close(fd);
    assert_true(done > 0);
    return strtoull(text, NULL, 10);
}

/* A snapshot ends with its memory given back: that is part of what it costs. */
static void nothing_of_a_snapshot_stays(void **state)
{
    static const struct method *const methods[] = {&method_snapshot_copy, &method_snapshot_map, &method_snapshot_fork};
    struct params params = snapshot_params(1);
    struct target target;
    (void)state;
    params.buffer = buffer_fresh;
    physics_open(&target, &params);
    for (unsigned i = 0; i < sizeof methods / sizeof *methods; i++) {
        struct hand hand;
        hand_begin(&hand, methods[i], &params, &target);
        hand_reset(&hand, params.touches);
        uint64_t before = mapped_pages();
        hand_run(&hand, params.touches);
        uint64_t after = mapped_pages();
        hand_end(&hand);
        assert_int_equal(after, before);
    }
    target_close(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_end_with_the_same_bytes),
        cmocka_unit_test(copying_everything_faults_for_everything),
        cmocka_unit_test(copying_on_write_faults_for_what_is_written),
        cmocka_unit_test(the_source_stays_as_it_was),
        cmocka_unit_test(nothing_of_a_snapshot_stays),
    };
    return physics_run(tests);
}
