/* SPDX-License-Identifier: MIT */
/*
 * Addresses that are reserved at once and given memory page by page: an array that may grow to any size without moving.
 * What is reserved costs no memory before it is stored to; then each page costs itself, and the page tables that lead
 * to it. Sizes are whole pages. Kernel: mm/mmap.c do_mmap, mm/util.c __vm_enough_memory, mm/mprotect.c mprotect_fixup.
 */
#ifndef FAULTLINE_RESERVATION_H
#define FAULTLINE_RESERVATION_H

#include <stddef.h>

enum reservation_way {
    RESERVATION_PLAIN,     /* to be stored to at once; counted as promised memory, so that a large one may be refused */
    RESERVATION_NORESERVE, /* the same, not counted (with vm.overcommit_memory 2 it is) */
    RESERVATION_PROT_NONE, /* to be committed before it is stored to; what is committed is counted then */
};

struct reserved_range {
    unsigned char *at; /* NULL: none */
    size_t bytes;
};

/*
 * Reserves addresses, where the kernel likes or at `place`, in place of what is mapped there. 0 or -errno: -ENOMEM
 * where the kernel does not promise as much. End with reservation_remove.
 */
int reservation_make(struct reserved_range *reservation, size_t bytes, enum reservation_way way);
int reservation_make_at(struct reserved_range *reservation, unsigned char *place, size_t bytes,
                        enum reservation_way way);
void reservation_remove(struct reserved_range *reservation);

/*
 * Makes [at, at + bytes) of a RESERVATION_PROT_NONE readable and writable. Each piece that does not lie beside another
 * is a VMA of its own, of which a process may have vm.max_map_count: then -ENOMEM.
 */
int reservation_commit(void *at, size_t bytes);

#endif
