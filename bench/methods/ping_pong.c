/* SPDX-License-Identifier: MIT */
/*
 * Measures:         a cache line that two workers hand to each other through a shared mapping, to and fro; each of them
 *                   does as many hand-overs as the other, and an operation is one of them: half a round trip.
 * Does not measure: waiting for a peer that sleeps: both spin, without PAUSE, on CPUs of their own. With `pause` both
 *                   have slept, and have met before the clock runs. Workers beyond the second are not timed.
 * Expect:           SMT siblings 4-12 ns, cores under one L3 cache 16-55, other L3 73-132, other package 108-304.
 * Source:           the processor's coherence protocol; no kernel function.
 */
#include <errno.h>

#include "background.h"
#include "home.h"
#include "shared.h"

enum { PAIR = 2 }; /* workers that hand over; the others are the background */

/* Turns are numbered: worker k takes those whose number is k modulo 2, and each raises the number by one. */
static int by_cas(const struct worker *worker, uint64_t first, uint64_t hops)
{
    _Atomic uint64_t *word = shared_word(worker, 0);
    for (uint64_t turn = worker->index + 2 * first, end = turn + 2 * hops; turn < end; turn += 2) {
        struct shared_wait wait = {0};
        for (uint64_t seen = turn; !atomic_compare_exchange_weak(word, &seen, turn + 1); seen = turn)
            if (shared_is_late(&wait))
                return -ETIMEDOUT;
    }
    return 0;
}

static int by_store(const struct worker *worker, uint64_t first, uint64_t hops)
{
    _Atomic uint64_t *word = shared_word(worker, 0);
    for (uint64_t turn = worker->index + 2 * first, end = turn + 2 * hops; turn < end; turn += 2) {
        struct shared_wait wait = {0};
        while (atomic_load_explicit(word, memory_order_acquire) != turn)
            if (shared_is_late(&wait))
                return -ETIMEDOUT;
        atomic_store_explicit(word, turn + 1, memory_order_release);
    }
    return 0;
}

static inline int await_hop(const _Atomic uint64_t *word, uint64_t hop)
{
    struct shared_wait wait = {0};
    while (atomic_load_explicit(word, memory_order_acquire) != hop)
        if (shared_is_late(&wait))
            return -ETIMEDOUT;
    return 0;
}

/* Worker 0 is one ahead: it stores the number of its hop … */
static int by_two_lines(const struct worker *worker, uint64_t first, uint64_t hops)
{
    _Atomic uint64_t *own = shared_word(worker, 0), *other = shared_word(worker, SHARED_LINE);
    int rc = 0;
    for (uint64_t hop = first + 1; hop <= first + hops && rc == 0; hop++) {
        atomic_store_explicit(own, hop, memory_order_release);
        rc = await_hop(other, hop);
    }
    return rc;
}

/* … and worker 1 answers with the same number. Two loops: to ask in one who stores first made a hop a tenth dearer. */
static int by_answer(const struct worker *worker, uint64_t first, uint64_t hops)
{
    _Atomic uint64_t *own = shared_word(worker, SHARED_LINE), *other = shared_word(worker, 0);
    for (uint64_t hop = first + 1; hop <= first + hops; hop++) {
        int rc = await_hop(other, hop);
        if (rc)
            return rc;
        atomic_store_explicit(own, hop, memory_order_release);
    }
    return 0;
}

/* Hand-overs of this worker from number `first` on. */
static int hand_over(const struct worker *worker, uint64_t first, uint64_t hops)
{
    switch (worker->params->hand_over) {
    case hand_over_store:
        return by_store(worker, first, hops);
    case hand_over_two_lines:
        return worker->index ? by_answer(worker, first, hops) : by_two_lines(worker, first, hops);
    default:
        return by_cas(worker, first, hops);
    }
}

/* From one hand-over of the first worker to its next the line has gone to and fro. */
static int hand_over_in_laps(const struct worker *worker, uint64_t hops, struct laps *laps)
{
    int rc = 0;
    uint64_t begin = clock_now_ns();
    for (uint64_t hop = 0; hop < hops && rc == 0; hop++) {
        rc = hand_over(worker, hop, 1);
        if (worker->index)
            continue;
        uint64_t now = clock_now_ns();
        if (rc == 0 && hop > 0) /* the first finds the other still on its way */
            laps->keep(laps, begin, now, 2);
        begin = now;
    }
    return rc;
}

