/* SPDX-License-Identifier: MIT */
/*
 * What each filesystem does with a file's pages: which witness tells what is resident, what evicts, what refuses to
 * wait, what goes past the cache, how many pages a fault maps, how much read-ahead fetches, and what a full disk is to
 * a store. The filesystems are made as a run makes them, where nobody else sees them, and are gone with this process.
 */
#define _GNU_SOURCE
#include "physics.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "filesystem.h"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x8
#endif

enum { FILE_BYTES = 8 * 1024 * 1024, TOUCHES = 32, ATTEMPTS = 25, WAIT_MS = 2000 };

extern const struct method method_first_touch, method_pread;

static struct filesystems made;
static char why_not[512]; /* why nothing could be made */

struct kind {
    const char *name;
    enum backing backing;
    bool evicts;    /* fsync and POSIX_FADV_DONTNEED empty it */
    bool cachestat; /* cachestat sees its pages, where the kernel has it */
    bool nowait;    /* RWF_NOWAIT is understood */
    bool reported;  /* statx tells the alignment of O_DIRECT */
    bool folios;    /* its pages may come in folios that one fault maps whole */
};

static const struct kind kinds[] = {
    {"ext4", backing_ext4, true, true, true, true, true},
    {"xfs", backing_xfs, true, true, true, true, true},
    {"btrfs", backing_btrfs, true, true, true, false, true},
    {"overlay", backing_overlay, true, false, false, false, true},
    {"fuse", backing_fuse, true, true, false, false, true},
    {"tmpfs", backing_tmpfs, false, true, false, false, false},
    {"memfd", backing_memfd, false, true, false, false, false},
};

/* ---- making them, and files on them ---- */

static int make_all(void **state)
{
    struct filesystem_wishes wishes = {0};
    struct params params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_warm);
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        params.backing = kinds[i].backing;
        filesystem_want(&wishes, &params, 0);
    }
    /* A folder to mount on that is nowhere but here. */
    if (geteuid() != 0 || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) ||
        mount("faultline", "/mnt", "tmpfs", 0, "mode=0700,size=8m") || mkdir("/mnt/made", 0700) ||
        mkdir("/mnt/small", 0700) || mount("faultline", "/mnt/small", "tmpfs", 0, "mode=0700,size=2m")) {
        snprintf(why_not, sizeof why_not, "mounts of its own: %s", geteuid() ? "needs root" : strerror(errno));
        return 0;
    }
    filesystem_make(&made, &wishes, "/var/tmp", "/mnt/made");
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    filesystem_remove(&made);
    return 0;
}

/* The folder for files of a kind; the test is skipped when it could not be made. */
static const char *folder_of(const struct kind *kind)
{
    if (kind->backing == backing_tmpfs)
        return "/dev/shm";
    if (!filesystem_is_made(kind->backing))
        return "/nowhere";
    if (why_not[0] || !made.each[kind->backing].path[0])
        physics_skip("%s: %s", kind->name, why_not[0] ? why_not : made.each[kind->backing].reason);
    return made.each[kind->backing].path;
}

static void open_on(const struct kind *kind, struct params *params, struct target *target)
{
    struct err err = {0};
    params->backing = kind->backing;
    struct target_request request = {.params = params,
                                     .directory = folder_of(kind),
                                     .name = "faultline-physics",
                                     .given_path = "",
                                     .seed = 42,
                                     .device = made.each[kind->backing].device};
    int rc = target_open(target, &request, &err);
    if (rc)
        fail_msg("%s: %s", kind->name, err.text);
}

static uint64_t resident_of(const struct target *target, uint64_t bytes)
{
    struct page_state state;
    struct err err = {0};
    if (target_state(target, bytes, &state, &err))
        fail_msg("%s", err.text);
    return state.resident;
}

/* ---- residency and eviction ---- */

