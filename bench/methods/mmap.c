/* SPDX-License-Identifier: MIT */
/*
 * Measures:         reaching a block through a mapping of the file: its page fault where there is one, the copy to the
 *                   buffer (consume: copy) and the consumption, or the store from the buffer (access: store); with
 *                   lifetime: per_pass also mmap, populate, advice and munmap of each pass, again for every window that
 *                   window_bytes cuts the file into; with descriptor: per_pass also open, fstat (how a program learns
 *                   what to map) and close; with sync the sync call that ends each pass.
 * Does not measure: with lifetime: kept the mapping and, unless the file is cold, its first touches.
 * Expect:           kept and in place: a cache miss; per pass: a few us, and a fault for every fault-around window; a
 *                   store to a clean page: 1-3 us for the write fault.
 * Source:           mm/mmap.c do_mmap, mm/filemap.c filemap_fault and filemap_map_pages, mm/memory.c do_shared_fault,
 *                   do_cow_fault, wp_page_shared and unmap_page_range, mm/msync.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "descriptor.h"
#include "mapping.h"
#include "storage.h"
#include "sync.h"
#include "target.h"

/* How many blocks from the cursor on, at most `blocks`, lie in the window that begins at `window`: at least one. */
static uint64_t blocks_within(const struct worker *worker, uint64_t blocks, uint64_t window)
{
    uint64_t window_bytes = worker->params->window_bytes, next = worker->cursor, count = 0;
    do {
        count++;
        next = next + 1 == worker->offset_count ? 0 : next + 1;
    } while (count < blocks && worker->offsets[next] - window < window_bytes); /* below the window: a huge number */
    return count;
}

/* Before each window the one before it is unmapped; the last is left to the end of the pass. */
static int visit_windows(struct worker *worker, uint64_t blocks)
{
    struct err unread;
    int rc = 0;
    for (uint64_t count; blocks && rc == 0; blocks -= count) {
        uint64_t offset = worker->offsets[worker->cursor], window = offset - offset % worker->params->window_bytes;
        count = blocks_within(worker, blocks, window);
        rc = mapping_remove(worker);
        if (rc == 0)
            rc = mapping_make_window(worker, window, &unread);
        if (rc)
            break;
        worker->base -= window; /* offsets count from the start of the file */
        mapping_visit(worker, count);
        worker->base += window;
    }
    return rc;
}

static int visit_whole(struct worker *worker, uint64_t blocks)
{
    struct err unread;
    int rc = mapping_make(worker, &unread);
    if (rc == 0)
        mapping_visit(worker, blocks);
    return rc;
}

static int sync_pass(const struct worker *worker)
{
    return sync_apply(worker, (enum sync)worker->params->sync, 0, worker->params->working_set_bytes);
}

static int pass(struct worker *worker, uint64_t touches)
{
    bool opens = worker->params->descriptor == descriptor_per_pass;
    struct stat status;
    int rc = opens ? descriptor_open_plain(worker) : 0;
    if (rc)
        return rc;
    rc = opens && fstat(worker->fd, &status) ? -errno
         : mapping_slides(worker->params)    ? visit_windows(worker, touches)
                                             : visit_whole(worker, touches);
    if (rc == 0)
        rc = sync_pass(worker);
    int rc_remove = mapping_remove(worker);
    int rc_close = opens ? descriptor_close(worker) : 0;
    return rc ? rc : rc_remove ? rc_remove : rc_close;
}

static int kept_pass(struct worker *worker, uint64_t touches)
{
    mapping_visit(worker, touches);
    return sync_pass(worker);
}

static int run(struct worker *worker, uint64_t blocks)
{
    const struct params *params = worker->params;
    bool kept = params->lifetime == lifetime_kept;
    int rc = 0;
    if (kept && params->sync == sync_none)
        mapping_visit(worker, blocks);
    else
        for (uint64_t done = 0; done < blocks && rc == 0; done += params->touches)
            rc = kept ? kept_pass(worker, params->touches) : pass(worker, params->touches);
    return rc;
}

static int try_once(struct worker *worker, struct err *err)
{
    int rc = mapping_slides(worker->params) ? mapping_make_window(worker, 0, err) : mapping_make(worker, err);
    int rc_remove = mapping_remove(worker);
    return rc || rc_remove == 0 ? rc : err_set(err, -rc_remove, "munmap: %s", strerror(-rc_remove));
}

/* What cannot be mapped says so here, with a text, and not within the first pass; trying would warm a cold file. */
static int setup(struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    int rc = mapping_check(worker, err);
    if (rc == 0 && (rc = descriptor_open_plain(worker)))
        err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc));
    if (rc == 0 && params->lifetime == lifetime_per_pass)
        rc = params->cache == cache_cold ? 0 : try_once(worker, err);
    else if (rc == 0 && (rc = mapping_make(worker, err)) == 0)
        mapping_settle(worker);
    if (params->descriptor == descriptor_per_pass)
        descriptor_close(worker);
    return rc;
}

static void teardown(struct worker *worker)
{
    mapping_remove(worker);
    descriptor_close(worker);
}

/*
 * A fault reads around its address what the device reads ahead (mm/filemap.c do_sync_mmap_readahead), megabytes for a
 * page maybe, unless advice says that the pattern is random; but no byte twice a pass.
 */
static uint64_t cold_ns(const struct params *params)
{
    const struct storage *rates = storage_rates();
    double block = (double)params->block_bytes, around = storage_ahead_bytes(params);
    const double together = 0.6; /* one large request takes less a byte than many in a row */
    double share = (double)params->working_set_bytes / (double)params_granule(params);
    if (params->pattern == pattern_sequential)
        return (uint64_t)(block * rates->read_byte_ns);
    if (params->advice == advice_random) { /* each page by a fault of its own */
        double page = (double)sysconf(_SC_PAGESIZE), pages = block < page ? 1 : block / page;
        return (uint64_t)(pages * (rates->fetch_ns + page * rates->read_byte_ns));
    }
    around = around < share ? around : share;
    return (uint64_t)(rates->fetch_ns + (around > block ? around : block) * rates->read_byte_ns * together);
}

/* Under a memory limit that is too small for the file, a load finds it as cold as one of a cold file does. */
static uint64_t block_ns(const struct params *params)
{
    uint64_t bytes = params->block_bytes;
    bool misses = params->memory_limit && params->working_set_bytes > params->memory_limit;
    if (params->access == access_load && (misses || params->cache == cache_cold))
        return cold_ns(params);
    if (params->access == access_load)
        return 20 + bytes / 12;
    bool again = params->cache == cache_dirty && params->lifetime == lifetime_kept;
    return (again ? 20 : 2500) + bytes / 9 + sync_pass_ns(params) / params->touches;
}

static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    bool dirties = params->access == access_store && params->sharing != sharing_private;
    return dirties ? sync_restore_ns(params, blocks) : 0;
}

const struct method method_mmap = {
    .name = "mmap",
    .measures = "reaching a block through a mapping of the file",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | NEEDS_NAME,
    .uses = USES_WORK | FIELD_BIT(buffer) | FIELD_BIT(descriptor) | FIELD_BIT(advice) | FIELD_BIT(sharing) |
            FIELD_BIT(consume) | FIELD_BIT(lifetime) | FIELD_BIT(populate) | FIELD_BIT(vma) | FIELD_BIT(access) |
            FIELD_BIT(locked) | FIELD_BIT(window_bytes) | FIELD_BIT(sync) | FIELD_BIT(protection),
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .run = run,
    .teardown = teardown,
};
