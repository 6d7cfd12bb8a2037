/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "runner.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "build.h"
#include "cgroup.h"
#include "child.h"
#include "clock.h"
#include "filesystem.h"
#include "fnv.h"
#include "machine.h"
#include "matrix.h"
#include "memory_group.h"
#include "progress.h"
#include "random.h"
#include "record.h"
#include "store.h"
#include "wire.h"
#include "workdir.h"

enum {
    CRASHES_MAX = 2,    /* a cell that ends its process this often is not run again */
    PADDING_MAX = 4096, /* bytes of environment: a page of stack */
    TRIALS_MAX = PRECISION_TRIALS_MAX,
    ARM_MISSING = -1,
};
#define VISIT_LIMIT_NS (100 * MS) /* by which a visit to a pair of CPUs puts the deadline off */
#define POOL_EXTRA (16 * MIB)     /* the program itself, lists of offsets, page tables */

struct cell_state {
    uint64_t have; /* bit t: trial t is recorded */
    unsigned done, rung, crashes;
    bool finished, has_ops;
    uint64_t ops[ARMS_MAX];
    double ratios[ARMS_MAX][TRIALS_MAX];
    unsigned ratio_count[ARMS_MAX];
    struct matrix_seen seen; /* of pairs of CPUs, where the cell goes from one to the other */
};

struct runner {
    struct plan *plan;
    const struct topology *place;
    const struct run_options *options;
    struct run_outcome *outcome;
    struct store store;
    struct workdir workdir, memory_workdir; /* for files in plan->directory, and on the tmpfs of /dev/shm */
    struct workdir mount_workdir;           /* what the made filesystems are mounted on */
    struct filesystems filesystems;
    struct memory_group group; /* of the trial process at hand, where it has a memory limit */
    struct progress progress;
    json_t *machine, *manifest;
    struct cell_state *cells;
    struct random random;
    unsigned process_count, records, damaged; /* damaged: lines found that are no records */
    uint64_t begin_ns, spent_ns;              /* spent: by trial processes */
    unsigned spent_trials;                    /* cell trials they carried out */
    const char *stopped;
    struct err learnt; /* what went wrong with a record that was there */
};

static volatile int interrupted; /* the signal that asked us to end; a handler has no other way to say it */

static void on_signal(int number)
{
    interrupted = number;
}

int run_signal(void)
{
    return interrupted;
}

static const struct plan_scenario *scenario_of(const struct runner *runner, unsigned c)
{
    return &runner->plan->scenarios[runner->plan->cells[c].scenario];
}

static unsigned target_trials(const struct runner *runner, unsigned c)
{
    return scenario_of(runner, c)->rungs[runner->cells[c].rung];
}

static unsigned next_trial(const struct cell_state *cell)
{
    unsigned t = 0;
    while (t < TRIALS_MAX && cell->have >> t & 1)
        t++;
    return t;
}

static bool is_precise(const struct runner *runner, unsigned c)
{
    const struct cell *cell = &runner->plan->cells[c];
    const struct cell_state *state = &runner->cells[c];
    const struct plan_scenario *scenario = scenario_of(runner, c);
    double wanted = scenario->delta / 2 > scenario->precision ? scenario->delta / 2 : scenario->precision;
    for (unsigned a = 1; a < cell->arm_count; a++) {
        bool counts = !cell->arms[a].is_null || cell->arm_count == 2;
        if (!counts || state->ratio_count[a] == 0)
            continue;
        struct precision_interval interval = precision_of(state->ratios[a], state->ratio_count[a]);
        if (!interval.is_bounded || (interval.high - interval.low) / 2 > wanted)
            return false;
    }
    return true;
}

/* On precision only, never on significance: what the ratio is does not decide how long it is looked at. */
static void consult_ladder(struct runner *runner, unsigned c)
{
    struct cell_state *state = &runner->cells[c];
    const unsigned *rungs = scenario_of(runner, c)->rungs;
    while (!state->finished && state->done >= rungs[state->rung])
        if (is_precise(runner, c) || state->rung + 1 >= RUNGS_MAX || rungs[state->rung + 1] == 0)
            state->finished = true;
        else
            state->rung++;
}

static bool arm_is(const json_t *arm, const char *status)
{
    const char *text = json_string_value(json_object_get(arm, "status"));
    return text && strcmp(text, status) == 0;
}

/* Whether checksums within a record differ: somebody did other work. */
static bool sums_differ(const json_t *arms)
{
    const char *first = NULL;
    size_t index;
    json_t *arm;
    json_array_foreach(arms, index, arm)
    {
        const char *sum = json_string_value(json_object_get(arm, "checksum"));
        if (first && sum && strcmp(first, sum) != 0)
            return true;
        first = first ? first : sum;
    }
    return false;
}

static const struct params *params_of(const struct runner *runner, unsigned c)
{
    return &runner->plan->cells[c].params;
}

