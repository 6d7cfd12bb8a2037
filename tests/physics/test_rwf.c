/* SPDX-License-Identifier: MIT */
/*
 * The flags of preadv2 and the scattering of a block: how many calls are made and refused, and what stays in the page
 * cache.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/uio.h>

#include "witness.h"

enum { BLOCKS = 64 };

extern const struct method method_pread, method_preadv2, method_readv, method_nowait_miss;

/* A cold file of BLOCKS pages that are read in random order without readahead, so that each is a miss. */
static void cold_begin(struct crew_of_one *crew, const struct method *method, enum rwf rwf)
{
    *crew = (struct crew_of_one){
        .params = physics_params(BLOCKS * physics_page_bytes(), recipe_write_4KiB, cache_cold)};
    crew->params.pattern = pattern_random;
    crew->params.advice = advice_random;
    crew->params.rwf = rwf;
    crew_begin(crew, method);
    crew_order(crew, WORK_RESET, BLOCKS);
    assert_int_equal(witness_resident(crew), 0); /* finding out whether the flag is taken has read nothing */
}

static void warm_begin(struct crew_of_one *crew, const struct method *method, enum rwf rwf, uint64_t pieces)
{
    *crew = (struct crew_of_one){
        .params = physics_params(BLOCKS * physics_page_bytes(), recipe_write_4KiB, cache_warm)};
    crew->params.rwf = rwf;
    crew->params.pieces = pieces;
    crew_begin(crew, method);
    crew_order(crew, WORK_RESET, BLOCKS);
}

static void nowait_hits_when_warm(void **state)
{
    struct crew_of_one crew;
    (void)state;
    warm_begin(&crew, &method_preadv2, rwf_nowait, 1);
    assert_int_equal(witness_read_calls(&crew, BLOCKS), BLOCKS);
    crew_end(&crew);
}

/*
 * Where the device answers before the call returns, the block is there and is read: emulated devices do it always, and
 * any does it where the caller loses its CPU meanwhile. Exact counts are then for another try.
 */
enum { TRIES = 10 };

/* Cold pages refused to a plain loop. */
static unsigned refused_by_hand(void)
{
    struct params params = physics_params(BLOCKS * physics_page_bytes(), recipe_write_4KiB, cache_cold);
    struct target target;
    unsigned char byte;
    struct iovec piece = {&byte, 1};
    unsigned refused = 0;
    physics_open(&target, &params);
    posix_fadvise(target.fd, 0, 0, POSIX_FADV_RANDOM);
    for (uint64_t i = 0; i < BLOCKS; i++)
        refused += preadv2(target.fd, &piece, 1, (off_t)(i * physics_page_bytes()), RWF_NOWAIT) < 0;
    target_close(&target);
    return refused;
}

/* No try was exact: the device's doing, unless all tries of a plain loop are. */
static void never_exact(void)
{
    unsigned exact = 0;
    for (unsigned i = 0; i < TRIES; i++)
        exact += refused_by_hand() == BLOCKS;
    if (exact == TRIES)
        fail_msg("a plain loop has all %d pages refused in each of %d tries, the method in none", BLOCKS, TRIES);
    physics_skip("this device is faster than the call: cold pages come without waiting");
}

static void nowait_misses_when_cold(void **state)
{
    struct crew_of_one crew;
    uint64_t calls = 0;
    (void)state;
    for (unsigned i = 0; i < TRIES && calls != 2 * BLOCKS; i++) {
        cold_begin(&crew, &method_preadv2, rwf_nowait);
        calls = witness_read_calls(&crew, BLOCKS);
        assert_in_range(calls, BLOCKS, 2 * BLOCKS); /* each refused and then read, but those that were there */
        crew_order(&crew, WORK_RESET, BLOCKS);
        assert_int_equal(witness_read_calls(&crew, BLOCKS), BLOCKS); /* what was read is there now */
        crew_end(&crew);
    }
    if (calls != 2 * BLOCKS)
        never_exact();
}

static void refusals_are_refusals(void **state)
{
    struct crew_of_one crew;
    bool all = false;
    (void)state;
    for (unsigned i = 0; i < TRIES && !all; i++) {
        cold_begin(&crew, &method_nowait_miss, rwf_none);
        assert_int_equal(witness_read_calls(&crew, BLOCKS), BLOCKS);
        all = !crew_answer_of_one.fault;
        crew_end(&crew);
    }
    if (!all)
        never_exact();
}

/* A block that is there is no miss: the batch says that it does not count. */
static void hit_is_no_refusal(void **state)
{
    struct crew_of_one crew;
    char byte;
    (void)state;
    cold_begin(&crew, &method_nowait_miss, rwf_none);
    assert_int_equal(pread(crew.target.fd, &byte, 1, (off_t)crew.offsets.items[BLOCKS / 2]), 1);
    crew_order(&crew, WORK_RUN, BLOCKS);
    assert_non_null(crew_answer_of_one.fault);
    crew_end(&crew);
}

