/* SPDX-License-Identifier: MIT */
/* What taking pages away does to the address space, by the kernel's own books: smaps, maps, VmPTE, faults. */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "bare_worker.h"
#include "hugepage.h"
#include "ranges.h"
#include "smaps.h"
#include "vmas.h"

enum { RANGES = 3 };

extern const struct method method_munmap, method_dontneed, method_mprotect, method_mremap, method_map_unmap;

static struct range *range_of(const struct bare_worker *bare, unsigned n)
{
    return &((struct ranges *)bare->worker.own)->items[n];
}

static uint64_t minor_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (uint64_t)usage.ru_minflt;
}

static uint64_t major_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (uint64_t)usage.ru_majflt;
}

static bool is_mapped(const void *at, size_t bytes)
{
    struct smaps found;
    return smaps_read(at, bytes, &found);
}

static uint64_t resident(const void *at, size_t bytes)
{
    struct smaps found = {0};
    assert_true(smaps_read(at, bytes, &found));
    return found.rss;
}

static void need_smaps(void)
{
    static int anything;
    struct smaps found;
    if (!smaps_read(&anything, sizeof anything, &found))
        physics_skip("no /proc/self/smaps here");
}

/* Bytes of page tables of this process. Those for memory of stdio come with its first use. */
static uint64_t page_table_bytes(void)
{
    char text[8192];
    FILE *file = fopen("/proc/self/status", "re");
    assert_non_null(file);
    size_t count = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[count] = '\0';
    const char *line = strstr(text, "VmPTE:");
    return line ? strtoull(line + strlen("VmPTE:"), NULL, 10) * KIB : UINT64_MAX;
}

static uint64_t vmas_now(void)
{
    char text[4096];
    uint64_t lines = 0;
    size_t count;
    FILE *file = fopen("/proc/self/maps", "re");
    assert_non_null(file);
    while ((count = fread(text, 1, sizeof text, file)) > 0)
        for (size_t i = 0; i < count; i++)
            lines += text[i] == '\n';
    fclose(file);
    return lines;
}

/* The file's own bytes are in the page cache; the anonymous ones were stored. */
static void munmap_gives_everything_back(enum sharing sharing, enum prior prior)
{
    need_smaps();
    struct params params = bare_params(sharing, 16, prior);
    struct target target;
    struct bare_worker bare;
    physics_open(&target, &params);
    bare_setup(&bare, &method_munmap, &params, &target);
    bare_reset(&bare, RANGES);
    unsigned char *places[RANGES];
    for (unsigned i = 0; i < RANGES; i++) {
        places[i] = range_of(&bare, i)->here.at;
        assert_int_equal(resident(places[i], params.range_bytes), params.range_bytes);
    }
    bare_run(&bare, RANGES - 1);
    for (unsigned i = 0; i < RANGES - 1; i++)
        assert_false(is_mapped(places[i], params.range_bytes));
    assert_int_equal(resident(places[RANGES - 1], params.range_bytes), params.range_bytes);
    bare_reset(&bare, RANGES); /* and again */
    for (unsigned i = 0; i < RANGES; i++)
        assert_int_equal(resident(range_of(&bare, i)->here.at, params.range_bytes), params.range_bytes);
    bare_teardown(&bare);
    target_close(&target);
}

static void test_munmap_file(void **state)
{
    (void)state;
    munmap_gives_everything_back(sharing_shared, prior_loaded);
}

static void test_munmap_private(void **state)
{
    (void)state;
    munmap_gives_everything_back(sharing_private, prior_stored);
}

static void test_munmap_anonymous(void **state)
{
    (void)state;
    munmap_gives_everything_back(sharing_anonymous, prior_stored);
}

/*
 * Two page tables at least, which lie in nobody else's reach: the range is aligned to what one of them maps. More where
 * they are so small that the kernel, which tells whole KiB, would not show two.
 */
static void test_munmap_frees_page_tables(void **state)
{
    (void)state;
    uint64_t table = huge_page_bytes() / physics_page_bytes() * sizeof(uint64_t); /* 8 bytes an entry */
    uint64_t tables = table < KIB ? 2 * KIB / table : 2, range = tables * huge_page_bytes();
    if (range > 64 * MIB)
        physics_skip("%llu page tables map %llu MiB here", (unsigned long long)tables,
                     (unsigned long long)(range / MIB));
    struct params params = bare_params(sharing_anonymous, range / physics_page_bytes(), prior_stored);
    struct bare_worker bare;
    page_table_bytes();
    bare_setup(&bare, &method_munmap, &params, NULL);
    bare_reset(&bare, 1); /* the first time also proves the pages, with memory of its own */
    bare_run(&bare, 1);
    uint64_t before = page_table_bytes();
    bare_reset(&bare, 1);
    uint64_t with = page_table_bytes();
    bare_run(&bare, 1);
    uint64_t after = page_table_bytes();
    if (before == UINT64_MAX)
        physics_skip("this kernel does not tell VmPTE");
#ifdef PHYSICS_SANITIZED
    assert_true(with > before && after < with);
#else
    assert_true(with >= before + (table < KIB ? KIB : tables * table));
    assert_int_equal(after, before);
#endif
    bare_teardown(&bare);
}

