/* SPDX-License-Identifier: MIT */
/*
 * Measures:         a payload of payload_bytes under a sequence lock in a shared mapping, that one worker writes and
 *                   one or more copy out until the copy is whole, and look at: a copy while the payload is written anew
 *                   for each (timed: readers), or a write while they copy all the time (timed: writer). With
 *                   apart_bytes the writer writes another one, to compare with.
 * Does not measure: writers among each other: there is one. The writer writes the next payload only when each reader
 *                   has got one meanwhile, or readers would starve.
 * Expect:           what the lines of the payload take from one cache to the other, and the retries beside it.
 * Source:           include/linux/seqlock.h is the kernel's; no kernel function is called.
 */
#include <errno.h>
#include <stdlib.h>

#include "counter.h"
#include "sequence.h"

static struct sequence *sequence_at(const struct worker *worker, uint64_t offset)
{
    return (struct sequence *)(void *)(worker->base + offset);
}

static struct sequence *written(const struct worker *worker)
{
    return sequence_at(worker, worker->params->apart_bytes);
}

static struct sequence *copied(const struct worker *worker)
{
    return sequence_at(worker, 0);
}

static uint64_t word_count(const struct worker *worker)
{
    return worker->params->payload_bytes / sizeof(uint64_t);
}

static bool is_writer(unsigned index)
{
    return index == 0;
}

/* ---- readers ---- */

/* One attempt. 1: a whole copy, 0: try again, or -EPROTO: whole by the sequence, and torn. */
static int try_copy(struct worker *worker)
{
    uint64_t *copy = worker->own, count = word_count(worker), number;
    if (!sequence_try(copied(worker), copy, count, &number))
        return 0;
    if (!sequence_is_torn(copy, count, number))
        return 1;
    worker->fault = "a copy is torn";
    return -EPROTO;
}

static int copy_one(struct worker *worker)
{
    struct shared_wait wait = {0};
    int rc;
    while ((rc = try_copy(worker)) == 0) {
        counter_method_retries++;
        if (shared_is_late(&wait))
            return -ETIMEDOUT;
    }
    return rc < 0 ? rc : 0;
}

/* Each copy is told, for the writer waits for it. */
static int copy_some(struct worker *worker, uint64_t count)
{
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        rc = copy_one(worker);
        shared_step(worker);
    }
    return rc;
}

/* What they get is not counted: whoever never leaves off writing leaves them nothing. */
static int copy_until_written(struct worker *worker)
{
    struct shared_watch writer = {.until = 1};
    int rc = 0;
    while (rc >= 0 && !shared_are_done(worker, 0, 1)) {
        rc = try_copy(worker);
        if (shared_is_stuck(worker, &writer))
            return -ETIMEDOUT;
    }
    return rc < 0 ? rc : 0;
}

static int copy_all(struct worker *worker, uint64_t count)
{
    if (worker->params->timed == timed_writer)
        return copy_until_written(worker);
    int rc = copy_some(worker, count);
    shared_done(worker);
    struct shared_watch others = {.from = 1, .until = worker->count};
    uint64_t retries = counter_method_retries;
    while (rc == 0 && !shared_are_done(worker, 1, worker->count))
        rc = shared_is_stuck(worker, &others) ? -ETIMEDOUT : copy_some(worker, 1);
    counter_method_retries = retries; /* uncounted, as what they were tried for */
    return rc;
}

/* ---- the writer ---- */

static void write_one(const struct worker *worker, uint64_t *number)
{
    sequence_write(written(worker), ++*number, word_count(worker));
}

/* Says now and then that it gets on: the readers look at that line beside each copy, and where it was stored to after
 * each write a write of 64 bytes took three times as long. */
static void write_counted(const struct worker *worker, uint64_t count, uint64_t *number)
{
    enum { BETWEEN_STEPS = 1024 };
    for (uint64_t i = 1; i <= count; i++) {
        write_one(worker, number);
        if (i % BETWEEN_STEPS == 0)
            shared_step(worker);
    }
}

/* Waits until each reader has a copy more than `seen` says, or all are done; brings `seen` up to date. */
static int await_copies(const struct worker *worker, uint64_t *seen)
{
    for (unsigned reader = 1; reader < worker->count; reader++) {
        struct shared_wait wait = {0};
        uint64_t now;
        while ((now = atomic_load_explicit(&shared_slot(worker, reader)->steps, memory_order_acquire)) == seen[reader])
            if (shared_are_done(worker, 1, worker->count))
                return 0;
            else if (shared_is_late(&wait))
                return -ETIMEDOUT;
        seen[reader] = now;
    }
    return 0;
}

static int write_all(struct worker *worker, uint64_t count, uint64_t *number)
{
    int rc = 0;
    if (worker->params->timed == timed_writer) {
        write_counted(worker, count, number);
        shared_done(worker);
        return 0;
    }
    uint64_t *seen = worker->own;
    for (unsigned reader = 1; reader < worker->count; reader++)
        seen[reader] = 0;
    while (rc == 0 && !shared_are_done(worker, 1, worker->count)) {
        write_one(worker, number);
        rc = await_copies(worker, seen);
    }
    return rc;
}

static int run(struct worker *worker, uint64_t count)
{
    uint64_t number = 1;
    int rc = is_writer(worker->index) ? write_all(worker, count, &number) : copy_all(worker, count);
    if (rc)
        return shared_fail(worker, rc);
    shared_end(worker, number);
    if (!is_writer(worker->index))
        return 0;
    rc = shared_await_end(worker, worker->count);
    if (rc == 0 && atomic_load(&written(worker)->value) != 2 * number) {
        worker->fault = "somebody else has written";
        return -EPROTO;
    }
    return rc;
}

/* The first payload is there before anybody reads. */
static int reset(struct worker *worker, uint64_t count, struct err *err)
{
    (void)count;
    (void)err;
    if (!is_writer(worker->index))
        return 0;
    sequence_write(copied(worker), 1, word_count(worker));
    sequence_write(written(worker), 1, word_count(worker));
    shared_clear(worker);
    return 0;
}

static int setup(struct worker *worker, struct err *err)
{
    uint64_t most = word_count(worker) > worker->count ? word_count(worker) : worker->count;
    int rc = shared_setup(worker, err);
    if (rc)
        return rc;
    worker->own = calloc(most, sizeof(uint64_t)); /* a copy, or what each reader was seen to have */
    return worker->own ? 0 : err_set(err, ENOMEM, "no memory for a payload");
}

static void teardown(struct worker *worker)
{
    free(worker->own);
    worker->own = NULL;
    shared_teardown(worker);
}

static bool timed(const struct params *params, unsigned index)
{
    return is_writer(index) == (params->timed == timed_writer);
}

static uint64_t block_ns(const struct params *params)
{
    const uint64_t line_ns = 60;
    return line_ns * (1 + params->payload_bytes / 256);
}

const struct method method_seqlock = {
    .name = "seqlock",
    .measures = "a payload under a sequence lock in a shared mapping, written by one worker and copied by others",
    .version = 2,
    .needs = NEEDS_FILE | NEEDS_WRITE | NEEDS_CROWD,
    .uses = USES_SHARED | FIELD_BIT(payload_bytes) | FIELD_BIT(apart_bytes) | FIELD_BIT(timed),
    .block_ns = block_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
    .timed = timed,
};
