/* SPDX-License-Identifier: MIT */
/*
 * Ranges of a populated mapping for methods that time one call over one of them: equal, apart from each other, each a
 * VMA of its own. A call may consume its range; the reset before the next batch brings it back.
 */
#ifndef FAULTLINE_RANGES_H
#define FAULTLINE_RANGES_H

#include <errno.h>
#include <sys/mman.h>

#include "method.h"
#include "sibling.h"

/* Reserved address space with room for a range at `at`, and at least a page that is never mapped behind it. */
struct slot {
    unsigned char *room; /* NULL: none */
    size_t room_bytes;
    unsigned char *at;
};

struct range {
    struct slot here;
    struct slot there; /* where mremap moves it; other methods have none */
    bool mapped;       /* at here.at; the method that unmaps it says so */
    bool moved;        /* since then to there.at; the method that moves it says so */
};

/* worker->own of these methods. */
struct ranges {
    struct range *items; /* [count] */
    uint64_t count;
    size_t bytes; /* of each: params->range_bytes in whole pages */
    struct siblings *siblings;
    struct mappers *mappers;
    uint64_t vmas;
    bool writable; /* mapped readable and writable */
    bool proven;   /* that the pages are of the size asked for */
};

/* What these methods understand. */
#define USES_RANGES                                                                                                    \
    (FIELD_BIT(range_bytes) | FIELD_BIT(siblings) | FIELD_BIT(sibling_work) | FIELD_BIT(mappers) | FIELD_BIT(vmas) |   \
     FIELD_BIT(sharing) | FIELD_BIT(pages) | FIELD_BIT(prior) | FIELD_BIT(access) | FIELD_BIT(surplus))

/*
 * Makes what the ranges need (file, siblings, mappers, VMAs), none of them mapped yet. With `writable` they are mapped
 * for writing even when nothing is stored. -errno with text, -EOPNOTSUPP where it cannot be had here. End with
 * ranges_teardown, also after a failure.
 */
int ranges_setup(struct worker *worker, bool writable, struct err *err);
void ranges_teardown(struct worker *worker);

/*
 * Maps the first `count` ranges where they are not, brings their pages into the state of params->prior, and wakes the
 * siblings: to be called last in a reset.
 */
int ranges_reset(struct worker *worker, uint64_t count, struct err *err);

/* Takes note of the ranges that were moved and gives each of the first `count` a new place that it may be moved to. */
int ranges_make_room(struct worker *worker, uint64_t count, struct err *err);

/* Flags of mmap for what sharing and pages name. */
int ranges_map_flags(const struct params *params);

/* For struct method: most ranges of one batch; memory that they fill; pages that the reset leaves dirty; rough ns of a
 * reset. */
uint64_t ranges_limit(const struct params *params);
uint64_t ranges_memory(const struct params *params);
uint64_t ranges_dirties(const struct params *params);
uint64_t ranges_reset_ns(const struct params *params, uint64_t count);

/* Pages of a range, where the hints of a method's time depend on them: huge ones count as one. */
uint64_t ranges_pages(const struct params *params);

/* Rough ns of one call on a range: its own, `page_ns` for each page that is there, a shootdown beside siblings. */
uint64_t ranges_call_ns(const struct params *params, uint64_t call_ns, uint64_t page_ns);

/* Rough ns to take a page out of the page table: more where it is freed. */
uint64_t ranges_zap_ns(const struct params *params);

/* Around the calls of a batch. */
static inline struct ranges *ranges_begin(const struct worker *worker)
{
    struct ranges *ranges = worker->own;
    siblings_begin(ranges->siblings);
    return ranges;
}

static inline int ranges_end(struct worker *worker, int rc)
{
    const struct ranges *ranges = worker->own;
    worker->fault = siblings_end(ranges->siblings);
    return rc;
}

#endif
