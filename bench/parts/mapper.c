/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "mapper.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
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

#include "clock.h"
#include "elsewhere.h"
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
    uint64_t bytes, file_bytes;
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

/* What a mapper looks through: one of the last two, or neither. */
struct eye {
    int fd;
    unsigned char *base; /* its mapping of the file */
    unsigned char *copy; /* room for what it reads, as large as the file */
};

static bool maps(const struct mappers *set)
{
    return set->view == mapper_view_shared || set->view == mapper_view_private;
}

/* Reads the whole file; 0 or errno. */
static int keep(const struct mappers *set, const struct eye *eye)
{
    for (uint64_t at = 0; at < set->file_bytes;) {
        ssize_t now = pread(eye->fd, eye->copy + at, set->file_bytes - at, (off_t)at);
        if (now <= 0)
            return now ? errno : EIO;
        at += (uint64_t)now;
    }
    return 0;
}

/*
 * Cuts the file off and makes it as it was, a page at a time: nobody has a page of it mapped then, not even a private
 * copy. 0 or errno.
 */
static int cut_off(const struct mappers *set, const struct eye *eye, uint64_t page_bytes)
{
    int code = keep(set, eye);
    if (code || ftruncate(eye->fd, 0))
        return code ? code : errno;
    for (uint64_t at = 0; at < set->file_bytes; at += page_bytes) {
        uint64_t rest = set->file_bytes - at, bytes = rest < page_bytes ? rest : page_bytes;
        ssize_t done = pwrite(eye->fd, eye->copy + at, bytes, (off_t)at);
        if (done != (ssize_t)bytes)
            return done < 0 ? errno : EIO;
    }
    return 0;
}

/* Comes by every page, without a mapping; 0 or errno. */
static int look_by_calls(const struct mappers *set, const struct eye *eye, uint64_t page_bytes)
{
    for (uint64_t at = 0; at < set->bytes; at += page_bytes) {
        ssize_t got = pread(eye->fd, eye->copy, page_bytes, (off_t)at);
        if (got <= 0 || (set->view == mapper_view_pwrite && pwrite(eye->fd, eye->copy, (size_t)got, (off_t)at) != got))
            return errno ? errno : EIO;
    }
    return 0;
}

/* The same through a mapping: every page of it or, when its page table entries go before and are made anew, every line.
 */
static int look_through(const struct mappers *set, unsigned char *base, uint64_t page_bytes, bool anew)
{
    enum { LINE_BYTES = 64 }; /* the smallest there is */
    uint64_t step = anew ? LINE_BYTES : page_bytes;
    if (anew && madvise(base, set->bytes, MADV_DONTNEED))
        return errno;
    for (uint64_t at = 0; at < set->bytes; at += step)
        (void)*(volatile unsigned char *)(base + at);
    return 0;
}

static int look(const struct mappers *set, const struct eye *eye, bool anew)
{
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    if (maps(set))
        return look_through(set, eye->base, page_bytes, anew);
    if (set->view == mapper_view_cut)
        return anew ? cut_off(set, eye, page_bytes) : 0;
    return set->view == mapper_view_none ? 0 : look_by_calls(set, eye, page_bytes);
}

/*
 * A byte, waited for without going to sleep: 0, or -errno, -ETIMEDOUT after limit_ns. A CPU that idles may empty its
 * caches, and what lies in them is what a mapper's look is about.
 */
static int receive_awake(int socket, unsigned char *byte, uint64_t limit_ns)
{
    uint64_t end = clock_now_ns() + limit_ns;
    ssize_t done;
    while ((done = recv(socket, byte, 1, MSG_DONTWAIT)) < 0 && (errno == EAGAIN || errno == EINTR)) {
        sched_yield(); /* to whoever shares this CPU, a mapper among them */
        if (clock_now_ns() > end)
            return -ETIMEDOUT;
    }
    return done < 0 ? -errno : done == 1 ? 0 : -EPIPE;
}

/* What a child is to do next. After a look anew it stays awake for as long as a batch of stores to every page may take.
 */
static int be_told(const struct mappers *set, int socket, unsigned char *anew)
{
    const uint64_t page_ns = 2 * US; /* several times what its lines take to come from another CPU */
    uint64_t pages = set->bytes / (uint64_t)sysconf(_SC_PAGESIZE);
    int rc = *anew ? receive_awake(socket, anew, pages * page_ns) : -ETIMEDOUT;
    return rc == -ETIMEDOUT ? forked_receive(socket, anew) : rc;
}

/* Opens the eye of a child; 0 or errno. */
static int eye_open(const struct mappers *set, int fd, struct eye *eye)
{
    int sharing = set->view == mapper_view_private ? MAP_PRIVATE : MAP_SHARED;
    *eye = (struct eye){.fd = fd};
    if (maps(set))
        eye->base = mmap(NULL, set->bytes, PROT_READ, sharing, fd, 0);
    else if (set->view != mapper_view_none)
        eye->copy = mmap(NULL, set->file_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1,
                         0);
    if (set->view == mapper_view_pwrite || set->view == mapper_view_cut)
        eye->fd = open_again(fd);
    return eye->base == MAP_FAILED || eye->copy == MAP_FAILED || eye->fd < 0 ? errno : 0;
}

/*
 * The child: nothing but system calls, as it may have been forked from among threads. It is told whether to make its
 * view anew, and tells 0 or errno.
 */
static void mapper_main(int socket, int fd, const struct mappers *set, unsigned cpu)
{
    struct err unread;
    struct eye eye = {.fd = -1};
    unsigned char anew = 0, answer;
    signal(SIGBUS, SIG_DFL);
    answer = (unsigned char)-elsewhere_go(cpu, &unread);
    if (answer == 0)
        answer = (unsigned char)eye_open(set, fd, &eye);
    receive_awake(socket, &anew, 0); /* nothing is there yet: what it runs has been run once, and faults no more */
    do {
        if (answer == 0)
            answer = (unsigned char)look(set, &eye, anew);
    } while (forked_send(socket, answer) == 0 && answer == 0 && be_told(set, socket, &anew) == 0);
}

static int await(const struct mapper *mapper, bool awake, struct err *err)
{
    unsigned char answer;
    if (awake ? receive_awake(mapper->socket, &answer, UINT64_MAX / 2) : forked_receive(mapper->socket, &answer))
        return err_set(err, ECHILD, "a process that was to map the file has died");
    return answer == 0 ? 0 : err_set(err, answer, "a process that was to map the file: %s", strerror(answer));
}

static int mapper_fork(struct mapper *mapper, const struct mappers *set, int fd, struct err *err)
{
    int ends[2];
    pid_t parent = getpid();
    unsigned cpu = elsewhere_cpu_of_many((unsigned)(mapper - set->members));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return err_sys(err, "socketpair");
    mapper->process = fork();
    if (mapper->process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        if (getppid() == parent)
            mapper_main(ends[1], fd, set, cpu);
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
    set->file_bytes = (uint64_t)status->st_size;
    set->count = count;
    set->view = view;
    for (unsigned i = 0; i < count; i++)
        set->members[i].socket = -1;
    for (unsigned i = 0; i < count && rc == 0; i++)
        rc = mapper_fork(&set->members[i], set, fd, err);
    for (unsigned i = 0; i < count && rc == 0; i++)
        rc = await(&set->members[i], false, err);
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
        rc = await(&mappers->members[i], anew, err);
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
