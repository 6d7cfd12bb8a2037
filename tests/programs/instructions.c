/* SPDX-License-Identifier: MIT */
/*
 * Instructions that methods execute, in user space and in the kernel: for an emulator that counts them exactly.
 *
 *   instructions METHOD OPERATIONS EXTRA   prints "METHOD OPERATIONS EXTRA TYPICAL SHARE TOTAL"
 *
 * Each operation is counted by itself, several times over; of each the fewest are kept, which are those without an
 * interrupt. TYPICAL is what most operations took, in percent SHARE, and TOTAL the sum of all. TYPICAL is the cost of
 * the code alone. The others depend on the state the kernel is in, by a few instructions in ten thousand: every 512th
 * fault allocates a page table, some meet a list of pages that has run empty, and which ones these are changes with
 * every byte of memory that is used before. EXTRA instructions (0 to 8) are executed in addition in every operation.
 * What counting itself takes is subtracted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "offsets.h"
#include "region.h"
#include "target.h"

enum {
    PAGES = 2048,
    REPEATS = 8,
    EXTRA_MOST = 8,
    SETTLE_US = 50000, /* until the kernel's coarse clock has left the time at which the file was made */
};

/* What is counted, with all it needs. */
struct counted {
    const struct method *method;
    struct params params;
    struct target target;
    struct offsets offsets;
    struct worker worker;
    int fd; /* of the counter */
    uint64_t extra;
    uint64_t fewest[PAGES];
};

static int open_counter(struct err *err)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_HARDWARE,
        .size = sizeof attr,
        .config = PERF_COUNT_HW_INSTRUCTIONS,
        .exclude_hv = 1,
    };
    int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
    return fd < 0 ? err_sys(err, "perf_event_open") : fd;
}

/* A file of PAGES pages on tmpfs, each a folio of its own, visited page by page in one mapping. */
static struct params params_of(const struct method *method)
{
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    struct params params;
    params_default(&params);
    params.backing = backing_tmpfs;
    params.cache = cache_as_found;
    params.recipe = recipe_write_4KiB;
    params.file_bytes = params.working_set_bytes = PAGES * page_bytes;
    params.range_bytes = params.window_bytes = params.file_bytes;
    params.block_bytes = params.stride_bytes = page_bytes;
    params.touches = PAGES;
    params.pattern = pattern_sequential;
    /* Stores, which map one page a fault: loads would map those around it as well. */
    if (strcmp(method->name, "first_touch") == 0 || strcmp(method->name, "cow_break") == 0)
        params.access = access_store;
    if (strcmp(method->name, "cow_break") == 0)
        params.sharing = sharing_private;
    return params;
}

static uint64_t counter_value(int fd)
{
    uint64_t value = 0;
    return read(fd, &value, sizeof value) == (ssize_t)sizeof value ? value : 0;
}

/* So many instructions, and as many for the jump whichever they are: by address, where a switch would compare. */
__attribute__((noinline)) static void execute(uint64_t count)
{
    static const void *const last[] = {&&none, &&one, &&two, &&three, &&four, &&five, &&six, &&seven, &&eight};
    goto *last[count];
eight:
    __asm__ volatile("nop");
seven:
    __asm__ volatile("nop");
six:
    __asm__ volatile("nop");
five:
    __asm__ volatile("nop");
four:
    __asm__ volatile("nop");
three:
    __asm__ volatile("nop");
two:
    __asm__ volatile("nop");
one:
    __asm__ volatile("nop");
none:
    return;
}

/*
 * Instructions of `blocks` blocks at once, with those of reading the counter. Negative: -errno. Not inlined: none at
 * all is to go the same way.
 */
__attribute__((noinline)) static int64_t count_one(struct counted *counted, uint64_t blocks)
{
    uint64_t before = counter_value(counted->fd);
    int rc = counted->method->run(&counted->worker, blocks);
    execute(blocks * counted->extra);
    uint64_t after = counter_value(counted->fd);
    return rc ? rc : after > before ? (int64_t)(after - before) : -EIO;
}

