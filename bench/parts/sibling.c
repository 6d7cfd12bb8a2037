/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sibling.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "elsewhere.h"
#include "hugepage.h"
#include "mask.h"
#include "place.h"

enum {
    PROMPT_TRIES = 4,
    CACHE_LINES_BYTES = 128 /* two lines: what the adjacent-line prefetcher fetches together */
};
#define PROMPT_NS (20 * US)         /* a turn of a small storm is shorter */
#define START_LIMIT_NS (10000 * MS) /* on a machine that is far from idle */
#define JUDGED_NS (50 * US)         /* whoever runs at all moves on several times in this */
#define LOADED_BYTES (1 * MIB) /* 256 pages: more than a first-level TLB holds, fewer than a second-level one does */

enum mode { PAUSED, RUNNING, ENDING };

struct sibling {
    _Alignas(CACHE_LINES_BYTES) _Atomic uint64_t beats;
    _Atomic int code; /* errno of what went wrong */
    uint64_t beats_before;
    struct siblings *all;
    pthread_t thread;
    unsigned cpu;
    bool started;
    unsigned char *memory;
    size_t memory_bytes;
};

struct siblings {
    _Alignas(CACHE_LINES_BYTES) _Atomic uint32_t mode;
    const struct params *params;
    int (*turn)(void *context); /* what they do; NULL: as params say */
    void *context;
    uint64_t page_bytes;
    unsigned count;
    uint64_t begun_ns, batches;
    struct sibling members[];
};

static void beat(struct sibling *sibling)
{
    uint64_t beats = atomic_load_explicit(&sibling->beats, memory_order_relaxed);
    atomic_store_explicit(&sibling->beats, beats + 1, memory_order_relaxed);
}

static void store_each(struct sibling *sibling)
{
    for (size_t at = 0; at < sibling->memory_bytes; at += sibling->all->page_bytes) {
        *(volatile unsigned char *)(sibling->memory + at) = 1;
        beat(sibling);
    }
}

static int map_memory(struct sibling *sibling)
{
    void *base = mmap(NULL, sibling->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return -errno;
    sibling->memory = base;
    if (sibling->memory_bytes >= huge_page_bytes() && madvise(base, sibling->memory_bytes, MADV_NOHUGEPAGE) &&
        errno != EINVAL) /* EINVAL: a kernel without huge pages */
        return -errno;
    store_each(sibling);
    return 0;
}

static int unmap_memory(struct sibling *sibling)
{
    int rc = sibling->memory && munmap(sibling->memory, sibling->memory_bytes) ? -errno : 0;
    sibling->memory = NULL;
    return rc;
}

/* One turn: what is taken away from the memory is given back. */
static int storm_once(struct sibling *sibling)
{
    unsigned char *memory = sibling->memory;
    size_t bytes = sibling->memory_bytes;
    int rc;
    switch ((enum storm)sibling->all->params->storm) {
    case storm_dontneed:
        rc = madvise(memory, bytes, MADV_DONTNEED) ? -errno : 0;
        store_each(sibling);
        return rc;
    case storm_mprotect:
        rc = mprotect(memory, bytes, PROT_READ) || mprotect(memory, bytes, PROT_READ | PROT_WRITE) ? -errno : 0;
        if (rc == 0)
            store_each(sibling); /* only writable pages that were written to have anything to take away */
        return rc;
    case storm_munmap:
        rc = unmap_memory(sibling);
        return rc ? rc : map_memory(sibling);
    default:
        return 0;
    }
}

static int take_turn(struct sibling *sibling)
{
    const struct params *params = sibling->all->params;
    if (sibling->all->turn) {
        beat(sibling);
        return sibling->all->turn(sibling->all->context);
    }
    if (params->storm != storm_none) {
        beat(sibling);
        return storm_once(sibling);
    }
    for (size_t at = 0; params->sibling_work == sibling_work_load && at < sibling->memory_bytes;
         at += sibling->all->page_bytes)
        (void)*(const volatile unsigned char *)(sibling->memory + at);
    beat(sibling);
    return 0;
}

static void futex_wait(_Atomic uint32_t *word, uint32_t seen)
{
    const struct timespec limit = {.tv_sec = 1};
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, &limit, NULL, 0);
}

static void set_mode(struct siblings *siblings, enum mode mode)
{
    atomic_store(&siblings->mode, mode);
    if (mode != PAUSED)
        syscall(SYS_futex, &siblings->mode, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void *sibling_main(void *argument)
{
    struct sibling *sibling = argument;
    struct siblings *all = sibling->all;
    struct err unread;
    uint32_t mode;
    int rc = place_bind(sibling->cpu, &unread);
    if (rc == 0 && sibling->memory_bytes)
        rc = map_memory(sibling);
    while (rc == 0 && (mode = atomic_load_explicit(&all->mode, memory_order_acquire)) != ENDING) {
        if (mode == PAUSED)
            futex_wait(&all->mode, PAUSED);
        else
            rc = take_turn(sibling);
    }
    unmap_memory(sibling);
    atomic_store(&sibling->code, -rc);
    return NULL;
}

/* Signals are for the worker. */
static int thread_start(struct sibling *sibling)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&sibling->thread, NULL, sibling_main, sibling);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    sibling->started = code == 0;
    return code;
}

