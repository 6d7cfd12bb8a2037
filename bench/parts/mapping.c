/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "mapping.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hugepage.h"
#include "target.h"
#include "walk.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif
#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 3
#endif

/* An advice that this kernel or filesystem does not know is one that it does not support. */
static int advise_one(const struct worker *worker, int advice, const char *name, struct err *err)
{
    if (madvise(worker->base, worker->base_bytes, advice) == 0)
        return 0;
    int code = errno == EINVAL ? EOPNOTSUPP : errno;
    return err_set(err, code, "madvise(%s) of %zu bytes: %s%s", name, worker->base_bytes, strerror(errno),
                   code == EOPNOTSUPP ? " (not on this kernel, or not on this filesystem)" : "");
}

static int advise(const struct worker *worker, struct err *err)
{
    static const int advice[advice_count] = {
        [advice_random] = MADV_RANDOM,     [advice_sequential] = MADV_SEQUENTIAL, [advice_willneed] = MADV_WILLNEED,
        [advice_hugepage] = MADV_HUGEPAGE, [advice_nohugepage] = MADV_NOHUGEPAGE, [advice_cold] = MADV_COLD,
        [advice_pageout] = MADV_PAGEOUT,   [advice_dontneed] = MADV_DONTNEED,     [advice_collapse] = MADV_COLLAPSE,
    };
    uint64_t which = worker->params->advice;
    return which == advice_normal
               ? 0
               : advise_one(worker, advice[which], field_table[FIELD_advice].options[which].spelling, err);
}

static int populate(const struct worker *worker, struct err *err)
{
    uint64_t how = worker->params->populate;
    if (how == populate_populate_read)
        return advise_one(worker, MADV_POPULATE_READ, "populate_read", err);
    return how == populate_populate_write ? advise_one(worker, MADV_POPULATE_WRITE, "populate_write", err) : 0;
}

/* Advice about what is to come precedes the first page, advice about pages that are there follows them. */
static int fill(const struct worker *worker, struct err *err)
{
    uint64_t advice = worker->params->advice;
    bool about_pages = advice == advice_cold || advice == advice_pageout || advice == advice_dontneed;
    int rc = about_pages ? 0 : advise(worker, err);
    if (rc == 0)
        rc = populate(worker, err);
    return rc == 0 && about_pages ? advise(worker, err) : rc;
}

static int protection(const struct worker *worker)
{
    bool stores = worker->params->protection == protection_read_write || worker->params->access == access_store ||
                  worker->params->prior == prior_stored || worker->params->populate == populate_populate_write;
    return stores ? PROT_READ | PROT_WRITE : PROT_READ;
}

static int map_flags(const struct params *params)
{
    static const int kind[sharing_count] = {
        [sharing_shared] = MAP_SHARED,
        [sharing_private] = MAP_PRIVATE,
        [sharing_anonymous] = MAP_PRIVATE | MAP_ANONYMOUS,
        [sharing_sync] = MAP_SHARED_VALIDATE | MAP_SYNC,
    };
    int flags = kind[params->sharing];
    if (params->sharing == sharing_anonymous && params->pages == pages_hugetlb)
        flags |= MAP_HUGETLB;
    if (params->populate == populate_map_populate)
        flags |= MAP_POPULATE;
    return flags | (params->locked == locked_map_locked ? MAP_LOCKED : 0);
}

static int refuse_map(const struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    int code = errno;
    const char *what = params->sharing == sharing_anonymous ? "anonymous memory" : worker->target->path;
    if (params->sharing == sharing_anonymous && params->pages == pages_hugetlb)
        return err_set(err, EOPNOTSUPP, "mmap of %zu bytes in reserved huge pages: %s (vm.nr_hugepages)",
                       worker->base_bytes, strerror(code));
    if (params->locked == locked_map_locked && (code == EAGAIN || code == EPERM))
        return err_set(err, EOPNOTSUPP, "MAP_LOCKED of %zu bytes: %s (RLIMIT_MEMLOCK)", worker->base_bytes,
                       strerror(code));
    if (params->sharing == sharing_sync && (code == EOPNOTSUPP || code == EINVAL))
        return err_set(err, EOPNOTSUPP, "MAP_SYNC: %s (it needs a file on DAX, memory that is the medium)",
                       strerror(code));
    return err_set(err, code, "mmap %s: %s", what, strerror(code));
}

