/* SPDX-License-Identifier: MIT */
/*
 * What methods share in which workers meet in memory: pages of the target that all have mapped, and waiting. The first
 * half of the working set is what they contend for; the second is where they tell each other about it.
 */
#ifndef FAULTLINE_SHARED_H
#define FAULTLINE_SHARED_H

#include <sched.h>
#include <stdatomic.h>

#include "clock.h"
#include "method.h"
#include "relax.h"

/* Longer than any hand-over: a peer that has not come by then has lost its CPU for good, or is dead. */
#define SHARED_PATIENCE_NS (2000 * MS)

/* Lines of their own, also where lines are 128 bytes and fetched in pairs. */
enum { SHARED_LINE = 256 };

/* What every method that meets by shared_setup heeds. */
#define USES_SHARED FIELD_BIT(alias)

/*
 * Touches the working set, mapped shared and writable, at worker->base: that is worker->room, the same place for all,
 * unless there is none, or alias: yes has those beyond the first map it elsewhere. -errno with text.
 */
int shared_setup(struct worker *worker, struct err *err);
void shared_teardown(struct worker *worker);

/* One wait: counts vain looks, and tells once in many whether patience is at an end. */
struct shared_wait {
    uint64_t looks, limit_ns;
};

/* Once in many looks it also leaves the CPU to whoever else wants it: that may be the peer. */
static inline bool shared_is_late(struct shared_wait *wait)
{
    enum { LOOKS = 1 << 14 }; /* a tenth of a millisecond and more between two readings of the clock */
    if (++wait->looks % LOOKS)
        return false;
    relax(); /* for CPUs that take turns */
    sched_yield();
    uint64_t now = clock_now_ns();
    wait->limit_ns = wait->limit_ns ? wait->limit_ns : now + SHARED_PATIENCE_NS;
    return now > wait->limit_ns;
}

/* What one worker tells the others of a batch; begun anew by shared_clear. */
struct shared_slot {
    _Atomic uint64_t done;   /* its own work is done: what it does from then on is for the others */
    _Atomic uint64_t ended;  /* and it has left off, or failed: 2 */
    _Atomic uint64_t amount; /* of what it did, as the method counts it; stored before `ended` */
    _Atomic uint64_t steps;  /* changes while it gets on */
    char rest[SHARED_LINE - 4 * sizeof(uint64_t)];
};

/* Bytes of a working set that so many workers can meet on, where the first half holds no more than it has to. */
static inline uint64_t shared_least_bytes(uint64_t workers)
{
    return 2 * (workers + 1) * sizeof(struct shared_slot); /* and one line to spare, where half is not whole lines */
}

static inline struct shared_slot *shared_slot(const struct worker *worker, unsigned index)
{
    return (struct shared_slot *)(void *)(worker->base + worker->base_bytes / 2 / SHARED_LINE * SHARED_LINE) + index;
}

/* For the reset of the first worker: the slots of all are as before a batch. */
void shared_clear(const struct worker *worker);

/* Returns when `count` workers have come. -ETIMEDOUT when one has not. */
int shared_meet(const struct worker *worker, unsigned count);

/* Ends this worker's own time, and says so. */
void shared_done(struct worker *worker);

/* Whether every worker of [from, until) is done. */
static inline bool shared_are_done(const struct worker *worker, unsigned from, unsigned until)
{
    for (unsigned i = from; i < until; i++)
        if (!atomic_load_explicit(&shared_slot(worker, i)->done, memory_order_acquire))
            return false;
    return true;
}

/* While one works on for the sake of workers [from, until): whether those that are not done have not got on for as long
 * as patience lasts. */
struct shared_watch {
    unsigned from, until;
    struct shared_wait wait;
    uint64_t seen;
};
bool shared_is_stuck(const struct worker *worker, struct shared_watch *watch);

/* Operations between two of what a worker tells by `steps` in its own time. The others look at that line all the time
 * and it has to come back, which is as dear as 200 plain stores; patience lasts for far more than these. */
enum { SHARED_STRIDE = 1 << 16 };

/* Says that this worker has got so far. The number is the caller's own: to load it from the line that the others look
 * at made each copy under a sequence lock up to a quarter dearer. */
static inline void shared_tell(const struct worker *worker, uint64_t steps)
{
    atomic_store_explicit(&shared_slot(worker, worker->index)->steps, steps, memory_order_release);
}

/* Says that this worker has got on by one step. */
static inline void shared_step(const struct worker *worker)
{
    shared_tell(worker, atomic_load_explicit(&shared_slot(worker, worker->index)->steps, memory_order_relaxed) + 1);
}

/* Says that this worker has left off after so much work. */
void shared_end(const struct worker *worker, uint64_t amount);

/* Says that this worker has failed, so that nobody waits for it. Returns rc. */
int shared_fail(const struct worker *worker, int rc);

/* Returns when the first `count` workers have left off. -ETIMEDOUT when one does not, -ECANCELED when one has failed.
 */
int shared_await_end(const struct worker *worker, unsigned count);

static inline _Atomic uint64_t *shared_word(const struct worker *worker, uint64_t offset)
{
    return (_Atomic uint64_t *)(void *)(worker->base + offset);
}

#endif
