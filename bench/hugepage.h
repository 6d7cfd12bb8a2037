/* SPDX-License-Identifier: MIT */
/* The sizes of huge pages here, which are the same as long as the kernel runs. */
#ifndef FAULTLINE_HUGEPAGE_H
#define FAULTLINE_HUGEPAGE_H

#include <stdint.h>

/* Of a transparent huge page, which one page-middle-directory entry maps. 2 MiB where the kernel has none or does not
 * say. */
uint64_t huge_page_bytes(void);

/* Of a reserved huge page (MAP_HUGETLB without a size): Hugepagesize of /proc/meminfo. 2 MiB where there is none. */
uint64_t hugetlb_page_bytes(void);

#endif
