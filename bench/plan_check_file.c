/* SPDX-License-Identifier: MIT */
/* The file, the state it is in, and the blocks of it that are visited. */
#include "hugepage.h"
#include "offsets.h"
#include "plan_site.h"
#include "region.h"

#include <inttypes.h>
#include <string.h>

#define BLOCK_BYTES_MAX (4 * MIB)
#define LIMIT_OWN_BYTES (16 * MIB) /* the program itself, its lists and page tables */

/* Whether the file is nothing but memory: never evicted, never written back. */
static bool is_memory(const struct site *site)
{
    const struct params *params = site->params;
    return params_is_memory(params) || (params->backing == backing_file && site->draft->directory_on_tmpfs);
}

int check_cache(struct site *site)
{
    const struct params *params = site->params;
    const char *where = params->backing == backing_file    ? "in this directory, which lies on tmpfs"
                        : params->backing == backing_tmpfs ? "on tmpfs"
                                                           : "in memory";
    if (!is_memory(site))
        return 0;
    if (params->cache == cache_cold || params->cache == cache_clean || params->cache == cache_dirty)
        return refuse(site, FIELD_cache, "no file can be %s %s: its pages are never evicted or written back",
                      size_text(params, FIELD_cache), where);
    if (params->recipe == recipe_refill_read || params->recipe == recipe_refill_map ||
        params->recipe == recipe_refill_hugepage)
        return refuse(site, FIELD_recipe, "%s cannot be followed %s: pages are never evicted there",
                      size_text(params, FIELD_recipe), where);
    return 0;
}

int check_recipe(struct site *site)
{
    if (site->params->recipe == recipe_as_found && site->params->backing != backing_given)
        return refuse(site, FIELD_recipe,
                      "as-found is for a file of your own (--file PATH): a file made here has a recipe");
    return 0;
}

/* A hole stays one only where it is made anew after each batch that stored to it. */
int check_hole(struct site *site)
{
    const struct params *params = site->params;
    if (params->recipe != recipe_hole || !needs(site, NEEDS_FILE))
        return 0;
    if (is_memory(site) && params->cache == cache_warm)
        return refuse(site, FIELD_cache,
                      "no page of a hole in memory is resident before it is stored to: write "
                      "cache: as-found");
    if (!method_writes(site->arm->method, params))
        return 0;
    if (!uses(site, FIELD_recipe))
        return refuse(site, FIELD_recipe, "%s fills the hole for good: only its first batch would meet one",
                      site->arm->method->name);
    if (params->workers > 1)
        return refuse(site, FIELD_workers, "one worker would empty the file under the other: a hole is for one");
    return 0;
}

/* What has been done to a page is done before the clock: to a cold file that would read it. */
int check_prior(struct site *site)
{
    const struct params *params = site->params;
    bool on_file = method_needs_file(site->arm->method, params);
    if (uses(site, FIELD_prior) && params->prior != prior_never && params->cache == cache_cold && on_file)
        return refuse(site, FIELD_prior, "pages %s before the clock starts are not cold",
                      size_text(params, FIELD_prior));
    return 0;
}

/* Reserved huge pages are mapped, and unmapped, whole; they have one size, whatever the recipe. */
int check_hugetlbfs(struct site *site)
{
    static const enum field_index sizes[] = {FIELD_file_bytes, FIELD_working_set_bytes, FIELD_range_bytes,
                                             FIELD_window_bytes};
    const struct params *params = site->params;
    uint64_t page_bytes = hugetlb_page_bytes();
    if (params->backing != backing_hugetlbfs || !needs(site, NEEDS_FILE))
        return 0;
    if (needs(site, NEEDS_WRITE) && needs(site, NEEDS_BUFFER))
        return refuse(site, FIELD_backing, "hugetlbfs has no write(): it is stored to through mappings alone");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const struct field *field = &field_table[sizes[i]];
        uint64_t bytes;
        memcpy(&bytes, (const char *)params + field->offset, sizeof bytes);
        if ((field->scope == SCOPE_TARGET || field->scope == SCOPE_CELL || uses(site, sizes[i])) && bytes % page_bytes)
            return refuse(site, FIELD_backing, "on hugetlbfs %s has to be whole huge pages of %" PRIu64 " MiB: not %s",
                          field->name, page_bytes / MIB, size_text(params, sizes[i]));
    }
    return 0;
}

/* What such files have no meaning for. */
int check_nameless(struct site *site)
{
    const struct params *params = site->params;
    bool huge = params->backing == backing_hugetlbfs;
    if ((params->backing != backing_memfd && !huge) || !needs(site, NEEDS_FILE))
        return 0;
    if (uses(site, FIELD_descriptor) && params->descriptor == descriptor_per_pass)
        return refuse(site, FIELD_descriptor, "a file of memfd_create has no name by which it could be opened anew");
    if (huge && site->draft->varied[FIELD_recipe])
        return refuse(site, FIELD_recipe, "recipe is varied, but on hugetlbfs every page is huge: exclude it");
    if (huge && maps(site) && params->vma == vma_page)
        return refuse(site, FIELD_vma, "one VMA a page needs small pages: hugetlbfs has none");
    return 0;
}

int check_working_set(struct site *site)
{
    const struct params *params = site->params;
    if (params->working_set_bytes > params->file_bytes)
        return refuse(site, FIELD_working_set_bytes, "a working set of %s is larger than the file of %s",
                      size_text(params, FIELD_working_set_bytes), size_text(params, FIELD_file_bytes));
    return 0;
}

