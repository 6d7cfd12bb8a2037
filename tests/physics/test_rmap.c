/* SPDX-License-Identifier: MIT */
/* Processes that map the file: they do, page by page; what is taken from the file is taken from them; they never stay.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "bare_worker.h"
#include "clock.h"
#include "mapper.h"
#include "place.h"
#include "ranges.h"
#include "stage.h"

enum { MAPPERS = 3 };

extern const struct method method_munmap, method_punch, method_store_beside, method_sync, method_truncate;

/*
 * Resident bytes of a process's shared mappings of a file; UINT64_MAX where smaps cannot be read. Not by the device,
 * which stat and smaps name differently on some filesystems: a library with the same inode number is mapped privately.
 */
static uint64_t resident_of(pid_t process, const struct stat *file)
{
    char path[64], line[512], mode[8];
    uint64_t kib, inode, sum = 0;
    bool ours = false;
    snprintf(path, sizeof path, "/proc/%d/smaps", (int)process);
    FILE *smaps = fopen(path, "re");
    if (!smaps)
        return UINT64_MAX;
    while (fgets(line, sizeof line, smaps)) {
        if (sscanf(line, "%*x-%*x %7s %*x %*s %" SCNu64, mode, &inode) == 2)
            ours = inode == (uint64_t)file->st_ino && mode[3] == 's';
        else if (ours && sscanf(line, "Rss: %" SCNu64, &kib) == 1)
            sum += kib * KIB;
    }
    fclose(smaps);
    return sum;
}

/* VMAs of a process that are shared ones of the file. */
static unsigned mappings_of(pid_t process, const struct stat *file)
{
    char path[64], line[512], mode[8];
    uint64_t inode;
    unsigned count = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)process);
    FILE *maps = fopen(path, "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        count += sscanf(line, "%*x-%*x %7s %*x %*s %" SCNu64, mode, &inode) == 2 && mode[3] == 's' &&
                 inode == (uint64_t)file->st_ino;
    fclose(maps);
    return count;
}

static bool is_gone(pid_t process)
{
    return kill(process, 0) && errno == ESRCH;
}

static void open_target(struct target *target, struct params *params, struct stat *file)
{
    *params = bare_params(sharing_shared, 16, prior_loaded);
    params->file_bytes = params->working_set_bytes = 64 * physics_page_bytes();
    params->mappers = MAPPERS;
    physics_open(target, params);
    assert_int_equal(fstat(target->fd, file), 0);
}

static void test_mappers_map_every_page(void **state)
{
    (void)state;
    struct params params;
    struct target target;
    struct stat file;
    struct mappers *mappers, *again, *fewer;
    struct err err = {0};
    pid_t processes[MAPPERS];
    open_target(&target, &params, &file);
    assert_int_equal(mappers_start(&mappers, MAPPERS, mapper_view_shared, target.fd, target.file_bytes, &err), 0);
    for (unsigned i = 0; i < MAPPERS; i++) {
        processes[i] = mappers_process(mappers, i);
        assert_int_equal(resident_of(processes[i], &file), target.file_bytes);
    }
    assert_int_equal(mappers_start(&again, MAPPERS, mapper_view_shared, target.fd, target.file_bytes, &err), 0);
    assert_ptr_equal(again, mappers); /* another arm gets the same ones, not as many again */
    assert_int_equal(mappers_start(&fewer, 1, mapper_view_shared, target.fd, target.file_bytes, &err), 0);
    assert_ptr_not_equal(fewer, mappers);
    mappers_stop(fewer);
    mappers_stop(again);
    assert_int_equal(mappers_touch(mappers, &err), 0);
    mappers_stop(mappers);
    for (unsigned i = 0; i < MAPPERS; i++)
        assert_true(is_gone(processes[i]));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    target_close(&target);
}

/* The worker's munmap is no business of theirs. */
static void test_munmap_leaves_the_others(void **state)
{
    (void)state;
    struct params params;
    struct target target;
    struct stat file;
    struct bare_worker bare;
    open_target(&target, &params, &file);
    bare_setup(&bare, &method_munmap, &params, &target);
    bare_reset(&bare, 2);
    const struct ranges *ranges = bare.worker.own;
    pid_t process = mappers_process(ranges->mappers, 0);
    assert_int_equal(resident_of(getpid(), &file), 2 * params.range_bytes);
    bare_run(&bare, 2);
    assert_int_equal(resident_of(getpid(), &file), 0);
    assert_int_equal(resident_of(process, &file), target.file_bytes);
    bare_teardown(&bare);
    assert_true(is_gone(process));
    target_close(&target);
}