/* Nothing was lost, and nothing came twice. */
static int check_words(struct worker *worker, uint64_t hops)
{
    bool two_lines = worker->params->hand_over == hand_over_two_lines;
    uint64_t first = atomic_load(shared_word(worker, 0)), second = atomic_load(shared_word(worker, SHARED_LINE));
    if (first == (two_lines ? hops : 2 * hops) && second == (two_lines ? hops : 0))
        return 0;
    worker->fault = "hand-overs were lost or came twice";
    return -EPROTO;
}

/* Both have slept, and both are awake. */
static int rest(struct worker *worker)
{
    const uint64_t s = 1000 * MS, pause = worker->params->pause;
    const struct timespec time = {(time_t)(pause / s), (long)(pause % s)};
    if (pause == 0)
        return 0;
    nanosleep(&time, NULL);
    int rc = shared_meet(worker, PAIR);
    worker->begun_ns = clock_now_ns();
    return rc;
}

static int play(struct worker *worker, uint64_t hops, struct laps *laps)
{
    if (worker->index >= PAIR)
        return background_run(worker);
    background_begin(worker);
    int rc = rest(worker);
    if (rc == 0)
        rc = laps ? hand_over_in_laps(worker, hops, laps) : hand_over(worker, 0, hops);
    shared_done(worker);
    if (rc)
        return shared_fail(worker, rc);
    shared_end(worker, hops);
    if (worker->index)
        return 0;
    rc = shared_await_end(worker, PAIR);
    if (rc == 0)
        rc = check_words(worker, hops);
    if (rc == 0)
        worker->fault = background_fault(worker);
    return rc;
}

static int run(struct worker *worker, uint64_t hops)
{
    return play(worker, hops, NULL);
}

/* The first worker looks after the words; nobody begins before all have been told to. */
static int reset(struct worker *worker, uint64_t hops, struct err *err)
{
    (void)hops;
    int rc = worker->index < PAIR ? home_refresh(worker, err) : 0;
    if (rc || worker->index)
        return rc;
    atomic_store(shared_word(worker, 0), 0);
    atomic_store(shared_word(worker, SHARED_LINE), 0);
    shared_clear(worker);
    return 0;
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = shared_setup(worker, err);
    return rc || worker->index < PAIR ? rc : background_setup(worker, err);
}

static void teardown(struct worker *worker)
{
    background_teardown(worker);
    shared_teardown(worker);
}

/* What a pause leaves behind is over after a few. */
static uint64_t limit(const struct params *params)
{
    return params->pause ? 64 : UINT64_MAX;
}

static bool timed(const struct params *params, unsigned index)
{
    (void)params;
    return index < PAIR;
}

static uint64_t memory(const struct params *params)
{
    return params->background == background_none ? 0 : BACKGROUND_BYTES * (params->workers - PAIR) / params->workers;
}

static uint64_t block_ns(const struct params *params)
{
    return params->background == background_none ? 45 : 100;
}

/* The pause lies before the worker's own time. */
static uint64_t reset_ns(const struct params *params, uint64_t hops)
{
    const uint64_t fresh_ns = 10 * US, sleep_ns = 60 * US;
    (void)hops;
    return (params->home == home_any ? 0 : fresh_ns) + (params->pause ? params->pause + sleep_ns : 0);
}

const struct method method_ping_pong = {
    .name = "ping_pong",
    .measures = "a cache line handed to and fro between two workers through a shared mapping",
    .version = 2,
    .needs = NEEDS_FILE | NEEDS_WRITE | NEEDS_CROWD,
    .uses = USES_SHARED | FIELD_BIT(hand_over) | FIELD_BIT(home) | FIELD_BIT(background) | FIELD_BIT(pause),
    .limit = limit,
    .memory = memory,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .laps = play,
    .teardown = teardown,
    .timed = timed,
};
