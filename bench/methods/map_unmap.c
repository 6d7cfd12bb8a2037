/* SPDX-License-Identifier: MIT */
/*
 * Measures:         mmap and munmap of range_bytes that nothing touches: a VMA is made, linked into the address space
 *                   and the file's reverse map, and removed again. With populate: map_populate mmap also maps each
 *                   page.
 * Does not measure: page tables or pages, where nothing populates: there are none.
 * Expect:           2-6 us whatever the size; a little more with tens of thousands of other VMAs (a deeper tree).
 *                   Populated 10-200 ns a page more.
 * Source:           mm/vma.c __mmap_region, mm/mmap.c unmapped_area_topdown, mm/vma.c do_vmi_align_munmap,
 *                   lib/maple_tree.c.
 */
#include <errno.h>
#include <unistd.h>

#include "ranges.h"

/* With nobody else in the process, a mapping is put where the one before it has been. */
static int run(struct worker *worker, uint64_t count)
{
    int flags = ranges_map_flags(worker->params), rc = 0;
    if (worker->params->populate == populate_map_populate)
        flags |= MAP_POPULATE;
    struct ranges *ranges = ranges_begin(worker);
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        void *base = mmap(NULL, ranges->bytes, PROT_READ, flags, worker->fd, 0);
        rc = base == MAP_FAILED || munmap(base, ranges->bytes) ? -errno : 0;
    }
    return ranges_end(worker, rc);
}

static int reset(struct worker *worker, uint64_t count, struct err *err)
{
    const struct ranges *ranges = worker->own;
    (void)count;
    return siblings_resume(ranges->siblings, err);
}

static int setup(struct worker *worker, struct err *err)
{
    if (worker->params->sharing == sharing_sync)
        return err_set(err, EOPNOTSUPP, "an untouched MAP_SYNC mapping is a shared one: write sharing: shared");
    return ranges_setup(worker, false, err);
}

static uint64_t block_ns(const struct params *params)
{
    const uint64_t pair_ns = 4000, page_ns = 60;
    uint64_t pages = params->range_bytes / (uint64_t)sysconf(_SC_PAGESIZE);
    return pair_ns + (params->populate == populate_map_populate ? pages * page_ns : 0);
}

const struct method method_map_unmap = {
    .name = "map_unmap",
    .measures = "mmap and munmap of a range that nothing touches",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = FIELD_BIT(range_bytes) | FIELD_BIT(siblings) | FIELD_BIT(sibling_work) | FIELD_BIT(mappers) |
            FIELD_BIT(vmas) | FIELD_BIT(sharing) | FIELD_BIT(pages) | FIELD_BIT(populate) | FIELD_BIT(surplus),
    .op_bytes = method_range_bytes,
    .block_ns = block_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = ranges_teardown,
};
