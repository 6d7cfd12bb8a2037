/* SPDX-License-Identifier: MIT */
/*
 * Measures:         moving a range of memory by UFFDIO_MOVE (Linux 6.8): pages go to another address one by one without
 *                   a change of any VMA, so that other threads may fault meanwhile.
 * Does not measure: registering the two places with userfaultfd.
 * Expect:           0.05-0.5 us a page: less than copying it, more than mremap.
 * Source:           mm/userfaultfd.c move_pages and move_pages_ptes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "move.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

/* As in linux/userfaultfd.h from Linux 6.8 on. */
struct move_request {
    uint64_t to, from, bytes, mode;
    int64_t moved;
};
#define MOVE_REQUEST _IOWR(UFFDIO, 0x05, struct move_request)
#define FEATURE_MOVE (UINT64_C(1) << 16)

/* As move_each calls it. NOLINTNEXTLINE(readability-non-const-parameter) */
static int once(struct worker *worker, unsigned char *to, unsigned char *from, uint64_t bytes)
{
    for (uint64_t done = 0; done < bytes;) {
        struct move_request request = {
            .to = (uintptr_t)to + done, .from = (uintptr_t)from + done, .bytes = bytes - done};
        int rc = ioctl(worker->fd, MOVE_REQUEST, &request) ? -errno : 0;
        if (rc && rc != -EAGAIN)
            return rc;
        done += request.moved > 0 ? (uint64_t)request.moved : 0; /* -EAGAIN: only so much of it, and it may go on */
    }
    return 0;
}

static int run(struct worker *worker, uint64_t blocks)
{
    return move_each(worker, blocks, once);
}

static int open_userfault(struct worker *worker, struct err *err)
{
    struct uffdio_api api = {.api = UFFD_API, .features = FEATURE_MOVE};
    worker->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
    if (worker->fd < 0)
        return err_set(err, EOPNOTSUPP, "userfaultfd: %s", strerror(errno));
    if (ioctl(worker->fd, UFFDIO_API, &api))
        return err_set(err, errno == EINVAL ? EOPNOTSUPP : errno,
                       "userfaultfd of this kernel does not offer "
                       "UFFDIO_MOVE: %s",
                       strerror(errno));
    return 0;
}

/* Nobody answers faults: none is taken, because nothing but the kernel moves these pages from here on. */
static int setup(struct worker *worker, struct err *err)
{
    int rc = move_begin(worker, err);
    if (rc == 0)
        rc = open_userfault(worker, err);
    for (unsigned i = 0; i < 2 && rc == 0; i++) {
        const struct move *move = worker->own;
        struct uffdio_register area = {.range = {(uintptr_t)move->places[i], move->bytes},
                                       .mode = UFFDIO_REGISTER_MODE_MISSING};
        if (ioctl(worker->fd, UFFDIO_REGISTER, &area))
            rc = err_sys(err, "UFFDIO_REGISTER");
    }
    return rc;
}

static void teardown(struct worker *worker)
{
    if (worker->fd >= 0)
        close(worker->fd);
    worker->fd = -1;
    move_end(worker);
}

static uint64_t block_ns(const struct params *params)
{
    return 1 * US + params->range_bytes / 50;
}

const struct method method_move_userfault = {
    .name = "move_userfault",
    .measures = "moving a range of memory by UFFDIO_MOVE, page by page without touching a VMA",
    .version = 1,
    .uses = FIELD_BIT(range_bytes),
    .op_bytes = method_range_bytes,
    .block_ns = block_ns,
    .setup = setup,
    .run = run,
    .teardown = teardown,
};
