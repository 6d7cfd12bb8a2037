/* SPDX-License-Identifier: MIT */
/* What the physics tests share: a target without a trace on disk, cells made by hand, and skipping with a reason. */
#ifndef FAULTLINE_PHYSICS_H
#define FAULTLINE_PHYSICS_H

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "attempts.h"
#include "measure.h"
#include "target.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define PHYSICS_SANITIZED 1
#endif
#if __has_feature(thread_sanitizer)
#define PHYSICS_THREADS_ONLY 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PHYSICS_SANITIZED 1
#if defined(__SANITIZE_THREAD__)
#define PHYSICS_THREADS_ONLY 1
#endif
#endif

static unsigned physics_skipped;

/* Ends the test as one that cannot run here, and says why. */
#define physics_skip(...)                                                                                              \
    do {                                                                                                               \
        print_message("%s: skipped: ", __func__);                                                                      \
        print_message(__VA_ARGS__);                                                                                    \
        print_message("\n");                                                                                           \
        physics_skipped++;                                                                                             \
        skip();                                                                                                        \
    } while (0)

/* A sanitizer's own memory is touched for the first time whenever it likes: exact counts are for other builds. */
static inline void physics_need_exact_counts(void)
{
#ifdef PHYSICS_SANITIZED
    physics_skip("a sanitizer takes page faults and makes system calls of its own");
#endif
}

/* When others have made so much dirty that the kernel writes back whatever it finds, nothing stays dirty for long. */
static inline void physics_need_calm(void)
{
    enum { WAIT_US = 100000, WAITS = 200 };
    for (unsigned i = 0; vmstat_number("nr_dirty") > vmstat_number("nr_dirty_background_threshold"); i++) {
        if (i == WAITS)
            physics_skip("others keep so much dirty that the kernel writes back at once");
        usleep(WAIT_US);
    }
}

/* Whether the line that is chosen in a file of the kernel's, such as "always [madvise] never", is one of these. */
static inline bool physics_is_chosen(const char *path, const char *const *wanted)
{
    char line[128] = "";
    FILE *file = fopen(path, "re");
    if (file && !fgets(line, sizeof line, file))
        line[0] = '\0';
    if (file)
        fclose(file);
    for (; *wanted; wanted++)
        if (strstr(line, *wanted))
            return true;
    return false;
}

/* The first size of pages larger than a base page, smaller than a huge one or as large, for which `name` says one of
 * these; NULL: none. Valid until the next call. */
static inline const char *physics_size_chosen(const char *name, const char *const *wanted)
{
    static char path[256];
    const char *found = NULL;
    glob_t sizes;
    snprintf(path, sizeof path, "/sys/kernel/mm/transparent_hugepage/hugepages-*/%s", name);
    if (glob(path, 0, NULL, &sizes))
        return NULL;
    for (size_t i = 0; i < sizes.gl_pathc && !found; i++)
        if (physics_is_chosen(sizes.gl_pathv[i], wanted)) {
            snprintf(path, sizeof path, "%s", sizes.gl_pathv[i]);
            found = path;
        }
    globfree(&sizes);
    return found;
}

/* Huge pages for shared memory, or other large ones, which one fault maps whole: only where an administrator wants
 * them, for all of it, for a size, or for what lies in /dev/shm. */
static inline void physics_need_small_memory(void)
{
    static const char *const global[] = {"[always]", "[force]", "[within_size]", NULL};
    static const char *const sized[] = {"[always]", "[within_size]", NULL};
    char line[1024], place[256], options[512];
    const char *size = physics_size_chosen("shmem_enabled", sized);
    bool mounted = false;
    if (physics_is_chosen("/sys/kernel/mm/transparent_hugepage/shmem_enabled", global))
        physics_skip("shared memory comes in huge pages here");
    if (size)
        physics_skip("shared memory comes in large pages here: %s", size);
    FILE *mounts = fopen("/proc/self/mounts", "re");
    while (mounts && fgets(line, sizeof line, mounts))
        if (sscanf(line, "%*s %255s %*s %511s", place, options) == 2 && strcmp(place, "/dev/shm") == 0)
            mounted = strstr(options, "huge=") && !strstr(options, "huge=never") && !strstr(options, "huge=advise");
    if (mounts)
        fclose(mounts);
    if (mounted)
        physics_skip("/dev/shm is mounted with huge pages");
}

