/* SPDX-License-Identifier: MIT */
/*
 * Between the two clock readings of a batch the process makes the system calls that the method is about, as many as it
 * is about, and no others. Every call is seen by a tracer (ptrace); /proc/thread-self/io is a second witness of the
 * reads.
 */
#include "physics.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "crew_of_one.h"

enum { FILE_BYTES = 1024 * 1024, BLOCKS = 64, STRIDE_BLOCKS = 4, NUMBERS = 1024 };

#ifdef SYS__llseek /* which the C library then prefers, on 64-bit machines too */
#define LSEEK SYS__llseek
#else
#define LSEEK SYS_lseek
#endif
#ifdef SYS_sync_file_range2 /* where 64-bit arguments need registers of even numbers */
#define SYNC_FILE_RANGE SYS_sync_file_range2
#else
#define SYNC_FILE_RANGE SYS_sync_file_range
#endif

extern const struct method method_null, method_syscall_floor, method_read, method_lseek_read, method_pread, method_mmap,
    method_first_touch, method_pwrite, method_readv, method_preadv2, method_uring, method_pread_empty;

/* Asked for with an argument that nobody else would use: marks where the tracer is to begin and to end. */
static void mark(void)
{
    syscall(SYS_getpgid, 0x7a5a5a);
}

static void crew_ready(struct crew_of_one *crew, const struct method *method)
{
    crew->params.touches = BLOCKS;
    crew->params.working_set_bytes = crew->params.file_bytes = BLOCKS * crew->params.block_bytes;
    crew_begin(crew, method);
    crew_order(crew, WORK_RESET, BLOCKS);
    crew_order(crew, WORK_RUN, BLOCKS); /* first calls are behind us */
    crew_order(crew, WORK_RESET, BLOCKS);
}

/* What is expected of a pass over BLOCKS blocks. */
struct expectation {
    const char *name;
    const struct method *method;
    enum pattern pattern;
    enum descriptor descriptor;
    enum lifetime lifetime;
    enum populate populate;
    enum advice advice;
    enum access access;
    enum sync sync;
    enum locked locked;
    unsigned windows; /* that the working set is cut into; 0: none */
    enum rwf rwf;
    unsigned pieces, queue_depth; /* 0: 1 */
    struct {
        unsigned number, count; /* count 0: the list ends */
    } calls[6];
    unsigned reads; /* of them as /proc counts: read and pread */
};