/* Takes over what a record says about its cell. */
static int learn(struct runner *runner, unsigned c, const json_t *record, struct err *err)
{
    struct cell_state *state = &runner->cells[c];
    const json_t *arms = json_object_get(record, "arms");
    json_int_t trial = json_integer_value(json_object_get(record, "trial"));
    size_t arm_count = json_array_size(arms);
    if (trial < 0 || trial >= TRIALS_MAX || state->have >> trial & 1)
        return 0;
    state->have |= UINT64_C(1) << trial;
    state->done++;
    for (unsigned a = 0; a < arm_count; a++) {
        const json_t *arm = json_array_get(arms, a);
        json_int_t ops = json_integer_value(json_object_get(arm, "ops_per_batch")); /* of all workers that are timed */
        const struct cell *cell = &runner->plan->cells[c];
        ops /= (json_int_t)method_timed_workers(cell->arms[a].method, &cell->arms[a].params);
        double ratio;
        if (ops > 0 && arm_is(arm, "ok") && state->ops[a] == 0)
            state->ops[a] = (uint64_t)ops;
        state->has_ops |= state->ops[a] > 0;
        if (precision_log_ratio(record, a, &ratio) && state->ratio_count[a] < TRIALS_MAX)
            state->ratios[a][state->ratio_count[a]++] = ratio;
        runner->outcome->arm_failed |= arm_is(arm, "failed");
    }
    runner->outcome->arm_failed |= sums_differ(arms);
    runner->records++;
    consult_ladder(runner, c);
    bool visits = params_of(runner, c)->matrix != matrix_none;
    return visits ? matrix_learn(&state->seen, place_pairs(runner->place), record, err) : 0;
}

static int find_cell(const struct runner *runner, const json_t *record)
{
    const char *scenario = json_string_value(json_object_get(record, "scenario"));
    const char *id = json_string_value(json_object_get(record, "cell"));
    for (unsigned c = 0; scenario && id && c < runner->plan->cell_count; c++)
        if (strcmp(runner->plan->cells[c].id, id) == 0 && strcmp(scenario_of(runner, c)->name, scenario) == 0)
            return (int)c;
    return -1;
}

static unsigned expected_records(const struct runner *runner)
{
    unsigned expected = 0;
    for (unsigned c = 0; c < runner->plan->cell_count; c++) {
        const struct cell_state *state = &runner->cells[c];
        unsigned target = target_trials(runner, c);
        expected += state->finished || state->done > target ? state->done : target;
    }
    return expected;
}

static double remaining_s(const struct runner *runner)
{
    double each = runner->spent_trials ? (double)runner->spent_ns / 1e9 / runner->spent_trials : 0;
    double rest = (expected_records(runner) - runner->records) * each;
    if (runner->spent_trials == 0)
        rest = plan_seconds(runner->plan);
    if (runner->plan->budget_ns) {
        double left = ((double)runner->plan->budget_ns - (double)(clock_now_ns() - runner->begin_ns)) / 1e9;
        rest = rest < left ? rest : left > 0 ? left : 0;
    }
    return rest;
}

static void show_state(struct runner *runner)
{
    progress_tick(&runner->progress, runner->records, expected_records(runner), remaining_s(runner));
}

static void show_cell(struct runner *runner, unsigned c)
{
    struct precision_interval intervals[ARMS_MAX];
    struct cell_state *state = &runner->cells[c];
    for (unsigned a = 0; a < runner->plan->cells[c].arm_count; a++)
        intervals[a] = state->ratio_count[a] ? precision_of(state->ratios[a], state->ratio_count[a])
                                             : (struct precision_interval){.estimate = NAN};
    progress_cell(&runner->progress, c, state->done, intervals, state->finished);
    show_state(runner);
}

/* Appends a record and learns from it. */
static int keep(struct runner *runner, unsigned c, const json_t *record, const char *line, size_t length,
                struct err *err)
{
    int rc = store_append(&runner->store, line, length, err);
    if (rc == 0)
        rc = learn(runner, c, record, err);
    if (rc == 0)
        show_cell(runner, c);
    return rc;
}

/* ---- a job ---- */

struct job {
    unsigned cells[PLAN_CELLS_PER_PROCESS], trials[PLAN_CELLS_PER_PROCESS];
    bool recorded[PLAN_CELLS_PER_PROCESS];
    unsigned count, process;
    unsigned visits; /* to pairs of CPUs, of all its cells */
};

/* What a job says beside what all jobs do. */
struct job_parts {
    json_t *cells, *cpus, *nodes;
};

/* Seed of one trial of one cell: it depends on nothing but the plan's seed and what is measured. */
static uint64_t trial_seed(const struct runner *runner, unsigned c, unsigned trial)
{
    const char *scenario = scenario_of(runner, c)->name, *cell = runner->plan->cells[c].id;
    uint64_t hash = fnv_add(FNV_START, scenario, strlen(scenario) + 1);
    hash = fnv_add(hash, cell, strlen(cell));
    return random_derive(runner->plan->seed ^ hash, trial) >> 11; /* 53 bits: exact in any JSON reader */
}

static json_t *ops_json(const struct runner *runner, unsigned c)
{
    if (!runner->cells[c].has_ops)
        return json_null();
    json_t *ops = json_array();
    for (unsigned a = 0; a < runner->plan->cells[c].arm_count; a++)
        json_array_append_new(ops, json_integer((json_int_t)runner->cells[c].ops[a]));
    return ops;
}

/* All cells of a job have the same target. */
static const struct params *job_target(const struct runner *runner, const struct job *job)
{
    return &runner->plan->cells[job->cells[0]].params;
}

/*
 * Workers take CPUs in the topology's order, which leaves CPU 0 (where interrupts tend to go) to the last. Trial
 * processes begin one further each, so that over the trials every CPU but that one is used, where there are more than
 * are needed.
 */
static void cpus_in_turn(const struct topology *topology, unsigned turn, unsigned *cpus, unsigned workers)
{
    unsigned count = place_cpu_count(topology), ring = count > workers ? count - 1 : count;
    for (unsigned n = 0; n < workers; n++)
        cpus[n] = place_nth_cpu(topology, (turn + n) % ring);
}

