/* SPDX-License-Identifier: MIT */
/*
 * What /proc/self/pagemap says of the page below an address of this process: 8 bytes a page
 * (Documentation/admin-guide/mm/pagemap.rst, fs/proc/task_mmu.c pagemap_read). Open it read-only.
 */
#ifndef FAULTLINE_PAGEMAP_ENTRY_H
#define FAULTLINE_PAGEMAP_ENTRY_H

#include <errno.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

#define PAGEMAP_PRESENT (UINT64_C(1) << 63)     /* the page is in memory, and in the page table */
#define PAGEMAP_OF_FILE (UINT64_C(1) << 61)     /* it is a file's, or shared memory; else it is anonymous */
#define PAGEMAP_FRAME ((UINT64_C(1) << 55) - 1) /* its page frame number: 0 without CAP_SYS_ADMIN */

/* The entry as it is now. 0; -errno; -ENXIO: there is no such address. */
static inline int pagemap_entry(int pagemap_fd, const void *address, uint64_t *entry)
{
    uint64_t page = (uintptr_t)address / (uint64_t)sysconf(_SC_PAGESIZE);
    ssize_t done = pread(pagemap_fd, entry, sizeof *entry, (off_t)(page * sizeof *entry));
    return done < 0 ? -errno : done == (ssize_t)sizeof *entry ? 0 : -ENXIO;
}

#endif
