/* SPDX-License-Identifier: MIT */
/*
 * Measures:         what a program does that may move its objects: the objects of `spans` sparse spans of range_bytes
 *                   are copied side by side into a fresh mapping of one span, and the old spans are unmapped. With
 *                   siblings these read meanwhile, and verify, as many objects that nobody moves.
 * Does not measure: finding and changing every pointer to them, which is why most programs cannot; keeping readers of
 *                   these objects out meanwhile.
 * Expect:           a fault and a copied page for each page that is filled, and munmap: 10-15 us for two spans of
 *                   16 KiB. With a sibling munmap interrupts its CPU once.
 * Source:           mm/memory.c do_anonymous_page, mm/vma.c do_vmi_align_munmap.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "clock.h"
#include "hugepage.h"
#include "merging.h"
#include "sibling.h"
#include "smaps.h"

struct group {
    unsigned char *sparse, *compact; /* one of them is mapped */
};

struct own {
    uint64_t groups, spans, objects, span_bytes;
    uint64_t compacted; /* leading groups */
    unsigned proofs;    /* so many times what was copied was found to be in base pages */
    struct siblings *readers;
    unsigned char *standing; /* what they read: the objects of all groups side by side; NULL where there are none */
    _Atomic uint64_t next;   /* group that a reader looks at next */
    _Atomic uint64_t wrong;  /* times that one has not found an object */
    struct group items[];
};

static unsigned char *map_fresh(uint64_t bytes)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return base == MAP_FAILED ? NULL : base;
}

static const unsigned char *sparse_at(const struct own *own, const struct group *group, uint64_t index)
{
    return group->sparse + index % own->spans * own->span_bytes + index * MERGING_OBJECT_BYTES;
}

/* Span by span, so that each is gone through once. */
static void copy_objects(const struct own *own, const struct group *group)
{
    unsigned char *sink = group->compact;
    for (uint64_t span = 0; span < own->spans; span++)
        for (uint64_t i = span; i < own->objects; i += own->spans, sink += MERGING_OBJECT_BYTES)
            memcpy(sink, sparse_at(own, group, i), MERGING_OBJECT_BYTES);
}

static int compact(const struct own *own, struct group *group)
{
    group->compact = map_fresh(own->span_bytes);
    if (!group->compact)
        return -errno;
    copy_objects(own, group);
    int rc = munmap(group->sparse, own->spans * own->span_bytes) ? -errno : 0;
    group->sparse = NULL;
    return rc;
}

/* ---- readers ---- */

static unsigned char *standing_at(const struct own *own, uint64_t group, uint64_t index)
{
    return own->standing + group * own->span_bytes + index * MERGING_OBJECT_BYTES;
}

static int read_group(void *context)
{
    struct own *own = context;
    uint64_t group = atomic_fetch_add_explicit(&own->next, 1, memory_order_relaxed) % own->groups;
    bool there = true;
    for (uint64_t i = 0; i < own->objects; i++)
        there &= merging_is_there(standing_at(own, group, i), group, i);
    if (!there)
        atomic_fetch_add(&own->wrong, 1);
    return 0;
}

/* Fresh memory in small pages; the caller removes *at, also after a failure. */
static int map_small(unsigned char **at, uint64_t bytes, const char *what, struct err *err)
{
    *at = map_fresh(bytes);
    if (!*at)
        return err_sys(err, "%s: %llu bytes", what, (unsigned long long)bytes);
    int rc = hugepage_avoid(*at, bytes);
    return rc ? err_set(err, -rc, "madvise(MADV_NOHUGEPAGE): %s", strerror(-rc)) : 0;
}

static int start_readers(struct own *own, const struct params *params, struct err *err)
{
    uint64_t bytes = own->groups * own->span_bytes;
    if (params->siblings == 0)
        return 0;
    int rc = map_small(&own->standing, bytes, "what readers look at", err);
    if (rc)
        return rc;
    for (uint64_t group = 0; group < own->groups; group++)
        for (uint64_t i = 0; i < own->objects; i++)
            merging_store(standing_at(own, group, i), group, i);
    rc = smaps_check_small(own->standing, bytes, err);
    return rc ? rc : siblings_start_turns(&own->readers, params, read_group, own, err);
}

static void end_readers(struct own *own)
{
    siblings_stop(own->readers);
    if (own->standing)
        munmap(own->standing, own->groups * own->span_bytes);
}

/* ---- the method ---- */