static int place_workers(const struct runner *runner, const struct job *job, unsigned *cpus, unsigned workers,
                         struct err *err)
{
    uint64_t place = job_target(runner, job)->place;
    if (place != place_any)
        return pairs_place(place_pairs(runner->place), place, job->trials[0], cpus, workers, err);
    if (workers > place_cpu_count(runner->place))
        return err_set(err, ENXIO, "%u workers need as many CPUs, there are %u", workers,
                       place_cpu_count(runner->place));
    cpus_in_turn(runner->place, job->trials[0], cpus, workers);
    return 0;
}

/* Of the job's cell with most workers. -ENXIO with text when they cannot be placed so here: the plan is another
 * machine's. */
static int cpus_json(const struct runner *runner, const struct job *job, json_t **list, struct err *err)
{
    unsigned workers = 1;
    for (unsigned i = 0; i < job->count; i++) {
        unsigned wanted = (unsigned)runner->plan->cells[job->cells[i]].params.workers;
        workers = wanted > workers ? wanted : workers;
    }
    unsigned *cpus = calloc(workers, sizeof *cpus);
    int rc = cpus ? place_workers(runner, job, cpus, workers, err) : err_set(err, ENOMEM, "no memory for the CPUs");
    *list = rc ? NULL : json_array();
    for (unsigned n = 0; rc == 0 && n < workers; n++)
        json_array_append_new(*list, json_integer(cpus[n]));
    free(cpus);
    return rc;
}

/* The memory nodes on which the job's pages are to lie; *list is NULL where they may lie anywhere. */
static int nodes_json(const struct runner *runner, const struct job *job, const json_t *cpus, json_t **list,
                      struct err *err)
{
    enum memory_node where = (enum memory_node)job_target(runner, job)->memory_node;
    unsigned nodes[NODES_MAX], count = 0, cpu = (unsigned)json_integer_value(json_array_get(cpus, 0));
    *list = NULL;
    int rc = where == memory_node_any ? 0 : place_memory_nodes(runner->place, where, cpu, nodes, &count, err);
    if (rc == 0 && count)
        *list = json_array();
    for (unsigned i = 0; rc == 0 && i < count; i++)
        json_array_append_new(*list, json_integer(nodes[i]));
    return rc;
}

static const char *machine_text(const struct runner *runner, const char *key)
{
    const char *text = json_string_value(json_object_get(runner->machine, key));
    return text ? text : "unknown";
}

static const char *job_directory(const struct runner *runner, const struct job *job)
{
    enum backing backing = (enum backing)job_target(runner, job)->backing;
    if (filesystem_is_made(backing))
        return runner->filesystems.each[backing].path;
    return backing == backing_tmpfs ? runner->memory_workdir.path : runner->workdir.path;
}

/* Tells of the filesystem made for the job, where there is one: what the trial cannot see for itself. */
static void add_filesystem(const struct runner *runner, const struct job *job, json_t *json)
{
    enum backing backing = (enum backing)job_target(runner, job)->backing;
    json_object_set_new(json, "filesystem", filesystem_describe(&runner->filesystems, backing));
    json_object_set_new(json, "device", json_integer((json_int_t)runner->filesystems.each[backing].device));
}

/* The pairs of CPUs that the cell's workers visit in its next trial. -ENXIO with text: there are none here. */
static int choose_visits(const struct runner *runner, unsigned c, unsigned trial, struct visit **visits,
                         unsigned *count, struct err *err)
{
    const struct pairs *pairs = place_pairs(runner->place);
    const struct matrix_seen *seen = &runner->cells[c].seen;
    struct pair *items = NULL;
    unsigned item_count;
    int rc = matrix_pairs(pairs, (enum matrix)params_of(runner, c)->matrix, seen->widths, runner->plan->seed, &items,
                          &item_count, err);
    if (rc == 0)
        rc = matrix_visits(pairs, items, item_count, seen, scenario_of(runner, c)->rungs[0],
                           trial_seed(runner, c, trial), visits, count, err);
    free(items);
    return rc;
}

/* Of a cell with two workers: the pairs that they visit, or the one that they stay on. *list is NULL for others. */
static int pairs_json(const struct runner *runner, unsigned c, unsigned trial, const json_t *cpus, json_t **list,
                      struct err *err)
{
    const struct params *params = params_of(runner, c);
    struct visit *visits = NULL, stay = {0};
    unsigned count = params->workers == 2;
    int rc = 0;
    *list = NULL;
    if (params->matrix != matrix_none)
        rc = choose_visits(runner, c, trial, &visits, &count, err);
    else if (count)
        stay = matrix_stay(place_pairs(runner->place), (unsigned)json_integer_value(json_array_get(cpus, 0)),
                           (unsigned)json_integer_value(json_array_get(cpus, 1)));
    if (rc == 0 && count)
        *list = json_array();
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        const struct visit *visit = visits ? &visits[i] : &stay;
        json_array_append_new(*list, json_pack("{s:i, s:i, s:s, s:b}", "a", (int)visit->cpus[0], "b",
                                               (int)visit->cpus[1], "class", visit->class, "canary", visit->canary));
    }
    free(visits);
    return rc;
}

