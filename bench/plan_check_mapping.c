/* SPDX-License-Identifier: MIT */
/* What is mapped, how it is filled and advised, and pages that are copied on write. */
#include "forked.h"
#include "hugepage.h"
#include "mapping.h"
#include "plan_site.h"
#include "sync.h"

#include <inttypes.h>

/* Nothing is mapped, or opened, anew inside the clock: what comes before the first touch comes before the clock. */
static bool is_prepared(const struct site *site)
{
    return maps(site) ? site->params->lifetime == lifetime_kept : site->params->descriptor == descriptor_kept;
}

/* What fills page tables or reads ahead before the clock leaves nothing cold to measure. */
int check_read_before_clock(struct site *site)
{
    const struct params *params = site->params;
    if (params->cache != cache_cold || !is_prepared(site))
        return 0;
    if (maps(site) && params->populate != populate_none)
        return refuse(site, FIELD_populate, "%s would read the cold file before the clock starts",
                      size_text(params, FIELD_populate));
    if (uses(site, FIELD_locked) && params->locked != locked_no)
        return refuse(site, FIELD_locked, "%s would read the cold file before the clock starts",
                      size_text(params, FIELD_locked));
    if (uses(site, FIELD_advice) && params->advice == advice_willneed)
        return refuse(site, FIELD_advice, "willneed would read the cold file before the clock starts");
    return 0;
}

int check_descriptor(struct site *site)
{
    if (uses(site, FIELD_lifetime) && site->params->lifetime == lifetime_kept &&
        site->params->descriptor == descriptor_per_pass)
        return refuse(site, FIELD_descriptor,
                      "a mapping that is kept outlives its passes: there is nothing to open anew");
    return 0;
}

int check_advice(struct site *site)
{
    uint64_t advice = site->params->advice;
    bool mappings_only = advice == advice_hugepage || advice == advice_nohugepage || advice == advice_cold ||
                         advice == advice_pageout || advice == advice_collapse;
    if (mappings_only && uses(site, FIELD_advice) && !maps(site))
        return refuse(site, FIELD_advice, "%s is advice for mappings, and %s makes none",
                      size_text(site->params, FIELD_advice), site->arm->method->name);
    return 0;
}

/* A descriptor that the mapping of it may not store through. */
int check_protection(struct site *site)
{
    const struct params *params = site->params;
    bool shared = params->sharing == sharing_shared || params->sharing == sharing_sync;
    if (!uses(site, FIELD_protection) || params->protection == protection_as_needed || !shared || stores(site))
        return 0;
    return refuse(site, FIELD_protection,
                  "a shared mapping of a file that is only read allows no stores: write sharing: private, or access: "
                  "store");
}

/* MAP_POPULATE and MAP_LOCKED fill the page tables within mmap, before any advice could be given. */
int check_populate(struct site *site)
{
    const struct params *params = site->params;
    bool on_file = params->sharing == sharing_shared || params->sharing == sharing_sync;
    bool by_call = params->populate == populate_populate_read || params->populate == populate_populate_write;
    if (uses(site, FIELD_populate) && !uses(site, FIELD_advice) && by_call)
        return refuse(site, FIELD_populate, "%s makes no call between mmap and munmap: write populate: map_populate",
                      site->arm->method->name);
    if (!maps(site))
        return 0;
    if (params->populate == populate_map_populate && params->advice != advice_normal)
        return refuse(site, FIELD_populate,
                      "map_populate reads the file before advice can be given: write populate: populate_read");
    if (params->populate == populate_populate_write && on_file && !stores(site))
        return refuse(site, FIELD_populate, "populate_write would dirty a file that is only read: write populate_read");
    if (!uses(site, FIELD_locked) || params->locked == locked_no)
        return 0;
    if (params->advice != advice_normal)
        return refuse(site, FIELD_locked, "map_locked reads the file before advice can be given, and keeps its pages");
    if (params->populate == populate_map_populate || params->populate == populate_populate_read)
        return refuse(site, FIELD_populate, "map_locked has filled the page tables already");
    return 0;
}

