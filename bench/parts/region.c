/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "region.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hugepage.h"
#include "smaps.h"

static uint64_t round_up(uint64_t value, uint64_t step)
{
    return (value + step - 1) / step * step;
}

static uint64_t region_step(const struct params *params)
{
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    return params->buffer == buffer_fresh ? round_up(params->block_bytes, page_bytes) : params->block_bytes;
}

uint64_t region_bytes(const struct params *params)
{
    uint64_t step = region_step(params);
    if (params->buffer == buffer_reused || step >= REGION_BYTES)
        return step * params->queue_depth; /* requests that are under way together need a block each */
    return REGION_BYTES / step * step;
}

uint64_t region_limit(const struct params *params)
{
    return params->buffer == buffer_fresh ? region_bytes(params) / region_step(params) : UINT64_MAX;
}

static int check_pages(const struct worker *worker, bool huge, struct err *err)
{
    struct smaps found;
    if (!smaps_read(worker->buffer, worker->buffer_bytes, &found))
        return 0; /* no smaps here: the advice stands unproven, as it does for every other program */
    if (huge && found.huge < worker->buffer_bytes / 2)
        return err_set(err, EOPNOTSUPP, "the kernel gave %" PRIu64 " of %zu MiB in huge pages", found.huge / MIB,
                       worker->buffer_bytes / MIB);
    if (!huge && found.huge)
        return err_set(err, EOPNOTSUPP, "the kernel gave huge pages where small ones were asked for");
    return 0;
}

int region_make(struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    bool huge = params->buffer == buffer_huge;
    worker->buffer_step = region_step(params);
    worker->buffer_bytes = region_bytes(params);
    worker->buffer_next = 0;
    uint64_t alignment = huge_page_bytes(), map_bytes = round_up(worker->buffer_bytes, alignment);
    /* Mapped once with room to align, then trimmed: the mapping starts where smaps will say it does. */
    unsigned char *room = mmap(NULL, map_bytes + alignment, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return err_sys(err, "no memory for a destination of %zu bytes", worker->buffer_bytes);
    uint64_t lead = round_up((uint64_t)(uintptr_t)room, alignment) - (uint64_t)(uintptr_t)room;
    worker->buffer = room + lead;
    if (lead)
        munmap(room, lead);
    if (lead < alignment)
        munmap(worker->buffer + map_bytes, alignment - lead);
    if (madvise(worker->buffer, map_bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) && (huge || errno != EINVAL))
        return err_set(err, EOPNOTSUPP, "this kernel has no transparent huge pages");
    if (params->buffer == buffer_fresh)
        return 0;
    memset(worker->buffer, 1, worker->buffer_bytes);
    return check_pages(worker, huge, err);
}

void region_remove(struct worker *worker)
{
    if (worker->buffer)
        munmap(worker->buffer, round_up(worker->buffer_bytes, huge_page_bytes()));
    worker->buffer = NULL;
}

int region_reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    if (!worker->buffer || worker->params->buffer != buffer_fresh)
        return 0;
    uint64_t bytes = blocks * worker->buffer_step;
    if (bytes > worker->buffer_bytes)
        bytes = worker->buffer_bytes;
    worker->buffer_next = 0;
    return madvise(worker->buffer, bytes, MADV_DONTNEED) ? err_sys(err, "MADV_DONTNEED") : 0;
}
