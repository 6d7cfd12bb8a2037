/* SPDX-License-Identifier: MIT */
/*
 * Counters of perf_event_open against what the kernel accounts otherwise and against what was done: page faults,
 * context switches, faults within system calls, members of several PMUs in one group, and how a counter is refused.
 */
#include "physics.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "cpu.h"
#include "perf.h"
#include "sysfile.h"

enum { PAGES = 64, SLEEPS = 50, SLEEP_ATTEMPTS = 20, NOBODY = 65534 };

extern const struct method method_first_touch;

static uint64_t page_bytes;
static unsigned char *fresh;
static struct rusage usage_before, usage_after;
static int zero_fd = -1;

/* Small pages that were never touched. */
static int map_fresh(void **state)
{
    (void)state;
    page_bytes = physics_page_bytes();
    fresh = mmap(NULL, PAGES * page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh != MAP_FAILED)
        madvise(fresh, PAGES * page_bytes, MADV_NOHUGEPAGE); /* kernels without huge pages refuse it */
    return fresh == MAP_FAILED;
}

static int unmap_fresh(void **state)
{
    (void)state;
    return munmap(fresh, PAGES * page_bytes);
}

/* Ends the test as skipped where the counter cannot be had; tests about refusals do not come here. */
static struct perf_counter need(const char *name)
{
    struct perf_counter counter;
    perf_find(&counter, name);
    if (!counter.opened)
        physics_skip("%s: %s", name, counter.reason);
    return counter;
}

static struct perf_counter need_with_kernel(const char *name)
{
    struct perf_counter counter = need(name);
    if (counter.user_only)
        physics_skip("%s: only user mode may be counted here", name);
    return counter;
}

static uint64_t count_of(const struct perf_counter *counter, void (*work)(void))
{
    uint64_t count = 0;
    double share = 0;
    struct err why = {0};
    if (perf_try(counter, work, &count, &share, &why))
        fail_msg("%s", why.text);
    assert_true(share == 1); /* software events are always on */
    return count;
}

static void touch(void)
{
    for (unsigned i = 0; i < PAGES; i++)
        ((volatile unsigned char *)fresh)[i * page_bytes] = 1;
}

static void touch_between_usages(void)
{
    getrusage(RUSAGE_THREAD, &usage_before);
    touch();
    getrusage(RUSAGE_THREAD, &usage_after);
}

static uint64_t faults_between_usages(void)
{
    return (uint64_t)(usage_after.ru_minflt - usage_before.ru_minflt + usage_after.ru_majflt - usage_before.ru_majflt);
}

static void faults_are_rusages_and_the_pages_touched(void **state)
{
    (void)state;
    physics_need_exact_counts();
    struct perf_counter counter = need("page_faults"), minor = need("perf_minor_faults");
    struct perf_counter major = need("perf_major_faults");
    getrusage(RUSAGE_THREAD, &usage_after); /* its page, too, is touched now */
    uint64_t count = count_of(&counter, touch_between_usages);
    assert_int_equal(count, PAGES);
    assert_int_equal(faults_between_usages(), PAGES);
    madvise(fresh, PAGES * page_bytes, MADV_DONTNEED);
    assert_int_equal(count_of(&minor, touch), PAGES);
    madvise(fresh, PAGES * page_bytes, MADV_DONTNEED);
    assert_int_equal(count_of(&major, touch), 0);
}

static void read_into_fresh(void)
{
    size_t wanted = PAGES * page_bytes;
    assert_int_equal(read(zero_fd, fresh, wanted), (ssize_t)wanted);
}

/* The counter as it is opened where the kernel is refused. */
static struct perf_counter in_user_mode(struct perf_counter counter)
{
    counter.user_only = true;
    return counter;
}

static void user_mode_misses_faults_within_system_calls(void **state)
{
    (void)state;
    physics_need_exact_counts();
    struct perf_counter full = need_with_kernel("page_faults"), user = in_user_mode(full);
    zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    assert_true(zero_fd >= 0);
    assert_int_equal(count_of(&full, read_into_fresh), PAGES);
    madvise(fresh, PAGES * page_bytes, MADV_DONTNEED);
    assert_int_equal(count_of(&user, read_into_fresh), 0);
    madvise(fresh, PAGES * page_bytes, MADV_DONTNEED);
    assert_int_equal(count_of(&user, touch), PAGES);
    close(zero_fd);
}

static void sleep_often(void)
{
    getrusage(RUSAGE_THREAD, &usage_before);
    for (unsigned i = 0; i < SLEEPS; i++)
        usleep(1000); /* long enough not to be over before the worker sleeps, in an emulator too */
    getrusage(RUSAGE_THREAD, &usage_after);
}

