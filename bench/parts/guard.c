/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "guard.h"

#include <errno.h>
#include <unistd.h>

#include "anonymous.h"

uint64_t guard_limit(const struct params *params)
{
    return params->range_bytes / (uint64_t)sysconf(_SC_PAGESIZE) / 2;
}

uint64_t guard_memory(const struct params *params)
{
    return guard_limit(params) * 2 * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t guard_reset_ns(const struct params *params, uint64_t blocks)
{
    (void)params;
    return 10 * US + 2 * US * blocks;
}

int guard_begin(struct worker *worker, struct err *err)
{
    worker->buffer_step = (size_t)sysconf(_SC_PAGESIZE);
    worker->base_bytes = guard_memory(worker->params);
    if (worker->base_bytes == 0)
        return err_set(err, EINVAL, "a guard page needs a range of two pages at least");
    int rc = anonymous_make(&worker->base, worker->base_bytes, false, err);
    if (rc == 0)
        anonymous_touch(worker->base, worker->base_bytes);
    return rc;
}

void guard_end(struct worker *worker)
{
    anonymous_remove(worker->base, worker->base_bytes);
    worker->base = NULL;
}
