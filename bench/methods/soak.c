/* SPDX-License-Identifier: MIT */
/*
 * Measures:         what happens by itself to pages that a program keeps storing to: an operation stores to every page
 *                   of the mapping (access: load: loads), then rests until a tenth of a second has passed since it
 *                   began. Its counts are the result: faults beside those of the first touch are pages that the
 *                   kernel's flusher has written back, and write-protected for it, meanwhile.
 * Does not measure: time: an operation takes a beat by design. Nothing is synced.
 * Expect:           over 60 s or more every page of a file on a disk faults again about once in
 *                   dirty_expire_centisecs + dirty_writeback_centisecs (35 s); none on tmpfs or in a private mapping.
 * Source:           fs/fs-writeback.c wb_workfn, wb_check_old_data_flush and move_expired_inodes; mm/rmap.c
 *                   folio_mkclean.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "descriptor.h"
#include "mapping.h"
#include "target.h"

/* Short beside the seconds in which the flusher acts, long beside the stores. */
#define BEAT_NS (100 * MS)

static void rest(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / (1000 * MS)), .tv_nsec = (long)(ns % (1000 * MS))};
    while (nanosleep(&left, &left) && errno == EINTR)
        ;
}

static int run(struct worker *worker, uint64_t beats)
{
    for (uint64_t i = 0; i < beats; i++) {
        uint64_t begin = clock_now_ns();
        mapping_settle(worker);
        uint64_t spent = clock_now_ns() - begin;
        if (spent < BEAT_NS)
            rest(BEAT_NS - spent);
    }
    return 0;
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = descriptor_open_plain(worker);
    if (rc)
        return err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc));
    rc = mapping_make(worker, err);
    if (rc == 0)
        mapping_settle(worker);
    return rc;
}

static void teardown(struct worker *worker)
{
    mapping_remove(worker);
    descriptor_close(worker);
}

static uint64_t block_ns(const struct params *params)
{
    (void)params;
    return BEAT_NS;
}

const struct method method_soak = {
    .name = "soak",
    .measures = "stores to every page ten times a second: what the kernel does to them by itself",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = FIELD_BIT(access) | FIELD_BIT(sharing) | FIELD_BIT(advice),
    .block_ns = block_ns,
    .setup = setup,
    .run = run,
    .teardown = teardown,
};