static void switches_are_those_forced(void **state)
{
    (void)state;
    struct perf_counter counter = need_with_kernel("context_switches");
    uint64_t voluntary = 0;
    sleep_often(); /* whatever is touched for the first time */
    /* Where others take the CPU for a millisecond, a sleep may be over before it has begun: not every time. */
    for (unsigned i = 0; i < SLEEP_ATTEMPTS && voluntary != SLEEPS; i++) {
        uint64_t count = count_of(&counter, sleep_often);
        voluntary = (uint64_t)(usage_after.ru_nvcsw - usage_before.ru_nvcsw);
        uint64_t involuntary = (uint64_t)(usage_after.ru_nivcsw - usage_before.ru_nivcsw);
        assert_in_range(count, voluntary + involuntary, voluntary + involuntary + 2); /* beside the readings */
    }
    assert_int_equal(voluntary, SLEEPS);
}

/* Members of three PMUs, whichever leads: each counts from the start, as often as the group is started. */
static void members_of_several_pmus_all_count(void **state)
{
    (void)state;
    physics_need_exact_counts();
    struct err err = {0};
    static const char *const orders[] = {"tsc_ticks,page_faults,task_clock_ns", "page_faults,task_clock_ns,tsc_ticks"};
    for (unsigned o = 0; o < 2; o++) {
        struct perf_set set;
        struct perf_group group;
        assert_int_equal(perf_find_list(&set, orders[o], &err), 0);
        if (set.openable != 7)
            physics_skip("one of %s cannot be opened", orders[o]);
        perf_group_open(&group, &set, set.openable);
        for (unsigned again = 0; again < 3; again++) {
            struct perf_reading before = {0}, counted = {0};
            madvise(fresh, PAGES * page_bytes, MADV_DONTNEED);
            perf_group_read(&group, &before);
            perf_group_start(&group);
            touch();
            perf_group_stop(&group);
            perf_group_read(&group, &counted);
            perf_reading_subtract(&counted, &before);
            assert_int_equal(counted.values[o == 0], PAGES);
            assert_in_range(counted.values[o == 0 ? 0 : 2], 1, UINT64_MAX - 1);
            assert_in_range(counted.values[o == 0 ? 2 : 1], 1, UINT64_MAX - 1);
            assert_true(counted.enabled_ns > 0 && counted.running_ns == counted.enabled_ns);
        }
        perf_group_close(&group);
    }
}

/* ---- the counting pass of a cell ---- */

static void measure_workers(struct physics_cell *cell, struct perf_set *set, const char *names, unsigned workers,
                            enum worker_kind kind)
{
    struct err err = {0};
    struct params params = physics_params(PAGES * page_bytes, recipe_write_4KiB, cache_warm);
    params.sharing = sharing_anonymous;
    params.pattern = pattern_stride;
    params.block_bytes = 64;
    params.access = access_store;
    params.workers = workers;
    params.worker_kind = kind;
    assert_int_equal(perf_find_list(set, names, &err), 0);
    physics_begin(cell, &params);
    physics_arm(cell, &method_first_touch, 1);
    struct measure_request request = {
        .plan = &cell->plan,
        .cell = &cell->cell,
        .seed = 42,
        .ops = cell->ops,
        .rounds = 2,
        .events = set,
        .turn = {.read_fd = -1, .write_fd = -1},
        .clock = {.cost_ns = 20, .grid_ns = 1},
    };
    if (measure_cell(&request, &cell->result, &err))
        fail_msg("%s", err.text);
    physics_expect_ok(cell, 0);
}

static void every_worker_counts_its_own(void **state)
{
    (void)state;
    physics_need_exact_counts();
    need("page_faults");
    static const struct {
        unsigned workers;
        enum worker_kind kind;
    } crews[] = {{1, worker_kind_thread}, {2, worker_kind_thread}, {2, worker_kind_process}};
    for (unsigned c = 0; c < 3; c++) {
        static struct physics_cell cell;
        static struct perf_set set;
        measure_workers(&cell, &set, "page_faults", crews[c].workers, crews[c].kind);
        uint64_t faults = physics_count(&cell, 0, COUNTER_minor_faults) + physics_count(&cell, 0, COUNTER_major_faults);
        assert_int_equal(cell.result.arms[0].events[0].value, faults);
        assert_int_equal(faults, PAGES * crews[c].workers);
        assert_true(cell.result.arms[0].events[0].share == 1);
        measure_free(&cell.result);
    }
}

/* As on a CPU with room for one counter: of each group of more, the first reading says that they took turns. */
static struct perf_calls real_calls;
static unsigned member_count;

