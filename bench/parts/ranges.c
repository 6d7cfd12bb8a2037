/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ranges.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hugepage.h"
#include "mapper.h"
#include "smaps.h"
#include "storage.h"
#include "target.h"
#include "vmas.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

enum { RANGES_MAX = 256 }; /* enough for a batch of 250 us of calls of 1 us */
#define MAPPED_BYTES (64 * MIB)

static uint64_t round_up(uint64_t value, uint64_t step)
{
    return (value + step - 1) / step * step;
}

static bool is_anonymous(const struct params *params)
{
    return params->sharing == sharing_anonymous;
}

static uint64_t page_bytes(const struct params *params)
{
    bool reserved = is_anonymous(params) ? params->pages == pages_hugetlb : params->backing == backing_hugetlbfs;
    return reserved ? hugetlb_page_bytes() : (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t bytes_of(const struct params *params)
{
    return round_up(params->range_bytes, page_bytes(params));
}

uint64_t ranges_limit(const struct params *params)
{
    uint64_t fit = MAPPED_BYTES / bytes_of(params);
    return fit < 1 ? 1 : fit < RANGES_MAX ? fit : RANGES_MAX;
}

uint64_t ranges_memory(const struct params *params)
{
    bool own = is_anonymous(params) || params->sharing == sharing_private;
    return own && params->prior == prior_stored ? ranges_limit(params) * bytes_of(params) : 0;
}

uint64_t ranges_pages(const struct params *params)
{
    bool huge = is_anonymous(params) && params->pages != pages_small;
    return (params->range_bytes - 1) / (huge ? huge_page_bytes() : page_bytes(params)) + 1;
}

uint64_t ranges_call_ns(const struct params *params, uint64_t call_ns, uint64_t page_ns)
{
    const uint64_t shootdown_ns = 10 * US;
    uint64_t pages = params->prior == prior_never ? 0 : ranges_pages(params);
    return call_ns + pages * page_ns + (params->siblings ? shootdown_ns : 0);
}

uint64_t ranges_zap_ns(const struct params *params)
{
    const uint64_t freed_ns = 270, kept_ns = storage_folio_bytes(params) >= MIB ? 5 : 120;
    bool freed = params->prior == prior_stored && (is_anonymous(params) || params->sharing == sharing_private);
    return freed ? freed_ns : kept_ns;
}

static bool dirties_file(const struct params *params)
{
    return params->prior == prior_stored && (params->sharing == sharing_shared || params->sharing == sharing_sync);
}

uint64_t ranges_dirties(const struct params *params)
{
    return dirties_file(params) && !params_is_memory(params) ? bytes_of(params) / page_bytes(params) : 0;
}

uint64_t ranges_reset_ns(const struct params *params, uint64_t count)
{
    const uint64_t map_ns = 4500, load_ns = 100, huge_ns = 250 * US, at_hand = 1024; /* pages freed just before */
    uint64_t fresh_ns = count * ranges_pages(params) > at_hand ? 4000 : 1800;
    uint64_t store_ns = is_anonymous(params) || params->sharing == sharing_private ? fresh_ns : 150;
    bool huge = is_anonymous(params) && params->pages != pages_small;
    uint64_t page_ns = huge                            ? huge_ns
                       : params->prior == prior_stored ? store_ns
                       : params->prior == prior_loaded ? load_ns
                                                       : 0;
    return count * (map_ns + ranges_pages(params) * page_ns);
}

/* ---- address space ---- */

/* Large ranges begin where a huge page could: only there can huge pages be had, and whole page tables be moved. */
static int slot_reserve(struct slot *slot, size_t bytes, struct err *err)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), huge = huge_page_bytes();
    uint64_t alignment = bytes < huge                                                       ? page
                         : bytes % hugetlb_page_bytes() == 0 && hugetlb_page_bytes() > huge ? hugetlb_page_bytes()
                                                                                            : huge;
    slot->room_bytes = bytes + page + (alignment - page);
    slot->room = mmap(NULL, slot->room_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (slot->room == MAP_FAILED) {
        slot->room = NULL;
        return err_sys(err, "reserve addresses for a range of %zu bytes", bytes);
    }
    uint64_t start = (uint64_t)(uintptr_t)slot->room;
    slot->at = slot->room + (round_up(start, alignment) - start);
    return 0;
}

/*
 * Unmaps the reservation, and what lies in its middle only where that is still ours: other mappings of the process may
 * have been put into a hole.
 */
static void slot_release(struct slot *slot, size_t bytes, bool with_middle)
{
    if (!slot->room)
        return;
    unsigned char *end = slot->room + slot->room_bytes, *after = slot->at + bytes;
    if (with_middle)
        munmap(slot->at, bytes);
    if (slot->at > slot->room)
        munmap(slot->room, (size_t)(slot->at - slot->room));
    munmap(after, (size_t)(end - after));
    slot->room = NULL;
}

/* A range that was moved lives where it is now. */
static void take_place(struct range *range, size_t bytes)
{
    if (!range->moved)
        return;
    slot_release(&range->here, bytes, false);
    range->here = range->there;
    range->there.room = NULL;
    range->moved = false;
}

int ranges_make_room(struct worker *worker, uint64_t count, struct err *err)
{
    struct ranges *ranges = worker->own;
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        take_place(&ranges->items[i], ranges->bytes);
        if (!ranges->items[i].there.room)
            rc = slot_reserve(&ranges->items[i].there, ranges->bytes, err);
    }
    return rc;
}

