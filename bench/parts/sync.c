/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sync.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage.h"

bool sync_needs_mapping(enum sync kind)
{
    return kind == sync_msync || kind == sync_msync_async || kind == sync_msync_invalidate;
}

static int call(const struct worker *worker, enum sync kind, uint64_t offset, uint64_t bytes)
{
    enum { WRITE_AND_WAIT = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER };
    switch (kind) {
    case sync_msync:
        return msync(worker->base + offset, bytes, MS_SYNC);
    case sync_msync_async:
        return msync(worker->base + offset, bytes, MS_ASYNC);
    case sync_msync_invalidate:
        return msync(worker->base + offset, bytes, MS_SYNC | MS_INVALIDATE);
    case sync_fdatasync:
        return fdatasync(worker->fd);
    case sync_fsync:
        return fsync(worker->fd);
    case sync_sync_file_range:
        return sync_file_range(worker->fd, (off_t)offset, (off_t)bytes, WRITE_AND_WAIT);
    default:
        return 0;
    }
}

int sync_apply(const struct worker *worker, enum sync kind, uint64_t offset, uint64_t bytes)
{
    return call(worker, kind, offset, bytes) ? -errno : 0;
}

/* What is written back after so many blocks: pages side by side, or wherever the blocks lie. */
static uint64_t write_back_ns(const struct params *params, uint64_t blocks)
{
    bool scattered = params->pattern != pattern_sequential && params->pattern != pattern_stride;
    uint64_t pages = (params->block_bytes + 4 * KIB - 1) / (4 * KIB);
    return (uint64_t)storage_write_back_ns(params, (double)(blocks * pages), scattered);
}

uint64_t sync_pass_ns(const struct params *params)
{
    if (params->sync == sync_none)
        return 0;
    return params->sync == sync_msync_async ? 2 * US : write_back_ns(params, params->touches);
}

/* Times and journal are written back whatever was synced. */
uint64_t sync_restore_ns(const struct params *params, uint64_t blocks)
{
    bool clean = params->cache == cache_warm || params->cache == cache_clean || params->cache == cache_cold;
    bool synced = params->sync != sync_none && params->sync != sync_msync_async;
    return clean ? write_back_ns(params, synced ? 1 : blocks) : 0;
}
