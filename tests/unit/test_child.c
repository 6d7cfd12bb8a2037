/* SPDX-License-Identifier: MIT */
/*
 * Starting, watching and ending a trial process. The program that is started is always /proc/self/exe, so this test is
 * its own trial: as `test_child trial` it does what the job on its standard input names.
 */
#include "unit.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>

#include "child.h"
#include "clock.h"
#include "mirror.h"
#include "params.h"

enum { LONG_LINE = 300000, STATUS_FD = 3 };

#define LIMIT_NS (20000 * MS) /* nothing here takes as long unless it hangs */

/* ---- the trial's side ---- */

static void wait_for_ever(void)
{
    for (;;)
        pause();
}

static void print_long_lines(void)
{
    for (int i = 0; i < 3; i++) {
        for (int n = 0; n < LONG_LINE + i; n++)
            putchar('a' + i);
        putchar('\n');
    }
}

/* A worker process as a crew has them: it holds standard output open and outlives its parent unless somebody ends it.
 */
static void print_grandchild(void)
{
    pid_t grandchild = fork();
    if (grandchild == 0)
        wait_for_ever();
    printf("%d\n", (int)grandchild);
    fflush(stdout);
    wait_for_ever();
}

/* Segments as a trial makes them, which is then killed before it has removed one. */
enum { NOBODYS, ATTACHED, KEYED, WORKERS, SEGMENTS };

static int print_segment(key_t key)
{
    int id = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600);
    printf("%d\n", id);
    fflush(stdout);
    return id;
}

static void print_segments(void)
{
    print_segment(IPC_PRIVATE);
    print_segment(IPC_PRIVATE);
    print_segment((key_t)getpid());
    if (fork() == 0 && shmat(print_segment(IPC_PRIVATE), NULL, 0) == (void *)-1) /* mapped still when it is killed */
        _exit(1);
    wait_for_ever();
}

static void make_mirrors(void)
{
    struct mirror mirror;
    struct mirror_wish wish = {.of = MIRROR_SYSV, .bytes = (size_t)SHMLBA};
    for (bool begun = false; mirror_make(&mirror, &wish) == 0; begun = true) {
        mirror_free(&mirror);
        if (!begun)
            printf("begun\n");
        fflush(stdout);
    }
}

static void print_surroundings(void)
{
    const char *padding = getenv("FAULTLINE_PADDING"), *home = getenv("FAULTLINE_TEST_HOME");
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    printf("{\"padding\":%zu,\"home\":\"%s\",\"group_is_own\":%s,\"descriptors\":%u,\"blocked\":%d}\n",
           padding ? strlen(padding) : 0, home ? home : "", getpgrp() == getpid() ? "true" : "false",
           unit_count_descriptors() - 1, sigismember(&blocked, SIGTERM));
}

static void write_status(void)
{
    struct trial_status *status = mmap(NULL, sizeof *status, PROT_READ | PROT_WRITE, MAP_SHARED, STATUS_FD, 0);
    if (status != MAP_FAILED) {
        status->cell = 7;
        status->arm = 3;
    }
    printf("written\n");
}

static int be_a_trial(void)
{
    struct err err = {0};
    json_t *job = json_loadf(stdin, 0, NULL);
    const char *what = json_string_value(json_object_get(job, "what"));
    int rc = 0;
    if (!what)
        rc = trial_run(job, STDOUT_FILENO, &err); /* the real one */
    else if (strcmp(what, "lines") == 0)
        printf("one\n\ntwo\n");
    else if (strcmp(what, "long lines") == 0)
        print_long_lines();
    else if (strcmp(what, "torn") == 0)
        printf("whole\nhalf");
    else if (strcmp(what, "hang") == 0)
        wait_for_ever();
    else if (strcmp(what, "crash") == 0)
        raise(SIGKILL);
    else if (strcmp(what, "grandchild") == 0)
        print_grandchild();
    else if (strcmp(what, "segments") == 0)
        print_segments();
    else if (strcmp(what, "mirrors") == 0)
        make_mirrors();
    else if (strcmp(what, "surroundings") == 0)
        print_surroundings();
    else if (strcmp(what, "status") == 0)
        write_status();
    fflush(stdout);
    json_decref(job);
    return rc ? 5 : 0;
}

