/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "work.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "mapping.h"
#include "place.h"
#include "random.h"
#include "region.h"
#include "vma_room.h"
#include "walk.h"

struct work {
    const struct work_cell *cell;
    unsigned index;
    struct worker workers[ARMS_MAX];
    bool is_set_up[ARMS_MAX];
    uint64_t operations[ARMS_MAX]; /* of arms with stalls: so many so far */
    struct counter_sources sources;
    struct perf_group events;
    uint64_t vmas;        /* that the arms make which make many, of all workers in this process */
    struct vma_room room; /* before any of them is set up, where it can be read … */
    bool room_is_known;   /* … which this says; else nothing is refused but by the kernel */
};

uint64_t work_limit(const struct arm *arm)
{
    uint64_t limit = arm->method->limit ? arm->method->limit(&arm->params) : UINT64_MAX;
    uint64_t region = arm->method->needs & NEEDS_BUFFER ? region_limit(&arm->params) : UINT64_MAX;
    return limit < region ? limit : region;
}

uint64_t work_timed_blocks(const struct arm *arm, uint64_t blocks)
{
    uint64_t granule = params_granule(&arm->params), passes = blocks / granule;
    return blocks + (uint64_t)((double)passes * arm->params.surplus + 0.5) * granule;
}

uint64_t work_granule(const struct arm *arm)
{
    enum { SURPLUS_STEPS = 100 }; /* 1 % of a batch must be a whole number of operations */
    return params_granule(&arm->params) * (arm->params.surplus > 0 ? SURPLUS_STEPS : 1);
}

static uint64_t vmas_of(const struct arm *arm)
{
    return arm->method->vmas ? arm->method->vmas(&arm->params) : 0;
}

/* All of them together: arms are set up beside each other, and what a batch has made stays until the arm's next one. */
static void count_vmas(struct work *work)
{
    const struct cell *cell = work->cell->cell;
    for (unsigned a = 0; a < cell->arm_count; a++)
        work->vmas += vmas_of(&cell->arms[a]);
    if (cell->params.worker_kind == worker_kind_thread)
        work->vmas *= work->cell->worker_count;
    work->room_is_known = work->vmas && vma_room_read(&work->room) == 0;
}

static int check_vmas(const struct work *work, unsigned a, struct err *err)
{
    if (vmas_of(&work->cell->cell->arms[a]) == 0 || !work->room_is_known || vma_room_has(&work->room, work->vmas))
        return 0;
    return err_set(err, EOPNOTSUPP,
                   "the arms of this cell make up to %llu VMAs, this process has %llu, and vm.max_map_count is %llu",
                   (unsigned long long)work->vmas, (unsigned long long)work->room.vmas,
                   (unsigned long long)work->room.limit);
}

int work_begin(struct work **out, const struct work_cell *cell, unsigned worker_index, struct err *err)
{
    struct work *work = *out = calloc(1, sizeof *work);
    if (!work)
        return err_set(err, ENOMEM, "no memory for a worker");
    work->cell = cell;
    work->index = worker_index;
    for (unsigned a = 0; a < ARMS_MAX; a++)
        work->workers[a].fd = -1;
    counter_open(&work->sources, cell->target);
    count_vmas(work);
    return cell->cpus ? place_bind(cell->cpus[worker_index], err) : 0;
}

static void teardown(struct work *work, unsigned arm)
{
    const struct method *method = work->cell->cell->arms[arm].method;
    if (work->is_set_up[arm] && method->teardown)
        method->teardown(&work->workers[arm]);
    region_remove(&work->workers[arm]);
    work->is_set_up[arm] = false;
}

void work_end(struct work *work)
{
    if (!work)
        return;
    for (unsigned a = 0; a < work->cell->cell->arm_count; a++)
        teardown(work, a);
    perf_group_close(&work->events);
    counter_close(&work->sources);
    free(work);
}

bool work_needs_buffer(const struct arm *arm)
{
    bool in_place = arm->method->uses & FIELD_BIT(consume) && arm->params.consume == consume_in_place;
    return arm->method->needs & NEEDS_BUFFER && !(in_place && arm->params.access == access_load);
}

/* Whether the workers read on from where any of them has stopped. */
static bool shares_position(const struct arm *arm)
{
    return arm->params.descriptor_of == descriptor_of_crew && arm->method->needs & NEEDS_ORDER;
}

