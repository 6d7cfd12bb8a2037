/* SPDX-License-Identifier: MIT */
/* What methods share in which two workers meet in memory: a page of the target that both have mapped, and waiting. */
#ifndef FAULTLINE_SHARED_H
#define FAULTLINE_SHARED_H

#include <stdatomic.h>

#include "clock.h"
#include "method.h"
#include "relax.h"

/* Longer than any hand-over: a peer that has not come by then has lost its CPU for good, or is dead. */
#define SHARED_PATIENCE_NS (2000 * MS)

/* Lines of their own, also where lines are 128 bytes and fetched in pairs. */
enum { SHARED_LINE = 256 };

/* Maps the working set, shared and writable, into worker->base and touches it. -errno with text. */
int shared_setup(struct worker *worker, struct err *err);
void shared_teardown(struct worker *worker);

/* Where methods keep what has to be known of a batch beside its words: the second half, where nobody contends. */
static inline void *shared_notes(const struct worker *worker)
{
    return worker->base + worker->base_bytes / 2 / SHARED_LINE * SHARED_LINE;
}

static inline _Atomic uint64_t *shared_word(const struct worker *worker, uint64_t offset)
{
    return (_Atomic uint64_t *)(void *)(worker->base + offset);
}

/* One wait: counts vain looks, and tells once in many whether patience is at an end. */
struct shared_wait {
    uint64_t looks, limit_ns;
};

static inline bool shared_is_late(struct shared_wait *wait)
{
    enum { LOOKS = 1 << 14 }; /* a tenth of a millisecond and more between two readings of the clock */
    if (++wait->looks % LOOKS)
        return false;
    relax();
    uint64_t now = clock_now_ns();
    wait->limit_ns = wait->limit_ns ? wait->limit_ns : now + SHARED_PATIENCE_NS;
    return now > wait->limit_ns;
}

#endif
