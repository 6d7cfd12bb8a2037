/* SPDX-License-Identifier: MIT */
#include "ring_touch.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "ring.h"

struct own {
    struct ring_wish wish;
    struct mirror mirror;
};

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
    struct own *own = worker->own = calloc(1, sizeof *own);
    if (!own)
        return err_set(err, ENOMEM, "no memory for a ring");
    int rc = ring_wish(&own->wish, worker, err);
    return rc ? rc : ring_mirror(&own->wish, &own->mirror, err);
}

void ring_touch_teardown(struct worker *worker)
{
    struct own *own = worker->own;
    if (own)
        mirror_free(&own->mirror);
    free(own);
    worker->own = NULL;
}

static void store_each(unsigned char *view, uint64_t pages)
{
    for (uint64_t i = 0, step = page_bytes(); i < pages; i++)
        *(volatile unsigned char *)(view + i * step) = 1;
}

int ring_touch_renew(struct worker *worker, bool stored, struct err *err)
{
    struct own *own = worker->own;
    mirror_free(&own->mirror);
    int rc = ring_mirror(&own->wish, &own->mirror, err);
    if (rc == 0 && stored)
        store_each(own->mirror.base, ring_touch_pages(worker->params));
    return rc;
}

void ring_touch_view(struct worker *worker, unsigned view)
{
    const struct own *own = worker->own;
    unsigned char *at = own->mirror.base + view * own->mirror.bytes;
    uint64_t pages = ring_touch_pages(worker->params), step = page_bytes();
    if (worker->params->access == access_store)
        store_each(at, pages);
    else
        for (uint64_t i = 0; i < pages; i++)
            worker->sum += *(volatile unsigned char *)(at + i * step);
}
