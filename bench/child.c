/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "memory_group.h"
#include "mirror.h"
#include "params.h"

enum { STATUS_FD = 3, POLL_MS = 100, READ_BYTES = 1 << 16 };

/* The environment plus a variable of random length: where the stack begins is part of the noise between processes. */
static char **padded_environment(uint64_t bytes)
{
    size_t count = 0;
    while (environ[count])
        count++;
    char **list = calloc(count + 2, sizeof *list), *padding = malloc(bytes + 32);
    if (!list || !padding) {
        free(list);
        free(padding);
        return NULL;
    }
    memcpy(list, environ, count * sizeof *list);
    int used = sprintf(padding, "FAULTLINE_PADDING=");
    memset(padding + used, 'x', bytes);
    padding[(size_t)used + bytes] = '\0';
    list[count] = padding;
    return list;
}

static void become_trial(int job_fd, int output, int status_fd, int entry_fd, pid_t parent, char **environment)
{
    char name[] = "faultline", verb[] = "trial", *argv[] = {name, verb, NULL};
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* Descriptors above the standard ones are close-on-exec; dup3 first away from the numbers they go to. */
    int status_copy = fcntl(status_fd, F_DUPFD, 10);
    if (getppid() != parent || memory_group_enter(entry_fd) || dup2(job_fd, 0) < 0 || dup2(output, 1) < 0 ||
        dup2(status_copy, STATUS_FD) < 0)
        _exit(126);
    close(status_copy);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve("/proc/self/exe", argv, environment);
    execve((const char *)getauxval(AT_EXECFN), argv, environment); /* where /proc is not mounted */
    _exit(127);
}

static int memory_file(const char *name, const char *contents, size_t bytes)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    if ((contents && write(fd, contents, bytes) != (ssize_t)bytes) || (!contents && ftruncate(fd, (off_t)bytes)) ||
        lseek(fd, 0, SEEK_SET)) {
        close(fd);
        return -1;
    }
    return fd;
}

int child_start(struct child *child, json_t *job, uint64_t environment_bytes, int entry_fd, struct err *err)
{
    int ends[2] = {-1, -1}, job_fd = -1, rc = 0;
    char **environment = padded_environment(environment_bytes);
    *child = (struct child){.output = -1, .status_fd = -1};
    json_object_set_new(job, "status_fd", json_integer(STATUS_FD));
    char *text = json_dumps(job, JSON_COMPACT);
    child->status_fd = memory_file("faultline-status", NULL, sizeof *child->status);
    job_fd = text ? memory_file("faultline-job", text, strlen(text)) : -1;
    if (!environment || job_fd < 0 || child->status_fd < 0 || pipe2(ends, O_CLOEXEC)) {
        rc = err_sys(err, "prepare a trial process");
        goto out;
    }
    child->status = mmap(NULL, sizeof *child->status, PROT_READ | PROT_WRITE, MAP_SHARED, child->status_fd, 0);
    if (child->status == MAP_FAILED) {
        child->status = NULL;
        rc = err_sys(err, "prepare a trial process");
        goto out;
    }
    pid_t parent = getpid();
    child->since = time(NULL);
    child->process = fork();
    if (child->process == 0)
        become_trial(job_fd, ends[1], child->status_fd, entry_fd, parent, environment);
    if (child->process < 0) {
        child->process = 0;
        rc = err_sys(err, "fork a trial process");
        goto out;
    }
    setpgid(child->process, child->process); /* by both, whoever comes first */
    child->output = ends[0];
    ends[0] = -1;
out:
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
    if (job_fd >= 0)
        close(job_fd);
    for (char **variable = environment; variable && *variable; variable++)
        if (!variable[1])
            free(*variable);
    free(environment);
    free(text);
    return rc;
}

/* Takes the first whole line out of the buffer. */
static bool take_line(struct child *child, const char **line, size_t *length)
{
    char *end = child->used ? memchr(child->buffer, '\n', child->used) : NULL;
    if (!end)
        return false;
    *line = child->buffer;
    *length = (size_t)(end - child->buffer);
    return true;
}

/* Drops the line that was handed out last. */
static void drop_line(struct child *child)
{
    char *end = child->used ? memchr(child->buffer, '\n', child->used) : NULL;
    if (!end)
        return;
    size_t rest = child->used - (size_t)(end + 1 - child->buffer);
    memmove(child->buffer, end + 1, rest);
    child->used = rest;
}

static ssize_t fill(struct child *child)
{
    if (child->size - child->used < READ_BYTES) {
        char *larger = realloc(child->buffer, child->size + 4 * (size_t)READ_BYTES);
        if (!larger)
            return -1;
        child->buffer = larger;
        child->size += 4 * (size_t)READ_BYTES;
    }
    ssize_t done = read(child->output, child->buffer + child->used, READ_BYTES);
    child->used += done > 0 ? (size_t)done : 0;
    return done;
}

enum child_event child_next(struct child *child, uint64_t limit_ns, const volatile int *interrupted, const char **line,
                            size_t *length)
{
    struct pollfd readable = {.fd = child->output, .events = POLLIN};
    if (*line)
        drop_line(child);
    *line = NULL;
    while (!take_line(child, line, length)) {
        if (*interrupted)
            return CHILD_INTERRUPTED;
        if (clock_now_ns() > limit_ns)
            return CHILD_TIMEOUT;
        if (poll(&readable, 1, POLL_MS) <= 0)
            return CHILD_QUIET;
        if (fill(child) <= 0)
            return CHILD_ENDED;
    }
    return CHILD_LINE;
}

/* Waits for a process, or with P_PGID any of a group, and leaves it to be reaped. 0: there is none. */
static pid_t wait_for(idtype_t which, pid_t id, bool *killed)
{
    siginfo_t ended = {0};
    while (waitid(which, (id_t)id, &ended, WEXITED | WNOWAIT) < 0)
        if (errno != EINTR)
            return 0;
    *killed = ended.si_code != CLD_EXITED;
    return ended.si_pid;
}

/* What it has left can be told by its number, which is its own until it is reaped. */
static int reap(pid_t process, bool killed, time_t since)
{
    int status = 0;
    if (killed)
        (void)mirror_sweep(process, since); /* an error: there are no segments on this kernel */
    while (waitpid(process, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/*
 * The group holds its worker processes, which this one inherits when it has ended. (Of a trial that ended by itself
 * they die, too, but by then they are somebody else's to wait for.) One that closed its output by ending has its status
 * fixed already: the signal cannot change it.
 */
static int end_group(pid_t leader, time_t since)
{
    int inherits = 0;
    bool killed = false;
    prctl(PR_GET_CHILD_SUBREAPER, &inherits);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    kill(-leader, SIGKILL); /* not reaped yet, so the number is still its own */
    pid_t ended = wait_for(P_PID, leader, &killed);
    int status = ended ? reap(leader, killed, since) : 0;
    while ((ended = wait_for(P_PGID, leader, &killed)))
        reap(ended, killed, since);
    prctl(PR_SET_CHILD_SUBREAPER, inherits);
    return status;
}

int child_end(struct child *child)
{
    int status = child->process > 0 ? end_group(child->process, child->since) : 0;
    if (child->output >= 0)
        close(child->output);
    if (child->status)
        munmap(child->status, sizeof *child->status);
    if (child->status_fd >= 0)
        close(child->status_fd);
    free(child->buffer);
    *child = (struct child){.output = -1, .status_fd = -1};
    return status;
}
