/* SPDX-License-Identifier: MIT */
#include "adding.h"

#include <errno.h>

#include "counter.h"

static _Atomic uint64_t *word_of(const struct worker *worker, unsigned index)
{
    return shared_word(worker, index * worker->params->apart_bytes);
}

static void add(_Atomic uint64_t *word, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        atomic_fetch_add_explicit(word, 1, memory_order_relaxed);
}

static void compare_and_swap(_Atomic uint64_t *word, uint64_t count)
{
    uint64_t tries = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t seen = atomic_load_explicit(word, memory_order_relaxed);
        for (tries++;
             !atomic_compare_exchange_weak_explicit(word, &seen, seen + 1, memory_order_relaxed, memory_order_relaxed);)
            tries++;
    }
    counter_method.retries += tries - count;
}

static void add_by(_Atomic uint64_t *word, uint64_t count, enum update update)
{
    if (update == update_cas)
        compare_and_swap(word, count);
    else
        add(word, count);
}

/* Says now and then that it gets on. */
static void add_all(const struct worker *worker, uint64_t count, enum update update)
{
    for (uint64_t left = count, now; left; left -= now) {
        now = left < SHARED_STRIDE ? left : SHARED_STRIDE;
        add_by(word_of(worker, worker->index), now, update);
        shared_step(worker);
    }
}

/* Goes on until all are done. Additions of it all, or -ETIMEDOUT. */
static int64_t keep_busy(const struct worker *worker, enum update update)
{
    enum { BETWEEN_LOOKS = 16 };
    struct shared_watch watch = {.until = worker->count};
    uint64_t retries = counter_method.retries;
    int64_t added = 0;
    while (!shared_are_done(worker, 0, worker->count)) {
        add_by(word_of(worker, worker->index), BETWEEN_LOOKS, update);
        added += BETWEEN_LOOKS;
        if (shared_is_stuck(worker, &watch))
            return -ETIMEDOUT;
    }
    counter_method.retries = retries; /* uncounted, as what they were tried for */
    return added;
}

/* What is there has to be what was added. */
static int check_sums(struct worker *worker)
{
    bool together = worker->params->apart_bytes == 0, kept = true;
    uint64_t sum = 0;
    for (unsigned i = 0; i < worker->count; i++) {
        uint64_t amount = atomic_load(&shared_slot(worker, i)->amount);
        kept &= together || atomic_load(word_of(worker, i)) == amount;
        sum += amount;
    }
    if (kept && (!together || atomic_load(word_of(worker, 0)) == sum))
        return 0;
    worker->fault = "additions were lost";
    return -EPROTO;
}

int adding_run(struct worker *worker, uint64_t count, enum update update)
{
    add_all(worker, count, update);
    shared_done(worker);
    int64_t more = keep_busy(worker, update);
    if (more < 0)
        return shared_fail(worker, (int)more);
    shared_end(worker, count + (uint64_t)more);
    if (worker->index)
        return 0;
    int rc = shared_await_end(worker, worker->count);
    return rc ? rc : check_sums(worker);
}

int adding_reset(struct worker *worker, uint64_t count, struct err *err)
{
    (void)count;
    (void)err;
    if (worker->index)
        return 0;
    for (unsigned i = 0; i < worker->count; i++)
        atomic_store(word_of(worker, i), 0);
    shared_clear(worker);
    return 0;
}
