/* SPDX-License-Identifier: MIT */
/*
 * Measures:         a snapshot by copying everything: memory for it, a copy of the working set, a store to the pages
 *                   that are written, giving the memory back. buffer says which memory: fresh (mapped for this
 *                   snapshot, base pages), huge (the same in huge pages), reused (kept from snapshot to snapshot).
 * Does not measure: mapping what is copied, which stays mapped and populated.
 * Expect:           0.1-0.3 ns a byte into kept memory, three times that into fresh; the same whatever is written.
 * Source:           memcpy; mm/memory.c do_anonymous_page, mm/huge_memory.c do_huge_pmd_anonymous_page.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "anonymous.h"
#include "forked.h"
#include "smaps.h"
#include "snapshot.h"
#include "walk.h"

/* The kept destination hangs on worker->buffer, of worker->buffer_bytes. */
static int take(struct worker *worker)
{
    const struct snapshot *snapshot = worker->own;
    unsigned char *copy = worker->buffer;
    struct err unread;
    int rc = copy ? 0 : anonymous_make(&copy, snapshot->bytes, worker->params->buffer == buffer_huge, &unread);
    if (rc)
        return rc;
    memcpy(copy, worker->base, snapshot->bytes);
    worker->sum += snapshot_use(worker, copy);
    if (copy != worker->buffer)
        anonymous_remove(copy, snapshot->bytes);
    return 0;
}

static int run(struct worker *worker, uint64_t blocks)
{
    return snapshot_each(worker, blocks, take);
}

static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    (void)blocks;
    return snapshot_rehearse(worker, take, err);
}

/* Whether fresh memory comes in the pages asked for. */
static int try_fresh(const struct worker *worker, struct err *err)
{
    bool huge = worker->params->buffer == buffer_huge;
    unsigned char *memory;
    struct smaps found;
    int rc = anonymous_make(&memory, worker->base_bytes, huge, err);
    if (rc)
        return rc;
    anonymous_touch(memory, worker->base_bytes);
    if (smaps_read(memory, worker->base_bytes, &found) && huge != (found.huge > 0))
        rc = err_set(err, EOPNOTSUPP, "the kernel gave %llu of %zu bytes in huge pages", (unsigned long long)found.huge,
                     worker->base_bytes);
    anonymous_remove(memory, worker->base_bytes);
    return rc;
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = snapshot_begin(worker, err);
    if (rc == 0 && worker->params->buffer == buffer_touched)
        rc = err_set(err, EINVAL, "buffer: touched has no meaning for a snapshot: write reused, fresh or huge");
    if (rc || worker->params->buffer != buffer_reused)
        return rc ? rc : try_fresh(worker, err);
    rc = anonymous_make(&worker->buffer, worker->base_bytes, false, err);
    if (rc)
        return rc;
    anonymous_touch(worker->buffer, worker->base_bytes);
    rc = forked_leave_out(worker->buffer, worker->base_bytes);
    return rc ? err_set(err, -rc, "MADV_DONTFORK: %s", strerror(-rc)) : 0;
}

static void teardown(struct worker *worker)
{
    anonymous_remove(worker->buffer, worker->base_bytes);
    worker->buffer = NULL;
    snapshot_end(worker);
}

static uint64_t memory(const struct params *params)
{
    return params->working_set_bytes;
}

static uint64_t block_ns(const struct params *params)
{
    uint64_t fresh = params->buffer == buffer_fresh  ? params->block_bytes * 3 / 5
                     : params->buffer == buffer_huge ? 50
                                                     : 0;
    return params->block_bytes / 13 + fresh;
}

const struct method method_snapshot_copy = {
    .name = "snapshot_copy",
    .measures = "a snapshot by copying everything, and stores to a share of its pages",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = SNAPSHOT_USES | FIELD_BIT(buffer),
    .memory = memory,
    .block_ns = block_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
