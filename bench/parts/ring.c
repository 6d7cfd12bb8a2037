/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "making.h"
#include "target.h"

_Static_assert(MIRROR_MEMFD == (int)ring_of_memfd && MIRROR_SHM == (int)ring_of_shm &&
                   MIRROR_TMPFS == (int)ring_of_tmpfs && MIRROR_FILE == (int)ring_of_file &&
                   MIRROR_SYSV == (int)ring_of_sysv && MIRROR_MREMAP == (int)ring_of_mremap &&
                   MIRROR_OF_COUNT == (int)ring_of_count,
               "the options of ring_of are the kinds of a mirror");

static struct mirror_wish wish_of(const struct params *params, const char *place)
{
    return (struct mirror_wish){
        .of = (enum mirror_of)params->ring_of,
        .bytes = params->ring_bytes,
        .place = place,
        .same_way = params->wrap == wrap_mirrored_way,
    };
}

int ring_wish(struct ring_wish *wish, const struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    bool in_file = params->ring_of == ring_of_file, named = params->ring_of == ring_of_shm;
    memory_file_name(wish->name, MAKING_PREFIX);
    wish->mirror = wish_of(params, in_file ? worker->target->directory : named ? wish->name : NULL);
    if (named)
        memory_file_sweep(MAKING_SHARED, MAKING_PREFIX);
    return named || params->ring_of == ring_of_tmpfs
               ? making_check_room(MAKING_SHARED, params->ring_bytes * params->workers, err)
               : 0;
}

static int explain(const struct mirror *mirror, int rc, bool unsupported, struct err *err)
{
    int code = unsupported ? EOPNOTSUPP : -rc;
    return rc ? err_set(err, code, "a mirrored ring: %s: %s", mirror->why, strerror(-rc)) : 0;
}

int ring_mirror(const struct ring_wish *wish, struct mirror *mirror, struct err *err)
{
    int rc = mirror_make(mirror, &wish->mirror);
    return explain(mirror, rc, mirror_is_unsupported(wish->mirror.of, rc), err);
}

int ring_mirror_target(const struct worker *worker, struct mirror *mirror, uint64_t offset, struct err *err)
{
    struct mirror_wish wish = wish_of(worker->params, NULL);
    int rc = mirror_map(mirror, worker->fd, (off_t)offset, &wish);
    return explain(mirror, rc, memory_file_is_unsupported(rc), err);
}

int ring_room_make(struct worker *worker, struct err *err)
{
    struct ring_room *room = worker->own = calloc(1, sizeof *room);
    uint64_t bytes = worker->params->payload_bytes;
    if (!room)
        return err_set(err, ENOMEM, "no memory for a ring");
    room->message = calloc(2, bytes);
    if (!room->message)
        return err_set(err, ENOMEM, "no memory for messages of %llu bytes", (unsigned long long)bytes);
    room->copy = room->message + bytes;
    int rc = ring_wish(&room->wish, worker, err);
    return rc ? rc : ring_mirror(&room->wish, &room->mirror, err);
}

int ring_room_make_touched(struct worker *worker, struct err *err)
{
    int rc = ring_room_make(worker, err);
    const struct ring_room *room = worker->own;
    if (rc)
        return rc;
    ring_fill(room->mirror.base, room->mirror.bytes, 0);
    ring_fill(room->mirror.base + room->mirror.bytes, worker->params->payload_bytes, 0);
    ring_fill(room->message, worker->params->payload_bytes, 0);
    return 0;
}

void ring_room_remove(struct worker *worker)
{
    struct ring_room *room = worker->own;
    if (!room)
        return;
    mirror_free(&room->mirror);
    free(room->message);
    free(room);
    worker->own = NULL;
}

void ring_fill(unsigned char *bytes, uint64_t count, uint64_t number)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15); /* no two numbers share a word */
    for (uint64_t at = 0; at < count; at += sizeof odd) {
        uint64_t word = (number * 4096 + at / sizeof odd) * odd;
        memcpy(bytes + at, &word, count - at < sizeof word ? count - at : sizeof word);
    }
}

uint64_t ring_copy_ns(const struct params *params)
{
    uint64_t bytes = params->payload_bytes;
    return params->wrap == wrap_modulo ? 2 + bytes * 2 : params->wrap == wrap_mask ? 2 + bytes / 2 : 6 + bytes / 24;
}

uint64_t ring_memory(const struct params *params)
{
    return params->ring_bytes;
}
