/* SPDX-License-Identifier: MIT */
/* System calls: their blocks and ranges, what they find, and what follows them. */
#include "plan_site.h"
#include "sync.h"

#include <inttypes.h>

#define QUEUE_BYTES_MAX (64 * MIB)
enum {
    PIECES_MAX = 1024, /* UIO_MAXIOV */
    QUEUE_DEPTH_MAX = 4096,
    SECTOR_BYTES = 512, /* the least that any storage reads */
};

int check_consume(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_consume) || params->consume != consume_in_place || params->access == access_store)
        return 0;
    if (params->consumer == consumer_none)
        return refuse(site, is_own(site, FIELD_consume) ? FIELD_consume : FIELD_consumer,
                      "in_place with consumer: none would do nothing at all");
    if (is_own(site, FIELD_buffer))
        return refuse(site, FIELD_buffer, "buffer means nothing to an arm that consumes in place");
    return 0;
}

int check_range(struct site *site)
{
    const struct params *params = site->params;
    if (uses(site, FIELD_range_bytes) && needs(site, NEEDS_FILE) && params->range_bytes > params->working_set_bytes)
        return refuse(site, FIELD_range_bytes, "a range of %s is larger than the working set of %s: exclude it",
                      size_text(params, FIELD_range_bytes), size_text(params, FIELD_working_set_bytes));
    if (uses(site, FIELD_range_bytes) && params->range_bytes == 0)
        return refuse(site, FIELD_range_bytes, "range_bytes must be above 0");
    return 0;
}

/* What a sync finds: pages stored to before. */
int check_dirty(struct site *site)
{
    const struct params *params = site->params;
    bool stores = uses(site, FIELD_sync) && site->arm->method->dirties;
    if (stores && uses(site, FIELD_access) && params->access != access_store)
        return refuse(site, FIELD_access, "%s stores before it syncs: write access: store", site->arm->method->name);
    if (!uses(site, FIELD_dirty_share))
        return 0;
    if (params->sync == sync_none)
        return refuse(site, FIELD_sync, "%s times a call: say by sync which one", site->arm->method->name);
    if (params->dirty_share > 1)
        return refuse(site, FIELD_dirty_share, "a dirty_share of %s is more than every page of the range",
                      size_text(params, FIELD_dirty_share));
    if (params->range_bytes % site->draft->page_bytes)
        return refuse(site, FIELD_range_bytes, "a range of %s is not a whole number of pages",
                      size_text(params, FIELD_range_bytes));
    return 0;
}

/* Stores do not read what an address could be made to depend on. */
int check_stores(struct site *site)
{
    const struct params *params = site->params;
    if (!stores(site) || !uses(site, FIELD_block_bytes))
        return 0;
    if (params->pattern == pattern_chain)
        return refuse(site, FIELD_pattern, "stores read nothing that the next address could depend on");
    if (uses(site, FIELD_consume) && is_own(site, FIELD_consume))
        return refuse(site, FIELD_consume, "consume means nothing to an arm that stores");
    bool reads_before = uses(site, FIELD_phase);
    if (needs(site, NEEDS_BUFFER) && params->buffer == buffer_fresh && !reads_before)
        return refuse(site, FIELD_buffer, "a fresh buffer is a destination: as a source it holds nothing but zeros");
    if (uses(site, FIELD_open_as) && params->open_as == open_as_direct &&
        (params->cache == cache_warm || params->cache == cache_dirty))
        return refuse(site, FIELD_open_as, "writes with O_DIRECT drop the pages that cache: %s wants resident",
                      size_text(params, FIELD_cache));
    return 0;
}

/* What follows each pass of writes. Where it is the operation itself, or comes before it, is check_dirty's matter. */
int check_sync(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_sync) || uses(site, FIELD_dirty_share) || params->sync == sync_none)
        return 0;
    if (sync_needs_mapping((enum sync)params->sync) && !maps(site))
        return refuse(site, FIELD_sync, "%s syncs a mapping, and %s makes none: write fdatasync or fsync",
                      size_text(params, FIELD_sync), site->arm->method->name);
    if (maps(site) && params->sharing == sharing_private)
        return refuse(site, FIELD_sync,
                      "what is stored to a private mapping never reaches the file: there is nothing "
                      "to sync");
    if (!stores(site) && !site->arm->method->dirties)
        return refuse(site, FIELD_sync, "%s would follow each pass of writes, and this arm writes nothing",
                      size_text(params, FIELD_sync));
    return 0;
}

int check_pieces(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_pieces))
        return 0;
    if (params->pieces == 0 || params->pieces > PIECES_MAX)
        return refuse(site, FIELD_pieces, "%" PRIu64 " pieces: one call takes 1 to %d", params->pieces, PIECES_MAX);
    if (params->block_bytes % params->pieces)
        return refuse(site, FIELD_pieces, "a block of %s cannot be cut into %" PRIu64 " equal pieces",
                      size_text(params, FIELD_block_bytes), params->pieces);
    return 0;
}

/* Several requests under way at once: how many, in how much memory, and what that leaves no meaning to. */
int check_queue_depth(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_queue_depth))
        return 0;
    if (params->queue_depth == 0 || params->queue_depth > QUEUE_DEPTH_MAX)
        return refuse(site, FIELD_queue_depth, "a queue depth of %" PRIu64 ": it is 1 to %d", params->queue_depth,
                      QUEUE_DEPTH_MAX);
    if (params->queue_depth * params->block_bytes > QUEUE_BYTES_MAX)
        return refuse(site, FIELD_queue_depth, "%" PRIu64 " blocks of %s under way together are more than 64MiB",
                      params->queue_depth, size_text(params, FIELD_block_bytes));
    if (params->pattern == pattern_chain)
        return refuse(site, FIELD_pattern, "%s asks for blocks before it has read what the next address depends on",
                      site->arm->method->name);
    if (params->queue_depth > 1 && params->latency != latency_none)
        return refuse(site, FIELD_latency,
                      "the latency pass times one operation at a time, not %" PRIu64 " under way together: write "
                      "latency: none",
                      params->queue_depth);
    return 0;
}

int check_direct(struct site *site)
{
    const struct params *params = site->params;
    if (params->open_as != open_as_direct)
        return 0;
    if (params->block_bytes % SECTOR_BYTES)
        return refuse(site, FIELD_block_bytes, "O_DIRECT reads whole sectors: %s is no multiple of %d bytes",
                      size_text(params, FIELD_block_bytes), SECTOR_BYTES);
    if (params->cache == cache_dirty)
        return refuse(site, FIELD_open_as,
                      "an O_DIRECT read writes dirty pages back first: the file would not stay "
                      "dirty");
    return 0;
}

int check_descriptor_of(struct site *site)
{
    const struct params *params = site->params;
    if (params->descriptor_of != descriptor_of_crew)
        return 0;
    if (params->descriptor == descriptor_per_pass)
        return refuse(site, FIELD_descriptor_of,
                      "a descriptor that lives per pass is its worker's own, not the crew's");
    if (params->worker_file == worker_file_own)
        return refuse(site, FIELD_descriptor_of, "workers with a file each cannot share one open file description");
    return 0;
}

int check_miss(struct site *site)
{
    if (needs(site, MOVES_NOTHING) && site->params->cache != cache_cold)
        return refuse(site, FIELD_cache, "%s is about blocks that are not in memory: write cache: cold",
                      site->arm->method->name);
    return 0;
}
