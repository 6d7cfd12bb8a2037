/* SPDX-License-Identifier: MIT */
/*
 * Two views of the same memory: a part of a file mapped twice, at two addresses that are a chosen distance apart; and
 * how to tell that two addresses are one physical page. For 64-bit processes.
 *
 *     struct twin twin;
 *     twin_map(&twin, fd, 0, 0, 4096, 1 << 28);       // the first page of the file, twice, 256 MiB apart
 *     *twin_at(&twin, 0, 8) = 1;                      // a store through the first view …
 *     assert(*twin_at(&twin, 1, 8) == 1);             // … is seen through the second at once
 *     twin_unmap(&twin);
 */
#ifndef FAULTLINE_TWIN_H
#define FAULTLINE_TWIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct twin {
    unsigned char *base; /* of the first view; NULL: nothing is mapped */
    size_t bytes;        /* of each view */
    size_t apart;        /* from an address in the first view to the same byte's in the second */
};

/*
 * Maps `bytes` of the file from `first` on, readable and writable, and `bytes` from `second` on (the same offset: two
 * views of the same pages), so that each byte of the second lies exactly `apart` above its byte of the first; both are
 * whole pages. Where the views are longer than they are apart they take turns, `apart` bytes of each at a time:
 * twin_at finds the place. The base is a multiple of 256 MiB, so that address bits below are those of the offset.
 * -EADDRNOTAVAIL when there are no two free places so far apart; -EINVAL for what is not whole pages, or none; -errno,
 * -ENOMEM where this process may have no VMA more: each turn is up to two (twin_vmas). End with twin_unmap.
 * MAP_FIXED_NOREPLACE (Linux 4.17) never takes what is mapped already; an older kernel takes the address for a hint,
 * which is noticed.
 */
int twin_map(struct twin *twin, int fd, off_t first, off_t second, size_t bytes, size_t apart);

/* VMAs that views of such a size are, so far apart: at most, for where the second goes on with the first they are one.
 */
size_t twin_vmas(size_t bytes, size_t apart);

/* madvise for both views. 0 or -errno, of the first piece that refuses. */
int twin_advise(const struct twin *twin, int advice);

/* Unmaps both; nothing where nothing is mapped. */
void twin_unmap(struct twin *twin);

/* Where a byte of a view lies: view 0 or 1, offset below `bytes`. */
unsigned char *twin_at(const struct twin *twin, unsigned view, size_t offset);

/*
 * The physical page frame below an address of this process, by /proc/self/pagemap, open as pagemap_fd
 * (Documentation/admin-guide/mm/pagemap.rst). -ENXIO: the page is not there; -EPERM: the kernel hides frames from this
 * process (all are 0 without CAP_SYS_ADMIN); -errno. The page may move before you use what you learnt: two frames are
 * to be compared by twin_same_frame.
 */
int twin_frame(int pagemap_fd, const void *address, uint64_t *frame);

/*
 * Whether two addresses are one physical page, into *same: by a frame, the other's, and the first one's again, which is
 * the same unless the page has moved meanwhile. Then, and where a page is not there because it is being moved, it looks
 * once more, for some milliseconds. Three system calls. As twin_frame; -ENXIO also where a page never came to rest.
 */
int twin_same_frame(int pagemap_fd, const void *one, const void *other, bool *same);

/*
 * Whether a store through one address is seen through the other: they are one physical byte. Needs no rights, but
 * changes the word for a moment; nobody else may store to it meanwhile. False says that they are not, for coherent
 * caches hide no store of this thread from itself.
 */
bool twin_shows(volatile uint64_t *one, const volatile uint64_t *other);

#endif
