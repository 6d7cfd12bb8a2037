/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "measure_parts.h"
#include "memory_group.h"
#include "place.h"
#include "rounds.h"

enum {
    TOO_LONG = 8, /* times as long as it was meant to be; arms that share their number of operations may differ by 4 */
    VOIDED_SHARE = 10, /* when more than one round in 10 is void, the arms that voided them have failed … */
    VOIDED_FEW = 1,    /* … unless it is a single one, as it can be where rounds are few */
};

static int median_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t median(uint64_t *values, unsigned count)
{
    qsort(values, count, sizeof *values, median_compare);
    return values[count / 2];
}

/* Median time of some batches; 0 when the arm failed. */
static uint64_t batch_probe(struct bench *bench, unsigned a, uint64_t blocks)
{
    uint64_t times[PROBE_BATCHES];
    const char *fault;
    for (unsigned i = 0; i < PROBE_BATCHES; i++)
        if (batch_run(bench, a, blocks, &times[i], &fault))
            return 0;
    uint64_t middle = median(times, PROBE_BATCHES);
    return middle ? middle : 1;
}

/* How long a batch is to be: batch_time, where the clock can tell that from nothing. */
static uint64_t batch_aim_ns(const struct bench *bench)
{
    uint64_t grid = bench->request->clock.grid_ns, empty = bench->request->empty_batch_ns;
    uint64_t floor = 1000 * (grid > empty ? grid : empty), aim = bench->cell->params.batch_time;
    return aim > floor ? aim : floor;
}

/* Blocks that make a batch of about batch_time; 0 when the arm failed. */
static uint64_t calibrate_arm(struct bench *bench, unsigned a, uint64_t granule, uint64_t limit)
{
    uint64_t blocks = granule, ns = batch_probe(bench, a, blocks);
    while (ns && ns < PROBE_NS && blocks * 2 <= limit) {
        blocks *= 2;
        ns = batch_probe(bench, a, blocks);
    }
    return ns ? schedule_batch((double)ns / (double)blocks, batch_aim_ns(bench), granule, limit) : 0;
}

/* Granule and limit that all arms can share. */
static void common_step(const struct bench *bench, uint64_t *granule, uint64_t *limit)
{
    uint64_t granules[ARMS_MAX], limits[ARMS_MAX];
    for (unsigned a = 0; a < bench->cell->arm_count; a++) {
        granules[a] = arm_granule(bench, a);
        limits[a] = arm_limit(bench, a);
    }
    schedule_common(granules, limits, bench->cell->arm_count, granule, limit);
}

/*
 * Blocks that make a batch of about batch_time under a memory limit, where one block is found in the cache and the next
 * costs a thousand times as much: the mean over some batches' worth of them is what counts, and a batch holds several.
 */
static uint64_t calibrate_mean(struct bench *bench, unsigned a, uint64_t granule, uint64_t limit)
{
    enum { BATCHES = 3, BLOCKS_LEAST = 4 };
    uint64_t aim = bench->cell->params.batch_time, blocks = granule, total = 0, spent_ns = 0, ns;
    const char *fault;
    for (; spent_ns < BATCHES * aim; blocks = 2 * blocks < limit ? 2 * blocks : limit) {
        if (batch_run(bench, a, blocks, &ns, &fault))
            return 0;
        total += blocks;
        spent_ns += ns + 1;
    }
    uint64_t wanted = (uint64_t)((double)aim * (double)total / (double)spent_ns);
    wanted = wanted < BLOCKS_LEAST ? BLOCKS_LEAST : wanted < limit ? wanted : limit;
    return (wanted + granule - 1) / granule * granule;
}

/* Operations per batch of one arm by itself. */
static uint64_t calibrate_alone(struct bench *bench, unsigned a)
{
    uint64_t granule = arm_granule(bench, a), limit = arm_limit(bench, a), blocks;
    if (!arm_ok(bench, a) || (bench->limited && batch_arm_begin(bench, a, true)))
        return 0;
    blocks = bench->limited ? calibrate_mean(bench, a, granule, limit) : calibrate_arm(bench, a, granule, limit);
    if (bench->limited)
        batch_arm_end(bench, a);
    return blocks / params_blocks_per_op(&bench->cell->arms[a].params);
}

