/* SPDX-License-Identifier: MIT */
/*
 * How often a case is tried that fails: once where nobody disturbed it, again where somebody did, a few times where it
 * disturbs itself, and it is skipped only where the disturbance goes on while nothing is tried.
 */
#define _GNU_SOURCE
#include "physics.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { TRIED_FD = 200, PAGES = 16 };

/* What is tried, in a process of its own. */
enum { FAILS, FAILS_LATE, FAILS_ONCE_DISTURBED, FAILS_DISTURBING, DIES, PASSES, SKIPS };

/* A file that every process that is tried has open: a page with a number, and one to be watched. */
static _Atomic unsigned *tried;
static unsigned char *watched;

static bool map_tried(void)
{
    size_t page_bytes = physics_page_bytes();
    unsigned char *base = mmap(NULL, 2 * page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, TRIED_FD, 0);
    if (base == MAP_FAILED)
        return false;
    tried = (_Atomic unsigned *)(void *)base;
    watched = base + page_bytes;
    return true;
}

/* As somebody does who has all files written back. */
static void disturb(void)
{
    off_t page_bytes = (off_t)physics_page_bytes();
    sync_file_range(TRIED_FD, page_bytes, page_bytes, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE);
}

/* The process that is tried. */
static int try_one(int which)
{
    if (!map_tried())
        return 2;
    unsigned before = atomic_fetch_add(tried, 1);
    if (which == FAILS_DISTURBING || (which == FAILS_ONCE_DISTURBED && before == 0))
        disturb();
    if (which == FAILS_LATE)
        usleep(300000); /* in which somebody else comes */
    if (which == DIES)
        raise(SIGKILL);
    if (which == SKIPS)
        return 77;
    return which == PASSES || (which == FAILS_ONCE_DISTURBED && before > 0) ? 0 : 1;
}