/* One page a range: what comes back comes by a fault of its own. */
static void test_dontneed_refaults(void **state)
{
    (void)state;
    physics_need_exact_counts();
    for (enum sharing sharing = sharing_shared; sharing <= sharing_anonymous; sharing++) {
        bool anonymous = sharing == sharing_anonymous;
        struct params params = bare_params(sharing, 1, anonymous ? prior_stored : prior_loaded);
        struct target target;
        struct bare_worker bare;
        unsigned char in_file;
        physics_open(&target, &params);
        assert_int_equal(pread(target.fd, &in_file, 1, 0), 1);
        bare_setup(&bare, &method_dontneed, &params, &target);
        bare_reset(&bare, RANGES);
        volatile unsigned char *page = range_of(&bare, 0)->here.at;
        if (anonymous)
            *page = 0x5a;
        uint64_t minor = minor_faults(), major = major_faults();
        unsigned char held = *page;
        assert_int_equal(minor_faults() - minor, 0);
        assert_int_equal(held, anonymous ? 0x5a : in_file);
        bare_run(&bare, RANGES);
        assert_int_equal(minor_faults() - minor, 0); /* the call itself takes none */
        unsigned char found = *page;
        assert_int_equal(minor_faults() - minor, 1);
        assert_int_equal(major_faults() - major, 0);
        assert_int_equal(found, anonymous ? 0 : in_file);
        bare_teardown(&bare);
        target_close(&target);
    }
}

/* How a child ends that stores to this address; a load from it succeeds before. */
static int storing_child(volatile unsigned char *at, unsigned char expected)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        if (*at != expected)
            _exit(2);
        *at = 1;
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void test_mprotect_keeps_contents(void **state)
{
    (void)state;
    struct params params = bare_params(sharing_anonymous, 4, prior_stored);
    struct bare_worker bare;
    bare_setup(&bare, &method_mprotect, &params, NULL);
    bare_reset(&bare, RANGES);
    volatile unsigned char *page = range_of(&bare, 1)->here.at + params.range_bytes - 1;
    *page = 0x5a;
    bare_run(&bare, RANGES);
    assert_int_equal(*page, 0x5a);
    int status = storing_child(page, 0x5a);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    bare_reset(&bare, RANGES);
    status = storing_child(page, 0x5a);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    bare_teardown(&bare);
}

/* Moved twice: it lives at the new place then, and is moved on from there. */
static void mremap_moves(uint64_t pages)
{
    struct params params = bare_params(sharing_anonymous, pages, prior_stored);
    struct bare_worker bare;
    bare_setup(&bare, &method_mremap, &params, NULL);
    bare_reset(&bare, 1);
    unsigned char *at = range_of(&bare, 0)->here.at;
    for (uint64_t i = 0; i < pages; i++)
        memset(at + i * physics_page_bytes(), (int)(i % 251 + 1), physics_page_bytes());
    for (unsigned move = 0; move < 2; move++) {
        unsigned char *from = range_of(&bare, 0)->here.at, *to = range_of(&bare, 0)->there.at;
        bool kept = true;
        uint64_t faults = minor_faults();
        bare_run(&bare, 1);
        for (uint64_t i = 0; i < pages * physics_page_bytes(); i++)
            kept &= to[i] == i / physics_page_bytes() % 251 + 1;
        faults = minor_faults() - faults;
        assert_true(kept);
        assert_false(is_mapped(from, params.range_bytes));
        bare_reset(&bare, 1);
        assert_ptr_equal(range_of(&bare, 0)->here.at, to);
#ifndef PHYSICS_SANITIZED
        if (move > 0) /* the first time, code may be run for the first time too */
            assert_int_equal(faults, 0);
#endif
    }
    bare_teardown(&bare);
}

static void test_mremap_keeps_contents(void **state)
{
    (void)state;
    need_smaps();
    mremap_moves(16);
}

/* Aligned: whole page tables change hands. */
static void test_mremap_moves_page_tables(void **state)
{
    (void)state;
    need_smaps();
    if (huge_page_bytes() > 64 * MIB)
        physics_skip("one page table maps %llu MiB here", (unsigned long long)(huge_page_bytes() / MIB));
    mremap_moves(huge_page_bytes() / physics_page_bytes());
}

