/* SPDX-License-Identifier: MIT */
/*
 * Measures:         reserving range_bytes of addresses as `reservation` says, and giving them back. A refusal is an
 *                   operation like any other. Counted as occurred: the kernel granted it.
 * Does not measure: storing there: nothing is touched, whatever the size.
 * Expect:           3-6 us whatever the size, 0.3-1 us where it is refused. With vm.overcommit_memory 0 plain is
 *                   refused where it alone is more than all memory and swap; with 1 nothing is refused; with 2 plain
 *                   and noreserve are, beyond what CommitLimit of /proc/meminfo leaves.
 * Source:           mm/mmap.c do_mmap (VM_NORESERVE), mm/util.c __vm_enough_memory.
 */
#include <errno.h>

#include "counter.h"
#include "method.h"
#include "reservation.h"

_Static_assert((int)reservation_plain == RESERVATION_PLAIN && (int)reservation_noreserve == RESERVATION_NORESERVE &&
                   (int)reservation_prot_none == RESERVATION_PROT_NONE,
               "the parameter names the ways in their order");

static int run(struct worker *worker, uint64_t count)
{
    const struct params *params = worker->params;
    enum reservation_way way = (enum reservation_way)params->reservation;
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        struct reserved_range reservation;
        rc = reservation_make(&reservation, params->range_bytes, way);
        counter_method.occurred += rc == 0;
        reservation_remove(&reservation);
        if (rc == -ENOMEM)
            rc = 0;
    }
    return rc;
}

static uint64_t block_ns(const struct params *params)
{
    (void)params;
    return 4000;
}

const struct method method_reserve = {
    .name = "reserve",
    .measures = "reserving addresses and giving them back",
    .version = 1,
    .tells = COUNTER_BIT(occurred),
    .uses = FIELD_BIT(range_bytes) | FIELD_BIT(reservation),
    .memory = method_no_memory,
    .block_ns = block_ns,
    .run = run,
};