/*
 * What an earlier trial of the cell has calibrated is kept; an arm that had no figure then gets one now. Under a memory
 * limit there is nothing to share: what an operation costs depends on what the arm itself keeps in the cache.
 */
static void calibrate_each(struct bench *bench)
{
    for (unsigned a = 0; a < bench->cell->arm_count; a++) {
        struct arm_result *arm = &bench->result->arms[a];
        arm->ops = bench->request->ops ? bench->request->ops[a] : 0;
        if (arm->ops == 0 && bench->cell->arms[a].is_null)
            arm->ops = bench->result->arms[0].ops;
        if (arm->ops == 0)
            arm->ops = calibrate_alone(bench, a);
    }
}

/* Operations per batch of every arm: the baseline's where the costs are close, else the arm's own. */
static void calibrate(struct bench *bench)
{
    uint64_t granule, limit, shared = 0, base_ns = 0;
    if (bench->request->ops || bench->limited) {
        calibrate_each(bench);
        return;
    }
    common_step(bench, &granule, &limit);
    for (unsigned a = 0; a < bench->cell->arm_count; a++) {
        const struct params *params = &bench->cell->arms[a].params;
        uint64_t per_op = params_blocks_per_op(params), blocks = shared;
        if (!arm_ok(bench, a))
            continue;
        if (bench->cell->arms[a].is_null &&
            bench->result->arms[0].ops) { /* a duplicate in this too, whatever a probe says */
            bench->result->arms[a].ops = bench->result->arms[0].ops;
            continue;
        }
        if (shared == 0) {
            blocks = shared = calibrate_arm(bench, a, granule, limit);
            base_ns = shared ? batch_probe(bench, a, shared) : 0;
        } else {
            bool fits = shared % arm_granule(bench, a) == 0 && shared <= arm_limit(bench, a);
            uint64_t ns = fits ? batch_probe(bench, a, shared) : 0;
            if (!fits || !schedule_is_close((double)ns, (double)base_ns))
                blocks = arm_ok(bench, a) ? calibrate_arm(bench, a, arm_granule(bench, a), arm_limit(bench, a)) : 0;
        }
        bench->result->arms[a].ops = blocks / per_op;
    }
}

static uint64_t arm_blocks(const struct bench *bench, unsigned a)
{
    return bench->result->arms[a].ops * params_blocks_per_op(&bench->cell->arms[a].params);
}

/* Under a memory limit there is no counting pass: what it would find is not what the batches have found. */
static void sum_counts(struct arm_result *arm, const struct counts *counts, uint64_t ops)
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        if (arm->counts.values[i] != UINT64_MAX && counts->values[i] != UINT64_MAX)
            arm->counts.values[i] += counts->values[i];
        else
            arm->counts.values[i] = UINT64_MAX;
    arm->count_ops += ops;
    arm->has_counts = true;
}

static void keep_counts(struct bench *bench, unsigned a, unsigned round, uint64_t ns)
{
    struct arm_result *arm = &bench->result->arms[a];
    struct counts counts = crew_answer(bench->crew, 0)->counts;
    uint64_t ops = arm->ops * arm_timed_workers(bench, a);
    for (unsigned w = 1; w < crew_size(bench->crew); w++)
        counter_add(&counts, &crew_answer(bench->crew, w)->counts);
    if (bench->limited)
        sum_counts(arm, &counts, ops);
    if (!arm->samples)
        return;
    arm->samples[round] = (struct batch_sample){
        .t_ns = crew_answer(bench->crew, 0)->start_ns - bench->begin_ns,
        .ns = ns,
        .ops = ops,
        .read_bytes = counts.values[COUNTER_read_bytes],
        .major_faults = counts.values[COUNTER_major_faults],
        .refaults = counts.values[COUNTER_refaults],
        .stretch = bench->limited && round >= bench->result->rounds / 2,
    };
}

