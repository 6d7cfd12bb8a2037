/* SPDX-License-Identifier: MIT */
/* What the physics tests share: a target without a trace on disk, cells made by hand, and skipping with a reason. */
#ifndef FAULTLINE_PHYSICS_H
#define FAULTLINE_PHYSICS_H

#include <errno.h>
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

/* Huge pages for shared memory, which one fault maps whole: only where an administrator wants them. */
static inline void physics_need_small_memory(void)
{
    char line[128] = "";
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "re");
    if (file && !fgets(line, sizeof line, file))
        line[0] = '\0';
    if (file)
        fclose(file);
    if (strstr(line, "[always]") || strstr(line, "[force]") || strstr(line, "[within_size]"))
        physics_skip("shared memory comes in huge pages here");
}

/* Runs the tests; 77 when none of them could run here. */
#define physics_run(tests) physics_status(cmocka_run_group_tests(tests, NULL, NULL), sizeof(tests) / sizeof(tests)[0])

static inline int physics_status(int failed, size_t count)
{
    return failed ? 1 : physics_skipped == count ? 77 : 0;
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

/* Pages of files that the kernel has reclaimed on this machine, by whatever means (pgsteal_file, Linux 5.8). */
static inline uint64_t physics_reclaimed(void)
{
    char line[128];
    uint64_t pages = 0;
    FILE *vmstat = fopen("/proc/vmstat", "re");
    while (vmstat && fgets(line, sizeof line, vmstat) && sscanf(line, "pgsteal_file %" SCNu64, &pages) != 1)
        ;
    if (vmstat)
        fclose(vmstat);
    return pages;
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

#endif
