/* SPDX-License-Identifier: MIT */
/*
 * Measures:         fallocate(FALLOC_FL_PUNCH_HOLE) of range_bytes of a file of its own, whose pages are cached, clean
 *                   and mapped by the worker and by `mappers` other processes: each page table entry of each of them
 *                   is found and removed, then the pages leave the cache and the blocks the file.
 * Does not measure: writing the range again, its sync and the touches by all, before the next batch, untimed.
 * Expect:           10-100 us for the filesystem (journal, extents), and some us for every process that maps the range.
 * Source:           mm/truncate.c truncate_pagecache_range, mm/memory.c unmap_mapping_range; fs/ext4/inode.c
 *                   ext4_punch_hole, mm/shmem.c shmem_fallocate.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mapper.h"
#include "method.h"
#include "target.h"

enum { RANGES_MAX = 16 };
#define FILE_BYTES (16 * MIB)

struct punch {
    struct mappers *mappers;
    unsigned char *page; /* what each is written with */
    uint64_t bytes;      /* of a range */
};

static uint64_t bytes_of(const struct params *params)
{
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    return (params->range_bytes + page_bytes - 1) / page_bytes * page_bytes;
}

static uint64_t limit(const struct params *params)
{
    uint64_t fit = FILE_BYTES / bytes_of(params);
    return fit < 1 ? 1 : fit < RANGES_MAX ? fit : RANGES_MAX;
}

static int punch_hole(int fd, uint64_t offset, uint64_t bytes)
{
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes) ? -errno : 0;
}

static int run(struct worker *worker, uint64_t count)
{
    const struct punch *punch = worker->own;
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++)
        rc = punch_hole(worker->fd, i * punch->bytes, punch->bytes);
    return rc;
}

static int reset(struct worker *worker, uint64_t count, struct err *err)
{
    const struct punch *punch = worker->own;
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    for (uint64_t at = 0; at < count * punch->bytes; at += page_bytes)
        if (pwrite(worker->fd, punch->page, page_bytes, (off_t)at) != (ssize_t)page_bytes)
            return err_sys(err, "write to a file in %s", worker->target->directory);
    if (fsync(worker->fd))
        return err_sys(err, "fsync of a file in %s", worker->target->directory);
    for (uint64_t at = 0; at < count * punch->bytes; at += page_bytes)
        (void)*(const volatile unsigned char *)(worker->base + at);
    return mappers_touch(punch->mappers, err);
}

/* A file without a name: nothing is left behind however this ends. */
static int make_file(struct worker *worker, struct err *err)
{
    char path[sizeof worker->target->directory + sizeof "/punch-XXXXXX"];
    if (!worker->target->ours)
        return err_set(err, EOPNOTSUPP, "no file is made beside your own");
    snprintf(path, sizeof path, "%s/punch-XXXXXX", worker->target->directory);
    worker->fd = mkostemp(path, O_CLOEXEC);
    if (worker->fd < 0)
        return err_sys(err, "create a file in %s", worker->target->directory);
    if (unlink(path))
        return err_sys(err, "unlink %s", path);
    return ftruncate(worker->fd, (off_t)worker->base_bytes) ? err_sys(err, "ftruncate %s", path) : 0;
}

static int map_file(struct worker *worker, struct err *err)
{
    worker->base = mmap(NULL, worker->base_bytes, PROT_READ, MAP_SHARED, worker->fd, 0);
    if (worker->base == MAP_FAILED) {
        worker->base = NULL;
        return err_sys(err, "mmap of a file in %s", worker->target->directory);
    }
    madvise(worker->base, worker->base_bytes, MADV_DONTFORK); /* the mappers are not to map it twice */
    return 0;
}

static int setup(struct worker *worker, struct err *err)
{
    struct punch *punch = worker->own = calloc(1, sizeof *punch);
    if (!punch)
        return err_set(err, ENOMEM, "no memory for a range");
    punch->bytes = bytes_of(worker->params);
    worker->base_bytes = limit(worker->params) * punch->bytes;
    punch->page = malloc((size_t)sysconf(_SC_PAGESIZE));
    if (!punch->page)
        return err_set(err, ENOMEM, "no memory for a range");
    for (long i = 0; i < sysconf(_SC_PAGESIZE); i++)
        punch->page[i] = (unsigned char)(i * 37 + 11);
    int rc = make_file(worker, err);
    if (rc)
        return rc;
    rc = punch_hole(worker->fd, 0, punch->bytes);
    if (rc)
        return err_set(err, -rc, "punch a hole: %s", strerror(-rc));
    rc = map_file(worker, err);
    return rc ? rc
              : mappers_start(&punch->mappers, (unsigned)worker->params->mappers, worker->fd, worker->base_bytes, err);
}

static void teardown(struct worker *worker)
{
    struct punch *punch = worker->own;
    if (!punch)
        return;
    mappers_stop(punch->mappers);
    if (worker->base)
        munmap(worker->base, worker->base_bytes);
    if (worker->fd >= 0)
        close(worker->fd);
    free(punch->page);
    free(punch);
    worker->base = NULL;
    worker->own = NULL;
    worker->fd = -1;
}

static uint64_t block_ns(const struct params *params)
{
    const uint64_t call_ns = 30000, page_ns = 1800, mapper_page_ns = 100;
    uint64_t pages = bytes_of(params) / (uint64_t)sysconf(_SC_PAGESIZE);
    return call_ns + pages * (page_ns + params->mappers * mapper_page_ns);
}

static uint64_t reset_ns(const struct params *params, uint64_t count)
{
    const uint64_t sync_ns = 500 * US, page_ns = 6000, mapper_page_ns = 300;
    uint64_t pages = bytes_of(params) / (uint64_t)sysconf(_SC_PAGESIZE);
    return sync_ns + count * pages * (page_ns + params->mappers * mapper_page_ns);
}

const struct method method_punch = {
    .name = "punch",
    .measures = "punching a hole into a file that processes map",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = FIELD_BIT(range_bytes) | FIELD_BIT(mappers) | FIELD_BIT(surplus),
    .limit = limit,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
