/* SPDX-License-Identifier: MIT */
/* What single techniques are about: experiments, phases, snapshots, vectors, objects, views, files in memory. */
#include "merge.h"
#include "plan_site.h"

#include <inttypes.h>

/* Experiments write() to small files of their own, one of which is about its name. */
int check_whether(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_whether))
        return 0;
    if (params->backing == backing_hugetlbfs)
        return refuse(site, FIELD_backing, "%s writes to files of small pages: hugetlbfs has none",
                      site->arm->method->name);
    if (params->whether == whether_mapping_survives_unlink && params->backing == backing_memfd)
        return refuse(site, FIELD_whether, "a file of memfd_create has no name that could be removed");
    return 0;
}

/* The phases that a use has, of which one is timed. */
int check_phase(struct site *site)
{
    const struct params *params = site->params;
    bool writes = params->phase == phase_write || params->phase == phase_sync;
    bool maps_only = params->phase == phase_map || params->phase == phase_unmap;
    if (!uses(site, FIELD_phase))
        return 0;
    if (params->per != per_pass)
        return refuse(site, FIELD_per, "%s times the use of a whole file: write per: pass", site->arm->method->name);
    if (params->cache != cache_warm)
        return refuse(site, FIELD_cache, "%s needs a warm file: its phases before the timed one would warm it",
                      site->arm->method->name);
    if (writes && params->access == access_load)
        return refuse(site, FIELD_phase, "there is no phase %s with access: load", size_text(params, FIELD_phase));
    if (maps_only && !maps(site))
        return refuse(site, FIELD_phase, "%s maps nothing: it has no phase %s", site->arm->method->name,
                      size_text(params, FIELD_phase));
    return 0;
}

static bool grows(const struct site *site)
{
    bool copies = uses(site, FIELD_buffer) && uses(site, FIELD_range_bytes);
    return !needs(site, NEEDS_FILE) && (uses(site, FIELD_moved_to) || copies);
}

/* What is whole pages here may be none where pages are larger. */
int check_whole_pages(struct site *site)
{
    const struct params *params = site->params;
    uint64_t page_bytes = site->draft->page_bytes;
    bool reserves = uses(site, FIELD_reservation);
    if ((grows(site) || reserves) && params->range_bytes % page_bytes)
        return refuse(site, FIELD_range_bytes, "a %s of %s is not a whole number of pages",
                      reserves ? "reservation" : "vector", size_text(params, FIELD_range_bytes));
    if (uses(site, FIELD_distance_bytes) && params->distance_bytes % page_bytes)
        return refuse(site, FIELD_distance_bytes, "pages %s apart: it has to be a whole number of pages",
                      size_text(params, FIELD_distance_bytes));
    return 0;
}

/* Vectors that grow, by themselves and in what lies around them. */
int check_vector(struct site *site)
{
    const struct params *params = site->params;
    bool remaps = uses(site, FIELD_moved_to), copies = uses(site, FIELD_buffer);
    bool placed = params->moved_to == moved_to_aligned || params->moved_to == moved_to_misaligned;
    bool torn = params->moved_to == moved_to_misaligned ||
                (params->moved_to == moved_to_anywhere && params->crowding > 0);
    if (!grows(site))
        return 0;
    if (params->workers > 1 && params->worker_kind == worker_kind_thread)
        return refuse(site, FIELD_workers,
                      "threads would map memory where another's vector is to grow: write worker_kind: process");
    if (copies && params->buffer != buffer_touched && params->buffer != buffer_fresh)
        return refuse(site, FIELD_buffer,
                      "a vector is copied to memory that is touched or fresh: write buffer: touched");
    if (remaps && params->crowding > 1)
        return refuse(site, FIELD_crowding, "a crowding of %s is more than every vector",
                      size_text(params, FIELD_crowding));
    if (remaps && placed && params->crowding > 0)
        return refuse(site, FIELD_crowding, "a vector that goes to a place of its own has no use for room behind it");
    return remaps && params->pages == pages_thp && torn
               ? refuse(site, FIELD_pages,
                        "a huge page that is moved to where none can begin is split, once and for all: "
                        "write moved_to: aligned")
               : 0;
}

/* A reservation that is touched here and there. */
int check_distance(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_distance_bytes))
        return 0;
    if (params->distance_bytes == 0)
        return refuse(site, FIELD_distance_bytes, "distance_bytes must be above 0");
    if (params->workers > 1)
        return refuse(site, FIELD_workers, "memory is counted of a whole process: a reservation is for one worker");
    return params->distance_bytes > params->range_bytes
               ? refuse(site, FIELD_distance_bytes, "pages %s apart do not lie in a reservation of %s",
                        size_text(params, FIELD_distance_bytes), size_text(params, FIELD_range_bytes))
               : 0;
}