/* What an operation maps nobody can advise about without being timed: for a batch there are no huge pages at all. */
static int run(struct worker *worker, uint64_t blocks)
{
    struct own *own = worker->own;
    bool before = hugepage_ban(true);
    int rc = 0;
    siblings_begin(own->readers);
    worker->begun_ns = clock_now_ns();
    for (uint64_t i = 0; i < blocks && rc == 0; i++)
        rc = compact(own, &own->items[i]);
    worker->done_ns = clock_now_ns();
    worker->fault = siblings_end(own->readers);
    own->compacted = blocks;
    hugepage_ban(before);
    if (atomic_load(&own->wrong)) {
        worker->fault = "a reader has found other bytes than were stored";
        return -EPROTO;
    }
    return rc;
}

static void unmap_group(const struct own *own, struct group *group)
{
    if (group->compact)
        munmap(group->compact, own->span_bytes);
    if (group->sparse)
        munmap(group->sparse, own->spans * own->span_bytes);
    group->compact = group->sparse = NULL;
}

static int make_group(struct own *own, uint64_t number, struct err *err)
{
    struct group *group = &own->items[number];
    uint64_t bytes = own->spans * own->span_bytes;
    int rc = map_small(&group->sparse, bytes, "sparse spans", err);
    if (rc)
        return rc;
    for (uint64_t i = 0; i < own->objects; i++)
        merging_store((unsigned char *)sparse_at(own, group, i), number, i);
    return 0;
}

/* In the order in which they were copied. */
static int check_group(const struct own *own, uint64_t number, struct err *err)
{
    const unsigned char *at = own->items[number].compact;
    bool there = true;
    for (uint64_t span = 0; at && span < own->spans; span++)
        for (uint64_t i = span; i < own->objects; i += own->spans, at += MERGING_OBJECT_BYTES)
            there &= merging_is_there(at, number, i);
    return there ? 0 : err_set(err, EPROTO, "a compacted span has other bytes than were stored");
}

/* Twice is enough: what the kernel gives one batch it gives the others. */
static int prove_pages(struct own *own, struct err *err)
{
    enum { PROOFS = 2 };
    if (own->compacted == 0 || own->proofs == PROOFS)
        return 0;
    own->proofs++;
    return smaps_check_small(own->items[0].compact, own->span_bytes, err);
}

static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    struct own *own = worker->own;
    int rc = prove_pages(own, err);
    (void)blocks;
    for (; own->compacted && rc == 0; own->compacted--) {
        rc = check_group(own, own->compacted - 1, err);
        unmap_group(own, &own->items[own->compacted - 1]);
        if (rc == 0)
            rc = make_group(own, own->compacted - 1, err);
    }
    return rc ? rc : siblings_resume(own->readers, err);
}

static int setup(struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    uint64_t groups = merging_groups(params);
    struct own *own = worker->own = calloc(1, sizeof *own + groups * sizeof *own->items);
    if (!own)
        return err_set(err, ENOMEM, "no memory for a list of spans");
    own->groups = groups;
    own->spans = params->spans;
    own->objects = merging_objects(params);
    own->span_bytes = params->range_bytes;
    int rc = 0;
    for (uint64_t i = 0; i < groups && rc == 0; i++)
        rc = make_group(own, i, err);
    if (rc == 0 && groups > 0)
        rc = smaps_check_small(own->items[0].sparse, own->spans * own->span_bytes, err);
    return rc ? rc : start_readers(own, params, err);
}

static void teardown(struct worker *worker)
{
    struct own *own = worker->own;
    if (!own)
        return;
    end_readers(own);
    for (uint64_t i = 0; i < own->groups; i++)
        unmap_group(own, &own->items[i]);
    free(own);
    worker->own = NULL;
}

static uint64_t memory(const struct params *params)
{
    return merging_groups(params) * (params->spans + (params->siblings > 0)) * params->range_bytes;
}

static uint64_t block_ns(const struct params *params)
{
    return 5 * US + params->range_bytes / 4 + params->spans * params->range_bytes / 30;
}

static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    return blocks * (10 * US + params->spans * params->range_bytes / 3);
}

const struct method method_merge_compact = {
    .name = "merge_compact",
    .measures = "copying the objects of sparse spans of memory into a fresh span and unmapping the old ones",
    .version = 2,
    .uses = MERGING_USES | FIELD_BIT(siblings),
    .op_bytes = method_range_bytes,
    .limit = merging_groups,
    .memory = memory,
    .fills = true,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
