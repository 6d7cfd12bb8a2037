/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "perf.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpu.h"
#include "sysfile.h"

enum { DEADLINE_S = 20 }; /* of trying out a whole list; each takes a millisecond at most */

static int call_open(struct perf_event_attr *attr, int leader)
{
    return (int)syscall(SYS_perf_event_open, attr, 0, -1, leader, PERF_FLAG_FD_CLOEXEC);
}

struct perf_calls perf_calls = {call_open, read};

void perf_explain(int code, struct err *why)
{
    int64_t paranoid = 0;
    struct err unused = {0};
    switch (code) {
    case ENOENT:
    case ENODEV:
    case EOPNOTSUPP:
        err_set(why, code, "there is no performance monitoring unit for it here; virtual machines seldom have one");
        return;
    case EACCES:
        if (sysfile_number(&paranoid, &unused, "/proc/sys/kernel/perf_event_paranoid") == 0)
            err_set(why, code, "kernel.perf_event_paranoid is %" PRId64 ": it takes CAP_PERFMON", paranoid);
        else
            err_set(why, code, "it takes CAP_PERFMON");
        return;
    case EPERM:
    case ENOSYS:
        err_set(why, code, "perf_event_open is forbidden (%s), as in most containers", strerror(code));
        return;
    case EMFILE:
    case ENFILE:
        err_set(why, code, "no file descriptor is left for it (ulimit -n)");
        return;
    case EINVAL:
        err_set(why, code, "it cannot be counted for a thread, or not so");
        return;
    default:
        err_set(why, code, "perf_event_open: %s", strerror(code));
    }
}

/* A descriptor, or -errno. Only the leader starts stopped: the others follow it. */
static int open_code(const struct event_code *code, bool user_only, int leader)
{
    struct perf_event_attr attr = code->attr;
    attr.disabled = leader < 0;
    attr.exclude_kernel |= user_only;
    attr.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_ID | PERF_FORMAT_TOTAL_TIME_ENABLED |
                       PERF_FORMAT_TOTAL_TIME_RUNNING;
    int fd = perf_calls.open(&attr, leader);
    return fd < 0 ? -errno : fd;
}

/* Steps down from kernel and user mode to user mode, where the kernel's share is refused and something is left. */
static int open_stepping_down(const struct event_code *code, bool *user_only)
{
    *user_only = false;
    int fd = open_code(code, false, -1);
    bool refused = fd == -EACCES || fd == -EPERM;
    if (!refused || code->kernel_only || code->attr.exclude_kernel)
        return fd;
    int stepped = open_code(code, true, -1);
    *user_only = stepped >= 0;
    return stepped >= 0 ? stepped : fd;
}

/* One source. False when it does not open; the first that is known here is the one to report. */
static bool try_source(struct perf_counter *counter, const char *source)
{
    struct event_code code;
    struct err why = {0};
    bool user_only;
    int rc = event_encode(source, &code, &why);
    int fd = rc ? -1 : open_stepping_down(&code, &user_only);
    if (fd < 0 && rc == 0)
        perf_explain(-fd, &why);
    if (fd < 0 && (counter->encoded || (rc && counter->reason[0])))
        return false;
    counter->encoded = rc == 0;
    counter->code = code;
    snprintf(counter->reason, sizeof counter->reason, "%.*s", (int)sizeof counter->reason - 1, why.text);
    if (fd < 0)
        return false;
    close(fd);
    counter->opened = true;
    counter->user_only = user_only || code.attr.exclude_kernel;
    if (user_only)
        strcat(counter->label, ":u");
    counter->reason[0] = '\0';
    return true;
}

/* Of an emulated machine these are what the emulator takes them to be. What is not in the table is told by its name. */
static bool counts_time(const struct perf_counter *counter)
{
    static const char *const parts[] = {"cyc", "clk", "unhalted", "tsc"};
    bool is = counter->event &&
              (strcmp(counter->event->unit, "ticks") == 0 || strcmp(counter->event->unit, "cycles") == 0);
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !counter->event; i++)
        is |= strcasestr(counter->label, parts[i]) != NULL;
    return is;
}