/* What each cell of a job is to do. */
static int cells_json(struct runner *runner, struct job *job, const json_t *cpus, json_t **cells, struct err *err)
{
    int rc = 0;
    *cells = json_array();
    for (unsigned i = 0; i < job->count && rc == 0; i++) {
        json_t *pairs;
        rc = pairs_json(runner, job->cells[i], job->trials[i], cpus, &pairs, err);
        job->visits += (unsigned)json_array_size(pairs);
        json_array_append_new(*cells, json_pack("{s:i, s:I, s:o, s:i, s:o*}", "trial", (int)job->trials[i], "seed",
                                                (json_int_t)trial_seed(runner, job->cells[i], job->trials[i]), "ops",
                                                ops_json(runner, job->cells[i]), "rounds", 0, "pairs", pairs));
    }
    return rc;
}

static json_t *job_json(struct runner *runner, const struct job *job, const struct job_parts *parts, uint64_t padding)
{
    char name[32];
    snprintf(name, sizeof name, "target-%u", job->process);
    return json_pack("{s:o, s:o, s:i, s:I, s:s, s:s, s:o, s:o*, s:s, s:s, s:o, s:I, s:n}", "plan",
                     wire_plan_of(runner->plan, job->cells, job->count), "cells", json_incref(parts->cells), "process",
                     (int)job->process, "seed", (json_int_t)(random_derive(runner->plan->seed, job->process) >> 11),
                     "directory", job_directory(runner, job), "name", name, "cpus", json_incref(parts->cpus), "nodes",
                     json_incref(parts->nodes), "machine", machine_text(runner, "hash"), "boot_id",
                     machine_text(runner, "boot_id"), "instance",
                     runner->options->instance ? json_string(runner->options->instance) : json_null(),
                     "environment_bytes", (json_int_t)padding, "turn");
}

/* Index within the job of the cell a record belongs to; -1 when it is none of it. */
static int job_index(const struct runner *runner, const struct job *job, const json_t *record)
{
    int c = find_cell(runner, record);
    for (unsigned i = 0; c >= 0 && i < job->count; i++)
        if (job->cells[i] == (unsigned)c && !job->recorded[i])
            return (int)i;
    return -1;
}

static int take_line(struct runner *runner, struct job *job, const char *line, size_t length, struct err *err)
{
    json_t *record = record_parse(line, length);
    int index = record ? job_index(runner, job, record) : -1, rc = 0;
    if (index < 0) {
        progress_note(&runner->progress, "a trial process wrote a line that is no record; it is left out");
    } else {
        char *whole = malloc(length + 1);
        if (whole) {
            memcpy(whole, line, length);
            whole[length] = '\n';
            job->recorded[index] = true;
            rc = keep(runner, job->cells[index], record, whole, length + 1, err);
        } else {
            rc = err_set(err, ENOMEM, "no memory for a record");
        }
        free(whole);
    }
    json_decref(record);
    return rc;
}

static uint64_t oom_kills(void)
{
    char line[128];
    unsigned long long count = 0;
    FILE *file = fopen("/proc/vmstat", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "oom_kill %llu", &count) == 1)
            break;
    if (file)
        fclose(file);
    return count;
}

/* Why a trial process did not deliver all of its records. */
static void death_reason(char *text, size_t size, enum child_event event, int status, int signal_code, bool oom,
                         uint64_t deadline_ns)
{
    if (event == CHILD_TIMEOUT)
        snprintf(text, size, "the trial process did not end within %.3g s and was killed", (double)deadline_ns / 1e9);
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS)
        snprintf(text, size, "SIGBUS (code %d): %s", signal_code,
                 signal_code == BUS_ADRERR ? "the file shrank under its mapping, or its disk is full or failing"
                                           : "a memory error or a misaligned access");
    else if (WIFSIGNALED(status))
        snprintf(text, size, "the trial process was killed by signal %d (%s)%s", WTERMSIG(status),
                 strsignal(WTERMSIG(status)),
                 oom && WTERMSIG(status) == SIGKILL ? ": the kernel ran out of memory" : "");
    else
        snprintf(text, size, "the trial process ended with status %d before it was done", WEXITSTATUS(status));
}

static int record_unborn(struct runner *runner, struct job *job, unsigned index, int arm, enum arm_status status,
                         const char *reason, struct err *err)
{
    unsigned c = job->cells[index];
    struct record_context context = {
        .plan = runner->plan,
        .cell = &runner->plan->cells[c],
        .trial = job->trials[index],
        .process = job->process,
        .seed = trial_seed(runner, c, job->trials[index]),
        .machine = machine_text(runner, "hash"),
        .boot_id = machine_text(runner, "boot_id"),
        .instance = runner->options->instance,
    };
    record_time(context.started);
    json_t *record = record_unmeasured(&context, arm, status, reason);
    char *line = record_line(record);
    int rc = line ? keep(runner, c, record, line, strlen(line), err) : err_set(err, ENOMEM, "no memory for a record");
    job->recorded[index] = true;
    free(line);
    json_decref(record);
    return rc;
}

static int record_death(struct runner *runner, struct job *job, unsigned index, int arm, const char *reason,
                        struct err *err)
{
    unsigned c = job->cells[index];
    int rc = record_unborn(runner, job, index, arm, ARM_FAILED, reason, err);
    if (++runner->cells[c].crashes >= CRASHES_MAX)
        runner->cells[c].finished = true;
    progress_note(&runner->progress, reason);
    return rc;
}

/* A job that cannot be had here: each of its cells says so once, and is not tried again. */
static int record_unsupported(struct runner *runner, struct job *job, const char *reason, struct err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < job->count && rc == 0; i++) {
        rc = record_unborn(runner, job, i, ARM_MISSING, ARM_UNSUPPORTED, reason, err);
        runner->cells[job->cells[i]].finished = true;
    }
    progress_note(&runner->progress, reason);
    return rc;
}

