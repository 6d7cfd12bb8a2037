/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "mapping.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "target.h"
#include "walk.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

static int advise(const struct worker *worker)
{
    static const int advice[] = {
        [advice_random] = MADV_RANDOM,     [advice_sequential] = MADV_SEQUENTIAL, [advice_willneed] = MADV_WILLNEED,
        [advice_hugepage] = MADV_HUGEPAGE, [advice_nohugepage] = MADV_NOHUGEPAGE,
    };
    const struct params *params = worker->params;
    if (params->advice != advice_normal && madvise(worker->base, worker->base_bytes, advice[params->advice]))
        return -errno;
    if (params->populate == populate_populate_read && madvise(worker->base, worker->base_bytes, MADV_POPULATE_READ))
        return errno == EINVAL ? -EOPNOTSUPP : -errno; /* before Linux 5.14 */
    return 0;
}

/* One VMA a page, in reverse order, over an address range reserved for it. */
static int map_pages(struct worker *worker, int flags)
{
    uint64_t page_bytes = worker->target->page_bytes;
    worker->base = mmap(NULL, worker->base_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (worker->base == MAP_FAILED)
        return -errno;
    for (uint64_t offset = 0; offset < worker->base_bytes; offset += page_bytes)
        if (mmap(worker->base + worker->base_bytes - page_bytes - offset, page_bytes, PROT_READ, flags | MAP_FIXED,
                 worker->fd, (off_t)offset) == MAP_FAILED)
            return -errno; /* ENOMEM: more VMAs than vm.max_map_count */
    return 0;
}

int mapping_make(struct worker *worker)
{
    const struct params *params = worker->params;
    uint64_t page_bytes = worker->target->page_bytes;
    int flags = params->sharing == sharing_shared ? MAP_SHARED : MAP_PRIVATE, rc = 0;
    if (params->populate == populate_map_populate)
        flags |= MAP_POPULATE;
    worker->base_bytes = (params->working_set_bytes + page_bytes - 1) & ~(page_bytes - 1);
    if (params->vma == vma_page) {
        rc = map_pages(worker, flags);
    } else {
        worker->base = mmap(NULL, worker->base_bytes, PROT_READ, flags, worker->fd, 0);
        rc = worker->base == MAP_FAILED ? -errno : 0;
    }
    if (worker->base == MAP_FAILED)
        worker->base = NULL;
    return rc ? rc : advise(worker);
}

void mapping_settle(const struct worker *worker)
{
    if (worker->params->cache == cache_cold)
        return;
    for (uint64_t at = 0; at < worker->base_bytes; at += worker->target->page_bytes)
        (void)*(const volatile unsigned char *)(worker->base + at);
}

int mapping_remove(struct worker *worker)
{
    int rc = worker->base && munmap(worker->base, worker->base_bytes) ? -errno : 0;
    worker->base = NULL;
    return rc;
}

int mapping_check(const struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    if (params->vma == vma_page && worker->target->page_bytes % params->block_bytes != 0)
        return err_set(err, EINVAL, "vma: page needs blocks that lie within a page of %llu bytes",
                       (unsigned long long)worker->target->page_bytes);
    return 0;
}

/*
 * Address of a file offset. With vma: page the pages lie in reverse order: neighbours in memory are then no neighbours
 * in the file, so the kernel cannot merge their VMAs (can_vma_merge_after), and fault-around stops at the VMA's end.
 */
static inline const unsigned char *address_at(const unsigned char *base, uint64_t base_bytes, uint64_t offset,
                                              uint64_t page_bytes, bool reversed)
{
    if (!reversed)
        return base + offset;
    uint64_t within = offset & (page_bytes - 1);
    return base + (base_bytes - page_bytes - (offset - within)) + within;
}

/*
 * `bytes`: of a block that is summed, where the compiler is to know; 0 where it is to look at the parameters. How many
 * loads a processor has under way depends on the instructions between them: what a program would not execute (looking
 * up the block's length, the end of the list) made random 64 B loads half as dear again.
 */
WALK_SPECIALISED void visit(struct worker *worker, uint64_t blocks, bool copies, bool chained, bool reversed,
                            uint64_t bytes)
{
    struct walk walk = walk_begin(worker);
    if (bytes) {
        walk.block_bytes = bytes;
        walk.adds = true;
    }
    const unsigned char *base = worker->base;
    uint64_t base_bytes = worker->base_bytes, page_bytes = worker->target->page_bytes;
    for (uint64_t count; blocks; blocks -= count) {
        const uint64_t *at = walk_stretch(&walk, blocks, &count), *end = at + count;
        for (; at < end; at++) {
            uint64_t offset = chained ? at[walk.sum & walk.chain] : *at;
            const unsigned char *from = address_at(base, base_bytes, offset, page_bytes, reversed);
            if (copies) {
                unsigned char *to = walk_destination(&walk);
                memcpy(to, from, walk.block_bytes);
                from = to;
            }
            walk_consume(&walk, from);
        }
    }
    walk_end(worker, &walk);
}

void mapping_visit(struct worker *worker, uint64_t blocks)
{
    const struct params *params = worker->params;
    if (params->vma == vma_page)
        visit(worker, blocks, params->consume == consume_copy, params->pattern == pattern_chain, true, 0);
    else if (params->pattern == pattern_chain)
        visit(worker, blocks, params->consume == consume_copy, true, false, 0);
    else if (params->consume == consume_copy)
        visit(worker, blocks, true, false, false, 0);
    else if (worker->consumer == consumer_sum && params->block_bytes == 64)
        visit(worker, blocks, false, false, false, 64);
    else
        visit(worker, blocks, false, false, false, 0);
}
