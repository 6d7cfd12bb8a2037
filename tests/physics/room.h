/* SPDX-License-Identifier: MIT */
/*
 * A stretch of address space in which the next large mapping has page tables of its own: otherwise chance decides, by
 * where the libraries lie, whether it crosses what one table of the level above maps and whether its neighbours have
 * that table already.
 */
#ifndef FAULTLINE_ROOM_H
#define FAULTLINE_ROOM_H

#include "physics.h"

#include <sys/mman.h>

#include "hugepage.h"

struct room {
    unsigned char *held; /* mapped without access, but for the gap */
    uint64_t reach;      /* bytes that a table of the second level maps; the gap is as large and aligned so */
    unsigned char *gap;  /* its lowest page is stored to, so that the table is there */
};

/* Ends the test as skipped where there is not so much address space. The kernel fills the highest gap that is large
 * enough (mm/vma.c unmapped_area_topdown): nothing larger than an alignment is left above. */
static inline void room_begin(struct room *room)
{
    uint64_t page_bytes = physics_page_bytes();
    room->reach = huge_page_bytes() * (page_bytes / sizeof(uint64_t));
    room->held = mmap(NULL, 3 * room->reach, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room->held == MAP_FAILED)
        physics_skip("no address space of %llu GiB", (unsigned long long)(3 * room->reach / GIB));
    uint64_t lead = room->reach - (uint64_t)(uintptr_t)room->held % room->reach;
    room->gap = room->held + lead;
    assert_int_equal(munmap(room->gap, room->reach), 0);
    volatile unsigned char *lowest = mmap(room->gap, page_bytes, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    assert_ptr_equal(lowest, room->gap);
    *lowest = 1;
}

/* That the kernel put them there. */
static inline void room_expect(const struct room *room, const void *base, uint64_t bytes)
{
    assert_in_range((uintptr_t)base, (uintptr_t)room->gap + huge_page_bytes(),
                    (uintptr_t)room->gap + room->reach - bytes);
}

/* After everything in it has been unmapped. */
static inline void room_end(struct room *room)
{
    assert_int_equal(munmap(room->held, 3 * room->reach), 0);
}

#endif