static int open_counted(struct perf_event_attr *attr, int leader)
{
    int fd = real_calls.open(attr, leader);
    member_count = leader < 0 ? 1 : member_count + (fd >= 0);
    return fd;
}

static ssize_t read_crowded(int fd, void *bytes, size_t size)
{
    uint64_t *words = bytes;
    ssize_t done = real_calls.read(fd, bytes, size);
    if (done > 0 && member_count > 1)
        words[2] = words[1] / 2; /* count, enabled, running */
    return done;
}

static int open_alone(struct perf_event_attr *attr, int leader)
{
    if (leader >= 0) {
        errno = EINVAL;
        return -1;
    }
    return real_calls.open(attr, leader);
}

static void check_split(const struct perf_calls *calls)
{
    static struct physics_cell cell;
    static struct perf_set set;
    unsigned passes = 0;
    real_calls = perf_calls;
    perf_calls = *calls;
    measure_workers(&cell, &set, "page_faults,perf_minor_faults,perf_major_faults,task_clock_ns", 1,
                    worker_kind_thread);
    perf_calls = real_calls;
    const struct event_count *events = cell.result.arms[0].events;
    assert_int_equal(events[0].value, PAGES);
    assert_int_equal(events[1].value, PAGES);
    assert_int_equal(events[2].value, 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(events[i].value != UINT64_MAX && events[i].share == 1 && events[i].error == 0);
        passes |= 1U << events[i].pass;
    }
    assert_int_equal(__builtin_popcount(passes), 4); /* each has had a pass of its own */
    measure_free(&cell.result);
}

static void what_takes_turns_is_counted_again(void **state)
{
    (void)state;
    physics_need_exact_counts();
    need("page_faults");
    check_split(&(struct perf_calls){open_counted, read_crowded});
}

static void what_is_refused_beside_others_is_counted_again(void **state)
{
    (void)state;
    physics_need_exact_counts();
    need("page_faults");
    check_split(&(struct perf_calls){open_alone, read});
}

static ssize_t read_never_on(int fd, void *bytes, size_t size)
{
    uint64_t *words = bytes;
    ssize_t done = read(fd, bytes, size);
    words[2] = 0;
    return done;
}

static void never_on_the_counters_is_unknown(void **state)
{
    (void)state;
    static struct physics_cell cell;
    static struct perf_set set;
    need("page_faults");
    perf_calls.read = read_never_on;
    measure_workers(&cell, &set, "page_faults", 1, worker_kind_thread);
    perf_calls.read = read;
    assert_true(cell.result.arms[0].events[0].value == UINT64_MAX);
    assert_true(cell.result.arms[0].events[0].share == 0);
    assert_true(cell.result.arms[0].has_counts);
    measure_free(&cell.result);
}

/* ---- refusals ---- */

static void hardware_says_why_not(void **state)
{
    (void)state;
    struct perf_counter counter;
    perf_find(&counter, "hardware:cpu-cycles");
    if (counter.opened)
        physics_skip("this machine has a performance monitoring unit");
    if (cpu_is_emulated()) {
        assert_non_null(strstr(counter.reason, "emulated"));
        perf_find(&counter, "reference_cycles");
        assert_false(counter.opened);
        perf_find(&counter, "page_faults"); /* what is no time is counted there, too */
        assert_true(counter.opened);
        return;
    }
    assert_true(counter.encoded);
    assert_non_null(strstr(counter.reason, "performance monitoring unit"));
}

/* Runs a test in a child that may change what it can do; 77 skips, anything else but 0 fails. */
static void in_child(int (*test)(void))
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(test());
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        physics_skip("the child cannot be made so here");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static bool refused(const char *name, const char *part)
{
    struct perf_counter counter;
    perf_find(&counter, name);
    if (!counter.opened && strstr(counter.reason, part))
        return true;
    fprintf(stderr, "%s: opened %d, '%s' does not say '%s'\n", name, counter.opened, counter.reason, part);
    return false;
}

static int as_nobody(void)
{
    struct perf_counter counter;
    int64_t paranoid = 0;
    struct err unused = {0};
    if (sysfile_number(&paranoid, &unused, "/proc/sys/kernel/perf_event_paranoid") || paranoid != 2)
        return 77; /* below, the kernel may be counted; above, some kernels refuse everything */
    if (geteuid() == 0 && (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)))
        return 77;
    perf_find(&counter, "page_faults");
    if (!counter.opened || !counter.user_only || strcmp(counter.label, "page_faults:u") != 0)
        return 1;
    /* In user mode these would be 0 whatever happened. */
    return refused("context_switches", "perf_event_paranoid is 2") && refused("cpu_migrations", "CAP_PERFMON") ? 0 : 2;
}

