/* SPDX-License-Identifier: MIT */
/* What workers do to each other: on words, rings and pages that they have in common. */
#include "faulting.h"
#include "filesystem.h"
#include "mirror.h"
#include "plan_site.h"
#include "shared.h"

#include <inttypes.h>

enum { MEET_BYTES_MIN = 4096 }; /* words, what is told beside them, and room between */

/* What workers that meet have in common. */
int check_meeting(struct site *site)
{
    const struct params *params = site->params;
    uint64_t least = shared_least_bytes(params->workers);
    least = least < MEET_BYTES_MIN ? MEET_BYTES_MIN : least;
    if (!method_meets(site->arm->method))
        return 0;
    if (params->worker_file == worker_file_own)
        return refuse(site, FIELD_worker_file, "workers that have a file each do not meet");
    if (params->cache != cache_as_found)
        return refuse(site, FIELD_cache, "what workers store to is dirty when they begin: cache has to be as-found");
    if (params->working_set_bytes < least)
        return refuse(site, FIELD_working_set_bytes, "%" PRIu64 " workers need %" PRIu64 " bytes to meet on",
                      params->workers, least);
    if (params->latency == latency_open)
        return refuse(site, FIELD_latency, "what workers do to each other is due when the other is ready, not before");
    if (params->latency != latency_none && !site->arm->method->laps)
        return refuse(site, FIELD_latency,
                      "operations of workers on each other cannot be timed one by one: latency has to be none");
    return 0;
}

/* Who makes the pages fresh before each batch punches holes, into what is nothing but memory. */
int check_home(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_home) || params->home == home_any)
        return 0;
    if (params->memory_node != memory_node_any)
        return refuse(site, FIELD_home, "home and memory_node both say where the page lies");
    if (params->backing != backing_memfd && params->backing != backing_tmpfs)
        return refuse(site, FIELD_home, "home: %s is about pages of memory: write backing: memfd or tmpfs",
                      size_text(params, FIELD_home));
    if (params->working_set_bytes / 2 < site->draft->page_bytes)
        return refuse(site, FIELD_working_set_bytes, "a home needs a page in each half of the working set of %s",
                      size_text(params, FIELD_working_set_bytes));
    return 0;
}

/* Workers beyond the two that hand over. */
int check_background(struct site *site)
{
    const struct params *params = site->params;
    bool any = false;
    if (!uses(site, FIELD_background))
        return 0;
    if (params->background != background_none && params->workers == 2)
        return refuse(site, FIELD_background, "two workers leave nobody for the background: write workers: 3 or more");
    for (unsigned a = 0; a < site->cell->arm_count; a++)
        any |= site->cell->arms[a].params.background != background_none;
    return any || params->workers == 2 ? 0
                                       : refuse(site, FIELD_workers,
                                                "no arm has work for the workers beyond two: write "
                                                "workers: 2, or a background");
}

/* What one worker writes and the others read. */
int check_timed(struct site *site)
{
    const struct params *params = site->params;
    bool updates = uses(site, FIELD_update), roles = uses(site, FIELD_timed);
    if (updates && !roles && params->update == update_store)
        return refuse(site, FIELD_update,
                      "workers that store to one word undo each other's work: write fetch-add or cas");
    if (updates && roles && params->update == update_cas)
        return refuse(site, FIELD_update,
                      "one worker alone writes, and has nobody to compare with: write store or fetch-add");
    if (!roles || params->timed != timed_round_trip)
        return 0;
    if (!updates)
        return refuse(site, FIELD_timed, "nothing comes back in %s: write readers or writer", site->arm->method->name);
    return params->apart_bytes ? refuse(site, FIELD_apart_bytes,
                                        "what is written does not come back from those who "
                                        "read another word")
                               : 0;
}