void perf_find(struct perf_counter *counter, const char *name)
{
    const char *sources = event_sources(name);
    char source[EVENT_SOURCE_SIZE];
    *counter = (struct perf_counter){.event = event_find(name)};
    snprintf(counter->label, sizeof counter->label - 2, "%s", name);
    if (counts_time(counter) && cpu_is_emulated()) {
        snprintf(counter->reason, sizeof counter->reason, "this machine is emulated, and has no cycles of its own");
        return;
    }
    while (!counter->opened && event_next_source(&sources, source, sizeof source))
        try_source(counter, source);
}

/* In the child: signals that end it do so, whatever the parent or a sanitizer made of them. */
static void find_all(struct perf_set *found, const char *names)
{
    char name[EVENT_SOURCE_SIZE];
    signal(SIGSYS, SIG_DFL);
    signal(SIGALRM, SIG_DFL);
    alarm(DEADLINE_S);
    for (unsigned i = 0; i < EVENTS_MAX && event_next_name(&names, name, sizeof name); i++) {
        perf_find(&found->counters[i], name);
        found->openable |= (uint32_t)found->counters[i].opened << i;
        found->count = i + 1;
    }
}

/* Those that the child had not come to when it died. */
static void explain_rest(struct perf_set *found, const char *names, int status)
{
    char name[EVENT_SOURCE_SIZE];
    for (unsigned i = 0; i < EVENTS_MAX && event_next_name(&names, name, sizeof name); i++) {
        if (i < found->count)
            continue;
        found->counters[i] = (struct perf_counter){.event = event_find(name)};
        snprintf(found->counters[i].label, PERF_LABEL_SIZE - 2, "%s", name);
        snprintf(found->counters[i].reason, sizeof found->counters[i].reason, "trying it ended the process: %s",
                 WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it exited");
        found->count = i + 1;
    }
}

int perf_find_list(struct perf_set *set, const char *names, struct err *err)
{
    int status = 0, rc = 0;
    *set = (struct perf_set){.count = 0};
    if (!*names)
        return 0;
    struct perf_set *found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED)
        return err_sys(err, "mmap");
    pid_t child = fork();
    if (child == 0) {
        find_all(found, names);
        _exit(0); /* the program's own way out would write its buffers twice */
    }
    if (child < 0)
        rc = err_sys(err, "fork");
    while (rc == 0 && waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            rc = err_sys(err, "waitpid");
    explain_rest(found, names, status);
    *set = *found;
    munmap(found, sizeof *found);
    return rc;
}

/* ---- groups ---- */

static bool has(uint32_t members, unsigned i)
{
    return members >> i & 1;
}

static void open_member(struct perf_group *group, unsigned i)
{
    const struct perf_counter *counter = &group->set->counters[i];
    int fd = open_code(&counter->code, counter->user_only, group->leader);
    group->errors[i] = fd < 0 ? -fd : 0;
    if (fd >= 0 && ioctl(fd, PERF_EVENT_IOC_ID, &group->ids[i])) {
        group->errors[i] = errno;
        close(fd);
        fd = -1;
    }
    group->fds[i] = fd < 0 ? -1 : fd;
    if (group->leader < 0)
        group->leader = group->fds[i];
}

void perf_group_open(struct perf_group *group, const struct perf_set *set, uint32_t members)
{
    struct perf_reading unused;
    *group = (struct perf_group){.set = set, .members = members, .leader = -1};
    for (unsigned i = 0; i < EVENTS_MAX; i++) {
        group->fds[i] = -1;
        if (has(members, i))
            open_member(group, i);
    }
    perf_group_start(group); /* what the calls themselves touch for the first time is not to be counted */
    perf_group_stop(group);
    perf_group_read(group, &unused);
}

void perf_group_close(struct perf_group *group)
{
    for (unsigned i = 0; group->set && i < EVENTS_MAX; i++)
        if (group->fds[i] >= 0)
            close(group->fds[i]);
    group->set = NULL;
    group->members = 0;
    group->leader = -1;
}

/* The format of a group's reading, perf_event_open(2). */
struct group_bytes {
    uint64_t count, enabled_ns, running_ns;
    struct {
        uint64_t value, id;
    } each[EVENTS_MAX];
};

void perf_group_read(const struct perf_group *group, struct perf_reading *reading)
{
    struct group_bytes bytes = {0};
    if (!group->set)
        return;
    ssize_t done = group->leader < 0 ? 0 : perf_calls.read(group->leader, &bytes, sizeof bytes);
    int failed = done < 0 ? errno : 0;
    reading->enabled_ns = bytes.enabled_ns;
    reading->running_ns = bytes.running_ns;
    for (unsigned i = 0; i < EVENTS_MAX; i++) {
        reading->values[i] = UINT64_MAX;
        reading->errors[i] = has(group->members, i) && group->errors[i] == 0 ? failed : group->errors[i];
        for (uint64_t n = 0; n < bytes.count && n < EVENTS_MAX && group->fds[i] >= 0; n++)
            if (bytes.each[n].id == group->ids[i])
                reading->values[i] = bytes.each[n].value;
    }
}

/*
 * The leader alone is started and stopped, and the others follow it. With PERF_IOC_FLAG_GROUP each would be stopped by
 * itself, and started again only when its own PMU is scheduled anew: members of another PMU than the leader's counted
 * nothing until the next context switch, with running == enabled (Linux 6.18, __perf_event_enable).
 */
void perf_group_start(const struct perf_group *group)
{
    if (group->leader >= 0)
        ioctl(group->leader, PERF_EVENT_IOC_ENABLE, 0);
}

void perf_group_stop(const struct perf_group *group)
{
    if (group->leader >= 0)
        ioctl(group->leader, PERF_EVENT_IOC_DISABLE, 0);
}

void perf_reading_subtract(struct perf_reading *after, const struct perf_reading *before)
{
    after->enabled_ns -= before->enabled_ns;
    after->running_ns -= before->running_ns;
    for (unsigned i = 0; i < EVENTS_MAX; i++)
        if (after->values[i] != UINT64_MAX && before->values[i] != UINT64_MAX && after->running_ns)
            after->values[i] -= before->values[i];
        else
            after->values[i] = UINT64_MAX;
}

void perf_reading_add(struct perf_reading *into, const struct perf_reading *from)
{
    /* running/enabled of the one that has less of it */
    if ((double)from->running_ns * (double)into->enabled_ns < (double)into->running_ns * (double)from->enabled_ns) {
        into->enabled_ns = from->enabled_ns;
        into->running_ns = from->running_ns;
    }
    for (unsigned i = 0; i < EVENTS_MAX; i++) {
        bool known = into->values[i] != UINT64_MAX && from->values[i] != UINT64_MAX;
        into->values[i] = known ? into->values[i] + from->values[i] : UINT64_MAX;
        into->errors[i] = into->errors[i] ? into->errors[i] : from->errors[i];
    }
}

/* Half of the members, the first ones. */
static uint32_t first_half(uint32_t members)
{
    uint32_t half = 0;
    for (unsigned i = 0, wanted = (unsigned)__builtin_popcount(members) / 2; wanted; i++)
        if (has(members, i)) {
            half |= UINT32_C(1) << i;
            wanted--;
        }
    return half;
}

unsigned perf_split(uint32_t members, const struct perf_reading *reading, uint32_t parts[PERF_PARTS_MAX])
{
    uint32_t unfit = 0;
    for (unsigned i = 0; i < EVENTS_MAX; i++) {
        int code = has(members, i) ? reading->errors[i] : 0;
        if (code == EINVAL || code == ENOSPC || code == EBUSY)
            unfit |= UINT32_C(1) << i;
    }
    uint32_t open = members & ~unfit;
    bool shared = reading->running_ns < reading->enabled_ns;
    if (__builtin_popcount(members) < 2 || (!unfit && !shared))
        return 0;
    if (unfit && open && !shared) {
        parts[0] = unfit;
        return 1;
    }
    parts[0] = first_half(members);
    parts[1] = members & ~parts[0];
    return 2;
}

int perf_try(const struct perf_counter *counter, void (*work)(void), uint64_t *count, double *share, struct err *why)
{
    struct perf_set set = {.counters = {*counter}, .count = 1, .openable = 1};
    struct perf_group group;
    struct perf_reading before = {0}, counted = {0};
    perf_group_open(&group, &set, 1);
    perf_group_read(&group, &before);
    perf_group_start(&group);
    work();
    perf_group_stop(&group);
    perf_group_read(&group, &counted);
    perf_reading_subtract(&counted, &before);
    perf_group_close(&group);
    *count = counted.values[0];
    if (share)
        *share = counted.enabled_ns ? (double)counted.running_ns / (double)counted.enabled_ns : 0;
    if (counted.errors[0])
        perf_explain(counted.errors[0], why);
    return -counted.errors[0];
}
