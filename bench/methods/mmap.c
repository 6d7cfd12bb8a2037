/* SPDX-License-Identifier: MIT */
/*
 * Measures:         reaching a block through a mapping of the file: its page fault where there is one, the copy to the
 *                   buffer (consume: copy), the consumption; with lifetime: per_pass also mmap, populate, advice and
 *                   munmap of each pass; with descriptor: per_pass also open, fstat (how a program learns what to map)
 *                   and close.
 * Does not measure: with lifetime: kept the mapping and, unless the file is cold, its first touches.
 * Expect:           kept and in place: a cache miss; per pass: a few us, and a fault for every fault-around window.
 * Source:           mm/mmap.c do_mmap, mm/filemap.c filemap_fault and filemap_map_pages, mm/memory.c unmap_page_range.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "descriptor.h"
#include "mapping.h"
#include "target.h"

static int pass(struct worker *worker, uint64_t touches)
{
    bool opens = worker->params->descriptor == descriptor_per_pass;
    struct stat status;
    int rc = opens ? target_reopen(worker->target) : worker->fd;
    if (rc < 0)
        return rc;
    worker->fd = rc;
    rc = opens && fstat(worker->fd, &status) ? -errno : mapping_make(worker);
    if (rc == 0)
        mapping_visit(worker, touches);
    int rc_remove = mapping_remove(worker);
    int rc_close = opens ? descriptor_close(worker) : 0;
    return rc ? rc : rc_remove ? rc_remove : rc_close;
}

static int run(struct worker *worker, uint64_t blocks)
{
    const struct params *params = worker->params;
    int rc = 0;
    if (params->lifetime == lifetime_kept)
        mapping_visit(worker, blocks);
    else
        for (uint64_t done = 0; done < blocks && rc == 0; done += params->touches)
            rc = pass(worker, params->touches);
    return rc;
}

static int setup(struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    int rc = mapping_check(worker, err);
    if (rc || params->descriptor == descriptor_per_pass)
        return rc;
    worker->fd = target_reopen(worker->target);
    if (worker->fd < 0)
        return err_set(err, -worker->fd, "open %s: %s", worker->target->path, strerror(-worker->fd));
    if (params->lifetime == lifetime_per_pass)
        return 0;
    rc = mapping_make(worker);
    if (rc == 0)
        mapping_settle(worker);
    return rc ? err_set(err, -rc, "mmap %s: %s", worker->target->path, strerror(-rc)) : 0;
}

static void teardown(struct worker *worker)
{
    mapping_remove(worker);
    descriptor_close(worker);
}

const struct method method_mmap = {
    .name = "mmap",
    .measures = "reaching a block through a mapping of the file",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | NEEDS_NAME,
    .uses = USES_WORK | FIELD_BIT(buffer) | FIELD_BIT(descriptor) | FIELD_BIT(advice) | FIELD_BIT(sharing) |
            FIELD_BIT(consume) | FIELD_BIT(lifetime) | FIELD_BIT(populate) | FIELD_BIT(vma),
    .setup = setup,
    .run = run,
    .teardown = teardown,
};