/* What one batch showed, beside its time. */
static void keep_batch(struct bench *bench, unsigned a, unsigned slot, unsigned round, uint64_t ns)
{
    struct arm_result *arm = &bench->result->arms[a];
    arm->batch_ns[round] = ns;
    arm->order[round] = slot;
    for (unsigned w = 0; w < crew_size(bench->crew); w++) {
        const struct work_answer *answer = crew_answer(bench->crew, w);
        arm->cpus |= UINT64_C(1) << (answer->cpu < 63 ? answer->cpu : 63);
        if (arm->worker_ns)
            arm->worker_ns[w * bench->result->room + round] = answer->finish_ns - answer->start_ns;
    }
    if (batch_counts(bench))
        keep_counts(bench, a, round, ns);
}

/* An arm's batch of one round; with `round` below 0 it is not kept. Its time, or 0. */
static uint64_t round_batch(struct bench *bench, unsigned a, unsigned slot, int round)
{
    struct cell_result *result = bench->result;
    uint64_t ns = 0;
    const char *fault = NULL;
    if (!arm_ok(bench, a) || batch_run(bench, a, arm_blocks(bench, a), &ns, &fault))
        return 0;
    if (fault)
        batch_mend(bench);
    if (round < 0) {
        bench->warm_ns[a] += ns;
        bench->warm_long[a] += ns > TOO_LONG * batch_aim_ns(bench);
    }
    if (fault && round >= 0 && !result->voided[round]) {
        result->voided[round] = fault;
        result->voided_by[round] = a;
    }
    if (round >= 0)
        keep_batch(bench, a, slot, (unsigned)round, ns);
    return ns;
}

/* One round; with `round` below 0 it is not kept. Sum of the batch times. */
static uint64_t round_run(struct bench *bench, struct rounds *rounds, int round)
{
    unsigned order[ARMS_MAX];
    uint64_t sum = 0;
    rounds_next(rounds, order);
    for (unsigned slot = 0; slot < bench->cell->arm_count; slot++)
        sum += round_batch(bench, order[slot], slot, round);
    return sum;
}

/*
 * An operation can be quick while it is calibrated and slow ever after (a waiter that has not slept yet). An arm most
 * of whose batches of the warm-up were far longer than they were meant to be gets as many operations as it should have
 * had. A few are long where the worker lost its CPU meanwhile: then the arm would do a tenth of the others' operations,
 * and what a batch costs besides them would be taken for a difference. Returns the mean ns of its batches to come.
 */
static uint64_t calibrate_again(struct bench *bench, unsigned a)
{
    struct arm_result *arm = &bench->result->arms[a];
    uint64_t ns = bench->warm_ns[a] / bench->result->warmup_rounds, blocks = arm_blocks(bench, a);
    if (!arm_ok(bench, a) || bench->request->ops || bench->cell->arms[a].is_null || blocks == 0 ||
        2 * bench->warm_long[a] <= bench->result->warmup_rounds)
        return ns;
    uint64_t wanted = schedule_batch((double)ns / (double)blocks, batch_aim_ns(bench), arm_granule(bench, a),
                                     arm_limit(bench, a));
    if (wanted > blocks / TOO_LONG)
        return ns;
    arm->ops = wanted / params_blocks_per_op(&bench->cell->arms[a].params);
    return (uint64_t)((double)ns * (double)wanted / (double)blocks);
}

/* Returns mean ns of a batch. */
static uint64_t warm_up(struct bench *bench, struct rounds *rounds)
{
    unsigned count = bench->cell->arm_count, done = 0;
    uint64_t total = 0, begin = clock_now_ns(), longest = 0;
    while (!schedule_is_warm(done, count, clock_now_ns() - begin, longest)) {
        uint64_t sum = round_run(bench, rounds, -1);
        longest = sum / count > longest ? sum / count : longest;
        done++;
    }
    bench->result->warmup_rounds = done;
    for (unsigned a = 0; a < count; a++) {
        total += calibrate_again(bench, a);
        if (bench->cell->arms[a].is_null)
            bench->result->arms[a].ops = bench->result->arms[0].ops;
    }
    return total / count;
}