/* Where in the list an arm of this worker begins. */
static uint64_t first_place(const struct work *work, unsigned a)
{
    const struct offsets *offsets = work->cell->offsets[a];
    bool together = shares_position(&work->cell->cell->arms[a]) ||
                    work->cell->cell->params.worker_file == worker_file_same_page;
    uint64_t apart = together ? 0 : offsets->count / work->cell->worker_count;
    uint64_t spread = apart * work->index;
    uint64_t place = (work->cell->starts[a] + spread) % offsets->count;
    return place - place % params_granule(&work->cell->cell->arms[a].params);
}

/* Keeps the place in the list over a teardown: a cold arm is set up anew for every batch and must not start over. */
static int setup(struct work *work, unsigned a, struct err *err)
{
    const struct arm *arm = &work->cell->cell->arms[a];
    const struct offsets *offsets = work->cell->offsets[a];
    struct worker *worker = &work->workers[a];
    uint64_t cursor = worker->offsets ? worker->cursor : first_place(work, a);
    *worker = (struct worker){
        .params = &arm->params,
        .target = target_of_worker(work->cell->target, work->index),
        .offsets = offsets->items,
        .offset_count = offsets->count,
        .cursor = cursor,
        .consumer = (unsigned)arm->params.consumer,
        .writes = method_writes(arm->method, &arm->params),
        .fd = -1,
        .crew_fd = work->cell->crew_fds[a],
        .index = work->index,
        .count = work->cell->worker_count,
        .room = work->cell->rooms[a],
        .gate = work->cell->gate,
        .channel = &work->cell->channel,
        .sharers = shares_position(arm) ? work->cell->worker_count : 1,
    };
    work->is_set_up[a] = true;
    int rc = check_vmas(work, a, err);
    if (rc == 0 && work_needs_buffer(arm))
        rc = region_make(worker, err);
    return rc || !arm->method->setup ? rc : arm->method->setup(worker, err);
}

static int reset(struct work *work, unsigned arm, uint64_t blocks, struct err *err)
{
    struct worker *worker = &work->workers[arm];
    const struct method *method = work->cell->cell->arms[arm].method;
    int rc = region_reset(worker, blocks, err);
    return rc || !method->reset ? rc : method->reset(worker, blocks, err);
}

/*
 * Readings before and after counted work. What is read last and first, rusage, is closest to it; within it no code runs
 * that has not run before, whose page would be a fault of the work. perf_group_open has called all of perf's once.
 */
struct counting {
    struct counts counts;
    struct perf_reading events;
};

static void counting_begin(const struct work *work, struct counting *before)
{
    perf_group_read(&work->events, &before->events);
    counter_read_before(&work->sources, &before->counts);
    if (work->events.set)
        perf_group_start(&work->events);
}

/* Whether each worker has its process to itself. */
static bool is_alone(const struct work_cell *cell)
{
    return cell->worker_count == 1 || cell->cell->params.worker_kind == worker_kind_process;
}

static void counting_end(struct work *work, unsigned a, const struct counting *before, struct work_answer *answer)
{
    if (work->events.set)
        perf_group_stop(&work->events);
    if (work->cell->cell->arms[a].method->tell)
        work->cell->cell->arms[a].method->tell(&work->workers[a]);
    counter_read_after(&work->sources, &answer->counts);
    counter_subtract(&answer->counts, &before->counts);
    counter_forget_untold(&answer->counts, work->cell->cell->arms[a].method->tells & ~work->workers[a].untold,
                          is_alone(work->cell));
    perf_group_read(&work->events, &answer->events);
    if (work->events.set)
        perf_reading_subtract(&answer->events, &before->events);
}

/* How many of the first so many operations stall; 1e-6, because a decimal share is seldom exact in binary. */
static uint64_t stalls_in(uint64_t operations, double share)
{
    return (uint64_t)((double)operations * share + 1e-6);
}

/* Waits what the stalls of these operations take, each at the end of so many operations; to be called within the clock
 * readings. */
static void stall(struct work *work, unsigned a, uint64_t operations)
{
    enum { STALL_NS = 100000 };
    double share = work->cell->cell->arms[a].params.stalls;
    if (!(share > 0))
        return;
    uint64_t before = stalls_in(work->operations[a], share);
    work->operations[a] += operations;
    uint64_t end = clock_now_ns() + STALL_NS * (stalls_in(work->operations[a], share) - before);
    while (clock_now_ns() < end) { /* nothing else to do */
    }
}

