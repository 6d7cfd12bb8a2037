/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "measure_parts.h"

void pass_checksum(struct bench *bench)
{
    uint64_t unit, bytes = schedule_sum_bytes(bench->cell, &unit);
    for (unsigned a = 0; a < bench->cell->arm_count; a++) {
        struct arm_result *arm = &bench->result->arms[a];
        const struct params *params = &bench->cell->arms[a].params;
        struct work_order order = {
            .verb = WORK_SUM, .arm = a, .blocks = bytes / params->block_bytes, .unit = unit / params->block_bytes};
        if (!arm_ok(bench, a) || !arm_sums(&bench->cell->arms[a]) || batch_arm_begin(bench, a, false))
            continue;
        arm->has_sum = arm_do(bench, a, &order) == 0;
        for (unsigned w = 0; w < crew_size(bench->crew) && arm->has_sum; w++) {
            arm->has_sum = crew_answer(bench->crew, w)->has_sum;
            arm->sum += crew_answer(bench->crew, w)->sum;
        }
        batch_arm_end(bench, a);
    }
    bench->state_known = false;
}

/*
 * Counts so many blocks. Workers that meet begin together, as in a batch, and after all have been reset: one that
 * counted by itself would find another in the middle of its reset.
 */
static int count_once(struct bench *bench, unsigned a, uint64_t blocks)
{
    bool meet = method_meets(bench->cell->arms[a].method);
    struct work_order order = {
        .verb = meet ? WORK_RUN : WORK_COUNT, .arm = a, .blocks = blocks, .counts = true, .maps_program = true};
    int rc = meet ? arm_do_blocks(bench, a, WORK_RESET, blocks) : 0;
    return rc ? rc : arm_do(bench, a, &order);
}

/* A batch of workers that meet may be void; it is counted again then. */
static int count(struct bench *bench, unsigned a, uint64_t blocks)
{
    enum { TRIES = 10 };
    int rc = count_once(bench, a, blocks);
    bool meet = method_meets(bench->cell->arms[a].method);
    for (unsigned i = 1; meet && rc == 0 && batch_worker_fault(bench) && i < TRIES; i++)
        rc = count_once(bench, a, blocks);
    const char *fault = meet && rc == 0 ? batch_worker_fault(bench) : NULL;
    if (!fault)
        return rc;
    struct err err;
    rc = err_set(&err, EBUSY, "the counting pass does not count: %s", fault);
    arm_fail(bench, a, rc, &err);
    return rc;
}

/* Adds up what the workers that are timed have counted. */
static void keep_counts(struct bench *bench, unsigned a, uint64_t blocks)
{
    struct arm_result *arm = &bench->result->arms[a];
    bool first = true;
    arm->has_counts = true;
    arm->count_ops = blocks / params_blocks_per_op(&bench->cell->arms[a].params) * arm_timed_workers(bench, a);
    for (unsigned w = 0; w < crew_size(bench->crew); w++) {
        const struct work_answer *answer = crew_answer(bench->crew, w);
        if (answer->is_company)
            continue;
        if (first)
            arm->counts = answer->counts;
        else
            counter_add(&arm->counts, &answer->counts);
        first = false;
    }
}

/* What a group of events counted, of the workers that are timed; what is to be counted again in `parts` is overwritten
 * then. */
static unsigned keep_events(struct bench *bench, unsigned a, uint32_t members, unsigned pass, uint32_t *parts)
{
    struct perf_reading reading = {0};
    bool first = true;
    for (unsigned w = 0; w < crew_size(bench->crew); w++) {
        const struct work_answer *answer = crew_answer(bench->crew, w);
        if (answer->is_company)
            continue;
        if (first)
            reading = answer->events;
        else
            perf_reading_add(&reading, &answer->events);
        first = false;
    }
    for (unsigned i = 0; i < EVENTS_MAX; i++)
        if (members >> i & 1)
            bench->result->arms[a].events[i] = (struct event_count){
                .value = reading.values[i],
                .share = reading.enabled_ns ? (double)reading.running_ns / (double)reading.enabled_ns : 0,
                .pass = pass,
                .error = reading.errors[i],
            };
    return perf_split(members, &reading, parts);
}

