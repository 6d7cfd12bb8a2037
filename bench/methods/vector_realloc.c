/* SPDX-License-Identifier: MIT */
/*
 * Measures:         doubling a vector of range_bytes by realloc of the C library. glibc calls mremap for what malloc
 *                   has mapped, which is what did not fit into its heap from its threshold of 128 KiB on; anything
 *                   else it copies, unless there is room behind it, and frees the old.
 * Does not measure: malloc, filling and free of the vectors, which are made one after the other before each batch. The
 *                   threshold stays where it is at first, as in a process that only ever grows vectors: freeing a
 *                   large block would raise it. The heap has room for grown vectors below the threshold, whose pages
 *                   were touched before, and none for larger ones; within a batch nothing is given back. Pages are
 *                   small as far as they can be advised before: those of a grown vector that malloc maps itself are
 *                   what the system gives.
 * Expect:           up to 32 KiB as copying to touched memory, or less, for where it copies to was just freed; with
 *                   64 KiB the grown one passes the threshold: every second is copied to memory that malloc maps for
 *                   it, a fault a page, the others to where two neighbours were; from 128 KiB on as mremap.
 * Source:           glibc malloc/malloc.c __libc_realloc, _int_realloc, sysmalloc, mremap_chunk.
 */
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vectors.h"

/* Of glibc: DEFAULT_MMAP_THRESHOLD, and DEFAULT_TRIM_THRESHOLD, up to which the end of the heap is not given back. */
#define MAP_THRESHOLD_BYTES (128 * KIB)
#define TRIM_THRESHOLD_BYTES (128 * KIB)

static int run(struct worker *worker, uint64_t count)
{
    struct vectors *vectors = vectors_begin(worker, count);
    size_t bytes = 2 * vectors->bytes;
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        struct paged_vector *now = &vectors->items[i].now;
        unsigned char *grown = realloc(now->at, bytes);
        rc = grown ? 0 : -ENOMEM;
        *now = grown ? (struct paged_vector){grown, bytes} : *now;
    }
    return vectors_end(worker, rc);
}

static void release(const struct vectors *vectors)
{
    for (uint64_t i = 0; i < vectors->count; i++) {
        free(vectors->items[i].now.at);
        vectors->items[i].now = (struct paged_vector){0};
    }
}

/* Memory of malloc begins within a page. */
static int advise(const struct worker *worker, unsigned char *at, size_t bytes)
{
    const struct vectors *vectors = worker->own;
    size_t into = (uintptr_t)at % vectors->page_bytes, page = vectors->page_bytes;
    return vectors_advise(worker->params, at - into, (into + bytes + page - 1) / page * page);
}

static int make(const struct worker *worker, uint64_t n)
{
    const struct vectors *vectors = worker->own;
    unsigned char *at = malloc(vectors->bytes);
    if (!at)
        return -ENOMEM;
    vectors->items[n].now = (struct paged_vector){at, vectors->bytes};
    int rc = advise(worker, at, vectors->bytes);
    if (rc == 0)
        vectors_fill(vectors, n);
    return rc;
}

/* Whether the heap is where it grows. */
static bool stays_in_heap(const struct params *params)
{
    return 2 * params->range_bytes < MAP_THRESHOLD_BYTES;
}

static int reset(struct worker *worker, uint64_t count, struct err *err)
{
    struct vectors *vectors = worker->own;
    int rc = vectors_look(vectors, err);
    if (rc)
        return rc;
    release(vectors);
    for (uint64_t i = 0; i < count && rc == 0; i++)
        rc = make(worker, i);
    if (!stays_in_heap(worker->params))
        malloc_trim(0); /* else a larger batch before this one would have left room behind the vectors */
    return rc ? err_set(err, -rc, "make a vector: %s", strerror(-rc)) : siblings_resume(vectors->siblings, err);
}

/* All vectors, and all of them grown. */
static uint64_t heap_bytes(const struct params *params)
{
    return stays_in_heap(params) ? 3 * vectors_limit(params) * params->range_bytes : 0;
}

/* Touches so much of the heap, in small pages, and gives it back to malloc, which has it at hand from then on. */
static int warm_heap(const struct worker *worker, uint64_t bytes)
{
    size_t block_bytes = MAP_THRESHOLD_BYTES / 2;
    unsigned char *last = NULL;
    int rc = 0;
    for (uint64_t done = 0; done < bytes && rc == 0; done += block_bytes) {
        unsigned char *block = malloc(block_bytes);
        rc = block ? advise(worker, block, block_bytes) : -ENOMEM;
        if (!block)
            break;
        memset(block, 1, block_bytes);
        memcpy(block, &last, sizeof last); /* the one before it */
        last = block;
    }
    while (last) {
        unsigned char *block = last;
        memcpy(&last, block, sizeof last);
        free(block);
    }
    return rc;
}

/* For the whole process. What cannot be had back is that glibc adapts the first of them by itself. */
static bool set_thresholds(int map_bytes, int trim_bytes)
{
    return mallopt(M_MMAP_THRESHOLD, map_bytes) && mallopt(M_TRIM_THRESHOLD, trim_bytes);
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = vectors_setup_empty(worker, err);
    if (rc)
        return rc;
    malloc_trim(0);
    if (!set_thresholds(MAP_THRESHOLD_BYTES, INT_MAX))
        return err_set(err, EOPNOTSUPP, "this C library does not let the thresholds of malloc be set");
    rc = warm_heap(worker, heap_bytes(worker->params));
    return rc ? err_set(err, -rc, "touch a heap: %s", strerror(-rc)) : 0;
}

static void teardown(struct worker *worker)
{
    struct vectors *vectors = worker->own;
    if (!vectors)
        return;
    release(vectors);
    vectors_forget(worker);
    set_thresholds(MAP_THRESHOLD_BYTES, TRIM_THRESHOLD_BYTES);
    malloc_trim(0);
}

/* A grown vector's new half is touched by nobody. */
static uint64_t memory(const struct params *params)
{
    uint64_t all = vectors_limit(params) * params->range_bytes;
    return stays_in_heap(params) ? heap_bytes(params) : params->range_bytes < MAP_THRESHOLD_BYTES ? 2 * all : all;
}

static uint64_t pages_of(const struct params *params)
{
    return (params->range_bytes + 4 * KIB - 1) / (4 * KIB);
}

/* Where it leaves the heap the first two and then every second are copied to fresh memory: three of four of a few. */
static uint64_t block_ns(const struct params *params)
{
    const uint64_t call_ns = 80, map_ns = 5000, page_ns = 2300, entry_ns = 10;
    if (params->range_bytes >= MAP_THRESHOLD_BYTES)
        return map_ns + pages_of(params) * entry_ns;
    return stays_in_heap(params) ? call_ns + params->range_bytes / 35 : (map_ns + pages_of(params) * page_ns) * 3 / 4;
}

/* Those that stay in the heap are filled; of others each page is faulted in again. */
static uint64_t reset_ns(const struct params *params, uint64_t count)
{
    const uint64_t call_ns = 500, page_ns = 2200, filled_ns = params->range_bytes / 8;
    return count * (call_ns + (stays_in_heap(params) ? filled_ns : pages_of(params) * page_ns));
}

const struct method method_vector_realloc = {
    .name = "vector_realloc",
    .measures = "doubling a vector by realloc",
    .version = 2,
    .uses = FIELD_BIT(range_bytes) | FIELD_BIT(siblings) | FIELD_BIT(sibling_work),
    .limit = vectors_limit,
    .memory = memory,
    .op_bytes = method_range_bytes,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
