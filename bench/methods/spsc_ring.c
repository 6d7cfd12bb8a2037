/* SPDX-License-Identifier: MIT */
/*
 * Measures:         messages of payload_bytes through a ring of ring_bytes in a shared mapping: the first worker copies
 *                   them in, the second copies them out, or with consume: in_place takes them where they lie, and sums
 *                   them. An operation is a message, and the second worker's time is the batch's. What becomes of a
 *                   message at the end of the ring, `wrap` says.
 * Does not measure: a message by itself: that is hand_off. While there is room and there are messages neither waits for
 *                   the other, and each looks at the other's index only when its own idea of it is used up. The ring
 *                   is looked at byte by byte when the second worker's time is over.
 * Expect:           about a hand-over for small messages, for a consumer that keeps up finds each message's line in the
 *                   other's cache, and from a few lines on what copying them between caches takes. Mirrored, split and
 *                   slots are alike; a byte loop is as slow as it is alone.
 * Source:           Lamport, "Proving the correctness of multiprocess programs" (1977), with the other side's index
 *                   kept as in FastForward and its successors; no kernel function.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "ring.h"
#include "shared.h"
#include "target.h"

enum { PRODUCER, CONSUMER };

enum { WORDS_SEED = 1977, PHASE_WORDS = 8 }; /* a line, so that each filling lies as the others do */

/*
 * A message is its number and a filling, of which there are `phases`, in turns: a window on random words that is a line
 * further on each time, so that each word of a message is another than in the one before at the same place. Both sides
 * have the same words, and a buffer each.
 */