static unsigned round_count(const struct bench *bench, uint64_t batch_ns)
{
    if (bench->request->rounds)
        return bench->request->rounds < ROUNDS_MAX ? bench->request->rounds : ROUNDS_MAX;
    return schedule_rounds(bench->cell->arm_count, bench->cell->params.arm_time, batch_ns);
}

/*
 * The other side has had the caches meanwhile: an untimed batch before the first of a round, as a timed one comes
 * before each of the others. It is of the arm that comes first, so that no arm has more of them than another.
 */
static void warm_again(struct bench *bench, struct rounds rounds)
{
    unsigned order[ARMS_MAX], slot = 0;
    rounds_next(&rounds, order); /* of a copy: the round is still to come */
    while (slot < bench->cell->arm_count && !arm_ok(bench, order[slot]))
        slot++;
    if (slot < bench->cell->arm_count)
        round_batch(bench, order[slot], slot, -1);
}

static int rounds_run(struct bench *bench, struct rounds *rounds, struct err *err)
{
    struct turn turn = bench->request->turn;
    int rc = 0;
    for (unsigned r = 0; r < bench->result->rounds && rc == 0; r++) {
        rc = turn_take(&turn, err);
        if (rc == 0 && turn.read_fd >= 0)
            warm_again(bench, *rounds);
        if (rc == 0)
            round_run(bench, rounds, (int)r);
        if (rc == 0 && turn_give(&turn, err) && r + 1 < bench->result->rounds)
            rc = -EPIPE;
    }
    return rc;
}

/*
 * Under a memory limit what an operation finds is what all operations before it have left: an arm that reads around its
 * faults throws out what another would have kept. Each arm therefore has its rounds in two stretches, both from the
 * same start, the arms in drawn order and then in the opposite one, so that drift falls on all alike.
 */
static void stretches_run(struct bench *bench, struct rounds *rounds)
{
    unsigned order[ARMS_MAX], count = bench->cell->arm_count, half = bench->result->rounds / 2;
    rounds_next(rounds, order);
    for (unsigned i = 0; i < 2 * count; i++) {
        bool second = i >= count;
        unsigned a = order[second ? 2 * count - 1 - i : i], slot = i % count;
        if (!arm_ok(bench, a) || batch_arm_begin(bench, a, true))
            continue;
        for (unsigned r = second ? half : 0; r < (second ? bench->result->rounds : half); r++)
            round_batch(bench, a, slot, (int)r);
        batch_arm_end(bench, a);
    }
}

/* Batches are as long as asked for, or of one operation: there is no shared warm-up to time them by. */
static unsigned stretch_rounds(const struct bench *bench)
{
    unsigned rounds = round_count(bench, bench->cell->params.batch_time);
    return rounds < 2 ? 2 : rounds;
}

/* A pair of CPUs that cannot be had (one may have gone offline) has rounds that are void; the others go on. */
static void void_rounds(struct bench *bench, unsigned from, unsigned to, const char *why)
{
    for (unsigned r = from; r < to; r++) {
        bench->result->voided[r] = why;
        bench->result->voided_by[r] = 0;
    }
}

/*
 * Pages that were made on a CPU lie on its node, unless that was full. -EXDEV when they do not. Where there is but one
 * node, or the CPU's own has no memory, or nobody tells, there is nothing to ask.
 */