/*
 * In a warm cell a major fault is the mark of a page that somebody took out of the page cache after its state had been
 * proved: DAMON's reclaim does so at any time. An operation that causes its own, as a refault does, shows them again.
 */
static bool lost_pages(const struct bench *bench)
{
    uint64_t major_faults = 0;
    for (unsigned w = 0; w < crew_size(bench->crew) && !bench->cold; w++)
        major_faults += crew_answer(bench->crew, w)->counts.values[COUNTER_major_faults];
    return major_faults > 0;
}

/* One counting pass of an arm from the state that the cell demands, with these events beside what always is counted. */
static int count_with(struct bench *bench, unsigned a, uint64_t blocks, uint32_t events)
{
    struct work_order order = {.verb = WORK_EVENTS, .arm = a, .events = events};
    bench->state_known = false;
    int rc = batch_arm_begin(bench, a, true);
    if (rc)
        return rc;
    rc = events ? arm_do(bench, a, &order) : 0;
    for (unsigned tries = 2; rc == 0 && tries; tries = lost_pages(bench) ? tries - 1 : 0) {
        bench->state_known = false;
        rc = batch_restore(bench, a);
        if (rc == 0)
            rc = count(bench, a, blocks);
    }
    batch_arm_end(bench, a);
    return rc;
}

/*
 * Events that fit on the CPU's counters together are counted in one pass. What did not fit is counted again in smaller
 * groups, by the same operations: a count that is scaled up from a part of the time is a guess. They are closed again
 * before anything is timed: while one is open anywhere, page faults and switches take longer.
 */
static void count_arm(struct bench *bench, unsigned a)
{
    uint64_t blocks = schedule_count_blocks(&bench->cell->arms[a].params, arm_limit(bench, a));
    uint32_t groups[EVENTS_MAX + PERF_PARTS_MAX] = {bench->result->events ? bench->result->events->openable : 0};
    struct work_order none = {.verb = WORK_EVENTS, .arm = a};
    unsigned waiting = 1;
    for (unsigned pass = 0; waiting && arm_ok(bench, a); pass++) {
        uint32_t members = groups[--waiting];
        if (count_with(bench, a, blocks, members))
            break;
        if (pass == 0)
            keep_counts(bench, a, blocks);
        bench->result->arms[a].has_events = true;
        if (members)
            waiting += keep_events(bench, a, members, pass, &groups[waiting]);
    }
    if (bench->result->events)
        arm_do(bench, a, &none);
}

void pass_counts(struct bench *bench)
{
    for (unsigned a = 0; a < bench->cell->arm_count && !bench->limited; a++)
        if (arm_ok(bench, a))
            count_arm(bench, a);
    bench->state_known = false;
}

/* As many operations as latency_time allows, judged by the timed rounds: none of the workers can stop before the
 * others.
 */
static uint64_t lap_count(const struct bench *bench, unsigned a)
{
    const struct params *params = &bench->cell->arms[a].params;
    const struct arm_result *arm = &bench->result->arms[a];
    double ns = 0;
    for (unsigned r = 0; r < bench->result->rounds; r++)
        ns += (double)arm->batch_ns[r] / (double)(arm->ops * bench->result->rounds);
    double most = ns > 0 ? (double)params->latency_time / ns : (double)params->latency_ops;
    return most < 1 ? 1 : most < (double)params->latency_ops ? (uint64_t)most : params->latency_ops;
}

/* Of workers who meet. All have to be reset before the first of them begins. */
static void laps_of(struct bench *bench, unsigned a)
{
    uint64_t left = lap_count(bench, a), most = arm_limit(bench, a);
    while (left) {
        uint64_t now = left < most ? left : most;
        struct work_order order = {.verb = WORK_LATENCY, .arm = a, .operations = now};
        if (arm_do_blocks(bench, a, WORK_RESET, now) || arm_do(bench, a, &order))
            return;
        for (unsigned w = 0; w < crew_size(bench->crew); w++)
            work_latency_merge(bench->result->arms[a].latency, &crew_answer(bench->crew, w)->latency);
        left -= now;
    }
}

