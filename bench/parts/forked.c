/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "forked.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "descriptor.h"
#include "hugepage.h"
#include "mapping.h"
#include "smaps.h"
#include "target.h"

void forked_follow(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it has died in between */
        _exit(0);
}

void forked_wait_for_end(void)
{
    for (;;)
        pause();
}

int forked_wait(pid_t child, int *status)
{
    while (waitpid(child, status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

void forked_end(pid_t child)
{
    int status;
    if (child <= 0)
        return;
    kill(child, SIGKILL);
    forked_wait(child, &status);
}

int forked_reap(pid_t child)
{
    int status, rc = forked_wait(child, &status);
    return rc ? rc : WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}

int forked_send(int socket, unsigned char byte)
{
    ssize_t done;
    do
        done = send(socket, &byte, 1, MSG_NOSIGNAL);
    while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : 0;
}

int forked_receive(int socket, unsigned char *byte)
{
    ssize_t done;
    do
        done = recv(socket, byte, 1, 0);
    while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : done == 1 ? 0 : -EPIPE;
}

void forked_rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1}, NULL);
}

uint64_t forked_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (uint64_t)usage.ru_minflt;
}

void *forked_share(size_t bytes)
{
    void *shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return shared == MAP_FAILED ? NULL : shared;
}

void forked_unshare(void *shared, size_t bytes)
{
    if (shared)
        munmap(shared, bytes);
}

static _Thread_local struct {
    unsigned char *base;
    size_t bytes;
} copied;

int forked_leave_out(unsigned char *base, size_t bytes)
{
    if (copied.base == base)
        copied.base = NULL;
    return base && madvise(base, bytes, MADV_DONTFORK) ? -errno : 0;
}

int forked_copy_only(unsigned char *base, size_t bytes)
{
    int rc = copied.base != base ? forked_leave_out(copied.base, copied.bytes) : 0;
    if (rc == 0 && madvise(base, bytes, MADV_DOFORK))
        rc = -errno;
    copied.base = base;
    copied.bytes = bytes;
    return rc;
}

/* ---- the methods that time a fork ---- */

static int map_state(struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    bool stored = params->prior == prior_stored;
    if (stored && params->sharing == sharing_shared)
        return err_set(err, EINVAL, "prior: stored would write to the file under test");
    int rc = mapping_make(worker, err);
    if (rc)
        return rc;
    mapping_prepare(worker, worker->base_bytes);
    rc = forked_leave_out(worker->base, worker->base_bytes);
    if (rc)
        return err_set(err, -rc, "MADV_DONTFORK: %s", strerror(-rc));
    return params->sharing == sharing_anonymous && stored ? smaps_check_pages(worker, err) : 0;
}

int forked_setup(struct worker *worker, struct err *err)
{
    struct forking *own = worker->own = calloc(1, sizeof *own);
    if (!own)
        return err_set(err, ENOMEM, "no memory for a fork");
    own->parent = getpid();
    int rc = worker->params->sharing == sharing_anonymous ? 0 : descriptor_open_plain(worker);
    return rc ? err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc)) : map_state(worker, err);
}

/* A fork write-protects what it copies: pages are stored to again, so that every fork finds them as the first one did.
 */
int forked_reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    struct forking *own = worker->own;
    (void)blocks;
    forked_end(own->child);
    own->child = 0;
    int rc = forked_copy_only(worker->base, worker->base_bytes);
    if (rc)
        return err_set(err, -rc, "MADV_DOFORK: %s", strerror(-rc));
    if (worker->params->prior == prior_stored)
        mapping_prepare(worker, worker->base_bytes);
    return 0;
}

void forked_teardown(struct worker *worker)
{
    struct forking *own = worker->own;
    if (own)
        forked_end(own->child);
    if (worker->base)
        forked_leave_out(worker->base, worker->base_bytes); /* whatever is mapped there next is not meant */
    mapping_remove(worker);
    descriptor_close(worker);
    free(own);
    worker->own = NULL;
}

/* A second fork would find the pages write-protected by the first. */
uint64_t forked_limit(const struct params *params)
{
    (void)params;
    return 1;
}

bool forked_child_breaks(const struct params *params)
{
    return params->breaker == breaker_child_first || params->breaker == breaker_child_second ||
           params->breaker == breaker_child_again;
}

uint64_t forked_copied_entries(const struct params *params)
{
    if (params->prior != prior_stored)
        return 0;
    return params->working_set_bytes /
           (params->pages == pages_thp ? huge_page_bytes() : (uint64_t)sysconf(_SC_PAGESIZE));
}

uint64_t forked_reset_ns(const struct params *params, uint64_t blocks)
{
    (void)blocks;
    return 150 * US + 1150 * forked_copied_entries(params); /* ending a child; a store to each write-protected page */
}
