/* SPDX-License-Identifier: MIT */
/*
 * Measures:         a store to a page that is not in the page table yet, by each of two or more workers at the same
 *                   time: to the same page, to pages of one page table, of tables of their own, or of files of their
 *                   own (params->meet). Before each page they wait for each other, so that all are in the kernel.
 * Does not measure: faults alone: the waiting is included, and prior: stored, which leaves nothing but that and the
 *                   stores, shows how much it is. Of threads that touch the same page some may find it mapped already.
 * Expect:           0.3-2 us a fault; more where they meet on the lock of a page table or the reference count of a
 *                   VMA, and hardly more for processes with files of their own.
 * Source:           mm/memory.c handle_mm_fault, do_shared_fault, do_anonymous_page, finish_fault (the page table's
 *                   lock, pte_offset_map_lock); mm/mmap_lock.c lock_vma_under_rcu.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "faulting.h"
#include "shared.h"
#include "target.h"

enum { WORD_BYTES = 64 }; /* workers store to a page side by side, on lines of their own */

static struct faulting *faulting_of(const struct worker *worker)
{
    return worker->own;
}

static uint64_t page_bytes_of(const struct worker *worker)
{
    return worker->target->page_bytes;
}

static volatile uint64_t *word_at(const struct worker *worker, uint64_t page)
{
    const struct faulting *faulting = faulting_of(worker);
    uint64_t word = worker->index * (uint64_t)WORD_BYTES % page_bytes_of(worker);
    return (volatile uint64_t *)(void *)(faulting->pages + page * faulting->step_bytes + word);
}

/* Until all others have come to that step. One's own line is not looked at: it comes back from them late. */
static int await_others(const struct worker *worker, uint64_t step)
{
    atomic_store_explicit(&shared_slot(worker, worker->index)->steps, step, memory_order_release);
    for (unsigned i = 0; i < worker->count; i++) {
        struct shared_wait wait = {0};
        while (i != worker->index && atomic_load_explicit(&shared_slot(worker, i)->steps, memory_order_acquire) < step)
            if (shared_is_late(&wait))
                return -ETIMEDOUT;
    }
    return 0;
}

static int check_stores(struct worker *worker, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (*word_at(worker, i) != i + 1) {
            worker->fault = "a store was lost";
            return -EPROTO;
        }
    return 0;
}

/* Where the next store goes is no more than an addition: a fault leaves little in the caches to look it up in. */
static int run(struct worker *worker, uint64_t count)
{
    int rc = 0;
    const uint64_t step_words = faulting_of(worker)->step_bytes / sizeof(uint64_t);
    volatile uint64_t *word = word_at(worker, 0);
    for (uint64_t i = 0; i < count; i++, word += step_words) {
        rc = await_others(worker, i + 1);
        if (rc)
            break;
        *word = i + 1;
    }
    shared_done(worker);
    if (rc == 0)
        rc = check_stores(worker, count);
    if (rc)
        return shared_fail(worker, rc);
    shared_end(worker, count);
    return 0;
}

/* What threads have in common one of them takes away, before any goes on. */
static int take_pages_away(const struct worker *worker)
{
    const struct faulting *faulting = faulting_of(worker);
    bool owns = faulting->region != NULL;
    int rc = owns && madvise(faulting->mapped, faulting->mapped_bytes, MADV_DONTNEED) ? -errno : 0;
    int met = shared_meet(worker, worker->count);
    return rc ? rc : met;
}

static int reset(struct worker *worker, uint64_t count, struct err *err)
{
    int rc = take_pages_away(worker);
    if (rc)
        return err_set(err, -rc, "worker %u: pages cannot be taken away before the batch", worker->index);
    for (uint64_t i = 0; i < count && worker->params->prior == prior_stored; i++)
        *word_at(worker, i) = 0;
    if (worker->index == 0)
        shared_clear(worker);
    return 0;
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = shared_setup(worker, err);
    if (rc)
        return rc;
    struct faulting *faulting = worker->own = calloc(1, sizeof *faulting);
    if (!faulting)
        return err_set(err, ENOMEM, "no memory for a worker");
    faulting->fd = -1;
    return faulting_map(faulting, worker, err);
}

static void teardown(struct worker *worker)
{
    if (worker->own)
        faulting_unmap(worker->own);
    free(worker->own);
    worker->own = NULL;
    shared_teardown(worker);
}

static uint64_t limit(const struct params *params)
{
    return faulting_pages(params, (uint64_t)sysconf(_SC_PAGESIZE));
}

/* Of each worker, where the pages are not the target's. */
static uint64_t memory(const struct params *params)
{
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    bool own = params->fault_of != fault_of_shared_file || params->meet == meet_other_file;
    return own ? faulting_pages(params, page_bytes) * page_bytes : 0;
}

static uint64_t block_ns(const struct params *params)
{
    const uint64_t meet_ns = 100, fault_ns = 1200, stored_ns = 20;
    return meet_ns + (params->prior == prior_stored ? stored_ns : fault_ns);
}

static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    const uint64_t zap_ns = 700, fault_ns = 1500;
    return US + blocks * (zap_ns + (params->prior == prior_stored ? fault_ns : 0));
}

const struct method method_fault_contention = {
    .name = "fault_contention",
    .measures = "stores by which several workers fault pages in at the same time, by what they have in common",
    .version = 2,
    .needs = NEEDS_FILE | NEEDS_WRITE | NEEDS_CROWD,
    .uses = FIELD_BIT(meet) | FIELD_BIT(fault_of) | FIELD_BIT(prior),
    .limit = limit,
    .memory = memory,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