/* The engine, mincore and, where it can be believed, cachestat say the same. */
static void expect_resident(const struct kind *kind, const struct target *target, uint64_t pages)
{
    struct physics_cachestat found;
    assert_int_equal(resident_of(target, FILE_BYTES), pages);
    assert_int_equal(physics_mincore(target->fd, FILE_BYTES), pages);
    if (!physics_cachestat(target->fd, FILE_BYTES, &found))
        return;
    assert_int_equal(found.cache, kind->cachestat ? pages : 0);
    assert_string_equal(target_witness(target), kind->cachestat ? "cachestat" : "mincore");
}

static void witnesses_agree_and_eviction_empties(void **state)
{
    const struct kind *kind = *state;
    struct params params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_warm);
    struct target target;
    struct err err = {0};
    open_on(kind, &params, &target);
    uint64_t pages = FILE_BYTES / target.page_bytes;
    expect_resident(kind, &target, pages);
    if (target_evict(&target, &err))
        fail_msg("%s", err.text);
    expect_resident(kind, &target, kind->evicts ? 0 : pages);
    if (target_warm(&target, FILE_BYTES, &err))
        fail_msg("%s", err.text);
    expect_resident(kind, &target, pages);
    target_close(&target);
}

/* ---- RWF_NOWAIT ---- */

static ssize_t read_nowait(int fd, uint64_t bytes, uint64_t offset)
{
    static char buffer[1 << 16];
    struct iovec piece = {buffer, bytes};
    return preadv2(fd, &piece, 1, (off_t)offset, RWF_NOWAIT);
}

/* Of what is there it reads all; of what is not it refuses, and yet starts to fetch it. Others do not know the flag. */
static void nowait_refuses_what_is_cold(void **state)
{
    const struct kind *kind = *state;
    struct params params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_warm);
    struct target target;
    struct err err = {0};
    open_on(kind, &params, &target);
    ssize_t warm = read_nowait(target.fd, target.page_bytes, 0);
    if (!kind->nowait) {
        assert_int_equal(warm, -1);
        assert_int_equal(errno, EOPNOTSUPP);
        target_close(&target);
        return;
    }
    assert_int_equal(warm, target.page_bytes);
    if (target_evict(&target, &err))
        fail_msg("%s", err.text);
    assert_int_equal(resident_of(&target, FILE_BYTES), 0);
    assert_int_equal(read_nowait(target.fd, target.page_bytes, 0), -1);
    assert_int_equal(errno, EAGAIN);
    uint64_t resident = 0;
    for (int ms = 0; ms < WAIT_MS && (resident = resident_of(&target, target.page_bytes)) == 0; ms++)
        usleep(1000);
    assert_int_equal(resident, 1);
    target_close(&target);
}

/* ---- O_DIRECT ---- */

#ifdef STATX_DIOALIGN
static uint64_t told_alignment(int fd)
{
    struct statx status;
    bool told = statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 && status.stx_mask & STATX_DIOALIGN;
    return told ? status.stx_dio_offset_align : 0;
}
#else
static uint64_t told_alignment(int fd)
{
    (void)fd;
    return 0;
}
#endif

/* By the alignment that statx tells, one page reads past the cache; half of it is refused. */
static void direct_reads_go_past_the_cache(void **state)
{
    const struct kind *kind = *state;
    struct params params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_warm);
    struct target target;
    struct err err = {0};
    void *buffer = NULL;
    open_on(kind, &params, &target);
    assert_int_equal(posix_memalign(&buffer, target.page_bytes, target.page_bytes), 0);
    int fd = target_reopen(&target, O_RDONLY | O_DIRECT);
    assert_true(fd >= 0);
    if (target_evict(&target, &err))
        fail_msg("%s", err.text);
    assert_int_equal(pread(fd, buffer, target.page_bytes, 0), target.page_bytes);
    uint64_t alignment = told_alignment(fd), resident = resident_of(&target, FILE_BYTES);
    print_message("%s: alignment %" PRIu64 ", %" PRIu64 " pages resident after it\n", kind->name, alignment, resident);
#ifdef STATX_DIOALIGN
    if (kind->reported)
        assert_in_range(alignment, 512, target.page_bytes);