/* One batch between its two clock readings. */
static int timed_run(struct work *work, const struct work_order *order, struct work_answer *answer)
{
    unsigned a = order->arm;
    const struct arm *arm = &work->cell->cell->arms[a];
    struct worker *worker = &work->workers[a];
    int (*run)(struct worker *, uint64_t) = arm->method->run;
    uint64_t timed = work_timed_blocks(arm, order->blocks);
    struct counting before;
    worker->begun_ns = worker->done_ns = 0;
    worker->fault = NULL;
    answer->is_company = arm->method->timed && !arm->method->timed(&arm->params, work->index);
    if (order->counts)
        counting_begin(work, &before);
    answer->start_ns = clock_now_ns();
    int rc = run(worker, timed);
    stall(work, a, order->blocks / params_blocks_per_op(&arm->params));
    answer->finish_ns = clock_now_ns();
    if (worker->begun_ns)
        answer->start_ns = worker->begun_ns;
    if (worker->done_ns)
        answer->finish_ns = worker->done_ns;
    answer->cpu = (unsigned)sched_getcpu();
    answer->fault = worker->fault;
    if (order->counts)
        counting_end(work, a, &before, answer);
    return rc;
}

/*
 * Sums `blocks` from the cursor. *ready: how many of the `rest` to come the last reset is good for; a reset may be dear
 * (a whole mapping), so there are no more of them than the method's limit asks for.
 */
static int sum_unit(struct work *work, unsigned a, uint64_t blocks, uint64_t rest, uint64_t *ready,
                    struct work_answer *answer)
{
    const struct arm *arm = &work->cell->cell->arms[a];
    uint64_t granule = params_granule(&arm->params), step = work_limit(arm) / granule * granule;
    int rc = step ? 0 : -EINVAL;
    while (blocks && rc == 0) {
        if (*ready == 0) {
            *ready = rest < step ? rest : step;
            rc = reset(work, a, *ready, &answer->err);
        }
        uint64_t now = blocks < *ready ? blocks : *ready;
        if (rc == 0)
            rc = arm->method->run(&work->workers[a], now);
        blocks -= now;
        rest -= now;
        *ready -= now;
    }
    return rc;
}

/* Whether the arm's work is to write blocks, rather than to consume them. */
static bool stores(const struct arm *arm)
{
    return arm->method->needs & NEEDS_WRITE || arm->params.access == access_store;
}

/* Whether what it writes can be read back: a private mapping that is gone leaves nothing. */
static bool leaves_traces(const struct arm *arm, const struct worker *worker)
{
    return stores(arm) && (worker->writes || (arm->params.lifetime == lifetime_kept && worker->base));
}

static int read_all(int fd, unsigned char *bytes, uint64_t count, uint64_t offset)
{
    for (uint64_t done = 0; done < count;) {
        ssize_t now = pread(fd, bytes + done, count - done, (off_t)(offset + done));
        if (now <= 0 && !(now < 0 && errno == EINTR))
            return now < 0 ? -errno : -ENODATA;
        done += now > 0 ? (uint64_t)now : 0;
    }
    return 0;
}

/*
 * Blocks [from, from + count) of the list. Before a pass that writes to the file they are zeroed in it, so that what is
 * read back after it can only be what it has written: by a descriptor, whatever the arm wrote through.
 */
static int zero_blocks(const struct worker *worker, uint64_t from, uint64_t count)
{
    uint64_t bytes = worker->params->block_bytes;
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++)
        rc = target_zero(worker->target, worker->offsets[(from + i) % worker->offset_count], bytes);
    return rc;
}

/* Adds up what an arm has left: in the file, or in its private mapping. */
static int read_back(const struct worker *worker, uint64_t from, uint64_t count, uint64_t *sum)
{
    uint64_t bytes = worker->params->block_bytes;
    unsigned char *block = malloc(bytes);
    int rc = block ? 0 : -ENOMEM;
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        uint64_t offset = worker->offsets[(from + i) % worker->offset_count];
        if (worker->writes)
            rc = read_all(worker->target->fd, block, bytes, offset);
        else
            memcpy(block, mapping_at(worker, offset), bytes);
        *sum += rc ? 0 : walk_sum(block, bytes);
    }
    free(block);
    return rc;
}

