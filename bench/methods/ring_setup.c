/* SPDX-License-Identifier: MIT */
/*
 * Measures:         making a mirrored ring of ring_bytes and freeing it again: the memory (ring_of), addresses for two
 *                   views, both mapped, and unmapped.
 * Does not measure: touching it (ring_touch_first, ring_touch_second): no page of it is there. Of a file the blocks are
 *                   allocated, for what a full disk would do later is a signal.
 * Expect:           17-26 us, least without a descriptor (mremap). A file on a disk: 0.2-2.5 ms, nearly all of it
 *                   giving back the blocks, which waits for the journal now and then; on a fresh image 50 us.
 * Source:           mm/memfd.c, mm/mmap.c, ipc/shm.c do_shmat, mm/mremap.c vma_to_resize; bench/techniques/mirror.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "ring.h"

static int run(struct worker *worker, uint64_t count)
{
    const struct ring_wish *wish = worker->own;
    struct mirror mirror;
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        rc = mirror_make(&mirror, &wish->mirror);
        mirror_free(&mirror);
    }
    return rc;
}

/* Whether it can be had at all, and why not. */
static int setup(struct worker *worker, struct err *err)
{
    struct ring_wish *wish = worker->own = calloc(1, sizeof *wish);
    struct mirror mirror;
    if (!wish)
        return err_set(err, ENOMEM, "no memory for a ring");
    int rc = ring_wish(wish, worker, err);
    if (rc == 0) {
        rc = ring_mirror(wish, &mirror, err);
        mirror_free(&mirror);
    }
    return rc;
}

static void teardown(struct worker *worker)
{
    free(worker->own);
    worker->own = NULL;
}

static uint64_t block_ns(const struct params *params)
{
    static const uint64_t us[ring_of_count] = {[ring_of_memfd] = 19,  [ring_of_shm] = 26,  [ring_of_tmpfs] = 22,
                                               [ring_of_file] = 1000, [ring_of_sysv] = 22, [ring_of_mremap] = 17};
    bool on_image = params->ring_of == ring_of_file &&
                    params->backing != backing_file; /* made for the run, and empty */
    return on_image ? 50 * US : us[params->ring_of] * US;
}

const struct method method_ring_setup = {
    .name = "ring_setup",
    .measures = "making a mirrored ring and freeing it, untouched",
    .version = 2,
    .needs = NEEDS_FILE,
    .uses = FIELD_BIT(ring_bytes) | FIELD_BIT(ring_of),
    .memory = method_no_memory,
    .block_ns = block_ns,
    .setup = setup,
    .run = run,
    .teardown = teardown,
};
