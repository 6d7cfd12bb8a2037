/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "discard.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "descriptor.h"
#include "target.h"

uint64_t discard_ns(const struct params *params)
{
    return 2 * US + params->range_bytes / 400;
}

int discard_begin(struct worker *worker, struct err *err)
{
    int rc = descriptor_open_plain(worker);
    if (rc)
        return err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc));
    worker->base_bytes = worker->params->range_bytes;
    worker->base = mmap(NULL, worker->base_bytes, PROT_READ, MAP_SHARED, worker->fd, 0);
    if (worker->base != MAP_FAILED)
        return 0;
    worker->base = NULL;
    return err_sys(err, "mmap %s", worker->target->path);
}

int discard_each(struct worker *worker, uint64_t blocks)
{
    for (uint64_t i = 0; i < blocks; i++) {
        if (madvise(worker->base, worker->base_bytes, MADV_DONTNEED))
            return -errno;
        worker->sum += *(const volatile unsigned char *)worker->base;
    }
    return 0;
}

void discard_end(struct worker *worker)
{
    if (worker->base)
        munmap(worker->base, worker->base_bytes); /* refused where it is sealed */
    worker->base = NULL;
    descriptor_close(worker);
}