/* Advice about pages that are mapped, or that changes the file for every arm. */
int check_advised_pages(struct site *site)
{
    const struct params *params = site->params;
    bool drops = params->advice == advice_pageout || params->advice == advice_dontneed;
    bool huge = params->recipe == recipe_write_2MiB || params->recipe == recipe_refill_hugepage ||
                params->recipe == recipe_as_found;
    const char *advice = size_text(params, FIELD_advice);
    if (!uses(site, FIELD_advice) || !method_needs_file(site->arm->method, params))
        return 0;
    if (params->advice == advice_collapse && !huge)
        return refuse(site, FIELD_advice,
                      "collapse would make huge pages of the file for every arm, whatever the "
                      "recipe %s says",
                      size_text(params, FIELD_recipe));
    if (drops && (params->advice == advice_pageout || !maps(site)) &&
        (params->cache == cache_warm || params->cache == cache_dirty))
        return refuse(site, FIELD_advice, "%s drops the pages that cache: %s wants resident", advice,
                      size_text(params, FIELD_cache));
    if (!maps(site) || !(drops || params->advice == advice_cold))
        return 0;
    if (uses(site, FIELD_lifetime) && params->lifetime == lifetime_kept)
        return refuse(site, FIELD_advice,
                      "%s before the clock starts does nothing to what is touched again: write "
                      "lifetime: per_pass",
                      advice);
    if (params->populate == populate_none)
        return refuse(site, FIELD_advice, "%s is about pages that are mapped, and none is yet: fill them by populate",
                      advice);
    return 0;
}

/* A window that slides over the working set, instead of a mapping that covers it. */
int check_window(struct site *site)
{
    const struct params *params = site->params;
    const char *window = size_text(params, FIELD_window_bytes);
    if (!uses(site, FIELD_window_bytes) || params->window_bytes == params->working_set_bytes)
        return 0;
    if (params->window_bytes > params->working_set_bytes)
        return refuse(site, FIELD_window_bytes, "a window of %s is larger than the working set of %s", window,
                      size_text(params, FIELD_working_set_bytes));
    uint64_t page_bytes = params->backing == backing_hugetlbfs ? hugetlb_page_bytes() : site->draft->page_bytes;
    if (params->window_bytes == 0 || params->window_bytes % page_bytes)
        return refuse(site, FIELD_window_bytes, "a window of %s is not a whole number of pages", window);
    if (params->window_bytes % params->block_bytes)
        return refuse(site, FIELD_window_bytes,
                      "a window of %s is not a whole number of blocks of %s: one would lie "
                      "across its end",
                      window, size_text(params, FIELD_block_bytes));
    if (params->lifetime != lifetime_per_pass)
        return refuse(site, FIELD_window_bytes, "a mapping that is kept is no window: write lifetime: per_pass");
    if (params->pattern != pattern_sequential && params->pattern != pattern_stride)
        return refuse(site, FIELD_window_bytes, "a window slides along with accesses in order, not with the pattern %s",
                      size_text(params, FIELD_pattern));
    if (params->vma == vma_page)
        return refuse(site, FIELD_vma, "one VMA a page and a window are two ways to cut a mapping");
    if (uses(site, FIELD_sync) && sync_needs_mapping((enum sync)params->sync))
        return refuse(site, FIELD_sync, "%s reaches only what is mapped, and the window has moved on: write fsync",
                      size_text(params, FIELD_sync));
    return 0;
}

int check_sharing(struct site *site)
{
    const struct params *params = site->params;
    if (uses(site, FIELD_sharing) && params->sharing == sharing_anonymous && !uses(site, FIELD_pages))
        return refuse(site, FIELD_sharing, "%s maps the file: it cannot do without one", site->arm->method->name);
    if (uses(site, FIELD_sharing) && is_own(site, FIELD_pages) && params->sharing != sharing_anonymous)
        return refuse(site, FIELD_pages,
                      "pages is about anonymous memory: a file's folios have the sizes of its recipe");
    return 0;
}