/* Sums `unit` blocks from place `from`, of an arm that writes what it leaves. */
static int sum_one(struct work *work, const struct work_order *order, uint64_t from, uint64_t *ready,
                   struct work_answer *answer)
{
    const struct arm *arm = &work->cell->cell->arms[order->arm];
    struct worker *worker = &work->workers[order->arm];
    int rc = stores(arm) && worker->writes ? zero_blocks(worker, from, order->unit) : 0;
    if (rc == 0)
        rc = sum_unit(work, order->arm, order->unit, order->blocks - from, ready, answer);
    return rc == 0 && leaves_traces(arm, worker) ? read_back(worker, from, order->unit, &worker->sum) : rc;
}

/*
 * The untimed pass over the head of the list, summed whatever the consumer is otherwise. Units are mixed in order,
 * so that the right blocks in a wrong order do not pass, nor errors that cancel each other in a sum. Of several workers
 * that write, the first does it alone: the others would zero and write the same blocks meanwhile.
 */
static int sum_run(struct work *work, const struct work_order *order, struct work_answer *answer)
{
    const struct arm *arm = &work->cell->cell->arms[order->arm];
    struct worker *worker = &work->workers[order->arm];
    uint64_t cursor = worker->cursor, sum = worker->sum, mixed = 0, ready = 0;
    bool is_idle = stores(arm) && work->index > 0;
    int rc = 0;
    uint64_t sharers = worker->sharers;
    worker->consumer = consumer_sum;
    worker->cursor = 0;
    worker->sharers = 1; /* those that share a position sum one after the other */
    for (uint64_t done = 0; done < order->blocks && rc == 0 && !is_idle; done += order->unit) {
        worker->sum = 0;
        rc = sum_one(work, order, done, &ready, answer);
        mixed = random_derive(mixed, worker->sum);
    }
    answer->sum = mixed;
    answer->has_sum = leaves_traces(arm, worker) || !stores(arm);
    worker->cursor = cursor;
    worker->sharers = sharers;
    worker->sum = sum;
    worker->consumer = (unsigned)worker->params->consumer;
    return rc;
}

/* Outside batches, which are void one by one, what does not count fails the arm. */
static int refuse_fault(const struct worker *worker, struct err *err)
{
    return worker->fault ? err_set(err, EBUSY, "%s", worker->fault) : 0;
}

/* From the arm's first place: how far it came since depends on time, and the counts are to repeat exactly. */
static int counted_once(struct work *work, unsigned a, uint64_t blocks, struct work_answer *answer)
{
    struct worker *worker = &work->workers[a];
    struct counting before;
    uint64_t cursor = worker->cursor;
    worker->cursor = first_place(work, a);
    int rc = reset(work, a, blocks, &answer->err);
    if (rc)
        return rc;
    counting_begin(work, &before);
    rc = work->cell->cell->arms[a].method->run(worker, blocks);
    counting_end(work, a, &before, answer);
    worker->cursor = cursor;
    return rc ? rc : refuse_fault(worker, &answer->err);
}

/* Of batches some may be void; the one that is counted is done again where it does not count. */
static int counted_run(struct work *work, unsigned a, uint64_t blocks, struct work_answer *answer)
{
    enum { TRIES = 10 };
    int rc = counted_once(work, a, blocks, answer);
    for (unsigned i = 1; i < TRIES && rc && work->workers[a].fault; i++)
        rc = counted_once(work, a, blocks, answer);
    return rc;
}

static void keep_worst(struct work_latency *latency, uint64_t t_ns, uint64_t ns)
{
    unsigned i = latency->worst_count;
    if (i == WORST_COUNT && latency->worst[i - 1].ns >= ns)
        return;
    if (i < WORST_COUNT)
        latency->worst_count++;
    else
        i--;
    for (; i > 0 && latency->worst[i - 1].ns < ns; i--)
        latency->worst[i] = latency->worst[i - 1];
    latency->worst[i] = (struct work_sample){t_ns, ns};
}

void work_latency_merge(struct work_latency *into, const struct work_latency *from)
{
    histogram_merge(&into->service, &from->service);
    histogram_merge(&into->response, &from->response);
    for (unsigned i = 0; i < from->worst_count; i++)
        keep_worst(into, from->worst[i].t_ns, from->worst[i].ns);
    into->spent_ns += from->spent_ns;
    into->left_out += from->left_out;
    into->fault = from->fault ? from->fault : into->fault;
}

