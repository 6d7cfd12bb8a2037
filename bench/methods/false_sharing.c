/* SPDX-License-Identifier: MIT */
/*
 * Measures:         an atomic addition (LOCK XADD, LDADD) by each of two workers to a word of a shared mapping, apart
 *                   by apart_bytes: 0 is one word for both, less than a cache line is false sharing.
 * Does not measure: a worker alone: who is done first goes on, uncounted, until the other is done as well, so that the
 *                   time of both is that of the slower one.
 * Expect:           2-10 ns where the words lie on lines of their own, several times that on one line.
 * Source:           the processor's coherence protocol; no kernel function.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "shared.h"

/*
 * What each worker has added in the last batch, which batch it has ended, and how far apart the words were: they are
 * those of all arms.
 */
struct ledger {
    _Atomic uint64_t added, batches, apart_bytes, ended;
    char rest[SHARED_LINE - 4 * sizeof(uint64_t)];
};

static struct ledger *ledger_of(const struct worker *worker, unsigned index)
{
    struct ledger *ledgers = shared_notes(worker);
    return &ledgers[index];
}

static _Atomic uint64_t *own_word(const struct worker *worker)
{
    return shared_word(worker, worker->index * worker->params->apart_bytes);
}

/* Goes on until the other worker has done as many batches. Additions of it all, or -ETIMEDOUT. */
static int64_t keep_busy(const struct worker *worker, uint64_t batches)
{
    enum { BETWEEN_LOOKS = 16 };
    _Atomic uint64_t *word = own_word(worker);
    const struct ledger *other = ledger_of(worker, !worker->index);
    _Atomic uint64_t *theirs = shared_word(worker, !worker->index * worker->params->apart_bytes);
    struct shared_wait wait = {0};
    int64_t added = 0;
    for (uint64_t seen = 0; atomic_load_explicit(&other->batches, memory_order_acquire) < batches;) {
        for (int i = 0; i < BETWEEN_LOOKS; i++)
            atomic_fetch_add_explicit(word, 1, memory_order_relaxed);
        added += BETWEEN_LOOKS;
        if (!shared_is_late(&wait))
            continue;
        uint64_t now = atomic_load(theirs);
        if (now == seen || theirs == word)
            return -ETIMEDOUT;
        seen = now; /* slow, and alive */
        wait = (struct shared_wait){0};
    }
    return added;
}

static int run(struct worker *worker, uint64_t count)
{
    _Atomic uint64_t *word = own_word(worker);
    struct ledger *ledger = ledger_of(worker, worker->index);
    uint64_t batches = atomic_load(&ledger->batches) + 1;
    for (uint64_t i = 0; i < count; i++)
        atomic_fetch_add_explicit(word, 1, memory_order_relaxed);
    atomic_store_explicit(&ledger->batches, batches, memory_order_release);
    int64_t more = keep_busy(worker, batches);
    if (more < 0)
        return (int)more;
    atomic_store(&ledger->added, count + (uint64_t)more);
    atomic_store(&ledger->apart_bytes, worker->params->apart_bytes);
    atomic_store(&ledger->ended, 1);
    return 0;
}

/* Nothing that was added may be missing; of a batch that was not ended nothing can be said. */
static int check_sums(const struct worker *worker, struct err *err)
{
    if (!atomic_load(&ledger_of(worker, 0)->ended) || !atomic_load(&ledger_of(worker, 1)->ended))
        return 0;
    uint64_t first = atomic_load(&ledger_of(worker, 0)->added), second = atomic_load(&ledger_of(worker, 1)->added);
    uint64_t apart = atomic_load(&ledger_of(worker, 0)->apart_bytes), here = atomic_load(shared_word(worker, 0));
    bool together = apart == 0;
    uint64_t there = together ? second : atomic_load(shared_word(worker, apart));
    if (here == (together ? first + second : first) && there == second)
        return 0;
    return err_set(err, EPROTO, "additions were lost: %" PRIu64 " and %" PRIu64 " of %" PRIu64 " and %" PRIu64, here,
                   there, first, second);
}

static void clear(const struct worker *worker)
{
    atomic_store(shared_word(worker, 0), 0);
    atomic_store(shared_word(worker, atomic_load(&ledger_of(worker, 0)->apart_bytes)), 0);
    atomic_store(shared_word(worker, worker->params->apart_bytes), 0);
    for (unsigned i = 0; i < 2; i++) {
        atomic_store(&ledger_of(worker, i)->added, 0);
        atomic_store(&ledger_of(worker, i)->batches, 0);
        atomic_store(&ledger_of(worker, i)->ended, 0);
    }
}

static int reset(struct worker *worker, uint64_t count, struct err *err)
{
    (void)count;
    if (worker->index)
        return 0;
    int rc = check_sums(worker, err);
    clear(worker);
    return rc;
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = shared_setup(worker, err);
    if (rc == 0 && worker->index == 0)
        memset(worker->base, 0, worker->base_bytes); /* setups of all arms come before the first batch */
    return rc;
}

static uint64_t block_ns(const struct params *params)
{
    return params->apart_bytes < 64 ? 20 : 4;
}

const struct method method_false_sharing = {
    .name = "false_sharing",
    .measures = "atomic additions by two workers to words that lie apart_bytes apart in a shared mapping",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_WRITE | NEEDS_PAIR,
    .uses = FIELD_BIT(apart_bytes),
    .block_ns = block_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = shared_teardown,
};
