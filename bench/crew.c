/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "crew.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "descriptor.h"
#include "program.h"
#include "relax.h"

enum { BARRIER_LOOKS = 1000 };       /* in vain, before the other CPU may be one that is emulated */
#define BARRIER_LIMIT_NS (2000 * MS) /* a worker that is not there by then is stuck or has no CPU */
#define CHECK_INTERVAL_NS (100 * MS) /* how often a waiting coordinator looks whether workers are alive */
#define TURN_LIMIT_NS (30000 * MS)   /* checksum passes of the workers before this one take seconds at most */

/* Shared with worker processes. */
struct board {
    _Atomic uint32_t sequence; /* rises with each order */
    _Atomic uint32_t done;     /* workers that have carried out the last order */
    _Atomic uint32_t ready;    /* workers that ever reached the barrier of a RUN */
    struct gate gate;          /* for the methods */
    struct work_order order;
    struct work_answer answers[];
};

struct member {
    struct crew *crew;
    unsigned index;
    pthread_t thread;
    pid_t process;
    bool started;
};

struct crew {
    struct work_cell cell; /* with the crew's own descriptors */
    unsigned count;
    bool processes;
    struct board *board;
    size_t board_bytes;
    struct member *members; /* [count]; NULL for a single worker */
    struct work *work;      /* of the single worker */
    struct err broken;      /* why no order can be carried out any more: a worker has died */
};