/* One VMA a page, in reverse order, over an address range reserved for it. */
static int map_pages(struct worker *worker, int flags, struct err *err)
{
    uint64_t page_bytes = worker->target->page_bytes;
    worker->base = mmap(NULL, worker->base_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (worker->base == MAP_FAILED)
        return refuse_map(worker, err);
    for (uint64_t offset = 0; offset < worker->base_bytes; offset += page_bytes)
        if (mmap(worker->base + worker->base_bytes - page_bytes - offset, page_bytes, protection(worker),
                 flags | MAP_FIXED, worker->fd, (off_t)offset) == MAP_FAILED)
            return refuse_map(worker, err); /* ENOMEM: more VMAs than vm.max_map_count */
    return 0;
}

/* Base pages or transparent huge pages, at an address where huge ones fit. What the kernel gave is proven by its user:
 * nothing is populated yet. */
static int map_anonymous(struct worker *worker, int flags, struct err *err)
{
    bool huge = worker->params->pages == pages_thp;
    uint64_t alignment = huge_page_bytes(), room_bytes = worker->base_bytes + alignment;
    unsigned char *room = mmap(NULL, room_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return refuse_map(worker, err);
    uint64_t lead = (alignment - (uint64_t)(uintptr_t)room % alignment) % alignment;
    unsigned char *base = room + lead;
    if (lead)
        munmap(room, lead);
    if (lead < alignment)
        munmap(base + worker->base_bytes, alignment - lead);
    worker->base = base;
    flags &= ~MAP_POPULATE; /* only once it is known which pages to take */
    if (mmap(base, worker->base_bytes, protection(worker), flags | MAP_FIXED, -1, 0) == MAP_FAILED)
        return refuse_map(worker, err);
    if (worker->params->pages != pages_hugetlb &&
        madvise(base, worker->base_bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) && (huge || errno != EINVAL))
        return err_set(err, EOPNOTSUPP, "this kernel has no transparent huge pages");
    return worker->params->populate == populate_map_populate
               ? advise_one(worker, MADV_POPULATE_WRITE, "populate_write", err)
               : 0;
}

static int map_file(struct worker *worker, int flags, uint64_t offset, struct err *err)
{
    worker->base = mmap(NULL, worker->base_bytes, protection(worker), flags, worker->fd, (off_t)offset);
    return worker->base == MAP_FAILED ? refuse_map(worker, err) : 0;
}

static int make(struct worker *worker, uint64_t offset, uint64_t bytes, struct err *err)
{
    const struct params *params = worker->params;
    bool anonymous = params->sharing == sharing_anonymous;
    uint64_t page_bytes = anonymous && params->pages == pages_hugetlb ? hugetlb_page_bytes()
                                                                      : (uint64_t)sysconf(_SC_PAGESIZE);
    worker->base_bytes = (bytes + page_bytes - 1) / page_bytes * page_bytes;
    int flags = map_flags(params);
    int rc = anonymous                 ? map_anonymous(worker, flags, err)
             : params->vma == vma_page ? map_pages(worker, flags, err)
                                       : map_file(worker, flags, offset, err);
    if (worker->base == MAP_FAILED)
        worker->base = NULL;
    return rc ? rc : fill(worker, err);
}

int mapping_make(struct worker *worker, struct err *err)
{
    return make(worker, 0, worker->params->working_set_bytes, err);
}

bool mapping_slides(const struct params *params)
{
    return params->window_bytes < params->working_set_bytes;
}

int mapping_make_window(struct worker *worker, uint64_t offset, struct err *err)
{
    uint64_t rest = worker->params->working_set_bytes - offset, bytes = worker->params->window_bytes;
    return make(worker, offset, bytes < rest ? bytes : rest, err);
}

static void load_each(const struct worker *worker, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += (uint64_t)sysconf(_SC_PAGESIZE))
        (void)*(const volatile unsigned char *)(worker->base + at);
}

/* What is stored is what is there: the contents are not this function's to change. */
static void store_each(const struct worker *worker, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += (uint64_t)sysconf(_SC_PAGESIZE)) {
        volatile unsigned char *place = worker->base + at;
        unsigned char byte = *place;
        *place = byte;
    }
}

void mapping_settle(const struct worker *worker)
{
    const struct params *params = worker->params;
    bool larger = params->memory_limit && params->working_set_bytes > params->memory_limit;
    if (params->cache == cache_cold || larger)
        return;
    if (params->access == access_store)
        store_each(worker, worker->base_bytes);
    else
        load_each(worker, worker->base_bytes);
}

