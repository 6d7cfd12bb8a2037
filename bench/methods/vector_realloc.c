/* SPDX-License-Identifier: MIT */
/*
 * Measures:         doubling a vector of range_bytes by realloc of the C library. glibc copies below its threshold of
 *                   128 KiB, from which on it calls mremap; in either case the vector may stay where it lies.
 * Does not measure: malloc, filling and free of the vectors, which are made one after the other before each batch. The
 *                   threshold is held where it is at first, as it is for a process that only ever grows vectors:
 * freeing a large block would raise it. Pages are what the system gives (transparent huge pages or not). Expect: as
 * copying to touched memory below 128 KiB, as mremap above. Source:           glibc malloc/malloc.c _int_realloc,
 * mremap_chunk.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "vectors.h"

#define THRESHOLD_BYTES (128 * KIB) /* DEFAULT_MMAP_THRESHOLD */
#define REALLOCATED_BYTES (8 * MIB) /* of all vectors of a batch, which are filled anew for each */

struct reallocated {
    unsigned char **items; /* [count] */
    uint64_t count;
    struct siblings *siblings;
};

static uint64_t limit(const struct params *params)
{
    uint64_t fit = REALLOCATED_BYTES / params->range_bytes, most = vectors_limit(params);
    return fit < 1 ? 1 : fit < most ? fit : most;
}

static int run(struct worker *worker, uint64_t count)
{
    struct reallocated *own = worker->own;
    size_t bytes = 2 * worker->params->range_bytes;
    int rc = 0;
    siblings_begin(own->siblings);
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        unsigned char *grown = realloc(own->items[i], bytes);
        rc = grown ? 0 : -ENOMEM;
        own->items[i] = grown ? grown : own->items[i];
    }
    worker->fault = siblings_end(own->siblings);
    return rc;
}

static void release(struct reallocated *own)
{
    for (uint64_t i = 0; i < own->count; i++) {
        free(own->items[i]);
        own->items[i] = NULL;
    }
}

static int make(const struct worker *worker, uint64_t n)
{
    const struct reallocated *own = worker->own;
    uint64_t *words = malloc(worker->params->range_bytes);
    own->items[n] = (unsigned char *)words;
    for (uint64_t i = 0; words && i < worker->params->range_bytes / sizeof *words; i++)
        words[i] = vectors_word(n, i);
    return words ? 0 : -ENOMEM;
}

static int reset(struct worker *worker, uint64_t count, struct err *err)
{
    struct reallocated *own = worker->own;
    int rc = 0;
    release(own);
    for (uint64_t i = 0; i < count && rc == 0; i++)
        rc = make(worker, i);
    return rc ? err_set(err, ENOMEM, "no memory for a vector") : siblings_resume(own->siblings, err);
}

static int setup(struct worker *worker, struct err *err)
{
    struct reallocated *own = worker->own = calloc(1, sizeof *own);
    uint64_t count = limit(worker->params);
    if (own)
        own->items = calloc(count, sizeof *own->items);
    if (!own || !own->items)
        return err_set(err, ENOMEM, "no memory for the vectors");
    own->count = count;
    if (!mallopt(M_MMAP_THRESHOLD, THRESHOLD_BYTES))
        return err_set(err, EOPNOTSUPP, "this C library does not let the threshold of malloc be set");
    return siblings_start(&own->siblings, worker->params, err);
}

static void teardown(struct worker *worker)
{
    struct reallocated *own = worker->own;
    if (!own)
        return;
    siblings_stop(own->siblings);
    release(own);
    free(own->items);
    free(own);
    worker->own = NULL;
}

static uint64_t memory(const struct params *params)
{
    return limit(params) * params->range_bytes;
}

static uint64_t block_ns(const struct params *params)
{
    uint64_t bytes = params->range_bytes;
    return bytes < THRESHOLD_BYTES ? 300 + bytes / 10 : 4000 + bytes / (4 * KIB) * 10;
}

static uint64_t reset_ns(const struct params *params, uint64_t count)
{
    const uint64_t call_ns = 500, page_ns = 2200; /* what was freed is given back, and faulted in again */
    return count * (call_ns + (params->range_bytes - 1) / (4 * KIB) * page_ns + page_ns);
}

const struct method method_vector_realloc = {
    .name = "vector_realloc",
    .measures = "doubling a vector by realloc",
    .version = 1,
    .uses = FIELD_BIT(range_bytes) | FIELD_BIT(siblings) | FIELD_BIT(sibling_work),
    .limit = limit,
    .memory = memory,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
