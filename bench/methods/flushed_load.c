/* SPDX-License-Identifier: MIT */
/*
 * Measures:         a load whose address is what the load before it has found, each of another line. All lines were
 *                   flushed from every cache before the batch and then loaded through the first of two views
 *                   alias_bytes apart; the timed loads go through the second, which no load has used since the flush
 *                   (through: other), or through the first, too (same). With through: copy the second view is of other
 *                   pages with the same contents, whose lines nobody has brought back: each load waits for memory.
 * Does not measure: TLB misses of the last level: another line of each page has been loaded through the same view.
 * Expect:           same: an L1 or L2 hit. copy: 70-150 ns. other: as same and, on AMD Zen, a mispredicted way; if the
 *                   second view had lines of its own, as copy.
 * Source:           no kernel function; the caches are looked up by physical address.
 */
#include <errno.h>
#include <string.h>

#include "flush.h"
#include "views.h"

enum {
    /* A page each, so that no prefetcher knows the next. All are in L1, and both views of them in any second-level TLB:
     * of 512 the views are in each other's way in that of a Zen 1, where their distance is a multiple of 16 MiB. */
    LINES = 256,
    STEP_BYTES = 4096,
    LINE_BYTES = 64
};

struct own {
    struct twin twin;
    const void *at;      /* the line to be loaded next … */
    uint64_t next, done; /* … which is that one of the order, after so many loads since it was looked at */
};

static size_t offset_of(uint64_t index)
{
    return index * STEP_BYTES + (index * UINT64_C(0x9e3779b97f4a7c15) >> 32) % (STEP_BYTES / LINE_BYTES) * LINE_BYTES;
}

/* A linear congruential generator of full period: each line once, in no order. */
static uint64_t next_of(uint64_t index)
{
    return (index * 405 + 129) % LINES;
}

static unsigned timed_view(const struct params *params)
{
    return params->through != through_same;
}

static unsigned char *line_at(const struct worker *worker, uint64_t index)
{
    return twin_at(worker->own, timed_view(worker->params), offset_of(index));
}

static int run(struct worker *worker, uint64_t blocks)
{
    struct own *own = worker->own;
    const void *at = own->at;
    for (uint64_t i = 0; i < blocks; i++)
        at = *(void *const volatile *)at;
    own->at = at;
    own->done += blocks;
    return 0;
}

/* Whether the loads since the last look have come by the lines in their order. */
static int check_order(const struct worker *worker, struct err *err)
{
    struct own *own = worker->own;
    for (; own->done; own->done--)
        own->next = next_of(own->next);
    return own->at == line_at(worker, own->next) ? 0 : err_set(err, EPROTO, "a load has found what nobody has stored");
}

static void load_all(const struct twin *twin, unsigned view, size_t beside)
{
    for (uint64_t i = 0; i < LINES; i++)
        (void)*(volatile unsigned char *)twin_at(twin, view, offset_of(i) ^ beside);
}

static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    const struct twin *twin = &((const struct own *)worker->own)->twin;
    (void)blocks;
    int rc = check_order(worker, err);
    if (rc)
        return rc;
    for (uint64_t i = 0; i < LINES; i++)
        for (unsigned view = 0; view < 2; view++)
            flush_line(twin_at(twin, view, offset_of(i)));
    flush_wait();
    load_all(twin, timed_view(worker->params), STEP_BYTES / 2);
    load_all(twin, 0, 0);
    flush_wait();
    return 0;
}

static int setup(struct worker *worker, struct err *err)
{
    if (!FLUSH_IS_POSSIBLE)
        return err_set(err, EOPNOTSUPP, "a program cannot flush a cache line on this architecture");
    int rc = views_begin(worker, (size_t)LINES * STEP_BYTES, sizeof(struct own), err);
    if (rc)
        return rc;
    struct own *own = worker->own;
    for (uint64_t i = 0; i < LINES; i++) {
        const void *next = line_at(worker, next_of(i));
        for (unsigned view = 0; view < 2; view++)
            memcpy(twin_at(&own->twin, view, offset_of(i)), &next, sizeof next);
    }
    own->at = line_at(worker, 0);
    return 0;
}

static uint64_t limit(const struct params *params)
{
    (void)params;
    return LINES;
}

static uint64_t memory(const struct params *params)
{
    return (params->through == through_copy ? 2 : 1) * (uint64_t)LINES * STEP_BYTES;
}

static uint64_t vmas(const struct params *params)
{
    return twin_vmas((size_t)LINES * STEP_BYTES, params->alias_bytes);
}

static uint64_t block_ns(const struct params *params)
{
    return params->through == through_copy ? 120 : 10;
}

static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    const uint64_t line_ns = 80;
    (void)params;
    (void)blocks;
    return line_ns * LINES;
}

const struct method method_flushed_load = {
    .name = "flushed_load",
    .measures = "dependent loads of flushed cache lines, or of such as another view has brought back",
    .version = 2,
    .uses = VIEWS_USES,
    .limit = limit,
    .memory = memory,
    .vmas = vmas,
    .fills = true,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = views_end,
};
