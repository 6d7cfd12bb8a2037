/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "shared.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "descriptor.h"
#include "target.h"

int shared_setup(struct worker *worker, struct err *err)
{
    int rc = descriptor_open_plain(worker);
    if (rc)
        return err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc));
    worker->base_bytes = worker->params->working_set_bytes;
    bool apart = worker->params->alias == alias_yes && worker->index > 0;
    worker->base = apart ? NULL : worker->room;
    if (!worker->base)
        worker->base = mmap(NULL, worker->base_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, worker->fd, 0);
    if (worker->base == MAP_FAILED) {
        worker->base = NULL;
        return err_sys(err, "mmap %s", worker->target->path);
    }
    for (uint64_t at = 0; at < worker->base_bytes; at += worker->target->page_bytes)
        atomic_fetch_add(shared_word(worker, at), 0); /* a store, and nothing changed: the peer may be at work */
    return 0;
}

void shared_clear(const struct worker *worker)
{
    for (unsigned i = 0; i < worker->count; i++) {
        struct shared_slot *slot = shared_slot(worker, i);
        atomic_store(&slot->done, 0);
        atomic_store(&slot->ended, 0);
        atomic_store(&slot->amount, 0);
        atomic_store(&slot->steps, 0);
    }
}

/* Takes back that this worker has come, so that the gate opens for another arm; false when it has opened meanwhile. */
static bool leave(struct gate *gate, uint64_t round)
{
    uint64_t arrived = atomic_load(&gate->arrived);
    while (atomic_load(&gate->opened) == round && arrived > 0)
        if (atomic_compare_exchange_weak(&gate->arrived, &arrived, arrived - 1))
            return true;
    return false;
}

int shared_meet(const struct worker *worker, unsigned count)
{
    struct gate *gate = worker->gate;
    struct shared_wait wait = {0};
    uint64_t round = atomic_load(&gate->opened);
    if (atomic_fetch_add(&gate->arrived, 1) + 1 == count) {
        atomic_store(&gate->arrived, 0);
        atomic_store(&gate->opened, round + 1);
        return 0;
    }
    while (atomic_load_explicit(&gate->opened, memory_order_acquire) == round)
        if (shared_is_late(&wait))
            return leave(gate, round) ? -ETIMEDOUT : 0;
    return 0;
}

void shared_done(struct worker *worker)
{
    worker->done_ns = clock_now_ns();
    atomic_store_explicit(&shared_slot(worker, worker->index)->done, 1, memory_order_release);
}

bool shared_is_stuck(const struct worker *worker, struct shared_watch *watch)
{
    uint64_t steps = 0;
    if (!shared_is_late(&watch->wait))
        return false;
    for (unsigned i = watch->from; i < watch->until; i++)
        if (i != worker->index && !atomic_load(&shared_slot(worker, i)->done))
            steps += 1 + atomic_load(&shared_slot(worker, i)->steps);
    bool stuck = steps == watch->seen;
    watch->seen = steps;
    watch->wait = (struct shared_wait){0};
    return stuck;
}

void shared_end(const struct worker *worker, uint64_t amount)
{
    struct shared_slot *slot = shared_slot(worker, worker->index);
    atomic_store(&slot->amount, amount);
    atomic_store_explicit(&slot->ended, 1, memory_order_release);
}

int shared_fail(const struct worker *worker, int rc)
{
    struct shared_slot *slot = shared_slot(worker, worker->index);
    atomic_store_explicit(&slot->ended, 2, memory_order_release);
    atomic_store_explicit(&slot->done, 1, memory_order_release);
    return rc;
}

int shared_await_end(const struct worker *worker, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct shared_wait wait = {0};
        uint64_t ended;
        while (!(ended = atomic_load_explicit(&shared_slot(worker, i)->ended, memory_order_acquire)))
            if (shared_is_late(&wait))
                return -ETIMEDOUT;
        if (ended == 2)
            return -ECANCELED;
    }
    return 0;
}

void shared_teardown(struct worker *worker)
{
    if (worker->base && worker->base != worker->room)
        munmap(worker->base, worker->base_bytes);
    worker->base = NULL;
    descriptor_close(worker);
}