/* The cell in flight gets a record that says why; the cells after it stay open and are run by another process. */
static int bury(struct runner *runner, struct job *job, const struct trial_status *seen, const char *reason,
                struct err *err)
{
    int rc = 0;
    if (seen->cell < job->count && !job->recorded[seen->cell])
        return record_death(runner, job, seen->cell, (int)seen->arm, reason, err);
    for (unsigned i = 0; i < job->count && rc == 0; i++)
        if (!job->recorded[i])
            rc = record_death(runner, job, i, ARM_MISSING, reason, err);
    return rc;
}

/* What the counted operations of all its cells take by their methods' own word: a soak rests in each of them. */
static uint64_t counting_ns(const struct runner *runner, const struct job *job)
{
    uint64_t ns = 0;
    for (unsigned i = 0; i < job->count; i++) {
        const struct cell *cell = &runner->plan->cells[job->cells[i]];
        for (unsigned a = 0; a < cell->arm_count; a++) {
            const struct arm *arm = &cell->arms[a];
            ns += arm->method->block_ns ? arm->method->block_ns(&arm->params) * cell->params.count_ops : 0;
        }
    }
    return ns;
}

/* When a process that is not done by then hangs. */
static uint64_t job_deadline_ns(const struct runner *runner, const struct job *job)
{
    return runner->options->deadline_ns * (1 + job->count / 4) + job->visits * VISIT_LIMIT_NS +
           counting_ns(runner, job);
}

/* Carries out a job whose process can be started. */
static int run_process(struct runner *runner, struct job *job, const struct job_parts *parts, struct err *err)
{
    struct child child;
    uint64_t padding = random_below(&runner->random, PADDING_MAX), begin = clock_now_ns(), kills = oom_kills();
    uint64_t deadline = job_deadline_ns(runner, job);
    const char *line = NULL;
    size_t length = 0;
    json_t *json = job_json(runner, job, parts, padding);
    add_filesystem(runner, job, json);
    int rc = child_start(&child, json, padding, runner->group.entry_fd, err);
    json_decref(json);
    enum child_event event = CHILD_ENDED;
    while (rc == 0 && (event = child_next(&child, begin + deadline, &interrupted, &line, &length)) <= CHILD_QUIET)
        if (event == CHILD_LINE)
            rc = take_line(runner, job, line, length, err);
        else
            show_state(runner);
    struct trial_status seen = child.status ? *child.status : (struct trial_status){.cell = UINT32_MAX};
    int status = child_end(&child);
    bool complete = true;
    for (unsigned i = 0; i < job->count; i++)
        complete &= job->recorded[i];
    if (rc == 0 && !complete && event != CHILD_INTERRUPTED) {
        char reason[256];
        death_reason(reason, sizeof reason, event, status, seen.signal_code, oom_kills() > kills, deadline);
        rc = bury(runner, job, &seen, reason, err);
    }
    runner->spent_ns += clock_now_ns() - begin;
    runner->spent_trials += job->count;
    return rc;
}

/* What a job needs beside its process. -EOPNOTSUPP with text when it cannot be had here. */
static int prepare_job(struct runner *runner, const struct params *target, struct err *err)
{
    const char *fault = filesystem_fault(&runner->filesystems, target);
    if (fault)
        return err_set(err, EOPNOTSUPP, "%s", fault);
    int rc = filesystem_set_read_ahead(&runner->filesystems, (enum backing)target->backing,
                                       (enum read_ahead)target->read_ahead, err);
    if (rc == 0 && target->memory_limit)
        rc = memory_group_make(&runner->group, target->memory_limit, err);
    return rc;
}

static int run_job(struct runner *runner, struct job *job, struct err *err)
{
    struct err why = {0};
    struct job_parts parts = {0};
    job->process = runner->process_count++;
    int rc = prepare_job(runner, job_target(runner, job), &why);
    if (rc == 0)
        rc = cpus_json(runner, job, &parts.cpus, &why);
    if (rc == 0)
        rc = nodes_json(runner, job, parts.cpus, &parts.nodes, &why);
    if (rc == 0)
        rc = cells_json(runner, job, parts.cpus, &parts.cells, &why);
    if (rc == -EOPNOTSUPP || rc == -ENXIO)
        rc = record_unsupported(runner, job, why.text, err);
    else if (rc)
        *err = why;
    else
        rc = run_process(runner, job, &parts, err);
    json_decref(parts.cells);
    json_decref(parts.cpus);
    json_decref(parts.nodes);
    if (memory_group_remove(&runner->group))
        progress_note(&runner->progress, "a control group could not be removed; the next run removes it");
    return rc;
}

/* ---- the order of trials ---- */

static bool budget_is_spent(const struct runner *runner)
{
    return runner->plan->budget_ns && clock_now_ns() - runner->begin_ns >= runner->plan->budget_ns;
}

/* Whether a job of `count` cells still fits into the budget, judged by what such cells have taken so far. */
static bool fits_budget(const struct runner *runner, unsigned count)
{
    if (runner->plan->budget_ns == 0 || runner->spent_trials == 0)
        return !budget_is_spent(runner);
    uint64_t each = runner->spent_ns / runner->spent_trials;
    return clock_now_ns() - runner->begin_ns + each * count / 2 < runner->plan->budget_ns;
}

