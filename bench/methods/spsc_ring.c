/* SPDX-License-Identifier: MIT */
/*
 * Measures:         messages of payload_bytes through a ring of ring_bytes in a shared mapping: the first worker copies
 *                   them in, the second copies them out, or with consume: in_place takes them where they lie, and sums
 *                   them. An operation is a message, and the second worker's time is the batch's.
 * Does not measure: a message by itself: that is hand_off. While there is room and there are messages neither waits for
 *                   the other, and each looks at the other's index only when its own idea of it is used up.
 * Expect:           about a hand-over for small messages, for a consumer that keeps up finds each message's line in the
 *                   other's cache, and from a few lines on what copying them between caches takes.
 * Source:           Lamport, "Proving the correctness of multiprocess programs" (1977), with the other side's index
 *                   kept as in FastForward and its successors; no kernel function.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared.h"
#include "walk.h"

enum { PRODUCER, CONSUMER };

/* How many messages were put in and taken out so far: each is stored by one side alone. */
static _Atomic uint64_t *put_count(const struct worker *worker)
{
    return shared_word(worker, 0);
}

static _Atomic uint64_t *taken_count(const struct worker *worker)
{
    return shared_word(worker, SHARED_LINE);
}

static uint64_t slot_count(const struct worker *worker)
{
    return worker->params->ring_bytes / worker->params->payload_bytes;
}

static unsigned char *slot_at(const struct worker *worker, uint64_t index)
{
    return worker->base + 2 * (uint64_t)SHARED_LINE + index * worker->params->payload_bytes;
}

/* Waits until the count is above `least`, and keeps it. */
static int await_count(_Atomic uint64_t *count, uint64_t least, uint64_t *known)
{
    struct shared_wait wait = {0};
    while ((*known = atomic_load_explicit(count, memory_order_acquire)) <= least)
        if (shared_is_late(&wait))
            return -ETIMEDOUT;
    return 0;
}

/* A message is its number and a filling that does not change; each side has the same, and the second a buffer. */
static uint64_t *own_words(const struct worker *worker)
{
    return worker->own;
}

static int produce(const struct worker *worker, uint64_t count)
{
    uint64_t slots = slot_count(worker), index = 0, taken = 0, *message = own_words(worker);
    for (uint64_t number = 1; number <= count; number++) {
        if (number > taken + slots) {
            int rc = await_count(taken_count(worker), number - slots - 1, &taken);
            if (rc)
                return rc;
        }
        message[0] = number;
        memcpy(slot_at(worker, index), message, worker->params->payload_bytes);
        atomic_store_explicit(put_count(worker), number, memory_order_release);
        index = index + 1 == slots ? 0 : index + 1;
    }
    return 0;
}

/* The message that is due, whole: neither lost, nor twice, nor another. */
static int check_message(struct worker *worker, const unsigned char *message, uint64_t number, uint64_t filling)
{
    uint64_t found;
    memcpy(&found, message, sizeof found);
    if (found == number && walk_sum(message, worker->params->payload_bytes) == filling + number)
        return 0;
    worker->fault = "a message came that was not due, or not whole";
    return -EPROTO;
}

static int consume(struct worker *worker, uint64_t count)
{
    uint64_t slots = slot_count(worker), bytes = worker->params->payload_bytes, index = 0, put = 0;
    uint64_t *buffer = own_words(worker), filling = walk_sum((unsigned char *)buffer, bytes);
    unsigned char *copy = (unsigned char *)buffer + bytes;
    bool in_place = worker->params->consume == consume_in_place;
    for (uint64_t number = 1; number <= count; number++) {
        int rc = number > put ? await_count(put_count(worker), number - 1, &put) : 0;
        const unsigned char *message = slot_at(worker, index);
        if (rc == 0 && !in_place)
            message = memcpy(copy, message, bytes);
        if (rc == 0)
            rc = check_message(worker, message, number, filling);
        if (rc)
            return rc;
        atomic_store_explicit(taken_count(worker), number, memory_order_release);
        index = index + 1 == slots ? 0 : index + 1;
    }
    return 0;
}

/* As many were put in as were taken out. */
static int check_counts(struct worker *worker, uint64_t count)
{
    if (atomic_load(put_count(worker)) == count && atomic_load(taken_count(worker)) == count)
        return 0;
    worker->fault = "messages were lost or came twice";
    return -EPROTO;
}

static int run(struct worker *worker, uint64_t count)
{
    int rc = worker->index == PRODUCER ? produce(worker, count) : consume(worker, count);
    shared_done(worker);
    if (rc)
        return shared_fail(worker, rc);
    shared_end(worker, count);
    if (worker->index != PRODUCER)
        return 0;
    rc = shared_await_end(worker, worker->count);
    return rc ? rc : check_counts(worker, count);
}

static int reset(struct worker *worker, uint64_t count, struct err *err)
{
    (void)count;
    (void)err;
    if (worker->index != PRODUCER)
        return 0;
    atomic_store(put_count(worker), 0);
    atomic_store(taken_count(worker), 0);
    shared_clear(worker);
    return 0;
}

static int setup(struct worker *worker, struct err *err)
{
    uint64_t bytes = worker->params->payload_bytes;
    int rc = shared_setup(worker, err);
    if (rc)
        return rc;
    uint64_t *words = worker->own = calloc(2, bytes);
    if (!words)
        return err_set(err, ENOMEM, "no memory for messages of %llu bytes", (unsigned long long)bytes);
    for (uint64_t i = 1; i < bytes / sizeof *words; i++)
        words[i] = i * UINT64_C(0x9e3779b97f4a7c15);
    return 0;
}

static void teardown(struct worker *worker)
{
    free(worker->own);
    worker->own = NULL;
    shared_teardown(worker);
}

static bool timed(const struct params *params, unsigned index)
{
    (void)params;
    return index == CONSUMER;
}

static uint64_t block_ns(const struct params *params)
{
    return 15 + params->payload_bytes / 8;
}

const struct method method_spsc_ring = {
    .name = "spsc_ring",
    .measures = "messages through a ring in a shared mapping, from one worker to the other",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_WRITE | NEEDS_PAIR,
    .uses = USES_SHARED | FIELD_BIT(payload_bytes) | FIELD_BIT(ring_bytes) | FIELD_BIT(consume),
    .block_ns = block_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
    .timed = timed,
};