static void without_rights_user_mode_is_left(void **state)
{
    (void)state;
    in_child(as_nobody);
}

static int without_descriptors(void)
{
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct rlimit limit = {(rlim_t)next, (rlim_t)next};
    close(next);
    return setrlimit(RLIMIT_NOFILE, &limit) ? 77 : refused("page_faults", "descriptor") ? 0 : 1;
}

static void without_descriptors_it_says_so(void **state)
{
    (void)state;
    need("page_faults");
    in_child(without_descriptors);
}

/* Has perf_event_open end as a container's filter decides. */
static bool forbid(unsigned action)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_perf_event_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof program / sizeof *program, program};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static int in_container(void)
{
    return forbid(SECCOMP_RET_ERRNO | EPERM)
               ? !refused("page_faults", "Operation not permitted), as in most containers")
               : 77;
}

static int in_older_container(void)
{
    return forbid(SECCOMP_RET_ERRNO | ENOSYS)
               ? !refused("page_faults", "Function not implemented), as in most containers")
               : 77;
}

/* The filter ends the process that tries, which is not the one that measures. */
static int where_it_kills(void)
{
    static struct perf_set set;
    struct err err = {0};
    if (!forbid(SECCOMP_RET_KILL_PROCESS))
        return 77;
    if (perf_find_list(&set, "NO_SUCH_EVENT,page_faults,cycles", &err) || set.count != 3 || set.openable)
        return 1;
    return strstr(set.counters[1].reason, "Bad system call") && strstr(set.counters[2].reason, "Bad system call") &&
                   !strstr(set.counters[0].reason, "Bad system call")
               ? 0
               : 2;
}

static void containers_are_named(void **state)
{
    (void)state;
    in_child(where_it_kills);
    in_child(in_container);
    in_child(in_older_container);
}

/* ---- tracepoints ---- */

/* tracefs on a mount of this process's own, which goes with it. */
static int with_tracefs(void)
{
    struct perf_counter counter;
    struct err why = {0};
    uint64_t user = 0, kernel = 0;
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("none", "/sys/kernel/tracing", "tracefs", 0, NULL))
        return 77;
    perf_find(&counter, "user_faults");
    if (!counter.opened)
        return access("/sys/kernel/tracing/events/exceptions/page_fault_user", F_OK) ? 77 : 1;
    if (perf_try(&counter, touch, &user, NULL, &why) || user != PAGES)
        return 2;
    perf_find(&counter, "tracepoint:exceptions:page_fault_kernel");
    madvise(fresh, PAGES * page_bytes, MADV_DONTNEED);
    zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    if (perf_try(&counter, read_into_fresh, &kernel, NULL, &why) || kernel != PAGES)
        return 3;
    return refused("tracepoint:nosuch:event", "no tracepoint nosuch:event") ? 0 : 4;
}

static void tracepoints_tell_faults_apart(void **state)
{
    (void)state;
    physics_need_exact_counts();
    in_child(with_tracefs);
}

static int without_tracefs(void)
{
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
        return 77;
    while (access("/sys/kernel/tracing/events", F_OK) == 0)
        if (umount2("/sys/kernel/tracing", MNT_DETACH))
            return 77;
    while (access("/sys/kernel/debug/tracing/events", F_OK) == 0)
        if (umount2("/sys/kernel/debug/tracing", MNT_DETACH) && umount2("/sys/kernel/debug", MNT_DETACH))
            return 77;
    return refused("user_faults", "tracefs is not mounted") ? 0 : 1;
}

static void without_tracefs_it_says_so(void **state)
{
    (void)state;
    in_child(without_tracefs);
}

#define WITH_PAGES(test) cmocka_unit_test_setup_teardown(test, map_fresh, unmap_fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PAGES(faults_are_rusages_and_the_pages_touched),
        WITH_PAGES(user_mode_misses_faults_within_system_calls),
        WITH_PAGES(switches_are_those_forced),
        WITH_PAGES(members_of_several_pmus_all_count),
        WITH_PAGES(every_worker_counts_its_own),
        WITH_PAGES(what_takes_turns_is_counted_again),
        WITH_PAGES(what_is_refused_beside_others_is_counted_again),
        WITH_PAGES(never_on_the_counters_is_unknown),
        WITH_PAGES(hardware_says_why_not),
        WITH_PAGES(without_rights_user_mode_is_left),
        WITH_PAGES(without_descriptors_it_says_so),
        WITH_PAGES(containers_are_named),
        WITH_PAGES(tracepoints_tell_faults_apart),
        WITH_PAGES(without_tracefs_it_says_so),
    };
    return physics_run_beside(tests, DISTURBED_BY_STARVATION);
}
