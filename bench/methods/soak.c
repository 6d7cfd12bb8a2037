/* SPDX-License-Identifier: MIT */
/*
 * Measures:         what happens by itself to pages that a program keeps storing to: an operation stores to every page
 *                   of the mapping (access: load: loads), syncs them where sync says so, and rests until a tenth of a
 *                   second has passed since it began. Its counts are the result: where nothing is synced, faults beside
 *                   those of the first touch are pages that the kernel's flusher has written back, and write-protected
 *                   for it, meanwhile.
 * Does not measure: time: an operation takes a beat by design.
 * Expect:           over 60 s or more every page of a file on a disk faults again about once in
 *                   dirty_expire_centisecs + dirty_writeback_centisecs (35 s); none on tmpfs or in a private mapping.
 * Source:           fs/fs-writeback.c wb_workfn, wb_check_old_data_flush and move_expired_inodes; mm/rmap.c
 *                   folio_mkclean.
 */
#define _GNU_SOURCE
#include <string.h>

#include "beat.h"
#include "descriptor.h"
#include "mapping.h"
#include "sync.h"
#include "target.h"

static int visit(struct worker *worker)
{
    const struct params *params = worker->params;
    mapping_settle(worker);
    return sync_apply(worker, (enum sync)params->sync, 0, params->working_set_bytes);
}

static int run(struct worker *worker, uint64_t beats)
{
    return beat_each(worker, beats, visit);
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = descriptor_open_plain(worker);
    if (rc)
        return err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc));
    rc = mapping_make(worker, err);
    if (rc == 0)
        mapping_settle(worker);
    return rc;
}

static void teardown(struct worker *worker)
{
    mapping_remove(worker);
    descriptor_close(worker);
}

const struct method method_soak = {
    .name = "soak",
    .measures = "stores to every page ten times a second: what the kernel does to them by itself",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = FIELD_BIT(access) | FIELD_BIT(sharing) | FIELD_BIT(advice) | FIELD_BIT(sync),
    .block_ns = beat_ns,
    .setup = setup,
    .run = run,
    .teardown = teardown,
};
