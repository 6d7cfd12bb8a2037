/* SPDX-License-Identifier: MIT */
/* cachestat(2), Linux 6.5: how many pages of a part of a file are in the page cache, dirty, being written back. */
#ifndef FAULTLINE_CACHESTAT_H
#define FAULTLINE_CACHESTAT_H

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451 /* the same on every architecture */
#endif

/* struct cachestat_range and struct cachestat of linux/mman.h, absent from older headers. */
struct cachestat_part {
    uint64_t offset, bytes;
};
struct cachestat_pages {
    uint64_t cache, dirty, writeback, evicted, recently_evicted;
};

/* Of the pages that [offset, offset + bytes) reaches into; 0 bytes: up to the end. 0 or -errno; stacked filesystems
 * (overlayfs) answer 0 and show nothing. */
static inline int cachestat_look(int fd, uint64_t offset, uint64_t bytes, struct cachestat_pages *found)
{
    struct cachestat_part part = {offset, bytes};
    return syscall(SYS_cachestat, fd, &part, found, 0) ? -errno : 0;
}

#endif