#endif
    if (kind->reported) {
        assert_int_equal(resident, 0);
        if (alignment > 1) {
            assert_int_equal(pread(fd, buffer, target.page_bytes, (off_t)(alignment / 2)), -1);
            assert_int_equal(errno, EINVAL);
        }
    }
    if (!kind->evicts) /* memory has nothing to go past */
        assert_int_equal(resident, FILE_BYTES / target.page_bytes);
    free(buffer);
    close(fd);
    target_close(&target);
}

/* ---- pages per fault ---- */

/* Faults of touching each page of the file once. */
static uint64_t touch_faults(struct target *target, enum sharing sharing, enum access access)
{
    struct params params = *target->params;
    struct physics_cell cell;
    params.sharing = sharing;
    params.access = access;
    params.block_bytes = 64;
    params.pattern = pattern_stride;
    params.stride_bytes = target->page_bytes;
    params.touches = 1;
    params.count_ops = FILE_BYTES / target->page_bytes;
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_first_touch, params.count_ops);
    physics_measure(&cell, target, 1);
    physics_expect_ok(&cell, 0);
    uint64_t faults = physics_count(&cell, 0, COUNTER_minor_faults);
    measure_free(&cell.result);
    return faults;
}

/* Pages that one fault of a warm file of small folios maps, found by the pages it makes resident: a power of two. */
static uint64_t fault_window(struct target *target, uint64_t pages)
{
    uint64_t faults = touch_faults(target, sharing_shared, access_load);
    assert_true(faults > 0 && pages % faults == 0);
    return pages / faults;
}

static void small_folios(const struct kind *kind, uint64_t *window)
{
    struct params params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_warm);
    struct target target;
    open_on(kind, &params, &target);
    uint64_t pages = FILE_BYTES / target.page_bytes;
    *window = fault_window(&target, pages);
    uint64_t copies = touch_faults(&target, sharing_private, access_store);
    uint64_t stores = touch_faults(&target, sharing_shared, access_store);
    print_message("%s, small folios: %" PRIu64 " pages a load fault, %" PRIu64 " faults of %" PRIu64 " stores\n",
                  kind->name, *window, stores, pages);
    assert_int_equal(copies, pages); /* a copy is of one page, whatever lies below */
    assert_int_equal(stores, pages); /* each asks the filesystem (page_mkwrite), or is on its own */
    target_close(&target);
}

/* Small folios give the same counts everywhere; what larger writes give differs, and is at least as good. */
static void faults_map_what_the_folios_allow(void **state)
{
    const struct kind *kind = *state;
    physics_need_exact_counts();
    static uint64_t common_window;
    uint64_t window;
    struct params params = physics_params(FILE_BYTES, recipe_write_1MiB, cache_warm);
    struct target target;
    small_folios(kind, &window);
    if (common_window)
        assert_int_equal(window, common_window);
    common_window = window;
    open_on(kind, &params, &target);
    uint64_t pages = FILE_BYTES / target.page_bytes;
    uint64_t loads = touch_faults(&target, sharing_shared, access_load);
    uint64_t copies = touch_faults(&target, sharing_private, access_store);
    uint64_t stores = touch_faults(&target, sharing_shared, access_store);
    print_message("%s, written by 1 MiB: %" PRIu64 " pages in %" PRIu64 " load faults and %" PRIu64 " store faults\n",
                  kind->name, pages, loads, stores);
    assert_int_equal(copies, pages);
    assert_in_range(loads, 1, pages / window);
    assert_in_range(stores, 1, pages);
    target_close(&target);
}

/* ---- read-ahead ---- */

