/* SPDX-License-Identifier: MIT */
/*
 * A file that does not fit into the memory limit of its control group: the limit holds, pages come back as refaults
 * exactly where the working set is larger, and no group outlives the run that made it. Whoever enters a group cannot
 * leave it here, so each measurement is a child process that answers in shared memory.
 */
#define _GNU_SOURCE
#include "physics.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cgroup.h"
#include "memory_group.h"
#include "sysfile.h"

#define LIMIT_BYTES (32 * MIB)

extern const struct method method_pread, method_mmap;

enum { PREAD, MAPPED, MAPPED_RANDOM, DIRECT, ARMS, ROUNDS = 6, OPS_READING_AROUND = 16 };

/*
 * Operations of a batch. The kernel adds up a group's statistics only once there are 64 changes of them a CPU
 * (mm/memcontrol.c memcg_vmstats_needs_flush); a page that comes back makes several, and two thirds of the pages do.
 */
static uint64_t enough_ops(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return 48 * ((uint64_t)(cpus > 0 ? cpus : 1) + 1);
}

struct answer_of_arm {
    bool ok;
    char reason[256];
    uint64_t sum, ops, read_bytes, major_faults, refaults;
};

struct answer {
    bool done;
    char reason[512]; /* why nothing was measured */
    uint64_t memory_limit, most_bytes;
    struct answer_of_arm arms[ARMS];
};

static struct answer *answer_make(void)
{
    struct answer *answer = mmap(NULL, sizeof *answer, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(answer, MAP_FAILED);
    return answer;
}

/* A group with that limit; the test is skipped where none may be made. */
static void group_make(struct memory_group *group, uint64_t limit_bytes)
{
    struct err err = {0};
    int rc = memory_group_make(group, limit_bytes, &err);
    if (rc) {
        memory_group_remove(group);
        physics_skip("%s", err.text);
    }
}

static bool exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

/* The most that was ever charged to the group. */
static uint64_t group_most(const struct memory_group *group)
{
    struct err ignored;
    int64_t bytes = 0;
    const char *file = group->old ? "memory.max_usage_in_bytes" : "memory.peak";
    return sysfile_number(&bytes, &ignored, "%s/%s", group->path, file) ? 0 : (uint64_t)bytes;
}

static void answer_arm(struct answer_of_arm *to, const struct cell_result *result, unsigned a)
{
    const struct arm_result *arm = &result->arms[a];
    to->ok = arm->status == ARM_OK;
    snprintf(to->reason, sizeof to->reason, "%.255s", arm->reason);
    to->sum = arm->sum;
    for (unsigned r = 0; to->ok && r < result->rounds; r++) {
        to->ops += arm->samples[r].ops;
        to->read_bytes += arm->samples[r].read_bytes;
        to->major_faults += arm->samples[r].major_faults;
        to->refaults += arm->samples[r].refaults;
    }
}

/* In the group: measures random pages of a working set by four arms. */
static void measure_in_group(struct answer *answer, uint64_t working_set_bytes)
{
    struct params params = physics_params(working_set_bytes, recipe_write_1MiB, cache_as_found);
    struct target target;
    struct physics_cell cell;
    struct err err = {0};
    params.pattern = pattern_random;
    params.memory_limit = LIMIT_BYTES;
    params.timeline = timeline_yes;
    params.count_ops = 1;
    params.touches = 1;
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_pread, enough_ops())->params.consume = consume_copy;
    physics_arm(&cell, &method_mmap, OPS_READING_AROUND)->params.consume = consume_copy;
    physics_arm(&cell, &method_mmap, enough_ops())->params.advice = advice_random;
    physics_arm(&cell, &method_pread, enough_ops())->params.open_as = open_as_direct;
    struct measure_request request = {
        .plan = &cell.plan,
        .cell = &cell.cell,
        .target = &target,
        .seed = 42,
        .ops = cell.ops,
        .rounds = ROUNDS,
        .turn = {.read_fd = -1, .write_fd = -1},
        .clock = {.cost_ns = 20, .grid_ns = 1},
    };
    int rc = measure_cell(&request, &cell.result, &err);
    if (rc)
        snprintf(answer->reason, sizeof answer->reason, "%s", err.text);
    answer->memory_limit = cell.result.memory_limit;
    for (unsigned a = 0; rc == 0 && a < ARMS; a++)
        answer_arm(&answer->arms[a], &cell.result, a);
    measure_free(&cell.result);
    target_close(&target);
    answer->done = rc == 0;
}

