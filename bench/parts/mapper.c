/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "mapper.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "forked.h"
#include "params.h"

struct mapper {
    pid_t process; /* 0: none */
    int socket;    /* a byte to it: touch; a byte from it: done. -1: none */
};

struct mappers {
    struct mappers *next;
    dev_t device;
    ino_t inode;
    uint64_t bytes;
    unsigned count, view, users;
    struct mapper members[];
};

/* The sets of this process: arms of a cell share them, for two sets of N would be 2 N mappers. */
static struct mappers *sets;
static pthread_mutex_t sets_lock = PTHREAD_MUTEX_INITIALIZER;

/* The worker's own descriptor need not be one that can be written to. */
static int open_again(int fd)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDWR | O_CLOEXEC);
}

/* Comes by every page, without a mapping; 0 or errno. */
static int look_by_calls(const struct mappers *set, int fd, uint64_t page_bytes)
{
    char byte;
    for (uint64_t at = 0; at < set->bytes; at += page_bytes)
        if (pread(fd, &byte, 1, (off_t)at) != 1 ||
            (set->view == mapper_view_pwrite && pwrite(fd, &byte, 1, (off_t)at) != 1))
            return errno ? errno : EIO;
    return 0;
}

/* The same through a mapping, whose page table entries go before when they are to be made anew. */
static int look(const struct mappers *set, int fd, unsigned char *base, bool anew)
{
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    if (!base)
        return look_by_calls(set, fd, page_bytes);
    if (anew && madvise(base, set->bytes, MADV_DONTNEED))
        return errno;
    for (uint64_t at = 0; at < set->bytes; at += page_bytes)
        (void)*(volatile unsigned char *)(base + at);
    return 0;
}

static bool maps(const struct mappers *set)
{
    return set->view == mapper_view_shared || set->view == mapper_view_private;
}

/*
 * The child: nothing but system calls, as it may have been forked from among threads. It is told whether to make its
 * view anew, and tells 0 or errno.
 */
static void mapper_main(int socket, int fd, const struct mappers *set)
{
    unsigned char *base = NULL, answer = 0, anew = 0;
    signal(SIGBUS, SIG_DFL);
    if (maps(set))
        base = mmap(NULL, set->bytes, PROT_READ, set->view == mapper_view_private ? MAP_PRIVATE : MAP_SHARED, fd, 0);
    if (set->view == mapper_view_pwrite)
        fd = open_again(fd);
    if (base == MAP_FAILED || fd < 0)
        answer = (unsigned char)errno;
    do {
        if (answer == 0)
            answer = (unsigned char)look(set, fd, base, anew);
    } while (forked_send(socket, answer) == 0 && answer == 0 && forked_receive(socket, &anew) == 0);
}

static int await(const struct mapper *mapper, struct err *err)
{
    unsigned char answer;
    if (forked_receive(mapper->socket, &answer))
        return err_set(err, ECHILD, "a process that was to map the file has died");
    return answer == 0 ? 0 : err_set(err, answer, "a process that was to map the file: %s", strerror(answer));
}

static int mapper_fork(struct mapper *mapper, const struct mappers *set, int fd, struct err *err)
{
    int ends[2];
    pid_t parent = getpid();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return err_sys(err, "socketpair");
    mapper->process = fork();
    if (mapper->process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        if (getppid() == parent)
            mapper_main(ends[1], fd, set);
        _exit(0);
    }
    close(ends[1]);
    mapper->socket = ends[0];
    if (mapper->process > 0)
        return 0;
    mapper->process = 0;
    return err_sys(err, "fork a process that maps the file");
}

/* A signal rather than the end of the socket: later children hold copies of our end. */
static void end_all(struct mappers *set)
{
    for (unsigned i = 0; i < set->count; i++)
        if (set->members[i].process)
            kill(set->members[i].process, SIGKILL);
    for (unsigned i = 0; i < set->count; i++) {
        forked_end(set->members[i].process);
        if (set->members[i].socket >= 0)
            close(set->members[i].socket);
    }
    free(set);
}

static int begin_all(struct mappers **out, unsigned count, unsigned view, int fd, const struct stat *status,
                     uint64_t bytes, struct err *err)
{
    struct mappers *set = *out = calloc(1, sizeof *set + count * sizeof *set->members);
    int rc = set ? 0 : err_set(err, ENOMEM, "no memory for the mappers");
    if (rc)
        return rc;
    set->device = status->st_dev;
    set->inode = status->st_ino;
    set->bytes = bytes;
    set->count = count;
    set->view = view;
    for (unsigned i = 0; i < count; i++)
        set->members[i].socket = -1;
    for (unsigned i = 0; i < count && rc == 0; i++)
        rc = mapper_fork(&set->members[i], set, fd, err);
    for (unsigned i = 0; i < count && rc == 0; i++)
        rc = await(&set->members[i], err);
    return rc;
}

static struct mappers *find(unsigned count, unsigned view, const struct stat *status, uint64_t bytes)
{
    for (struct mappers *set = sets; set; set = set->next)
        if (set->device == status->st_dev && set->inode == status->st_ino && set->bytes == bytes &&
            set->count == count && set->view == view)
            return set;
    return NULL;
}

int mappers_start(struct mappers **out, unsigned count, unsigned view, int fd, uint64_t bytes, struct err *err)
{
    struct stat status;
    int rc = 0;
    *out = NULL;
    if (count == 0)
        return 0;
    if (fstat(fd, &status))
        return err_sys(err, "stat the file to map");
    pthread_mutex_lock(&sets_lock);
    struct mappers *set = find(count, view, &status, bytes);
    if (!set) {
        rc = begin_all(&set, count, view, fd, &status, bytes, err);
        if (rc && set)
            end_all(set);
        set = rc ? NULL : set;
        if (set) {
            set->next = sets;
            sets = set;
        }
    }
    if (set)
        set->users++;
    *out = set;
    pthread_mutex_unlock(&sets_lock);
    return rc;
}

void mappers_stop(struct mappers *mappers)
{
    if (!mappers)
        return;
    pthread_mutex_lock(&sets_lock);
    struct mappers **link = &sets;
    while (*link != mappers)
        link = &(*link)->next;
    if (--mappers->users == 0) {
        *link = mappers->next;
        end_all(mappers);
    }
    pthread_mutex_unlock(&sets_lock);
}

static int touch(struct mappers *mappers, unsigned char anew, struct err *err)
{
    int rc = 0;
    for (unsigned i = 0; mappers && i < mappers->count && rc == 0; i++)
        if (forked_send(mappers->members[i].socket, anew))
            rc = err_set(err, ECHILD, "a process that was to map the file has died");
    for (unsigned i = 0; mappers && i < mappers->count && rc == 0; i++)
        rc = await(&mappers->members[i], err);
    return rc;
}

int mappers_touch(struct mappers *mappers, struct err *err)
{
    return touch(mappers, 0, err);
}

int mappers_fault(struct mappers *mappers, struct err *err)
{
    return touch(mappers, 1, err);
}

pid_t mappers_process(const struct mappers *mappers, unsigned n)
{
    return mappers->members[n].process;
}
