/* SPDX-License-Identifier: MIT */
/* The sizes of huge pages here, which are the same as long as the kernel runs, and how to do without them. */
#ifndef FAULTLINE_HUGEPAGE_H
#define FAULTLINE_HUGEPAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a transparent huge page, which one page-middle-directory entry maps. 2 MiB where the kernel has none or does not
 * say. */
uint64_t huge_page_bytes(void);

/* Of a reserved huge page (MAP_HUGETLB without a size): Hugepagesize of /proc/meminfo. 2 MiB where there is none. */
uint64_t hugetlb_page_bytes(void);

/* Advises [base, bytes), whole pages, to be in base pages. 0 or -errno; 0 too where the kernel has no huge ones. */
int hugepage_avoid(void *base, size_t bytes);

/*
 * Has this process get no transparent huge page at all, whatever is advised, or get them again: for memory that an
 * operation maps, which nobody can advise about before it is touched. Returns what was so before, for the call that
 * ends it; false where the kernel cannot say (before Linux 3.15), which does nothing then.
 */
bool hugepage_ban(bool banned);

#endif
