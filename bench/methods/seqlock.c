/* SPDX-License-Identifier: MIT */
/*
 * Measures:         a payload of payload_bytes under a sequence lock in a shared mapping, that one worker writes and
 *                   one or more copy out until the copy is whole, and look at: a copy of each payload, which is
 *                   written anew when all have copied the one before (timed: readers), or a write while they copy all
 *                   the time (timed: writer). With apart_bytes the writer writes another one, to compare with.
 * Does not measure: writers among each other: there is one. Readers that could copy the same payload again would do so
 *                   an unknown number of times; a writer that did not wait for them would leave them nothing.
 * Expect:           a few hand-overs: of the word that says that a copy was made, of the sequence, which a reader may
 *                   see odd first, and of the lines of the payload.
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

struct reading {
    uint64_t seen;    /* value of the sequence with the last copy */
    uint64_t copies;  /* so far */
    uint64_t retries; /* looks at a payload that was being written */
};

/*
 * One look: whether a whole copy was made. A payload that this reader has already is not copied again, but where
 * another one is written than is copied: it is all there will be.
 */
static inline bool look(struct worker *worker, struct reading *reading)
{
    const struct sequence *sequence = copied(worker);
    uint64_t value = sequence_value(sequence);
    if (value == reading->seen && worker->params->apart_bytes == 0)
        return false;
    if (!sequence_copy(sequence, value, worker->own, word_count(worker))) {
        reading->retries++;
        return false;
    }
    reading->seen = value;
    return true;
}

/* Looks at the copy, and tells of it: the writer waits for that. -EPROTO: it is whole by the sequence, and torn. */
static inline int take_copy(struct worker *worker, struct reading *reading)
{
    if (sequence_is_torn(worker->own, word_count(worker), reading->seen / 2)) {
        worker->fault = "a copy is torn";
        return -EPROTO;
    }
    shared_tell(worker, ++reading->copies);
    return 0;
}

/* Between two looks in vain it relaxes, as the kernel's readers do: who looks without pause takes the line away from
 * the writer in the middle of a write. */
static int copy_counted(struct worker *worker, uint64_t count, struct reading *reading)
{
    int rc = 0;
    while (rc == 0 && reading->copies < count) {
        struct shared_wait wait = {0};
        while (!look(worker, reading)) {
            relax();
            if (shared_is_late(&wait))
                return -ETIMEDOUT;
        }
        rc = take_copy(worker, reading);
    }
    return rc;
}

/* For as long as workers [from, until) need it. A writer waits for each copy, and may have written its last. */
static int copy_for(struct worker *worker, unsigned from, unsigned until, struct reading *reading)
{
    struct shared_watch others = {.from = from, .until = until};
    int rc = 0;
    while (rc == 0 && !shared_are_done(worker, from, until)) {
        if (look(worker, reading))
            rc = take_copy(worker, reading);
        if (shared_is_stuck(worker, &others))
            return -ETIMEDOUT;
    }
    return rc;
}

/* Retries are counted only where they happened in its own time. */
static int copy_all(struct worker *worker, uint64_t count, uint64_t *copies)
{
    bool counted = worker->params->timed == timed_readers;
    struct reading reading = {0};
    int rc = counted ? copy_counted(worker, count, &reading) : 0;
    if (counted) {
        shared_done(worker);
        counter_method.retries += reading.retries;
    }
    if (rc == 0)
        rc = copy_for(worker, counted ? 1 : 0, counted ? worker->count : 1, &reading);
    *copies = reading.copies;
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

/* Nobody else has written, and nobody has copied more payloads than there were. */
static int check_numbers(struct worker *worker, uint64_t number)
{
    if (atomic_load(&written(worker)->value) != 2 * number)
        worker->fault = "somebody else has written";
    for (unsigned reader = 1; reader < worker->count && worker->params->apart_bytes == 0; reader++)
        if (atomic_load(&shared_slot(worker, reader)->amount) > number)
            worker->fault = "a payload was copied twice";
    return worker->fault ? -EPROTO : 0;
}

static int run(struct worker *worker, uint64_t count)
{
    uint64_t number = 1, copies = 0;
    int rc = is_writer(worker->index) ? write_all(worker, count, &number) : copy_all(worker, count, &copies);
    if (rc)
        return shared_fail(worker, rc);
    shared_end(worker, is_writer(worker->index) ? number : copies);
    if (!is_writer(worker->index))
        return 0;
    rc = shared_await_end(worker, worker->count);
    return rc ? rc : check_numbers(worker, number);
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
    const uint64_t line_ns = 60, lines = params->timed == timed_readers ? 4 : 1;
    return line_ns * (lines + params->payload_bytes / 256);
}

const struct method method_seqlock = {
    .name = "seqlock",
    .measures = "a payload under a sequence lock in a shared mapping, written by one worker and copied by others",
    .version = 2,
    .needs = NEEDS_FILE | NEEDS_WRITE | NEEDS_CROWD,
    .tells = COUNTER_BIT(retries),
    .uses = USES_SHARED | FIELD_BIT(payload_bytes) | FIELD_BIT(apart_bytes) | FIELD_BIT(timed),
    .block_ns = block_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
    .timed = timed,
};
