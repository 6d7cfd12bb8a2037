/* SPDX-License-Identifier: MIT */
/*
 * Measures:         the whole use of a file through a mapping, or one phase of it (`phase`): open and fstat, mmap, the
 *                   first touch of every block, the second; with access: store also a store to every block and msync;
 *                   munmap, close. The phases before the timed one happen in the reset, those after it in the next.
 * Does not measure: what fills the page cache: the file is warm and clean before the first phase.
 * Expect:           first touch, store and msync are most of it; the phases add up to the whole within a few percent.
 * Source:           mm/mmap.c do_mmap, mm/filemap.c filemap_map_pages, mm/memory.c do_page_mkwrite, mm/msync.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "descriptor.h"
#include "life.h"
#include "mapping.h"

static int open_file(struct worker *worker, uint64_t blocks)
{
    struct stat status;
    (void)blocks;
    int rc = descriptor_open_plain(worker);
    return rc ? rc : fstat(worker->fd, &status) ? -errno : 0;
}

static int map_file(struct worker *worker, uint64_t blocks)
{
    struct err unread;
    (void)blocks;
    return mapping_make(worker, &unread);
}

static int load_blocks(struct worker *worker, uint64_t blocks)
{
    mapping_load(worker, blocks);
    return 0;
}

static int store_blocks(struct worker *worker, uint64_t blocks)
{
    mapping_store(worker, blocks);
    return 0;
}

static int sync_file(struct worker *worker, uint64_t blocks)
{
    (void)blocks;
    return msync(worker->base, worker->base_bytes, MS_SYNC) ? -errno : 0;
}

static int unmap_file(struct worker *worker, uint64_t blocks)
{
    (void)blocks;
    return mapping_remove(worker);
}

static int close_file(struct worker *worker, uint64_t blocks)
{
    (void)blocks;
    return descriptor_close(worker);
}

static const struct life life = {.phases =
                                     {
                                         [phase_open] = open_file,
                                         [phase_map] = map_file,
                                         [phase_first] = load_blocks,
                                         [phase_second] = load_blocks,
                                         [phase_write] = store_blocks,
                                         [phase_sync] = sync_file,
                                         [phase_unmap] = unmap_file,
                                         [phase_close] = close_file,
                                     },
                                 .phase_ns = {[phase_open] = 45,
                                              [phase_map] = 27,
                                              [phase_first] = 160,
                                              [phase_second] = 70,
                                              [phase_write] = 7200,
                                              [phase_sync] = 2200,
                                              [phase_unmap] = 45,
                                              [phase_close] = 13}};

static int reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    return life_reset(&life, worker, blocks, err);
}

static int run(struct worker *worker, uint64_t blocks)
{
    return life_run(&life, worker, blocks);
}

static uint64_t block_ns(const struct params *params)
{
    return life_block_ns(&life, params);
}

static uint64_t reset_ns(const struct params *params, uint64_t blocks)
{
    return life_reset_ns(&life, params, blocks);
}

const struct method method_life_map = {
    .name = "life_map",
    .measures = "the whole use of a file through a mapping, or one phase of it",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | NEEDS_NAME,
    .uses = USES_WORK | FIELD_BIT(phase) | FIELD_BIT(access) | FIELD_BIT(sharing) | FIELD_BIT(populate) |
            FIELD_BIT(advice),
    .limit = life_limit,
    .dirties = life_dirties,
    .block_ns = block_ns,
    .reset_ns = reset_ns,
    .reset = reset,
    .run = run,
    .teardown = life_teardown,
};