/* Measures in a child that enters the group, which is removed again. */
static struct answer *measure(uint64_t working_set_bytes)
{
    struct memory_group group = MEMORY_GROUP_NONE;
    group_make(&group, LIMIT_BYTES);
    struct answer *answer = answer_make();
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (memory_group_enter(group.entry_fd) == 0)
            measure_in_group(answer, working_set_bytes);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    answer->most_bytes = group_most(&group);
    char path[sizeof group.path];
    memcpy(path, group.path, sizeof path);
    memory_group_remove(&group);
    assert_false(exists(path));
    assert_int_equal(status, 0);
    if (!answer->done)
        fail_msg("%s", answer->reason[0] ? answer->reason : "the child has not measured");
    return answer;
}

static void expect_all_ok(const struct answer *answer)
{
    for (unsigned a = 0; a < ARMS; a++)
        if (!answer->arms[a].ok)
            fail_msg("arm %u: %s", a, answer->arms[a].reason);
    /* What the limit says, what the kernel ever charged, and what lies on the disk (read past the cache). */
    assert_int_equal(answer->memory_limit, LIMIT_BYTES);
    assert_true(answer->most_bytes <= LIMIT_BYTES);
    for (unsigned a = 0; a < ARMS; a++)
        assert_int_equal(answer->arms[a].sum, answer->arms[DIRECT].sum);
}

/* Nothing had to be read again through the arm. */
static bool stayed(const struct answer_of_arm *arm)
{
    return arm->refaults == 0 && arm->read_bytes == 0 && arm->major_faults == 0;
}

/* A daemon of the machine's may reclaim pages that nobody used for a moment, limit or not: not in every try. */
static void test_fits(void **state)
{
    enum { TRIES = 5 };
    bool all = false;
    (void)state;
    for (unsigned i = 0; i < TRIES && !all; i++) {
        struct answer *answer = measure(8 * MIB);
        expect_all_ok(answer);
        all = stayed(&answer->arms[PREAD]) && stayed(&answer->arms[MAPPED]) && stayed(&answer->arms[MAPPED_RANDOM]);
        for (unsigned a = 0; a < DIRECT && i + 1 == TRIES && !all; a++)
            print_message("arm %u: %llu refaults, %llu bytes read\n", a, (unsigned long long)answer->arms[a].refaults,
                          (unsigned long long)answer->arms[a].read_bytes);
        munmap(answer, sizeof *answer);
    }
    assert_true(all);
}

/* With advice a fault reads its page and nothing else, and that page has been reclaimed before; past the cache, what is
 * asked for is read. */
static bool reads_are_exact(const struct answer_of_arm *arms)
{
    uint64_t page_bytes = physics_page_bytes();
    return arms[MAPPED_RANDOM].read_bytes == arms[MAPPED_RANDOM].major_faults * page_bytes &&
           arms[MAPPED_RANDOM].refaults == arms[MAPPED_RANDOM].major_faults &&
           arms[DIRECT].read_bytes == arms[DIRECT].ops * page_bytes && arms[DIRECT].refaults == 0;
}

/* A page of the program's own that was reclaimed, or a block of metadata, is fetched for an arm too: not every time. */
static struct answer *measure_exact(uint64_t working_set_bytes)
{
    enum { TRIES = 5 };
    struct answer *answer = measure(working_set_bytes);
    for (unsigned i = 1; i < TRIES && answer->done && !reads_are_exact(answer->arms); i++) {
        munmap(answer, sizeof *answer);
        answer = measure(working_set_bytes);
    }
    return answer;
}