/* ---- pages ---- */

int ranges_map_flags(const struct params *params)
{
    if (!is_anonymous(params))
        return params->sharing == sharing_private ? MAP_PRIVATE : MAP_SHARED;
    return MAP_PRIVATE | MAP_ANONYMOUS | (params->pages == pages_hugetlb ? MAP_HUGETLB : 0);
}

static int refuse(const struct params *params, int code, struct err *err)
{
    if (is_anonymous(params) && params->pages == pages_hugetlb)
        return err_set(err, EOPNOTSUPP, "mmap in reserved huge pages: %s (vm.nr_hugepages)", strerror(code));
    return err_set(err, code, "mmap a range: %s", strerror(code));
}

/* Where in the file the n-th range begins: one behind the other, from the front again when the working set is through.
 */
static uint64_t offset_of(const struct worker *worker, uint64_t n)
{
    const struct ranges *ranges = worker->own;
    uint64_t fit = worker->params->working_set_bytes / ranges->bytes;
    return n % (fit ? fit : 1) * ranges->bytes;
}

static void *map_at(const struct worker *worker, uint64_t n, int fixed)
{
    const struct ranges *ranges = worker->own;
    int protection = ranges->writable ? PROT_READ | PROT_WRITE : PROT_READ;
    off_t offset = is_anonymous(worker->params) ? 0 : (off_t)offset_of(worker, n);
    return mmap(ranges->items[n].here.at, ranges->bytes, protection, ranges_map_flags(worker->params) | fixed,
                worker->fd, offset);
}

/* Into the hole that the method has left, unless another mapping has been put there meanwhile. */
static bool map_again(const struct worker *worker, uint64_t n)
{
    const struct ranges *ranges = worker->own;
    if (!ranges->items[n].here.room)
        return false;
    void *base = map_at(worker, n, MAP_FIXED_NOREPLACE);
    if (base != MAP_FAILED && base != ranges->items[n].here.at) /* before Linux 4.17 the flag was not heeded */
        munmap(base, ranges->bytes);
    return base == ranges->items[n].here.at;
}

static int map_anew(const struct worker *worker, uint64_t n, struct err *err)
{
    const struct ranges *ranges = worker->own;
    struct slot *slot = &ranges->items[n].here;
    slot_release(slot, ranges->bytes, false);
    int rc = slot_reserve(slot, ranges->bytes, err);
    if (rc == 0 && map_at(worker, n, MAP_FIXED) == MAP_FAILED)
        rc = refuse(worker->params, errno, err);
    return rc;
}

static int map_range(const struct worker *worker, uint64_t n, struct err *err)
{
    const struct params *params = worker->params;
    const struct ranges *ranges = worker->own;
    struct range *range = &ranges->items[n];
    int rc = map_again(worker, n) ? 0 : map_anew(worker, n, err);
    if (rc)
        return rc;
    range->mapped = true;
    if (params->mappers) /* those that are forked later are not to map it twice */
        madvise(range->here.at, ranges->bytes, MADV_DONTFORK);
    bool huge = params->pages == pages_thp, several = ranges->bytes > (uint64_t)sysconf(_SC_PAGESIZE);
    if (is_anonymous(params) && several && params->pages != pages_hugetlb &&
        madvise(range->here.at, ranges->bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) && (huge || errno != EINVAL))
        return err_set(err, EOPNOTSUPP, "this kernel has no transparent huge pages");
    return 0;
}