/* ---- the runner's side ---- */

static const volatile int not_interrupted;
static unsigned descriptors;

static int begin(void **state)
{
    (void)state;
    descriptors = unit_count_descriptors();
    return 0;
}

/* After every test: no zombie, no descriptor left. */
static int end(void **state)
{
    (void)state;
    bool childless = waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD;
    unsigned now = unit_count_descriptors();
    if (!childless || now != descriptors)
        print_message("left behind: %s, %d descriptors\n", childless ? "no process" : "a process",
                      (int)(now - descriptors));
    return childless && now == descriptors ? 0 : -1;
}

static struct child start(json_t *job, uint64_t padding)
{
    struct child child;
    struct err err = {0};
    assert_non_null(job);
    if (child_start(&child, job, padding, -1, &err))
        fail_msg("%s", err.text);
    json_decref(job);
    return child;
}

static struct child start_what(const char *what)
{
    return start(json_pack("{s:s}", "what", what), 0);
}

/* The next event that is not silence. */
static enum child_event next(struct child *child, const char **line, size_t *length)
{
    enum child_event event;
    uint64_t limit = clock_now_ns() + LIMIT_NS;
    do
        event = child_next(child, limit, &not_interrupted, line, length);
    while (event == CHILD_QUIET);
    return event;
}

static void check_line(struct child *child, const char **line, const char *expected)
{
    size_t length;
    assert_int_equal(next(child, line, &length), CHILD_LINE);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(*line, expected, length);
}

static void check_exit(struct child *child, const char **line, int expected)
{
    size_t length;
    assert_int_equal(next(child, line, &length), CHILD_ENDED);
    int status = child_end(child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), expected);
}

static void hands_out_line_by_line(void **state)
{
    (void)state;
    struct child child = start_what("lines");
    const char *line = NULL;
    check_line(&child, &line, "one");
    check_line(&child, &line, "");
    check_line(&child, &line, "two");
    check_exit(&child, &line, 0);
}

static void hands_out_lines_longer_than_any_buffer(void **state)
{
    (void)state;
    struct child child = start_what("long lines");
    const char *line = NULL;
    size_t length;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(next(&child, &line, &length), CHILD_LINE);
        assert_int_equal(length, LONG_LINE + i);
        for (size_t n = 0; n < length; n++)
            if (line[n] != 'a' + i)
                fail_msg("byte %zu of line %d is wrong", n, i);
    }
    check_exit(&child, &line, 0);
}

static void drops_half_a_line(void **state)
{
    (void)state;
    struct child child = start_what("torn");
    const char *line = NULL;
    check_line(&child, &line, "whole");
    check_exit(&child, &line, 0);
}

static void rubbish_ends_with_an_event(void **state)
{
    (void)state;
    static const char *const jobs[] = {
        "{}",
        "{\"plan\":7}",
        "{\"plan\":{\"schema\":\"faultline.plan/1\"}}",
        "{\"plan\":{\"schema\":\"faultline.plan/1\",\"scenarios\":[],\"cells\":[]},\"cells\":[]}",
        "{\"plan\":{\"schema\":\"faultline.plan/1\",\"scenarios\":[{}],\"cells\":[{}]},\"cells\":[{}],\"turn\":[]}",
        "{\"cells\":{},\"cpus\":\"x\",\"turn\":{\"read_fd\":-5}}",
    };
    for (size_t i = 0; i < LENGTH_OF(jobs); i++) {
        struct child child = start(json_loads(jobs[i], 0, NULL), 100);
        const char *line = NULL;
        check_exit(&child, &line, 5);
    }
}