static void test_does_not_fit(void **state)
{
    (void)state;
    uint64_t page_bytes = physics_page_bytes();
    struct answer *answer = measure_exact(96 * MIB);
    const struct answer_of_arm *arms = answer->arms;
    expect_all_ok(answer);
    assert_true(answer->most_bytes > LIMIT_BYTES / 2); /* it was really used */
    /* Two thirds of the pages are not there, and of hundreds of random ones not all can be. All were there before. */
    for (unsigned a = 0; a < DIRECT; a++) {
        assert_true(arms[a].read_bytes > 0);
        assert_true(arms[a].refaults > 0);
        assert_true(arms[a].refaults <= arms[a].read_bytes / page_bytes);
    }
    assert_int_equal(arms[PREAD].major_faults, 0);
    assert_true(arms[MAPPED].major_faults > 0);
    assert_int_equal(arms[MAPPED_RANDOM].read_bytes, arms[MAPPED_RANDOM].major_faults * page_bytes);
    assert_int_equal(arms[MAPPED_RANDOM].refaults, arms[MAPPED_RANDOM].major_faults);
    assert_true(arms[MAPPED_RANDOM].read_bytes <= arms[MAPPED_RANDOM].ops * page_bytes);
    assert_int_equal(arms[DIRECT].read_bytes, arms[DIRECT].ops * page_bytes);
    assert_int_equal(arms[DIRECT].refaults, 0);
    munmap(answer, sizeof *answer);
}

/* Outside of a group with the limit nothing is measured as if there were one. */
static void test_limit_is_proven(void **state)
{
    (void)state;
    struct answer *answer = answer_make();
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        measure_in_group(answer, MIB);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_false(answer->done);
    assert_non_null(strstr(answer->reason, "the memory limit did not take"));
    munmap(answer, sizeof *answer);
}

/* A process in it that was killed leaves its group a little later. */
static void test_removed_with_a_process_in_it(void **state)
{
    (void)state;
    struct memory_group group = MEMORY_GROUP_NONE;
    group_make(&group, LIMIT_BYTES);
    char path[sizeof group.path];
    memcpy(path, group.path, sizeof path);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (memory_group_enter(group.entry_fd))
            _exit(1);
        for (;;)
            pause();
    }
    usleep(20000);
    kill(child, SIGKILL);
    memory_group_remove(&group);
    assert_false(exists(path));
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* Starts a process that makes a group and waits; its path is in `path`. */
static pid_t start_owner(char *path, size_t size)
{
    char *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ready[2];
    char byte;
    assert_ptr_not_equal(shared, MAP_FAILED);
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct memory_group group = MEMORY_GROUP_NONE;
        struct err err = {0};
        if (memory_group_make(&group, LIMIT_BYTES, &err) == 0)
            snprintf(shared, size, "%s", group.path);
        if (write(ready[1], "x", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    memcpy(path, shared, size);
    munmap(shared, size);
    return child;
}

static void test_sweep(void **state)
{
    (void)state;
    struct memory_group group = MEMORY_GROUP_NONE;
    char path[4096];
    group_make(&group, LIMIT_BYTES); /* skips where there is no right to */
    memory_group_remove(&group);
    pid_t child = start_owner(path, sizeof path);
    assert_true(path[0] && exists(path));
    memory_group_sweep(); /* its owner lives */
    bool spared = exists(path);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    bool left = exists(path);
    memory_group_sweep();
    assert_true(spared);
    assert_true(left);
    assert_false(exists(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fits),
        cmocka_unit_test(test_does_not_fit),
        cmocka_unit_test(test_limit_is_proven),
        cmocka_unit_test(test_removed_with_a_process_in_it),
        cmocka_unit_test(test_sweep),
    };
    return physics_run(tests);
}
