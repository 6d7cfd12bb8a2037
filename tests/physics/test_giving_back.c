/* SPDX-License-Identifier: MIT */
/*
 * What each way of giving pages back leaves: MADV_COLD all of it, MADV_DONTNEED what is in the page cache but nothing
 * in the page table, MADV_PAGEOUT neither, so that what is touched again is read from storage once more.
 */
#define _GNU_SOURCE
#include "physics.h"

#include <inttypes.h>
#include <sched.h>

#include "mapping.h"

enum { FILE_BYTES = 2 * 1024 * 1024, TRIES = 20 };

extern const struct method method_mmap;

/* A page waits in a list of the CPU that brought it in, and the advice empties only the list of the CPU it is given on.
 */
static void stay_here(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)sched_getcpu(), &set);
    assert_int_equal(sched_setaffinity(0, sizeof set, &set), 0);
}

static void evict_whole(const struct target *target)
{
    struct err err = {0};
    uint64_t resident = 1;
    for (unsigned i = 0; i < 1000 && resident; i++) { /* pages in flight survive the first attempt */
        assert_int_equal(target_evict(target, &err), 0);
        resident = physics_mincore(target->fd, target->file_bytes);
        usleep(resident ? 1000 : 0);
    }
    assert_int_equal(resident, 0);
}

static const struct {
    const char *name;
    enum advice advice;
    bool mapped, resident; /* afterwards: every page, or none */
} ways[] = {
    {"kept", advice_normal, true, true},
    {"cold", advice_cold, true, true},
    {"dontneed", advice_dontneed, false, true},
    {"pageout", advice_pageout, false, false},
};
enum { WAYS = sizeof ways / sizeof *ways };

/* Whether that is left. Prints what is, otherwise. */
static bool leaves(unsigned way)
{
    uint64_t pages = FILE_BYTES / physics_page_bytes();
    struct params params = physics_params(FILE_BYTES, recipe_write_64KiB, cache_cold);
    struct target target;
    struct err err = {0};
    params.populate = populate_populate_read;
    params.advice = ways[way].advice;
    physics_open(&target, &params);
    evict_whole(&target);
    struct worker worker = {.params = &params, .target = &target, .fd = target.fd};
    int rc = mapping_make(&worker, &err);
    if (rc == -EOPNOTSUPP)
        physics_skip("%s", err.text);
    assert_int_equal(rc, 0);
    uint64_t mapped = physics_mapped_pages(worker.base, FILE_BYTES), resident = physics_mincore(target.fd, FILE_BYTES);
    bool good = mapped == (ways[way].mapped ? pages : 0) && resident == (ways[way].resident ? pages : 0);
    if (!good)
        print_message("%s: %" PRIu64 " of %" PRIu64 " pages mapped, %" PRIu64 " in memory\n", ways[way].name, mapped,
                      pages, resident);
    mapping_remove(&worker);
    target_close(&target);
    return good;
}

/* A page that somebody holds just now, to move it or to look at it, is not given back: not every time. */
static void what_is_left(void **state)
{
    (void)state;
    stay_here();
    for (unsigned i = 0; i < WAYS; i++) {
        unsigned tries = ways[i].resident ? 1 : TRIES;
        while (!leaves(i))
            assert_in_range(--tries, 1, TRIES);
    }
}

/* The same in the counting pass of a cell: only after MADV_PAGEOUT is every byte fetched twice. */
static void bytes_fetched(void **state)
{
    (void)state;
    struct params params = physics_params(FILE_BYTES, recipe_write_64KiB, cache_cold);
    struct physics_cell cell;
    struct target target;
    uint64_t wanted[WAYS];
    for (unsigned i = 0; i < WAYS; i++)
        wanted[i] = ways[i].resident ? FILE_BYTES : 2 * FILE_BYTES;
    params.per = per_pass;
    params.count_ops = 1;
    params.lifetime = lifetime_per_pass;
    params.populate = populate_populate_read;
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    for (unsigned i = 0; i < WAYS; i++)
        physics_arm(&cell, &method_mmap, 1)->params.advice = ways[i].advice;
    physics_measure_reads(&cell, &target, 3, wanted);
    for (unsigned i = 0; i < WAYS; i++) {
        physics_expect_ok(&cell, i);
        assert_int_equal(physics_count(&cell, i, COUNTER_read_bytes), wanted[i]);
    }
    measure_free(&cell.result);
    target_close(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left),
        cmocka_unit_test(bytes_fetched),
    };
    return physics_run(tests);
}