struct own {
    struct mirror mirror; /* of the target's pages that are the ring, where it is mirrored */
    uint64_t *words;      /* of all windows */
    uint64_t *sums;       /* [phases] of each filling */
    uint64_t phases;
    unsigned char *copy;  /* [payload_bytes] */
    uint64_t batch, last; /* which batch it is, and the number of its last message; 0: there was none */
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

/* Which batch it is: so that the places of a ring that none of them fills hold another phase each time, too. */
static _Atomic uint64_t *batch_number(const struct worker *worker)
{
    return shared_word(worker, sizeof(uint64_t));
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

/* The fewest that are no divisor of what the ring holds: what is put to a place is another one than before. */
static uint64_t fewest_phases(const struct worker *worker)
{
    uint64_t phases = 2;
    while (slot_count(worker) % phases == 0)
        phases++;
    return phases;
}

static uint64_t phase_of(const struct own *own, uint64_t number)
{
    return (own->batch + number) % own->phases;
}

static uint64_t next_phase(uint64_t phase, uint64_t phases)
{
    return phase + 1 == phases ? 0 : phase + 1;
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
    uint64_t slots = slot_count(worker), at = 0, taken = 0, phase = phase_of(own, 1), phases = own->phases;
    uint64_t *words = own->words;
    for (uint64_t number = 1; number <= count; number++, phase = next_phase(phase, phases)) {
        uint64_t *message = words + phase * PHASE_WORDS, before = *message; /* part of other windows */
        if (number > taken + slots) {
            int rc = await_count(taken_count(worker), number - slots - 1, &taken);
            if (rc)
                return rc;
        }
        *message = number;
        ring_put(ring, at, (unsigned char *)message, worker->params->payload_bytes, wrap);
        atomic_store_explicit(put_count(worker), number, memory_order_release);
        at = ring_next(ring, at, worker->params->payload_bytes, wrap);
        *message = before;
    }
    return 0;
}

/* The message that is due, whole: neither lost, nor twice, nor another, nor in part what lay there before. */
static int check_message(struct worker *worker, const unsigned char *message, uint64_t number, uint64_t sum)
{
    uint64_t found;
    memcpy(&found, message, sizeof found);
    if (found == number && walk_sum(message, worker->params->payload_bytes) == sum + number)
        return 0;
    worker->fault = "a message came that was not due, or not whole";
    return -EPROTO;
}

WALK_SPECIALISED int consume(struct worker *worker, uint64_t count, enum wrap wrap)
{
    struct ring ring = ring_of_worker(worker);
    const struct own *own = worker->own;
    uint64_t bytes = worker->params->payload_bytes, at = 0, put = 0, phase = phase_of(own, 1), phases = own->phases;
    const uint64_t *sums = own->sums;
    unsigned char *copy = own->copy;
    bool in_place = worker->params->consume == consume_in_place;
    for (uint64_t number = 1; number <= count; number++, phase = next_phase(phase, phases)) {
        int rc = number > put ? await_count(put_count(worker), number - 1, &put) : 0;
        if (rc == 0 && !in_place)
            ring_take(ring, at, copy, bytes, wrap);
        if (rc == 0)
            rc = check_message(worker, in_place ? ring.base + at : copy, number, sums[phase]);
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

static bool is_message(const struct worker *worker, const unsigned char *bytes, uint64_t number)
{
    const struct own *own = worker->own;
    const uint64_t *filling = own->words + phase_of(own, number) * PHASE_WORDS;
    return memcmp(bytes, &number, sizeof number) == 0 &&
           memcmp(bytes + sizeof number, filling + 1, worker->params->payload_bytes - sizeof number) == 0;
}

static uint64_t place_of(const struct worker *worker, uint64_t number)
{
    const struct params *params = worker->params;
    return params->wrap == wrap_slots ? (number - 1) % slot_count(worker) * params->payload_bytes
                                      : (number - 1) * params->payload_bytes % params->ring_bytes;
}

/*
 * Byte by byte what sums do not tell: that the words of a message are in their order. The ring holds the last messages,
 * until another arm has a batch; by the producer, who is not timed, and has all of it in its caches already.
 */
static int check_ring(struct worker *worker, uint64_t count)
{
    const struct own *own = worker->own;
    struct ring ring = ring_of_worker(worker);
    uint64_t held = slot_count(worker) < count ? slot_count(worker) : count;
    for (uint64_t number = count - held + 1; number <= count; number++) {
        ring_take(ring, place_of(worker, number), own->copy, worker->params->payload_bytes, wrap_split);
        if (!is_message(worker, own->copy, number)) {
            worker->fault = "a message lies in the ring in another order than it went in";
            return -EPROTO;
        }
    }
    return 0;
}

static int run(struct worker *worker, uint64_t count)
{
    struct own *own = worker->own;
    own->batch = atomic_load(batch_number(worker));
    int rc = take_part_as(worker, count);
    own->last = rc ? 0 : count;
    shared_done(worker);
    if (rc)
        return shared_fail(worker, rc);
    shared_end(worker, count);
    if (worker->index != PRODUCER)
        return 0;
    rc = shared_await_end(worker, worker->count);
    if (rc == 0)
        rc = check_counts(worker, count);
    return rc ? rc : check_ring(worker, count);
}

/* The same of what came out last, which the consumer still has. */
static int check_copy(const struct worker *worker, struct err *err)
{
    const struct own *own = worker->own;
    bool copied = worker->params->consume == consume_copy && own->last;
    return copied && !is_message(worker, own->copy, own->last)
               ? err_set(err, EPROTO, "the last message came out in another order than it went in")
               : 0;
}

static int reset(struct worker *worker, uint64_t count, struct err *err)
{
    (void)count;
    if (worker->index != PRODUCER)
        return check_copy(worker, err);
    atomic_fetch_add(batch_number(worker), 1);
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

/* Fillings, their sums, and a buffer. */
static int make_messages(struct worker *worker)
{
    struct own *own = worker->own = calloc(1, sizeof *own);
    if (!own)
        return -ENOMEM;
    uint64_t bytes = worker->params->payload_bytes, phases = own->phases = fewest_phases(worker);
    uint64_t count = bytes / sizeof *own->words + (phases - 1) * PHASE_WORDS;
    own->words = calloc(1, count * sizeof *own->words + bytes);
    own->sums = malloc(phases * sizeof *own->sums);
    if (!own->words || !own->sums)
        return -ENOMEM;
    own->copy = (unsigned char *)(own->words + count);
    for (uint64_t i = 0; i < count; i++)
        own->words[i] = random_derive(WORDS_SEED, i);
    for (uint64_t phase = 0; phase < phases; phase++) {
        const uint64_t *filling = own->words + phase * PHASE_WORDS;
        own->sums[phase] = walk_sum((const unsigned char *)filling, bytes) - filling[0];
    }
    return 0;
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = shared_setup(worker, err);
    if (rc)
        return rc;
    rc = make_messages(worker);
    struct own *own = worker->own;
    if (rc)
        return err_set(err, -rc, "no memory for messages of %llu bytes",
                       (unsigned long long)worker->params->payload_bytes);
    return ring_is_mirrored(worker->params->wrap) ? mirror(worker, own, err) : 0;
}

static void teardown(struct worker *worker)
{
    struct own *own = worker->own;
    if (own) {
        mirror_free(&own->mirror);
        free(own->sums);
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
