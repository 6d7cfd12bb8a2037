/* SPDX-License-Identifier: MIT */
/* One method driven by hand, where a test has to look at the memory between its calls. */
#ifndef FAULTLINE_HAND_H
#define FAULTLINE_HAND_H

#include "offsets.h"
#include "physics.h"
#include "region.h"

struct hand {
    const struct method *method;
    struct params params;
    struct offsets offsets;
    struct worker worker;
    struct gate gate;
};

/* What teardown is to be called for even where the setup fails. */
static inline void hand_end(struct hand *hand)
{
    hand->method->teardown(&hand->worker);
    region_remove(&hand->worker);
    offsets_free(&hand->offsets);
}

static inline void hand_check(struct hand *hand, int rc, const struct err *err)
{
    if (rc == 0)
        return;
    hand_end(hand);
    if (rc == -EOPNOTSUPP)
        physics_skip("%s", err->text);
    fail_msg("%s: %s", hand->method->name, err->code ? err->text : strerror(-rc));
}

/* `target` may be NULL. What this machine cannot do ends the test as skipped. */
static inline void hand_begin(struct hand *hand, const struct method *method, const struct params *params,
                              const struct target *target)
{
    struct err err = {0};
    *hand = (struct hand){.method = method, .params = *params};
    assert_int_equal(offsets_make(&hand->offsets, params, 42, &err), 0);
    hand->worker = (struct worker){.params = &hand->params,
                                   .target = target,
                                   .offsets = hand->offsets.items,
                                   .offset_count = hand->offsets.count,
                                   .writes = method_writes(method, params),
                                   .count = (unsigned)params->workers,
                                   .gate = &hand->gate,
                                   .fd = -1};
    hand_check(hand, method->needs & NEEDS_BUFFER ? region_make(&hand->worker, &err) : 0, &err);
    hand_check(hand, method->setup(&hand->worker, &err), &err);
}

static inline void hand_reset(struct hand *hand, uint64_t blocks)
{
    struct err err = {0};
    if (hand->method->reset)
        hand_check(hand, hand->method->reset(&hand->worker, blocks, &err), &err);
}

static inline void hand_run(struct hand *hand, uint64_t blocks)
{
    struct err err = {0};
    hand_check(hand, hand->method->run(&hand->worker, blocks), &err);
}

#endif
