/* SPDX-License-Identifier: MIT */
/*
 * Measures:         the first store to each block after a fork, by the side that `breaker` names: the write-protection
 *                   fault and, where the other side still has the page, its copy. Where a child stores, the parent
 *                   waits for it: two hops of a cache line and two getrusage calls a batch, under 1 us of some hundred.
 * Does not measure: the fork, the child's end, and the other side's stores: all of them before each batch, untimed.
 * Expect:           2-3 us a page for the first of the two; a quarter of it for the last owner, which keeps the page;
 *                   no fault for a child that stores again.
 * Source:           mm/memory.c do_wp_page: wp_page_copy, or wp_page_reuse after wp_can_reuse_anon_folio;
 *                   mm/huge_memory.c do_huge_pmd_wp_page splits a huge page that is still shared.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "counter.h"
#include "descriptor.h"
#include "forked.h"
#include "mapping.h"
#include "smaps.h"
#include "target.h"

#define WAIT_LIMIT_NS (2000 * MS) /* a child that has not stored by then never will */

struct board {                           /* shared by the two sides */
    _Alignas(64) _Atomic uint64_t asked; /* blocks that the child is to have stored to since the fork */
    _Alignas(64) _Atomic uint64_t done;  /* blocks to which it has */
    _Atomic uint64_t ready;              /* it has done what comes before the clock */
    uint64_t faults;                     /* that its stores took, of all that is done */
};

struct breaking {
    struct params params;
    struct board *board;
    uint64_t asked;
    pid_t child;
};

/* Without a system call while the other side is quick; with one CPU for both, it gets its turn. */
static int wait_until(const _Atomic uint64_t *value, uint64_t wanted)
{
    enum { SPINS = 256 };
    uint64_t limit = clock_now_ns() + WAIT_LIMIT_NS;
    while (atomic_load_explicit(value, memory_order_acquire) != wanted)
        for (unsigned i = 0; atomic_load_explicit(value, memory_order_acquire) != wanted; i++)
            if (i == SPINS) {
                sched_yield();
                if (clock_now_ns() > limit)
                    return -ETIMEDOUT;
                break;
            }
    return 0;
}

/* The part of the child: `blocks` in all, in as many portions as the parent asks for. */
static void child_store(struct worker *worker, uint64_t blocks)
{
    struct board *board = ((struct breaking *)worker->own)->board;
    uint64_t first, done = 0;
    /* Stack and heap fault for themselves when first written after a fork, text and the board when first used. */
    board->faults = forked_faults();
    mapping_store(worker, 0);
    if (worker->params->breaker == breaker_child_again)
        mapping_prepare(worker, worker->base_bytes);
    forked_rest();
    board->faults = 0;
    first = forked_faults();
    atomic_store(&board->ready, 1);
    while (done < blocks) {
        uint64_t asked;
        while ((asked = atomic_load_explicit(&board->asked, memory_order_acquire)) == done)
            sched_yield();
        mapping_store(worker, asked - done);
        done = asked;
        board->faults = forked_faults() - first;
        atomic_store_explicit(&board->done, done, memory_order_release);
    }
}

static void child_main(struct worker *worker, uint64_t blocks, pid_t parent)
{
    struct breaking *own = worker->own;
    cpu_set_t everywhere;
    forked_follow(parent);
    memset(&everywhere, 0xff, sizeof everywhere);
    sched_setaffinity(0, sizeof everywhere, &everywhere); /* not only where the parent is bound */
    if (own->params.breaker == breaker_parent_last)
        _exit(0);
    if (own->params.breaker == breaker_parent_second)
        mapping_prepare(worker, worker->base_bytes);
    if (forked_child_breaks(&own->params))
        child_store(worker, blocks);
    atomic_store(&own->board->ready, 1);
    forked_wait_for_end();
}

static int ask_child(struct worker *worker, uint64_t blocks)
{
    struct breaking *own = worker->own;
    uint64_t faults = own->board->faults;
    own->asked += blocks;
    atomic_store_explicit(&own->board->asked, own->asked, memory_order_release);
    int rc = wait_until(&own->board->done, own->asked);
    counter_child_minor_faults += own->board->faults - faults;
    worker->cursor = (worker->cursor + blocks) % worker->offset_count;
    return rc;
}

static int run(struct worker *worker, uint64_t blocks)
{
    if (forked_child_breaks(worker->params))
        return ask_child(worker, blocks);
    mapping_store(worker, blocks);
    return 0;
}

