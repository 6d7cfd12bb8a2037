/* SPDX-License-Identifier: MIT */
/*
 * How many mappings a process may have: each is a VMA, so is each part of one that differs from its neighbours, and
 * beyond vm.max_map_count mmap, mprotect and mremap answer ENOMEM, as they do where memory or addresses run out.
 *
 *     struct vma_room room;
 *     if (vma_room_read(&room) == 0 && !vma_room_has(&room, 1000)) …
 *
 * Source: mm/mmap.c do_mmap, mm/vma.c split_vma (sysctl_max_map_count).
 */
#ifndef FAULTLINE_VMA_ROOM_H
#define FAULTLINE_VMA_ROOM_H

#include <stdbool.h>
#include <stdint.h>

struct vma_room {
    uint64_t vmas;  /* that this process has: the lines of /proc/self/maps */
    uint64_t limit; /* vm.max_map_count */
};

/* 0, or -errno where one of them cannot be read. */
int vma_room_read(struct vma_room *room);

/* Whether so many more are within the limit. */
bool vma_room_has(const struct vma_room *room, uint64_t more);

#endif
