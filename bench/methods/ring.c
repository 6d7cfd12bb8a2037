/* SPDX-License-Identifier: MIT */
/*
 * Measures:         messages of payload_bytes that one worker copies into a ring of bytes of ring_bytes, out of it, or
 *                   both, as ring_side says, and how the end of the ring is dealt with (wrap). An operation is a
 *                   message. All have the same memory (ring_of), mapped twice; only mirrored ones use the second view.
 * Does not measure: another worker: there is nothing to wait for, and nobody's cache to fetch from (spsc_ring). With
 *                   consumer: none all messages are one, and nothing reads it: a number that was just stored to its
 *                   head could not be forwarded to the wider loads of a copy, which is 14 cycles for every message.
 * Expect:           with both: 9 ns for 24 bytes, 35 for 1000 where the ring fits into L2, with one copy or two alike;
 *                   mask 1 ns a byte, modulo 3-5.
 * Source:           no kernel function; bench/techniques/mirror.h.
 */
#include "ring.h"

/* The place of a message of that number; that of the first reaches over the end, wherever that lies. */
static uint64_t place_of(const struct params *params, uint64_t number)
{
    uint64_t before = params->payload_bytes / 2 & ~UINT64_C(7);
    return (params->ring_bytes - before + number % params->ring_bytes * params->payload_bytes) % params->ring_bytes;
}

/* What a loop needs, by value: so that it stays in registers although bytes are stored through char pointers. */
struct passage {
    struct ring ring;
    unsigned char *message, *copy;
    uint64_t bytes;
};

/* What is added up is written anew, whole, and by the producer found again byte by byte in the first view. */
WALK_SPECIALISED uint64_t add_one(struct passage passage, uint64_t number, uint64_t at, enum wrap wrap,
                                  enum ring_side side)
{
    ring_fill(passage.message, passage.bytes, number);
    if (side != ring_side_consumer)
        ring_put(passage.ring, at, passage.message, passage.bytes, wrap);
    __asm__ volatile("" : : : "memory");
    ring_take(passage.ring, at, passage.copy, passage.bytes, side == ring_side_producer ? wrap_modulo : wrap);
    return walk_sum(passage.copy, passage.bytes);
}

WALK_SPECIALISED void pass_one(struct passage passage, uint64_t at, enum wrap wrap, enum ring_side side)
{
    if (side != ring_side_consumer)
        ring_put(passage.ring, at, passage.message, passage.bytes, wrap);
    __asm__ volatile("" : : : "memory"); /* what was put in is in the ring, whatever the compiler knows of views */
    if (side != ring_side_producer)
        ring_take(passage.ring, at, passage.copy, passage.bytes, wrap);
    __asm__ volatile("" : : : "memory");
}

WALK_SPECIALISED int pass_all(struct worker *worker, uint64_t count, enum wrap wrap, enum ring_side side)
{
    const struct ring_room *room = worker->own;
    struct passage passage = {.ring = {room->mirror.base, walk_opaque(worker->params->ring_bytes)},
                              .message = room->message,
                              .copy = room->copy,
                              .bytes = worker->params->payload_bytes};
    uint64_t number = worker->cursor, end = number + count, at = place_of(worker->params, number);
    worker->cursor = end;
    if (worker->consumer == consumer_sum) {
        for (; number < end; number++, at = ring_next(passage.ring, at, passage.bytes, wrap))
            worker->sum += add_one(passage, number, at, wrap, side);
        return 0;
    }
    for (; number < end; number++, at = ring_next(passage.ring, at, passage.bytes, wrap))
        pass_one(passage, at, wrap, side);
    return 0;
}

WALK_SPECIALISED int run_side(struct worker *worker, uint64_t count, enum wrap wrap)
{
    switch (worker->params->ring_side) {
    case ring_side_producer:
        return pass_all(worker, count, wrap, ring_side_producer);
    case ring_side_consumer:
        return pass_all(worker, count, wrap, ring_side_consumer);
    default:
        return pass_all(worker, count, wrap, ring_side_both);
    }
}

static int run(struct worker *worker, uint64_t count)
{
    switch (worker->params->wrap) {
    case wrap_split:
        return run_side(worker, count, wrap_split);
    case wrap_mask:
        return run_side(worker, count, wrap_mask);
    case wrap_modulo:
        return run_side(worker, count, wrap_modulo);
    default:
        return run_side(worker, count, wrap_mirrored);
    }
}

static uint64_t block_ns(const struct params *params)
{
    uint64_t cold = params->ring_bytes > 1 * MIB ? params->payload_bytes / 16 : 0;
    return (params->ring_side == ring_side_both ? 2 : 1) * (ring_copy_ns(params) + cold);
}

const struct method method_ring = {
    .name = "ring",
    .measures = "messages that one worker copies into a ring of bytes and out of it, by what happens at its end",
    .version = 1,
    .needs = NEEDS_FILE | ADDS_UP,
    .uses = FIELD_BIT(payload_bytes) | FIELD_BIT(ring_bytes) | FIELD_BIT(ring_side) | FIELD_BIT(wrap) |
            FIELD_BIT(ring_of),
    .memory = ring_memory,
    .fills = true,
    .block_ns = block_ns,
    .setup = ring_room_make_touched,
    .run = run,
    .teardown = ring_room_remove,
};
