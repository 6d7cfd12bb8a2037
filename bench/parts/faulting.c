/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "faulting.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared.h"
#include "target.h"

/* Of the lowest level: one page of entries of 8 bytes, on every architecture with 64-bit entries. */
static uint64_t table_pages(uint64_t page_bytes)
{
    return page_bytes / sizeof(uint64_t);
}

/* Pages of `each` for all workers, and the gaps between tables: the first lies right before the end of one. */
static uint64_t pages_apart(uint64_t workers, uint64_t each, uint64_t page_bytes)
{
    return 2 * each + (workers > 2 ? (workers - 2) * table_pages(page_bytes) : 0);
}

uint64_t faulting_pages(const struct params *params, uint64_t page_bytes)
{
    uint64_t half = params->working_set_bytes / 2 / page_bytes, each = half / params->workers;
    each = each < table_pages(page_bytes) ? each : table_pages(page_bytes);
    return params->meet != meet_other_table || pages_apart(params->workers, each, page_bytes) <= half ? each : 0;
}

static bool is_common(const struct worker *worker)
{
    return worker->params->worker_kind == worker_kind_thread && worker->params->meet != meet_other_file;
}

/* What is mapped: all that the workers have in common, or the worker's own. */
static uint64_t page_count(const struct worker *worker, uint64_t each)
{
    const struct params *params = worker->params;
    return params->meet == meet_same_table    ? each * params->workers
           : params->meet == meet_other_table ? pages_apart(params->workers, each, worker->target->page_bytes)
                                              : each;
}

/* A file in memory with all its pages there, as the target's are. */
static int make_file(struct faulting *faulting, struct err *err)
{
    static const unsigned char zeros[4096];
    faulting->fd = memfd_create("faultline-own", MFD_CLOEXEC);
    if (faulting->fd < 0)
        return err_sys(err, "memfd_create");
    for (uint64_t at = 0; at < faulting->mapped_bytes; at += sizeof zeros)
        if (pwrite(faulting->fd, zeros, sizeof zeros, (off_t)at) != (ssize_t)sizeof zeros)
            return err_sys(err, "write a file of its own");
    return 0;
}

/* Address space in which a page table ends after `each` pages. */
static int reserve(struct faulting *faulting, uint64_t each, uint64_t page_bytes, struct err *err)
{
    uint64_t span = table_pages(page_bytes) * page_bytes, before = each * page_bytes;
    faulting->region_bytes = faulting->mapped_bytes + span + before;
    faulting->region = mmap(NULL, faulting->region_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                            0);
    if (faulting->region == MAP_FAILED) {
        faulting->region = NULL;
        return err_sys(err, "mmap of address space");
    }
    uintptr_t end = ((uintptr_t)faulting->region + before + span - 1) / span * span;
    faulting->mapped = (unsigned char *)faulting->region + (end - before - (uintptr_t)faulting->region);
    return 0;
}

static int map_pages(struct faulting *faulting, const struct worker *worker, struct err *err)
{
    enum fault_of of = (enum fault_of)worker->params->fault_of;
    int flags = MAP_FIXED | (of == fault_of_shared_file ? MAP_SHARED : MAP_PRIVATE);
    int fd = of == fault_of_anonymous ? -1 : faulting->fd >= 0 ? faulting->fd : worker->fd;
    flags |= of == fault_of_anonymous ? MAP_ANONYMOUS : 0;
    if (mmap(faulting->mapped, faulting->mapped_bytes, PROT_READ | PROT_WRITE, flags, fd, 0) == MAP_FAILED)
        return err_sys(err, "mmap of pages to fault in");
    if (of == fault_of_anonymous && madvise(faulting->mapped, faulting->mapped_bytes, MADV_NOHUGEPAGE) &&
        errno != EINVAL) /* EINVAL: a kernel without huge pages */
        return err_sys(err, "madvise(MADV_NOHUGEPAGE)");
    return 0;
}

static int make_own(struct faulting *faulting, const struct worker *worker, uint64_t each, struct err *err)
{
    bool own_file = worker->params->meet == meet_other_file && worker->params->fault_of != fault_of_anonymous;
    int rc = own_file ? make_file(faulting, err) : 0;
    if (rc == 0)
        rc = reserve(faulting, each, worker->target->page_bytes, err);
    return rc ? rc : map_pages(faulting, worker, err);
}

/* The first worker maps for all, and tells them where; those that come after have seen whether it could. */
static int make_common(struct faulting *faulting, const struct worker *worker, uint64_t each, struct err *err)
{
    _Atomic uint64_t *told = &shared_slot(worker, 0)->amount;
    int rc = worker->index ? 0 : make_own(faulting, worker, each, err);
    if (worker->index == 0)
        atomic_store(told, rc ? 0 : (uint64_t)(uintptr_t)faulting->mapped);
    int met = shared_meet(worker, worker->count);
    if (met)
        return err_set(err, -met, "worker %u waited in vain for the others", worker->index);
    if (worker->index)
        faulting->mapped = (unsigned char *)(uintptr_t)atomic_load(told); // NOLINT(performance-no-int-to-ptr)
    return rc == 0 && !faulting->mapped ? err_set(err, ECANCELED, "the first worker has mapped nothing") : rc;
}

int faulting_map(struct faulting *faulting, const struct worker *worker, struct err *err)
{
    uint64_t page_bytes = worker->target->page_bytes, each = faulting_pages(worker->params, page_bytes), first = 0;
    *faulting = (struct faulting){.fd = -1};
    faulting->mapped_bytes = page_count(worker, each) * page_bytes;
    faulting->step_bytes = page_bytes * (worker->params->meet == meet_same_table ? worker->params->workers : 1);
    int rc = is_common(worker) ? make_common(faulting, worker, each, err) : make_own(faulting, worker, each, err);
    if (worker->params->meet == meet_same_table)
        first = worker->index;
    else if (worker->params->meet == meet_other_table && worker->index)
        first = each + (worker->index - 1) * table_pages(page_bytes);
    faulting->pages = faulting->mapped + first * page_bytes;
    return rc;
}

void faulting_unmap(struct faulting *faulting)
{
    if (faulting->region)
        munmap(faulting->region, faulting->region_bytes);
    if (faulting->fd >= 0)
        close(faulting->fd);
    *faulting = (struct faulting){.fd = -1};
}