static void a_crash_is_told_by_the_status(void **state)
{
    (void)state;
    struct child child = start_what("crash");
    const char *line = NULL;
    size_t length;
    assert_int_equal(next(&child, &line, &length), CHILD_ENDED);
    int status = child_end(&child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void the_deadline_ends_it(void **state)
{
    (void)state;
    struct child child = start_what("hang");
    const char *line = NULL;
    size_t length;
    enum child_event event;
    uint64_t limit = clock_now_ns() + 150 * MS;
    while ((event = child_next(&child, limit, &not_interrupted, &line, &length)) == CHILD_QUIET)
        ;
    assert_int_equal(event, CHILD_TIMEOUT);
    assert_true(clock_now_ns() > limit);
    assert_int_equal(WTERMSIG(child_end(&child)), SIGKILL);
}

static void an_interruption_ends_the_waiting(void **state)
{
    (void)state;
    struct child child = start_what("hang");
    const volatile int interrupted = 1;
    const char *line = NULL;
    size_t length;
    assert_int_equal(child_next(&child, clock_now_ns() + LIMIT_NS, &interrupted, &line, &length), CHILD_INTERRUPTED);
    assert_int_equal(WTERMSIG(child_end(&child)), SIGKILL);
}

static int next_number(struct child *child, const char **line)
{
    char digits[32];
    size_t length;
    assert_int_equal(next(child, line, &length), CHILD_LINE);
    snprintf(digits, sizeof digits, "%.*s", (int)length, *line);
    return atoi(digits);
}

/* Ended with its whole group, all of which has gone when it has ended; whether this process inherits is as before. */
static void its_workers_end_with_it(void **state)
{
    (void)state;
    for (int inherits = 0; inherits < 2; inherits++) {
        int found = -1;
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, inherits), 0);
        struct child child = start_what("grandchild");
        const char *line = NULL;
        pid_t grandchild = next_number(&child, &line);
        assert_int_equal(kill(grandchild, 0), 0);
        child_end(&child);
        assert_int_equal(kill(grandchild, 0), -1);
        assert_int_equal(errno, ESRCH);
        assert_int_equal(prctl(PR_GET_CHILD_SUBREAPER, &found), 0);
        assert_int_equal(found, inherits);
    }
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

static bool is_there(int segment)
{
    struct shmid_ds found;
    return shmctl(segment, IPC_STAT, &found) == 0;
}

/* What it and its worker have left between making a segment and removing it goes with them, or when the last one
 * detaches who still holds it. What has a key stays, and what another process has made, though nobody is attached. */
static void its_segments_go_with_it(void **state)
{
    (void)state;
    int others = shmget(IPC_PRIVATE, 4096, 0600), left[SEGMENTS];
    if (others < 0)
        skip(); /* no System V segments here */
    struct child child = start_what("segments");
    const char *line = NULL;
    for (unsigned i = 0; i < SEGMENTS; i++)
        left[i] = next_number(&child, &line);
    void *attached = shmat(left[ATTACHED], NULL, 0);
    assert_ptr_not_equal(attached, (void *)-1);
    for (unsigned i = 0; i < SEGMENTS; i++)
        assert_true(is_there(left[i]));
    child_end(&child);
    assert_true(is_there(left[ATTACHED]));
    *(volatile char *)attached = 1;
    assert_int_equal(shmdt(attached), 0);
    bool stays[SEGMENTS] = {[KEYED] = true}, found[SEGMENTS];
    for (unsigned i = 0; i < SEGMENTS; i++) {
        found[i] = is_there(left[i]);
        shmctl(left[i], IPC_RMID, NULL);
    }
    bool others_are_there = is_there(others);
    shmctl(others, IPC_RMID, NULL);
    assert_true(others_are_there);
    for (unsigned i = 0; i < SEGMENTS; i++)
        if (found[i] != stays[i])
            fail_msg("segment %u is %s", i, found[i] ? "there" : "gone");
}

/* As a ring of that kind is made, over and over: wherever the signal meets it. */
static void mirrors_leave_nothing_wherever_they_are_killed(void **state)
{
    (void)state;
    struct shm_info all;
    if (shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&all) < 0)
        skip();
    for (unsigned i = 0; i < 100; i++) {
        struct child child = start_what("mirrors");
        const char *line = NULL;
        check_line(&child, &line, "begun");
        usleep(i * 7);
        pid_t maker = child.process;
        time_t since = child.since;
        child_end(&child);
        assert_int_equal(mirror_sweep(maker, since), 0); /* nothing is left to be removed */
    }
}

