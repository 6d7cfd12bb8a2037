/* SPDX-License-Identifier: MIT */
/*
 * Merging sparse spans of memory: several spans of addresses whose used parts do not overlap are put onto one physical
 * span, and the pages of the others are given back. All addresses stay valid, which is what a program wants that cannot
 * move its objects (Powers, Tench, Berger, McGregor: "Mesh: Compacting Memory Management for C/C++ Applications", PLDI
 * 2019). The memory has to be a file's, mapped shared: here a memfd, an arena of equal spans.
 *
 *     struct merge_arena arena;
 *     merge_arena_make(&arena, 1 << 20, 16384);               // 64 spans of 16 KiB
 *     …                                                       // objects in spans 3 and 8, at different places in them
 *     merge_protect(&arena, 8);                               // from here on stores to span 8 fault
 *     memcpy(merge_span(&arena, 3) + at, merge_span(&arena, 8) + at, bytes);     // for each object in use
 *     merge_remap(&arena, 3, 8);                              // span 8 shows what span 3 shows; stores go on
 *     merge_punch(&arena, 8);                                 // 16 KiB are given back
 *
 * Other threads may read both spans all the while: before the remap they find the old pages, after it the new ones,
 * with the same bytes at each object's address. A thread that stores to the protected span gets SIGSEGV: a program
 * whose threads may do so needs a handler that waits for the merge to end (a lock that the merging thread holds) and
 * returns, upon which the store is tried again. Nobody may store to the used part of span 8 by another way than its
 * addresses.
 *
 * Each span that is merged is a VMA of its own and cuts its neighbour off: at most two more each
 * (vma_room.h). Its pages fault once more when they are next touched: the remap leaves their entries empty.
 */
#ifndef FAULTLINE_MERGE_H
#define FAULTLINE_MERGE_H

#include <stddef.h>
#include <stdint.h>

enum { MERGE_VMAS_EACH = 2 }; /* that a span which is merged makes, at most */

struct merge_arena {
    int fd;
    unsigned char *base;
    size_t bytes, span_bytes;
};

/* A memfd of `bytes`, mapped whole, nothing of it allocated; spans are whole pages, and `bytes` whole spans; else
 * -EINVAL. -errno. End with merge_arena_remove, also after a failure. */
int merge_arena_make(struct merge_arena *arena, size_t bytes, size_t span_bytes);
void merge_arena_remove(struct merge_arena *arena);

/* Where a span's addresses begin, whatever it is mapped to. */
unsigned char *merge_span(const struct merge_arena *arena, size_t span);

/* The steps, in their order. `from` is merged into `into`. 0 or -errno; -ENOMEM from the first and the third where a
 * VMA would be one too many, upon which nothing has happened and merge_undo makes span `from` writable again. */
int merge_protect(const struct merge_arena *arena, size_t from);
int merge_remap(const struct merge_arena *arena, size_t into, size_t from);
int merge_punch(const struct merge_arena *arena, size_t from);

/* Maps a span to its own pages again, readable and writable: holes, where they were punched. 0 or -errno. */
int merge_undo(const struct merge_arena *arena, size_t from);

/* Bytes that the arena holds (st_blocks): exact on tmpfs. UINT64_MAX: fstat fails. */
uint64_t merge_held_bytes(const struct merge_arena *arena);

#endif