/* The trial that a cell is to have next; TRIALS_MAX when it is finished. */
static unsigned open_trial(const struct runner *runner, unsigned c)
{
    return runner->cells[c].finished ? TRIALS_MAX : next_trial(&runner->cells[c]);
}

/* Before as many trials nothing can be said of a cell: while one is below that, those above it wait. */
static bool is_undecidable(const struct runner *runner, unsigned c)
{
    return open_trial(runner, c) < scenario_of(runner, c)->rungs[0];
}

/* What is to be run next: lowest trial that an open cell is still to have; TRIALS_MAX when all are finished. */
struct next {
    bool undecidable; /* of those cells alone */
    unsigned trial;
};

static struct next next_of(const struct runner *runner)
{
    struct next next = {false, TRIALS_MAX};
    for (unsigned c = 0; c < runner->plan->cell_count; c++)
        next.undecidable |= is_undecidable(runner, c);
    for (unsigned c = 0; c < runner->plan->cell_count; c++) {
        unsigned t = is_undecidable(runner, c) == next.undecidable ? open_trial(runner, c) : TRIALS_MAX;
        next.trial = t < next.trial ? t : next.trial;
    }
    return next;
}

/* One trial of every cell of a group whose turn it is, in as many processes as it takes. */
static int run_group(struct runner *runner, unsigned group, struct next next, struct err *err)
{
    unsigned *open = calloc(runner->plan->cell_count, sizeof *open), count = 0, done = 0;
    if (!open)
        return err_set(err, ENOMEM, "no memory for the order of trials");
    for (unsigned c = 0; c < runner->plan->cell_count; c++)
        if (runner->plan->cells[c].group == group && open_trial(runner, c) == next.trial &&
            is_undecidable(runner, c) == next.undecidable)
            open[count++] = c;
    random_shuffle(&runner->random, open, count);
    int rc = 0;
    while (done < count && rc == 0 && !interrupted && !runner->stopped) {
        struct job job = {0};
        while (job.count < PLAN_CELLS_PER_PROCESS && done < count) {
            job.cells[job.count] = open[done++];
            job.trials[job.count++] = next.trial;
        }
        if (fits_budget(runner, job.count))
            rc = run_job(runner, &job, err);
        else
            runner->stopped = "budget";
    }
    free(open);
    return rc;
}

static bool all_precise(const struct runner *runner)
{
    bool all = true;
    for (unsigned c = 0; c < runner->plan->cell_count; c++)
        all &= is_precise(runner, c);
    return all;
}

/*
 * Breadth first, so that a run cut short is balanced: every cell has had trial t before any has trial t + 1; but none
 * is looked at more closely before all have had as many as it takes to say anything.
 */
static int run_all(struct runner *runner, struct err *err)
{
    unsigned *groups = calloc(runner->plan->group_count + 1, sizeof *groups);
    struct next next;
    int rc = groups ? 0 : err_set(err, ENOMEM, "no memory for the order of trials");
    while (rc == 0 && !interrupted && !runner->stopped && (next = next_of(runner)).trial < TRIALS_MAX) {
        for (unsigned g = 0; g < runner->plan->group_count; g++)
            groups[g] = g;
        random_shuffle(&runner->random, groups, runner->plan->group_count);
        for (unsigned g = 0; g < runner->plan->group_count && rc == 0 && !interrupted && !runner->stopped; g++)
            rc = run_group(runner, groups[g], next, err);
    }
    free(groups);
    if (interrupted)
        runner->stopped = "interrupted";
    else if (!runner->stopped)
        runner->stopped = all_precise(runner) ? "precision" : "trials";
    return rc;
}

/* Touches and releases as much memory as the run will use: what a hypervisor has taken back is slow on its first touch.
 */
static void touch_pool(const struct runner *runner)
{
    uint64_t room = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 2;
    struct limits limits;
    struct err ignored;
    if (cgroup_limits("", &limits, &ignored) == 0 && cgroup_memory_bytes(&limits) / 4 < room)
        room = cgroup_memory_bytes(&limits) / 4;
    uint64_t bytes = runner->plan->memory_bytes + POOL_EXTRA;
    bytes = bytes < room ? bytes : room;
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* it has the locks of this run: they are not to outlive us */
        if (getppid() != parent)
            _exit(0);
        char *pool = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (uint64_t at = 0; pool != MAP_FAILED && at < bytes; at += (uint64_t)sysconf(_SC_PAGESIZE))
            pool[at] = 1;
        _exit(0);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* ---- the run as a whole ---- */

/* Hash of the program file itself: two builds of one version are two programs. Null where it cannot be read. */
static json_t *program_hash(void)
{
    unsigned char block[1 << 14];
    char text[FNV_TEXT_SIZE];
    uint64_t hash = FNV_START;
    FILE *file = fopen("/proc/self/exe", "re");
    if (!file)
        return json_null();
    for (size_t done; (done = fread(block, 1, sizeof block, file)) > 0;)
        hash = fnv_add(hash, block, done);
    fclose(file);
    fnv_text(hash, text);
    return json_string(text);
}

static json_t *tool_json(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "version", FAULTLINE_VERSION, "compiler", FAULTLINE_COMPILER, "flags",
                     FAULTLINE_FLAGS, "build", FAULTLINE_BUILD, "program", program_hash());
}

static int put_manifest(struct runner *runner, struct err *err)
{
    json_object_set_new(runner->manifest, "expected", json_integer(expected_records(runner)));
    json_object_set_new(runner->manifest, "finished", json_integer(runner->records));
    json_object_set_new(runner->manifest, "stopped", runner->stopped ? json_string(runner->stopped) : json_null());
    return store_put_json(&runner->store, "manifest.json", runner->manifest, err);
}

