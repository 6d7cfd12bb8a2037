/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "paged_vector.h"

#include <errno.h>
#include <sys/mman.h>

int paged_vector_make(struct paged_vector *vector, size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    vector->at = at == MAP_FAILED ? NULL : at;
    vector->bytes = at == MAP_FAILED ? 0 : bytes;
    return at == MAP_FAILED ? -errno : 0;
}

void paged_vector_free(struct paged_vector *vector)
{
    if (vector->at)
        munmap(vector->at, vector->bytes);
    *vector = (struct paged_vector){0};
}

/* What mremap has returned. */
static int take(struct paged_vector *vector, void *at, size_t bytes)
{
    if (at == MAP_FAILED)
        return -errno;
    vector->at = at;
    vector->bytes = bytes;
    return 0;
}

int paged_vector_grow(struct paged_vector *vector, size_t bytes)
{
    return take(vector, mremap(vector->at, vector->bytes, bytes, MREMAP_MAYMOVE), bytes);
}

int paged_vector_grow_in_place(struct paged_vector *vector, size_t bytes)
{
    return take(vector, mremap(vector->at, vector->bytes, bytes, 0), bytes);
}

int paged_vector_grow_to(struct paged_vector *vector, unsigned char *place, size_t bytes)
{
    return take(vector, mremap(vector->at, vector->bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place), bytes);
}
