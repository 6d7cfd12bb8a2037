/* SPDX-License-Identifier: MIT */
/*
 * Files without names: whichever way they are made, they have none, hold what is stored, are given back when they are
 * closed, and leave nothing in /dev/shm nor in the directory of the target.
 */
#include "hand.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "making.h"

enum { PAGES = 64 };

extern const struct method method_memory_file_make, method_memory_file_touch;

static const struct way {
    enum made_by made_by;
    enum made_on made_on;
} ways[] = {
    {made_by_memfd_create, made_on_tmpfs}, {made_by_shm_open, made_on_tmpfs},   {made_by_o_tmpfile, made_on_tmpfs},
    {made_by_o_creat, made_on_tmpfs},      {made_by_o_tmpfile, made_on_target}, {made_by_o_creat, made_on_target},
};
enum { WAYS = sizeof ways / sizeof *ways };

/* Names there that files of a process have while they are made: others make such files, too. */
static unsigned names_of(pid_t process, const char *directory)
{
    char prefix[64];
    unsigned count = 0;
    snprintf(prefix, sizeof prefix, MAKING_PREFIX "%x-", (unsigned)process);
    DIR *folder = opendir(directory);
    for (const struct dirent *entry; folder && (entry = readdir(folder));)
        count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    if (folder)
        closedir(folder);
    return count;
}

/* A target whose directory stays until the end, as a run's does. */
struct spot {
    struct params params;
    struct target target;
    char directory[64];
};

static void spot_begin(struct spot *spot, const struct way *way, enum prior prior)
{
    struct err err = {0};
    spot->params = physics_params(PAGES * physics_page_bytes(), recipe_write_4KiB, cache_as_found);
    spot->params.made_by = way->made_by;
    spot->params.made_on = way->made_on;
    spot->params.prior = prior;
    spot->params.count_ops = PAGES;
    snprintf(spot->directory, sizeof spot->directory, "/var/tmp/faultline-physics-XXXXXX");
    if (!mkdtemp(spot->directory))
        physics_skip("no folder can be made as %s: %s", spot->directory, strerror(errno));
    struct target_request request = {
        .params = &spot->params, .directory = spot->directory, .name = "target", .given_path = "", .seed = 42};
    assert_int_equal(target_open(&spot->target, &request, &err), 0);
}

static void spot_end(struct spot *spot)
{
    target_close(&spot->target);
    assert_int_equal(rmdir(spot->directory), 0); /* it is empty */
}

/* By hand: a file of each kind has no name, is exclusive, and is private. */
static void no_way_leaves_a_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WAYS; i++) {
        struct spot spot;
        struct stat status;
        struct making making;
        struct err err = {0};
        unsigned char *base;
        spot_begin(&spot, &ways[i], prior_never);
        struct worker worker = {.params = &spot.params, .target = &spot.target};
        int rc = making_begin(&making, &worker, &err);
        if (rc == -EOPNOTSUPP) {
            print_message("%s\n", err.text);
            spot_end(&spot);
            continue;
        }
        assert_int_equal(rc, 0);
        int fd = making_map(&making, spot.params.range_bytes, &base);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &status), 0);
        assert_int_equal(status.st_nlink, 0);
        assert_int_equal(status.st_size, spot.params.range_bytes);
        if (making.kind != MEMORY_FILE_MEMFD) /* which has all bits set, and is reached by nobody */
            assert_int_equal(status.st_mode & (S_IRWXG | S_IRWXO), 0);
        assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(names_of(getpid(), "/dev/shm"), 0);
        assert_int_equal(names_of(getpid(), spot.directory), 0);
        int again = making_map(&making, spot.params.range_bytes, &base); /* the same name, while the first is open */
        assert_true(again >= 0);
        making_unmap(again, spot.params.range_bytes, base);
        close(fd);
        spot_end(&spot);
    }
}

/* A first store faults once a page and allocates it, another one neither; the bytes are verified by each reset. */
static void expect_touches(const struct way *way, enum prior prior, uint64_t faults)
{
    struct spot spot;
    struct physics_cell cell;
    spot_begin(&spot, way, prior);
    physics_begin(&cell, &spot.params);
    physics_arm(&cell, &method_memory_file_touch, PAGES);
    physics_arm(&cell, &method_memory_file_make, 10)->params.count_ops = 10;
    physics_measure(&cell, &spot.target, 3);
    bool lacks = cell.result.arms[0].status == ARM_UNSUPPORTED;
    if (!lacks) {
        physics_expect_ok(&cell, 0);
        physics_expect_ok(&cell, 1);
        assert_int_equal(cell.result.arms[0].bytes_per_op, physics_page_bytes());
        assert_int_equal(cell.result.arms[1].bytes_per_op, 0);
#ifndef PHYSICS_SANITIZED
        /* Where the filesystem reads ahead of a hole, some of them are major. */
        uint64_t major = way->made_on == made_on_target ? physics_count(&cell, 0, COUNTER_major_faults) : 0;
        assert_int_equal(physics_count(&cell, 0, COUNTER_minor_faults) + major, faults);
        assert_int_equal(physics_count(&cell, 1, COUNTER_minor_faults), 0); /* nothing is touched */
#endif
    }
    (void)faults;
    measure_free(&cell.result);
    spot_end(&spot);
}