/* Waits until the other side is where `breaker` has it; the parent's own pages of stack and heap are broken by now. */
static int settle(struct worker *worker)
{
    struct breaking *own = worker->own;
    int rc = 0;
    if (own->params.breaker == breaker_parent_last) {
        rc = forked_reap(own->child);
        own->child = 0;
    } else {
        rc = wait_until(&own->board->ready, 1);
    }
    if (rc == 0 && own->params.breaker == breaker_child_second)
        mapping_prepare(worker, worker->base_bytes);
    forked_rest();
    if (rc == 0)
        rc = run(worker, 0); /* what it writes beside the pages has been written once since the fork */
    return rc ? rc : forked_leave_out(worker->base, worker->base_bytes);
}

static int begin_fork(struct worker *worker, uint64_t blocks)
{
    struct breaking *own = worker->own;
    pid_t parent = getpid();
    memset(own->board, 0, sizeof *own->board);
    own->asked = 0;
    own->child = fork();
    if (own->child == 0)
        child_main(worker, blocks, parent);
    return own->child < 0 ? -errno : settle(worker);
}

/* Fresh pages each time: a huge page that was split would stay so. */
static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    struct breaking *own = worker->own;
    forked_end(own->child);
    own->child = 0;
    int rc = mapping_remove(worker);
    rc = rc ? err_set(err, -rc, "munmap: %s", strerror(-rc)) : mapping_make(worker, err);
    if (rc)
        return rc;
    mapping_prepare(worker, worker->base_bytes);
    rc = begin_fork(worker, blocks);
    return rc ? err_set(err, -rc, "fork: %s", strerror(-rc)) : 0;
}

static int check(const struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    if (params->sharing == sharing_shared || params->sharing == sharing_sync)
        return err_set(err, EINVAL, "what is mapped shared stays common after a fork: nothing is broken");
    return mapping_check_steps(params, err);
}

/* Whether the kernel gives the pages asked for, before any is needed. */
static int try_pages(struct worker *worker, struct err *err)
{
    int rc = mapping_make(worker, err);
    if (rc)
        return rc;
    mapping_prepare(worker, worker->base_bytes);
    return worker->params->sharing == sharing_anonymous ? smaps_check_pages(worker, err) : 0;
}

static int setup(struct worker *worker, struct err *err)
{
    struct breaking *own = worker->own = calloc(1, sizeof *own);
    if (!own)
        return err_set(err, ENOMEM, "no memory for a fork");
    own->params = *worker->params;
    own->params.prior = prior_stored;
    if (forked_child_breaks(&own->params))
        own->params.lifetime = lifetime_per_pass; /* what a child has stored is gone with it: nothing to read back */
    worker->params = &own->params;
    own->board = forked_share(sizeof *own->board);
    if (!own->board)
        return err_set(err, ENOMEM, "no memory for a fork");
    int rc = check(worker, err);
    if (rc)
        return rc;
    rc = own->params.sharing == sharing_anonymous ? 0 : descriptor_open_plain(worker);
    return rc ? err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc)) : try_pages(worker, err);
}

static void teardown(struct worker *worker)
{
    struct breaking *own = worker->own;
    mapping_remove(worker);
    descriptor_close(worker);
    if (!own)
        return;
    forked_end(own->child);
    forked_unshare(own->board, sizeof *own->board);
    free(own);
    worker->own = NULL;
}

static uint64_t limit(const struct params *params)
{
    return params->working_set_bytes / mapping_step_bytes(params);
}

static uint64_t block_ns(const struct params *params)
{
    bool first = params->breaker == breaker_parent_first || params->breaker == breaker_child_first;
    return first ? 2900 : 1000;
}

static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    bool second = params->breaker == breaker_parent_second || params->breaker == breaker_child_second ||
                  params->breaker == breaker_child_again;
    (void)blocks;
    return 500 * US + params->working_set_bytes / (4 * KIB) * (second ? 7500 : 4300);
}

const struct method method_fork_break = {
    .name = "fork_break",
    .measures = "the first store to each block after a fork, by the side that breaker names",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | BREAKS_COPIES | FORKS | PAGES_ONCE,
    .uses = USES_WORK | FIELD_BIT(buffer) | FIELD_BIT(sharing) | FIELD_BIT(access) | FIELD_BIT(pages) |
            FIELD_BIT(breaker),
    .limit = limit,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