/* Bytes that the device below reads for one cold touch, the median of some; metadata comes in now and then. */
static uint64_t fetched_by_touch(struct target *target)
{
    uint64_t read[TOUCHES];
    struct err err = {0};
    for (unsigned i = 0; i < TOUCHES; i++) {
        if (target_evict(target, &err))
            fail_msg("%s", err.text);
        assert_int_equal(resident_of(target, FILE_BYTES), 0);
        int fd = target_reopen(target, O_RDONLY); /* read-ahead is taken over when a file is opened */
        assert_true(fd >= 0);
        unsigned char *base = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
        assert_ptr_not_equal(base, MAP_FAILED);
        uint64_t before = target_device_read_bytes(target);
        (void)*(volatile unsigned char *)(base + FILE_BYTES / TOUCHES * i);
        munmap(base, FILE_BYTES);
        close(fd);
        for (int ms = 0; ms < 5; ms++) /* what was started is to arrive */
            usleep(200);
        uint64_t bytes = target_device_read_bytes(target) - before;
        unsigned at = i;
        for (; at > 0 && read[at - 1] > bytes; at--)
            read[at] = read[at - 1];
        read[at] = bytes;
    }
    return read[TOUCHES / 2];
}

static void read_ahead_is_what_was_set(void **state)
{
    const struct kind *kind = *state;
    struct params params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_cold);
    struct target target;
    struct err err = {0};
    if (!filesystem_has_read_ahead(kind->backing)) {
        assert_int_equal(filesystem_set_read_ahead(&made, kind->backing, read_ahead_none, &err), -EOPNOTSUPP);
        return;
    }
    open_on(kind, &params, &target);
    if (!made.each[kind->backing].direct)
        physics_skip("the loop device reads through the page cache");
    if (filesystem_set_read_ahead(&made, kind->backing, read_ahead_none, &err))
        physics_skip("%s", err.text);
    uint64_t none = fetched_by_touch(&target);
    if (filesystem_set_read_ahead(&made, kind->backing, read_ahead_128KiB, &err))
        fail_msg("%s", err.text);
    uint64_t some = fetched_by_touch(&target);
    if (filesystem_set_read_ahead(&made, kind->backing, read_ahead_as_found, &err))
        fail_msg("%s", err.text);
    print_message("%s: one cold touch reads %" PRIu64 " bytes without read-ahead, %" PRIu64 " with 128 KiB\n",
                  kind->name, none, some);
    assert_int_equal(none, target.page_bytes);
    assert_int_equal(some, 128 * KIB > target.page_bytes ? 128 * KIB : target.page_bytes);
    target_close(&target);
}

/* ---- SIGBUS ---- */

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    _exit(info->si_code == BUS_ADRERR ? 42 : 43);
}

/* Stores to each page of a mapping in a process of its own. 42: one of them was SIGBUS, for want of a page. */
static int store_elsewhere(int fd, uint64_t bytes)
{
    int status = 0;
    pid_t process = fork();
    assert_true(process >= 0);
    if (process == 0) {
        struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
        sigaction(SIGBUS, &action, NULL);
        unsigned char *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        for (uint64_t at = 0; base != MAP_FAILED && at < bytes; at += physics_page_bytes())
            *(volatile unsigned char *)(base + at) = 1;
        _exit(base == MAP_FAILED ? 44 : 0);
    }
    assert_int_equal(waitpid(process, &status, 0), process);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Behind the end of a file that was cut there is no page to map. */
static void truncation_is_sigbus(void **state)
{
    const struct kind *kind = *state;
    struct params params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_warm);
    struct target target;
    open_on(kind, &params, &target);
    assert_int_equal(store_elsewhere(target.fd, FILE_BYTES), 0);
    assert_int_equal(ftruncate(target.fd, (off_t)target.page_bytes), 0);
    assert_int_equal(store_elsewhere(target.fd, FILE_BYTES), 42);
    target_close(&target);
}

/* Takes what is free, in steps that become smaller. */
static void fill_disk(int fd)
{
    off_t at = 0;
    for (off_t step = 64 << 20; step >= 4096;)
        if (fallocate(fd, 0, at, step) == 0)
            at += step;
        else
            step /= 2;
}

