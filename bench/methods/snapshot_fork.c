/* SPDX-License-Identifier: MIT */
/*
 * Measures:         a snapshot by fork: the child has one of everything, stores to the pages that are written (a fault
 *                   and a copy of each) and ends; the parent waits for it.
 * Does not measure: the parent's own stores meanwhile, which would fault and copy as well (fork_break).
 * Expect:           100-200 us for a small process and 10-40 us for each MiB, written or not; 2-3 us for each page
 *                   written.
 * Source:           kernel/fork.c dup_mmap, mm/memory.c wp_page_copy, kernel/exit.c do_exit.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "anonymous.h"
#include "counter.h"
#include "forked.h"
#include "snapshot.h"

struct told { /* by the child */
    uint64_t sum, faults;
};

/* What is copied hangs on worker->buffer, and where the child tells of itself on the page behind it. */
static struct told *told_of(const struct worker *worker)
{
    return (struct told *)(void *)(worker->buffer + worker->base_bytes);
}

/*
 * A child's page tables lack what is not private: program text, the page that it tells on. Those faults are part of the
 * time, but they are not of the pages written.
 */
static void child_main(struct worker *worker, struct told *told)
{
    struct snapshot *snapshot = worker->own, whole = *snapshot;
    *snapshot = (struct snapshot){0};
    told->sum = snapshot_use(worker, worker->buffer);
    told->faults = forked_faults();
    *snapshot = whole;
    uint64_t first = forked_faults();
    told->sum = snapshot_use(worker, worker->buffer);
    told->faults = forked_faults() - first;
    _exit(0);
}

static int take(struct worker *worker)
{
    struct told *told = told_of(worker);
    pid_t child = fork();
    if (child == 0)
        child_main(worker, told);
    int rc = child < 0 ? -errno : forked_reap(child);
    worker->sum += rc ? 0 : told->sum;
    counter_child_minor_faults += rc ? 0 : told->faults;
    return rc;
}

static int run(struct worker *worker, uint64_t blocks)
{
    return snapshot_each(worker, blocks, take);
}

static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    (void)blocks;
    int rc = forked_copy_only(worker->buffer, worker->base_bytes);
    return rc ? err_set(err, -rc, "MADV_DOFORK: %s", strerror(-rc)) : 0;
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = snapshot_begin(worker, err);
    if (rc == 0)
        rc = anonymous_make(&worker->buffer, worker->base_bytes + worker->target->page_bytes, false, err);
    if (rc)
        return rc;
    memcpy(worker->buffer, worker->base, worker->base_bytes);
    if (mmap(told_of(worker), worker->target->page_bytes, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0) == MAP_FAILED)
        return err_sys(err, "mmap of a shared page");
    rc = forked_leave_out(worker->buffer, worker->base_bytes);
    return rc ? err_set(err, -rc, "MADV_DONTFORK: %s", strerror(-rc)) : 0;
}

static void teardown(struct worker *worker)
{
    if (worker->buffer)
        forked_leave_out(worker->buffer, worker->base_bytes);
    anonymous_remove(worker->buffer, worker->base_bytes + worker->target->page_bytes);
    worker->buffer = NULL;
    snapshot_end(worker);
}

static uint64_t memory(const struct params *params)
{
    return params->working_set_bytes + snapshot_written_bytes(params);
}

static uint64_t block_ns(const struct params *params)
{
    const uint64_t fork_ns = 300 * US; /* and the child's end, whatever is mapped */
    double page = 500 + 3000 * params->written_share;
    return fork_ns / params->touches + (uint64_t)(page * (double)params->block_bytes / 4096.0);
}

const struct method method_snapshot_fork = {
    .name = "snapshot_fork",
    .measures = "a snapshot by fork, and the child's stores to a share of its pages",
    .version = 1,
    .needs = NEEDS_FILE | FORKS,
    .uses = SNAPSHOT_USES,
    .memory = memory,
    .block_ns = block_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
