/* SPDX-License-Identifier: MIT */
/* The pages that workers fault in at the same time, and what they have in common (params->meet, params->fault_of). */
#ifndef FAULTLINE_FAULTING_H
#define FAULTLINE_FAULTING_H

#include "method.h"

struct faulting {
    unsigned char *pages; /* page i of this worker lies at pages + i * step_bytes */
    uint64_t step_bytes;
    unsigned char *mapped; /* [mapped_bytes] what holds them; common to threads unless meet: other-file */
    uint64_t mapped_bytes;
    void *region; /* [region_bytes] that this worker has to unmap; NULL: it is another's */
    uint64_t region_bytes;
    int fd; /* of the worker's own file, or -1 */
};

/*
 * Pages that each worker has: half of the working set holds those of all, in page tables of their own where that is
 * wanted. The same for every kind of meeting, unless there is no room: 0.
 */
uint64_t faulting_pages(const struct params *params, uint64_t page_bytes);

/* Maps them; all workers have to be at it at the same time, after shared_setup. -errno with text. */
int faulting_map(struct faulting *faulting, const struct worker *worker, struct err *err);
void faulting_unmap(struct faulting *faulting);

#endif
