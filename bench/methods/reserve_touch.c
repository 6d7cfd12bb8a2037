/* SPDX-License-Identifier: MIT */
/*
 * Measures:         the first store to a page of a reservation of range_bytes, one page every distance_bytes from its
 *                   beginning on: the fault, and the page tables that lead to it where there are none yet. reservation:
 *                   prot-none has the page made accessible by mprotect before, which cuts the VMA.
 * Does not measure: reserving, which comes before each batch, and giving back.
 * Expect:           0.5-1.5 us a page where its page table is there, 1-2 us more for each page table that is not; 2-4
 *                   us more for mprotect. Memory: a page, and a page table's page for every 2 MiB, another for every
 *                   1 GiB and another for every 512 GiB (x86-64) that are touched for the first time. With pages: thp a
 *                   huge page each.
 * Source:           mm/memory.c __handle_mm_fault (pud_alloc, pmd_alloc), pte_alloc; mm/mprotect.c mprotect_fixup.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "counter.h"
#include "hugepage.h"
#include "method.h"
#include "reservation.h"
#include "smaps.h"

enum { TOUCHES_MAX = 1000 }; /* each of a page of its own in a VMA of its own, and of two page tables */
#define HUGE_BYTES_MAX (64 * MIB)
#define REACH_MAX (1024 * GIB)

struct touching {
    struct reserved_range room; /* whole reaches of page tables, at the beginning of one of which … */
    unsigned char *first;       /* … lies the reservation */
    uint64_t next;              /* place that is touched next */
    size_t page_bytes;
};

static uint64_t limit(const struct params *params)
{
    uint64_t places = (params->range_bytes - 1) / params->distance_bytes + 1;
    uint64_t most = params->pages == pages_thp ? HUGE_BYTES_MAX / huge_page_bytes() : TOUCHES_MAX;
    most = most ? most : 1;
    return places < most ? places : most;
}

/*
 * Addresses through which the uppermost page of page tables leads. Those of a reservation are nobody else's, so that it
 * needs all of its page tables itself. On 64-bit machines that is one level below what the process has but one of.
 */
static uint64_t reach_bytes(uint64_t page_bytes)
{
    uint64_t entries = page_bytes / sizeof(uint64_t), reach = page_bytes;
    while (reach <= REACH_MAX / entries)
        reach *= entries;
    return reach;
}

static int touch(const struct params *params, unsigned char *at, size_t page_bytes)
{
    int rc = params->reservation == reservation_prot_none ? reservation_commit(at, page_bytes) : 0;
    if (rc == 0)
        *(volatile unsigned char *)at = 1;
    return rc;
}

static int run(struct worker *worker, uint64_t count)
{
    struct touching *own = worker->own;
    const struct params *params = worker->params;
    int rc = 0;
    for (uint64_t end = own->next + count; own->next < end && rc == 0; own->next++)
        rc = touch(params, own->first + own->next * params->distance_bytes, own->page_bytes);
    return rc;
}

/* Page tables go with what leads through them alone: the room is unmapped as a whole and reserved anew. */
static int reset(struct worker *worker, uint64_t count, struct err *err)
{
    struct touching *own = worker->own;
    const struct params *params = worker->params;
    struct reserved_range reservation;
    uint64_t reach = reach_bytes(own->page_bytes), rounded = (params->range_bytes + reach - 1) / reach * reach;
    (void)count;
    own->next = 0;
    reservation_remove(&own->room);
    int rc = reservation_make(&own->room, rounded + reach, RESERVATION_PROT_NONE);
    if (rc)
        return err_set(err, EOPNOTSUPP, "no addresses for %" PRIu64 " GiB: %s", (rounded + reach) / GIB, strerror(-rc));
    uint64_t start = (uint64_t)(uintptr_t)own->room.at;
    own->first = own->room.at + ((start + reach - 1) / reach * reach - start);
    rc = reservation_make_at(&reservation, own->first, params->range_bytes, (enum reservation_way)params->reservation);
    if (rc)
        return err_set(err, EOPNOTSUPP, "a reservation of %" PRIu64 " MiB: %s (see vm.overcommit_memory)",
                       params->range_bytes / MIB, strerror(-rc));
    bool huge = params->pages == pages_thp;
    if (madvise(own->first, params->range_bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) && (huge || errno != EINVAL))
        return err_set(err, EOPNOTSUPP, "this kernel has no transparent huge pages");
    return 0;
}

