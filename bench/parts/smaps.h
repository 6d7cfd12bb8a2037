/* SPDX-License-Identifier: MIT */
/* What /proc/self/smaps shows of a mapping: which pages the kernel has really given. */
#ifndef FAULTLINE_SMAPS_H
#define FAULTLINE_SMAPS_H

#include <stdbool.h>

#include "method.h"

struct smaps { /* bytes, of all VMAs that overlap a range; the zero page counts as nothing */
    uint64_t rss, anonymous, huge, hugetlb;
    uint64_t huge_of_files; /* of files and shared memory, mapped by one entry each */
};

struct smaps_range {
    const void *base;
    size_t bytes;
};

/* False where there is no smaps, or nothing is mapped in any of the ranges. A VMA that overlaps several counts once. */
bool smaps_read_ranges(const struct smaps_range *ranges, size_t count, struct smaps *found);

/* The same for [base, base + bytes). */
bool smaps_read(const void *base, size_t bytes, struct smaps *found);

/*
 * Whether the anonymous memory in worker->base lies in pages of the kind that params->pages names, as far as it has
 * been stored to: what is only loaded from is the zero page, of whatever size. -EOPNOTSUPP with both sizes in the text
 * when the kernel gave others. Where there is no smaps the advice stands unproven, as it does for every program.
 */
int smaps_check_pages(const struct worker *worker, struct err *err);

/*
 * Whether [base, bytes) lies in base pages, a file's or anonymous. -EOPNOTSUPP with the size in the text when the
 * kernel gave huge ones; where there is no smaps the advice stands unproven.
 */
int smaps_check_small(const void *base, size_t bytes, struct err *err);

#endif
