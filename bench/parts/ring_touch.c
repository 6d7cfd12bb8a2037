/* SPDX-License-Identifier: MIT */
#include "ring_touch.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "ring.h"

static uint64_t page_bytes(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t ring_touch_pages(const struct params *params)
{
    return params->ring_bytes / page_bytes();
}

uint64_t ring_touch_limit(const struct params *params)
{
    (void)params;
    return 1;
}

int ring_touch_setup(struct worker *worker, struct err *err)
{
    struct mirror *mirror = worker->own = calloc(1, sizeof *mirror);
    if (!mirror)
        return err_set(err, ENOMEM, "no memory for a ring");
    return ring_mirror(worker, mirror, err);
}

void ring_touch_teardown(struct worker *worker)
{
    if (worker->own)
        mirror_free(worker->own);
    free(worker->own);
    worker->own = NULL;
}

static void store_each(unsigned char *view, uint64_t pages)
{
    for (uint64_t i = 0, step = page_bytes(); i < pages; i++)
        *(volatile unsigned char *)(view + i * step) = 1;
}

int ring_touch_renew(struct worker *worker, bool stored, struct err *err)
{
    struct mirror *mirror = worker->own;
    mirror_free(mirror);
    int rc = ring_mirror(worker, mirror, err);
    if (rc == 0 && stored)
        store_each(mirror->base, ring_touch_pages(worker->params));
    return rc;
}

void ring_touch_view(struct worker *worker, unsigned view)
{
    const struct mirror *mirror = worker->own;
    unsigned char *at = mirror->base + view * mirror->bytes;
    uint64_t pages = ring_touch_pages(worker->params), step = page_bytes();
    if (worker->params->access == access_store)
        store_each(at, pages);
    else
        for (uint64_t i = 0; i < pages; i++)
            worker->sum += *(volatile unsigned char *)(at + i * step);
}
