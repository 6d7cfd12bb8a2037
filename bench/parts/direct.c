/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "direct.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target.h"

enum { ALIGNMENT_MOST = 64 * 1024 }; /* the largest page */

struct alignment {
    uint64_t memory_bytes, offset_bytes;
};

/* False where statx does not tell. */
static bool ask_statx(int fd, struct alignment *alignment)
{
#ifdef STATX_DIOALIGN
    struct statx status;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) || !(status.stx_mask & STATX_DIOALIGN))
        return false;
    *alignment = (struct alignment){status.stx_dio_mem_align, status.stx_dio_offset_align};
    return true;
#else
    (void)fd;
    (void)alignment;
    return false;
#endif
}

/* Bytes this thread has had fetched from storage; UINT64_MAX where nobody tells. */
static uint64_t fetched_bytes(void)
{
    char text[512];
    int io = open("/proc/thread-self/io", O_RDONLY | O_CLOEXEC);
    ssize_t done = io < 0 ? 0 : read(io, text, sizeof text - 1);
    if (io >= 0)
        close(io);
    text[done > 0 ? done : 0] = '\0';
    const char *line = strstr(text, "\nread_bytes:");
    return line ? strtoull(line + strlen("\nread_bytes:"), NULL, 10) : UINT64_MAX;
}

/*
 * Reads `bytes` from the start of the file. When nothing of them is resident, the page cache shows whether the read
 * went past it; when they are, only what was fetched does. -EINVAL: refused as it is not aligned; -EOPNOTSUPP: it came
 * by the page cache.
 */
static int try_bytes(const struct worker *worker, unsigned char *room, uint64_t bytes, struct err *err)
{
    const struct target *target = worker->target;
    struct page_state before, after;
    int rc = target_state(target, bytes, &before, err);
    if (rc == 0 && before.resident && before.resident != UINT64_MAX)
        rc = target_warm(target, bytes, err);
    uint64_t fetched = fetched_bytes();
    if (rc == 0 && pread(worker->fd, room, bytes, 0) < 0)
        rc = err_sys(err, "O_DIRECT: reading %" PRIu64 " bytes", bytes);
    uint64_t fetched_after = fetched_bytes();
    if (rc == 0)
        rc = target_state(target, bytes, &after, err);
    if (rc)
        return rc;
    if (before.resident == 0 && after.resident)
        return err_set(err, EOPNOTSUPP, "O_DIRECT is silently buffered here: it has brought pages into the page cache");
    bool tells = before.resident && fetched != UINT64_MAX && fetched_after != UINT64_MAX;
    if (tells && fetched_after - fetched < bytes)
        return err_set(err, EOPNOTSUPP, "O_DIRECT is silently buffered here: nothing was fetched from storage");
    return 0;
}

static int refuse_alignment(const struct worker *worker, uint64_t alignment, struct err *err)
{
    return err_set(err, EINVAL, "O_DIRECT is aligned to %" PRIu64 " bytes here: block_bytes %" PRIu64 " is not",
                   alignment, worker->params->block_bytes);
}

/*
 * Where statx does not tell: what is not aligned is refused or, on some filesystems, silently buffered. When blocks go
 * past the page cache nothing more need be known; else the alignment is the smallest multiple of a block that does.
 */
static int check_by_trying(const struct worker *worker, unsigned char *room, struct err *err)
{
    uint64_t block = worker->params->block_bytes;
    struct err larger;
    int rc = try_bytes(worker, room, block, err);
    for (uint64_t bytes = 2 * block; rc && bytes <= ALIGNMENT_MOST && bytes <= worker->target->file_bytes; bytes *= 2)
        if (try_bytes(worker, room, bytes, &larger) == 0)
            return refuse_alignment(worker, bytes, err);
    return rc == -EINVAL ? err_set(err, EOPNOTSUPP, "O_DIRECT reads are refused here, whatever their size") : rc;
}

/* A stride is a whole number of blocks. */
static int check_as_told(const struct worker *worker, const struct alignment *alignment, unsigned char *room,
                         struct err *err)
{
    uint64_t memory = alignment->memory_bytes ? alignment->memory_bytes : 1;
    if (alignment->offset_bytes == 0)
        return err_set(err, EOPNOTSUPP, "statx says that there is no direct I/O here");
    if (worker->params->block_bytes % alignment->offset_bytes)
        return refuse_alignment(worker, alignment->offset_bytes, err);
    if (worker->buffer && ((uintptr_t)worker->buffer % memory || worker->buffer_step % memory))
        return err_set(err, EINVAL, "O_DIRECT wants memory aligned to %" PRIu64 " bytes: blocks %zu apart are not",
                       memory, worker->buffer_step);
    return try_bytes(worker, room, worker->params->block_bytes, err);
}

int direct_check(const struct worker *worker, struct err *err)
{
    struct alignment alignment;
    uint64_t block = worker->params->block_bytes, most = block > ALIGNMENT_MOST ? block : ALIGNMENT_MOST;
    size_t room_bytes = (size_t)((most + ALIGNMENT_MOST - 1) / ALIGNMENT_MOST * ALIGNMENT_MOST);
    unsigned char *room = aligned_alloc(ALIGNMENT_MOST, room_bytes);
    if (!room)
        return err_set(err, ENOMEM, "no memory to try O_DIRECT");
    memset(room, 0, room_bytes); /* Btrfs falls back to buffered reads where it has to take page faults */
    int rc = ask_statx(worker->fd, &alignment) ? check_as_told(worker, &alignment, room, err)
                                               : check_by_trying(worker, room, err);
    free(room);
    return rc;
}
