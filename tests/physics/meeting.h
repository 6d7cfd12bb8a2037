/* SPDX-License-Identifier: MIT */
/* Workers that meet in memory: as the engine runs them, as two threads driven by hand, and with one that dies. */
#ifndef FAULTLINE_TEST_MEETING_H
#define FAULTLINE_TEST_MEETING_H

#include "hand.h"
#include "shared.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/time.h>

/* The kinds of workers that are worth a test: what processes do to each other the thread sanitizer does not see. */
#ifdef PHYSICS_THREADS_ONLY
#define MEETING_KINDS (worker_kind_thread + 1)
#else
#define MEETING_KINDS worker_kind_count
#endif

static inline struct params meeting_params(enum worker_kind kind)
{
    struct params params = physics_params(16 * physics_page_bytes(), recipe_write_4KiB, cache_as_found);
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) < 2)
        physics_skip("two workers that spin need two CPUs");
    params.backing = backing_memfd;
    params.worker_kind = kind;
    params.workers = 2;
    params.access = access_load;
    return params;
}

/* Rounds of four arms, of which each keeps its own proofs in every batch. End with meeting_free. */
struct meeting {
    struct params params;
    struct physics_cell cell;
    struct target target;
};

static inline void meeting_measure(struct meeting *meeting, const struct method *method, uint64_t ops,
                                   void (*vary)(struct arm *, unsigned))
{
    physics_open(&meeting->target, &meeting->params);
    physics_begin(&meeting->cell, &meeting->params);
    for (unsigned a = 0; a < 4; a++)
        vary(physics_arm(&meeting->cell, method, ops), a);
    physics_measure(&meeting->cell, &meeting->target, 8);
}

static inline void meeting_free(struct meeting *meeting)
{
    measure_free(&meeting->cell.result);
    target_close(&meeting->target);
}

/* All is well, and counted are the operations of so many workers. Each worker's own time lies within the batch's. */
static inline void meeting_expect_ok(struct meeting *meeting, uint64_t timed)
{
    struct cell_result *result = &meeting->cell.result;
    for (unsigned a = 0; a < 4; a++) {
        struct arm_result *arm = &result->arms[a];
        physics_expect_ok(&meeting->cell, a);
        assert_int_equal(arm->count_ops, timed * meeting->params.count_ops);
        for (unsigned r = 0; r < result->rounds; r++)
            for (unsigned w = 0; w < timed; w++)
                assert_true(result->voided[r] || arm->worker_ns[w * result->room + r] > 0);
    }
}

/* ---- by hand ---- */

struct meeting_pair {
    struct target target;
    struct hand hands[2];
    unsigned char *own_base; /* the second worker's, while it works on the first one's mapping */
    uint64_t blocks[2];
    int rc[2];
};

static inline void meeting_begin(struct meeting_pair *pair, const struct method *method, const struct params *params)
{
    physics_open(&pair->target, params);
    for (unsigned i = 0; i < 2; i++) {
        hand_begin(&pair->hands[i], method, params, &pair->target);
        pair->hands[i].worker.index = i;
        pair->hands[i].worker.gate = &pair->hands[0].gate;
    }
}

/* From here on both work on one mapping: what the thread sanitizer is to compare has to have one address. */
static inline void meeting_share(struct meeting_pair *pair)
{
    pair->own_base = pair->hands[1].worker.base;
    pair->hands[1].worker.base = pair->hands[0].worker.base;
}

static inline void meeting_end(struct meeting_pair *pair)
{
    if (pair->own_base)
        pair->hands[1].worker.base = pair->own_base;
    pair->own_base = NULL;
    hand_end(&pair->hands[1]);
    hand_end(&pair->hands[0]);
    target_close(&pair->target);
}

struct meeting_member {
    struct meeting_pair *pair;
    unsigned index;
    pthread_t thread;
};

static inline void *meeting_member_main(void *argument)
{
    struct meeting_member *member = argument;
    struct hand *hand = &member->pair->hands[member->index];
    member->pair->rc[member->index] = hand->method->run(&hand->worker, member->pair->blocks[member->index]);
    return NULL;
}

/* Both run, each so many blocks, after both have been reset one after the other. */
static inline void meeting_run(struct meeting_pair *pair, uint64_t first, uint64_t second)
{
    struct meeting_member members[2] = {{pair, 0, 0}, {pair, 1, 0}};
    for (unsigned i = 0; i < 2; i++)
        hand_reset(&pair->hands[i], first);
    pair->blocks[0] = first;
    pair->blocks[1] = second;
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&members[i].thread, NULL, meeting_member_main, &members[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(members[i].thread, NULL);
}

/* Threads on one mapping, several batches of so many each: no error, and nothing that the thread sanitizer minds. */
static inline void meeting_expect_ordered(const struct method *method, const struct params *params, uint64_t blocks)
{
    struct meeting_pair pair = {0};
    meeting_begin(&pair, method, params);
    meeting_share(&pair);
    for (unsigned batch = 0; batch < 5; batch++) {
        meeting_run(&pair, blocks, blocks);
        for (unsigned i = 0; i < 2; i++)
            if (pair.rc[i])
                fail_msg("worker %u: %s", i,
                         pair.hands[i].worker.fault ? pair.hands[i].worker.fault : strerror(-pair.rc[i]));
    }
    meeting_end(&pair);
}

/* ---- one that dies ---- */

static const struct method *meeting_mortal;

/* The second worker's batch ends by a signal, in the middle. */
static inline int meeting_run_mortal(struct worker *worker, uint64_t blocks)
{
    const struct itimerval soon = {.it_value.tv_usec = 2000};
    if (worker->index == 1)
        setitimer(ITIMER_REAL, &soon, NULL);
    return meeting_mortal->run(worker, blocks);
}

/* A process dies in a batch that would not end: every arm says so, and nobody waits for ever. */
static inline void meeting_expect_death(const struct method *method, void (*vary)(struct arm *, unsigned))
{
    struct meeting meeting = {.params = meeting_params(worker_kind_process)};
    struct method mortal = *method;
    mortal.run = meeting_run_mortal;
    meeting_mortal = method;
    meeting_measure(&meeting, &mortal, UINT32_MAX / 2, vary);
    for (unsigned a = 0; a < 4; a++) {
        assert_int_equal(meeting.cell.result.arms[a].status, ARM_FAILED);
        assert_string_equal(meeting.cell.result.arms[a].reason, "worker 1 died (signal 14)");
    }
    meeting_free(&meeting);
}

#endif