static int check_fresh(const struct bench *bench, struct err *err)
{
    struct node_mask nodes;
    uint64_t pages[NODES_MAX] = {0}, elsewhere = 0;
    unsigned cpu = 0, own = 0;
    if (node_mask_read(&nodes) || node_mask_count(&nodes) < 2 || syscall(SYS_getcpu, &cpu, &own, NULL) ||
        !node_mask_has(&nodes, own))
        return 0;
    int rc = target_homes(bench->request->target, bench->cell->params.working_set_bytes, pages, NODES_MAX, &elsewhere,
                          err);
    for (unsigned node = 0; node < NODES_MAX; node++)
        elsewhere += node == own ? 0 : pages[node];
    if (rc == -ENOSYS || rc == -EPERM)
        return 0;
    if (rc == 0 && elsewhere)
        rc = err_set(err, EXDEV, "%llu pages do not lie on node %u, that of CPU %u", (unsigned long long)elsewhere, own,
                     cpu);
    return rc;
}

/* An order of the arms for one purpose, another in each trial. */
static void draw_order(const struct bench *bench, uint64_t purpose, unsigned *order)
{
    struct rounds draw;
    rounds_begin(&draw, bench->cell->arm_count, random_derive(bench->request->seed, purpose));
    rounds_next(&draw, order);
}

/*
 * What is mapped later lies lower, between other neighbours, and where it lies has a price: with the arms set up in the
 * order of the scenario, the last of two identical ones was 5 % cheaper (mprotect) and 7 % (mincore) in every trial.
 */
static void setup_all(struct bench *bench)
{
    unsigned order[ARMS_MAX];
    draw_order(bench, 'u', order);
    for (unsigned i = 0; i < bench->cell->arm_count; i++)
        if (arm_ok(bench, order[i])) {
            bench->result->arms[order[i]].setup_turn = i + 1;
            arm_do_blocks(bench, order[i], WORK_SETUP, 0);
        }
}

/* Workers and coordinator go to another pair of CPUs, where they find pages that are new to the first worker's CPU. */
static int move_to(struct bench *bench, const struct visit *visit, struct err *err)
{
    struct work_order order = {.verb = WORK_MOVE, .cpus = {visit->cpus[0], visit->cpus[1]}};
    for (unsigned a = 0; a < bench->cell->arm_count; a++)
        arm_do_blocks(bench, a, WORK_TEARDOWN, 0);
    int rc = place_bind(visit->cpus[0], err);
    if (rc == 0)
        rc = crew_do(bench->crew, &order, err);
    if (rc == 0)
        rc = target_renew(bench->request->target, err);
    bench->cpus = visit->cpus;
    bench->state_known = false;
    if (rc == 0)
        setup_all(bench);
    return rc;
}

/* Why a pair of CPUs cannot be visited; NULL: the workers are there, on pages that are as they should be. */
static const char *visit_fault(struct bench *bench, const struct visit *visit, struct err *err)
{
    err->code = 0;
    if (move_to(bench, visit, err))
        return "the workers could not be moved to these CPUs";
    return check_fresh(bench, err) ? "pages do not lie on the memory node of the first CPU" : NULL;
}

/* The passes that follow are made where the workers began. */
static int go_back(struct bench *bench, struct err *err)
{
    const unsigned *cpus = bench->request->cpus;
    const struct visit begin = {.cpus = {cpus ? cpus[0] : 0, cpus ? cpus[1] : 0}};
    int rc = cpus ? move_to(bench, &begin, err) : 0;
    bench->cpus = cpus;
    return rc;
}

/* Rounds that move from pair to pair, each after one that warms the two CPUs up. */
static int visits_run(struct bench *bench, struct rounds *rounds, struct err *err)
{
    unsigned round = 0, each = bench->request->visit_rounds, lost = 0;
    for (unsigned v = 0; v < bench->request->visit_count; v++, round += each) {
        struct visit *visit = &bench->request->visits[v];
        const char *fault = visit_fault(bench, visit, err);
        if (!fault)
            round_run(bench, rounds, -1);
        bench->result->warmup_rounds += !fault;
        visit->t_ns = clock_now_ns() - bench->begin_ns;
        visit->rounds = each;
        for (unsigned r = 0; r < each && !fault; r++)
            round_run(bench, rounds, (int)(round + r));
        if (fault)
            void_rounds(bench, round, round + each, fault);
        lost += fault != NULL;
    }
    return lost == bench->request->visit_count ? -err->code : go_back(bench, err);
}

