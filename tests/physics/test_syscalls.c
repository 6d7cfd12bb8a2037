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

#include "work.h"

enum { FILE_BYTES = 1024 * 1024, BLOCKS = 64, NUMBERS = 1024 };

extern const struct method method_null, method_syscall_floor, method_read, method_lseek_read, method_pread, method_mmap,
    method_first_touch;

/* Asked for with an argument that nobody else would use: marks where the tracer is to begin and to end. */
static void mark(void)
{
    syscall(SYS_getpgid, 0x7a5a5a);
}

struct crew_of_one {
    struct params params;
    struct target target;
    struct physics_cell cell;
    struct offsets offsets;
    struct work_cell work_cell;
    struct work *work;
};

static struct work_answer answer;

static void order(struct crew_of_one *crew, enum work_verb verb, uint64_t blocks)
{
    struct work_order one = {.verb = verb, .blocks = blocks};
    work_do(crew->work, &one, &answer);
    if (answer.rc == -EOPNOTSUPP)
        physics_skip("%s", answer.err.text);
    if (answer.rc)
        fail_msg("%s", answer.err.text);
}

static void crew_begin(struct crew_of_one *crew, const struct method *method)
{
    struct err err = {0};
    crew->params.touches = BLOCKS;
    crew->params.working_set_bytes = BLOCKS * crew->params.block_bytes;
    crew->params.file_bytes = crew->params.working_set_bytes;
    physics_open(&crew->target, &crew->params);
    physics_begin(&crew->cell, &crew->params);
    physics_arm(&crew->cell, method, BLOCKS);
    assert_int_equal(offsets_make(&crew->offsets, &crew->params, 42, &err), 0);
    crew->work_cell = (struct work_cell){
        .cell = &crew->cell.cell, .target = &crew->target, .offsets = {&crew->offsets}, .worker_count = 1};
    assert_int_equal(work_begin(&crew->work, &crew->work_cell, 0, &err), 0);
    order(crew, WORK_SETUP, 0);
    order(crew, WORK_RESET, BLOCKS);
    order(crew, WORK_RUN, BLOCKS); /* first calls are behind us */
    order(crew, WORK_RESET, BLOCKS);
}

static void crew_end(struct crew_of_one *crew)
{
    work_end(crew->work);
    offsets_free(&crew->offsets);
    target_close(&crew->target);
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
    struct {
        unsigned number, count; /* count 0: the list ends */
    } calls[6];
    unsigned reads; /* of them as /proc counts: read and pread */
};

static const struct expectation expectations[] = {
    {.name = "null: none", .method = &method_null},
    {.name = "syscall_floor: one an operation", .method = &method_syscall_floor, .calls = {{SYS_getppid, BLOCKS}}},
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
     .calls = {{SYS_lseek, BLOCKS}, {SYS_read, BLOCKS}},
     .reads = BLOCKS},
    {.name = "read: one an operation", .method = &method_read, .calls = {{SYS_read, BLOCKS}}, .reads = BLOCKS},
    {.name = "read, descriptor per pass: one more, that finds the end",
     .method = &method_read,
     .descriptor = descriptor_per_pass,
     .calls = {{SYS_openat, 1}, {SYS_read, BLOCKS + 1}, {SYS_close, 1}},
     .reads = BLOCKS + 1},
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
    crew_begin(crew, expectation->method);
}

/* The traced process: one timed batch between two marks. */
static void run_marked(struct crew_of_one *crew)
{
    struct work_order one = {.verb = WORK_RUN, .blocks = BLOCKS};
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
        _exit(77);
    kill(getpid(), SIGSTOP);
    mark();
    work_do(crew->work, &one, &answer);
    mark();
    _exit(answer.rc ? 1 : 0);
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
        order(&crew, WORK_RUN, BLOCKS);
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
