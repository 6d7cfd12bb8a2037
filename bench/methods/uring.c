/* SPDX-License-Identifier: MIT */
/*
 * Measures:         reads of blocks at offsets by io_uring, `queue_depth` of them under way together, each into a block
 *                   of its own, and their consumption as they complete: preparing, submitting, waiting. A batch begins
 *                   with nothing under way and ends when its last read has completed.
 * Does not measure: setting the ring up, registering buffers and files; with submission: sqpoll the CPU that the
 *                   polling thread burns beside the worker.
 * Expect:           warm a little less than pread a block, as one system call submits several; cold and random the
 *                   storage's own parallelism, until the queue is as deep as the device's.
 * Source:           io_uring/io_uring.c io_submit_sqes, io_uring/rw.c io_read, io_uring/sqpoll.c io_sq_thread.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build.h"
#include "descriptor.h"
#include "storage.h"
#include "walk.h"

#if HAVE_LIBURING

#include <liburing.h>

struct ring {
    struct io_uring uring;
    bool fixed_buffers, fixed_file, polled;
    unsigned depth;
    uint64_t left;       /* blocks of the batch that are not submitted yet */
    unsigned pending;    /* submitted, not completed */
    unsigned char *at[]; /* [depth] destinations that nothing is under way to; the first `depth - pending` */
};

/* Requests for as many blocks as there are free destinations. */
static inline void prepare(struct ring *ring, struct walk *walk, int fd)
{
    for (; ring->left && ring->pending < ring->depth; ring->left--, ring->pending++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
        if (__builtin_expect(!sqe, 0))
            break; /* a polling thread has not yet taken what came before */
        unsigned char *to = ring->at[ring->depth - ring->pending - 1];
        uint64_t offset = walk_next(walk, false);
        if (ring->fixed_buffers)
            io_uring_prep_read_fixed(sqe, fd, to, (unsigned)walk->block_bytes, offset, 0);
        else
            io_uring_prep_read(sqe, fd, to, (unsigned)walk->block_bytes, offset);
        if (ring->fixed_file)
            sqe->flags |= IOSQE_FIXED_FILE;
        io_uring_sqe_set_data(sqe, to);
    }
}

/* Consumes what has completed. The first failure is kept, and nothing is submitted after it. */
static inline int complete(struct ring *ring, struct walk *walk, int rc)
{
    struct io_uring_cqe *cqe;
    unsigned head, done = 0;
    io_uring_for_each_cqe(&ring->uring, head, cqe)
    {
        unsigned char *to = io_uring_cqe_get_data(cqe);
        if (__builtin_expect(cqe->res != (int)walk->block_bytes, 0) && rc == 0)
            rc = cqe->res < 0 ? cqe->res : -ENODATA;
        if (rc == 0)
            walk_consume(walk, to);
        done++;
        ring->at[ring->depth - ring->pending] = to;
        ring->pending--;
    }
    io_uring_cq_advance(&ring->uring, done);
    return rc;
}

/* Hands over what is prepared and waits for a completion, if there is one to come. */
static inline int submit(struct ring *ring)
{
    struct io_uring_cqe *cqe;
    unsigned wait = ring->pending > 0;
    if (!ring->polled)
        return io_uring_submit_and_wait(&ring->uring, wait);
    int rc = io_uring_submit(&ring->uring); /* no system call, unless the polling thread sleeps */
    return rc >= 0 && wait ? io_uring_wait_cqe(&ring->uring, &cqe) : rc;
}

static int run(struct worker *worker, uint64_t blocks)
{
    struct ring *ring = worker->own;
    struct walk walk = walk_begin(worker);
    int fd = ring->fixed_file ? 0 : worker->fd, rc = 0;
    ring->left = blocks;
    while (ring->pending || (ring->left && rc == 0)) {
        if (rc == 0)
            prepare(ring, &walk, fd);
        int submitted = submit(ring);
        if (submitted < 0 && submitted != -EINTR) {
            rc = submitted;
            break; /* the ring itself is broken: nothing can be waited for */
        }
        rc = complete(ring, &walk, rc);
    }
    walk_end(worker, &walk);
    return rc;
}

/* A polling thread that has gone to sleep since the last batch is awake when the next one begins, as under load. */
static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    struct ring *ring = worker->own;
    struct io_uring_cqe *cqe;
    (void)blocks;
    if (!ring->polled)
        return 0;
    io_uring_prep_nop(io_uring_get_sqe(&ring->uring));
    int rc = io_uring_submit(&ring->uring);
    rc = rc < 0 ? rc : io_uring_wait_cqe(&ring->uring, &cqe);
    if (rc < 0)
        return err_set(err, -rc, "io_uring: waking the polling thread: %s", strerror(-rc));
    io_uring_cqe_seen(&ring->uring, cqe);
    return 0;
}

