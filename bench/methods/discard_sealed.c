/* SPDX-License-Identifier: MIT */
/*
 * Measures:         the same as discard on a mapping that mseal has sealed (Linux 6.10): what a seal costs whoever goes
 *                   on using the mapping in the ways that it allows.
 * Does not measure: mseal itself, once for a mapping; what it forbids (unmapping, moving, protecting anew) is refused.
 * Expect:           the same as discard: the seal is a bit of the VMA that is looked at either way.
 * Source:           mm/mseal.c do_mseal; mm/madvise.c can_madvise_modify.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "discard.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

/* What is sealed cannot be unmapped: it stays until the process ends. Pages are not what stays: they are the file's. */
static int setup(struct worker *worker, struct err *err)
{
    int rc = discard_begin(worker, err);
    if (rc)
        return rc;
    if (syscall(SYS_mseal, worker->base, worker->base_bytes, 0UL))
        return err_set(err, EOPNOTSUPP, "mseal: %s", strerror(errno));
    return munmap(worker->base, worker->base_bytes)
               ? 0
               : err_set(err, EOPNOTSUPP, "mseal was accepted, but the mapping could be removed");
}

const struct method method_discard_sealed = {
    .name = "discard_sealed",
    .measures = "the same on a mapping sealed by mseal",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = FIELD_BIT(range_bytes),
    .op_bytes = method_range_bytes,
    .block_ns = discard_ns,
    .setup = setup,
    .run = discard_each,
    .teardown = discard_end,
};