/* How many rounds there will be; the warm-up tells, where they are not given. */
static unsigned rounds_to_come(struct bench *bench, struct rounds *rounds)
{
    const struct measure_request *request = bench->request;
    return request->visit_rounds ? request->visit_count * request->visit_rounds
           : bench->limited      ? stretch_rounds(bench)
                                 : round_count(bench, warm_up(bench, rounds));
}

static int timed_rounds(struct bench *bench, struct err *err)
{
    struct rounds rounds;
    struct counter_sources sources;
    struct covariates before;
    unsigned count = bench->cell->arm_count;
    rounds_begin(&rounds, count, random_derive(bench->request->seed, 'r'));
    bench->result->rounds = rounds_to_come(bench, &rounds);
    rounds_begin(&rounds, count, random_derive(bench->request->seed, 'R'));
    counter_open(&sources, NULL);
    covariates_read(&sources, &before);
    bench->begin_ns = clock_now_ns();
    int rc = 0;
    if (bench->request->visit_rounds)
        rc = visits_run(bench, &rounds, err);
    else if (bench->limited)
        stretches_run(bench, &rounds);
    else
        rc = rounds_run(bench, &rounds, err);
    if (bench->request->visit_count && !bench->request->visit_rounds)
        bench->request->visits[0].rounds = bench->result->rounds;
    covariates_read(&sources, &bench->result->covariates);
    covariates_subtract(&bench->result->covariates, &before);
    counter_close(&sources);
    return rc;
}

static void judge_voids(struct bench *bench)
{
    struct cell_result *result = bench->result;
    unsigned by[ARMS_MAX] = {0}, total = 0;
    const char *why[ARMS_MAX] = {NULL};
    for (unsigned r = 0; r < result->rounds; r++)
        if (result->voided[r]) {
            by[result->voided_by[r]]++;
            why[result->voided_by[r]] = result->voided[r];
            total++;
        }
    for (unsigned a = 0; a < result->arm_count; a++) {
        bool many = by[a] && total > VOIDED_FEW && total * VOIDED_SHARE > result->rounds;
        if (arm_ok(bench, a) && (many || (by[a] && total == result->rounds))) {
            result->arms[a].status = ARM_FAILED;
            snprintf(result->arms[a].reason, sizeof result->arms[a].reason, "%u of %u rounds are void: %s", by[a],
                     result->rounds, why[a]);
        }
    }
}

static int lists_make(struct bench *bench, struct err *err)
{
    unsigned count = bench->cell->arm_count, of[ARMS_MAX];
    for (unsigned a = 0; a < count; a++) {
        const struct params *params = &bench->cell->arms[a].params;
        of[a] = bench->list_count;
        for (unsigned b = 0; b < a; b++)
            if (bench->cell->arms[b].params.block_bytes == params->block_bytes)
                of[a] = of[b];
        if (of[a] == bench->list_count) {
            int rc = offsets_make(&bench->lists[bench->list_count++], params, random_derive(bench->request->seed, 'o'),
                                  err);
            if (rc)
                return rc;
        }
    }
    /* Arms begin at disjoint places of the list, which arm where being drawn: no arm is always the one that follows. */
    unsigned place[ARMS_MAX];
    draw_order(bench, 's', place);
    for (unsigned a = 0; a < count; a++) {
        bench->work.offsets[a] = &bench->lists[of[a]];
        bench->work.starts[a] = bench->lists[of[a]].count / count * place[a];
    }
    return 0;
}

/* A limit that was asked for must be that of the group that this process is in. */
static int prove_limit(struct bench *bench, struct err *err)
{
    uint64_t asked = bench->cell->params.memory_limit, page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    if (asked == 0)
        return 0;
    uint64_t found = memory_group_own_limit();
    if (found == LIMIT_NONE)
        return err_set(err, EINVAL, "the memory limit did not take: this control group has none");
    bench->result->memory_limit = found;
    return found == asked / page_bytes * page_bytes
               ? 0
               : err_set(err, EINVAL, "the memory limit did not take: %llu bytes were asked for, the group has %llu",
                         (unsigned long long)asked, (unsigned long long)found);
}