/* A hole's page gets its block at the first store: with none left, the store is SIGBUS. */
static void a_full_disk_is_sigbus(void **state)
{
    const struct kind *kind = *state;
    char hole_path[4200], rest_path[4200];
    if (kind->backing == backing_memfd)
        physics_skip("memory without a limit of its own");
    folder_of(kind);
    const char *folder = kind->backing == backing_tmpfs ? "/mnt/small" : folder_of(kind);
    if (why_not[0])
        physics_skip("%s", why_not);
    snprintf(hole_path, sizeof hole_path, "%s/hole", folder);
    bool late = kind->backing == backing_fuse; /* what takes the room lies below, where fallocate is understood */
    snprintf(rest_path, sizeof rest_path, "%s/rest", late ? made.each[backing_ext4].path : folder);
    int hole = open(hole_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rest = open(rest_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(hole >= 0 && rest >= 0);
    unlink(hole_path);
    unlink(rest_path);
    assert_int_equal(ftruncate(hole, 8 * FILE_BYTES), 0);
    fill_disk(rest);
    /* FUSE finds room only when it writes back: the store succeeds, and it is for fsync to say. */
    assert_int_equal(store_elsewhere(hole, 8 * FILE_BYTES), late ? 0 : 42);
    if (late)
        assert_int_equal(fsync(hole), -1);
    close(hole);
    close(rest);
}

/*
 * A sparse image on a disk that has no room for all of it: the filesystem has blocks for every store, the device below
 * has not, and it is for the sync to say so (file_check_and_advance_wb_err).
 */
static void a_full_disk_below_is_for_msync_to_tell(void **state)
{
    static struct filesystems above;
    struct filesystem_wishes wishes = {0};
    struct params params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_warm);
    char path[4200];
    (void)state;
    params.backing = backing_ext4;
    filesystem_want(&wishes, &params, 0);
    if (why_not[0] || mkdir("/mnt/below", 0700) || mkdir("/mnt/above", 0700) ||
        mount("faultline", "/mnt/below", "tmpfs", 0, "mode=0700,size=24m"))
        physics_skip("%s", why_not[0] ? why_not : strerror(errno));
    filesystem_make(&above, &wishes, "/mnt/below", "/mnt/above");
    if (!above.each[backing_ext4].path[0])
        physics_skip("%s", above.each[backing_ext4].reason);
    snprintf(path, sizeof path, "%s/sparse", above.each[backing_ext4].path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(ftruncate(fd, 4 * FILE_BYTES), 0);
    unsigned char *base = mmap(NULL, 4 * FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(base, MAP_FAILED);
    for (uint64_t at = 0; at < 4 * FILE_BYTES; at += physics_page_bytes())
        *(volatile unsigned char *)(base + at) = 1;
    int rc = msync(base, 4 * FILE_BYTES, MS_SYNC), code = errno;
    print_message("msync above a full disk: %s\n", rc ? strerror(code) : "no error");
    munmap(base, 4 * FILE_BYTES);
    close(fd);
    filesystem_remove(&above);
    umount("/mnt/below");
    assert_int_equal(rc, -1);
    assert_true(code == EIO || code == ENOSPC || code == EROFS);
}

#define EACH(test)                                                                                                     \
    {#test " (ext4)", test, NULL, NULL, (void *)&kinds[0]}, {#test " (xfs)", test, NULL, NULL, (void *)&kinds[1]},     \
        {#test " (btrfs)", test, NULL, NULL, (void *)&kinds[2]},                                                       \
        {#test " (overlay)", test, NULL, NULL, (void *)&kinds[3]},                                                     \
        {#test " (fuse)", test, NULL, NULL, (void *)&kinds[4]},                                                        \
        {#test " (tmpfs)", test, NULL, NULL, (void *)&kinds[5]},                                                       \
    {                                                                                                                  \
#test " (memfd)", test, NULL, NULL, (void *)&kinds[6]                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(witnesses_agree_and_eviction_empties),
        EACH(nowait_refuses_what_is_cold),
        EACH(direct_reads_go_past_the_cache),
        EACH(faults_map_what_the_folios_allow),
        EACH(read_ahead_is_what_was_set),
        EACH(truncation_is_sigbus),
        EACH(a_full_disk_is_sigbus),
        cmocka_unit_test(a_full_disk_below_is_for_msync_to_tell),
    };
    return physics_run_group(tests, sizeof tests / sizeof *tests, DISTURBED_BY_WRITEBACK, make_all, remove_all);
}