static void test_vmas_are_exact(void **state)
{
    (void)state;
    struct err err = {0};
    static const uint64_t counts[] = {1, 2, 999, 1000, 10000};
    vmas_now();
    uint64_t before = vmas_now();
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        assert_int_equal(vmas_hold(counts[i], &err), 0);
        assert_int_equal(vmas_now(), before + counts[i]);
        assert_int_equal(vmas_hold(counts[i], &err), 0); /* the same ones */
        assert_int_equal(vmas_now(), before + counts[i]);
        assert_int_equal(vmas_hold(counts[i] + 1, &err), -EBUSY);
        vmas_release(counts[i]);
        assert_int_equal(vmas_now(), before + counts[i]);
        vmas_release(counts[i]);
        assert_int_equal(vmas_now(), before);
    }
    assert_int_equal(vmas_hold(UINT64_C(1) << 24, &err), -EOPNOTSUPP);
    assert_non_null(strstr(err.text, "vm.max_map_count"));
    assert_int_equal(vmas_now(), before);
}

/* Nothing is left, and nothing is touched. */
static void test_map_unmap_leaves_nothing(void **state)
{
    (void)state;
    struct params params = bare_params(sharing_shared, 16, prior_never);
    struct target target;
    struct bare_worker bare;
    params.vmas = 1000;
    physics_open(&target, &params);
    bare_setup(&bare, &method_map_unmap, &params, &target);
    bare_reset(&bare, 100);
    uint64_t before = vmas_now(), tables = page_table_bytes();
    bare_run(&bare, 100);
    assert_int_equal(vmas_now(), before);
#ifndef PHYSICS_SANITIZED
    assert_int_equal(page_table_bytes(), tables);
#else
    (void)tables;
#endif
    bare_teardown(&bare);
    target_close(&target);
}

/* Huge pages are given, proven, unmapped; a range without room for one is refused. */
static void test_huge_pages(void **state)
{
    (void)state;
    need_smaps();
    if (huge_page_bytes() > 64 * MIB)
        physics_skip("a huge page has %llu MiB here", (unsigned long long)(huge_page_bytes() / MIB));
    struct params params = bare_params(sharing_anonymous, huge_page_bytes() / physics_page_bytes(), prior_stored);
    struct bare_worker bare;
    struct smaps found;
    struct err err = {0};
    params.pages = pages_thp;
    bare_setup(&bare, &method_munmap, &params, NULL);
    bare_reset(&bare, 1);
    assert_true(smaps_read(range_of(&bare, 0)->here.at, params.range_bytes, &found));
    assert_int_equal(found.huge, huge_page_bytes());
    bare_run(&bare, 1);
    bare_teardown(&bare);
    params.range_bytes = physics_page_bytes();
    struct worker small = {.params = &params, .fd = -1};
    assert_int_equal(method_munmap.setup(&small, &err), -EOPNOTSUPP);
    method_munmap.teardown(&small);
}

/* By the engine: none of the calls takes a fault, whatever its range holds. */
static void test_calls_take_no_fault(void **state)
{
    (void)state;
    static const struct method *const methods[] = {&method_munmap, &method_dontneed, &method_mprotect, &method_mremap};
    for (enum sharing sharing = sharing_shared; sharing <= sharing_anonymous; sharing++) {
        struct params params = bare_params(sharing, 16, sharing == sharing_shared ? prior_loaded : prior_stored);
        struct target target;
        struct physics_cell cell;
        params.count_ops = 8;
        physics_open(&target, &params);
        physics_begin(&cell, &params);
        for (unsigned i = 0; i < 4; i++)
            physics_arm(&cell, methods[i], 4);
        physics_measure(&cell, &target, 4);
        for (unsigned i = 0; i < 4; i++) {
            physics_expect_ok(&cell, i);
            assert_int_equal(cell.result.arms[i].count_ops, 8);
#ifndef PHYSICS_SANITIZED
            assert_int_equal(physics_count(&cell, i, COUNTER_minor_faults), 0);
#endif
        }
        measure_free(&cell.result);
        target_close(&target);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_munmap_file),
        cmocka_unit_test(test_munmap_private),
        cmocka_unit_test(test_munmap_anonymous),
        cmocka_unit_test(test_munmap_frees_page_tables),
        cmocka_unit_test(test_dontneed_refaults),
        cmocka_unit_test(test_mprotect_keeps_contents),
        cmocka_unit_test(test_mremap_keeps_contents),
        cmocka_unit_test(test_mremap_moves_page_tables),
        cmocka_unit_test(test_vmas_are_exact),
        cmocka_unit_test(test_map_unmap_leaves_nothing),
        cmocka_unit_test(test_huge_pages),
        cmocka_unit_test(test_calls_take_no_fault),
    };
    return physics_run(tests);
}
