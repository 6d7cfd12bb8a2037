/* SPDX-License-Identifier: MIT */
/*
 * A ring of bytes: what becomes of a message that reaches over its end, one way beside the other, and the memory of a
 * ring that no target holds. The loops are compiled anew for each `wrap` that they are called with.
 */
#ifndef FAULTLINE_RING_H
#define FAULTLINE_RING_H

#include "memory_file.h"
#include "mirror.h"
#include "walk.h"

/* Where a ring lies. Copied by value, so that it stays in registers although bytes are stored through char pointers. */
struct ring {
    unsigned char *base; /* of wrap: mirrored and mirrored-way, the first of its two views */
    uint64_t bytes;
};

/* Whether a message lies in one piece wherever it begins. */
static inline bool ring_is_mirrored(uint64_t wrap)
{
    return wrap == wrap_mirrored || wrap == wrap_mirrored_way;
}

/* Copies a message into the ring, from place `at` on; it is no longer than the ring. */
WALK_SPECIALISED void ring_put(struct ring ring, uint64_t at, const unsigned char *message, uint64_t bytes,
                               enum wrap wrap)
{
    unsigned char *base = ring.base;
    uint64_t mask = ring.bytes - 1, room = ring.bytes - at;
    if (wrap == wrap_mask) {
        for (uint64_t i = 0; i < bytes; i++)
            base[(at + i) & mask] = message[i];
    } else if (wrap == wrap_modulo) {
        for (uint64_t i = 0; i < bytes; i++)
            base[(at + i) % ring.bytes] = message[i];
    } else if (wrap == wrap_split && bytes > room) {
        memcpy(base + at, message, room);
        memcpy(base, message + room, bytes - room);
    } else {
        memcpy(base + at, message, bytes);
    }
}

/* Copies the message that begins at place `at` out of the ring. */
WALK_SPECIALISED void ring_take(struct ring ring, uint64_t at, unsigned char *message, uint64_t bytes, enum wrap wrap)
{
    uint64_t mask = ring.bytes - 1, room = ring.bytes - at;
    if (wrap == wrap_mask) {
        for (uint64_t i = 0; i < bytes; i++)
            message[i] = ring.base[(at + i) & mask];
    } else if (wrap == wrap_modulo) {
        for (uint64_t i = 0; i < bytes; i++)
            message[i] = ring.base[(at + i) % ring.bytes];
    } else if (wrap == wrap_split && bytes > room) {
        memcpy(message, ring.base + at, room);
        memcpy(message + room, ring.base, bytes - room);
    } else {
        memcpy(message, ring.base + at, bytes);
    }
}

/* Where the message behind the one at `at` begins: in slots, of which there are as many as fit, the last is followed by
 * the first. */
WALK_SPECIALISED uint64_t ring_next(struct ring ring, uint64_t at, uint64_t bytes, enum wrap wrap)
{
    at += bytes;
    if (wrap == wrap_slots)
        return at + bytes > ring.bytes ? 0 : at;
    return at >= ring.bytes ? at - ring.bytes : at;
}

/* What is wished of a mirror of a worker's own, and the name that its memory has for a moment. */
struct ring_wish {
    struct mirror_wish mirror;
    char name[MEMORY_FILE_NAME_BYTES];
};

/*
 * As ring_of and ring_bytes say; the folder of a file is the target's. It is for any number of mirrors, one after the
 * other, and stays where it is, for it points to its name. Removes from /dev/shm what killed runs have left of names.
 * -EOPNOTSUPP with text where /dev/shm has no room for what all workers are to store there.
 */
int ring_wish(struct ring_wish *wish, const struct worker *worker, struct err *err);

/* A ring of a worker's own, and two messages. */
struct ring_room {
    struct ring_wish wish;
    struct mirror mirror;
    unsigned char *message, *copy; /* [payload_bytes] each */
};

/* mirror_make, with its reason as text: -EOPNOTSUPP where this machine, a filesystem, or a limit of System V segments
 * has no such memory (mirror_is_unsupported). */
int ring_mirror(const struct ring_wish *wish, struct mirror *mirror, struct err *err);

/* The same of ring_bytes of the target, from `offset` on. */
int ring_mirror_target(const struct worker *worker, struct mirror *mirror, uint64_t offset, struct err *err);

/* Makes worker->own a struct ring_room, no page of the ring touched; remove it also after a failure. -errno with text.
 */
int ring_room_make(struct worker *worker, struct err *err);
void ring_room_remove(struct worker *worker);

/*
 * The same, with bytes in the ring that depend on their place alone, stored through the first view, and through as much
 * of the second as a message can reach: the rest of it is never used, and takes no faults.
 */
int ring_room_make_touched(struct worker *worker, struct err *err);

/* The rest of a message of that number, or of anything else: each word is another in every message. */
void ring_fill(unsigned char *bytes, uint64_t count, uint64_t number);

/* Rough ns to copy a message one way. */
uint64_t ring_copy_ns(const struct params *params);

/* `ring_bytes`, for the memory of a method. */
uint64_t ring_memory(const struct params *params);

#endif