static const struct expectation expectations[] = {
    {.name = "null: none", .method = &method_null},
    {.name = "syscall_floor: one an operation", .method = &method_syscall_floor, .calls = {{SYS_getppid, BLOCKS}}},
    {.name = "pread_empty: one an operation",
     .method = &method_pread_empty,
     .calls = {{SYS_pread64, BLOCKS}},
     .reads = BLOCKS},
    {.name = "pread: one an operation", .method = &method_pread, .calls = {{SYS_pread64, BLOCKS}}, .reads = BLOCKS},
    {.name = "pread by chain: the same",
     .method = &method_pread,
     .pattern = pattern_chain,
     .calls = {{SYS_pread64, BLOCKS}},
     .reads = BLOCKS},
    {.name = "pread, descriptor per pass: open and close beside",
     .method = &method_pread,
     .descriptor = descriptor_per_pass,
     .calls = {{SYS_openat, 1}, {SYS_pread64, BLOCKS}, {SYS_close, 1}},
     .reads = BLOCKS},
    {.name = "pread, advised, descriptor per pass: the advice too",
     .method = &method_pread,
     .descriptor = descriptor_per_pass,
     .advice = advice_random,
     .calls = {{SYS_openat, 1}, {SYS_fadvise64, 1}, {SYS_pread64, BLOCKS}, {SYS_close, 1}},
     .reads = BLOCKS},
    {.name = "lseek_read: one of each an operation",
     .method = &method_lseek_read,
     .calls = {{LSEEK, BLOCKS}, {SYS_read, BLOCKS}},
     .reads = BLOCKS},
    {.name = "read: one an operation", .method = &method_read, .calls = {{SYS_read, BLOCKS}}, .reads = BLOCKS},
    {.name = "read, descriptor per pass: one more, that finds the end",
     .method = &method_read,
     .descriptor = descriptor_per_pass,
     .calls = {{SYS_openat, 1}, {SYS_read, BLOCKS + 1}, {SYS_close, 1}},
     .reads = BLOCKS + 1},
    {.name = "readv of 16 pieces: one an operation",
     .method = &method_readv,
     .pieces = 16,
     .calls = {{SYS_readv, BLOCKS}},
     .reads = BLOCKS},
    {.name = "preadv2 of 16 pieces: one an operation",
     .method = &method_preadv2,
     .pieces = 16,
     .calls = {{SYS_preadv2, BLOCKS}},
     .reads = BLOCKS},
    {.name = "preadv2 with RWF_NOWAIT, all hits: no pread after it",
     .method = &method_preadv2,
     .rwf = rwf_nowait,
     .calls = {{SYS_preadv2, BLOCKS}},
     .reads = BLOCKS},
    {.name = "io_uring, one under way: one call an operation",
     .method = &method_uring,
     .calls = {{SYS_io_uring_enter, BLOCKS}}},
    {.name = "io_uring, 16 under way, all in memory: one call for 16",
     .method = &method_uring,
     .queue_depth = 16,
     .calls = {{SYS_io_uring_enter, BLOCKS / 16}}},
    {.name = "mmap kept: none", .method = &method_mmap},
    {.name = "mmap per pass: map and unmap",
     .method = &method_mmap,
     .lifetime = lifetime_per_pass,
     .calls = {{SYS_mmap, 1}, {SYS_munmap, 1}}},
    {.name = "mmap per pass, populated by MAP_POPULATE: the same",
     .method = &method_mmap,
     .lifetime = lifetime_per_pass,
     .populate = populate_map_populate,
     .calls = {{SYS_mmap, 1}, {SYS_munmap, 1}}},
    {.name = "mmap per pass, advised and populated: one call for each",
     .method = &method_mmap,
     .lifetime = lifetime_per_pass,
     .populate = populate_populate_read,
     .advice = advice_sequential,
     .calls = {{SYS_mmap, 1}, {SYS_madvise, 2}, {SYS_munmap, 1}}},
    {.name = "mmap and descriptor per pass: from open to close",
     .method = &method_mmap,
     .descriptor = descriptor_per_pass,
     .lifetime = lifetime_per_pass,
     .calls = {{SYS_openat, 1}, {SYS_newfstatat, 1}, {SYS_mmap, 1}, {SYS_munmap, 1}, {SYS_close, 1}}},
    {.name = "first_touch: none", .method = &method_first_touch},
    {.name = "mmap locked, per pass: map and unmap",
     .method = &method_mmap,
     .lifetime = lifetime_per_pass,
     .locked = locked_map_locked,
     .calls = {{SYS_mmap, 1}, {SYS_munmap, 1}}},
    {.name = "mmap in 8 windows: as many maps and unmaps",
     .method = &method_mmap,
     .lifetime = lifetime_per_pass,
     .windows = 8,
     .calls = {{SYS_mmap, 8}, {SYS_munmap, 8}}},
    {.name = "mmap in windows, by stride: as many for each round of it",
     .method = &method_mmap,
     .pattern = pattern_stride,
     .lifetime = lifetime_per_pass,
     .windows = 4,
     .calls = {{SYS_mmap, 4 * STRIDE_BLOCKS}, {SYS_munmap, 4 * STRIDE_BLOCKS}}},
    {.name = "mmap in windows, advised and populated: each of them",
     .method = &method_mmap,
     .lifetime = lifetime_per_pass,
     .populate = populate_populate_read,
     .advice = advice_random,
     .windows = 2,
     .calls = {{SYS_mmap, 2}, {SYS_madvise, 4}, {SYS_munmap, 2}}},
    {.name = "mmap in windows, stores, synced: one sync at the end",
     .method = &method_mmap,
     .lifetime = lifetime_per_pass,
     .access = access_store,
     .sync = sync_fdatasync,
     .windows = 4,
     .calls = {{SYS_mmap, 4}, {SYS_fdatasync, 1}, {SYS_munmap, 4}}},
    {.name = "stores to a kept mapping: none", .method = &method_mmap, .access = access_store},
    {.name = "stores to a kept mapping, synced: one call a pass",
     .method = &method_mmap,
     .access = access_store,
     .sync = sync_msync,
     .calls = {{SYS_msync, 1}}},
    {.name = "the same with MS_ASYNC",
     .method = &method_mmap,
     .access = access_store,
     .sync = sync_msync_async,
     .calls = {{SYS_msync, 1}}},
    {.name = "the same with fsync",
     .method = &method_mmap,
     .access = access_store,
     .sync = sync_fsync,
     .calls = {{SYS_fsync, 1}}},
    {.name = "stores, mapped per pass and synced: between map and unmap",
     .method = &method_mmap,
     .lifetime = lifetime_per_pass,
     .access = access_store,
     .sync = sync_msync_invalidate,
     .calls = {{SYS_mmap, 1}, {SYS_msync, 1}, {SYS_munmap, 1}}},
    {.name = "pwrite: one an operation", .method = &method_pwrite, .calls = {{SYS_pwrite64, BLOCKS}}},
    {.name = "pwrite, synced: one more a pass",
     .method = &method_pwrite,
     .sync = sync_fdatasync,
     .calls = {{SYS_pwrite64, BLOCKS}, {SYS_fdatasync, 1}}},
    {.name = "pwrite, synced by range, descriptor per pass: open and close beside",
     .method = &method_pwrite,
     .descriptor = descriptor_per_pass,
     .sync = sync_sync_file_range,
     .calls = {{SYS_openat, 1}, {SYS_pwrite64, BLOCKS}, {SYNC_FILE_RANGE, 1}, {SYS_close, 1}}},
};