/* All operations at once; where the cell is cold, one after each eviction. */
static void latency_of(struct bench *bench, unsigned a)
{
    const struct params *params = &bench->cell->arms[a].params;
    struct arm_result *arm = &bench->result->arms[a];
    uint64_t orders = bench->cold ? params->latency_ops : 1, spent_ns = 0;
    struct work_order order = {
        .verb = WORK_LATENCY,
        .arm = a,
        .blocks = params_blocks_per_op(params),
        .operations = bench->cold ? 1 : params->latency_ops,
        .limit_ns = params->latency_time,
        .interval_ns = params->latency == latency_open ? params->latency_interval : 0,
    };
    for (uint64_t i = 0; i < orders && spent_ns <= params->latency_time; i++) {
        bench->state_known = false;
        if (batch_arm_begin(bench, a, true) || batch_restore(bench, a) || arm_do(bench, a, &order))
            return;
        for (unsigned w = 0; w < crew_size(bench->crew); w++) {
            work_latency_merge(arm->latency, &crew_answer(bench->crew, w)->latency);
            spent_ns += crew_answer(bench->crew, w)->latency.spent_ns;
        }
        batch_arm_end(bench, a);
    }
}

/* Why an arm has no latency pass, or NULL. */
static const char *latency_refusal(const struct bench *bench, unsigned a)
{
    const struct params *params = &bench->cell->arms[a].params;
    if (!arm_ok(bench, a))
        return "the arm is not ok";
    if (params->latency == latency_none)
        return "not asked for";
    return schedule_latency_refusal(params, bench->cold);
}

/* An empty histogram would look like a measurement. */
static void drop_latency(struct arm_result *arm)
{
    const char *why = arm->latency->fault ? arm->latency->fault : "none was finished";
    snprintf(arm->latency_reason, sizeof arm->latency_reason, "no operation of the latency pass counts: %s", why);
    free(arm->latency);
    arm->latency = NULL;
}

void pass_latency(struct bench *bench)
{
    for (unsigned a = 0; a < bench->cell->arm_count; a++) {
        struct arm_result *arm = &bench->result->arms[a];
        const char *reason = latency_refusal(bench, a);
        if (!reason) {
            arm->latency = calloc(1, sizeof *arm->latency);
            reason = arm->latency ? NULL : "no memory for a histogram";
        }
        if (reason)
            snprintf(arm->latency_reason, sizeof arm->latency_reason, "%s", reason);
        else if (bench->cell->arms[a].method->laps)
            laps_of(bench, a);
        else
            latency_of(bench, a);
        if (arm->latency && arm->latency->service.count == 0)
            drop_latency(arm);
    }
    bench->state_known = false;
}

static int take_signature(struct bench *bench, uint64_t *faults, struct err *err)
{
    return target_signature(bench->request->target, bench->cell->params.working_set_bytes,
                            &bench->result->signature_pages, faults, err);
}

static bool takes_signature(const struct bench *bench)
{
    return bench->request->target && bench->cell->params.cache == cache_warm;
}

int pass_signature_before(struct bench *bench, struct err *err)
{
    return takes_signature(bench) ? take_signature(bench, &bench->result->signature_faults, err) : 0;
}

/* When the recipe no longer shows, nothing of the cell counts: no arm has failed, but the file is another. */
void pass_signature_after(struct bench *bench)
{
    struct err err = {0};
    struct cell_result *result = bench->result;
    if (!takes_signature(bench))
        return;
    int rc = take_signature(bench, &result->signature_faults_after, &err);
    uint64_t before = result->signature_faults, after = result->signature_faults_after;
    uint64_t change = before > after ? before - after : after - before;
    if (rc == 0 && change <= target_signature_slack(bench->request->target))
        return;
    for (unsigned a = 0; a < result->arm_count; a++)
        if (arm_ok(bench, a) && arm_needs_file(&bench->cell->arms[a])) {
            result->arms[a].status = ARM_SKIPPED;
            snprintf(result->arms[a].reason, sizeof result->arms[a].reason,
                     "void: the recipe no longer shows: %llu faults for %llu pages before, %llu after",
                     (unsigned long long)result->signature_faults, (unsigned long long)result->signature_pages,
                     (unsigned long long)result->signature_faults_after);
        }
}
