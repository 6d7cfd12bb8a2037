/* SPDX-License-Identifier: MIT */
/*
 * A growing array whose pages the kernel moves instead of a program copying what is in them: mremap changes page-table
 * entries, a memcpy every byte. Sizes are whole pages (sysconf(_SC_PAGESIZE)); memory that a vector has grown by holds
 * zeros. Pointers into a vector are invalid once it has moved. Kernel: mm/mremap.c.
 */
#ifndef FAULTLINE_PAGED_VECTOR_H
#define FAULTLINE_PAGED_VECTOR_H

#include <stddef.h>

struct paged_vector {
    unsigned char *at; /* NULL: none */
    size_t bytes;
};

/* Maps `bytes` of private memory that may be read and written. 0 or -errno (-ENOMEM). End with paged_vector_free. */
int paged_vector_make(struct paged_vector *vector, size_t bytes);
void paged_vector_free(struct paged_vector *vector);

/*
 * Each makes the vector `bytes` large, more than it was. When it fails the vector is as before.
 *   paged_vector_grow     where it lies if the addresses behind it are free, else where the kernel finds room; -ENOMEM
 *   paged_vector_grow_in_place    where it lies or not at all: -ENOMEM when something is mapped right behind it
 *   paged_vector_grow_to  to `place`, where nothing lies that is needed: what is mapped there is unmapped. Where old
 * and new place begin at a multiple of what a page table maps (2 MiB on x86-64), whole page tables change hands, not
 * single entries. -EINVAL when the two overlap.
 */
int paged_vector_grow(struct paged_vector *vector, size_t bytes);
int paged_vector_grow_in_place(struct paged_vector *vector, size_t bytes);
int paged_vector_grow_to(struct paged_vector *vector, unsigned char *place, size_t bytes);

#endif