static void make_manifest(struct runner *runner)
{
    char now[32];
    json_t *argv = json_array();
    const char *slash = strrchr(runner->store.directory, '/');
    for (unsigned i = 0; i < runner->options->argc; i++)
        json_array_append_new(argv, json_string_nocheck(runner->options->argv[i]));
    record_time(now);
    runner->manifest = json_pack("{s:s, s:s, s:o, s:o, s:o, s:s, s:n, s:I, s:s, s:n}", "schema", "faultline.manifest/1",
                                 "run", slash ? slash + 1 : runner->store.directory, "tool", tool_json(), "plan",
                                 wire_plan(runner->plan), "argv", argv, "started", now, "ended", "seed",
                                 (json_int_t)runner->plan->seed, "machine", machine_text(runner, "hash"),
                                 "exit_status");
}

static int begin_new(struct runner *runner, struct err *err)
{
    char topology[sizeof runner->store.directory + 32];
    struct err ignored;
    int rc = store_make(&runner->store, runner->options->out, runner->options->parent, machine_text(runner, "name"),
                        err);
    if (rc)
        return rc;
    rc = store_put_json(&runner->store, "machine.json", runner->machine, err);
    snprintf(topology, sizeof topology, "%s/topology.xml", runner->store.directory);
    if (rc == 0 && place_export(runner->place, topology, &ignored) && ignored.code != ENOTSUP)
        rc = err_set(err, ignored.code, "%s", ignored.text);
    make_manifest(runner);
    return rc ? rc : put_manifest(runner, err); /* last: with it, the run can be resumed */
}

static int learn_again(void *context, const json_t *record)
{
    struct runner *runner = context;
    int c = record ? find_cell(runner, record) : -1;
    bool fits = c < 0 || json_array_size(json_object_get(record, "arms")) == runner->plan->cells[c].arm_count;
    if (!record || !fits) {
        runner->damaged++;
        return 0;
    }
    json_int_t process = json_integer_value(json_object_get(record, "process"));
    if (process >= runner->process_count && process < UINT_MAX)
        runner->process_count = (unsigned)process + 1;
    return c >= 0 ? learn(runner, (unsigned)c, record, &runner->learnt) : 0;
}

/* Takes over the records that are there. Damaged ones count as missing, and are said to. */
static int learn_all_again(struct runner *runner, struct err *err)
{
    char note[128];
    int rc = store_read(&runner->store, learn_again, runner, err);
    if (rc && runner->learnt.code)
        *err = runner->learnt;
    snprintf(note, sizeof note, "%u damaged records are left out; what they held is measured again", runner->damaged);
    if (rc == 0 && runner->damaged)
        progress_note(&runner->progress, note);
    return rc;
}

static bool is_manifest(const json_t *manifest)
{
    static const char SCHEMA[] = "faultline.manifest/1";
    const char *schema = json_string_value(json_object_get(manifest, "schema"));
    return schema && strncmp(schema, SCHEMA, sizeof SCHEMA - 1) == 0 &&
           json_is_object(json_object_get(manifest, "tool"));
}

/* What was begun is only gone on with under the very same conditions: by this build … */
static int check_build(struct runner *runner, struct err *err)
{
    json_t *tool = tool_json();
    bool same = json_equal(json_object_get(runner->manifest, "tool"), tool);
    json_decref(tool);
    if (!same)
        return err_set(err, ESTALE, "%s was begun by another build of faultline", runner->store.directory);
    return 0;
}

/* … and on this machine. */
static int check_machine(struct runner *runner, struct err *err)
{
    const char *hash = json_string_value(json_object_get(runner->manifest, "machine"));
    if (!hash || strcmp(hash, machine_text(runner, "hash")) != 0)
        return err_set(err, ESTALE, "%s was begun on another machine, or this one has changed",
                       runner->store.directory);
    return 0;
}

static int load_resumed_plan(struct runner *runner, struct err *err)
{
    int rc = store_open(&runner->store, runner->options->resume, err);
    if (rc)
        return rc;
    runner->manifest = store_get_json(&runner->store, "manifest.json", err);
    if (!runner->manifest)
        return -EBADMSG;
    if (!is_manifest(runner->manifest))
        return err_set(err, EBADMSG, "%s/manifest.json is no manifest of a run", runner->store.directory);
    rc = check_build(runner, err);
    if (rc)
        return rc;
    rc = wire_plan_read(json_object_get(runner->manifest, "plan"), runner->plan, err);
    return rc ? err_prefix(err, "%s/manifest.json", runner->store.directory) : 0;
}

static int allocate(struct runner *runner, struct err *err)
{
    runner->cells = calloc(runner->plan->cell_count + 1, sizeof *runner->cells);
    if (!runner->cells || progress_begin(&runner->progress, runner->options->progress, runner->plan))
        return err_set(err, ENOMEM, "no memory for the run");
    return 0;
}

static int check_disk(struct runner *runner, struct err *err)
{
    struct statvfs space;
    if (statvfs(runner->plan->directory, &space))
        return err_sys(err, "%s", runner->plan->directory);
    uint64_t free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
    runner->outcome->unfit = free_bytes < runner->plan->disk_bytes;
    if (runner->outcome->unfit)
        return err_set(err, ENOSPC, "%s: the plan needs %llu MiB, %llu MiB are free", runner->plan->directory,
                       (unsigned long long)(runner->plan->disk_bytes / MIB), (unsigned long long)(free_bytes / MIB));
    return 0;
}