static void crew_expected(struct crew_of_one *crew, const struct expectation *expectation)
{
    memset(crew, 0, sizeof *crew);
    crew->params = physics_params(FILE_BYTES, recipe_write_1MiB, cache_warm);
    crew->params.pattern = expectation->pattern ? expectation->pattern : pattern_sequential;
    crew->params.descriptor = expectation->descriptor;
    crew->params.lifetime = expectation->lifetime;
    crew->params.populate = expectation->populate;
    crew->params.advice = expectation->advice;
    crew->params.access = expectation->access;
    crew->params.sync = expectation->sync;
    crew->params.locked = expectation->locked;
    crew->params.rwf = expectation->rwf;
    crew->params.pieces = expectation->pieces ? expectation->pieces : 1;
    crew->params.queue_depth = expectation->queue_depth ? expectation->queue_depth : 1;
    crew->params.stride_bytes = STRIDE_BLOCKS * crew->params.block_bytes;
    crew->params.window_bytes = BLOCKS * crew->params.block_bytes / (expectation->windows ? expectation->windows : 1);
    crew_ready(crew, expectation->method);
}

/* The traced process: one timed batch between two marks. */
static void run_marked(struct crew_of_one *crew)
{
    struct work_order one = {.verb = WORK_RUN, .blocks = BLOCKS};
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
        _exit(77);
    kill(getpid(), SIGSTOP);
    mark();
    work_do(crew->work, &one, &crew_answer_of_one);
    mark();
    _exit(crew_answer_of_one.rc ? 1 : 0);
}

