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
#include <sys/syscall.h>
#include <unistd.h>

#include "descriptor.h"
#include "target.h"
#include "walk.h"

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

/* As in linux/mman.h from Linux 6.5 on. */
struct range {
    uint64_t offset, length;
};
struct numbers {
    uint64_t cache, dirty, writeback, evicted, recently_evicted;
};

static int run(struct worker *worker, uint64_t blocks)
{
    struct range range = {0, worker->params->range_bytes};
    struct numbers found;
    for (uint64_t i = 0; i < blocks; i++) {
        if (syscall(SYS_cachestat, worker->fd, &range, &found, 0))
            return -errno;
        worker->sum += found.cache;
    }
    return 0;
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
    .block_ns = block_ns,
    .setup = setup,
    .run = run,
    .teardown = descriptor_teardown,
};
