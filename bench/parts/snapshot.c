/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "descriptor.h"
#include "random.h"
#include "target.h"
#include "walk.h"

/* A random choice of the pages in random order, the same wherever this is called. */
static int draw_pages(struct snapshot *snapshot, double share, uint64_t page_bytes, struct err *err)
{
    struct random random = {random_derive(0, 's')};
    uint64_t pages = snapshot->bytes / page_bytes;
    snapshot->written = calloc(pages, sizeof *snapshot->written);
    if (!snapshot->written)
        return err_set(err, ENOMEM, "no memory for a list of pages");
    for (uint64_t i = 0; i < pages; i++) { /* Fisher-Yates, inside out */
        uint64_t j = random_below(&random, i + 1);
        snapshot->written[i] = snapshot->written[j];
        snapshot->written[j] = i * page_bytes;
    }
    snapshot->written_count = (uint64_t)(share * (double)pages + 0.5);
    return 0;
}

static int map_source(struct worker *worker, uint64_t page_bytes, struct err *err)
{
    worker->base = mmap(NULL, worker->base_bytes, PROT_READ, MAP_SHARED, worker->fd, 0);
    if (worker->base == MAP_FAILED) {
        worker->base = NULL;
        return err_sys(err, "mmap %s", worker->target->path);
    }
    for (uint64_t at = 0; at < worker->base_bytes; at += page_bytes)
        (void)*(const volatile unsigned char *)(worker->base + at);
    return 0;
}

int snapshot_begin(struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    uint64_t page_bytes = worker->target->page_bytes;
    struct snapshot *snapshot = worker->own = calloc(1, sizeof *snapshot);
    if (!snapshot)
        return err_set(err, ENOMEM, "no memory for a snapshot");
    snapshot->bytes = worker->base_bytes = (params->working_set_bytes + page_bytes - 1) / page_bytes * page_bytes;
    int rc = draw_pages(snapshot, params->written_share, page_bytes, err);
    if (rc)
        return rc;
    rc = descriptor_open_plain(worker);
    return rc ? err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc))
              : map_source(worker, page_bytes, err);
}

void snapshot_end(struct worker *worker)
{
    struct snapshot *snapshot = worker->own;
    if (worker->base)
        munmap(worker->base, worker->base_bytes);
    worker->base = NULL;
    descriptor_close(worker);
    if (snapshot)
        free(snapshot->written);
    free(snapshot);
    worker->own = NULL;
}

uint64_t snapshot_written_bytes(const struct params *params)
{
    return (uint64_t)(params->written_share * (double)params->working_set_bytes);
}

uint64_t snapshot_use(const struct worker *worker, unsigned char *base)
{
    const struct snapshot *snapshot = worker->own;
    for (uint64_t i = 0; i < snapshot->written_count; i++)
        *(volatile uint64_t *)(void *)(base + snapshot->written[i]) = ~snapshot->written[i];
    return worker->consumer == consumer_sum ? walk_sum(base, snapshot->bytes) : 0;
}

int snapshot_each(struct worker *worker, uint64_t blocks, int (*take)(struct worker *))
{
    int rc = 0;
    for (uint64_t done = 0; done < blocks && rc == 0; done += worker->params->touches)
        rc = take(worker);
    return rc;
}

int snapshot_rehearse(struct worker *worker, int (*take)(struct worker *), struct err *err)
{
    struct snapshot *snapshot = worker->own, whole = *snapshot;
    uint64_t sum = worker->sum;
    snapshot->bytes = worker->target->page_bytes;
    snapshot->written_count = 0;
    int rc = take(worker);
    *snapshot = whole;
    worker->sum = sum;
    return rc ? err_set(err, -rc, "a snapshot of one page: %s", strerror(-rc)) : 0;
}
