/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "anonymous.h"

int pagemap_begin(struct worker *worker, struct err *err)
{
    struct pagemap *pagemap = worker->own = calloc(1, sizeof *pagemap);
    if (!pagemap)
        return err_set(err, ENOMEM, "no memory for a page map");
    pagemap->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    pagemap->pages = (worker->params->range_bytes + pagemap->page_bytes - 1) / pagemap->page_bytes;
    pagemap->entries = calloc(pagemap->pages, sizeof *pagemap->entries);
    worker->base_bytes = pagemap->pages * pagemap->page_bytes;
    if (!pagemap->entries)
        return err_set(err, ENOMEM, "no memory for a page map");
    int rc = anonymous_make(&worker->base, worker->base_bytes, false, err);
    if (rc)
        return rc;
    uint64_t touched = (uint64_t)(worker->params->written_share * (double)pagemap->pages + 0.5);
    anonymous_touch(worker->base, touched * pagemap->page_bytes);
    pagemap->at = (off_t)((uintptr_t)worker->base / pagemap->page_bytes * sizeof *pagemap->entries);
    worker->fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    return worker->fd < 0 ? err_sys(err, "/proc/self/pagemap") : 0;
}

void pagemap_end(struct worker *worker)
{
    struct pagemap *pagemap = worker->own;
    if (worker->fd >= 0)
        close(worker->fd);
    worker->fd = -1;
    anonymous_remove(worker->base, worker->base_bytes);
    worker->base = NULL;
    if (pagemap)
        free(pagemap->entries);
    free(pagemap);
    worker->own = NULL;
}