/* What a sandbox, an old kernel or a limit refuses is not supported here. */
static int refuse(const char *what, int rc, struct err *err)
{
    bool refused = rc == -EPERM || rc == -ENOSYS || rc == -EACCES || rc == -EINVAL || rc == -EOPNOTSUPP;
    const char *why = rc == -ENOMEM ? " (RLIMIT_MEMLOCK)" : rc == -EPERM ? " (kernel.io_uring_disabled, seccomp)" : "";
    return err_set(err, refused || rc == -ENOMEM ? EOPNOTSUPP : -rc, "io_uring: %s: %s%s", what, strerror(-rc), why);
}

static int register_all(const struct worker *worker, struct ring *ring, struct err *err)
{
    struct iovec buffers = {worker->buffer, worker->buffer_bytes};
    uint64_t registered = worker->params->registered;
    ring->fixed_buffers = registered == registered_buffers || registered == registered_both;
    ring->fixed_file = registered == registered_files || registered == registered_both;
    int rc = ring->fixed_buffers ? io_uring_register_buffers(&ring->uring, &buffers, 1) : 0;
    if (rc)
        return refuse("registering buffers", rc, err);
    rc = ring->fixed_file ? io_uring_register_files(&ring->uring, &worker->fd, 1) : 0;
    return rc ? refuse("registering the file", rc, err) : 0;
}

/* All that is to be set up beside the descriptor; worker->own is there only when the ring is. */
static int ring_make(struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    bool polled = params->submission == submission_sqpoll;
    unsigned depth = (unsigned)params->queue_depth;
    struct ring *ring = calloc(1, sizeof *ring + depth * sizeof *ring->at);
    if (!ring)
        return err_set(err, ENOMEM, "no memory for a ring");
    /* Beside other arms' batches the thread is to sleep: 1 ms is the shortest it waits for more. */
    struct io_uring_params options = {.flags = polled ? IORING_SETUP_SQPOLL : 0, .sq_thread_idle = 1};
    int rc = io_uring_queue_init_params(depth, &ring->uring, &options);
    if (rc) {
        free(ring);
        return refuse(polled ? "a ring with a polling thread" : "a ring", rc, err);
    }
    ring->depth = depth;
    ring->polled = polled;
    for (unsigned i = 0; i < depth; i++)
        ring->at[i] = worker->buffer + i * worker->buffer_step;
    worker->own = ring;
    return register_all(worker, ring, err);
}

static int setup(struct worker *worker, struct err *err)
{
    if (worker->params->submission == submission_sqpoll && sysconf(_SC_NPROCESSORS_ONLN) < 2)
        return err_set(err, EOPNOTSUPP, "io_uring: a polling thread needs a CPU beside the worker's");
    int rc = descriptor_setup(worker, err);
    return rc ? rc : ring_make(worker, err);
}

/* Buffers are given back by name: the kernel takes a ring apart later, and what is locked counts until then. */
static void teardown(struct worker *worker)
{
    struct ring *ring = worker->own;
    if (ring && ring->fixed_buffers)
        io_uring_unregister_buffers(&ring->uring);
    if (ring)
        io_uring_queue_exit(&ring->uring);
    free(ring);
    worker->own = NULL;
    descriptor_teardown(worker);
}

#else

static int run(struct worker *worker, uint64_t blocks)
{
    (void)worker;
    (void)blocks;
    return -EOPNOTSUPP;
}

static int setup(struct worker *worker, struct err *err)
{
    (void)worker;
    return err_set(err, EOPNOTSUPP, "this program was built without liburing");
}

static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    (void)worker;
    (void)blocks;
    (void)err;
    return 0;
}

static void teardown(struct worker *worker)
{
    descriptor_teardown(worker);
}

#endif

/* What waits in a queue together is fetched side by side, as far as storage can. */
static uint64_t block_ns(const struct params *params)
{
    const struct storage *rates = storage_rates();
    double bytes = (double)params->block_bytes, fetch = rates->fetch_ns / (params->queue_depth >= 4 ? 2 : 1);
    if (params->cache == cache_cold || params->open_as == open_as_direct)
        return (uint64_t)(fetch + bytes * rates->read_byte_ns);
    return (params->submission == submission_sqpoll ? 1100 : 900) + params->block_bytes / 12;
}

/* Waking the kernel thread that polls. */
static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    (void)blocks;
    return params->submission == submission_sqpoll ? 1400 * US : 0;
}

const struct method method_uring = {
    .name = "uring",
    .measures = "reads of blocks by io_uring, several under way together",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER,
    .uses = USES_WORK | FIELD_BIT(advice) | FIELD_BIT(open_as) | FIELD_BIT(queue_depth) | FIELD_BIT(registered) |
            FIELD_BIT(submission),
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
