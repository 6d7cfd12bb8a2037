/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "dirty.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "descriptor.h"
#include "target.h"

static uint64_t range_pages(const struct params *params)
{
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    return (params->range_bytes + page_bytes - 1) / page_bytes;
}

uint64_t dirty_pages(const struct params *params)
{
    uint64_t pages = range_pages(params), share = (uint64_t)(params->dirty_share * (double)pages + 0.5);
    if (params->dirty_share > 0 && share == 0)
        return 1;
    return share < pages ? share : pages;
}

uint64_t dirty_page(const struct params *params, uint64_t i)
{
    return params->dirty_order == dirty_order_contiguous ? i : i * range_pages(params) / dirty_pages(params);
}

int dirty_map(struct worker *worker, struct err *err)
{
    int rc = descriptor_open_plain(worker);
    if (rc)
        return err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc));
    void *base = mmap(NULL, worker->params->working_set_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, worker->fd, 0);
    if (base == MAP_FAILED)
        return err_sys(err, "mmap %s", worker->target->path);
    worker->base = base;
    worker->base_bytes = worker->params->working_set_bytes;
    if (madvise(base, worker->base_bytes, MADV_DONTFORK)) /* mappers are not to map it twice */
        return err_sys(err, "MADV_DONTFORK");
    for (uint64_t at = 0; at < worker->base_bytes; at += worker->target->page_bytes)
        (void)*(const volatile unsigned char *)(worker->base + at);
    return 0;
}

void dirty_unmap(struct worker *worker)
{
    if (worker->base)
        munmap(worker->base, worker->base_bytes);
    worker->base = NULL;
    descriptor_close(worker);
}

static void store_page(const struct worker *worker, uint64_t page)
{
    volatile uint64_t *word = (volatile uint64_t *)(void *)(worker->base + page * worker->target->page_bytes);
    *word += 1;
}

void dirty_store(const struct worker *worker)
{
    uint64_t count = dirty_pages(worker->params);
    for (uint64_t i = 0; i < count; i++)
        store_page(worker, dirty_page(worker->params, i));
}

int dirty_try(const struct worker *worker, struct err *err)
{
    struct page_state state;
    store_page(worker, 0);
    int rc = target_state(worker->target, worker->target->page_bytes, &state, err);
    if (rc == 0)
        rc = target_settle(worker->target, err);
    if (rc)
        return rc;
    if (state.dirty == UINT64_MAX)
        return err_set(err, EOPNOTSUPP, "cachestat tells nothing of this file: no page of it can be proven dirty");
    if (state.dirty == 0)
        return err_set(err, EOPNOTSUPP, "%s: a page just stored to is not shown as dirty here", worker->target->path);
    return 0;
}