/* Finds plan, machine and directory, new or resumed, up to the point where measuring can begin. */
static int prepare(struct runner *runner, struct err *err)
{
    int rc = runner->options->resume ? load_resumed_plan(runner, err) : 0;
    if (rc == 0)
        rc = allocate(runner, err);
    if (rc)
        return rc;
    struct machine_options machine = {.directory = runner->plan->directory,
                                      .name = runner->options->machine_name,
                                      .counters = runner->plan->counters[0] != '\0'};
    runner->machine = machine_fingerprint(runner->place, &machine, err);
    if (!runner->machine)
        return -err->code;
    rc = runner->options->resume ? check_machine(runner, err) : 0;
    if (rc == 0)
        rc = check_disk(runner, err);
    if (rc)
        return rc;
    return runner->options->resume ? learn_all_again(runner, err) : begin_new(runner, err);
}

static bool uses_tmpfs(const struct plan *plan)
{
    for (unsigned c = 0; c < plan->cell_count; c++)
        if (plan->cells[c].params.backing == backing_tmpfs)
            return true;
    return false;
}

/* The filesystems that cells lie on, where the plan asked for them to be made. What cannot be made has a reason. */
static int make_filesystems(struct runner *runner, struct err *err)
{
    struct filesystem_wishes wishes = {0};
    for (unsigned c = 0; c < runner->plan->cell_count && runner->plan->make_filesystems; c++)
        filesystem_want(&wishes, &runner->plan->cells[c].params, plan_beside_bytes(&runner->plan->cells[c]));
    if (filesystem_disk_bytes(&wishes) == 0)
        return 0;
    int rc = workdir_make(&runner->mount_workdir, runner->plan->directory, err);
    if (rc == 0)
        filesystem_make(&runner->filesystems, &wishes, runner->workdir.path, runner->mount_workdir.path);
    return rc;
}

static int measure(struct runner *runner, struct err *err)
{
    memory_group_sweep();
    int rc = workdir_make(&runner->workdir, runner->plan->directory, err);
    if (rc == 0 && uses_tmpfs(runner->plan))
        rc = workdir_make(&runner->memory_workdir, "/dev/shm", err);
    if (rc == 0)
        rc = make_filesystems(runner, err);
    if (rc)
        return rc;
    runner->begin_ns = clock_now_ns();
    touch_pool(runner);
    return run_all(runner, err);
}

/* The fingerprint once more: a machine whose settings changed meanwhile has not measured one thing. */
static void look_again(struct runner *runner)
{
    struct err ignored;
    struct machine_options options = {.directory = runner->plan->directory, .name = runner->options->machine_name};
    json_t *after = machine_fingerprint(runner->place, &options, &ignored);
    const char *hash = json_string_value(json_object_get(after, "hash"));
    json_object_set_new(runner->manifest, "machine_after", hash ? json_string(hash) : json_null());
    if (hash && strcmp(hash, machine_text(runner, "hash")) != 0)
        progress_note(&runner->progress, "the machine's settings changed while it was measured");
    json_decref(after);
}

static void finish(struct runner *runner)
{
    char now[32];
    record_time(now);
    look_again(runner);
    runner->outcome->finished = runner->records;
    if (runner->cells)
        runner->outcome->expected = expected_records(runner);
    memcpy(runner->outcome->directory, runner->store.directory, sizeof runner->outcome->directory);
    if (runner->manifest)
        json_object_set_new(runner->manifest, "ended", json_string(now));
}

int run_plan(struct plan *plan, const struct topology *place, const struct run_options *options,
             struct run_outcome *outcome, struct err *err)
{
    struct runner runner = {.plan = plan,
                            .place = place,
                            .options = options,
                            .outcome = outcome,
                            .store.records_fd = -1,
                            .workdir.lock_fd = -1,
                            .memory_workdir.lock_fd = -1,
                            .mount_workdir.lock_fd = -1,
                            .group = MEMORY_GROUP_NONE};
    struct sigaction action = {.sa_handler = on_signal};
    *outcome = (struct run_outcome){0};
    interrupted = 0;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    int rc = prepare(&runner, err);
    runner.random = (struct random){random_derive(plan->seed, 'o' + runner.records)};
    if (rc == 0) {
        rc = measure(&runner, err);
        finish(&runner);
        struct err late = {0};
        if (put_manifest(&runner, &late) && rc == 0) {
            *err = late;
            rc = -late.code;
        }
    }
    filesystem_remove(&runner.filesystems);
    workdir_remove(&runner.mount_workdir);
    workdir_remove(&runner.workdir);
    workdir_remove(&runner.memory_workdir);
    progress_end(&runner.progress);
    store_close(&runner.store);
    json_decref(runner.machine);
    json_decref(runner.manifest);
    for (unsigned c = 0; runner.cells && c < plan->cell_count; c++)
        matrix_forget(&runner.cells[c].seen);
    free(runner.cells);
    return rc;
}

int run_put_exit(const char *directory, int exit_status, struct err *err)
{
    struct store store;
    int rc = store_open(&store, directory, err);
    json_t *manifest = rc ? NULL : store_get_json(&store, "manifest.json", err);
    if (manifest) {
        json_object_set_new(manifest, "exit_status", json_integer(exit_status));
        rc = store_put_json(&store, "manifest.json", manifest, err);
    }
    json_decref(manifest);
    store_close(&store);
    return rc ? rc : -err->code;
}
