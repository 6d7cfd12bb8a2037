/* SPDX-License-Identifier: MIT */
/*
 * A mirrored mapping: the same memory mapped twice in a row, so that what runs over the end of a ring buffer comes out
 * at its beginning. base[i] and base[bytes + i] are one byte, and a message of up to `bytes` bytes that begins anywhere
 * in the first view lies there in one piece.
 *
 *     struct mirror ring;
 *     struct mirror_wish wish = {.of = MIRROR_MEMFD, .bytes = 65536};
 *     int rc = mirror_make(&ring, &wish);
 *     if (rc) { fprintf(stderr, "%s: %s\n", ring.why, strerror(-rc)); … }
 *     memcpy(ring.base + at, message, length);          at < ring.bytes, length <= ring.bytes
 *     mirror_free(&ring);
 *
 * The place for both views is reserved in one piece before anything is mapped into it, so that nothing another thread
 * maps meanwhile can be hit. The memory has no name that outlives mirror_make, and no descriptor: a process that is
 * killed leaves nothing behind, unless it is killed within the microseconds between a name, or a System V segment, and
 * its removal. memory_file_sweep removes such names, mirror_sweep such segments.
 *
 * Only of MIRROR_FILE the room is taken at once. On a /dev/shm that is full a first touch of MIRROR_SHM or MIRROR_TMPFS
 * is a signal (SIGBUS): whoever makes large ones asks statvfs before.
 */
#ifndef FAULTLINE_MIRROR_H
#define FAULTLINE_MIRROR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

/* What the memory is. Pages come at their first touch, as zeros; each view takes a fault of its own for each. */
enum mirror_of {
    MIRROR_MEMFD,  /* memfd_create (Linux 3.17) */
    MIRROR_SHM,    /* shm_open, unlinked at once; a name that cannot be removed is an error */
    MIRROR_TMPFS,  /* a file without a name in /dev/shm (O_TMPFILE) */
    MIRROR_FILE,   /* a file without a name in `directory`, its blocks allocated: a full disk is an error, no SIGBUS */
    MIRROR_SYSV,   /* shmget and shmat (SHM_REMAP), removed after the first attach */
    MIRROR_MREMAP, /* MAP_SHARED | MAP_ANONYMOUS, mapped once more by mremap with an old size of 0: no descriptor at all
                    */
    MIRROR_OF_COUNT,
};

struct mirror_wish {
    enum mirror_of of; /* mirror_make */
    size_t bytes;      /* of the memory; whole pages, with MIRROR_SYSV whole SHMLBA. Never rounded */
    /* MIRROR_FILE: a directory. MIRROR_SHM: "/name" that nobody else uses (memory_file_name). MIRROR_MEMFD: what /proc
     * shows, or NULL */
    const char *place;
    bool guards;   /* a page before and one behind that no access passes (SIGSEGV): for programs, none is measured */
    bool same_way; /* both views where AMD's L1 way predictor takes them for one: mirror_way_exists */
};

struct mirror {
    unsigned char *base; /* the first view; the second begins `bytes` behind it */
    size_t bytes;
    const char *why;         /* after a failure: what could not be done. Static text */
    unsigned char *reserved; /* all that is to be unmapped … */
    size_t reserved_bytes;   /* … with the guards */
};

/*
 * Makes the memory and maps it twice, readable and writable. Free with mirror_free, which is also right after a failure
 * and for {0}. 0 or -errno, with mirror->why: -EINVAL for a size that is 0 or no whole number of pages, -EOVERFLOW for
 * one of which there cannot be two, -ENOTSUP where views of that size cannot have the same way; else what the call that
 * failed has said.
 */
int mirror_make(struct mirror *mirror, const struct mirror_wish *wish);

/*
 * The same of `wish->bytes` bytes of a file, or of any object that can be mapped, from `offset` on, a whole number of
 * pages. It stays the caller's, who may close it at once.
 */
int mirror_map(struct mirror *mirror, int fd, off_t offset, const struct mirror_wish *wish);

/* Unmaps both views, which gives the memory back where it was of mirror_make. */
void mirror_free(struct mirror *mirror);

/*
 * Whether an error of mirror_make says that there is no such memory here: as memory_file_is_unsupported, and of System
 * V segments that they may not be as large (EINVAL; kernel.shmmax, or no whole SHMLBA), or that there is no room for
 * one more (ENOSPC; kernel.shmall, kernel.shmmni).
 */
bool mirror_is_unsupported(enum mirror_of of, int rc);

/*
 * Removes the segments that a killed process has left of MIRROR_SYSV: private ones of this user, made by process
 * `maker` at `since` (CLOCK_REALTIME, seconds) or later. They are certainly its own where it began then and has not
 * been waited for yet, so that its number is still its own. One that is still attached goes when it is attached no
 * more: who reads files of /proc of a process that is killed holds its memory for a moment longer. How many, or -errno.
 */
int mirror_sweep(pid_t maker, time_t since);

/*
 * Whether two views of that size, one right behind the other, can have equal way hashes (way_hash.h) page by page, on a
 * machine with such pages. They agree for addresses a multiple of 256 MiB apart, but views in a row are as far apart as
 * the ring is long: it can be had for 4, 8, 16 and 32 KiB and multiples of 256 MiB, and for no other size up to 16 MiB.
 * Where pages are not of 4 KiB there is no such predictor, and any place will do.
 */
bool mirror_way_exists(size_t bytes, size_t page_bytes);

#endif
