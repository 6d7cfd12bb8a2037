/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure_parts.h"

#define EVICT_LIMIT_NS (1000 * MS)

bool arm_needs_file(const struct arm *arm)
{
    return method_needs_file(arm->method, &arm->params);
}

bool arm_sums(const struct arm *arm)
{
    return method_sums(arm->method, &arm->params);
}

bool arm_ok(const struct bench *bench, unsigned a)
{
    return bench->result->arms[a].status == ARM_OK;
}

void arm_fail(struct bench *bench, unsigned a, int rc, const struct err *err)
{
    struct arm_result *arm = &bench->result->arms[a];
    arm->status = rc == -EOPNOTSUPP || rc == -ENOSYS ? ARM_UNSUPPORTED : ARM_FAILED;
    snprintf(arm->reason, sizeof arm->reason, "%s", err->text);
}

int arm_do(struct bench *bench, unsigned a, const struct work_order *order)
{
    struct err err = {0};
    if (bench->request->arm_now)
        *bench->request->arm_now = a;
    int rc = crew_do(bench->crew, order, &err);
    if (rc)
        arm_fail(bench, a, rc, &err);
    return rc;
}

int arm_do_blocks(struct bench *bench, unsigned a, enum work_verb verb, uint64_t blocks)
{
    return arm_do(bench, a, &(struct work_order){.verb = verb, .arm = a, .blocks = blocks});
}

uint64_t arm_granule(const struct bench *bench, unsigned a)
{
    return work_granule(&bench->cell->arms[a]);
}

uint64_t arm_limit(const struct bench *bench, unsigned a)
{
    return schedule_limit(&bench->cell->arms[a], bench->work.offsets[a]->count);
}

uint64_t arm_timed_workers(const struct bench *bench, unsigned a)
{
    return method_timed_workers(bench->cell->arms[a].method, &bench->cell->arms[a].params);
}

/* What has come from storage so far. Either may be unknown, UINT64_MAX. */
struct fetched {
    uint64_t by_process; /* read_bytes of /proc/self/io; it knows nothing of live child processes */
    uint64_t by_device;  /* of the lowest device that is visible, for whomever */
};

static struct fetched read_fetched(const struct bench *bench)
{
    char text[512];
    bool children = bench->cell->params.workers > 1 && bench->cell->params.worker_kind == worker_kind_process;
    ssize_t done = bench->io < 0 || children ? 0 : pread(bench->io, text, sizeof text - 1, 0);
    text[done > 0 ? done : 0] = '\0';
    const char *line = strstr(text, "\nread_bytes:");
    return (struct fetched){
        .by_process = line ? strtoull(line + strlen("\nread_bytes:"), NULL, 10) : UINT64_MAX,
        .by_device = target_device_read_bytes(bench->request->target),
    };
}

/* False when `wanted` bytes are known not to have come in between. */
static bool covers(uint64_t before, uint64_t after, uint64_t wanted)
{
    return before == UINT64_MAX || after == UINT64_MAX || after - before >= wanted;
}

/*
 * Evicts until nothing is resident. Pages of readahead still in flight are locked and survive POSIX_FADV_DONTNEED: it
 * is repeated until they have arrived and gone. Whether it sufficed is for the batch's own proof to say.
 */
static int evict_all(struct bench *bench, struct err *err)
{
    const struct target *target = bench->request->target;
    uint64_t limit = clock_now_ns() + EVICT_LIMIT_NS;
    struct page_state state;
    int rc;
    bench->state_known = false;
    do {
        rc = target_evict(target, err);
        if (rc == 0)
            rc = target_state(target, target->file_bytes, &state, err);
        if (rc == 0 && state.resident)
            usleep(200);
    } while (rc == 0 && state.resident && clock_now_ns() < limit);
    return rc;
}

/* Without readahead, which would reach beyond the working set and drive out what of it was read first. */
static int fill_limited(struct bench *bench, struct err *err)
{
    const struct target *target = bench->request->target;
    posix_fadvise(target->fd, 0, 0, POSIX_FADV_RANDOM);
    int rc = target_warm(target, bench->cell->params.working_set_bytes, err);
    posix_fadvise(target->fd, 0, 0, POSIX_FADV_NORMAL);
    return rc;
}