/* A seqlock's payload lies behind its sequence, and two of them apart in half of the working set. */
int check_seqlock(struct site *site)
{
    const struct params *params = site->params;
    uint64_t bytes = SHARED_LINE + params->payload_bytes, room = params->working_set_bytes / 2;
    if (!uses(site, FIELD_payload_bytes) || !uses(site, FIELD_timed))
        return 0;
    if (params->apart_bytes && params->apart_bytes < bytes)
        return refuse(site, FIELD_apart_bytes, "payloads of %s cannot lie %s apart",
                      size_text(params, FIELD_payload_bytes), size_text(params, FIELD_apart_bytes));
    return params->apart_bytes + bytes <= room
               ? 0
               : refuse(site, FIELD_payload_bytes,
                        "a payload of %s and its sequence do not fit into half of a working "
                        "set of %s",
                        size_text(params, FIELD_payload_bytes), size_text(params, FIELD_working_set_bytes));
}

/* A ring of slots, each of which holds a message. */
int check_slots(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_payload_bytes) || !uses(site, FIELD_wrap) || params->wrap != wrap_slots)
        return 0;
    if (uses(site, FIELD_ring_side))
        return refuse(site, FIELD_wrap, "%s is about messages that reach over the end of a ring: say by wrap how",
                      site->arm->method->name);
    if (params->ring_bytes == 0 || params->ring_bytes % params->payload_bytes)
        return refuse(site, FIELD_ring_bytes, "a ring of %s is not a whole number of messages of %s",
                      size_text(params, FIELD_ring_bytes), size_text(params, FIELD_payload_bytes));
    return 0;
}

static bool is_byte_ring(const struct site *site)
{
    return uses(site, FIELD_ring_bytes) && !(uses(site, FIELD_wrap) && site->params->wrap == wrap_slots);
}

/* A ring of bytes, in memory that is mapped twice. */
int check_byte_ring(struct site *site)
{
    const struct params *params = site->params;
    uint64_t wrap = uses(site, FIELD_wrap) ? params->wrap : wrap_mirrored;
    const char *ring = size_text(params, FIELD_ring_bytes);
    if (!is_byte_ring(site))
        return 0;
    if (params->ring_bytes == 0 || params->ring_bytes % (4 * KIB))
        return refuse(site, FIELD_ring_bytes, "a ring that is mapped twice has to be whole pages, not %s", ring);
    if (uses(site, FIELD_payload_bytes) && params->payload_bytes > params->ring_bytes)
        return refuse(site, FIELD_payload_bytes, "a message of %s does not fit into a ring of %s",
                      size_text(params, FIELD_payload_bytes), ring);
    if (wrap == wrap_mask && params->ring_bytes & (params->ring_bytes - 1))
        return refuse(site, FIELD_wrap, "a mask needs a ring of a power of two bytes, not of %s", ring);
    if (wrap != wrap_mirrored && wrap != wrap_mirrored_way && uses(site, FIELD_consume) &&
        params->consume == consume_in_place)
        return refuse(site, FIELD_consume, "a message in two pieces cannot be taken in place: write consume: copy");
    if (uses(site, FIELD_ring_side) && params->ring_side == ring_side_producer && params->consumer == consumer_sum)
        return refuse(site, FIELD_consumer, "a producer reads nothing that could be summed: write consumer: none");
    return 0;
}

/* What is whole pages elsewhere may be less than one here. */
int check_ring_pages(struct site *site)
{
    uint64_t bytes = site->params->ring_bytes;
    if (!is_byte_ring(site) || bytes % (4 * KIB) || bytes % site->draft->page_bytes == 0)
        return 0;
    return refuse(site, FIELD_ring_bytes, "a ring of %s is no whole number of pages of %" PRIu64 " KiB",
                  size_text(site->params, FIELD_ring_bytes), site->draft->page_bytes / KIB);
}

/* Processors that guess ways have pages of 4 KiB; with others any place will do. */
int check_ring_way(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_wrap) || params->wrap != wrap_mirrored_way ||
        mirror_way_exists(params->ring_bytes, site->draft->page_bytes))
        return 0;
    return refuse(site, FIELD_ring_bytes, "two views of %s in a row cannot have the same way: write wrap: mirrored",
                  size_text(params, FIELD_ring_bytes));
}

