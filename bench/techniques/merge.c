/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "merge.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_BYTES = 512 /* of st_blocks, whatever the filesystem's are */ };

int merge_arena_make(struct merge_arena *arena, size_t bytes, size_t span_bytes)
{
    *arena = (struct merge_arena){.fd = -1, .bytes = bytes, .span_bytes = span_bytes};
    if (span_bytes == 0 || span_bytes % (size_t)sysconf(_SC_PAGESIZE) || bytes == 0 || bytes % span_bytes)
        return -EINVAL;
    arena->fd = memfd_create("arena", MFD_CLOEXEC);
    if (arena->fd < 0 || ftruncate(arena->fd, (off_t)bytes))
        return -errno;
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, arena->fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    arena->base = base;
    return 0;
}

void merge_arena_remove(struct merge_arena *arena)
{
    if (arena->base)
        munmap(arena->base, arena->bytes);
    arena->base = NULL;
    if (arena->fd >= 0)
        close(arena->fd);
    arena->fd = -1;
}

unsigned char *merge_span(const struct merge_arena *arena, size_t span)
{
    return arena->base + span * arena->span_bytes;
}

/* Span `at` of the addresses onto span `onto` of the file. */
static int map_onto(const struct merge_arena *arena, size_t at, size_t onto)
{
    void *found = mmap(merge_span(arena, at), arena->span_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                       arena->fd, (off_t)(onto * arena->span_bytes));
    return found == MAP_FAILED ? -errno : 0;
}

int merge_protect(const struct merge_arena *arena, size_t from)
{
    return mprotect(merge_span(arena, from), arena->span_bytes, PROT_READ) ? -errno : 0;
}

int merge_remap(const struct merge_arena *arena, size_t into, size_t from)
{
    return map_onto(arena, from, into);
}

int merge_punch(const struct merge_arena *arena, size_t from)
{
    off_t offset = (off_t)(from * arena->span_bytes);
    return fallocate(arena->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, (off_t)arena->span_bytes) ? -errno
                                                                                                              : 0;
}

int merge_undo(const struct merge_arena *arena, size_t from)
{
    return map_onto(arena, from, from);
}

uint64_t merge_held_bytes(const struct merge_arena *arena)
{
    struct stat status;
    return fstat(arena->fd, &status) ? UINT64_MAX : (uint64_t)status.st_blocks * BLOCK_BYTES;
}