/* Objects that are written to, of so many. */
int check_objects(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_objects))
        return 0;
    if (params->object_bytes == 0 || params->object_bytes > site->draft->page_bytes)
        return refuse(site, FIELD_object_bytes, "an object of %s: it has to have bytes, and to fit into a page",
                      size_text(params, FIELD_object_bytes));
    return params->written_share > 1 || params->written_share <= 0
               ? refuse(site, FIELD_written_share,
                        "a written_share of %s: at least one object is written to, at most all",
                        size_text(params, FIELD_written_share))
               : 0;
}

/* Spans are whole pages, of which each holds a part of every span's objects, and each becomes a VMA. */
int check_spans(struct site *site)
{
    enum { SPANS_MAX = 64 };
    const struct params *params = site->params;
    uint64_t spans, vmas;
    if (!uses(site, FIELD_spans))
        return 0;
    if (params->spans < 2 || params->spans > SPANS_MAX)
        return refuse(site, FIELD_spans, "a merge of %" PRIu64 " spans: it takes 2 to %d", params->spans, SPANS_MAX);
    if (params->range_bytes % site->draft->page_bytes)
        return refuse(site, FIELD_range_bytes, "a span of %s is not a whole number of pages",
                      size_text(params, FIELD_range_bytes));
    spans = params->working_set_bytes / params->range_bytes;
    if (spans < params->spans)
        return refuse(site, FIELD_working_set_bytes, "%" PRIu64 " spans of %s do not fit into a working set of %s",
                      params->spans, size_text(params, FIELD_range_bytes), size_text(params, FIELD_working_set_bytes));
    vmas = MERGE_VMAS_EACH * (spans / params->spans) * (params->spans - 1);
    return vmas > VMAS_MAX
               ? refuse(site, FIELD_range_bytes,
                        "merging %" PRIu64 " spans makes up to %" PRIu64 " VMAs, and a process may have about %d",
                        spans, vmas, VMAS_MAX)
               : 0;
}

/* Only open is told where. */
int check_made(struct site *site)
{
    const struct params *params = site->params;
    bool opens = params->made_by == made_by_o_tmpfile || params->made_by == made_by_o_creat;
    if (!uses(site, FIELD_made_by))
        return 0;
    if (!opens && (is_own(site, FIELD_made_on) || params->made_on != made_on_tmpfs))
        return refuse(site, FIELD_made_on, "%s is not told where: write made_by: o_tmpfile or o_creat",
                      size_text(params, FIELD_made_by));
    if (params->made_on == made_on_target && (params->backing == backing_memfd || params->backing == backing_hugetlbfs))
        return refuse(site, FIELD_made_on, "a file of memfd_create lies in no directory where another could be made");
    return uses(site, FIELD_prior) && params->prior == prior_loaded
               ? refuse(site, FIELD_prior, "pages of a fresh file are stored to, or not touched: write never or stored")
               : 0;
}

int check_made_pages(struct site *site)
{
    const struct params *params = site->params;
    return uses(site, FIELD_made_by) && params->range_bytes % site->draft->page_bytes
               ? refuse(site, FIELD_range_bytes, "a file of %s is not a whole number of pages",
                        size_text(params, FIELD_range_bytes))
               : 0;
}

int check_made_beside_given(struct site *site)
{
    if (uses(site, FIELD_made_on) && site->params->made_on == made_on_target && site->params->backing == backing_given)
        return refuse(site, FIELD_made_on, "no file is made beside one of yours");
    return 0;
}

/* Two views of the same pages lie whole pages apart. */
int check_alias(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_alias_bytes))
        return 0;
    if (params->alias_bytes == 0)
        return refuse(site, FIELD_alias_bytes, "two views of the same memory cannot lie at one address");
    bool odd = params->alias_bytes % site->draft->page_bytes != 0;
    return odd ? refuse(site, FIELD_alias_bytes, "views %s apart are not a whole number of pages apart",
                        size_text(params, FIELD_alias_bytes))
               : 0;
}

int check_stalls(struct site *site)
{
    if (uses(site, FIELD_stalls) && site->params->stalls > 1)
        return refuse(site, FIELD_stalls, "stalls of %s are more than every operation",
                      size_text(site->params, FIELD_stalls));
    return 0;
}

/* A snapshot is of the whole working set. */
int check_snapshot(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_written_share) || !uses(site, FIELD_touches))
        return 0;
    if (params->per != per_pass)
        return refuse(site, FIELD_per, "%s times whole snapshots: write per: pass", site->arm->method->name);
    if (params->touches * params->block_bytes != params->working_set_bytes)
        return refuse(site, FIELD_touches, "a snapshot is of the whole working set: leave touches as it is");
    if (uses(site, FIELD_buffer) && params->buffer == buffer_touched)
        return refuse(site, FIELD_buffer, "the memory of a snapshot is reused, fresh or huge");
    return 0;
}
