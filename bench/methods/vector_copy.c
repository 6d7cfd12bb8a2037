/* SPDX-License-Identifier: MIT */
/*
 * Measures:         doubling a vector of range_bytes by copying it to other memory. buffer: touched has the pages there
 *                   touched before, as what an allocator has at hand; fresh maps them within the operation and unmaps
 *                   the old ones, as malloc and free of glibc do from 128 KiB on. A fresh mapping is advised within it
 *                   (MADV_NOHUGEPAGE or MADV_HUGEPAGE), so that its pages are of the size asked for.
 * Does not measure: filling the vector; what an allocator does to find the memory that it has at hand.
 * Expect:           touched: the speed of memory, 0.05-0.1 ns a byte within the caches, 0.1-0.2 beyond them; fresh:
 *                   6 us and 1-2 us a page, nearly all of it the first touches.
 * Source:           memcpy; mm/memory.c do_anonymous_page, zap_pte_range.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "vectors.h"

static void grow_touched(const struct vectors *vectors, struct vector *vector)
{
    struct paged_vector grown = {vector->to, 2 * vectors->bytes};
    memcpy(grown.at, vector->now.at, vectors->bytes);
    vector->to = vector->now.at;
    vector->now = grown;
}

static int grow_fresh(const struct params *params, const struct vectors *vectors, struct vector *vector)
{
    struct paged_vector fresh;
    int rc = paged_vector_make(&fresh, 2 * vectors->bytes);
    if (rc == 0)
        rc = vectors_advise(params, fresh.at, fresh.bytes);
    if (rc)
        return rc;
    memcpy(fresh.at, vector->now.at, vectors->bytes);
    paged_vector_free(&vector->now);
    vector->now = fresh;
    return 0;
}

static int run(struct worker *worker, uint64_t count)
{
    struct vectors *vectors = vectors_begin(worker, count);
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        struct vector *vector = &vectors->items[i];
        if (vectors->way == VECTORS_COPIED_FRESH)
            rc = grow_fresh(worker->params, vectors, vector);
        else
            grow_touched(vectors, vector);
    }
    return vectors_end(worker, rc);
}

static int setup(struct worker *worker, struct err *err)
{
    bool fresh = worker->params->buffer == buffer_fresh;
    return vectors_setup(worker, fresh ? VECTORS_COPIED_FRESH : VECTORS_COPIED_TOUCHED, err);
}

static uint64_t memory(const struct params *params)
{
    return 2 * vectors_limit(params) * params->range_bytes;
}

static uint64_t block_ns(const struct params *params)
{
    const uint64_t call_ns = 6000, page_ns = 1800, huge_ns = 200 * US;
    uint64_t bytes = params->range_bytes, copy_ns = bytes < MIB ? bytes / 20 : bytes / 10;
    if (params->buffer != buffer_fresh)
        return 50 + copy_ns;
    return call_ns + copy_ns + (params->pages == pages_thp ? bytes / (2 * MIB) * huge_ns : bytes / (4 * KIB) * page_ns);
}

const struct method method_vector_copy = {
    .name = "vector_copy",
    .measures = "doubling a vector by copying it to other memory",
    .version = 2,
    .uses = USES_VECTORS | FIELD_BIT(buffer),
    .op_bytes = method_range_bytes,
    .limit = vectors_limit,
    .memory = memory,
    .fills = true,
    .block_ns = block_ns,
    .reset_ns = vectors_reset_ns,
    .setup = setup,
    .reset = vectors_reset,
    .run = run,
    .teardown = vectors_teardown,
};