void mapping_prepare(const struct worker *worker, uint64_t bytes)
{
    bytes = bytes < worker->base_bytes ? bytes : worker->base_bytes;
    if (worker->params->prior == prior_loaded)
        load_each(worker, bytes);
    else if (worker->params->prior == prior_stored)
        store_each(worker, bytes);
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

uint64_t mapping_step_bytes(const struct params *params)
{
    return params->pattern == pattern_stride ? params->stride_bytes : params->block_bytes;
}

int mapping_check_steps(const struct params *params, struct err *err)
{
    const uint64_t smallest_page_bytes = 4 * KIB;
    uint64_t step = mapping_step_bytes(params), page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    if (step % page_bytes == 0)
        return 0;
    return err_set(err, step >= smallest_page_bytes ? EOPNOTSUPP : EINVAL,
                   "each page is to be visited once: blocks or strides have to be whole pages, here of %llu bytes",
                   (unsigned long long)page_bytes);
}

/*
 * Address of a file offset. With vma: page the pages lie in reverse order: neighbours in memory are then no neighbours
 * in the file, so the kernel cannot merge their VMAs (can_vma_merge_after), and fault-around stops at the VMA's end.
 */
static inline unsigned char *address_at(unsigned char *base, uint64_t base_bytes, uint64_t offset, uint64_t page_bytes,
                                        bool reversed)
{
    if (!reversed)
        return base + offset;
    uint64_t within = offset & (page_bytes - 1);
    return base + (base_bytes - page_bytes - (offset - within)) + within;
}

const unsigned char *mapping_at(const struct worker *worker, uint64_t offset)
{
    return address_at(worker->base, worker->base_bytes, offset, worker->target->page_bytes,
                      worker->params->vma == vma_page);
}

/* What visit() is compiled anew for. */
enum visit_kind { VISIT_IN_PLACE, VISIT_COPY, VISIT_STORE };

/*
 * `bytes`: of a block that is summed or stored, where the compiler is to know; 0 where it is to look at the parameters.
 * How many loads a processor has under way depends on the instructions between them: what a program would not execute
 * (looking up the block's length, the end of the list) made random 64 B loads half as dear again.
 */
WALK_SPECIALISED void visit(struct worker *worker, uint64_t blocks, enum visit_kind kind, bool chained, bool reversed,
                            uint64_t bytes)
{
    struct walk walk = walk_begin(worker);
    if (bytes) {
        walk.block_bytes = bytes;
        walk.adds = true;
    }
    unsigned char *base = worker->base;
    uint64_t base_bytes = worker->base_bytes, page_bytes = reversed ? worker->target->page_bytes : 0;
    for (uint64_t count; blocks; blocks -= count) {
        const uint64_t *at = walk_stretch(&walk, blocks, &count), *end = at + count;
        for (; at < end; at++) {
            uint64_t offset = chained ? at[walk.sum & walk.chain] : *at;
            unsigned char *block = address_at(base, base_bytes, offset, page_bytes, reversed);
            if (kind == VISIT_STORE) {
                memcpy(block, walk_destination(&walk), walk.block_bytes);
                continue;
            }
            const unsigned char *from = block;
            if (kind == VISIT_COPY) {
                unsigned char *to = walk_destination(&walk);
                memcpy(to, from, walk.block_bytes);
                from = to;
            }
            walk_consume(&walk, from);
        }
    }
    __asm__ volatile("" : : "r"(base) : "memory"); /* stores are to be made even where nothing reads them */
    walk_end(worker, &walk);
}

void mapping_store(struct worker *worker, uint64_t blocks)
{
    if (worker->params->vma == vma_page)
        visit(worker, blocks, VISIT_STORE, false, true, 0);
    else if (worker->params->block_bytes == 64)
        visit(worker, blocks, VISIT_STORE, false, false, 64);
    else if (worker->params->block_bytes == 8)
        visit(worker, blocks, VISIT_STORE, false, false, 8);
    else
        visit(worker, blocks, VISIT_STORE, false, false, 0);
}

static void visit_loads(struct worker *worker, uint64_t blocks, enum visit_kind kind)
{
    const struct params *params = worker->params;
    if (params->vma == vma_page)
        visit(worker, blocks, kind, params->pattern == pattern_chain, true, 0);
    else if (params->pattern == pattern_chain)
        visit(worker, blocks, kind, true, false, 0);
    else if (kind == VISIT_COPY)
        visit(worker, blocks, VISIT_COPY, false, false, 0);
    else if (worker->consumer == consumer_sum && params->block_bytes == 64)
        visit(worker, blocks, VISIT_IN_PLACE, false, false, 64);
    else
        visit(worker, blocks, VISIT_IN_PLACE, false, false, 0);
}

void mapping_load(struct worker *worker, uint64_t blocks)
{
    visit_loads(worker, blocks, worker->params->consume == consume_copy ? VISIT_COPY : VISIT_IN_PLACE);
}

void mapping_visit(struct worker *worker, uint64_t blocks)
{
    if (worker->params->access == access_store)
        mapping_store(worker, blocks);
    else
        mapping_load(worker, blocks);
}