static int file_make(unsigned char *bytes, size_t size)
{
    char path[] = "/var/tmp/faultline-physics-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    unlink(path);
    if (fd >= 0 && (write(fd, bytes, size) != (ssize_t)size || fsync(fd))) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Has the kernel take a file's pages away, as it would for want of memory. */
static void file_page_out(int fd, size_t size)
{
    unsigned char *base = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (base == MAP_FAILED)
        return;
    madvise(base, size, MADV_PAGEOUT);
    munmap(base, size);
}

static void open_tried(void)
{
    static unsigned char zeros[2 * 65536];
    int fd = file_make(zeros, 2 * physics_page_bytes());
    if (fd < 0)
        physics_skip("/var/tmp: %s", strerror(errno));
    assert_int_equal(dup2(fd, TRIED_FD), TRIED_FD); /* stays open when a program is executed */
    close(fd);
    assert_true(map_tried());
    struct watch watch = {.page = watched};
    watch_begin(&watch);
    disturb();
    if (!(watch_end(&watch) & DISTURBED_BY_WRITEBACK))
        physics_skip("/var/tmp is on a filesystem that does not write back");
}

/* The status that a case ends with which runs that, in a process of its own that prints nothing. */
static int status_of(int which, unsigned kinds)
{
    const struct CMUnitTest test = {.name = "tried"};
    int status = -1;
    atomic_store(tried, 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct watch watch = {.page = watched};
        dup2(open("/dev/null", O_WRONLY), 1);
        _exit(attempts_case(&watch, &test, which, kinds, UINT64_MAX));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void what_is_good_is_tried_once(void **state)
{
    (void)state;
    open_tried();
    assert_int_equal(status_of(PASSES, DISTURBED_BY_WRITEBACK), 0);
    assert_int_equal(atomic_load(tried), 1);
    assert_int_equal(status_of(SKIPS, DISTURBED_BY_WRITEBACK), 77);
    assert_int_equal(atomic_load(tried), 1);
}

static void what_nobody_disturbed_fails_at_once(void **state)
{
    (void)state;
    open_tried();
    assert_int_equal(status_of(FAILS, 0), 1);
    assert_int_equal(atomic_load(tried), 1);
    assert_int_equal(status_of(DIES, 0), 1);
    assert_int_equal(atomic_load(tried), 1);
}

static void what_somebody_disturbed_is_tried_again(void **state)
{
    (void)state;
    open_tried();
    assert_int_equal(status_of(FAILS_ONCE_DISTURBED, DISTURBED_BY_WRITEBACK), 0);
    assert_int_equal(atomic_load(tried), 2);
    assert_int_equal(status_of(FAILS_ONCE_DISTURBED, 0), 1); /* where that does not bear on it */
    assert_int_equal(atomic_load(tried), 1);
}

static void what_disturbs_itself_fails_in_the_end(void **state)
{
    (void)state;
    open_tried();
    assert_int_equal(status_of(FAILS_DISTURBING, DISTURBED_BY_WRITEBACK), 1);
    assert_int_equal(atomic_load(tried), ATTEMPTS_MOST);
}

static void a_disturbance_that_lasts_is_a_reason(void **state)
{
    (void)state;
    open_tried();
    pid_t other = fork();
    if (other == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            disturb();
            usleep(1000);
        }
    }
    int status = status_of(FAILS_LATE, DISTURBED_BY_WRITEBACK);
    unsigned times = atomic_load(tried);
    kill(other, SIGKILL);
    assert_int_equal(waitpid(other, NULL, 0), other);
    assert_int_equal(status, 77);
    assert_int_equal(times, ATTEMPTS_MOST);
}

static void pages_that_were_taken_are_noticed(void **state)
{
    static unsigned char bytes[PAGES * 4096];
    int fd = file_make(bytes, sizeof bytes);
    struct physics_cachestat found;
    (void)state;
    if (!physics_cachestat(fd, sizeof bytes, &found))
        physics_skip("cachestat: %s", strerror(errno));
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    assert_int_equal(pread(fd, bytes, sizeof bytes, 0), sizeof bytes);
    bool before = physics_pages_taken();
    for (unsigned i = 0; i < 50 && physics_mincore(fd, sizeof bytes); i++)
        file_page_out(fd, sizeof bytes);
    bool gone = physics_mincore(fd, sizeof bytes) == 0, after = physics_pages_taken();
    close(fd);
    if (!gone)
        physics_skip("no page of a file in /var/tmp is given back here");
    assert_false(before);
    assert_true(after);
}

/* A page that was stored to notices who writes all files back, and not who writes back one of his own. */
static void the_witness_sees_writeback_of_everything(void **state)
{
    struct watch watch = {.page = watch_page()};
    char path[] = "/var/tmp/faultline-physics-XXXXXX";
    (void)state;
    assert_non_null(watch.page);
    int fd = mkostemp(path, O_CLOEXEC);
    unlink(path);
    watch_begin(&watch);
    assert_int_equal(write(fd, path, sizeof path), sizeof path);
    assert_int_equal(fsync(fd), 0);
    bool seen_early = watch_end(&watch) & DISTURBED_BY_WRITEBACK;
    assert_int_equal(msync((void *)(uintptr_t)watch.page, physics_page_bytes(), MS_SYNC), 0);
    bool seen = watch_end(&watch) & DISTURBED_BY_WRITEBACK;
    close(fd);
    if (!seen)
        physics_skip("/var/tmp is on a filesystem that does not write back");
    if (seen_early && watch_idle(&watch, 0) & DISTURBED_BY_WRITEBACK)
        physics_skip("somebody has all files written back");
    assert_false(seen_early);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_good_is_tried_once),
        cmocka_unit_test(what_nobody_disturbed_fails_at_once),
        cmocka_unit_test(what_somebody_disturbed_is_tried_again),
        cmocka_unit_test(what_disturbs_itself_fails_in_the_end),
        cmocka_unit_test(a_disturbance_that_lasts_is_a_reason),
        cmocka_unit_test(pages_that_were_taken_are_noticed),
        cmocka_unit_test(the_witness_sees_writeback_of_everything),
    };
    const char *told = getenv(ATTEMPTS_CASE);
    if (told)
        return try_one(atoi(told));
    int failed = cmocka_run_group_tests(tests, NULL, NULL); /* what is tested is not to judge itself */
    return failed ? 1 : 0;
}
