/* SPDX-License-Identifier: MIT */
/* The working folder: made for us alone, removed with all that is in it, and what dead runs left is swept. */
#include "unit.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>

#include "workdir.h"

static const char mark[] = "faultline working folder\n";
static struct err err;

static int begin(void **state)
{
    err = (struct err){0};
    return unit_begin(state);
}

/* A folder `name` with a lock of the given contents (NULL: without a lock) and a file. */
static void make_folder(const char *name, const char *lock)
{
    char path[128];
    assert_int_equal(mkdir(unit_path(name), 0700), 0);
    snprintf(path, sizeof path, "%s/file", name);
    unit_write(path, "x", 1);
    snprintf(path, sizeof path, "%s/lock", name);
    if (lock)
        unit_write(path, lock, strlen(lock));
}

/* Makes a working folder, which sweeps, and removes it again. */
static void sweep(void)
{
    struct workdir workdir;
    if (workdir_make(&workdir, unit_folder, &err))
        fail_msg("%s", err.text);
    workdir_remove(&workdir);
}

static void is_ours_alone_and_locked(void **state)
{
    (void)state;
    struct workdir workdir;
    struct stat status;
    char lock[5000];
    assert_int_equal(workdir_make(&workdir, unit_folder, &err), 0);
    assert_int_equal(stat(workdir.path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(status.st_uid, geteuid());
    snprintf(lock, sizeof lock, "%s/lock", workdir.path);
    int fd = open(lock, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    close(fd);
    workdir_remove(&workdir);
}

static void is_removed_with_its_files(void **state)
{
    (void)state;
    struct workdir workdir;
    char path[5000];
    unsigned descriptors = unit_count_descriptors();
    assert_int_equal(workdir_make(&workdir, unit_folder, &err), 0);
    for (int i = 0; i < 200; i++) {
        snprintf(path, sizeof path, "%s/target-%d", workdir.path, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    workdir_remove(&workdir);
    assert_int_equal(unit_count_entries(unit_folder), 0);
    assert_int_equal(unit_count_descriptors(), descriptors);
    workdir_remove(&workdir); /* a second time does nothing */
    assert_int_equal(unit_count_entries(unit_folder), 0);
}

static void two_runs_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct workdir first, second;
    assert_int_equal(workdir_make(&first, unit_folder, &err), 0);
    assert_int_equal(workdir_make(&second, unit_folder, &err), 0);
    assert_string_not_equal(first.path, second.path);
    assert_int_equal(access(first.path, F_OK), 0);
    workdir_remove(&first);
    assert_int_equal(access(second.path, F_OK), 0);
    workdir_remove(&second);
}

static void sweeps_what_a_dead_run_left(void **state)
{
    (void)state;
    make_folder("faultline-run-abc123", mark);
    make_folder("faultline-run-ABCxyz", mark);
    sweep();
    assert_int_equal(unit_count_entries(unit_folder), 0);
}

/* A run that is really killed, with a file left in its folder. */
static void sweeps_after_a_kill(void **state)
{
    (void)state;
    int ends[2], status;
    char path[5000] = "";
    assert_int_equal(pipe(ends), 0);
    pid_t victim = fork();
    if (victim == 0) {
        struct workdir workdir;
        if (workdir_make(&workdir, unit_folder, &err) == 0) {
            snprintf(path, sizeof path, "%s/target", workdir.path);
            close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
            if (write(ends[1], workdir.path, strlen(workdir.path)) > 0)
                for (;;)
                    pause();
        }
        _exit(1);
    }
    assert_true(read(ends[0], path, sizeof path - 1) > 0);
    sweep();
    assert_int_equal(access(path, F_OK), 0); /* it lives and holds the lock */
    kill(victim, SIGKILL);
    assert_int_equal(waitpid(victim, &status, 0), victim);
    assert_int_equal(access(path, F_OK), 0);
    sweep();
    assert_int_equal(access(path, F_OK), -1);
    close(ends[0]);
    close(ends[1]);
}

static void leaves_what_is_locked(void **state)
{
    (void)state;
    make_folder("faultline-run-abc123", mark);
    int fd = open(unit_path("faultline-run-abc123/lock"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    sweep();
    assert_true(unit_exists("faultline-run-abc123/file"));
    close(fd);
    sweep();
    assert_false(unit_exists("faultline-run-abc123"));
}

static void leaves_what_does_not_bear_the_mark(void **state)
{
    (void)state;
    make_folder("faultline-run-nolock", NULL);
    make_folder("faultline-run-empty1", "");
    make_folder("faultline-run-other1", "somebody else's lock\n....\n");
    make_folder("faultline-run-short1", "faultline working");
    sweep();
    assert_true(unit_exists("faultline-run-nolock/file"));
    assert_true(unit_exists("faultline-run-empty1/file"));
    assert_true(unit_exists("faultline-run-other1/file"));
    assert_true(unit_exists("faultline-run-short1/file"));
}

static void age(const char *name)
{
    struct timespec times[2] = {{.tv_sec = time(NULL) - 3600}, {.tv_sec = time(NULL) - 3600}};
    assert_int_equal(utimensat(AT_FDCWD, unit_path(name), times, 0), 0);
}

/* A run that was killed between making its folder and marking it. */
static void sweeps_old_folders_that_are_bare(void **state)
{
    (void)state;
    assert_int_equal(mkdir(unit_path("faultline-run-empty1"), 0700), 0);
    assert_int_equal(mkdir(unit_path("faultline-run-empty2"), 0700), 0);
    unit_write("faultline-run-empty2/lock", "", 0);
    make_folder("faultline-run-filled", NULL);
    sweep();
    assert_true(unit_exists("faultline-run-empty1")); /* young: it may be about to be marked */
    assert_true(unit_exists("faultline-run-empty2"));
    age("faultline-run-empty1");
    age("faultline-run-empty2");
    age("faultline-run-filled");
    sweep();
    assert_false(unit_exists("faultline-run-empty1"));
    assert_false(unit_exists("faultline-run-empty2"));
    assert_true(unit_exists("faultline-run-filled/file"));
}

static void leaves_other_names(void **state)
{
    (void)state;
    static const char *const names[] = {"faultline-run-abc12", "faultline-run-abc1234", "faultline-run-", "run-abc123",
                                        "xfaultline-run-abc123"};
    for (size_t i = 0; i < LENGTH_OF(names); i++)
        make_folder(names[i], mark);
    unit_write("faultline-run-file01", mark, sizeof mark - 1);
    sweep();
    assert_int_equal(unit_count_entries(unit_folder), LENGTH_OF(names) + 1);
}

static void follows_no_symlink(void **state)
{
    (void)state;
    make_folder("elsewhere", mark);
    assert_int_equal(symlink(unit_path("elsewhere"), unit_path("faultline-run-link01")), 0);
    make_folder("faultline-run-link02", NULL);
    assert_int_equal(symlink(unit_path("elsewhere/lock"), unit_path("faultline-run-link02/lock")), 0);
    sweep();
    assert_true(unit_exists("elsewhere/file"));
    assert_true(unit_exists("faultline-run-link01"));
    assert_true(unit_exists("faultline-run-link02/file"));
}

static void removes_a_link_not_what_it_points_to(void **state)
{
    (void)state;
    unit_write("precious", "x", 1);
    make_folder("faultline-run-abc123", mark);
    assert_int_equal(symlink(unit_path("precious"), unit_path("faultline-run-abc123/link")), 0);
    sweep();
    assert_false(unit_exists("faultline-run-abc123"));
    assert_true(unit_exists("precious"));
}

static void leaves_what_belongs_to_others(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("SKIP: needs root, to give a folder to somebody else\n");
        skip();
    }
    make_folder("faultline-run-abc123", mark);
    assert_int_equal(chown(unit_path("faultline-run-abc123"), 12345, 12345), 0);
    sweep();
    assert_true(unit_exists("faultline-run-abc123/file"));
}

static void says_where_it_cannot_be(void **state)
{
    (void)state;
    struct workdir workdir;
    char longer[5000];
    assert_int_equal(workdir_make(&workdir, unit_path("none"), &err), -ENOENT);
    unit_assert_text(err.text, "none");
    assert_string_equal(workdir.path, "");
    workdir_remove(&workdir);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    errno = 0;
    assert_int_equal(workdir_make(&workdir, longer, &err), -ENAMETOOLONG);
    assert_string_equal(workdir.path, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(is_ours_alone_and_locked, begin, unit_end),
        cmocka_unit_test_setup_teardown(is_removed_with_its_files, begin, unit_end),
        cmocka_unit_test_setup_teardown(two_runs_do_not_disturb_each_other, begin, unit_end),
        cmocka_unit_test_setup_teardown(sweeps_what_a_dead_run_left, begin, unit_end),
        cmocka_unit_test_setup_teardown(sweeps_after_a_kill, begin, unit_end),
        cmocka_unit_test_setup_teardown(leaves_what_is_locked, begin, unit_end),
        cmocka_unit_test_setup_teardown(leaves_what_does_not_bear_the_mark, begin, unit_end),
        cmocka_unit_test_setup_teardown(sweeps_old_folders_that_are_bare, begin, unit_end),
        cmocka_unit_test_setup_teardown(leaves_other_names, begin, unit_end),
        cmocka_unit_test_setup_teardown(follows_no_symlink, begin, unit_end),
        cmocka_unit_test_setup_teardown(removes_a_link_not_what_it_points_to, begin, unit_end),
        cmocka_unit_test_setup_teardown(leaves_what_belongs_to_others, begin, unit_end),
        cmocka_unit_test_setup_teardown(says_where_it_cannot_be, begin, unit_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