static bool make_arm_room(struct arm_result *arm, const struct params *params, unsigned rounds,
                          const struct perf_set *events)
{
    bool several = params->workers > 1, timeline = params->timeline == timeline_yes;
    arm->batch_ns = calloc(rounds, sizeof *arm->batch_ns);
    arm->order = calloc(rounds, sizeof *arm->order);
    arm->worker_ns = several ? calloc((size_t)params->workers * rounds, sizeof *arm->worker_ns) : NULL;
    arm->samples = timeline ? calloc(rounds, sizeof *arm->samples) : NULL;
    arm->events = events ? calloc(events->count + 1, sizeof *arm->events) : NULL;
    for (unsigned i = 0; arm->events && i < events->count; i++)
        arm->events[i].value = UINT64_MAX;
    return arm->batch_ns && arm->order && (arm->worker_ns || !several) && (arm->samples || !timeline) &&
           (arm->events || !events);
}

int measure_make_room(struct cell_result *result, const struct cell *cell, unsigned rounds, struct err *err)
{
    result->arm_count = cell->arm_count;
    result->room = rounds;
    result->arms = calloc(cell->arm_count, sizeof *result->arms);
    result->voided = calloc(rounds, sizeof *result->voided);
    result->voided_by = calloc(rounds, sizeof *result->voided_by);
    bool made = result->arms && result->voided && result->voided_by;
    for (unsigned a = 0; made && a < cell->arm_count; a++)
        made = make_arm_room(&result->arms[a], &cell->params, rounds, result->events);
    return made ? 0 : err_set(err, ENOMEM, "no memory for the results");
}

/* What a cell before this one, in the same process, has stored to the file: a cell that only reads would never write it
 * back. */
static int settle_leftovers(const struct bench *bench, struct err *err)
{
    const struct target *target = bench->request->target;
    enum cache cache = (enum cache)bench->cell->params.cache;
    bool settled = target && target->ours && (cache == cache_warm || cache == cache_clean);
    return settled ? target_settle(target, err) : 0;
}

static bool is_among(unsigned node, const unsigned *nodes, unsigned count)
{
    bool among = false;
    for (unsigned i = 0; i < count; i++)
        among |= nodes[i] == node;
    return among;
}

/* Pages that are to lie on certain memory nodes must do so: where each was first touched, the kernel may have had none.
 */
static int prove_homes(struct bench *bench, struct err *err)
{
    const struct measure_request *request = bench->request;
    struct cell_result *result = bench->result;
    uint64_t pages[NODES_MAX] = {0}, elsewhere = 0, all = 0, others = 0;
    if (request->node_count == 0 || !request->target)
        return 0;
    int rc = target_homes(request->target, bench->cell->params.working_set_bytes, pages, NODES_MAX, &others, err);
    result->homes = rc ? NULL : calloc(NODES_MAX, sizeof *result->homes);
    if (rc == 0 && !result->homes)
        rc = err_set(err, ENOMEM, "no memory for a list of nodes");
    for (unsigned node = 0; rc == 0 && node < NODES_MAX; node++) {
        if (pages[node])
            result->homes[result->home_count++] = (struct node_pages){node, pages[node]};
        elsewhere += is_among(node, request->nodes, request->node_count) ? 0 : pages[node];
        all += pages[node];
    }
    if (rc == 0 && elsewhere + others)
        rc = err_set(err, EXDEV, "%llu of %llu pages do not lie on the memory node that was asked for",
                     (unsigned long long)(elsewhere + others), (unsigned long long)(all + others));
    return rc;
}