static size_t memory_bytes(const struct siblings *siblings)
{
    const struct params *params = siblings->params;
    if (siblings->turn)
        return 0;
    if (params->storm != storm_none)
        return (params->range_bytes + siblings->page_bytes - 1) / siblings->page_bytes * siblings->page_bytes;
    return params->sibling_work == sibling_work_load ? LOADED_BYTES : 0;
}

int siblings_start(struct siblings **out, const struct params *params, struct err *err)
{
    return siblings_start_turns(out, params, NULL, NULL, err);
}

int siblings_start_turns(struct siblings **out, const struct params *params, int (*turn)(void *), void *context,
                         struct err *err)
{
    unsigned count = (unsigned)params->siblings;
    size_t bytes = sizeof **out + count * sizeof(struct sibling);
    *out = NULL;
    if (count == 0)
        return 0;
    if (posix_memalign((void **)out, CACHE_LINES_BYTES, bytes))
        return err_set(err, ENOMEM, "no memory for the siblings");
    memset(*out, 0, bytes);
    struct siblings *siblings = *out;
    siblings->params = params;
    siblings->turn = turn;
    siblings->context = context;
    siblings->count = count;
    siblings->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    for (unsigned i = 0; i < count; i++) {
        struct sibling *sibling = &siblings->members[i];
        sibling->all = siblings;
        sibling->memory_bytes = memory_bytes(siblings);
        sibling->cpu = elsewhere_cpu(i);
        if (sibling->cpu == CPUS_MAX)
            return err_set(err, EOPNOTSUPP, "%u siblings need as many CPUs beside the worker's, this process has %u",
                           count, i);
        int code = thread_start(sibling);
        if (code)
            return err_set(err, code, "start sibling %u: %s", i, strerror(code));
    }
    return 0;
}

void siblings_stop(struct siblings *siblings)
{
    if (!siblings)
        return;
    set_mode(siblings, ENDING);
    for (unsigned i = 0; i < siblings->count; i++)
        if (siblings->members[i].started)
            pthread_join(siblings->members[i].thread, NULL);
    free(siblings);
}

/* Until it moves on from where it is. Spins: the sibling is on another CPU. */
static int wait_for(struct sibling *sibling, uint64_t limit_ns, struct err *err)
{
    uint64_t seen = sibling->beats_before;
    while (atomic_load(&sibling->beats) == seen) {
        int code = atomic_load(&sibling->code);
        if (code)
            return err_set(err, code, "sibling on CPU %u: %s", sibling->cpu, strerror(code));
        if (clock_now_ns() > limit_ns)
            return err_set(err, ETIMEDOUT, "the sibling on CPU %u did not get to run within %llu s", sibling->cpu,
                           (unsigned long long)(START_LIMIT_NS / (1000 * MS)));
    }
    sibling->beats_before = atomic_load(&sibling->beats);
    return 0;
}

static int wait_for_all(struct siblings *siblings, uint64_t limit_ns, struct err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < siblings->count && rc == 0; i++)
        rc = wait_for(&siblings->members[i], limit_ns, err);
    return rc;
}

/*
 * Where others want the CPUs too, waiting may have used up somebody's turn, the worker's or a sibling's: the batch is
 * to begin while all of them are at it.
 */
int siblings_resume(struct siblings *siblings, struct err *err)
{
    if (!siblings)
        return 0;
    uint64_t limit_ns = clock_now_ns() + START_LIMIT_NS;
    for (unsigned i = 0; i < siblings->count; i++)
        siblings->members[i].beats_before = atomic_load(&siblings->members[i].beats);
    set_mode(siblings, RUNNING);
    int rc = wait_for_all(siblings, limit_ns, err);
    for (unsigned i = 0; i < PROMPT_TRIES && rc == 0; i++) {
        uint64_t start = clock_now_ns();
        rc = wait_for_all(siblings, limit_ns, err);
        if (clock_now_ns() - start <= PROMPT_NS)
            break;
    }
    if (rc)
        set_mode(siblings, PAUSED);
    return rc;
}

/* The one that is looked at: fetching the counters of all would be a cost that grows with their number. */
static struct sibling *witness(struct siblings *siblings)
{
    return &siblings->members[siblings->batches % siblings->count];
}

void siblings_begin(struct siblings *siblings)
{
    if (!siblings)
        return;
    struct sibling *sibling = witness(siblings);
    sibling->beats_before = atomic_load_explicit(&sibling->beats, memory_order_relaxed);
    siblings->begun_ns = clock_now_ns();
}

const char *siblings_end(struct siblings *siblings)
{
    if (!siblings)
        return NULL;
    set_mode(siblings, PAUSED);
    const struct sibling *sibling = witness(siblings);
    siblings->batches++;
    bool still = atomic_load_explicit(&sibling->beats, memory_order_relaxed) == sibling->beats_before;
    return still && clock_now_ns() - siblings->begun_ns >= JUDGED_NS ? "a sibling did not run during the batch" : NULL;
}

uint64_t siblings_beats(const struct siblings *siblings, unsigned n)
{
    return atomic_load(&siblings->members[n].beats);
}

unsigned siblings_cpu(const struct siblings *siblings, unsigned n)
{
    return siblings->members[n].cpu;
}
