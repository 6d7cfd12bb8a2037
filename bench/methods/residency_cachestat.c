/* SPDX-License-Identifier: MIT */
/*
 * Measures:         asking how many pages of a range of the file are in the page cache by cachestat (Linux 6.5), which
 *                   counts them itself, folio by folio, and needs no mapping.
 * Does not measure: which of them those are: it does not say.
 * Expect:           a system call and 5-20 ns a folio: the larger the folios, the less.
 * Source:           mm/filemap.c filemap_cachestat.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "cachestat.h"
#include "descriptor.h"
#include "target.h"
#include "walk.h"

static int run(struct worker *worker, uint64_t blocks)
{
    struct cachestat_pages found;
    int rc = 0;
    for (uint64_t i = 0; i < blocks && rc == 0; i++) {
        rc = cachestat_look(worker->fd, 0, worker->params->range_bytes, &found);
        worker->sum += rc ? 0 : found.cache;
    }
    return rc;
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = descriptor_open_plain(worker);
    if (rc)
        return err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc));
    rc = run(worker, 1);
    if (rc)
        return err_set(err, rc == -ENOSYS || rc == -EOPNOTSUPP ? EOPNOTSUPP : -rc, "cachestat: %s", strerror(-rc));
    return worker->target->cachestat
               ? 0
               : err_set(err, EOPNOTSUPP, "cachestat does not show what this filesystem has in the page cache");
}

static uint64_t block_ns(const struct params *params)
{
    return 450 + params->range_bytes / 18000;
}

const struct method method_residency_cachestat = {
    .name = "residency_cachestat",
    .measures = "asking how many pages of a range are in the page cache, by cachestat",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = FIELD_BIT(range_bytes),
    .op_bytes = method_range_bytes,
    .block_ns = block_ns,
    .setup = setup,
    .run = run,
    .teardown = descriptor_teardown,
};
