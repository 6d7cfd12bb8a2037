/* SPDX-License-Identifier: MIT */
/*
 * Measures:         messages of payload_bytes through a ring of ring_bytes in a shared mapping: the first worker copies
 *                   them in, the second copies them out, or with consume: in_place takes them where they lie, and sums
 *                   them. An operation is a message, and the second worker's time is the batch's. What becomes of a
 *                   message at the end of the ring, `wrap` says.
 * Does not measure: a message by itself: that is hand_off. While there is room and there are messages neither waits for
 *                   the other, and each looks at the other's index only when its own idea of it is used up.
 * Expect:           about a hand-over for small messages, for a consumer that keeps up finds each message's line in the
 *                   other's cache, and from a few lines on what copying them between caches takes. Mirrored, split and
 *                   slots are alike; a byte loop is as slow as it is alone.
 * Source:           Lamport, "Proving the correctness of multiprocess programs" (1977), with the other side's index
 *                   kept as in FastForward and its successors; no kernel function.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring.h"
#include "shared.h"
#include "target.h"

enum { PRODUCER, CONSUMER };

/* A message is its number and a filling that does not change; each side has the same, and the second a buffer. */
struct own {
    struct mirror mirror; /* of the target's pages that are the ring, where it is mirrored */
    uint64_t *words;      /* [2][payload] */
};

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

/* Behind the counts: slots at once, and a ring of bytes on a page of its own. */
static uint64_t ring_offset(const struct worker *worker)
{
    return worker->params->wrap == wrap_slots ? 2 * (uint64_t)SHARED_LINE : worker->target->page_bytes;
}

static struct ring ring_of_worker(const struct worker *worker)
{
    const struct own *own = worker->own;
    unsigned char *base = own->mirror.base ? own->mirror.base : worker->base + ring_offset(worker);
    return (struct ring){base, walk_opaque(worker->params->ring_bytes)};
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

WALK_SPECIALISED int produce(const struct worker *worker, uint64_t count, enum wrap wrap)
{
    struct ring ring = ring_of_worker(worker);
    const struct own *own = worker->own;
    uint64_t slots = slot_count(worker), at = 0, taken = 0, *message = own->words;
    for (uint64_t number = 1; number <= count; number++) {
        if (number > taken + slots) {
            int rc = await_count(taken_count(worker), number - slots - 1, &taken);
            if (rc)
                return rc;
        }
        message[0] = number;
        ring_put(ring, at, (unsigned char *)message, worker->params->payload_bytes, wrap);
        atomic_store_explicit(put_count(worker), number, memory_order_release);
        at = ring_next(ring, at, worker->params->payload_bytes, wrap);
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

WALK_SPECIALISED int consume(struct worker *worker, uint64_t count, enum wrap wrap)
{
    struct ring ring = ring_of_worker(worker);
    const struct own *own = worker->own;
    uint64_t bytes = worker->params->payload_bytes, at = 0, put = 0;
    uint64_t filling = walk_sum((unsigned char *)own->words, bytes);
    unsigned char *copy = (unsigned char *)own->words + bytes;
    bool in_place = worker->params->consume == consume_in_place;
    for (uint64_t number = 1; number <= count; number++) {
        int rc = number > put ? await_count(put_count(worker), number - 1, &put) : 0;
        if (rc == 0 && !in_place)
            ring_take(ring, at, copy, bytes, wrap);
        if (rc == 0)
            rc = check_message(worker, in_place ? ring.base + at : copy, number, filling);
        if (rc)
            return rc;
        atomic_store_explicit(taken_count(worker), number, memory_order_release);
        at = ring_next(ring, at, bytes, wrap);
    }
    return 0;
}

WALK_SPECIALISED int take_part(struct worker *worker, uint64_t count, enum wrap wrap)
{
    return worker->index == PRODUCER ? produce(worker, count, wrap) : consume(worker, count, wrap);
}

static int take_part_as(struct worker *worker, uint64_t count)
{
    switch (worker->params->wrap) {
    case wrap_slots:
        return take_part(worker, count, wrap_slots);
    case wrap_split:
        return take_part(worker, count, wrap_split);
    case wrap_mask:
        return take_part(worker, count, wrap_mask);
    case wrap_modulo:
        return take_part(worker, count, wrap_modulo);
    default:
        return take_part(worker, count, wrap_mirrored);
    }
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
    int rc = take_part_as(worker, count);
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

/* The pages of the other view are mapped too, as shared_setup does it: nothing is changed, for the peer may be at work.
 */
static int mirror(struct worker *worker, struct own *own, struct err *err)
{
    int rc = ring_mirror_target(worker, &own->mirror, ring_offset(worker), err);
    for (uint64_t at = 0; rc == 0 && at < 2 * own->mirror.bytes; at += worker->target->page_bytes)
        atomic_fetch_add((_Atomic uint64_t *)(void *)(own->mirror.base + at), 0);
    return rc;
}

static int setup(struct worker *worker, struct err *err)
{
    uint64_t bytes = worker->params->payload_bytes;
    int rc = shared_setup(worker, err);
    if (rc)
        return rc;
    struct own *own = worker->own = calloc(1, sizeof *own);
    uint64_t *words = own ? own->words = calloc(2, bytes) : NULL;
    if (!words)
        return err_set(err, ENOMEM, "no memory for messages of %llu bytes", (unsigned long long)bytes);
    for (uint64_t i = 1; i < bytes / sizeof *words; i++)
        words[i] = i * UINT64_C(0x9e3779b97f4a7c15);
    return ring_is_mirrored(worker->params->wrap) ? mirror(worker, own, err) : 0;
}

static void teardown(struct worker *worker)
{
    struct own *own = worker->own;
    if (own) {
        mirror_free(&own->mirror);
        free(own->words);
        free(own);
    }
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
    bool bytewise = params->wrap == wrap_mask || params->wrap == wrap_modulo;
    return bytewise ? 15 + ring_copy_ns(params) : 15 + params->payload_bytes / 8;
}

const struct method method_spsc_ring = {
    .name = "spsc_ring",
    .measures = "messages through a ring in a shared mapping, from one worker to the other",
    .version = 2,
    .needs = NEEDS_FILE | NEEDS_WRITE | NEEDS_PAIR,
    .uses = USES_SHARED | FIELD_BIT(payload_bytes) | FIELD_BIT(ring_bytes) | FIELD_BIT(consume) | FIELD_BIT(wrap),
    .block_ns = block_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
    .timed = timed,
};
