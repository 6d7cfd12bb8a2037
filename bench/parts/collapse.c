/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "collapse.h"

#include <errno.h>
#include <string.h>

#include "anonymous.h"
#include "hugepage.h"
#include "smaps.h"

uint64_t collapse_limit(const struct params *params)
{
    (void)params;
    return 1;
}

uint64_t collapse_ns(const struct params *params)
{
    return params->range_bytes / 6;
}

uint64_t collapse_reset_ns(const struct params *params, uint64_t blocks)
{
    (void)blocks;
    return 20 * US + params->range_bytes / 2;
}

static int fill(struct worker *worker, struct err *err)
{
    int rc = anonymous_make(&worker->base, worker->base_bytes, false, err);
    if (rc)
        return rc;
    anonymous_touch(worker->base, worker->base_bytes);
    /* Only the advice: what is there stays as it is until somebody collapses it. */
    return madvise(worker->base, worker->base_bytes, MADV_HUGEPAGE)
               ? err_set(err, EOPNOTSUPP, "this kernel has no transparent huge pages")
               : 0;
}

int collapse_begin(struct worker *worker, struct err *err)
{
    worker->base_bytes = worker->params->range_bytes;
    if (worker->base_bytes % huge_page_bytes())
        return err_set(err, EOPNOTSUPP, "%zu bytes are not whole huge pages of %llu", worker->base_bytes,
                       (unsigned long long)huge_page_bytes());
    return fill(worker, err);
}

int collapse_reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    (void)blocks;
    anonymous_remove(worker->base, worker->base_bytes);
    worker->base = NULL;
    return fill(worker, err);
}

void collapse_end(struct worker *worker)
{
    anonymous_remove(worker->base, worker->base_bytes);
    worker->base = NULL;
}

int collapse_check(const unsigned char *base, uint64_t bytes, struct err *err)
{
    struct smaps found;
    if (smaps_read(base, bytes, &found) && found.huge < bytes)
        return err_set(err, EOPNOTSUPP, "smaps shows %llu of %llu bytes in huge pages", (unsigned long long)found.huge,
                       (unsigned long long)bytes);
    return 0;
}

int collapse_try(unsigned char *base, uint64_t bytes, struct err *err)
{
    if (madvise(base, bytes, MADV_HUGEPAGE))
        return err_set(err, EOPNOTSUPP, "this kernel has no transparent huge pages");
    if (madvise(base, bytes, MADV_COLLAPSE))
        return err_set(err, EOPNOTSUPP, "MADV_COLLAPSE: %s", strerror(errno));
    return collapse_check(base, bytes / huge_page_bytes() * huge_page_bytes(), err);
}
