/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "trial.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "place.h"
#include "random.h"
#include "record.h"
#include "wire.h"

enum { WORKERS_MAX = 4096, LAYOUT_PAGES = 4096 };

struct trial {
    const json_t *job;
    struct plan plan;
    struct target target;
    bool has_target;
    struct target *others; /* [other_count] files of further workers, for cells with worker_file: own */
    unsigned other_count;
    struct record_context record;
    struct turn turn;
    struct perf_set events; /* counted beside what always is; none where the plan asks for none */
    unsigned *cpus;
    unsigned nodes[NODES_MAX], node_count; /* on which pages are to lie; none: anywhere */
    struct trial_status *status;
    struct trial_status unwatched; /* where status points when nobody watches */
};

static struct trial_status *signal_status; /* a signal handler has no other way to it */

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    signal_status->signal_code = info->si_code;
    /* SA_RESETHAND: returning repeats the access, which now ends the process with SIGBUS. */
}

static void watch_sigbus(struct trial *trial)
{
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | (int)SA_RESETHAND};
    signal_status = trial->status;
    sigaction(SIGBUS, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int int_of(const json_t *object, const char *key)
{
    return (int)json_integer_value(json_object_get(object, key));
}

static void open_status(struct trial *trial)
{
    trial->status = &trial->unwatched;
    const json_t *fd = json_object_get(trial->job, "status_fd");
    void *page = json_is_integer(fd) ? mmap(NULL, sizeof *trial->status, PROT_READ | PROT_WRITE, MAP_SHARED,
                                            (int)json_integer_value(fd), 0)
                                     : MAP_FAILED;
    if (page != MAP_FAILED)
        trial->status = page;
    trial->status->cell = UINT32_MAX;
}

static int read_cpus(struct trial *trial, struct err *err)
{
    const json_t *cpus = json_object_get(trial->job, "cpus");
    size_t count = json_array_size(cpus);
    if (count == 0)
        return 0;
    trial->cpus = calloc(count, sizeof *trial->cpus);
    if (!trial->cpus)
        return err_set(err, ENOMEM, "no memory for the CPUs");
    for (size_t i = 0; i < count; i++)
        trial->cpus[i] = (unsigned)json_integer_value(json_array_get(cpus, i));
    for (unsigned c = 0; c < trial->plan.cell_count; c++)
        if (trial->plan.cells[c].params.workers > count)
            return err_set(err, EINVAL, "job: %zu CPUs for more workers", count);
    return place_bind(trial->cpus[0], err);
}

/* Before anything is touched: what is made from here on lies there. */
static int read_nodes(struct trial *trial, struct err *err)
{
    const json_t *list = json_object_get(trial->job, "nodes"), *node;
    size_t index;
    json_array_foreach((json_t *)list, index, node)
    {
        json_int_t number = json_integer_value(node);
        if (number < 0 || number >= NODES_MAX || trial->node_count == NODES_MAX)
            return err_set(err, EINVAL, "job: %" JSON_INTEGER_FORMAT " is no memory node", number);
        trial->nodes[trial->node_count++] = (unsigned)number;
    }
    return trial->node_count ? place_bind_memory(trial->nodes, trial->node_count, err) : 0;
}

/*
 * Where later mappings lie is part of the noise between trials: a random number of pages, drawn from the seed, decides
 * it within LAYOUT_PAGES, whatever the kernel's own randomisation did. It also decides how a small mapping falls into
 * fault-around windows, so that faults repeat exactly with the seed.
 */
static void shift_layout(struct trial *trial)
{
    struct random random = {random_derive(trial->record.seed, 'm')};
    trial->record.mapping_pages = random_below(&random, LAYOUT_PAGES);
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    /* Too large for the gaps that loading the libraries left, too small to be aligned to huge pages. */
    char *next = mmap(NULL, MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (next == MAP_FAILED)
        return;
    uint64_t shift = ((uint64_t)(uintptr_t)next - trial->record.mapping_pages * page_bytes) %
                     (LAYOUT_PAGES * page_bytes);
    /* In one piece right below: a large mapping that the kernel places may leave a gap for alignment. */
    if (shift)
        (void)!mmap(next - shift, shift, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
                    -1, 0);
}

static int read_job(struct trial *trial, struct err *err)
{
    const json_t *turn = json_object_get(trial->job, "turn");
    int rc = wire_plan_read(json_object_get(trial->job, "plan"), &trial->plan, err);
    if (rc)
        return rc;
    if (json_array_size(json_object_get(trial->job, "cells")) != trial->plan.cell_count)
        return err_set(err, EINVAL, "job: its cells and those of its plan differ in number");
    trial->turn = (struct turn){.read_fd = -1, .write_fd = -1};
    if (json_is_object(turn))
        trial->turn = (struct turn){int_of(turn, "read_fd"), int_of(turn, "write_fd"),
                                    json_is_true(json_object_get(turn, "starts")),
                                    (unsigned)json_integer_value(json_object_get(turn, "wait_s"))};
    trial->record = (struct record_context){
        .plan = &trial->plan,
        .process = (unsigned)int_of(trial->job, "process"),
        .seed = (uint64_t)json_integer_value(json_object_get(trial->job, "seed")),
        .machine = json_string_value(json_object_get(trial->job, "machine")),
        .boot_id = json_string_value(json_object_get(trial->job, "boot_id")),
        .instance = json_string_value(json_object_get(trial->job, "instance")),
        .environment_bytes = (uint64_t)json_integer_value(json_object_get(trial->job, "environment_bytes")),
        .filesystem = json_object_get(trial->job, "filesystem"),
    };
    if (!trial->record.machine || !trial->record.boot_id)
        return err_set(err, EINVAL, "job: machine or boot_id is missing");
    return read_cpus(trial, err);
}

static bool cell_opens_by_name(const struct cell *cell)
{
    for (unsigned a = 0; a < cell->arm_count; a++)
        if (cell->arms[a].method->needs & NEEDS_NAME && cell->arms[a].params.descriptor == descriptor_per_pass)
            return true;
    return false;
}

static bool has_own_files(const struct cell *cell)
{
    return cell->params.worker_file == worker_file_own && cell->params.workers > 1 && plan_cell_needs(cell, NEEDS_FILE);
}

/* The files of further workers, as many as the cell with most of them needs: made like the first, of other contents. */
static int open_others(struct trial *trial, const struct target_request *request, struct err *err)
{
    unsigned count = 0;
    int rc = 0;
    for (unsigned c = 0; c < trial->plan.cell_count; c++)
        if (has_own_files(&trial->plan.cells[c]) && trial->plan.cells[c].params.workers - 1 > count)
            count = (unsigned)trial->plan.cells[c].params.workers - 1;
    trial->others = calloc(count + 1, sizeof *trial->others);
    if (!trial->others)
        return err_set(err, ENOMEM, "no memory for the files of %u workers", count + 1);
    for (; trial->other_count < count && rc == 0; trial->other_count++) {
        struct target_request other = *request;
        char name[64];
        snprintf(name, sizeof name, "%s-%u", request->name, trial->other_count + 1);
        other.name = name;
        other.seed = random_derive(request->seed, trial->other_count + 1);
        rc = target_open(&trial->others[trial->other_count], &other, err);
    }
    return rc;
}

static int open_target(struct trial *trial, struct err *err)
{
    bool needed = false, named = false;
    for (unsigned c = 0; c < trial->plan.cell_count; c++) {
        needed |= plan_cell_needs(&trial->plan.cells[c], NEEDS_FILE);
        named |= cell_opens_by_name(&trial->plan.cells[c]);
    }
    if (!needed)
        return 0;
    struct target_request request = {
        .params = &trial->plan.cells[0].params,
        .directory = json_string_value(json_object_get(trial->job, "directory")),
        .name = json_string_value(json_object_get(trial->job, "name")),
        .given_path = trial->plan.given_path,
        .seed = random_derive(trial->record.seed, 'c'),
        .keep_name = named || access("/proc/self/fd", X_OK) != 0, /* the other way to open it again */
        .allow_evict = trial->plan.allow_evict,
        .device = (dev_t)json_integer_value(json_object_get(trial->job, "device")),
    };
    if (!request.directory || !request.name)
        return err_set(err, EINVAL, "job: directory or name is missing");
    trial->has_target = true;
    int rc = target_open(&trial->target, &request, err);
    return rc ? rc : open_others(trial, &request, err);
}

/* One write: a line is whole or absent. */
static int write_line(int fd, const json_t *record, struct err *err)
{
    char *line = record ? record_line(record) : NULL;
    if (!line)
        return err_set(err, ENOMEM, "no memory for a record");
    int rc = 0;
    for (size_t done = 0, length = strlen(line); done < length && rc == 0;) {
        ssize_t now = write(fd, line + done, length - done);
        if (now < 0 && errno != EINTR)
            rc = err_sys(err, "write a record");
        done += now > 0 ? (size_t)now : 0;
    }
    free(line);
    return rc;
}

static uint64_t *read_ops(const json_t *list, unsigned arm_count)
{
    uint64_t *ops = json_array_size(list) == arm_count ? calloc(arm_count, sizeof *ops) : NULL;
    for (unsigned a = 0; ops && a < arm_count; a++)
        ops[a] = (uint64_t)json_integer_value(json_array_get(list, a));
    return ops;
}

/* The pairs of CPUs that the workers of a cell are on, or are to visit. In *visits, which the caller frees. */
static int read_visits(const json_t *list, struct visit **visits, unsigned *count, struct err *err)
{
    *count = (unsigned)json_array_size(list);
    *visits = *count ? calloc(*count, sizeof **visits) : NULL;
    if (*count && !*visits)
        return err_set(err, ENOMEM, "no memory for %u pairs of CPUs", *count);
    for (unsigned i = 0; i < *count; i++) {
        const json_t *json = json_array_get(list, i);
        const char *class = json_string_value(json_object_get(json, "class"));
        struct visit *visit = &(*visits)[i];
        *visit = (struct visit){.cpus = {(unsigned)int_of(json, "a"), (unsigned)int_of(json, "b")},
                                .canary = json_is_true(json_object_get(json, "canary"))};
        snprintf(visit->class, sizeof visit->class, "%s", class ? class : "");
    }
    return 0;
}

/* The user's own file may have been cut short by somebody; a mapping would have ended in SIGBUS. */
static bool target_shrunk(const struct trial *trial)
{
    struct stat status;
    return trial->has_target && fstat(trial->target.fd, &status) == 0 &&
           (uint64_t)status.st_size < trial->target.params->file_bytes;
}

static json_t *cell_record(struct trial *trial, const struct measure_request *request)
{
    struct cell_result result;
    struct err err = {0};
    int rc = measure_cell(request, &result, &err);
    json_t *record;
    if (rc)
        record = record_unmeasured(&trial->record, -1, rc == -EOPNOTSUPP ? ARM_UNSUPPORTED : ARM_FAILED, err.text);
    else if (target_shrunk(trial))
        record = record_unmeasured(&trial->record, -1, ARM_FAILED, "the file shrank while it was measured");
    else
        record = record_make(&trial->record, &result);
    measure_free(&result);
    return record;
}

static int run_cell(struct trial *trial, unsigned c, int out_fd, struct err *err)
{
    const json_t *job = json_array_get(json_object_get(trial->job, "cells"), c);
    const struct cell *cell = &trial->plan.cells[c];
    trial->record.cell = cell;
    trial->record.trial = (unsigned)int_of(job, "trial");
    trial->record.seed = (uint64_t)json_integer_value(json_object_get(job, "seed"));
    record_time(trial->record.started);
    trial->status->arm = 0;
    trial->status->cell = c;
    bool own = has_own_files(cell);
    trial->target.others = own ? trial->others : NULL;
    trial->target.other_count = own ? (unsigned)cell->params.workers - 1 : 0;
    struct visit *visits;
    unsigned visit_count;
    int rc = read_visits(json_object_get(job, "pairs"), &visits, &visit_count, err);
    if (rc)
        return rc;
    uint64_t *ops = read_ops(json_object_get(job, "ops"), cell->arm_count);
    struct measure_request request = {
        .plan = &trial->plan,
        .cell = cell,
        .target = trial->has_target && plan_cell_needs(cell, NEEDS_FILE) ? &trial->target : NULL,
        .cpus = trial->cpus,
        .nodes = trial->nodes,
        .node_count = trial->node_count,
        .visits = visits,
        .visit_count = visit_count,
        .visit_rounds = cell->params.matrix == matrix_none ? 0 : matrix_rounds(visit_count),
        .seed = trial->record.seed,
        .ops = ops,
        .rounds = (unsigned)int_of(job, "rounds"),
        .events = trial->plan.counters[0] ? &trial->events : NULL,
        .turn = trial->turn,
        .clock = trial->record.clock,
        .empty_batch_ns = trial->record.empty_batch_ns,
        .arm_now = &trial->status->arm,
    };
    json_t *record = cell_record(trial, &request);
    rc = write_line(out_fd, record, err);
    json_decref(record);
    free(ops);
    free(visits);
    return rc;
}

/* When the file itself cannot be had, every cell says so. */
static int report_unprepared(struct trial *trial, int out_fd, const struct err *why, struct err *err)
{
    int rc = 0;
    for (unsigned c = 0; c < trial->plan.cell_count && rc == 0; c++) {
        const json_t *job = json_array_get(json_object_get(trial->job, "cells"), c);
        record_time(trial->record.started);
        trial->record.cell = &trial->plan.cells[c];
        trial->record.trial = (unsigned)int_of(job, "trial");
        trial->record.seed = (uint64_t)json_integer_value(json_object_get(job, "seed"));
        json_t *record = record_unmeasured(&trial->record, -1, why->code == EOPNOTSUPP ? ARM_UNSUPPORTED : ARM_FAILED,
                                           why->text);
        rc = write_line(out_fd, record, err);
        json_decref(record);
    }
    return rc;
}

int trial_run(const json_t *job, int out_fd, struct err *err)
{
    struct trial trial = {.job = job, .target.fd = -1};
    struct err why = {0};
    open_status(&trial);
    watch_sigbus(&trial);
    int rc = read_job(&trial, err);
    if (rc)
        goto out;
    rc = perf_find_list(&trial.events, trial.plan.counters, err);
    if (rc)
        goto out;
    shift_layout(&trial);
    trial.record.clock = clock_measure();
    trial.record.empty_batch_ns = measure_empty_batch();
    if (read_nodes(&trial, &why) || open_target(&trial, &why))
        rc = report_unprepared(&trial, out_fd, &why, err);
    else
        for (unsigned c = 0; c < trial.plan.cell_count && rc == 0; c++)
            rc = run_cell(&trial, c, out_fd, err);
out:
    for (unsigned i = 0; i < trial.other_count; i++)
        target_close(&trial.others[i]);
    free(trial.others);
    if (trial.has_target)
        target_close(&trial.target);
    plan_free(&trial.plan);
    free(trial.cpus);
    return rc;
}