/* Follows the child to its end; counts[number] are the calls between the marks. -1 when tracing is not to be had. */
static int follow(pid_t pid, unsigned *counts)
{
    int status, marks = 0;
    if (waitpid(pid, &status, 0) != pid || WIFEXITED(status))
        return -1;
    ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(uintptr_t)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
    while (!ptrace(PTRACE_SYSCALL, pid, NULL, NULL) && waitpid(pid, &status, 0) == pid && !WIFEXITED(status)) {
        struct __ptrace_syscall_info info = {0};
        if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80))
            continue;
        if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info) <= 0) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            return -1;
        }
        if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
            continue;
        if (info.entry.nr == SYS_getpgid)
            marks++;
        else if (marks == 1 && info.entry.nr < NUMBERS)
            counts[info.entry.nr == SYS_fstat ? SYS_newfstatat : info.entry.nr]++; /* C libraries differ in it */
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(marks, 2);
    return 0;
}

static unsigned expected_count(const struct expectation *expectation, unsigned number)
{
    for (unsigned i = 0; expectation->calls[i].count; i++)
        if (expectation->calls[i].number == number)
            return expectation->calls[i].count;
    return 0;
}

/* Where the clock is no vDSO call, its two readings and the question for the CPU are system calls outside the batch. */
static bool is_the_harness(unsigned number)
{
    return number == SYS_clock_gettime || number == SYS_getcpu;
}

static void tracer_sees_these_calls_alone(void **state)
{
    const struct expectation *expectation = *state;
    struct crew_of_one crew;
    unsigned counts[NUMBERS] = {0};
    physics_need_exact_counts();
    crew_expected(&crew, expectation);
    pid_t pid = fork();
    assert_int_not_equal(pid, -1);
    if (pid == 0)
        run_marked(&crew);
    int rc = follow(pid, counts);
    crew_end(&crew);
    if (rc)
        physics_skip("ptrace: not permitted, or without PTRACE_GET_SYSCALL_INFO (Linux 5.3)");
    for (unsigned number = 0; number < NUMBERS; number++)
        if (counts[number] != expected_count(expectation, number) && !(is_the_harness(number) && counts[number] <= 2))
            fail_msg("system call %u: %u times, not %u", number, counts[number], expected_count(expectation, number));
}

/* Read calls of this thread so far; UINT64_MAX where the kernel keeps no account. */
static uint64_t read_calls(int io)
{
    static char text[512];
    ssize_t done = pread(io, text, sizeof text - 1, 0);
    text[done > 0 ? done : 0] = '\0';
    const char *line = strstr(text, "syscr:");
    return line ? strtoull(line + strlen("syscr:"), NULL, 10) : UINT64_MAX;
}

static void account_shows_the_reads(void **state)
{
    struct crew_of_one crew;
    (void)state;
    int io = open("/proc/thread-self/io", O_RDONLY | O_CLOEXEC);
    if (io < 0 || read_calls(io) == UINT64_MAX)
        physics_skip("/proc/thread-self/io: the kernel keeps no account of I/O");
    for (unsigned i = 0; i < sizeof expectations / sizeof *expectations; i++) {
        crew_expected(&crew, &expectations[i]);
        uint64_t own = read_calls(io);
        own = read_calls(io) - own; /* looking is a read itself */
        uint64_t before = read_calls(io);
        crew_order(&crew, WORK_RUN, BLOCKS);
        assert_int_equal(read_calls(io) - before, expectations[i].reads + own);
        crew_end(&crew);
    }
    close(io);
}

int main(void)
{
    enum { COUNT = sizeof expectations / sizeof *expectations };
    struct CMUnitTest tests[1 + COUNT] = {cmocka_unit_test(account_shows_the_reads)};
    for (unsigned i = 0; i < COUNT; i++)
        tests[1 + i] = (struct CMUnitTest){.name = expectations[i].name,
                                           .test_func = tracer_sees_these_calls_alone,
                                           .initial_state = (void *)(uintptr_t)&expectations[i]};
    return physics_run(tests);
}
