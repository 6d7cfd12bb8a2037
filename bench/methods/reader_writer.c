/* SPDX-License-Identifier: MIT */
/*
 * Measures:         one worker that writes a word of a shared mapping, and one or more that load it, each load waiting
 *                   for the one before: a load while it is written (timed: readers), an update while it is read
 *                   (timed: writer), or an update until each reader has answered it (timed: round-trip), which bounds
 *                   how old what a reader sees can be: both ways are timed, by one clock. With apart_bytes the readers
 *                   load another word, to compare with.
 * Does not measure: the way there alone: clocks of two CPUs would have to agree better than it is short. Who is done
 *                   goes on, uncounted, until those that are timed are.
 * Expect:           a load 1-2 ns where nobody writes, and between that and a hand-over where somebody does: the line
 *                   is fetched once and then loaded from until it is taken away again. A round trip is ping_pong's.
 * Source:           the processor's coherence protocol; no kernel function.
 */
#include <errno.h>

#include "shared.h"
#include "walk.h"

static _Atomic uint64_t *written_word(const struct worker *worker)
{
    return shared_word(worker, 0);
}

static _Atomic uint64_t *read_word(const struct worker *worker)
{
    return shared_word(worker, worker->params->apart_bytes);
}

/* What a reader answers with lies on a line of its own. */
static _Atomic uint64_t *answer_of(const struct worker *worker, unsigned reader)
{
    return &shared_slot(worker, reader)->steps;
}

static bool is_writer(unsigned index)
{
    return index == 0;
}

/* Numbers after `last`. */
static uint64_t write_some(const struct worker *worker, uint64_t last, uint64_t count)
{
    _Atomic uint64_t *word = written_word(worker);
    bool adds = worker->params->update != update_store;
    for (uint64_t i = 1; i <= count && adds; i++)
        atomic_fetch_add_explicit(word, 1, memory_order_relaxed);
    for (uint64_t i = 1; i <= count && !adds; i++)
        atomic_store_explicit(word, last + i, memory_order_relaxed);
    return last + count;
}

/*
 * Each address depends on the number loaded before, and on nothing else: the compiler would calculate the word's own
 * anew each time, a seventh of what a load takes. *went_back: one of the numbers was lower than the one 16 before it;
 * to look at each made a load 8 % dearer.
 */
static uint64_t load_some(const struct worker *worker, uint64_t last, uint64_t count, bool *went_back)
{
    enum { BETWEEN_CHECKS = 16 };
    const _Atomic uint64_t *word = read_word(worker);
    uint64_t zero = walk_opaque(0);
    __asm__ volatile("" : "+r"(word));
    for (uint64_t left = count, now; left; left -= now) {
        uint64_t before = last;
        now = left < BETWEEN_CHECKS ? left : BETWEEN_CHECKS;
        for (uint64_t i = 0; i < now; i++)
            last = atomic_load_explicit(word + (last & zero), memory_order_relaxed);
        *went_back |= last < before;
    }
    return last;
}

/* ---- for as long as the others need it ---- */

enum { BETWEEN_LOOKS = 16 };

static int write_until_read(struct worker *worker, uint64_t *last)
{
    struct shared_watch readers = {.from = 1, .until = worker->count};
    while (!shared_are_done(worker, 1, worker->count)) {
        *last = write_some(worker, *last, BETWEEN_LOOKS);
        if (shared_is_stuck(worker, &readers))
            return -ETIMEDOUT;
    }
    return 0;
}

/* Until workers [from, until) are done. */
static int load_until_done(struct worker *worker, unsigned from, unsigned until, uint64_t *last, bool *went_back)
{
    struct shared_watch others = {.from = from, .until = until};
    while (!shared_are_done(worker, from, until)) {
        *last = load_some(worker, *last, BETWEEN_LOOKS, went_back);
        if (shared_is_stuck(worker, &others))
            return -ETIMEDOUT;
    }
    return 0;
}

/* ---- what is timed: each says now and then that it gets on ---- */

static void write_counted(struct worker *worker, uint64_t count, uint64_t *last)
{
    for (uint64_t left = count, now; left; left -= now) {
        now = left < SHARED_STRIDE ? left : SHARED_STRIDE;
        *last = write_some(worker, *last, now);
        shared_step(worker);
    }
}

static void load_counted(struct worker *worker, uint64_t count, uint64_t *last, bool *went_back)
{
    for (uint64_t left = count, now; left; left -= now) {
        now = left < SHARED_STRIDE ? left : SHARED_STRIDE;
        *last = load_some(worker, *last, now, went_back);
        shared_step(worker);
    }
}