int batch_arm_begin(struct bench *bench, unsigned a, bool evict)
{
    struct err err = {0};
    if (!bench->cold && !bench->limited)
        return 0;
    bool evicts = evict && arm_needs_file(&bench->cell->arms[a]);
    int rc = evicts ? evict_all(bench, &err) : 0;
    if (rc == 0 && evicts && bench->limited)
        rc = fill_limited(bench, &err);
    if (rc) {
        arm_fail(bench, a, rc, &err);
        return rc;
    }
    return arm_do_blocks(bench, a, WORK_SETUP, 0);
}

void batch_arm_end(struct bench *bench, unsigned a)
{
    if (bench->cold || bench->limited)
        arm_do_blocks(bench, a, WORK_TEARDOWN, 0);
}

static int look(struct bench *bench, struct page_state *state, struct err *err)
{
    const struct target *target = bench->request->target;
    uint64_t bytes = bench->cold ? target->file_bytes : bench->cell->params.working_set_bytes;
    return target_state(target, bytes, state, err);
}

static void keep_worst_state(struct arm_result *arm, const struct page_state *before, const struct page_state *after,
                             bool cold)
{
    if (!arm->has_state) {
        arm->before = *before;
        arm->after = *after;
        arm->has_state = true;
        return;
    }
    if (cold ? before->resident > arm->before.resident : before->resident < arm->before.resident)
        arm->before.resident = before->resident;
    if (after->resident < arm->after.resident)
        arm->after.resident = after->resident;
    if (before->dirty > arm->before.dirty && before->dirty != UINT64_MAX)
        arm->before.dirty = before->dirty;
    if (after->dirty > arm->after.dirty && after->dirty != UINT64_MAX)
        arm->after.dirty = after->dirty;
}

/*
 * A cold batch must have fetched at least the bytes it asked for, by either witness that is to be had. A write asks for
 * none: it may replace a page without reading it.
 */
static const char *fetch_fault(const struct bench *bench, unsigned a, uint64_t blocks, const struct fetched *before,
                               const struct fetched *after)
{
    const struct params *params = &bench->cell->arms[a].params;
    if (bench->cell->arms[a].method->needs & (NEEDS_WRITE | MOVES_NOTHING))
        return NULL;
    uint64_t wanted = blocks * params->block_bytes;
    wanted = wanted < params->working_set_bytes ? wanted : params->working_set_bytes;
    if (!covers(before->by_process, after->by_process, wanted))
        return "not cold: fewer bytes were fetched than were asked for";
    if (!covers(before->by_device, after->by_device, wanted))
        return "not cold: the device has read fewer bytes than were asked for";
    return NULL;
}

/* What went past the page cache leaves a cold file cold. */
static const char *direct_fault(const struct bench *bench, unsigned a, const struct page_state *after)
{
    bool direct = bench->cell->arms[a].params.open_as == open_as_direct;
    return direct && after->resident ? "O_DIRECT has brought pages into the page cache" : NULL;
}

/* A worker that ran elsewhere than it was bound to, or whose method says that its batch does not count. */
const char *batch_worker_fault(const struct bench *bench)
{
    for (unsigned w = 0; w < crew_size(bench->crew); w++)
        if (crew_answer(bench->crew, w)->fault)
            return crew_answer(bench->crew, w)->fault;
    for (unsigned w = 0; bench->cpus && w < crew_size(bench->crew); w++)
        if (crew_answer(bench->crew, w)->cpu != bench->cpus[w])
            return "a worker left the CPU it was bound to";
    return NULL;
}

static int make_clean(struct bench *bench, struct err *err)
{
    return target_settle(bench->request->target, err);
}

static int make_dirty(struct bench *bench, struct err *err)
{
    return target_dirty(bench->request->target, bench->cell->params.working_set_bytes, err);
}

/* What is to be done about the state that is known: nothing, write back what is dirty, or dirty what is not. */
static int (*mending(const struct bench *bench))(struct bench *, struct err *)
{
    enum cache cache = (enum cache)bench->cell->params.cache;
    const struct page_state *state = &bench->state;
    bool dirty = state->dirty != 0 || state->writeback != 0; /* also where that is unknown */
    if (cache == cache_dirty)
        return state->dirty != state->pages ? make_dirty : NULL;
    return dirty && (cache == cache_warm || cache == cache_clean) ? make_clean : NULL;
}

