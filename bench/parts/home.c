/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "home.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mask.h"
#include "shared.h"
#include "target.h"

enum { PAIR = 2 };

static uint64_t half(const struct worker *worker)
{
    uint64_t page_bytes = worker->target->page_bytes;
    return worker->base_bytes / 2 / page_bytes * page_bytes;
}

static void touch(const struct worker *worker)
{
    for (uint64_t at = 0; at < half(worker); at += worker->target->page_bytes)
        atomic_fetch_add(shared_word(worker, at), 0);
}

static unsigned own_node(void)
{
    unsigned cpu = 0, node = 0;
    return syscall(SYS_getcpu, &cpu, &node, NULL) ? 0 : node;
}

/* What a worker tells the other: the node it runs on, above 0. */
static uint64_t told_node(const struct worker *worker, unsigned index)
{
    return atomic_load(&shared_slot(worker, index)->steps) - 1;
}

/* The lowest node with memory that is neither's; -1: there is none. */
static int third_node(const struct worker *worker)
{
    struct node_mask mask;
    if (node_mask_read(&mask))
        return -1;
    for (unsigned node = 0; node < NODES_MAX; node++)
        if (node_mask_has(&mask, node) && node != told_node(worker, 0) && node != told_node(worker, 1))
            return (int)node;
    return -1;
}

/* Where fresh pages of the range are to lie, whoever touches them; below 0: where the kernel likes. */
static int bind_pages(const struct worker *worker, int node)
{
    struct node_mask mask = {{0}};
    if (node >= 0)
        node_mask_add(&mask, (unsigned)node);
    long rc = syscall(SYS_mbind, worker->base, half(worker), node < 0 ? MPOL_DEFAULT : MPOL_BIND,
                      node < 0 ? NULL : mask.part, node < 0 ? 0UL : (unsigned long)NODE_MASK_BITS, 0);
    return rc ? -errno : 0;
}

/* The fresh pages are the home's, or those of the node `node`. */
static int make_fresh(const struct worker *worker, int node, struct err *err)
{
    if (fallocate(worker->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)half(worker)))
        return err_sys(err, "punch a hole into %s", worker->target->path);
    int rc = node < 0 ? 0 : bind_pages(worker, node);
    touch(worker);
    if (rc == 0 && node >= 0)
        rc = bind_pages(worker, -1); /* the range is that of other arms too */
    return rc ? err_set(err, -rc, "mbind to node %d: %s", node, strerror(-rc)) : 0;
}

static int check_node(const struct worker *worker, unsigned wanted, struct err *err)
{
    void *page = worker->base;
    int found = -1;
    if (syscall(SYS_move_pages, 0, 1UL, &page, NULL, &found, 0))
        return errno == ENOSYS ? 0 /* a kernel without NUMA: there is one node */
                               : err_set(err, EOPNOTSUPP, "where a page lies cannot be asked here: move_pages: %s",
                                         strerror(errno));
    if (found == (int)wanted)
        return 0;
    return err_set(err, ENXIO, "the page lies on node %d, and was to lie on node %u", found, wanted);
}

int home_refresh(struct worker *worker, struct err *err)
{
    enum home home = (enum home)worker->params->home;
    if (home == home_any) {
        touch(worker); /* the arm before may have made other pages of them */
        return 0;
    }
    bool leads = worker->index == (home == home_second);
    int node = -1, rc, fresh = 0;
    atomic_store(&shared_slot(worker, worker->index)->steps, own_node() + UINT64_C(1));
    rc = shared_meet(worker, PAIR);
    if (rc == 0 && home == home_third && (node = third_node(worker)) < 0)
        return err_set(err, EOPNOTSUPP, "home: third needs a NUMA node beside those of the two workers");
    if (rc == 0 && leads)
        fresh = make_fresh(worker, node, err);
    if (rc == 0)
        rc = shared_meet(worker, PAIR);
    if (rc)
        return err_set(err, -rc, "worker %u waited in vain for the other", worker->index);
    if (fresh)
        return fresh;
    touch(worker);
    return leads ? check_node(worker, node < 0 ? own_node() : (unsigned)node, err) : 0;
}