/* Anonymous memory that comes in small pages where nothing is advised. */
static inline void physics_need_small_anonymous(void)
{
    static const char *const always[] = {"[always]", NULL};
    const char *size = physics_size_chosen("enabled", always);
    if (size)
        physics_skip("anonymous memory comes in large pages here: %s", size);
}

/* How often fragmented memory had no huge page to give to a fault. */
static inline uint64_t physics_huge_refused(void)
{
    return vmstat_number("thp_fault_fallback");
}

/* Ends the test as skipped where it had none since then: what huge pages do is not to be seen in small ones. */
static inline void physics_need_huge_given(uint64_t refused_before)
{
    if (physics_huge_refused() != refused_before)
        physics_skip("fragmented memory had no huge page to give");
}

struct physics_cachestat { /* struct cachestat of linux/mman.h, absent from older headers */
    uint64_t cache, dirty, writeback, evicted, recently_evicted;
};

/* The same by cachestat(2); false where the kernel or the filesystem has none. */
static inline bool physics_cachestat(int fd, uint64_t bytes, struct physics_cachestat *found)
{
    enum { CACHESTAT = 451 }; /* the same on every architecture */
    uint64_t range[2] = {0, bytes};
    return syscall(CACHESTAT, fd, range, found, 0) == 0;
}

/* Whether the kernel has reclaimed pages of a file that is open here, as that of a failed test still is: where a page
 * was that it took, and it alone, it leaves a note (mm/workingset.c), which cachestat counts. */
static inline bool physics_pages_taken(void)
{
    struct physics_cachestat found;
    int most = (int)sysconf(_SC_OPEN_MAX) < 1024 ? (int)sysconf(_SC_OPEN_MAX) : 1024;
    for (int fd = 3; fd < most; fd++)
        if (physics_cachestat(fd, UINT64_MAX, &found) && found.evicted)
            return true;
    return false;
}

/* Runs the tests; 77 when none of them could run here. What others disturbed is run again: attempts.h. */
#define physics_run(tests) physics_run_beside(tests, 0)

/* The same for programs that others disturb in more ways than all: bits of enum disturbance. */
#define physics_run_beside(tests, kinds) physics_run_group(tests, sizeof(tests) / sizeof(tests)[0], kinds, NULL, NULL)

static inline int physics_run_group(const struct CMUnitTest *tests, size_t count, unsigned kinds,
                                    CMFixtureFunction group_setup, CMFixtureFunction group_teardown)
{
    int index = ATTEMPTS_NO_CASE;
    if (!attempts_told(&index))
        return attempts_run(tests, count, kinds | DISTURBED_BY_RECLAIM | DISTURBED_BY_MIGRATION);
    if (index >= 0) {
        tests += index;
        count = 1;
    }
    int failed = _cmocka_run_group_tests("tests", tests, count, group_setup, group_teardown);
    if (failed)
        return physics_pages_taken() ? ATTEMPTS_TAKEN : 1;
    return physics_skipped == count ? 77 : 0;
}