/* What a method takes is taken from all who map the file; the reset brings the pages back to all of them. */
static void takes_from_everyone(const struct method *method, ssize_t left)
{
    struct params params;
    struct target target;
    struct stat file;
    struct bare_worker bare;
    open_target(&target, &params, &file);
    snprintf(target.directory, sizeof target.directory, "/var/tmp"); /* its folder is gone, and it needs one */
    bare_setup(&bare, method, &params, &target);
    assert_int_equal(fstat(bare.worker.fd, &file), 0); /* a file of its own */
    off_t begin = (off_t)(bare.worker.base_bytes - 2 * params.range_bytes);
    for (unsigned i = 0; i < 2; i++) {
        unsigned char byte = 1;
        bare_reset(&bare, 2);
        assert_int_equal(pread(bare.worker.fd, &byte, 1, begin), 1);
        assert_int_not_equal(byte, 0);
        struct mappers *mappers;
        struct err err = {0};
        assert_int_equal(
            mappers_start(&mappers, MAPPERS, mapper_view_shared, bare.worker.fd, bare.worker.base_bytes, &err), 0);
        pid_t process = mappers_process(mappers, MAPPERS - 1);
        uint64_t own = resident_of(getpid(), &file), theirs = resident_of(process, &file);
        assert_true(own >= 2 * params.range_bytes && theirs >= 2 * params.range_bytes);
        bare_run(&bare, 2);
        assert_int_equal(resident_of(getpid(), &file), own - 2 * params.range_bytes);
        assert_int_equal(resident_of(process, &file), theirs - 2 * params.range_bytes);
        assert_int_equal(pread(bare.worker.fd, &byte, 1, begin), left);
        assert_int_equal(left ? byte : 0, 0);
        assert_int_equal(pread(bare.worker.fd, &byte, 1, begin - 1), 1); /* and no more than that */
        mappers_stop(mappers);
    }
    bare_teardown(&bare);
    target_close(&target);
}

static void test_punch_takes_from_everyone(void **state)
{
    (void)state;
    takes_from_everyone(&method_punch, 1); /* zeroes stay */
}

static void test_truncate_takes_from_everyone(void **state)
{
    (void)state;
    takes_from_everyone(&method_truncate, 0); /* nothing stays */
}

/* msync has to look at every mapper's entry and takes away none. */
static void test_msync_leaves_them_mapped(void **state)
{
    (void)state;
    struct params params;
    struct target target;
    struct stat file;
    struct bare_worker bare;
    open_target(&target, &params, &file);
    params.sync = sync_msync;
    bare_setup(&bare, &method_sync, &params, &target);
    pid_t process = mappers_process(bare.worker.own, 0);
    assert_int_equal(mappings_of(process, &file), 1); /* the worker's own is not handed down to it */
    bare_reset(&bare, 1);
    bare_run(&bare, 1);
    assert_int_equal(resident_of(process, &file), target.file_bytes);
    bare_teardown(&bare);
    assert_true(is_gone(process));
    target_close(&target);
}

/* They end with whoever started them, even when that is killed. */
static void test_none_outlives_its_parent(void **state)
{
    (void)state;
    struct params params;
    struct target target;
    struct stat file;
    struct err err = {0};
    struct mappers *mappers;
    pid_t processes[MAPPERS];
    int ends[2], status;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1)) /* what is orphaned becomes ours, to be waited for */
        physics_skip("PR_SET_CHILD_SUBREAPER: %s", strerror(errno));
    open_target(&target, &params, &file);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        if (mappers_start(&mappers, MAPPERS, mapper_view_shared, target.fd, target.file_bytes, &err))
            _exit(1);
        for (unsigned i = 0; i < MAPPERS; i++)
            processes[i] = mappers_process(mappers, i);
        if (write(ends[1], processes, sizeof processes) != sizeof processes)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ends[0], processes, sizeof processes), sizeof processes);
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, &status, 0), parent);
    for (unsigned i = 0; i < MAPPERS; i++) {
        uint64_t limit = clock_now_ns() + 5000 * MS;
        pid_t ended;
        while ((ended = waitpid(processes[i], &status, WNOHANG)) == 0 && clock_now_ns() < limit)
            usleep(1000);
        assert_int_equal(ended, processes[i]);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0); /* by the signal, or by the end of its socket */
    }
    close(ends[0]);
    close(ends[1]);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    target_close(&target);
}

