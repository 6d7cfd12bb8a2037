/* SPDX-License-Identifier: MIT */
/*
 * Measures:         what happens by itself to a mirrored ring that is in use: an operation puts messages in until the
 *                   whole ring was written, then rests until a tenth of a second has passed since it began. Its counts
 *                   are the result: faults are pages that the kernel's flusher has written back, and write-protected in
 *                   both views for it, meanwhile.
 * Does not measure: time: an operation takes a beat by design. Nothing is synced.
 * Expect:           over 45 s or more every page of a ring in a file on a disk faults again about once in
 *                   dirty_expire_centisecs + dirty_writeback_centisecs (35 s); none in memory.
 * Source:           fs/fs-writeback.c wb_workfn, wb_check_old_data_flush and move_expired_inodes; mm/rmap.c
 *                   folio_mkclean, which walks all mappings of a folio.
 */
#include "beat.h"
#include "ring.h"

/* A message's place is behind the one before, over the end too; a lap is all places once, and a message at most. */
static int lap(struct worker *worker)
{
    const struct ring_room *room = worker->own;
    struct ring ring = {room->mirror.base, worker->params->ring_bytes};
    uint64_t bytes = worker->params->payload_bytes, at = worker->cursor % ring.bytes;
    for (uint64_t put = 0; put < ring.bytes; put += bytes) {
        ring_put(ring, at, room->message, bytes, wrap_mirrored);
        at = ring_next(ring, at, bytes, wrap_mirrored);
    }
    worker->cursor = at;
    return 0;
}

static int run(struct worker *worker, uint64_t beats)
{
    return beat_each(worker, beats, lap);
}

const struct method method_ring_soak = {
    .name = "ring_soak",
    .measures = "messages put into a mirrored ring ten times a second: what the kernel does to its pages by itself",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = FIELD_BIT(payload_bytes) | FIELD_BIT(ring_bytes) | FIELD_BIT(ring_of),
    .memory = ring_memory,
    .fills = true,
    .block_ns = beat_ns,
    .setup = ring_room_make_touched,
    .run = run,
    .teardown = ring_room_remove,
};