static inline uint64_t physics_page_bytes(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Resolved parameters: a file visited front to back, page by page, once a batch; no latency pass, little to wait for.
 */
static inline struct params physics_params(uint64_t file_bytes, enum recipe recipe, enum cache cache)
{
    struct params params;
    params_default(&params);
    params.file_bytes = params.working_set_bytes = file_bytes;
    params.recipe = recipe;
    params.cache = cache;
    params.pattern = pattern_sequential;
    params.block_bytes = params.stride_bytes = physics_page_bytes();
    params.touches = params.count_ops = file_bytes / params.block_bytes;
    params.range_bytes = params.window_bytes = file_bytes;
    params.latency = latency_none;
    params.arm_time = 1 * MS;
    return params;
}

/*
 * Makes the target in a folder that is gone, with its name, before this returns: nothing is left behind whatever
 * happens. What the filesystem cannot do ends the test as skipped.
 */
static inline void physics_open(struct target *target, const struct params *params)
{
    char directory[64];
    struct err err = {0};
    snprintf(directory, sizeof directory, "%s/faultline-physics-XXXXXX",
             params->backing == backing_tmpfs ? "/dev/shm" : "/var/tmp");
    if (!mkdtemp(directory))
        physics_skip("no folder can be made as %s: %s", directory, strerror(errno));
    struct target_request request = {
        .params = params, .directory = directory, .name = "target", .given_path = "", .seed = 42};
    int rc = target_open(target, &request, &err);
    if (rmdir(directory))
        fail_msg("something is left in %s", directory);
    if (rc == -EOPNOTSUPP || rc == -ENOSPC)
        physics_skip("%s", err.text);
    if (rc)
        fail_msg("%s", err.text);
}

/* Pages of files that the kernel has reclaimed on this machine for want of memory (pgsteal_file, Linux 5.8). */
static inline uint64_t physics_reclaimed(void)
{
    return vmstat_number("pgsteal_file");
}

/* One cell of given arms. */
struct physics_cell {
    uint64_t reclaimed; /* before it was begun */
    struct plan_scenario scenario;
    struct plan plan;
    struct cell cell;
    struct arm arms[4];
    uint64_t ops[4]; /* per batch */
    struct cell_result result;
};

/* A cell whose arms have these conditions in common; arms are added with physics_arm. */
static inline void physics_begin(struct physics_cell *cell, const struct params *params)
{
    memset(cell, 0, sizeof *cell);
    cell->reclaimed = physics_reclaimed();
    snprintf(cell->scenario.name, sizeof cell->scenario.name, "physics");
    static char name[] = "physics";
    cell->scenario.op = cell->scenario.question = name;
    cell->plan.scenarios = &cell->scenario;
    cell->plan.scenario_count = 1;
    snprintf(cell->cell.id, sizeof cell->cell.id, "all");
    cell->cell.params = *params;
    cell->cell.arms = cell->arms;
}

/* Adds an arm with the cell's parameters and `ops` operations a batch; returns it to be changed. */
static inline struct arm *physics_arm(struct physics_cell *cell, const struct method *method, uint64_t ops)
{
    unsigned a = cell->cell.arm_count++;
    cell->arms[a] = (struct arm){.method = method, .params = cell->cell.params};
    snprintf(cell->arms[a].name, sizeof cell->arms[a].name, "%s", method->name);
    cell->ops[a] = ops;
    return &cell->arms[a];
}

static inline struct measure_request physics_request(struct physics_cell *cell, struct target *target)
{
    return (struct measure_request){
        .plan = &cell->plan,
        .cell = &cell->cell,
        .target = target,
        .seed = 42,
        .ops = cell->ops,
        .turn = {.read_fd = -1, .write_fd = -1},
        .clock = {.cost_ns = 20, .grid_ns = 1},
    };
}

/* Why an arm failed whose pages were gone from the page cache while the kernel took pages away; NULL: none did. */
static inline const char *physics_gone(const struct physics_cell *cell)
{
    bool reclaims = physics_reclaimed() > cell->reclaimed;
    for (unsigned a = 0; a < cell->result.arm_count && reclaims; a++)
        if (cell->result.arms[a].status == ARM_FAILED && strstr(cell->result.arms[a].reason, "pages are missing"))
            return cell->result.arms[a].reason;
    return NULL;
}

/* Measures the cell with so many rounds, at most three times where its pages went away. Free cell->result with
 * measure_free. */
static inline void physics_measure(struct physics_cell *cell, struct target *target, unsigned rounds)
{
    struct err err = {0};
    struct measure_request request = physics_request(cell, target);
    request.rounds = rounds;
    for (unsigned tries = 3; tries; tries--) {
        if (measure_cell(&request, &cell->result, &err))
            fail_msg("%s", err.text);
        if (tries == 1 || !physics_gone(cell))
            return;
        print_message("once more: %s\n", physics_gone(cell));
        measure_free(&cell->result);
    }
}

/* The same until each arm has read `wanted` [arms] bytes from storage: a page of the program's own that was reclaimed,
 * or a block of metadata, is fetched too, and a page that somebody holds is not given back, but not every time. The
 * last measurement is kept in any case. */
static inline void physics_measure_reads(struct physics_cell *cell, struct target *target, unsigned rounds,
                                         const uint64_t *wanted)
{
    for (unsigned tries = 5; tries; tries--) {
        bool more = false;
        physics_measure(cell, target, rounds);
        for (unsigned a = 0; a < cell->result.arm_count; a++) {
            const struct arm_result *arm = &cell->result.arms[a];
            uint64_t bytes = arm->has_counts ? arm->counts.values[COUNTER_read_bytes] : wanted[a];
            more |= bytes != UINT64_MAX && bytes != wanted[a];
        }
        if (tries == 1 || !more)
            return;
        measure_free(&cell->result);
    }
}

/* Fails the test with the arm's own reason unless the arm is ok. A file whose recipe is lost to the kernel's reclaim
 * can be tested no further. */
static inline void physics_expect_ok(const struct physics_cell *cell, unsigned arm)
{
    bool lost = strstr(cell->result.arms[arm].reason, "recipe no longer shows") &&
                physics_reclaimed() > cell->reclaimed;
    if (cell->result.arms[arm].status == ARM_UNSUPPORTED || lost)
        physics_skip("%s", cell->result.arms[arm].reason);
    if (cell->result.arms[arm].status != ARM_OK)
        fail_msg("%s: %s", cell->arms[arm].name, cell->result.arms[arm].reason);
}

static inline uint64_t physics_count(const struct physics_cell *cell, unsigned arm, enum counter_id counter)
{
    assert_true(cell->result.arms[arm].has_counts);
    return cell->result.arms[arm].counts.values[counter];
}

/* Pages of a mapping that are in this process's page table: bit 63 of /proc/self/pagemap, which needs no rights. */
static inline uint64_t physics_mapped_pages(const unsigned char *base, uint64_t bytes)
{
    uint64_t page_bytes = physics_page_bytes(), count = 0, entry = 0;
    FILE *pagemap = fopen("/proc/self/pagemap", "re");
    if (!pagemap)
        physics_skip("/proc/self/pagemap: %s", strerror(errno));
    assert_int_equal(fseeko(pagemap, (off_t)((uintptr_t)base / page_bytes * sizeof entry), SEEK_SET), 0);
    for (uint64_t at = 0; at < bytes; at += page_bytes) {
        assert_int_equal(fread(&entry, sizeof entry, 1, pagemap), 1);
        count += entry >> 63;
    }
    fclose(pagemap);
    return count;
}

/* Resident pages of the leading `bytes` of a file by mincore(2): not the way the engine asks where it can help it. */
static inline uint64_t physics_mincore(int fd, uint64_t bytes)
{
    uint64_t pages = (bytes + physics_page_bytes() - 1) / physics_page_bytes(), resident = 0;
    unsigned char *vector = malloc(pages);
    void *base = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    assert_non_null(vector);
    assert_ptr_not_equal(base, MAP_FAILED);
    assert_int_equal(mincore(base, bytes, vector), 0);
    for (uint64_t i = 0; i < pages; i++)
        resident += vector[i] & 1;
    munmap(base, bytes);
    free(vector);
    return resident;
}

#endif