static void a_first_store_faults_once_a_page(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WAYS; i++)
        expect_touches(&ways[i], prior_never, PAGES);
}

static void another_store_does_not_fault(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WAYS; i++)
        expect_touches(&ways[i], prior_stored, 0);
}

/* The file holds a page for each one stored to, and is gone with the last batch. */
static void pages_come_with_stores(void **state)
{
    struct spot spot;
    struct hand hand;
    struct stat status;
    (void)state;
    spot_begin(&spot, &ways[0], prior_never);
    hand_begin(&hand, &method_memory_file_touch, &spot.params, &spot.target);
    for (uint64_t pages = 1; pages <= PAGES; pages *= 4) {
        hand_reset(&hand, pages);
        assert_int_equal(fstat(hand.worker.fd, &status), 0);
        assert_int_equal(status.st_blocks, 0);
        hand_run(&hand, pages);
        assert_int_equal(fstat(hand.worker.fd, &status), 0);
        assert_int_equal(status.st_blocks * 512, pages * physics_page_bytes());
    }
    hand_end(&hand);
    spot_end(&spot);
}

/* What is not what was stored is found. */
static void a_spoilt_page_is_found(void **state)
{
    struct spot spot;
    struct hand hand;
    struct err err = {0};
    (void)state;
    spot_begin(&spot, &ways[0], prior_stored);
    hand_begin(&hand, &method_memory_file_touch, &spot.params, &spot.target);
    hand_reset(&hand, PAGES);
    hand_run(&hand, PAGES);
    memset(hand.worker.base + physics_page_bytes(), 0, physics_page_bytes());
    int rc = hand.method->reset(&hand.worker, PAGES, &err);
    hand_end(&hand);
    spot_end(&spot);
    assert_int_equal(rc, -EPROTO);
}

static int make_left_over(const char *name, long age_s)
{
    struct timespec times[2];
    char path[256];
    snprintf(path, sizeof path, "/dev/shm/%s", name);
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= age_s;
    times[1] = times[0];
    int rc = futimens(fd, times);
    close(fd);
    return rc;
}

static bool is_there(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "/dev/shm/%s", name);
    return access(path, F_OK) == 0;
}

/* What a killed run has left goes with the next one; what is young may be somebody's. */
static void names_left_behind_are_swept(void **state)
{
    struct spot spot;
    struct hand hand;
    char old[64], young[64];
    (void)state;
    snprintf(old, sizeof old, MAKING_PREFIX "test-old-%d", (int)getpid());
    snprintf(young, sizeof young, MAKING_PREFIX "test-young-%d", (int)getpid());
    if (make_left_over(old, 60) || make_left_over(young, 0))
        physics_skip("/dev/shm: %s", strerror(errno));
    spot_begin(&spot, &ways[1], prior_never);
    hand_begin(&hand, &method_memory_file_make, &spot.params, &spot.target);
    bool old_is_there = is_there(old), young_is_there = is_there(young);
    char path[128];
    snprintf(path, sizeof path, "/dev/shm/%s", young);
    unlink(path);
    hand_end(&hand);
    spot_end(&spot);
    assert_false(old_is_there);
    assert_true(young_is_there);
}

/* A child is killed in the midst of making files: at most the one name that it had just then is left. */
static void a_killed_process_leaves_one_name_at_most(void **state)
{
    struct spot spot;
    (void)state;
    spot_begin(&spot, &ways[1], prior_never);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct err err = {0};
        struct worker worker = {.params = &spot.params, .target = &spot.target, .fd = -1};
        if (method_memory_file_make.setup(&worker, &err) == 0)
            method_memory_file_make.run(&worker, UINT64_MAX);
        _exit(1);
    }
    usleep(50000);
    assert_int_equal(waitpid(child, NULL, WNOHANG), 0); /* it is at it */
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_in_range(names_of(child, "/dev/shm"), 0, 1);
    char prefix[64];
    snprintf(prefix, sizeof prefix, MAKING_PREFIX "%x-", (unsigned)child);
    DIR *folder = opendir("/dev/shm");
    for (const struct dirent *entry; folder && (entry = readdir(folder));)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            unlinkat(dirfd(folder), entry->d_name, 0); /* the next run would do so ten seconds from now */
    if (folder)
        closedir(folder);
    assert_int_equal(names_of(child, "/dev/shm"), 0);
    spot_end(&spot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_way_leaves_a_name),
        cmocka_unit_test(a_first_store_faults_once_a_page),
        cmocka_unit_test(another_store_does_not_fault),
        cmocka_unit_test(pages_come_with_stores),
        cmocka_unit_test(a_spoilt_page_is_found),
        cmocka_unit_test(names_left_behind_are_swept),
        cmocka_unit_test(a_killed_process_leaves_one_name_at_most),
    };
    return physics_run_beside(tests, DISTURBED_BY_WRITEBACK | DISTURBED_BY_STARVATION);
}