static void futex_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t limit_ns)
{
    struct timespec limit = {(time_t)(limit_ns / (1000 * MS)), (long)(limit_ns % (1000 * MS))};
    syscall(SYS_futex, word, FUTEX_WAIT, seen, &limit, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* Waits until all workers have arrived `target` times in sum. */
static int barrier(struct board *board, uint32_t target)
{
    uint64_t limit = clock_now_ns() + BARRIER_LIMIT_NS, looks = 0;
    atomic_fetch_add(&board->ready, 1);
    while ((int32_t)(atomic_load(&board->ready) - target) < 0) {
        if (clock_now_ns() > limit)
            return -ETIMEDOUT;
        if (++looks % BARRIER_LOOKS == 0) /* not each time: that would make starts uneven */
            relax();
    }
    return 0;
}

/* Waits until the workers before this one have carried out the order. */
static int take_turn(struct board *board, unsigned index)
{
    uint64_t limit = clock_now_ns() + TURN_LIMIT_NS;
    uint32_t done;
    while ((done = atomic_load(&board->done)) < index) {
        if (clock_now_ns() > limit)
            return -ETIMEDOUT;
        futex_wait(&board->done, done, MS);
    }
    return 0;
}

static bool shares_description(const struct arm *arm)
{
    return arm->params.descriptor_of == descriptor_of_crew;
}

/* What has to be waited for before the order can be carried out. */
static int member_wait(struct member *member, uint32_t run_count)
{
    struct crew *crew = member->crew;
    const struct work_order *order = &crew->board->order;
    if (order->verb == WORK_RUN)
        return barrier(crew->board, run_count * crew->count);
    if (order->verb == WORK_SUM && shares_description(&crew->cell.cell->arms[order->arm]))
        return take_turn(crew->board,
                         member->index); /* a position that others move too sums what nobody can foretell */
    return 0;
}

static void member_answer(struct member *member, struct work *work, uint32_t run_count)
{
    struct board *board = member->crew->board;
    struct work_answer *answer = &board->answers[member->index];
    if (board->order.maps_program)
        program_map();
    int rc = member_wait(member, run_count);
    if (rc == 0) {
        work_do(work, &board->order, answer);
    } else {
        answer->rc = rc;
        err_set(&answer->err, ETIMEDOUT, "worker %u waited in vain for the others", member->index);
    }
}

/* Only the last one wakes the coordinator: it shares a CPU with a worker that may still be timed. */
static void member_finish(const struct crew *crew)
{
    if (atomic_fetch_add(&crew->board->done, 1) + 1 == crew->count)
        futex_wake(&crew->board->done);
}

static void *member_main(void *argument)
{
    struct member *member = argument;
    struct board *board = member->crew->board;
    struct work *work = NULL;
    struct work_answer *answer = &board->answers[member->index];
    uint32_t seen = 0, run_count = 0;
    answer->rc = work_begin(&work, &member->crew->cell, member->index, &answer->err);
    bool alive = answer->rc == 0;
    for (member_finish(member->crew); alive; member_finish(member->crew)) {
        while (atomic_load(&board->sequence) == seen)
            futex_wait(&board->sequence, seen, 1000 * MS);
        seen++;
        alive = board->order.verb != WORK_EXIT;
        run_count += board->order.verb == WORK_RUN;
        if (alive)
            member_answer(member, work, run_count);
        else
            work_end(work);
    }
    if (answer->rc && seen == 0)
        work_end(work);
    return NULL;
}

static int member_start(struct member *member, struct err *err)
{
    if (!member->crew->processes) {
        int code = pthread_create(&member->thread, NULL, member_main, member);
        if (code)
            return err_set(err, code, "start worker %u: %s", member->index, strerror(code));
    } else {
        pid_t parent = getpid();
        member->process = fork();
        if (member->process < 0)
            return err_sys(err, "fork worker %u", member->index);
        if (member->process == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() == parent)
                member_main(member);
            _exit(0);
        }
    }
    member->started = true;
    return 0;
}

/* -ECHILD when a worker process has ended although nobody told it to, then and ever after. */
static int check_alive(struct crew *crew)
{
    for (unsigned i = 0; crew->processes && i < crew->count; i++) {
        int status;
        struct member *member = &crew->members[i];
        if (member->started && waitpid(member->process, &status, WNOHANG) == member->process) {
            member->started = false;
            return err_set(&crew->broken, ECHILD, "worker %u died (%s %d)", i,
                           WIFSIGNALED(status) ? "signal" : "status",
                           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        }
    }
    return 0;
}

/* Whether it may only be that another has failed: who waited in vain says less than who knows. */
static bool is_consequence(int rc)
{
    return rc == 0 || rc == -ETIMEDOUT || rc == -ECANCELED;
}

/* Waits until all have carried out the order; collects the first error, and rather a cause than a consequence. */
static int gather(struct crew *crew, struct err *err)
{
    uint32_t done;
    while ((done = atomic_load(&crew->board->done)) < crew->count) {
        futex_wait(&crew->board->done, done, CHECK_INTERVAL_NS);
        if (atomic_load(&crew->board->done) < crew->count && check_alive(crew)) {
            *err = crew->broken;
            return -err->code;
        }
    }
    int rc = 0;
    for (unsigned i = 0; i < crew->count && is_consequence(rc); i++) {
        const struct work_answer *answer = &crew->board->answers[i];
        if (answer->rc && (rc == 0 || !is_consequence(answer->rc))) {
            *err = answer->err;
            rc = answer->rc;
        }
    }
    return rc;
}

/* Before the workers start: processes inherit them. Why one could not be had is for the arm's setup to say. */
static void open_descriptions(struct work_cell *cell)
{
    for (unsigned a = 0; a < cell->cell->arm_count; a++) {
        const struct arm *arm = &cell->cell->arms[a];
        cell->crew_fds[a] = -EBADF;
        if (shares_description(arm) && cell->target)
            cell->crew_fds[a] = descriptor_description(cell->target, &arm->params,
                                                       method_writes(arm->method, &arm->params));
    }
}

static void close_descriptions(const struct work_cell *cell)
{
    for (unsigned a = 0; cell->cell && a < cell->cell->arm_count; a++)
        if (cell->crew_fds[a] >= 0)
            close(cell->crew_fds[a]);
}

/* Before the workers start: what is mapped now is at the same address in all of them. */
static void open_rooms(struct work_cell *cell)
{
    for (unsigned a = 0; a < cell->cell->arm_count; a++) {
        const struct arm *arm = &cell->cell->arms[a];
        void *room = cell->target && method_meets(arm->method)
                         ? mmap(NULL, arm->params.working_set_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                                cell->target->fd, 0)
                         : MAP_FAILED;
        cell->rooms[a] = room == MAP_FAILED ? NULL : room;
    }
}

static void close_rooms(const struct work_cell *cell)
{
    for (unsigned a = 0; cell->cell && a < cell->cell->arm_count; a++)
        if (cell->rooms[a])
            munmap(cell->rooms[a], cell->cell->arms[a].params.working_set_bytes);
}

static int open_channel(struct work_cell *cell, struct err *err)
{
    bool needed = false;
    cell->channel = (struct channel)CHANNEL_NONE;
    for (unsigned a = 0; cell->cell && a < cell->cell->arm_count; a++)
        needed |= cell->cell->arms[a].method->needs & NEEDS_CHANNEL;
    return needed ? channel_open(&cell->channel, err) : 0;
}

int crew_start(struct crew **out, const struct work_cell *cell, struct err *err)
{
    struct crew *crew = *out = calloc(1, sizeof *crew);
    if (!crew)
        return err_set(err, ENOMEM, "no memory for the workers");
    crew->cell = *cell;
    open_descriptions(&crew->cell);
    open_rooms(&crew->cell);
    int rc = open_channel(&crew->cell, err);
    if (rc)
        return rc;
    crew->count = cell->worker_count;
    crew->processes = crew->count > 1 && cell->cell->params.worker_kind == worker_kind_process;
    crew->board_bytes = sizeof *crew->board + crew->count * sizeof *crew->board->answers;
    crew->board = mmap(NULL, crew->board_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (crew->board == MAP_FAILED) {
        crew->board = NULL;
        return err_sys(err, "no memory for the workers");
    }
    if (crew->count <= 1)
        return work_begin(&crew->work, &crew->cell, 0, err);
    crew->cell.gate = &crew->board->gate;
    crew->members = calloc(crew->count, sizeof *crew->members);
    if (!crew->members)
        return err_set(err, ENOMEM, "no memory for the workers");
    for (unsigned i = 0; i < crew->count; i++) {
        crew->members[i] = (struct member){.crew = crew, .index = i};
        rc = member_start(&crew->members[i], err);
        if (rc)
            return rc;
    }
    return gather(crew, err);
}

static void send(struct crew *crew, const struct work_order *order)
{
    crew->board->order = *order;
    atomic_store(&crew->board->done, 0);
    atomic_fetch_add(&crew->board->sequence, 1);
    futex_wake(&crew->board->sequence);
}

int crew_do(struct crew *crew, const struct work_order *order, struct err *err)
{
    if (crew->broken.code) {
        *err = crew->broken;
        return -err->code;
    }
    if (crew->count > 1) {
        send(crew, order);
        return gather(crew, err);
    }
    struct work_answer *answer = &crew->board->answers[0];
    if (order->maps_program)
        program_map();
    work_do(crew->work, order, answer);
    if (answer->rc)
        *err = answer->err;
    return answer->rc;
}

/* Where one has died the others may wait for it in the kernel, where no deadline of theirs reaches. */
static void end_survivors(const struct crew *crew)
{
    for (unsigned i = 0; crew->broken.code && i < crew->count; i++)
        if (crew->members[i].started)
            kill(crew->members[i].process, SIGKILL);
}

void crew_stop(struct crew *crew)
{
    if (!crew)
        return;
    end_survivors(crew);
    if (crew->members)
        send(crew, &(struct work_order){.verb = WORK_EXIT});
    for (unsigned i = 0; crew->members && i < crew->count; i++) {
        struct member *member = &crew->members[i];
        if (member->started && crew->processes)
            waitpid(member->process, NULL, 0);
        else if (member->started)
            pthread_join(member->thread, NULL);
    }
    work_end(crew->work);
    close_descriptions(&crew->cell);
    close_rooms(&crew->cell);
    channel_close(&crew->cell.channel);
    free(crew->members);
    if (crew->board)
        munmap(crew->board, crew->board_bytes);
    free(crew);
}

const struct work_answer *crew_answer(const struct crew *crew, unsigned worker)
{
    return &crew->board->answers[worker];
}

uint64_t crew_elapsed_ns(const struct crew *crew)
{
    uint64_t start = UINT64_MAX, finish = 0;
    for (unsigned i = 0; i < crew->count; i++) {
        const struct work_answer *answer = &crew->board->answers[i];
        if (answer->is_company)
            continue;
        start = answer->start_ns < start ? answer->start_ns : start;
        finish = answer->finish_ns > finish ? answer->finish_ns : finish;
    }
    return finish - start;
}

unsigned crew_size(const struct crew *crew)
{
    return crew->count;
}