/* One cell of a reading and a refused arm; whether none of its rounds is void. */
static bool refused_rounds(const struct params *params)
{
    struct physics_cell cell;
    struct target target;
    unsigned voided = 0;
    physics_open(&target, params);
    physics_begin(&cell, params);
    physics_arm(&cell, &method_pread, 16);
    physics_arm(&cell, &method_nowait_miss, 16);
    physics_measure(&cell, &target, 4);
    for (unsigned r = 0; r < cell.result.rounds; r++)
        voided += cell.result.voided[r] != NULL;
    bool is_ok = voided == 0 && cell.result.arms[1].status == ARM_OK;
    physics_expect_ok(&cell, 0);
    if (cell.result.arms[1].status == ARM_UNSUPPORTED)
        physics_expect_ok(&cell, 1);
    assert_true(cell.result.arms[0].has_sum);
    assert_false(cell.result.arms[1].has_sum);
    assert_int_equal(cell.result.arms[1].bytes_per_op, 0);
    measure_free(&cell.result);
    target_close(&target);
    return is_ok;
}

/* The same through rounds, proofs and passes. */
static void refused_arm(void **state)
{
    struct params params = physics_params(BLOCKS * physics_page_bytes(), recipe_write_4KiB, cache_cold);
    bool is_ok = false;
    (void)state;
    params.pattern = pattern_random;
    params.advice = advice_random;
    for (unsigned i = 0; i < TRIES && !is_ok; i++)
        is_ok = refused_rounds(&params);
    if (!is_ok)
        never_exact();
}

/* One call for a block, however many pieces it is scattered into. */
static void pieces_are_one_call(void **state)
{
    static const uint64_t pieces[] = {1, 4, 16};
    static const struct method *const methods[] = {&method_preadv2, &method_readv};
    struct crew_of_one crew;
    (void)state;
    for (unsigned p = 0; p < sizeof pieces / sizeof *pieces; p++)
        for (unsigned m = 0; m < sizeof methods / sizeof *methods; m++) {
            warm_begin(&crew, methods[m], rwf_none, pieces[p]);
            assert_int_equal(witness_read_calls(&crew, BLOCKS), BLOCKS);
            crew_end(&crew);
        }
}

static void scan_leaves(const struct method *method, enum rwf rwf, uint64_t pages)
{
    struct crew_of_one crew;
    cold_begin(&crew, method, rwf);
    crew_order(&crew, WORK_RUN, BLOCKS);
    assert_int_equal(witness_resident(&crew), pages);
    crew_end(&crew);
}

static void dontcache_leaves_nothing(void **state)
{
    (void)state;
    scan_leaves(&method_pread, rwf_none, BLOCKS);
    scan_leaves(&method_preadv2, rwf_none, BLOCKS);
    scan_leaves(&method_preadv2, rwf_dontcache, 0);
}

/* Pages that were in the cache before are not dropped by reading them so. */
static void dontcache_keeps_what_was_there(void **state)
{
    struct crew_of_one crew;
    (void)state;
    warm_begin(&crew, &method_preadv2, rwf_dontcache, 1);
    crew_order(&crew, WORK_RUN, BLOCKS);
    assert_int_equal(witness_resident(&crew), BLOCKS);
    crew_end(&crew);
}

/* What a filesystem does not take is said to be so. */
static void tmpfs_takes_no_flag(void **state)
{
    static const enum rwf flags[] = {rwf_nowait, rwf_dontcache};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct params params = physics_params(BLOCKS * physics_page_bytes(), recipe_write_4KiB, cache_warm);
        struct physics_cell cell;
        struct target target;
        params.backing = backing_tmpfs;
        physics_open(&target, &params);
        physics_begin(&cell, &params);
        physics_arm(&cell, &method_pread, 1);
        physics_arm(&cell, &method_preadv2, 1)->params.rwf = flags[i];
        physics_measure(&cell, &target, 2);
        assert_int_equal(cell.result.arms[0].status, ARM_OK);
        if (cell.result.arms[1].status == ARM_OK)
            print_message("this kernel's tmpfs takes flag %u\n", i);
        else
            assert_int_equal(cell.result.arms[1].status, ARM_UNSUPPORTED);
        assert_true(cell.result.arms[1].status == ARM_OK || strstr(cell.result.arms[1].reason, "has no RWF_"));
        measure_free(&cell.result);
        target_close(&target);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nowait_hits_when_warm),
        cmocka_unit_test(nowait_misses_when_cold),
        cmocka_unit_test(refusals_are_refusals),
        cmocka_unit_test(hit_is_no_refusal),
        cmocka_unit_test(refused_arm),
        cmocka_unit_test(pieces_are_one_call),
        cmocka_unit_test(dontcache_leaves_nothing),
        cmocka_unit_test(dontcache_keeps_what_was_there),
        cmocka_unit_test(tmpfs_takes_no_flag),
    };
    return physics_run(tests);
}