/* One after the other, each when all have answered the one before. */
static int write_and_await(struct worker *worker, uint64_t count, uint64_t *last)
{
    for (uint64_t i = 0; i < count; i++) {
        *last = write_some(worker, *last, 1);
        for (unsigned reader = 1; reader < worker->count; reader++) {
            struct shared_wait wait = {0};
            while (atomic_load_explicit(answer_of(worker, reader), memory_order_acquire) < *last)
                if (shared_is_late(&wait))
                    return -ETIMEDOUT;
        }
    }
    return 0;
}

/* Answers each number that it sees with that number. */
static int answer_until_written(struct worker *worker, uint64_t *last, bool *went_back)
{
    struct shared_wait wait = {0};
    _Atomic uint64_t *answer = answer_of(worker, worker->index);
    while (!shared_are_done(worker, 0, 1)) {
        uint64_t now = load_some(worker, *last, 1, went_back);
        if (now != *last) {
            atomic_store_explicit(answer, now, memory_order_release);
            *last = now;
            wait = (struct shared_wait){0};
        } else if (shared_is_late(&wait)) {
            return -ETIMEDOUT;
        }
    }
    return 0;
}

static int write_all(struct worker *worker, uint64_t count, uint64_t *last)
{
    int rc = 0;
    if (worker->params->timed == timed_readers)
        return write_until_read(worker, last);
    if (worker->params->timed == timed_round_trip)
        rc = write_and_await(worker, count, last);
    else
        write_counted(worker, count, last);
    shared_done(worker);
    return rc;
}

static int load_all(struct worker *worker, uint64_t count, uint64_t *last, bool *went_back)
{
    if (worker->params->timed == timed_round_trip)
        return answer_until_written(worker, last, went_back);
    if (worker->params->timed == timed_writer)
        return load_until_done(worker, 0, 1, last, went_back);
    load_counted(worker, count, last, went_back);
    shared_done(worker);
    return load_until_done(worker, 1, worker->count, last, went_back); /* so that all have as many beside them */
}

/* Every update is there, and no reader has seen a number that was never written, or one that went back. */
static int check_numbers(struct worker *worker, uint64_t last)
{
    bool apart = worker->params->apart_bytes != 0;
    worker->fault = atomic_load(written_word(worker)) == last ? NULL : "updates were lost";
    for (unsigned reader = 1; reader < worker->count; reader++) {
        uint64_t seen = atomic_load(&shared_slot(worker, reader)->amount);
        if (apart ? seen != 0 : seen > last)
            worker->fault = "a reader has seen a number that was not written";
    }
    return worker->fault ? -EPROTO : 0;
}

static int run(struct worker *worker, uint64_t count)
{
    uint64_t last = 0;
    bool went_back = false;
    int rc = is_writer(worker->index) ? write_all(worker, count, &last) : load_all(worker, count, &last, &went_back);
    if (rc == 0 && went_back) {
        worker->fault = "a reader has seen numbers go back";
        rc = -EPROTO;
    }
    if (rc)
        return shared_fail(worker, rc);
    shared_end(worker, last);
    if (!is_writer(worker->index))
        return 0;
    rc = shared_await_end(worker, worker->count);
    return rc ? rc : check_numbers(worker, last);
}

static int reset(struct worker *worker, uint64_t count, struct err *err)
{
    (void)count;
    (void)err;
    if (!is_writer(worker->index))
        return 0;
    atomic_store(written_word(worker), 0);
    atomic_store(read_word(worker), 0);
    shared_clear(worker);
    return 0;
}

static bool timed(const struct params *params, unsigned index)
{
    return is_writer(index) != (params->timed == timed_readers);
}

static uint64_t block_ns(const struct params *params)
{
    const uint64_t load_ns = 4, update_ns = 20, line_ns = 60;
    return params->timed == timed_round_trip ? line_ns * params->workers
           : params->timed == timed_readers  ? load_ns
                                             : update_ns;
}

const struct method method_reader_writer = {
    .name = "reader_writer",
    .measures =
        "one worker that writes a word of a shared mapping, and others that load it: either's cost, or both ways",
    .version = 2,
    .needs = NEEDS_FILE | NEEDS_WRITE | NEEDS_CROWD,
    .uses = USES_SHARED | FIELD_BIT(apart_bytes) | FIELD_BIT(update) | FIELD_BIT(timed),
    .block_ns = block_ns,
    .setup = shared_setup,
    .reset = reset,
    .run = run,
    .teardown = shared_teardown,
    .timed = timed,
};