/* The runner itself is killed: the trial dies with it. */
static void it_ends_with_its_runner(void **state)
{
    (void)state;
    int ends[2], status;
    pid_t trial;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t runner = fork();
    if (runner == 0) {
        struct child child = start_what("hang");
        usleep(20000); /* let it reach its own program */
        if (write(ends[1], &child.process, sizeof child.process) < 0)
            _exit(1);
        wait_for_ever();
    }
    assert_int_equal(read(ends[0], &trial, sizeof trial), sizeof trial);
    kill(runner, SIGKILL);
    assert_int_equal(waitpid(runner, &status, 0), runner);
    assert_int_equal(waitpid(trial, &status, 0), trial);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

static json_t *surroundings(uint64_t padding)
{
    struct child child = start(json_pack("{s:s}", "what", "surroundings"), padding);
    const char *line = NULL;
    size_t length;
    assert_int_equal(next(&child, &line, &length), CHILD_LINE);
    json_t *found = json_loadb(line, length, 0, NULL);
    assert_non_null(found);
    check_exit(&child, &line, 0);
    return found;
}

static json_int_t number(const json_t *object, const char *key)
{
    assert_true(json_is_integer(json_object_get(object, key)));
    return json_integer_value(json_object_get(object, key));
}

/* What it must have: the standard descriptors, the status, and what this process itself was given to pass on. */
static unsigned expected_descriptors(void)
{
    unsigned count = STATUS_FD + 1;
    for (int fd = STATUS_FD + 1; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        count += flags >= 0 && !(flags & FD_CLOEXEC);
    }
    return count;
}

static void it_has_surroundings_of_its_own(void **state)
{
    (void)state;
    static const uint64_t paddings[] = {0, 1, 4095, 60000};
    sigset_t block, before;
    sigemptyset(&block);
    sigaddset(&block, SIGTERM);
    sigprocmask(SIG_BLOCK, &block, &before);
    setenv("FAULTLINE_TEST_HOME", "kept", 1);
    for (size_t i = 0; i < LENGTH_OF(paddings); i++) {
        json_t *found = surroundings(paddings[i]);
        assert_int_equal(number(found, "padding"), paddings[i]);
        assert_string_equal(json_string_value(json_object_get(found, "home")), "kept");
        assert_true(json_is_true(json_object_get(found, "group_is_own")));
        assert_int_equal(number(found, "blocked"), 0);
        assert_int_equal(number(found, "descriptors"), expected_descriptors());
        json_decref(found);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void its_status_is_shared(void **state)
{
    (void)state;
    struct child child = start_what("status");
    const char *line = NULL;
    check_line(&child, &line, "written");
    assert_int_equal(child.status->cell, 7);
    assert_int_equal(child.status->arm, 3);
    check_exit(&child, &line, 0);
}

static void ending_twice_does_nothing(void **state)
{
    (void)state;
    struct child child = start_what("lines");
    child_end(&child);
    assert_int_equal(child.process, 0);
    assert_int_equal(child_end(&child), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hands_out_line_by_line, begin, end),
        cmocka_unit_test_setup_teardown(hands_out_lines_longer_than_any_buffer, begin, end),
        cmocka_unit_test_setup_teardown(drops_half_a_line, begin, end),
        cmocka_unit_test_setup_teardown(rubbish_ends_with_an_event, begin, end),
        cmocka_unit_test_setup_teardown(a_crash_is_told_by_the_status, begin, end),
        cmocka_unit_test_setup_teardown(the_deadline_ends_it, begin, end),
        cmocka_unit_test_setup_teardown(an_interruption_ends_the_waiting, begin, end),
        cmocka_unit_test_setup_teardown(its_workers_end_with_it, begin, end),
        cmocka_unit_test_setup_teardown(its_segments_go_with_it, begin, end),
        cmocka_unit_test_setup_teardown(mirrors_leave_nothing_wherever_they_are_killed, begin, end),
        cmocka_unit_test_setup_teardown(it_ends_with_its_runner, begin, end),
        cmocka_unit_test_setup_teardown(it_has_surroundings_of_its_own, begin, end),
        cmocka_unit_test_setup_teardown(its_status_is_shared, begin, end),
        cmocka_unit_test_setup_teardown(ending_twice_does_nothing, begin, end),
    };
    if (argc == 2 && strcmp(argv[1], "trial") == 0)
        return be_a_trial();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
