/* SPDX-License-Identifier: MIT */
/*
 * Measures:         a cache line that two workers hand to each other through a shared mapping, to and fro; each of them
 *                   does as many hand-overs as the other, and an operation is one of them: half a round trip.
 * Does not measure: waiting for a peer that sleeps: both spin, without PAUSE, on CPUs of their own.
 * Expect:           SMT siblings 4-12 ns, cores under one L3 cache 16-55, other L3 73-132, other package 108-304.
 * Source:           the processor's coherence protocol; no kernel function.
 */
#include <errno.h>
#include <inttypes.h>

#include "shared.h"

/* Turns are numbered: worker k takes those whose number is k modulo 2, and each raises the number by one. */
static int by_cas(const struct worker *worker, uint64_t hops)
{
    _Atomic uint64_t *word = shared_word(worker, 0);
    for (uint64_t turn = worker->index, end = turn + 2 * hops; turn < end; turn += 2) {
        struct shared_wait wait = {0};
        for (uint64_t seen = turn; !atomic_compare_exchange_weak(word, &seen, turn + 1); seen = turn)
            if (shared_is_late(&wait))
                return -ETIMEDOUT;
    }
    return 0;
}

static int by_store(const struct worker *worker, uint64_t hops)
{
    _Atomic uint64_t *word = shared_word(worker, 0);
    for (uint64_t turn = worker->index, end = turn + 2 * hops; turn < end; turn += 2) {
        struct shared_wait wait = {0};
        while (atomic_load_explicit(word, memory_order_acquire) != turn)
            if (shared_is_late(&wait))
                return -ETIMEDOUT;
        atomic_store_explicit(word, turn + 1, memory_order_release);
    }
    return 0;
}

/* Worker 0 is one ahead: it stores the number of its hop, and worker 1 answers with the same number. */
static int by_two_lines(const struct worker *worker, uint64_t hops)
{
    _Atomic uint64_t *own = shared_word(worker, worker->index ? SHARED_LINE : 0);
    _Atomic uint64_t *other = shared_word(worker, worker->index ? 0 : SHARED_LINE);
    for (uint64_t hop = 1; hop <= hops; hop++) {
        struct shared_wait wait = {0};
        if (worker->index == 0)
            atomic_store_explicit(own, hop, memory_order_release);
        while (atomic_load_explicit(other, memory_order_acquire) != hop)
            if (shared_is_late(&wait))
                return -ETIMEDOUT;
        if (worker->index)
            atomic_store_explicit(own, hop, memory_order_release);
    }
    return 0;
}

/* What the last batch was, of whichever arm, for all have the same words. */
struct account {
    _Atomic uint64_t hops, hand_over, ended; /* ended: workers that came to the end of it */
};

static struct account *account_of(const struct worker *worker)
{
    return shared_notes(worker);
}

static int hand_over(const struct worker *worker, uint64_t hops)
{
    switch (worker->params->hand_over) {
    case hand_over_store:
        return by_store(worker, hops);
    case hand_over_two_lines:
        return by_two_lines(worker, hops);
    default:
        return by_cas(worker, hops);
    }
}

static int run(struct worker *worker, uint64_t hops)
{
    struct account *account = account_of(worker);
    if (worker->index == 0) {
        atomic_store(&account->hops, hops);
        atomic_store(&account->hand_over, worker->params->hand_over);
    }
    int rc = hand_over(worker, hops);
    if (rc == 0)
        atomic_fetch_add(&account->ended, 1);
    return rc;
}

/* Nothing was lost, and nothing came twice; of a batch that was not ended nothing can be said. */
static int check_words(const struct worker *worker, struct err *err)
{
    if (atomic_load(&account_of(worker)->ended) < 2)
        return 0;
    uint64_t hops = atomic_load(&account_of(worker)->hops);
    bool two_lines = atomic_load(&account_of(worker)->hand_over) == hand_over_two_lines;
    uint64_t first = atomic_load(shared_word(worker, 0)), second = atomic_load(shared_word(worker, SHARED_LINE));
    if (first == (two_lines ? hops : 2 * hops) && second == (two_lines ? hops : 0))
        return 0;
    return err_set(err, EPROTO, "hand-overs were lost or came twice: %" PRIu64 " and %" PRIu64 " after %" PRIu64, first,
                   second, hops);
}

static void clear(const struct worker *worker)
{
    atomic_store(&account_of(worker)->ended, 0);
    atomic_store(shared_word(worker, 0), 0);
    atomic_store(shared_word(worker, SHARED_LINE), 0);
}

/* The first worker looks after the words; the second begins only when both have been told to. */
static int reset(struct worker *worker, uint64_t hops, struct err *err)
{
    (void)hops;
    if (worker->index)
        return 0;
    int rc = check_words(worker, err);
    clear(worker);
    return rc;
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = shared_setup(worker, err);
    if (rc == 0 && worker->index == 0)
        clear(worker);
    return rc;
}

static uint64_t block_ns(const struct params *params)
{
    (void)params;
    return 60;
}

const struct method method_ping_pong = {
    .name = "ping_pong",
    .measures = "a cache line handed to and fro between two workers through a shared mapping",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_WRITE | NEEDS_PAIR,
    .uses = FIELD_BIT(hand_over),
    .block_ns = block_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = shared_teardown,
};
