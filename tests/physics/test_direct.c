/* SPDX-License-Identifier: MIT */
/*
 * O_DIRECT goes past the page cache: nothing comes into it, nothing is taken from it, every byte is fetched; what it
 * wants aligned is named; a filesystem that only pretends is found out. O_NOATIME leaves the access time alone.
 */
#include "witness.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { BLOCKS = 32 };

extern const struct method method_pread, method_read, method_lseek_read, method_mmap;

static const struct method *const methods[] = {&method_pread, &method_read, &method_lseek_read};
enum { METHODS = sizeof methods / sizeof *methods };

static void begin(struct crew_of_one *crew, const struct method *method, enum cache cache, enum open_as open_as)
{
    *crew = (struct crew_of_one){.params = physics_params(BLOCKS * physics_page_bytes(), recipe_write_1MiB, cache)};
    crew->params.open_as = open_as;
    crew_begin(crew, method);
    crew_order(crew, WORK_RESET, BLOCKS);
}

/* Bytes fetched beyond those asked for. */
static uint64_t fetched_beside(const struct method *method, enum cache cache, uint64_t resident)
{
    struct crew_of_one crew;
    begin(&crew, method, cache, open_as_direct);
    uint64_t before = witness_account("\nread_bytes: ");
    crew_order(&crew, WORK_RUN, BLOCKS);
    uint64_t fetched = witness_account("\nread_bytes: ") - before;
    assert_true(fetched >= crew.params.file_bytes);
    assert_int_equal(witness_resident(&crew), resident);
    uint64_t beside = fetched - crew.params.file_bytes;
    crew_end(&crew);
    return beside;
}

/* A page of the program's own that was reclaimed, or a block of metadata, is fetched for it too: not every time. */
static void expect_past_the_cache(const struct method *method, enum cache cache, uint64_t resident)
{
    uint64_t beside = fetched_beside(method, cache, resident);
    for (unsigned tries = 1; beside && tries < 5; tries++)
        beside = fetched_beside(method, cache, resident);
    assert_int_equal(beside, 0);
}

static void leaves_a_cold_file_cold(void **state)
{
    (void)state;
    for (unsigned m = 0; m < METHODS; m++)
        expect_past_the_cache(methods[m], cache_cold, 0);
}

/* Clean pages are left where they are, and are of no use to it. */
static void leaves_a_warm_file_warm(void **state)
{
    (void)state;
    for (unsigned m = 0; m < METHODS; m++)
        expect_past_the_cache(methods[m], cache_warm, BLOCKS);
}

/* The alignment that statx tells; 0 where it does not. */
static uint64_t told_alignment(int fd)
{
#ifdef STATX_DIOALIGN
    struct statx status;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 && status.stx_mask & STATX_DIOALIGN)
        return status.stx_dio_offset_align;
#endif
    (void)fd;
    return 0;
}

/* Through rounds and proofs, beside arms that do fill the cache. */
static void measured_cold(void **state)
{
    struct params params = physics_params(BLOCKS * physics_page_bytes(), recipe_write_1MiB, cache_cold);
    struct physics_cell cell;
    struct target target;
    (void)state;
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_pread, BLOCKS);
    physics_arm(&cell, &method_pread, BLOCKS)->params.open_as = open_as_direct;
    physics_arm(&cell, &method_mmap, BLOCKS);
    physics_measure(&cell, &target, 3);
    if (told_alignment(target.fd) && cell.result.arms[1].status != ARM_OK)
        fail_msg("statx tells an alignment, but: %s", cell.result.arms[1].reason);
    for (unsigned a = 0; a < cell.cell.arm_count; a++) {
        physics_expect_ok(&cell, a);
        assert_int_equal(cell.result.arms[a].sum, cell.result.arms[0].sum);
        assert_int_equal(cell.result.arms[a].before.resident, 0);
    }
    assert_int_equal(cell.result.arms[0].after.resident, BLOCKS);
    assert_int_equal(cell.result.arms[1].after.resident, 0);
    measure_free(&cell.result);
    target_close(&target);
}

/* Blocks of less than a sector cannot be had, and the message says which could. */
static void names_the_alignment(void **state)
{
    struct params params = physics_params(BLOCKS * physics_page_bytes(), recipe_write_1MiB, cache_warm);
    struct physics_cell cell;
    struct target target;
    char wanted[64] = "block_bytes 64";
    (void)state;
    params.block_bytes = params.stride_bytes = 64;
    physics_open(&target, &params);
    if (told_alignment(target.fd))
        snprintf(wanted, sizeof wanted, "is aligned to %llu bytes here: block_bytes 64",
                 (unsigned long long)told_alignment(target.fd));
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_pread, BLOCKS);
    physics_arm(&cell, &method_pread, BLOCKS)->params.open_as = open_as_direct;
    physics_measure(&cell, &target, 2);
    assert_int_equal(cell.result.arms[1].status, ARM_FAILED);
    if (!strstr(cell.result.arms[1].reason, wanted))
        fail_msg("'%s' does not say '%s'", cell.result.arms[1].reason, wanted);
    measure_free(&cell.result);
    target_close(&target);
}

/* tmpfs opens with O_DIRECT since Linux 6.6 and has nothing to go past; before, it refuses. */
static void memory_is_found_out(void **state)
{
    struct params params = physics_params(BLOCKS * physics_page_bytes(), recipe_write_1MiB, cache_warm);
    struct physics_cell cell;
    struct target target;
    (void)state;
    params.backing = backing_tmpfs;
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_pread, BLOCKS);
    physics_arm(&cell, &method_pread, BLOCKS)->params.open_as = open_as_direct;
    physics_measure(&cell, &target, 2);
    assert_int_equal(cell.result.arms[0].status, ARM_OK);
    assert_int_equal(cell.result.arms[1].status, ARM_UNSUPPORTED);
    assert_non_null(strstr(cell.result.arms[1].reason, "O_DIRECT"));
    print_message("%s\n", cell.result.arms[1].reason);
    measure_free(&cell.result);
    target_close(&target);
}

/* Whether reading through the arm moves the access time from where it was put: before the last change of the file. */
static bool reading_moves_atime(const struct method *method, enum open_as open_as)
{
    struct crew_of_one crew;
    struct stat before, after;
    const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_nsec = UTIME_OMIT}};
    begin(&crew, method, cache_warm, open_as);
    assert_int_equal(futimens(crew.target.fd, times), 0);
    assert_int_equal(fstat(crew.target.fd, &before), 0);
    assert_int_equal(before.st_atim.tv_sec, 1000000000);
    crew_order(&crew, WORK_RUN, BLOCKS);
    assert_int_equal(fstat(crew.target.fd, &after), 0);
    crew_end(&crew);
    return after.st_atim.tv_sec != before.st_atim.tv_sec || after.st_atim.tv_nsec != before.st_atim.tv_nsec;
}

static void noatime_leaves_atime(void **state)
{
    (void)state;
    for (unsigned m = 0; m < METHODS; m++) {
        assert_false(reading_moves_atime(methods[m], open_as_noatime));
        if (!reading_moves_atime(methods[m], open_as_plain))
            physics_skip("this filesystem is mounted so that reading never moves the access time");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_a_cold_file_cold), cmocka_unit_test(leaves_a_warm_file_warm),
        cmocka_unit_test(measured_cold),           cmocka_unit_test(names_the_alignment),
        cmocka_unit_test(memory_is_found_out),     cmocka_unit_test(noatime_leaves_atime),
    };
    return physics_run(tests);
}
