/* SPDX-License-Identifier: MIT */
/*
 * Measures:         merging `spans` sparse spans of range_bytes, whose objects do not overlap, onto the physical span
 *                   of the first, or one step of it (`merge_step`): the others are protected, their objects copied,
 *                   their addresses mapped to the first one's pages, their own pages punched. Every object stays where
 *                   it is by its address. With siblings these read all objects meanwhile and verify them.
 * Does not measure: finding spans that do not overlap; writers, who would fault and have to wait (merge.h); the faults
 *                   that readers take on what was remapped.
 * Expect:           8-20 us for two spans of 16 KiB; the counter `given_back_bytes` has all spans but one.
 * Source:           mm/mprotect.c do_mprotect_pkey, mm/vma.c __mmap_region, mm/shmem.c shmem_fallocate.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "counter.h"
#include "hugepage.h"
#include "merge.h"
#include "merging.h"
#include "sibling.h"
#include "smaps.h"

struct own {
    struct merge_arena arena;
    uint64_t groups, spans, objects;
    uint64_t merged; /* leading groups that the last batch has been at */
    uint64_t held;   /* by the arena before it; UINT64_MAX: nobody tells */
    struct siblings *readers;
    pthread_rwlock_t restoring; /* held for writing while groups are made anew: no reader is to look then */
    _Atomic uint64_t next;      /* group that a reader looks at next */
    _Atomic uint64_t wrong;     /* objects that a reader has not found */
};

static size_t first_span(const struct own *own, uint64_t group)
{
    return group * own->spans;
}

/* Where an object is: the address that it has had all along. */
static unsigned char *object_at(const struct own *own, uint64_t group, uint64_t index)
{
    return merge_span(&own->arena, first_span(own, group) + index % own->spans) + index * MERGING_OBJECT_BYTES;
}

/* ---- the steps, for one span that is merged into the first of its group ---- */

static int protect(const struct own *own, size_t into, size_t from)
{
    (void)into;
    return merge_protect(&own->arena, from);
}

static int copy(const struct own *own, size_t into, size_t from)
{
    const unsigned char *source = merge_span(&own->arena, from);
    unsigned char *sink = merge_span(&own->arena, into);
    for (uint64_t i = from - into; i < own->objects; i += own->spans)
        memcpy(sink + i * MERGING_OBJECT_BYTES, source + i * MERGING_OBJECT_BYTES, MERGING_OBJECT_BYTES);
    return 0;
}

static int remap(const struct own *own, size_t into, size_t from)
{
    return merge_remap(&own->arena, into, from);
}

static int punch(const struct own *own, size_t into, size_t from)
{
    (void)into;
    return merge_punch(&own->arena, from);
}

static int (*const steps[])(const struct own *, size_t into, size_t from) = {protect, copy, remap, punch};
enum { STEPS = sizeof steps / sizeof *steps };

/* Steps [from, to) of a group, span by span. */
static int take_steps(const struct own *own, uint64_t group, unsigned from, unsigned to)
{
    size_t into = first_span(own, group);
    int rc = 0;
    for (size_t span = into + 1; span < into + own->spans && rc == 0; span++)
        for (unsigned step = from; step < to && rc == 0; step++)
            rc = steps[step](own, into, span);
    return rc;
}

static unsigned first_step(const struct params *params)
{
    return params->merge_step == merge_step_whole ? 0 : (unsigned)params->merge_step - merge_step_protect;
}

static unsigned last_step(const struct params *params)
{
    return params->merge_step == merge_step_whole ? STEPS : first_step(params) + 1;
}

/* ---- readers ---- */

static bool all_are_there(const struct own *own, uint64_t group, uint64_t first, uint64_t step)
{
    bool there = true;
    for (uint64_t i = first; i < own->objects; i += step)
        there &= merging_is_there(object_at(own, group, i), group, i);
    return there;
}

/* What a remap does to a page that is read the thread sanitizer takes for a store to it. */
__attribute__((no_sanitize("thread"))) static bool is_there_unseen(const unsigned char *at, uint64_t group,
                                                                   uint64_t index)
{
    const volatile uint64_t *words = (const volatile uint64_t *)(const void *)at;
    uint64_t tag = merging_tag(group, index);
    bool there = true;
    for (unsigned i = 0; i < MERGING_WORDS; i++)
        there &= words[i] == tag + i;
    return there;
}

static bool moved_are_there(const struct own *own, uint64_t group)
{
    bool there = true;
    for (uint64_t i = 0; i < own->objects; i++)
        there &= i % own->spans == 0 || is_there_unseen(object_at(own, group, i), group, i);
    return there;
}

/* One group: the objects of the span that stays, beside which others are being copied, and those that move below their
 * addresses. */
static int read_group(void *context)
{
    struct own *own = context;
    uint64_t group = atomic_fetch_add_explicit(&own->next, 1, memory_order_relaxed) % own->groups;
    pthread_rwlock_rdlock(&own->restoring);
    if (!all_are_there(own, group, 0, own->spans) || !moved_are_there(own, group))
        atomic_fetch_add(&own->wrong, 1);
    pthread_rwlock_unlock(&own->restoring);
    return 0;
}

/* ---- the method ---- */

/* Memory that the arena no longer holds; unknown where nobody tells. */
static void tell(struct worker *worker)
{
    const struct own *own = worker->own;
    uint64_t before = own->held, after = merge_held_bytes(&own->arena);
    if (before == UINT64_MAX || after == UINT64_MAX || after > before)
        worker->untold |= COUNTER_BIT(given_back_bytes);
    else
        counter_method.given_back_bytes += before - after;
}

