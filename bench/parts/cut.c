/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cut.h"
#include "mapper.h"
#include "target.h"

enum { RANGES_MAX = 16 };
#define FILE_BYTES (16 * MIB)

struct cut {
    cut_fn *take; /* a range from the file */
    struct mappers *mappers;
    unsigned char *page; /* what each is written with */
    uint64_t bytes;      /* of a range */
};

static uint64_t bytes_of(const struct params *params)
{
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    return (params->range_bytes + page_bytes - 1) / page_bytes * page_bytes;
}

uint64_t cut_limit(const struct params *params)
{
    uint64_t fit = FILE_BYTES / bytes_of(params);
    return fit < 1 ? 1 : fit < RANGES_MAX ? fit : RANGES_MAX;
}

int cut_run(struct worker *worker, uint64_t count)
{
    const struct cut *cut = worker->own;
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++)
        rc = cut->take(worker->fd, worker->base_bytes - (i + 1) * cut->bytes, cut->bytes);
    return rc;
}

int cut_reset(struct worker *worker, uint64_t count, struct err *err)
{
    const struct cut *cut = worker->own;
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE), begin = worker->base_bytes - count * cut->bytes;
    if (ftruncate(worker->fd, (off_t)worker->base_bytes))
        return err_sys(err, "ftruncate of a file in %s", worker->target->directory);
    for (uint64_t at = begin; at < worker->base_bytes; at += page_bytes)
        if (pwrite(worker->fd, cut->page, page_bytes, (off_t)at) != (ssize_t)page_bytes)
            return err_sys(err, "write to a file in %s", worker->target->directory);
    if (fsync(worker->fd))
        return err_sys(err, "fsync of a file in %s", worker->target->directory);
    for (uint64_t at = begin; at < worker->base_bytes; at += page_bytes)
        (void)*(const volatile unsigned char *)(worker->base + at);
    return mappers_touch(cut->mappers, err);
}

/* A file without a name: nothing is left behind however this ends. */
static int make_file(struct worker *worker, struct err *err)
{
    char path[sizeof worker->target->directory + sizeof "/cut-XXXXXX"];
    if (!worker->target->ours)
        return err_set(err, EOPNOTSUPP, "no file is made beside your own");
    snprintf(path, sizeof path, "%s/cut-XXXXXX", worker->target->directory);
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

int cut_begin(struct worker *worker, cut_fn *take, struct err *err)
{
    struct cut *cut = worker->own = calloc(1, sizeof *cut);
    if (!cut)
        return err_set(err, ENOMEM, "no memory for a range");
    cut->take = take;
    cut->bytes = bytes_of(worker->params);
    worker->base_bytes = cut_limit(worker->params) * cut->bytes;
    cut->page = malloc((size_t)sysconf(_SC_PAGESIZE));
    if (!cut->page)
        return err_set(err, ENOMEM, "no memory for a range");
    for (long i = 0; i < sysconf(_SC_PAGESIZE); i++)
        cut->page[i] = (unsigned char)(i * 37 + 11);
    int rc = make_file(worker, err);
    if (rc)
        return rc;
    rc = take(worker->fd, worker->base_bytes - cut->bytes, cut->bytes);
    if (rc)
        return err_set(err, -rc, "take a range from a file in %s: %s", worker->target->directory, strerror(-rc));
    if (ftruncate(worker->fd, (off_t)worker->base_bytes))
        return err_sys(err, "ftruncate of a file in %s", worker->target->directory);
    rc = map_file(worker, err);
    return rc ? rc
              : mappers_start(&cut->mappers, (unsigned)worker->params->mappers, mapper_view_shared, worker->fd,
                              worker->base_bytes, err);
}

void cut_end(struct worker *worker)
{
    struct cut *cut = worker->own;
    if (!cut)
        return;
    mappers_stop(cut->mappers);
    if (worker->base)
        munmap(worker->base, worker->base_bytes);
    if (worker->fd >= 0)
        close(worker->fd);
    free(cut->page);
    free(cut);
    worker->base = NULL;
    worker->own = NULL;
    worker->fd = -1;
}

uint64_t cut_ns(const struct params *params)
{
    const uint64_t call_ns = 30000, page_ns = 1800, mapper_page_ns = 100;
    uint64_t pages = bytes_of(params) / (uint64_t)sysconf(_SC_PAGESIZE);
    return call_ns + pages * (page_ns + params->mappers * mapper_page_ns);
}

uint64_t cut_reset_ns(const struct params *params, uint64_t count)
{
    const uint64_t sync_ns = 500 * US, page_ns = 10000, mapper_page_ns = 300;
    uint64_t pages = bytes_of(params) / (uint64_t)sysconf(_SC_PAGESIZE);
    return sync_ns + count * pages * (page_ns + params->mappers * mapper_page_ns);
}