/* One operation of the latency pass, which counts unless the method says that it does not. */
static void keep_operation(struct work_latency *latency, const struct worker *worker, const struct work_order *order,
                           uint64_t begin, uint64_t due, uint64_t start, uint64_t end)
{
    latency->spent_ns += end - start;
    if (worker->fault) {
        latency->left_out++;
        latency->fault = worker->fault;
        return;
    }
    histogram_add(&latency->service, end - start);
    if (order->interval_ns)
        histogram_add(&latency->response, end - due);
    keep_worst(latency, start - begin, order->interval_ns ? end - due : end - start);
}

struct kept_laps {
    struct laps laps;
    struct work_latency *latency;
    uint64_t begin_ns;
};

static void keep_lap(struct laps *laps, uint64_t begin_ns, uint64_t end_ns, unsigned count)
{
    struct kept_laps *kept = (struct kept_laps *)laps;
    uint64_t each = (end_ns - begin_ns) / count;
    kept->latency->spent_ns += end_ns - begin_ns;
    histogram_add(&kept->latency->service, each);
    keep_worst(kept->latency, begin_ns - kept->begin_ns, each);
}

/* Workers that meet go through all operations together: none of them can stop before the others. */
static int laps_run(struct work *work, const struct work_order *order, struct work_answer *answer)
{
    struct worker *worker = &work->workers[order->arm];
    struct kept_laps kept = {{keep_lap}, &answer->latency, clock_now_ns()};
    memset(&answer->latency, 0, sizeof answer->latency);
    worker->begun_ns = worker->done_ns = 0;
    worker->fault = NULL;
    int rc = work->cell->cell->arms[order->arm].method->laps(worker, order->operations, &kept.laps);
    if (rc == 0 && worker->fault) { /* which of them do not count nobody knows */
        answer->latency.left_out = answer->latency.service.count;
        answer->latency.fault = worker->fault;
        memset(&answer->latency.service, 0, sizeof answer->latency.service);
        answer->latency.worst_count = 0;
    }
    return rc;
}

static int latency_run(struct work *work, const struct work_order *order, struct work_answer *answer)
{
    struct worker *worker = &work->workers[order->arm];
    int (*run)(struct worker *, uint64_t) = work->cell->cell->arms[order->arm].method->run;
    struct work_latency *latency = &answer->latency;
    memset(latency, 0, sizeof *latency);
    uint64_t begin = clock_now_ns();
    for (uint64_t i = 0; i < order->operations; i++) {
        int rc = reset(work, order->arm, order->blocks, &answer->err);
        if (rc)
            return rc;
        uint64_t due = begin + i * order->interval_ns, start = clock_now_ns();
        while (order->interval_ns && start < due)
            start = clock_now_ns();
        rc = run(worker, order->blocks);
        stall(work, order->arm, 1);
        uint64_t end = clock_now_ns();
        if (rc)
            return rc;
        keep_operation(latency, worker, order, begin, due, start, end);
        if (end - begin > order->limit_ns)
            break;
    }
    return 0;
}

static void open_events(struct work *work, uint32_t events)
{
    perf_group_close(&work->events);
    if (events)
        perf_group_open(&work->events, work->cell->events, events);
}

static int carry_out(struct work *work, const struct work_order *order, struct work_answer *answer)
{
    switch (order->verb) {
    case WORK_SETUP:
        return setup(work, order->arm, &answer->err);
    case WORK_RESET:
        return reset(work, order->arm, order->blocks, &answer->err);
    case WORK_RUN:
        return timed_run(work, order, answer);
    case WORK_SUM:
        return sum_run(work, order, answer);
    case WORK_EVENTS:
        open_events(work, order->events);
        return 0;
    case WORK_COUNT:
        return counted_run(work, order->arm, order->blocks, answer);
    case WORK_LATENCY:
        return work->cell->cell->arms[order->arm].method->laps ? laps_run(work, order, answer)
                                                               : latency_run(work, order, answer);
    case WORK_TEARDOWN:
        teardown(work, order->arm);
        return 0;
    case WORK_MOVE:
        return work->index < 2 ? place_bind(order->cpus[work->index], &answer->err) : -EINVAL;
    case WORK_EXIT:
        return 0;
    }
    return -EINVAL;
}

void work_do(struct work *work, const struct work_order *order, struct work_answer *answer)
{
    answer->err.code = 0;
    answer->rc = carry_out(work, order, answer);
    const char *why = order->verb == WORK_RUN ? work->workers[order->arm].fault : NULL;
    if (answer->rc && !answer->err.code)
        err_set(&answer->err, -answer->rc, "%s: %s", work->cell->cell->arms[order->arm].method->name,
                why ? why : strerror(-answer->rc));
}
