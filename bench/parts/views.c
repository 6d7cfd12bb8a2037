/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "views.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "smaps.h"

static void store_each(const struct twin *twin)
{
    for (size_t at = 0, step = (size_t)sysconf(_SC_PAGESIZE); at < twin->bytes; at += step)
        for (unsigned view = 0; view < 2; view++)
            *(volatile unsigned char *)twin_at(twin, view, at) = 0;
}

/* Of a kernel without huge pages the advice is refused with EINVAL. */
static int give_pages(const struct twin *twin, struct err *err)
{
    const unsigned char *last = twin_at(twin, 0, twin->bytes - 1);
    int rc = twin_advise(twin, MADV_NOHUGEPAGE);
    if (rc && rc != -EINVAL)
        return err_set(err, -rc, "madvise(MADV_NOHUGEPAGE): %s", strerror(-rc));
    store_each(twin);
    rc = smaps_check_small(twin->base, (size_t)(last - twin->base) + 1, err);
    return rc ? rc : smaps_check_small(twin->base + twin->apart, (size_t)(last - twin->base) + 1, err);
}

int views_begin(struct worker *worker, size_t bytes, size_t size, struct err *err)
{
    const struct params *params = worker->params;
    struct twin *twin = worker->own = calloc(1, size);
    off_t second = params->through == through_copy ? (off_t)bytes : 0;
    if (!twin)
        return err_set(err, ENOMEM, "no memory for two views");
    worker->fd = memfd_create("faultline-views", MFD_CLOEXEC);
    if (worker->fd < 0 || ftruncate(worker->fd, second + (off_t)bytes))
        return err_sys(err, "a file in memory of %zu bytes", bytes);
    int rc = twin_map(twin, worker->fd, 0, second, bytes, params->alias_bytes);
    if (rc == -EADDRNOTAVAIL)
        return err_set(err, EOPNOTSUPP, "no two free places %llu bytes apart in this address space",
                       (unsigned long long)params->alias_bytes);
    if (rc)
        return err_set(err, -rc, "two views: %s", strerror(-rc));
    return give_pages(twin, err);
}

void views_end(struct worker *worker)
{
    if (worker->own)
        twin_unmap(worker->own);
    free(worker->own);
    worker->own = NULL;
    if (worker->fd >= 0)
        close(worker->fd);
    worker->fd = -1;
}
