/* SPDX-License-Identifier: MIT */
/*
 * Measures:         finding out whether two addresses are one physical page by their page frame numbers: three reads of
 *                   8 bytes from /proc/self/pagemap, of one, the other, and the first again, which may have been moved
 *                   meanwhile. What it answers is the counter `occurred`: each operation with through: other, none with
 *                   through: copy, whose page has the same contents.
 * Does not measure: mapping the two views; opening the file.
 * Expect:           three system calls, 0.3-1 us each. Unsupported without CAP_SYS_ADMIN, to whom alone frames are
 *                   shown.
 * Source:           fs/proc/task_mmu.c pagemap_read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "counter.h"
#include "views.h"

struct own {
    struct twin twin;
    const unsigned char *places[2];
    int pagemap_fd;
};

static int run(struct worker *worker, uint64_t blocks)
{
    const struct own *own = worker->own;
    int rc = 0;
    for (uint64_t i = 0; i < blocks && rc == 0; i++) {
        bool same;
        rc = twin_same_frame(own->pagemap_fd, own->places[0], own->places[1], &same);
        if (rc == 0)
            counter_method.occurred += same;
    }
    return rc;
}

static int setup(struct worker *worker, struct err *err)
{
    bool same;
    int rc = views_begin(worker, (size_t)sysconf(_SC_PAGESIZE), sizeof(struct own), err);
    struct own *own = worker->own;
    if (!own)
        return rc;
    own->pagemap_fd = -1;
    if (rc)
        return rc;
    for (unsigned i = 0; i < 2; i++)
        own->places[i] = twin_at(&own->twin, worker->params->through == through_same ? 0 : i, 0);
    own->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (own->pagemap_fd < 0)
        return err_sys(err, "/proc/self/pagemap");
    rc = twin_same_frame(own->pagemap_fd, own->places[0], own->places[1], &same);
    if (rc == -EPERM)
        return err_set(err, EOPNOTSUPP, "page frame numbers are shown to CAP_SYS_ADMIN only");
    return rc ? err_set(err, -rc, "/proc/self/pagemap: %s", strerror(-rc)) : 0;
}

static void teardown(struct worker *worker)
{
    struct own *own = worker->own;
    if (own && own->pagemap_fd >= 0)
        close(own->pagemap_fd);
    views_end(worker);
}

static uint64_t block_ns(const struct params *params)
{
    (void)params;
    return 2200;
}

const struct method method_same_page_frame = {
    .name = "same_page_frame",
    .measures = "whether two addresses are one physical page, by their page frame numbers in /proc/self/pagemap",
    .version = 2,
    .uses = VIEWS_USES,
    .memory = method_no_memory,
    .tells = COUNTER_BIT(occurred),
    .block_ns = block_ns,
    .setup = setup,
    .run = run,
    .teardown = teardown,
};