int check_stride(struct site *site)
{
    const struct params *params = site->params;
    if (params->pattern != pattern_stride && site->draft->varied[FIELD_stride_bytes])
        return refuse(site, FIELD_stride_bytes, "stride_bytes is varied but the pattern is %s: exclude it",
                      size_text(params, FIELD_pattern));
    if (params->pattern != pattern_stride || !needs(site, NEEDS_FILE))
        return 0;
    if (params->stride_bytes < params->block_bytes || params->stride_bytes % params->block_bytes)
        return refuse(site, FIELD_stride_bytes, "a stride of %s is not a whole number of blocks of %s",
                      size_text(params, FIELD_stride_bytes), size_text(params, FIELD_block_bytes));
    if (params->stride_bytes > params->working_set_bytes)
        return refuse(site, FIELD_stride_bytes, "a stride of %s is larger than the working set of %s",
                      size_text(params, FIELD_stride_bytes), size_text(params, FIELD_working_set_bytes));
    return 0;
}

int check_block(struct site *site)
{
    const struct params *params = site->params;
    if (!needs(site, NEEDS_FILE))
        return 0;
    if (params->block_bytes > BLOCK_BYTES_MAX)
        return refuse(site, FIELD_block_bytes, "a block of %s is larger than 4MiB",
                      size_text(params, FIELD_block_bytes));
    if (params->block_bytes > params->working_set_bytes)
        return refuse(site, FIELD_block_bytes, "a block of %s is larger than the working set of %s: exclude it",
                      size_text(params, FIELD_block_bytes), size_text(params, FIELD_working_set_bytes));
    if (params->working_set_bytes % params->block_bytes)
        return refuse(site, FIELD_working_set_bytes, "a working set of %s is not a whole number of blocks of %s",
                      size_text(params, FIELD_working_set_bytes), size_text(params, FIELD_block_bytes));
    return 0;
}

int check_order(struct site *site)
{
    if (needs(site, NEEDS_ORDER) && site->params->pattern != pattern_sequential)
        return refuse(site, FIELD_pattern, "%s visits blocks front to back, so it cannot follow the pattern %s",
                      site->arm->method->name, size_text(site->params, FIELD_pattern));
    return 0;
}

/* The list of blocks is bounded, and only one that is drawn can stand for a longer one. */
int check_list(struct site *site)
{
    const struct params *params = site->params;
    uint64_t blocks = params->working_set_bytes / params->block_bytes;
    bool sampled = params->pattern == pattern_random || params->pattern == pattern_chain ||
                   params->pattern == pattern_zipf;
    if (needs(site, NEEDS_FILE) && !sampled && blocks > OFFSETS_MAX)
        return refuse(site, FIELD_block_bytes,
                      "%" PRIu64 " blocks of %s in order are more than the %d that are visited", blocks,
                      size_text(params, FIELD_block_bytes), OFFSETS_MAX);
    return 0;
}

/*
 * Under a memory limit pages come and go as the kernel sees fit: no state can be demanded of them, and what could not
 * be reclaimed would end the process.
 */
int check_memory_limit(struct site *site)
{
    const struct params *params = site->params;
    bool touches_region = needs(site, NEEDS_BUFFER) && params->buffer != buffer_reused;
    uint64_t least = LIMIT_OWN_BYTES + (touches_region ? REGION_BYTES : params->block_bytes);
    if (params->memory_limit == 0)
        return 0;
    if (params->memory_limit < least)
        return refuse(site, FIELD_memory_limit,
                      "a memory limit of %s leaves nothing for the file: the program itself needs %" PRIu64 " MiB",
                      size_text(params, FIELD_memory_limit), (least + MIB - 1) / MIB);
    if (params->cache != cache_as_found)
        return refuse(site, FIELD_cache, "no file can be kept %s under a memory limit: write cache: as-found",
                      size_text(params, FIELD_cache));
    if (is_memory(site))
        return refuse(site, FIELD_memory_limit,
                      "pages of a file in memory are never reclaimed: they would hit the limit");
    return 0;
}

/* Somebody else's pages are not charged to the group that has the limit. */
int check_limit_of_given(struct site *site)
{
    if (site->params->memory_limit && site->params->backing == backing_given)
        return refuse(site, FIELD_memory_limit,
                      "a memory limit does not hold the pages of a file that others have read");
    return 0;
}

int check_zipf(struct site *site)
{
    const struct draft *draft = site->draft;
    const struct params *params = site->params;
    if (params->pattern != pattern_zipf && draft->varied[FIELD_zipf_theta])
        return refuse(site, FIELD_zipf_theta, "zipf_theta is varied but the pattern is %s: exclude it",
                      size_text(params, FIELD_pattern));
    if (params->pattern != pattern_zipf || !needs(site, NEEDS_FILE) || needs(site, NEEDS_ORDER))
        return 0;
    if (params->cache == cache_cold)
        return refuse(site, FIELD_pattern,
                      "zipf comes by its popular blocks again: a cold batch would meet pages that "
                      "it has warmed itself");
    if (site->arm->method->limit)
        return refuse(site, FIELD_pattern, "zipf comes by its popular blocks again, and %s can visit each only once",
                      site->arm->method->name);
    return 0;
}