/* The fewest instructions of each operation, over several repeats. */
static int count_all(struct counted *counted, uint64_t operations, struct err *err)
{
    volatile uint64_t blocks[] = {0, 1}; /* not known when compiling: both calls are of the same code */
    int64_t none = INT64_MAX;
    usleep(SETTLE_US);
    for (unsigned repeat = 0; repeat <= REPEATS; repeat++) {
        if (counted->method->reset && counted->method->reset(&counted->worker, operations, err))
            return -EIO;
        counted->worker.cursor = 0;
        for (uint64_t i = 0; i < operations; i++) {
            int64_t empty = count_one(counted, blocks[0]), now = count_one(counted, blocks[1]);
            if (empty < 0 || now < 0)
                return err_set(err, EIO, "operation %" PRIu64 " cannot be counted", i);
            if (repeat == 0) /* the first read of a file sets its time of access */
                continue;
            none = empty < none ? empty : none;
            if (repeat == 1 || (uint64_t)now < counted->fewest[i])
                counted->fewest[i] = (uint64_t)now;
        }
    }
    for (uint64_t i = 0; i < operations; i++)
        counted->fewest[i] -= (uint64_t)none;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;
    return *left < *right ? -1 : *left > *right;
}

/* The most frequent of `count` values, which are sorted by it, and how often it is there. */
static uint64_t typical_of(uint64_t *values, uint64_t count, uint64_t *times)
{
    uint64_t best = 0, run = 0;
    *times = 0;
    qsort(values, count, sizeof *values, by_value);
    for (uint64_t i = 0; i < count; i++) {
        run = i && values[i] == values[i - 1] ? run + 1 : 1;
        if (run > *times) {
            *times = run;
            best = values[i];
        }
    }
    return best;
}

static int prepare(struct counted *counted, struct err *err)
{
    struct target_request request = {
        .params = &counted->params, .directory = "/dev/shm", .name = "instructions", .given_path = ""};
    int rc = target_open(&counted->target, &request, err);
    if (rc == 0)
        rc = offsets_make(&counted->offsets, &counted->params, 1, err);
    counted->worker = (struct worker){
        .params = &counted->params,
        .target = &counted->target,
        .offsets = counted->offsets.items,
        .offset_count = counted->offsets.count,
        .fd = -1,
        .crew_fd = -1,
        .sharers = 1,
        .consumer = (unsigned)counted->params.consumer,
        .writes = method_writes(counted->method, &counted->params),
    };
    if (rc == 0 && counted->method->needs & NEEDS_BUFFER)
        rc = region_make(&counted->worker, err);
    return rc || !counted->method->setup ? rc : counted->method->setup(&counted->worker, err);
}

static void finish(struct counted *counted)
{
    if (counted->method->teardown)
        counted->method->teardown(&counted->worker);
    region_remove(&counted->worker);
    offsets_free(&counted->offsets);
    target_close(&counted->target);
}

static void print(struct counted *counted, uint64_t operations)
{
    uint64_t total = 0, times;
    for (uint64_t i = 0; i < operations; i++)
        total += counted->fewest[i];
    uint64_t typical = typical_of(counted->fewest, operations, &times);
    printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", counted->method->name, operations,
           counted->extra, typical, times * 100 / operations, total);
}

int main(int argc, char **argv)
{
    static struct counted counted = {.target = {.fd = -1}};
    struct err err = {0};
    uint64_t operations = argc == 4 ? strtoull(argv[2], NULL, 10) : 0;
    counted.extra = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
    counted.method = argc == 4 ? method_find(argv[1]) : NULL;
    if (!counted.method || operations == 0 || operations > PAGES || counted.extra > EXTRA_MOST) {
        fprintf(stderr, "usage: instructions METHOD OPERATIONS EXTRA (at most %d and %d)\n", PAGES, EXTRA_MOST);
        return 2;
    }
    counted.params = params_of(counted.method);
    counted.fd = open_counter(&err);
    int rc = counted.fd < 0 ? counted.fd : prepare(&counted, &err);
    if (rc == 0)
        rc = count_all(&counted, operations, &err);
    finish(&counted);
    if (rc) {
        fprintf(stderr, "instructions: %s\n", err.text);
        return 1;
    }
    print(&counted, operations);
    return 0;
}
