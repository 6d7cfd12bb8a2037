/* SPDX-License-Identifier: MIT */
/*
 * Every way to read a block by system calls brings the same bytes: with one worker and with several, with a descriptor
 * each and with one for all, whose position they then really share.
 */
#include "physics.h"

#include "crew.h"

enum { BLOCKS = 256 };

extern const struct method method_pread, method_lseek_read, method_read, method_readv, method_preadv2, method_uring,
    method_mmap;

/* One way to read, beside pread. */
struct way {
    const char *name;
    const struct method *method;
    enum open_as open_as;
    enum rwf rwf;
    enum descriptor_of descriptor_of;
    uint64_t pieces, queue_depth;
};

static const struct way ways[] = {
    {.name = "pread", .method = &method_pread},
    {.name = "pread O_DIRECT", .method = &method_pread, .open_as = open_as_direct},
    {.name = "pread O_NOATIME", .method = &method_pread, .open_as = open_as_noatime},
    {.name = "pread of the crew", .method = &method_pread, .descriptor_of = descriptor_of_crew},
    {.name = "lseek, read", .method = &method_lseek_read},
    {.name = "lseek, read O_DIRECT", .method = &method_lseek_read, .open_as = open_as_direct},
    {.name = "read", .method = &method_read},
    {.name = "read O_DIRECT", .method = &method_read, .open_as = open_as_direct},
    {.name = "read of the crew", .method = &method_read, .descriptor_of = descriptor_of_crew},
    {.name = "readv", .method = &method_readv},
    {.name = "readv of 8", .method = &method_readv, .pieces = 8},
    {.name = "preadv2", .method = &method_preadv2},
    {.name = "preadv2 of 16", .method = &method_preadv2, .pieces = 16},
    {.name = "preadv2 RWF_NOWAIT of 2", .method = &method_preadv2, .rwf = rwf_nowait, .pieces = 2},
    {.name = "preadv2 RWF_DONTCACHE", .method = &method_preadv2, .rwf = rwf_dontcache},
    {.name = "io_uring", .method = &method_uring, .queue_depth = 7},
    {.name = "mmap", .method = &method_mmap},
};

static bool can_follow(const struct way *way, enum pattern pattern)
{
    return pattern == pattern_sequential || !(way->method->needs & NEEDS_ORDER);
}

static void add_way(struct physics_cell *cell, const struct way *way)
{
    struct params *params = &physics_arm(cell, way->method, 16)->params;
    params->open_as = way->open_as;
    params->rwf = way->rwf;
    params->descriptor_of = way->descriptor_of;
    params->pieces = way->pieces ? way->pieces : 1;
    params->queue_depth = way->queue_depth ? way->queue_depth : 1;
}

static void check_way(struct target *target, const struct params *params, const struct way *way)
{
    struct physics_cell cell;
    physics_begin(&cell, params);
    add_way(&cell, &ways[0]);
    add_way(&cell, way);
    physics_measure(&cell, target, 2);
    const struct arm_result *first = &cell.result.arms[0], *other = &cell.result.arms[1];
    assert_int_equal(first->status, ARM_OK);
    if (other->status == ARM_UNSUPPORTED)
        print_message("%s: %s\n", way->name, other->reason);
    else if (other->status != ARM_OK)
        fail_msg("%s: %s", way->name, other->reason);
    else if (!other->has_sum || other->sum != first->sum)
        fail_msg("%s: other bytes than pread", way->name);
    measure_free(&cell.result);
}

static void check_ways(struct params params)
{
    struct target target;
    physics_open(&target, &params);
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++)
        if (can_follow(&ways[i], (enum pattern)params.pattern))
            check_way(&target, &params, &ways[i]);
    target_close(&target);
}

static void same_bytes(void **state)
{
    static const enum pattern patterns[] = {pattern_sequential, pattern_random};
    static const enum cache caches[] = {cache_warm, cache_cold};
    (void)state;
    for (unsigned p = 0; p < 2; p++)
        for (unsigned c = 0; c < 2; c++) {
            struct params params = physics_params(BLOCKS * physics_page_bytes(), recipe_write_1MiB, caches[c]);
            params.pattern = patterns[p];
            check_ways(params);
        }
}

/* Workers that share a position sum one after the other: what they read is the same, and as often. */
static void same_bytes_by_two(void **state)
{
    static const enum worker_kind kinds[] = {worker_kind_thread, worker_kind_process};
    (void)state;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        physics_skip("two workers spin at a barrier: one CPU is not enough");
    for (unsigned k = 0; k < 2; k++) {
        struct params params = physics_params(BLOCKS * physics_page_bytes(), recipe_write_1MiB, cache_warm);
        params.workers = 2;
        params.worker_kind = kinds[k];
        check_ways(params);
    }
}

/* The first error of a batch of so many blocks by each of two workers, from the start of the file. */
static int run_two(const struct params *params, struct target *target, uint64_t blocks)
{
    struct physics_cell cell;
    struct offsets offsets;
    struct crew *crew;
    struct err err = {0};
    physics_begin(&cell, params);
    physics_arm(&cell, &method_read, 1);
    assert_int_equal(offsets_make(&offsets, params, 42, &err), 0);
    struct work_cell work_cell = {
        .cell = &cell.cell, .target = target, .offsets = {&offsets}, .worker_count = (unsigned)params->workers};
    assert_int_equal(crew_start(&crew, &work_cell, &err), 0);
    int rc = crew_do(crew, &(struct work_order){.verb = WORK_SETUP}, &err);
    if (rc == 0)
        rc = crew_do(crew, &(struct work_order){.verb = WORK_RESET, .blocks = blocks}, &err);
    if (rc == 0)
        rc = crew_do(crew, &(struct work_order){.verb = WORK_RUN, .blocks = blocks}, &err);
    crew_stop(crew);
    offsets_free(&offsets);
    return rc;
}

/* Two workers that share the position reach the end of the file together; with a position each neither does. */
static void position_is_shared(void **state)
{
    static const enum worker_kind kinds[] = {worker_kind_thread, worker_kind_process};
    (void)state;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        physics_skip("two workers spin at a barrier: one CPU is not enough");
    for (unsigned k = 0; k < 2; k++) {
        struct params params = physics_params(BLOCKS * physics_page_bytes(), recipe_write_1MiB, cache_warm);
        struct target target;
        params.workers = 2;
        params.worker_kind = kinds[k];
        physics_open(&target, &params);
        assert_int_equal(run_two(&params, &target, BLOCKS / 2 + 1), 0);
        params.descriptor_of = descriptor_of_crew;
        assert_int_equal(run_two(&params, &target, BLOCKS / 2), 0);
        assert_int_equal(run_two(&params, &target, BLOCKS / 2 + 1), -ENODATA);
        target_close(&target);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bytes),
        cmocka_unit_test(same_bytes_by_two),
        cmocka_unit_test(position_is_shared),
    };
    return physics_run(tests);
}