int batch_restore(struct bench *bench, unsigned a)
{
    struct err err = {0};
    int rc = 0;
    bool changes = bench->writes || bench->cell->params.cache == cache_dirty;
    if (!changes || !arm_needs_file(&bench->cell->arms[a]))
        return 0;
    if (!bench->state_known)
        rc = look(bench, &bench->state, &err);
    bench->state_known = rc == 0;
    int (*mend)(struct bench *, struct err *) = rc ? NULL : mending(bench);
    if (mend) {
        rc = mend(bench, &err);
        bench->state_known = false;
    }
    if (rc)
        arm_fail(bench, a, rc, &err);
    return rc;
}

/* What was wrong before the batch. Pages that the reset was to leave dirty are demanded instead of a clean file. */
static const char *fault_before(const struct bench *bench, unsigned a, const struct page_state *before)
{
    const struct arm *arm = &bench->cell->arms[a];
    enum cache cache = (enum cache)bench->cell->params.cache;
    uint64_t dirty = arm->method->dirties ? arm->method->dirties(&arm->params) : 0;
    if (dirty == 0)
        return target_state_fault(before, cache);
    if (before->dirty == UINT64_MAX)
        return "this machine does not show which pages are dirty";
    return before->dirty < dirty ? "pages were written back before the batch began"
                                 : target_residency_fault(before, cache);
}

static const char *fault_after(const struct bench *bench, const struct page_state *after)
{
    enum cache cache = (enum cache)bench->cell->params.cache;
    return bench->writes ? target_residency_fault(after, cache) : target_state_fault(after, cache);
}

bool batch_counts(const struct bench *bench)
{
    return bench->limited || bench->cell->params.timeline == timeline_yes;
}

static int run_blocks(struct bench *bench, unsigned a, uint64_t blocks, uint64_t *ns)
{
    struct work_order order = {.verb = WORK_RUN, .arm = a, .blocks = blocks, .counts = batch_counts(bench)};
    int rc = arm_do(bench, a, &order);
    *ns = crew_elapsed_ns(bench->crew);
    return rc;
}

/* The timed part and its proofs. */
static int run_proven(struct bench *bench, unsigned a, uint64_t blocks, uint64_t *ns, const char **fault)
{
    struct err err = {0};
    struct fetched fetched = {0}, fetched_after = {0};
    if (!bench->state_known && look(bench, &bench->state, &err)) {
        arm_fail(bench, a, -err.code, &err);
        return -err.code;
    }
    struct page_state before = bench->state;
    bench->state_known = false;
    if (bench->cold)
        fetched = read_fetched(bench);
    int rc = run_blocks(bench, a, blocks, ns);
    if (bench->cold)
        fetched_after = read_fetched(bench);
    if (rc == 0 && look(bench, &bench->state, &err)) {
        arm_fail(bench, a, -err.code, &err);
        rc = -err.code;
    }
    if (rc)
        return rc;
    bench->state_known = true;
    *fault = fault_before(bench, a, &before);
    if (!*fault)
        *fault = bench->cold ? fetch_fault(bench, a, blocks, &fetched, &fetched_after)
                             : fault_after(bench, &bench->state);
    if (!*fault && bench->cold)
        *fault = direct_fault(bench, a, &bench->state);
    if (!*fault)
        keep_worst_state(&bench->result->arms[a], &before, &bench->state, bench->cold);
    return 0;
}

int batch_run(struct bench *bench, unsigned a, uint64_t blocks, uint64_t *ns, const char **fault)
{
    const struct arm *arm = &bench->cell->arms[a];
    *fault = NULL;
    int rc = bench->cold ? batch_arm_begin(bench, a, true) : 0;
    if (rc == 0)
        rc = batch_restore(bench, a);
    if (rc == 0)
        rc = arm_do_blocks(bench, a, WORK_RESET, work_timed_blocks(arm, blocks));
    if (arm->method->dirties)
        bench->state_known = false;
    if (rc == 0 && arm_needs_file(arm)) {
        rc = run_proven(bench, a, blocks, ns, fault);
    } else if (rc == 0) {
        rc = run_blocks(bench, a, blocks, ns);
    }
    if (rc == 0 && !*fault)
        *fault = batch_worker_fault(bench);
    if (bench->cold)
        batch_arm_end(bench, a);
    return rc;
}

void batch_mend(struct bench *bench)
{
    struct err err = {0};
    if (bench->cell->params.cache == cache_warm && bench->request->target &&
        target_warm(bench->request->target, bench->cell->params.working_set_bytes, &err) == 0)
        bench->state_known = false;
}