/* A mapper that dies is noticed. */
static void test_a_dead_mapper_is_an_error(void **state)
{
    (void)state;
    struct params params;
    struct target target;
    struct stat file;
    struct err err = {0};
    struct mappers *mappers;
    open_target(&target, &params, &file);
    assert_int_equal(mappers_start(&mappers, MAPPERS, mapper_view_shared, target.fd, target.file_bytes, &err), 0);
    assert_int_equal(kill(mappers_process(mappers, 1), SIGKILL), 0);
    assert_int_equal(mappers_touch(mappers, &err), -ECHILD);
    mappers_stop(mappers);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    target_close(&target);
}

static volatile sig_atomic_t interruptions;

static void interrupt(int number)
{
    (void)number;
    interruptions++;
}

/* A signal, such as a timer's, is no end of theirs: neither while they are waited for, nor while they end. */
static void test_a_signal_is_not_their_death(void **state)
{
    (void)state;
    struct params params;
    struct target target;
    struct stat file;
    struct err err = {0};
    struct mappers *mappers;
    struct sigaction action = {.sa_handler = interrupt}, before; /* without SA_RESTART */
    const struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
    int rc = 0;
    open_target(&target, &params, &file);
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    interruptions = 0;
    assert_int_equal(mappers_start(&mappers, MAPPERS, mapper_view_shared, target.fd, target.file_bytes, &err), 0);
    setitimer(ITIMER_REAL, &often, NULL);
    for (unsigned i = 0; i < 1000 && rc == 0 && interruptions < 100; i++)
        rc = mappers_fault(mappers, &err);
    mappers_stop(mappers);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    assert_int_equal(rc, 0);
    assert_true(interruptions > 10);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* none is left to be waited for */
    target_close(&target);
}

/* How a process has the file mapped: the last letter of its mode, 's' or 'p'; 0: not at all. */
static char mode_of(pid_t process, const struct stat *file)
{
    char path[64], line[512], mode[8], found = 0;
    uint64_t inode;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)process);
    FILE *maps = fopen(path, "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%*x-%*x %7s %*x %*s %" SCNu64, mode, &inode) == 2 && inode == (uint64_t)file->st_ino)
            found = mode[3];
    fclose(maps);
    return found;
}

/* Minor faults of another process so far (proc(5): the tenth field of stat). */
static uint64_t faults_of(pid_t process)
{
    char path[64], line[1024];
    uint64_t faults = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
    FILE *stat = fopen(path, "re");
    assert_non_null(stat);
    assert_non_null(fgets(line, sizeof line, stat));
    fclose(stat);
    const char *behind_name = strrchr(line, ')');
    assert_int_equal(sscanf(behind_name + 1, " %*c %*d %*d %*d %*d %*d %*u %" SCNu64, &faults), 1);
    return faults;
}

/* They look at the file as they are told, and fault on it anew before each batch where they map it;
 * and a store to a page that is writable already faults for none of it, unless they cut the file off. */
static void test_no_look_makes_a_store_fault(void **state)
{
    static const struct {
        int view, sharing;
        char mode;
        unsigned faults; /* of the 64 stores */
    } cases[] = {
        {mapper_view_shared, sharing_shared, 's', 0},   {mapper_view_private, sharing_shared, 'p', 0},
        {mapper_view_pread, sharing_shared, 0, 0},      {mapper_view_pwrite, sharing_shared, 0, 0},
        {mapper_view_private, sharing_private, 'p', 0}, {mapper_view_pwrite, sharing_private, 0, 0},
        {mapper_view_none, sharing_shared, 0, 0},       {mapper_view_none, sharing_private, 0, 0},
        {mapper_view_cut, sharing_shared, 0, 64},       {mapper_view_cut, sharing_private, 0, 64},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct params params;
        struct target target;
        struct stat file;
        struct stage stage;
        struct err err = {0};
        open_target(&target, &params, &file);
        params.access = access_store;
        params.block_bytes = 64;
        params.stride_bytes = physics_page_bytes();
        params.sharing = (uint64_t)cases[i].sharing;
        params.mapper_view = (uint64_t)cases[i].view;
        params.mappers = cases[i].view == mapper_view_cut ? 1 : MAPPERS; /* which would be in each other's way */
        stage_begin(&stage, &method_store_beside, &params, &target);
        assert_int_equal(mode_of(mappers_process(stage.worker.own, 0), &file), cases[i].mode);
        for (unsigned again = 0; again < 2; again++) {
            uint64_t theirs = faults_of(mappers_process(stage.worker.own, 0));
            assert_int_equal(method_store_beside.reset(&stage.worker, 64, &err), 0);
            theirs = faults_of(mappers_process(stage.worker.own, 0)) - theirs;
            if (cases[i].mode)
                assert_true(theirs >= 1);
            uint64_t faults = stage_minor_faults();
            assert_int_equal(method_store_beside.run(&stage.worker, 64), 0);
            faults = stage_minor_faults() - faults;
#ifndef PHYSICS_SANITIZED /* which touches memory of its own whenever it likes */
            if (!cases[i].mode)
                assert_int_equal(theirs, 0);
            assert_int_equal(faults, cases[i].faults);
#endif
        }
        stage_end(&stage);
        target_close(&target);
    }
}

