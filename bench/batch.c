/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure_parts.h"

#define EVICT_LIMIT_NS (1000 * MS)

bool arm_needs_file(const struct arm *arm)
{
    return arm->method->needs & NEEDS_FILE;
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

/* A cold batch must not come by any block twice, and a surplus has to fit as well. */
uint64_t arm_limit(const struct bench *bench, unsigned a)
{
    const struct arm *arm = &bench->cell->arms[a];
    uint64_t limit = work_limit(arm), granule = arm_granule(bench, a);
    if (bench->cold && arm_needs_file(arm) && bench->work.offsets[a]->count < limit)
        limit = bench->work.offsets[a]->count;
    if (arm->params.surplus > 0 && limit != UINT64_MAX)
        limit = (uint64_t)((double)limit / (1 + arm->params.surplus));
    limit = limit / granule * granule;
    return limit ? limit : granule;
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

int batch_cold_begin(struct bench *bench, unsigned a, bool evict)
{
    struct err err = {0};
    if (!bench->cold)
        return 0;
    int rc = evict && arm_needs_file(&bench->cell->arms[a]) ? evict_all(bench, &err) : 0;
    if (rc) {
        arm_fail(bench, a, rc, &err);
        return rc;
    }
    return arm_do_blocks(bench, a, WORK_SETUP, 0);
}

void batch_cold_end(struct bench *bench, unsigned a)
{
    if (bench->cold)
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
}

/* A cold batch must have fetched at least the bytes it asked for, by either witness that is to be had. */
static const char *fetch_fault(const struct bench *bench, unsigned a, uint64_t blocks, const struct fetched *before,
                               const struct fetched *after)
{
    const struct params *params = &bench->cell->arms[a].params;
    uint64_t wanted = blocks * params->block_bytes;
    wanted = wanted < params->working_set_bytes ? wanted : params->working_set_bytes;
    if (!covers(before->by_process, after->by_process, wanted))
        return "not cold: fewer bytes were fetched than were asked for";
    if (!covers(before->by_device, after->by_device, wanted))
        return "not cold: the device has read fewer bytes than were asked for";
    return NULL;
}

/* A worker that ran elsewhere than it was bound to. */
static const char *place_fault(const struct bench *bench)
{
    for (unsigned w = 0; bench->request->cpus && w < crew_size(bench->crew); w++)
        if (crew_answer(bench->crew, w)->cpu != bench->request->cpus[w])
            return "a worker left the CPU it was bound to";
    return NULL;
}

/* The timed part and its proofs. */
static int run_proven(struct bench *bench, unsigned a, uint64_t blocks, uint64_t *ns, const char **fault)
{
    enum cache cache = (enum cache)bench->cell->params.cache;
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
    int rc = arm_do_blocks(bench, a, WORK_RUN, blocks);
    *ns = crew_elapsed_ns(bench->crew);
    if (bench->cold)
        fetched_after = read_fetched(bench);
    if (rc == 0 && look(bench, &bench->state, &err)) {
        arm_fail(bench, a, -err.code, &err);
        rc = -err.code;
    }
    if (rc)
        return rc;
    bench->state_known = true;
    *fault = target_state_fault(&before, cache);
    if (!*fault)
        *fault = bench->cold ? fetch_fault(bench, a, blocks, &fetched, &fetched_after)
                             : target_state_fault(&bench->state, cache);
    if (!*fault)
        keep_worst_state(&bench->result->arms[a], &before, &bench->state, bench->cold);
    return 0;
}

int batch_run(struct bench *bench, unsigned a, uint64_t blocks, uint64_t *ns, const char **fault)
{
    const struct arm *arm = &bench->cell->arms[a];
    *fault = NULL;
    int rc = batch_cold_begin(bench, a, true);
    if (rc == 0)
        rc = arm_do_blocks(bench, a, WORK_RESET, work_timed_blocks(arm, blocks));
    if (rc == 0 && arm_needs_file(arm)) {
        rc = run_proven(bench, a, blocks, ns, fault);
    } else if (rc == 0) {
        rc = arm_do_blocks(bench, a, WORK_RUN, blocks);
        *ns = crew_elapsed_ns(bench->crew);
    }
    if (rc == 0 && !*fault)
        *fault = place_fault(bench);
    batch_cold_end(bench, a);
    return rc;
}

void batch_mend(struct bench *bench)
{
    struct err err = {0};
    if (bench->cell->params.cache == cache_warm && bench->request->target &&
        target_warm(bench->request->target, bench->cell->params.working_set_bytes, &err) == 0)
        bench->state_known = false;
}