static int run(struct worker *worker, uint64_t blocks)
{
    struct own *own = worker->own;
    unsigned from = first_step(worker->params), to = last_step(worker->params);
    int rc = 0;
    siblings_begin(own->readers);
    own->merged = blocks;
    worker->begun_ns = clock_now_ns();
    for (uint64_t group = 0; group < blocks && rc == 0; group++)
        rc = take_steps(own, group, from, to);
    worker->done_ns = clock_now_ns();
    worker->fault = siblings_end(own->readers);
    if (atomic_load(&own->wrong)) {
        worker->fault = "a reader has found other bytes than were stored";
        return -EPROTO;
    }
    return rc;
}

/* Each span of the group its own pages again, with its own objects. The first has never been elsewhere. */
static int make_group(const struct own *own, uint64_t group)
{
    int rc = 0;
    for (uint64_t span = 1; span < own->spans && rc == 0; span++) {
        rc = merge_undo(&own->arena, first_span(own, group) + span);
        if (rc == 0) /* a mapping anew: no advice is left, and its neighbours have theirs */
            rc = hugepage_avoid(merge_span(&own->arena, first_span(own, group) + span), own->arena.span_bytes);
    }
    for (uint64_t i = 0; i < own->objects && rc == 0; i++)
        merging_store(object_at(own, group, i), group, i);
    return rc;
}

/* Below its own address, and after a whole merge in the first span too. */
static int check_group(const struct own *own, uint64_t group, bool whole, struct err *err)
{
    const unsigned char *into = merge_span(&own->arena, first_span(own, group));
    bool there = all_are_there(own, group, 0, 1);
    for (uint64_t i = 0; whole && i < own->objects; i++)
        there &= merging_is_there(into + i * MERGING_OBJECT_BYTES, group, i);
    return there ? 0 : err_set(err, EPROTO, "a merged span has other bytes than were stored");
}

static int restore(struct own *own, const struct params *params, struct err *err)
{
    int rc = 0;
    for (; own->merged && rc == 0; own->merged--) {
        rc = check_group(own, own->merged - 1, last_step(params) == STEPS, err);
        if (rc == 0) {
            rc = make_group(own, own->merged - 1);
            rc = rc ? err_set(err, -rc, "making a span anew: %s", strerror(-rc)) : 0;
        }
    }
    return rc;
}

static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    struct own *own = worker->own;
    pthread_rwlock_wrlock(&own->restoring);
    int rc = restore(own, worker->params, err);
    pthread_rwlock_unlock(&own->restoring);
    for (uint64_t group = 0; group < blocks && rc == 0; group++) {
        rc = take_steps(own, group, 0, first_step(worker->params));
        if (rc)
            return err_set(err, -rc, "before the step %s: %s",
                           field_table[FIELD_merge_step].options[worker->params->merge_step].spelling, strerror(-rc));
    }
    own->merged = blocks;
    own->held = merge_held_bytes(&own->arena);
    return rc ? rc : siblings_resume(own->readers, err);
}

static int setup(struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    struct own *own = worker->own = calloc(1, sizeof *own);
    if (!own)
        return err_set(err, ENOMEM, "no memory for an arena");
    own->arena.fd = -1;
    own->groups = merging_groups(params);
    own->spans = params->spans;
    own->objects = merging_objects(params);
    pthread_rwlock_init(&own->restoring, NULL);
    int rc = merge_arena_make(&own->arena, own->groups * own->spans * params->range_bytes, params->range_bytes);
    if (rc == 0)
        rc = hugepage_avoid(own->arena.base, own->arena.bytes);
    for (uint64_t group = 0; group < own->groups && rc == 0; group++)
        rc = make_group(own, group);
    if (rc)
        return err_set(err, -rc, "an arena of sparse spans: %s", strerror(-rc));
    rc = smaps_check_small(own->arena.base, own->arena.bytes, err);
    return rc ? rc : siblings_start_turns(&own->readers, params, read_group, own, err);
}

static void teardown(struct worker *worker)
{
    struct own *own = worker->own;
    if (!own)
        return;
    siblings_stop(own->readers);
    merge_arena_remove(&own->arena);
    pthread_rwlock_destroy(&own->restoring);
    free(own);
    worker->own = NULL;
}

/* Of the spans that are merged into the first; the step that copies is about the objects in them. */
static uint64_t op_bytes(const struct params *params)
{
    uint64_t objects = merging_objects(params), stay = (objects - 1) / params->spans + 1;
    return params->merge_step == merge_step_copy ? (objects - stay) * MERGING_OBJECT_BYTES
                                                 : (params->spans - 1) * params->range_bytes;
}

static uint64_t memory(const struct params *params)
{
    return merging_groups(params) * params->spans * params->range_bytes;
}

static uint64_t vmas(const struct params *params)
{
    return merging_groups(params) * (params->spans - 1) * MERGE_VMAS_EACH;
}

static uint64_t block_ns(const struct params *params)
{
    return (params->spans - 1) * (6 * US + params->range_bytes / 6);
}

static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    return blocks * params->spans * (6 * US + params->range_bytes / 2);
}

const struct method method_merge = {
    .name = "merge",
    .measures = "merging sparse spans of memory onto one physical span, or one step of it",
    .version = 1,
    .uses = MERGING_USES | FIELD_BIT(merge_step) | FIELD_BIT(siblings),
    .limit = merging_groups,
    .op_bytes = op_bytes,
    .memory = memory,
    .vmas = vmas,
    .tells = COUNTER_BIT(given_back_bytes),
    .tell = tell,
    .fills = true,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