/* What is stored is what is there. */
static void prepare(const struct worker *worker, const struct range *range)
{
    const struct ranges *ranges = worker->own;
    enum prior prior = (enum prior)worker->params->prior;
    uint64_t step = (uint64_t)sysconf(_SC_PAGESIZE);
    for (uint64_t at = 0; prior != prior_never && at < ranges->bytes; at += step) {
        volatile unsigned char *byte = range->here.at + at;
        unsigned char value = *byte;
        if (prior == prior_stored)
            *byte = value;
    }
}

/* Once: what the kernel gives the first range it gives the others. */
static int prove_pages(struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    struct ranges *ranges = worker->own;
    struct smaps found;
    if (ranges->proven || !is_anonymous(params) || params->pages == pages_hugetlb || params->prior != prior_stored)
        return 0;
    ranges->proven = true;
    if (!smaps_read(ranges->items[0].here.at, ranges->bytes, &found))
        return 0; /* no smaps here: the advice stands unproven, as it does for every other program */
    uint64_t wanted = params->pages == pages_thp ? ranges->bytes / huge_page_bytes() * huge_page_bytes() : 0;
    if (found.huge != wanted)
        return err_set(err, EOPNOTSUPP,
                       "of a range of %zu bytes the kernel gave %" PRIu64 " in huge pages, not %" PRIu64, ranges->bytes,
                       found.huge, wanted);
    return 0;
}

int ranges_reset(struct worker *worker, uint64_t count, struct err *err)
{
    struct ranges *ranges = worker->own;
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        if (!ranges->items[i].mapped)
            rc = map_range(worker, i, err);
        if (rc == 0)
            prepare(worker, &ranges->items[i]);
    }
    if (rc == 0)
        rc = prove_pages(worker, err);
    return rc ? rc : siblings_resume(ranges->siblings, err);
}

/* ---- setup ---- */

static int open_file(struct worker *worker, bool writes, struct err *err)
{
    if (writes && !worker->target->ours)
        return err_set(err, EOPNOTSUPP, "%s is yours: it is only ever read", worker->target->path);
    worker->fd = target_reopen(worker->target, writes ? O_RDWR : O_RDONLY);
    return worker->fd < 0 ? err_set(err, -worker->fd, "open %s: %s", worker->target->path, strerror(-worker->fd)) : 0;
}

static int check_pages(const struct params *params, size_t bytes, struct err *err)
{
    if (is_anonymous(params) && params->pages == pages_thp && bytes < huge_page_bytes())
        return err_set(err, EOPNOTSUPP, "a range of %zu bytes has no room for a huge page of %" PRIu64, bytes,
                       huge_page_bytes());
    return 0;
}

int ranges_setup(struct worker *worker, bool writable, struct err *err)
{
    const struct params *params = worker->params;
    struct ranges *ranges = worker->own = calloc(1, sizeof *ranges);
    if (!ranges)
        return err_set(err, ENOMEM, "no memory for the ranges");
    ranges->bytes = bytes_of(params);
    ranges->writable = writable || params->prior == prior_stored || params->access == access_store;
    ranges->items = calloc(ranges_limit(params), sizeof *ranges->items);
    if (!ranges->items)
        return err_set(err, ENOMEM, "no memory for the ranges");
    ranges->count = ranges_limit(params);
    int rc = check_pages(params, ranges->bytes, err);
    if (rc == 0 && !is_anonymous(params))
        rc = open_file(worker, ranges->writable && params->sharing != sharing_private, err);
    if (rc == 0)
        rc = mappers_start(&ranges->mappers, (unsigned)params->mappers, mapper_view_shared, worker->fd,
                           params->working_set_bytes, err);
    if (rc == 0)
        rc = vmas_hold(params->vmas, err);
    if (rc == 0)
        ranges->vmas = params->vmas;
    return rc ? rc : siblings_start(&ranges->siblings, params, err);
}

void ranges_teardown(struct worker *worker)
{
    struct ranges *ranges = worker->own;
    if (!ranges)
        return;
    siblings_stop(ranges->siblings);
    vmas_release(ranges->vmas);
    mappers_stop(ranges->mappers);
    for (uint64_t i = 0; i < ranges->count; i++) {
        take_place(&ranges->items[i], ranges->bytes);
        slot_release(&ranges->items[i].here, ranges->bytes, ranges->items[i].mapped);
        slot_release(&ranges->items[i].there, ranges->bytes, true);
    }
    free(ranges->items);
    free(ranges);
    worker->own = NULL;
    if (worker->fd >= 0)
        close(worker->fd);
    worker->fd = -1;
}