static int bench_begin(struct bench *bench, struct err *err)
{
    const struct measure_request *request = bench->request;
    unsigned count = bench->cell->arm_count, workers = (unsigned)bench->cell->params.workers;
    unsigned visits = request->visit_count * request->visit_rounds;
    bench->work.events = bench->result->events = request->events;
    int rc = measure_make_room(bench->result, bench->cell, visits > ROUNDS_MAX ? visits : ROUNDS_MAX, err);
    if (rc)
        return rc;
    bench->cold = bench->cell->params.cache == cache_cold && request->target;
    bench->limited = bench->cell->params.memory_limit && request->target && !bench->cold;
    bench->io = bench->cold ? open("/proc/self/io", O_RDONLY | O_CLOEXEC) : -1;
    bench->work.cell = bench->cell;
    bench->work.target = request->target;
    bench->work.worker_count = workers;
    bench->work.cpus = bench->result->cpus = bench->cpus = request->cpus;
    bench->result->cpu_count = workers;
    if (request->target)
        bench->result->witness = target_witness(request->target);
    bench->result->visits = request->visits;
    bench->result->visit_count = request->visit_count;
    bench->result->moved = request->visit_rounds > 0;
    rc = prove_limit(bench, err);
    if (rc == 0)
        rc = lists_make(bench, err);
    for (unsigned a = 0; a < count; a++) {
        const struct arm *arm = &bench->cell->arms[a];
        bench->result->arms[a].bytes_per_op = method_op_bytes(arm->method, &arm->params);
        bench->writes |= method_writes(arm->method, &arm->params) || arm->method->dirties;
    }
    if (rc == 0 && request->target && bench->cell->params.cache == cache_warm)
        rc = target_warm(request->target, bench->cell->params.working_set_bytes, err);
    if (rc == 0)
        rc = settle_leftovers(bench, err);
    if (rc == 0)
        rc = prove_homes(bench, err);
    if (rc == 0)
        rc = pass_signature_before(bench, err);
    return rc ? rc : crew_start(&bench->crew, &bench->work, err);
}

static void bench_end(struct bench *bench)
{
    crew_stop(bench->crew);
    for (unsigned i = 0; i < bench->list_count; i++)
        offsets_free(&bench->lists[i]);
    if (bench->io >= 0)
        close(bench->io);
}

int measure_cell(const struct measure_request *request, struct cell_result *result, struct err *err)
{
    struct bench bench = {.request = request, .cell = request->cell, .result = result, .io = -1};
    *result = (struct cell_result){0};
    int rc = bench_begin(&bench, err);
    if (rc)
        goto out;
    if (!bench.cold && !bench.limited)
        setup_all(&bench);
    pass_checksum(&bench);
    calibrate(&bench);
    rc = timed_rounds(&bench, err);
    if (rc)
        goto out;
    judge_voids(&bench);
    pass_counts(&bench);
    pass_latency(&bench);
    for (unsigned a = 0; a < bench.cell->arm_count; a++)
        arm_do_blocks(&bench, a, WORK_TEARDOWN, 0);
    pass_signature_after(&bench);
out:
    bench_end(&bench);
    return rc;
}

void measure_free(struct cell_result *result)
{
    for (unsigned a = 0; result->arms && a < result->arm_count; a++) {
        free(result->arms[a].batch_ns);
        free(result->arms[a].order);
        free(result->arms[a].worker_ns);
        free(result->arms[a].samples);
        free(result->arms[a].events);
        free(result->arms[a].latency);
    }
    free(result->arms);
    free(result->homes);
    free(result->voided);
    free(result->voided_by);
    *result = (struct cell_result){0};
}

static int run_nothing(struct worker *worker, uint64_t blocks)
{
    (void)worker;
    (void)blocks;
    return 0;
}

uint64_t measure_empty_batch(void)
{
    enum { BATCHES = 101 };
    uint64_t times[BATCHES];
    int (*volatile run)(struct worker *, uint64_t) = run_nothing;
    for (unsigned i = 0; i < BATCHES; i++) {
        uint64_t start = clock_now_ns();
        run(NULL, 0);
        times[i] = clock_now_ns() - start;
    }
    return median(times, BATCHES);
}
