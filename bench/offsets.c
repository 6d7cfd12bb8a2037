/* SPDX-License-Identifier: MIT */
#include "offsets.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "random.h"
#include "zipf.h"

static void fill_sequential(struct offsets *offsets, uint64_t block_bytes)
{
    for (uint64_t i = 0; i < offsets->count; i++)
        offsets->items[i] = i * block_bytes;
}

/* Fisher-Yates. */
static void shuffle(uint64_t *items, uint64_t count, struct random *random)
{
    for (uint64_t i = count; i > 1; i--) {
        uint64_t j = random_below(random, i), swap = items[i - 1];
        items[i - 1] = items[j];
        items[j] = swap;
    }
}

/*
 * The shifts are shuffled. A pass beside the one before would find what the prefetcher has fetched of its lines'
 * neighbours (6 % of a first touch of each page), and of two processes that go through one file the later would always
 * find the lines of the earlier.
 */
static int fill_stride(struct offsets *offsets, const struct params *params, uint64_t block_count, uint64_t seed)
{
    struct random random = {seed};
    uint64_t shift_count = params->stride_bytes / params->block_bytes, pass = 0, next = 0;
    shift_count = shift_count < 1 ? 1 : shift_count < block_count ? shift_count : block_count;
    uint64_t *shifts = malloc(shift_count * sizeof *shifts);
    if (!shifts)
        return -ENOMEM;
    for (uint64_t i = 0; i < shift_count; i++)
        shifts[i] = i * params->block_bytes;
    shuffle(shifts, shift_count, &random);
    for (uint64_t i = 0; i < offsets->count; i++) {
        offsets->items[i] = next + shifts[pass];
        next += params->stride_bytes;
        if (next + shifts[pass] + params->block_bytes > params->working_set_bytes) {
            next = 0;
            pass = (pass + 1) % shift_count;
        }
    }
    free(shifts);
    return 0;
}

static void fill_random(struct offsets *offsets, uint64_t block_count, uint64_t block_bytes, uint64_t seed)
{
    struct random random = {seed};
    for (uint64_t i = 0; i < offsets->count; i++) {
        uint64_t first = (uint64_t)((unsigned __int128)i * block_count / offsets->count);
        uint64_t after = (uint64_t)((unsigned __int128)(i + 1) * block_count / offsets->count);
        offsets->items[i] = (first + random_below(&random, after - first)) * block_bytes;
    }
    shuffle(offsets->items, offsets->count, &random);
}

static void fill_zipf(struct offsets *offsets, const struct params *params, uint64_t block_count, uint64_t seed)
{
    struct random random = {seed};
    struct zipf zipf = zipf_begin(block_count, params->zipf_theta);
    struct scatter scatter = scatter_begin(block_count, random_derive(seed, 'z'));
    for (uint64_t i = 0; i < offsets->count; i++)
        offsets->items[i] = scatter_place(&scatter, zipf_draw(&zipf, &random)) * params->block_bytes;
}

uint64_t offsets_count(const struct params *params)
{
    uint64_t most = OFFSETS_MAX, each = params->pattern == pattern_zipf ? OFFSETS_ZIPF_DRAWS : 1;
    uint64_t block_count = params->working_set_bytes / params->block_bytes;
    return block_count < most / each ? block_count * each : most;
}

int offsets_make(struct offsets *offsets, const struct params *params, uint64_t seed, struct err *err)
{
    uint64_t block_count = params->working_set_bytes / params->block_bytes;
    offsets->count = offsets_count(params);
    offsets->items = NULL;
    if (block_count == 0)
        return err_set(err, EINVAL, "a block is larger than the working set");
    if (params->pattern == pattern_zipf && !(params->zipf_theta >= 0 && isfinite(params->zipf_theta)))
        return err_set(err, EINVAL, "zipf_theta must be a number from 0");
    offsets->items = malloc(offsets->count * sizeof *offsets->items);
    int rc = offsets->items ? 0 : -ENOMEM;
    if (rc == 0 && params->pattern == pattern_sequential)
        fill_sequential(offsets, params->block_bytes);
    else if (rc == 0 && params->pattern == pattern_stride)
        rc = fill_stride(offsets, params, block_count, seed);
    else if (rc == 0 && params->pattern == pattern_zipf)
        fill_zipf(offsets, params, block_count, seed);
    else if (rc == 0)
        fill_random(offsets, block_count, params->block_bytes, seed);
    return rc ? err_set(err, ENOMEM, "no memory for %llu offsets", (unsigned long long)offsets->count) : 0;
}

void offsets_free(struct offsets *offsets)
{
    free(offsets->items);
    *offsets = (struct offsets){0};
}
