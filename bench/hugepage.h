/* SPDX-License-Identifier: MIT */
/* The size of a transparent huge page here: what one page-middle-directory entry maps. */
#ifndef FAULTLINE_HUGEPAGE_H
#define FAULTLINE_HUGEPAGE_H

#include <stdint.h>

/* Bytes; 2 MiB where the kernel has no transparent huge pages or does not say. */
uint64_t huge_page_bytes(void);

#endif