/* By a touch of the first page. */
static int prove_pages(struct worker *worker, struct err *err)
{
    struct touching *own = worker->own;
    struct smaps found;
    int rc = reset(worker, 1, err);
    if (rc == 0 && run(worker, 1))
        rc = err_sys(err, "touch a page of a reservation");
    if (rc || !smaps_read(own->first, own->page_bytes, &found))
        return rc; /* no smaps here: the advice stands unproven, as it does for every other program */
    uint64_t wanted = worker->params->pages == pages_thp ? huge_page_bytes() : 0;
    if (found.huge == wanted)
        return 0;
    return err_set(err, EOPNOTSUPP, "a touch brought %" PRIu64 " KiB in huge pages, not %" PRIu64, found.huge / KIB,
                   wanted / KIB);
}

static int setup(struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    struct touching *own = worker->own = calloc(1, sizeof *own);
    if (!own)
        return err_set(err, ENOMEM, "no memory for a reservation");
    own->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    if (params->pages == pages_thp && params->distance_bytes < huge_page_bytes())
        return err_set(err, EOPNOTSUPP, "one huge page of %" PRIu64 " bytes holds several of the places",
                       huge_page_bytes());
    return prove_pages(worker, err);
}

static void teardown(struct worker *worker)
{
    struct touching *own = worker->own;
    if (!own)
        return;
    reservation_remove(&own->room);
    free(own);
    worker->own = NULL;
}

/* Of 4 KiB pages: each with a page table of its own, at most, and that with another. */
static uint64_t memory(const struct params *params)
{
    return limit(params) * ((params->pages == pages_thp ? huge_page_bytes() : 4 * KIB) + 8 * KIB);
}

/* A page that is committed alone cuts what lies around it in two; pages side by side are one piece. */
static uint64_t vmas(const struct params *params)
{
    bool alone = params->distance_bytes > (uint64_t)sysconf(_SC_PAGESIZE);
    return params->reservation == reservation_prot_none ? 2 * (alone ? limit(params) : 1) : 0;
}

/* Pages of page tables that a touch needs, where it is the first to lead through them. */
static uint64_t new_tables(const struct params *params)
{
    return (uint64_t)(params->distance_bytes >= 2 * MIB) + (uint64_t)(params->distance_bytes >= GIB);
}

static uint64_t block_ns(const struct params *params)
{
    const uint64_t fault_ns = 2000, huge_ns = 230 * US, table_ns = 1100, protect_ns = 4000;
    return (params->pages == pages_thp ? huge_ns : fault_ns) + new_tables(params) * table_ns +
           (params->reservation == reservation_prot_none ? protect_ns : 0);
}

static uint64_t reset_ns(const struct params *params, uint64_t count)
{
    const uint64_t map_ns = 30 * US, page_ns = 1000, table_ns = 900, vma_ns = 1200, huge_ns = 60 * US;
    uint64_t each = (params->pages == pages_thp ? huge_ns : page_ns) + new_tables(params) * table_ns +
                    (params->reservation == reservation_prot_none ? 2 * vma_ns : 0);
    return map_ns + count * each;
}

const struct method method_reserve_touch = {
    .name = "reserve_touch",
    .measures = "the first store to pages that lie far apart in a reservation",
    .version = 1,
    .tells = COUNTER_BIT(rss_bytes) | COUNTER_BIT(page_table_bytes),
    .uses = FIELD_BIT(range_bytes) | FIELD_BIT(distance_bytes) | FIELD_BIT(reservation) | FIELD_BIT(pages),
    .limit = limit,
    .memory = memory,
    .vmas = vmas,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .teardown = teardown,
};