/* A file that is made for a ring lies in the run's own folder, where the target is. */
int check_ring_file(struct site *site)
{
    const struct params *params = site->params;
    bool has_folder = params->backing == backing_file || filesystem_is_made((enum backing)params->backing);
    if (!uses(site, FIELD_ring_of) || params->ring_of != ring_of_file || has_folder)
        return 0;
    return refuse(site, FIELD_ring_of, "a ring's file lies beside the target: write backing: file");
}

/* The ring of two workers lies in the file on which they meet. */
int check_ring_room(struct site *site)
{
    const struct params *params = site->params;
    uint64_t room = params->working_set_bytes / 2;
    if (!uses(site, FIELD_ring_bytes) || uses(site, FIELD_ring_of))
        return 0;
    if (is_byte_ring(site) && params->backing == backing_hugetlbfs)
        return refuse(site, FIELD_backing, "hugetlbfs has no small pages that could be mapped twice in a row");
    uint64_t before = is_byte_ring(site) ? site->draft->page_bytes : 2 * (uint64_t)SHARED_LINE;
    return params->ring_bytes <= room && before <= room - params->ring_bytes
               ? 0
               : refuse(site, FIELD_ring_bytes, "a ring of %s does not fit into half of a working set of %s",
                        size_text(params, FIELD_ring_bytes), size_text(params, FIELD_working_set_bytes));
}

/* Workers that fault at the same time: what they can have in common depends on what they are. */
int check_meet(struct site *site)
{
    const struct params *params = site->params;
    bool processes = params->worker_kind == worker_kind_process, anonymous = params->fault_of == fault_of_anonymous;
    if (!uses(site, FIELD_meet))
        return 0;
    if (processes && params->meet == meet_same_table)
        return refuse(site, FIELD_meet, "processes have page tables of their own: write worker_kind: thread");
    if (processes && anonymous && params->meet != meet_other_file)
        return refuse(site, FIELD_fault_of, "processes have no anonymous memory in common: write meet: other-file");
    if (params->meet == meet_other_file && !anonymous && params->backing != backing_memfd)
        return refuse(site, FIELD_meet, "files of their own are made in memory: write backing: memfd");
    if (params->prior == prior_loaded)
        return refuse(site, FIELD_prior,
                      "what a store to a loaded page does depends on the file: write never or stored");
    return 0;
}

int check_meet_room(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_meet) || faulting_pages(params, site->draft->page_bytes) > 0)
        return 0;
    return refuse(site, FIELD_working_set_bytes,
                  "half of a working set of %s does not hold the pages of %" PRIu64
                  " workers in page tables of their own",
                  size_text(params, FIELD_working_set_bytes), params->workers);
}

int check_payload(struct site *site)
{
    uint64_t bytes = site->params->payload_bytes, most = site->params->working_set_bytes / 4;
    if (!uses(site, FIELD_payload_bytes))
        return 0;
    if (bytes < sizeof(uint64_t) || bytes % sizeof(uint64_t))
        return refuse(site, FIELD_payload_bytes, "payload_bytes has to be whole words of 8 bytes");
    return bytes <= most || uses(site, FIELD_ring_side)
               ? 0
               : refuse(site, FIELD_payload_bytes, "a payload of %s does not fit into a quarter of the working set, %s",
                        size_text(site->params, FIELD_payload_bytes), size_text(site->params, FIELD_working_set_bytes));
}

int check_apart(struct site *site)
{
    uint64_t apart = site->params->apart_bytes, room = site->params->working_set_bytes / 2;
    uint64_t words = uses(site, FIELD_timed) || site->params->workers < 2 ? 1 : site->params->workers - 1;
    if (!uses(site, FIELD_apart_bytes))
        return 0;
    if (apart % sizeof(uint64_t))
        return refuse(site, FIELD_apart_bytes, "apart_bytes has to be whole words of 8 bytes");
    if (apart > room / words || apart * words + sizeof(uint64_t) > room)
        return refuse(site, FIELD_apart_bytes, "words %s apart do not lie in half of a working set of %s",
                      size_text(site->params, FIELD_apart_bytes), size_text(site->params, FIELD_working_set_bytes));
    return 0;
}