/* Who cuts the file off makes it as it was, whatever was stored to it. */
static void test_what_is_cut_off_comes_back(void **state)
{
    (void)state;
    struct params params;
    struct target target;
    struct stat file;
    struct mappers *mappers;
    struct err err = {0};
    open_target(&target, &params, &file);
    unsigned char *before = malloc(target.file_bytes), *after = malloc(target.file_bytes);
    assert_true(before && after);
    assert_int_equal(pwrite(target.fd, "stored", 6, (off_t)(3 * physics_page_bytes() + 5)), 6);
    assert_int_equal(pread(target.fd, before, target.file_bytes, 0), target.file_bytes);
    assert_int_equal(mappers_start(&mappers, 1, mapper_view_cut, target.fd, target.file_bytes / 2, &err), 0);
    unsigned char *page = mmap(NULL, physics_page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE, target.fd, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    page[0] = (unsigned char)(before[0] + 1);
    assert_int_equal(mappers_touch(mappers, &err), 0);
    assert_int_equal(page[0], (unsigned char)(before[0] + 1)); /* not before it is told to */
    assert_int_equal(mappers_fault(mappers, &err), 0);
    assert_int_equal(page[0], before[0]); /* the copy is gone, and the file is back */
    assert_int_equal(pread(target.fd, after, target.file_bytes, 0), target.file_bytes);
    assert_memory_equal(before, after, target.file_bytes);
    assert_int_equal(munmap(page, physics_page_bytes()), 0);
    mappers_stop(mappers);
    free(before);
    free(after);
    target_close(&target);
}

static struct cpu_mask allowed; /* when the program began */

/* What they load is to come from another CPU's caches, and has to go back there. */
static void test_they_run_elsewhere(void **state)
{
    (void)state;
    struct params params;
    struct target target;
    struct stat file;
    struct mappers *mappers;
    struct err err = {0};
    if (cpu_mask_count(&allowed) < 2)
        physics_skip("this process may use one CPU: nowhere is elsewhere");
    unsigned own = (unsigned)sched_getcpu();
    open_target(&target, &params, &file);
    assert_int_equal(place_bind(own, &err), 0);
    assert_int_equal(mappers_start(&mappers, MAPPERS, mapper_view_shared, target.fd, target.file_bytes, &err), 0);
    for (unsigned i = 0; i < MAPPERS; i++) {
        struct cpu_mask mask;
        CPU_ZERO_S(sizeof mask, mask.part);
        assert_int_equal(sched_getaffinity(mappers_process(mappers, i), sizeof mask, mask.part), 0);
        assert_int_equal(cpu_mask_count(&mask), 1);
        assert_false(cpu_mask_has(&mask, own));
    }
    mappers_stop(mappers);
    assert_int_equal(sched_setaffinity(0, sizeof allowed, allowed.part), 0);
    target_close(&target);
}

int main(void)
{
    if (cpu_mask_read(&allowed))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mappers_map_every_page),      cmocka_unit_test(test_munmap_leaves_the_others),
        cmocka_unit_test(test_punch_takes_from_everyone),   cmocka_unit_test(test_truncate_takes_from_everyone),
        cmocka_unit_test(test_msync_leaves_them_mapped),    cmocka_unit_test(test_none_outlives_its_parent),
        cmocka_unit_test(test_a_dead_mapper_is_an_error),   cmocka_unit_test(test_no_look_makes_a_store_fault),
        cmocka_unit_test(test_a_signal_is_not_their_death), cmocka_unit_test(test_what_is_cut_off_comes_back),
        cmocka_unit_test(test_they_run_elsewhere),
    };
    return physics_run_beside(tests, DISTURBED_BY_WRITEBACK);
}
