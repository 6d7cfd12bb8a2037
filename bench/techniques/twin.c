/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "twin.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pagemap_entry.h"
#include "vma_room.h"

_Static_assert(sizeof(void *) == 8, "the places that are tried need addresses of 64 bits");

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* Far from where programs, libraries and their heaps are put with 47 bits of address, 2^46 from the end of them, and
 * not where the address sanitizer has its own; or, where addresses have 39 bits, near their beginning. */
#define LOWEST ((uintptr_t)3 << 44)
#define SMALL_LOWEST ((uintptr_t)1 << 30)
#define STEP_BYTES ((size_t)1 << 33) /* from one place that is tried to the next: a multiple of 256 MiB */
enum { TRIES = 64, LOOKS = 10000 /* of a microsecond; hundreds of pages are moved together */ };

/* ENOMEM: there are no such addresses, unless this process may have no VMA more. */
static int why_not(int code)
{
    struct vma_room room;
    bool used_up = code == ENOMEM && vma_room_read(&room) == 0 && !vma_room_has(&room, 1);
    return code == ENOMEM && !used_up ? -EADDRNOTAVAIL : -code;
}

static int map_at(unsigned char *where, int fd, off_t offset, size_t bytes)
{
    void *at = mmap(where, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, offset);
    if (at == MAP_FAILED)
        return why_not(errno);
    if (at == where)
        return 0;
    munmap(at, bytes);
    return -EEXIST;
}

/* From one piece of the first view to the next lies a piece of the second. */
static size_t piece_bytes(const struct twin *twin)
{
    return twin->bytes < twin->apart ? twin->bytes : twin->apart;
}

size_t twin_vmas(size_t bytes, size_t apart)
{
    return 2 * ((bytes - 1) / apart + 1);
}

unsigned char *twin_at(const struct twin *twin, unsigned view, size_t offset)
{
    size_t piece = piece_bytes(twin);
    return twin->base + offset / piece * 2 * twin->apart + offset % piece + view * twin->apart;
}

static size_t length_at(const struct twin *twin, size_t offset)
{
    size_t left = twin->bytes - offset, piece = piece_bytes(twin);
    return left < piece ? left : piece;
}

/* The leading `bytes` of both views. */
static void unmap_leading(struct twin *twin, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += piece_bytes(twin))
        for (unsigned view = 0; view < 2; view++)
            munmap(twin_at(twin, view, at), length_at(twin, at));
}

static int map_here(struct twin *twin, int fd, const off_t offsets[2])
{
    int rc = 0;
    for (size_t at = 0; at < twin->bytes && rc == 0; at += piece_bytes(twin)) {
        size_t length = length_at(twin, at);
        rc = map_at(twin_at(twin, 0, at), fd, offsets[0] + (off_t)at, length);
        if (rc == 0) {
            rc = map_at(twin_at(twin, 1, at), fd, offsets[1] + (off_t)at, length);
            if (rc)
                munmap(twin_at(twin, 0, at), length);
        }
        if (rc)
            unmap_leading(twin, at);
    }
    return rc;
}

static int map_from(struct twin *twin, uintptr_t lowest, int fd, const off_t offsets[2])
{
    int rc = -EADDRNOTAVAIL;
    for (unsigned i = 0; i < TRIES && (rc == -EADDRNOTAVAIL || rc == -EEXIST); i++) {
        twin->base = (unsigned char *)(lowest + i * STEP_BYTES);
        rc = map_here(twin, fd, offsets);
    }
    if (rc)
        twin->base = NULL;
    return rc == -EEXIST ? -EADDRNOTAVAIL : rc;
}

int twin_map(struct twin *twin, int fd, off_t first, off_t second, size_t bytes, size_t apart)
{
    const off_t offsets[2] = {first, second};
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    *twin = (struct twin){.bytes = bytes, .apart = apart};
    if (bytes == 0 || apart == 0 || bytes % page_bytes || apart % page_bytes)
        return -EINVAL;
    int rc = map_from(twin, LOWEST, fd, offsets);
    return rc == -EADDRNOTAVAIL ? map_from(twin, SMALL_LOWEST, fd, offsets) : rc;
}

int twin_advise(const struct twin *twin, int advice)
{
    for (size_t at = 0; at < twin->bytes; at += piece_bytes(twin))
        for (unsigned view = 0; view < 2; view++)
            if (madvise(twin_at(twin, view, at), length_at(twin, at), advice))
                return -errno;
    return 0;
}

void twin_unmap(struct twin *twin)
{
    if (twin->base)
        unmap_leading(twin, twin->bytes);
    twin->base = NULL;
}

int twin_frame(int pagemap_fd, const void *address, uint64_t *frame)
{
    uint64_t entry;
    int rc = pagemap_entry(pagemap_fd, address, &entry);
    if (rc)
        return rc;
    *frame = entry & PAGEMAP_FRAME;
    return !(entry & PAGEMAP_PRESENT) ? -ENXIO : *frame ? 0 : -EPERM;
}

/* -EAGAIN: one of the pages has moved, or is about to. */
static int look_at_frames(int pagemap_fd, const void *one, const void *other, bool *same)
{
    uint64_t first, second, again;
    int rc = twin_frame(pagemap_fd, one, &first);
    if (rc == 0)
        rc = twin_frame(pagemap_fd, other, &second);
    if (rc == 0)
        rc = twin_frame(pagemap_fd, one, &again);
    if (rc)
        return rc;
    *same = first == second;
    return first == again ? 0 : -EAGAIN;
}

int twin_same_frame(int pagemap_fd, const void *one, const void *other, bool *same)
{
    int rc = -EAGAIN;
    for (unsigned i = 0; i < LOOKS && (rc == -EAGAIN || rc == -ENXIO); i++) {
        if (i)
            sched_yield(); /* to who moves it */
        rc = look_at_frames(pagemap_fd, one, other, same);
    }
    return rc == -EAGAIN ? -ENXIO : rc;
}

bool twin_shows(volatile uint64_t *one, const volatile uint64_t *other)
{
    uint64_t before = *one;
    *one = ~before;
    bool seen = *other == ~before;
    *one = before;
    return seen;
}
