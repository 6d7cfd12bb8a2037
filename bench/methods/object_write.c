/* SPDX-License-Identifier: MIT */
/*
 * Measures:         a store of one byte to an object, after a fork whose child still has it: the first store to a page
 *                   takes a write-protection fault and copies the page, the next to the same page is a store. `objects`
 *                   says whether objects share pages.
 * Does not measure: the fork, the objects' allocation, the child's end.
 * Expect:           2-3 us where each object has a page of its own; where they lie packed that much for the first of a
 *                   page and nothing for the others: the more of them are written, the less each costs.
 * Source:           mm/memory.c do_wp_page, wp_page_copy.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "anonymous.h"
#include "forked.h"
#include "objects.h"

/* worker->base holds all objects. */
struct writing {
    uint64_t offsets[OBJECTS_COUNT]; /* of those that are written to */
    uint64_t next;
    pid_t child;
};

/* What is written beside the objects is written with 0 of them, too. */
static int run(struct worker *worker, uint64_t count)
{
    struct writing *own = worker->own;
    uint64_t next = own->next, end = next + count;
    for (; next < end; next++)
        *(volatile unsigned char *)(worker->base + own->offsets[next]) = 2;
    *(volatile uint64_t *)&own->next = next;
    return 0;
}

static int fork_with_objects(struct worker *worker)
{
    struct writing *own = worker->own;
    pid_t parent = getpid();
    own->child = fork();
    if (own->child == 0) {
        forked_follow(parent);
        forked_wait_for_end();
    }
    if (own->child < 0)
        return -errno;
    forked_rest();
    int rc = run(worker, 0);
    return rc ? rc : forked_leave_out(worker->base, worker->base_bytes);
}

/* Fresh memory each time: what was copied is the parent's own. */
static int reset(struct worker *worker, uint64_t count, struct err *err)
{
    struct writing *own = worker->own;
    (void)count;
    forked_end(own->child);
    own->child = 0;
    own->next = 0;
    anonymous_remove(worker->base, worker->base_bytes);
    int rc = anonymous_make(&worker->base, worker->base_bytes, false, err);
    if (rc)
        return rc;
    anonymous_touch(worker->base, worker->base_bytes);
    rc = fork_with_objects(worker);
    return rc ? err_set(err, -rc, "fork: %s", strerror(-rc)) : 0;
}

static int setup(struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    struct writing *own = worker->own = calloc(1, sizeof *own);
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    if (!own)
        return err_set(err, ENOMEM, "no memory for the objects");
    if (params->object_bytes > page_bytes)
        return err_set(err, EOPNOTSUPP, "an object of %llu bytes is larger than a page",
                       (unsigned long long)params->object_bytes);
    worker->base_bytes = OBJECTS_COUNT * objects_step(params, page_bytes);
    for (uint64_t i = 0; i < objects_written(params); i++)
        own->offsets[i] = objects_offset(params, page_bytes, i);
    return 0;
}

static void teardown(struct worker *worker)
{
    struct writing *own = worker->own;
    if (!own)
        return;
    forked_end(own->child);
    anonymous_remove(worker->base, worker->base_bytes);
    free(own);
    worker->own = NULL;
}

/* After a fork each is written to once. */
static uint64_t limit(const struct params *params)
{
    return objects_written(params);
}

/* With what the parent copies. */
static uint64_t memory(const struct params *params)
{
    return 2 * (uint64_t)OBJECTS_COUNT * objects_step(params, 4 * KIB);
}

static uint64_t block_ns(const struct params *params)
{
    const uint64_t break_ns = 2500;
    uint64_t apart = OBJECTS_COUNT / objects_written(params) * objects_step(params, 4 * KIB);
    return apart >= 4 * KIB ? break_ns : 2 + break_ns * apart / (4 * KIB);
}

static uint64_t reset_ns(const struct params *params, uint64_t count)
{
    (void)count;
    return 600 * US + OBJECTS_COUNT * objects_step(params, 4 * KIB) / (4 * KIB) * 4000;
}

const struct method method_object_write = {
    .name = "object_write",
    .measures = "a store to an object after a fork, objects packed or each in a page of its own",
    .version = 1,
    .needs = FORKS,
    .uses = FIELD_BIT(object_bytes) | FIELD_BIT(written_share) | FIELD_BIT(objects),
    .limit = limit,
    .memory = memory,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