int check_vma(struct site *site)
{
    const struct params *params = site->params;
    uint64_t pages = params->working_set_bytes / site->draft->page_bytes;
    if (!maps(site) || params->vma != vma_page)
        return 0;
    if (params->sharing == sharing_anonymous)
        return refuse(site, FIELD_vma, "one VMA a page is about files: a fault of anonymous memory has no neighbours");
    if (site->draft->page_bytes % params->block_bytes)
        return refuse(site, FIELD_vma, "one VMA a page needs blocks that lie within a page, not of %s",
                      size_text(params, FIELD_block_bytes));
    if (params->working_set_bytes % site->draft->page_bytes)
        return refuse(site, FIELD_vma, "one VMA a page needs a working set of whole pages, not of %s",
                      size_text(params, FIELD_working_set_bytes));
    if (pages > VMAS_MAX)
        return refuse(site, FIELD_vma, "one VMA a page makes %" PRIu64 " of them, and a process may have about %d",
                      pages, VMAS_MAX);
    return 0;
}

/* What is a page on some machines is less than one on others: such cells are left out there. */
int check_page_steps(struct site *site)
{
    const struct params *params = site->params;
    enum field_index field = params->pattern == pattern_stride ? FIELD_stride_bytes : FIELD_block_bytes;
    uint64_t step = mapping_step_bytes(params), page_bytes = site->draft->page_bytes;
    if (!needs(site, PAGES_ONCE) || step % page_bytes == 0 || step < 4 * KIB || !site->draft->varied[field])
        return 0;
    return refuse(site, field, "%s comes by each page once, and pages have %" PRIu64 " KiB: no step of %s",
                  site->arm->method->name, page_bytes / KIB, size_text(params, field));
}

/* Only what is private is copied on write, and only a store makes it so. */
int check_break(struct site *site)
{
    const struct params *params = site->params;
    if (needs(site, ONLY_STORES) && params->access != access_store)
        return refuse(site, FIELD_access, "%s does nothing but store: write access: store", site->arm->method->name);
    if (!needs(site, BREAKS_COPIES))
        return 0;
    if (params->sharing == sharing_shared || params->sharing == sharing_sync)
        return refuse(site, FIELD_sharing,
                      "%s breaks private pages, and what is mapped shared stays common: write "
                      "sharing: private%s",
                      site->arm->method->name, uses(site, FIELD_pages) ? " or anonymous" : "");
    if (params->access != access_store)
        return refuse(site, FIELD_access, "%s breaks pages by storing to them: write access: store",
                      site->arm->method->name);
    if (uses(site, FIELD_prior) && params->prior == prior_stored)
        return refuse(site, FIELD_prior, "a page that has been stored to is broken already");
    return 0;
}

/* What a child stores goes with it: of a private mapping of the file nothing could be compared. */
int check_breaker(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_breaker) || !forked_child_breaks(params) || params->sharing != sharing_private)
        return 0;
    return refuse(site, FIELD_breaker,
                  "what a child stores to its private mapping of the file cannot be read back: "
                  "write sharing: anonymous, where the kernel does the same");
}

/* A fork is not to write to the file that it is measured with, nor to copy other workers' memory. */
int check_fork(struct site *site)
{
    const struct params *params = site->params;
    bool shared = params->sharing == sharing_shared || params->sharing == sharing_sync;
    bool stores = uses(site, FIELD_access) || needs(site, BREAKS_COPIES | NEEDS_WRITE);
    if (needs(site, FORKS) && params->workers > 1 && params->worker_kind == worker_kind_thread)
        return refuse(site, FIELD_workers,
                      "a fork of one thread copies what the others work on: write worker_kind: "
                      "process");
    if (!uses(site, FIELD_prior) || stores || params->prior != prior_stored || !shared || !maps(site))
        return 0;
    return refuse(site, FIELD_prior, "%s does not write to the file, and prior: stored would", site->arm->method->name);
}
