/* SPDX-License-Identifier: MIT */
/* What cannot mean what it says, or cannot be had here: one small function per reason. */
#include "faulting.h"
#include "filesystem.h"
#include "hugepage.h"
#include "mapping.h"
#include "matrix.h"
#include "mirror.h"
#include "offsets.h"
#include "pairs.h"
#include "plan_parts.h"
#include "region.h"
#include "shared.h"
#include "sync.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES_MAX (4 * MIB)
#define QUEUE_BYTES_MAX (64 * MIB)
#define LIMIT_OWN_BYTES (16 * MIB) /* the program itself, its lists and page tables */
enum {
    TOUCHES_MAX = 1 << 20,
    PIECES_MAX = 1024, /* UIO_MAXIOV */
    QUEUE_DEPTH_MAX = 4096,
    SECTOR_BYTES = 512,    /* the least that any storage reads */
    VMAS_MAX = 60000,      /* vm.max_map_count is 65530 unless somebody raised it */
    MAPPERS_MAX = 256,     /* each is a process */
    MEET_BYTES_MIN = 4096, /* words, what is told beside them, and room between */
    MEMORY_PERCENT = 80,   /* of memory that a warm file may fill … */
    ARMS_PERCENT = 95,     /* … and all that a cell keeps together */
};

/* An arm of a cell, and the field to blame when a check refuses. */
struct site {
    const struct draft *draft;
    const struct cell *cell;
    const struct arm *arm;
    const struct params *params; /* the arm's */
    unsigned arm_index;
    enum field_index blame;
    char text[300];
};

/* The field is blamed: its position is where the message points. Returns -EINVAL. */
static int refuse(struct site *site, enum field_index blame, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(struct site *site, enum field_index blame, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(site->text, sizeof site->text, format, args);
    va_end(args);
    site->blame = blame;
    return -EINVAL;
}

static bool uses(const struct site *site, enum field_index field)
{
    return method_uses(site->arm->method, &field_table[field]);
}

static bool needs(const struct site *site, unsigned need)
{
    return (site->arm->method->needs & need) != 0;
}

static bool maps(const struct site *site)
{
    return uses(site, FIELD_sharing);
}

/* Whether blocks are written: to the file, or to a private mapping of it. */
static bool stores(const struct site *site)
{
    return needs(site, NEEDS_WRITE) || (uses(site, FIELD_access) && site->params->access == access_store);
}

/* Nothing is mapped, or opened, anew inside the clock: what comes before the first touch comes before the clock. */
static bool is_prepared(const struct site *site)
{
    return maps(site) ? site->params->lifetime == lifetime_kept : site->params->descriptor == descriptor_kept;
}

static bool is_own(const struct site *site, enum field_index field)
{
    return settings_find(&site->draft->scenario->arms[site->arm_index].settings, &field_table[field]) != NULL;
}

/* Whether the file is nothing but memory: never evicted, never written back. */
static bool is_memory(const struct site *site)
{
    const struct params *params = site->params;
    return params_is_memory(params) || (params->backing == backing_file && site->draft->directory_on_tmpfs);
}

/* The text form of a size, in one of a few buffers, so that one message can hold several. */
static const char *size_text(const struct params *params, enum field_index field)
{
    static _Thread_local char texts[4][TEXT_SIZE];
    static _Thread_local unsigned next;
    char *text = texts[next++ % 4];
    field_format(&field_table[field], params, text, TEXT_SIZE);
    return text;
}

/* ---- the conditions ---- */

static int check_above_zero(struct site *site)
{
    static const enum field_index fields[] = {
        FIELD_file_bytes, FIELD_working_set_bytes, FIELD_workers, FIELD_batch_time,
        FIELD_count_ops,  FIELD_block_bytes,       FIELD_touches,
    };
    struct params zero = {0};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (field_equal(&field_table[fields[i]], site->params, &zero))
            return refuse(site, fields[i], "%s must be above 0", field_table[fields[i]].name);
    return 0;
}

static int check_times(struct site *site)
{
    const struct params *params = site->params;
    if (params->arm_time < params->batch_time)
        return refuse(site, FIELD_arm_time, "arm_time %s is shorter than one batch of %s",
                      size_text(params, FIELD_arm_time), size_text(params, FIELD_batch_time));
    if (params->latency != latency_none && params->latency_ops == 0)
        return refuse(site, FIELD_latency_ops, "a latency pass of no operation: write latency: none");
    if (params->latency != latency_none && params->latency_time == 0)
        return refuse(site, FIELD_latency_time, "a latency pass of no time: write latency: none");
    if (params->latency == latency_open && params->latency_interval == 0)
        return refuse(site, FIELD_latency_interval, "an open latency pass needs a time between operations");
    return 0;
}

static int check_workers(struct site *site)
{
    unsigned cpus = site->draft->options->cpu_count ? site->draft->options->cpu_count : 1;
    uint64_t busy = site->params->workers + site->params->siblings;
    if (busy <= cpus)
        return 0;
    return refuse(site, site->params->workers > cpus ? FIELD_workers : FIELD_siblings,
                  "%" PRIu64 " spinning workers need %" PRIu64 " CPUs, this machine has %u", busy, busy, cpus);
}

static int check_crowd(struct site *site)
{
    const char *name = site->arm->method->name;
    if (needs(site, NEEDS_PAIR) && site->params->workers != 2)
        return refuse(site, FIELD_workers, "%s is what two workers do to each other: workers has to be 2", name);
    if (needs(site, NEEDS_CROWD) && site->params->workers < 2)
        return refuse(site, FIELD_workers, "%s is what workers do to each other: workers has to be 2 or more", name);
    return 0;
}

/* What workers that meet have in common. */
static int check_meeting(struct site *site)
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
static int check_home(struct site *site)
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
static int check_background(struct site *site)
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
static int check_timed(struct site *site)
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
static int check_seqlock(struct site *site)
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
static int check_slots(struct site *site)
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
static int check_byte_ring(struct site *site)
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
static int check_ring_pages(struct site *site)
{
    uint64_t bytes = site->params->ring_bytes;
    if (!is_byte_ring(site) || bytes % (4 * KIB) || bytes % site->draft->page_bytes == 0)
        return 0;
    return refuse(site, FIELD_ring_bytes, "a ring of %s is no whole number of pages of %" PRIu64 " KiB",
                  size_text(site->params, FIELD_ring_bytes), site->draft->page_bytes / KIB);
}

/* Processors that guess ways have pages of 4 KiB; with others any place will do. */
static int check_ring_way(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_wrap) || params->wrap != wrap_mirrored_way || site->draft->page_bytes != 4 * KIB ||
        mirror_way_exists(params->ring_bytes))
        return 0;
    return refuse(site, FIELD_ring_bytes, "two views of %s in a row cannot have the same way: write wrap: mirrored",
                  size_text(params, FIELD_ring_bytes));
}

/* A file that is made for a ring lies in the run's own folder, where the target is. */
static int check_ring_file(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_ring_of) || params->ring_of != ring_of_file || params->backing == backing_file)
        return 0;
    return refuse(site, FIELD_ring_of, "a ring's file lies beside the target: write backing: file");
}

/* The ring of two workers lies in the file on which they meet. */
static int check_ring_room(struct site *site)
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
static int check_meet(struct site *site)
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

static int check_meet_room(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_meet) || faulting_pages(params, site->draft->page_bytes) > 0)
        return 0;
    return refuse(site, FIELD_working_set_bytes,
                  "half of a working set of %s does not hold the pages of %" PRIu64
                  " workers in page tables of their own",
                  size_text(params, FIELD_working_set_bytes), params->workers);
}

static int check_payload(struct site *site)
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

static int check_apart(struct site *site)
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

static bool is_pair(uint64_t place)
{
    return place != place_any && place != place_pack && place != place_spread && place < place_cpu;
}

static int check_place_of_pair(struct site *site)
{
    if (!is_pair(site->params->place) || site->params->workers == 2)
        return 0;
    return refuse(site, FIELD_place, "place: %s is for two workers, here are %" PRIu64,
                  field_table[FIELD_place].options[site->params->place].spelling, site->params->workers);
}

/* One worker on a CPU by its number, which has to be one of those that may be used. */
static int check_place_of_cpu(struct site *site)
{
    const struct params *params = site->params;
    if (params->place >= place_cpu && params->workers != 1)
        return refuse(site, FIELD_place, "place: %s is for one worker, here are %" PRIu64,
                      size_text(params, FIELD_place), params->workers);
    return 0;
}

static int check_place_is_here(struct site *site)
{
    const struct pairs *pairs = site->draft->options->pairs;
    unsigned cpu;
    struct err why = {0};
    if (!pairs || site->arm_index > 0 || site->params->place < place_cpu)
        return 0;
    return pairs_place(pairs, site->params->place, 0, &cpu, 1, &why) ? refuse(site, FIELD_place, "%s", why.text) : 0;
}

/* Pages whose home can be asked for: those of the file, which stay. */
static int check_memory_of_file(struct site *site)
{
    const struct params *params = site->params;
    if (params->memory_node == memory_node_any)
        return 0;
    if (!method_needs_file(site->arm->method, params))
        return refuse(site, FIELD_memory_node, "memory_node is about the pages of a file");
    if (params->cache == cache_cold)
        return refuse(site, FIELD_memory_node, "pages that are fetched anew for each batch have no home yet");
    return params->worker_file == worker_file_own
               ? refuse(site, FIELD_worker_file, "memory_node is about the pages of one file")
               : 0;
}

static int check_memory_node(struct site *site)
{
    const struct plan_options *options = site->draft->options;
    uint64_t wanted = site->params->memory_node;
    if (!options->pairs || site->arm_index > 0 || wanted == memory_node_any || wanted == memory_node_local)
        return 0;
    unsigned nodes = options->memory_nodes;
    return nodes < 2 ? refuse(site, FIELD_memory_node, "memory_node: %s needs two memory nodes, there %s %u",
                              size_text(site->params, FIELD_memory_node), nodes == 1 ? "is" : "are", nodes)
                     : 0;
}

static int check_place(struct site *site)
{
    const struct pairs *pairs = site->draft->options->pairs;
    unsigned cpus[2];
    struct err why = {0};
    if (!pairs || site->arm_index > 0 || !is_pair(site->params->place)) /* arms have it in common */
        return 0;
    int rc = pairs_place(pairs, (enum place)site->params->place, 0, cpus, 2, &why);
    return rc == -ENXIO ? refuse(site, FIELD_place, "%s", why.text) : 0;
}

/* Whether the scenario varies to that place too. */
static bool varies_to(const struct draft *draft, enum place place)
{
    const struct variation *places = draft->varied[FIELD_place];
    for (unsigned i = 0; places && i < places->text_count; i++)
        if (strcmp(places->texts[i], field_table[FIELD_place].options[place].spelling) == 0)
            return true;
    return false;
}

/* On a small machine workers that are packed and those that are spread are on the same CPUs: once is enough. */
static int check_spread(struct site *site)
{
    const struct pairs *pairs = site->draft->options->pairs;
    unsigned count = (unsigned)site->params->workers;
    struct err why = {0};
    if (!pairs || site->arm_index > 0 || site->params->place != place_spread || !varies_to(site->draft, place_pack))
        return 0;
    unsigned *cpus = calloc(2 * (size_t)count, sizeof *cpus);
    if (!cpus)
        return err_set(site->draft->err, ENOMEM, "no memory for the CPUs of %u workers", count);
    bool same = pairs_place(pairs, place_spread, 0, cpus, count, &why) == 0 &&
                pairs_place(pairs, place_pack, 0, cpus + count, count, &why) == 0 &&
                memcmp(cpus, cpus + count, count * sizeof *cpus) == 0;
    free(cpus);
    return same
               ? refuse(site, FIELD_place, "%u workers that are spread are on the same CPUs here as packed ones", count)
               : 0;
}

static int check_visits(struct site *site)
{
    const struct params *params = site->params;
    if (params->matrix == matrix_none)
        return 0;
    if (!method_meets(site->arm->method) || params->workers != 2)
        return refuse(site, FIELD_matrix, "matrix: %s is for what two workers do to each other",
                      field_table[FIELD_matrix].options[params->matrix].spelling);
    if (params->memory_node != memory_node_any)
        return refuse(site, FIELD_memory_node, "pages lie near the first CPU of each pair: memory_node has to be any");
    if (params->place != place_any)
        return refuse(site, FIELD_place, "workers that go from pair to pair are not placed: place has to be any");
    return 0;
}

static int check_matrix(struct site *site)
{
    const struct pairs *pairs = site->draft->options->pairs;
    struct pair *items = NULL;
    unsigned count;
    struct err why = {0};
    if (!pairs || site->arm_index > 0 || site->params->matrix == matrix_none)
        return 0;
    int rc = matrix_pairs(pairs, (enum matrix)site->params->matrix, NULL, 0, &items, &count, &why);
    free(items);
    return rc == -ENXIO ? refuse(site, FIELD_matrix, "%s", why.text) : 0;
}

static int check_cache(struct site *site)
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

static int check_recipe(struct site *site)
{
    if (site->params->recipe == recipe_as_found && site->params->backing != backing_given)
        return refuse(site, FIELD_recipe,
                      "as-found is for a file of your own (--file PATH): a file made here has a recipe");
    return 0;
}

/* A hole stays one only where it is made anew after each batch that stored to it. */
static int check_hole(struct site *site)
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
static int check_prior(struct site *site)
{
    const struct params *params = site->params;
    bool on_file = method_needs_file(site->arm->method, params);
    if (uses(site, FIELD_prior) && params->prior != prior_never && params->cache == cache_cold && on_file)
        return refuse(site, FIELD_prior, "pages %s before the clock starts are not cold",
                      size_text(params, FIELD_prior));
    return 0;
}

/* Reserved huge pages are mapped, and unmapped, whole; they have one size, whatever the recipe. */
static int check_hugetlbfs(struct site *site)
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
static int check_nameless(struct site *site)
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

static int check_working_set(struct site *site)
{
    const struct params *params = site->params;
    if (params->working_set_bytes > params->file_bytes)
        return refuse(site, FIELD_working_set_bytes, "a working set of %s is larger than the file of %s",
                      size_text(params, FIELD_working_set_bytes), size_text(params, FIELD_file_bytes));
    return 0;
}

static int check_stride(struct site *site)
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

/* ---- the arm's own work ---- */

static int check_block(struct site *site)
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

static int check_touches(struct site *site)
{
    const struct params *params = site->params;
    if (!params_has_passes(params))
        return is_own(site, FIELD_touches)
                   ? refuse(site, FIELD_touches, "touches means nothing where nothing lives per pass and per is block")
                   : 0;
    if (params->touches > TOUCHES_MAX)
        return refuse(site, FIELD_touches, "%" PRIu64 " touches a pass: at most %d", params->touches, TOUCHES_MAX);
    bool larger = params->touches * params->block_bytes > params->working_set_bytes;
    if (larger && needs(site, NEEDS_ORDER))
        return refuse(site, FIELD_touches,
                      "a pass of %" PRIu64 " blocks of %s is larger than the working set of %s, and "
                      "%s cannot cross the end of the file",
                      params->touches, size_text(params, FIELD_block_bytes), size_text(params, FIELD_working_set_bytes),
                      site->arm->method->name);
    uint64_t most = site->arm->method->limit ? site->arm->method->limit(params) : UINT64_MAX;
    if (most < params_granule(params))
        return refuse(site, FIELD_touches,
                      "a pass of %" PRIu64 " blocks is more than the %" PRIu64 " that %s can visit once",
                      params->touches, most, site->arm->method->name);
    if (larger && params->cache == cache_cold)
        return refuse(site, FIELD_touches,
                      "a cold pass of %" PRIu64 " blocks of %s is larger than the working set of %s: "
                      "it would meet pages that it has warmed itself",
                      params->touches, size_text(params, FIELD_block_bytes),
                      size_text(params, FIELD_working_set_bytes));
    return 0;
}

static int check_order(struct site *site)
{
    if (needs(site, NEEDS_ORDER) && site->params->pattern != pattern_sequential)
        return refuse(site, FIELD_pattern, "%s visits blocks front to back, so it cannot follow the pattern %s",
                      site->arm->method->name, size_text(site->params, FIELD_pattern));
    return 0;
}

/* What fills page tables or reads ahead before the clock leaves nothing cold to measure. */
static int check_read_before_clock(struct site *site)
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

static int check_descriptor(struct site *site)
{
    if (uses(site, FIELD_lifetime) && site->params->lifetime == lifetime_kept &&
        site->params->descriptor == descriptor_per_pass)
        return refuse(site, FIELD_descriptor,
                      "a mapping that is kept outlives its passes: there is nothing to open anew");
    return 0;
}

static int check_consume(struct site *site)
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

static int check_advice(struct site *site)
{
    uint64_t advice = site->params->advice;
    bool mappings_only = advice == advice_hugepage || advice == advice_nohugepage || advice == advice_cold ||
                         advice == advice_pageout || advice == advice_collapse;
    if (mappings_only && uses(site, FIELD_advice) && !maps(site))
        return refuse(site, FIELD_advice, "%s is advice for mappings, and %s makes none",
                      size_text(site->params, FIELD_advice), site->arm->method->name);
    return 0;
}

/* MAP_POPULATE and MAP_LOCKED fill the page tables within mmap, before any advice could be given. */
/* A descriptor that the mapping of it may not store through. */
static int check_protection(struct site *site)
{
    const struct params *params = site->params;
    bool shared = params->sharing == sharing_shared || params->sharing == sharing_sync;
    if (!uses(site, FIELD_protection) || params->protection == protection_as_needed || !shared || stores(site))
        return 0;
    return refuse(site, FIELD_protection,
                  "a shared mapping of a file that is only read allows no stores: write sharing: private, or access: "
                  "store");
}

static int check_populate(struct site *site)
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
static int check_advised_pages(struct site *site)
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

static int check_own_files(struct site *site)
{
    const struct params *params = site->params;
    if (params->worker_file == worker_file_own && params->backing == backing_given)
        return refuse(site, FIELD_worker_file, "there is one file of yours: workers cannot each have their own");
    return 0;
}

/* How the work of several workers relates. */
static int check_worker_file(struct site *site)
{
    const struct params *params = site->params;
    if (params->worker_file == worker_file_same_page && params->cache == cache_cold)
        return refuse(site, FIELD_worker_file, "only the first worker would find a block of same_page cold");
    return 0;
}

/* Experiments write() to small files of their own, one of which is about its name. */
static int check_whether(struct site *site)
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
static int check_phase(struct site *site)
{
    const struct params *params = site->params;
    bool writes = params->phase == phase_write || params->phase == phase_sync;
    bool maps_only = params->phase == phase_map || params->phase == phase_unmap, merges = uses(site, FIELD_spans);
    if (!uses(site, FIELD_phase))
        return 0;
    if (params->phase != phase_whole && merges != (params->phase >= phase_protect))
        return refuse(site, FIELD_phase, "%s has no phase %s", site->arm->method->name, size_text(params, FIELD_phase));
    if (merges)
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

/* The list of blocks is bounded, and only one that is drawn can stand for a longer one. */
static int check_list(struct site *site)
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

/* Operations due at fixed times cannot wait for a state to be restored before each. */
static int check_open_latency(struct site *site)
{
    bool fresh = needs(site, NEEDS_BUFFER) && site->params->buffer == buffer_fresh;
    if (site->params->latency == latency_open && (site->arm->method->reset || fresh))
        return refuse(site, FIELD_latency, "the state of %s is restored before each operation: none can be due",
                      site->arm->method->name);
    return 0;
}

static int check_range(struct site *site)
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
static int check_dirty(struct site *site)
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

static bool grows(const struct site *site)
{
    bool copies = uses(site, FIELD_buffer) && uses(site, FIELD_range_bytes);
    return !needs(site, NEEDS_FILE) && (uses(site, FIELD_moved_to) || copies);
}

/* What is whole pages here may be none where pages are larger. */
static int check_whole_pages(struct site *site)
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
static int check_vector(struct site *site)
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
static int check_distance(struct site *site)
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
static int check_objects(struct site *site)
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
static int check_spans(struct site *site)
{
    enum { SPANS_MAX = 64 };
    const struct params *params = site->params;
    uint64_t spans;
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
    return spans > VMAS_MAX ? refuse(site, FIELD_range_bytes,
                                     "%" PRIu64 " spans are as many VMAs when they are merged, and a process may have "
                                     "about %d",
                                     spans, VMAS_MAX)
                            : 0;
}

/* Only open is told where. */
static int check_made(struct site *site)
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

static int check_made_pages(struct site *site)
{
    const struct params *params = site->params;
    return uses(site, FIELD_made_by) && params->range_bytes % site->draft->page_bytes
               ? refuse(site, FIELD_range_bytes, "a file of %s is not a whole number of pages",
                        size_text(params, FIELD_range_bytes))
               : 0;
}

static int check_made_beside_given(struct site *site)
{
    if (uses(site, FIELD_made_on) && site->params->made_on == made_on_target && site->params->backing == backing_given)
        return refuse(site, FIELD_made_on, "no file is made beside one of yours");
    return 0;
}

/* Two views of the same pages lie whole pages apart. */
static int check_alias(struct site *site)
{
    const struct params *params = site->params;
    if (!uses(site, FIELD_alias_bytes))
        return 0;
    if (params->alias_bytes == 0)
        return refuse(site, FIELD_alias_bytes, "two views of the same memory cannot lie at one address");
    return params->alias_bytes % site->draft->page_bytes
               ? refuse(site, FIELD_alias_bytes, "views %s apart are not a whole number of pages apart",
                        size_text(params, FIELD_alias_bytes))
               : 0;
}

static int check_stalls(struct site *site)
{
    if (uses(site, FIELD_stalls) && site->params->stalls > 1)
        return refuse(site, FIELD_stalls, "stalls of %s are more than every operation",
                      size_text(site->params, FIELD_stalls));
    return 0;
}

/*
 * Under a memory limit pages come and go as the kernel sees fit: no state can be demanded of them, and what could not
 * be reclaimed would end the process.
 */
static int check_memory_limit(struct site *site)
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
static int check_limit_of_given(struct site *site)
{
    if (site->params->memory_limit && site->params->backing == backing_given)
        return refuse(site, FIELD_memory_limit,
                      "a memory limit does not hold the pages of a file that others have read");
    return 0;
}

/* Company is one worker's: of several workers each would bring its own. */
static int check_company(struct site *site)
{
    const struct params *params = site->params;
    bool siblings = uses(site, FIELD_siblings) && params->siblings > 0;
    bool mappers = uses(site, FIELD_mappers) && params->mappers > 0;
    if (params->workers > 1 && (siblings || mappers))
        return refuse(site, siblings ? FIELD_siblings : FIELD_mappers,
                      "%s are company for one worker, not for %" PRIu64, siblings ? "siblings" : "mappers",
                      params->workers);
    if (uses(site, FIELD_storm) && params->storm != storm_none && params->siblings == 0)
        return refuse(site, FIELD_storm, "a storm needs siblings to make it: write siblings: 1");
    if (uses(site, FIELD_mapper_view) && params->mappers == 0 && params->mapper_view != mapper_view_shared)
        return refuse(site, FIELD_mapper_view, "nobody looks at the file: write mappers: 1");
    if (mappers && params->mappers > MAPPERS_MAX)
        return refuse(site, FIELD_mappers, "%" PRIu64 " processes that map the file: at most %d", params->mappers,
                      MAPPERS_MAX);
    if (mappers && params->cache == cache_cold)
        return refuse(site, FIELD_mappers, "a file that processes map is not cold");
    if (mappers && uses(site, FIELD_sharing) && params->sharing == sharing_anonymous)
        return refuse(site, FIELD_mappers, "no other process maps anonymous memory");
    if (uses(site, FIELD_vmas) && params->vmas > VMAS_MAX)
        return refuse(site, FIELD_vmas, "%" PRIu64 " VMAs: a process may have about %d", params->vmas, VMAS_MAX);
    return 0;
}

/* Stores do not read what an address could be made to depend on. */
static int check_stores(struct site *site)
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
static int check_sync(struct site *site)
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

/* A window that slides over the working set, instead of a mapping that covers it. */
static int check_window(struct site *site)
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

static int check_sharing(struct site *site)
{
    const struct params *params = site->params;
    if (uses(site, FIELD_sharing) && params->sharing == sharing_anonymous && !uses(site, FIELD_pages))
        return refuse(site, FIELD_sharing, "%s maps the file: it cannot do without one", site->arm->method->name);
    if (uses(site, FIELD_sharing) && is_own(site, FIELD_pages) && params->sharing != sharing_anonymous)
        return refuse(site, FIELD_pages,
                      "pages is about anonymous memory: a file's folios have the sizes of its recipe");
    return 0;
}

static int check_zipf(struct site *site)
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

static int check_vma(struct site *site)
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
static int check_page_steps(struct site *site)
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
static int check_break(struct site *site)
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
static int check_breaker(struct site *site)
{
    const struct params *params = site->params;
    bool child = params->breaker == breaker_child_first || params->breaker == breaker_child_second;
    if (!uses(site, FIELD_breaker) || !child || params->sharing != sharing_private)
        return 0;
    return refuse(site, FIELD_breaker,
                  "what a child stores to its private mapping of the file cannot be read back: "
                  "write sharing: anonymous, where the kernel does the same");
}

/* A fork is not to write to the file that it is measured with, nor to copy other workers' memory. */
static int check_fork(struct site *site)
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

/* A snapshot is of the whole working set. */
static int check_snapshot(struct site *site)
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

/* ---- system calls ---- */

static int check_pieces(struct site *site)
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
static int check_queue_depth(struct site *site)
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

static int check_direct(struct site *site)
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

static int check_descriptor_of(struct site *site)
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

static int check_miss(struct site *site)
{
    if (needs(site, MOVES_NOTHING) && site->params->cache != cache_cold)
        return refuse(site, FIELD_cache, "%s is about blocks that are not in memory: write cache: cold",
                      site->arm->method->name);
    return 0;
}

/* ---- the arms beside each other ---- */

static uint64_t op_bytes(const struct params *params)
{
    return params->block_bytes * params_blocks_per_op(params);
}

static const struct arm *first_with_file(const struct cell *cell)
{
    for (unsigned i = 0; i < cell->arm_count; i++)
        if (method_uses(cell->arms[i].method, &field_table[FIELD_block_bytes]) &&
            cell->arms[i].method->needs & NEEDS_FILE)
            return &cell->arms[i];
    return NULL;
}

static int check_same_work(struct site *site)
{
    const struct arm *first = first_with_file(site->cell);
    if (!first || !needs(site, NEEDS_FILE) || !uses(site, FIELD_block_bytes) ||
        op_bytes(&first->params) == op_bytes(site->params))
        return 0;
    enum field_index blame = is_own(site, FIELD_touches) && site->params->per == per_pass ? FIELD_touches
                                                                                          : FIELD_block_bytes;
    return refuse(site, blame,
                  "an operation of '%s' has %" PRIu64 " bytes, one of '%s' has %" PRIu64 ": arms must do the same work",
                  site->arm->name, op_bytes(site->params), first->name, op_bytes(&first->params));
}

/* Varying what no arm of the cell heeds would print the same cell under several names. */
static int check_touches_heeded(struct site *site)
{
    if (!site->draft->varied[FIELD_touches])
        return 0;
    for (unsigned i = 0; i < site->cell->arm_count; i++)
        if (params_has_passes(&site->cell->arms[i].params))
            return 0;
    return refuse(site, FIELD_touches, "touches is varied, but no arm has anything that lives per pass");
}

/* What a check is about, beside the scenario itself: what it refuses is then left out with its reason, no error. */
enum about { ABOUT_SCENARIO, ABOUT_FILE /* sizes, which with --file are not the scenario's */, ABOUT_MACHINE };

static const struct check {
    int (*check)(struct site *site);
    enum about about;
} checks[] = {
    {check_above_zero, ABOUT_SCENARIO},
    {check_times, ABOUT_SCENARIO},
    {check_recipe, ABOUT_SCENARIO},
    {check_hole, ABOUT_SCENARIO},
    {check_prior, ABOUT_SCENARIO},
    {check_cache, ABOUT_SCENARIO},
    {check_hugetlbfs, ABOUT_MACHINE},
    {check_nameless, ABOUT_SCENARIO},
    {check_working_set, ABOUT_FILE},
    {check_block, ABOUT_FILE},
    {check_stride, ABOUT_FILE},
    {check_zipf, ABOUT_SCENARIO},
    {check_order, ABOUT_SCENARIO},
    {check_touches_heeded, ABOUT_SCENARIO},
    {check_touches, ABOUT_FILE},
    {check_range, ABOUT_FILE},
    {check_company, ABOUT_SCENARIO},
    {check_limit_of_given, ABOUT_FILE},
    {check_memory_limit, ABOUT_SCENARIO},
    {check_read_before_clock, ABOUT_SCENARIO},
    {check_descriptor, ABOUT_SCENARIO},
    {check_dirty, ABOUT_FILE},
    {check_whole_pages, ABOUT_MACHINE},
    {check_vector, ABOUT_SCENARIO},
    {check_distance, ABOUT_SCENARIO},
    {check_objects, ABOUT_SCENARIO},
    {check_alias, ABOUT_MACHINE},
    {check_spans, ABOUT_MACHINE},
    {check_made, ABOUT_SCENARIO},
    {check_made_pages, ABOUT_MACHINE},
    {check_made_beside_given, ABOUT_FILE},
    {check_stalls, ABOUT_SCENARIO},
    {check_stores, ABOUT_SCENARIO},
    {check_sync, ABOUT_SCENARIO},
    {check_window, ABOUT_FILE},
    {check_sharing, ABOUT_SCENARIO},
    {check_consume, ABOUT_SCENARIO},
    {check_advice, ABOUT_SCENARIO},
    {check_vma, ABOUT_FILE},
    {check_same_work, ABOUT_FILE},
    {check_populate, ABOUT_SCENARIO},
    {check_protection, ABOUT_SCENARIO},
    {check_advised_pages, ABOUT_SCENARIO},
    {check_phase, ABOUT_SCENARIO},
    {check_whether, ABOUT_SCENARIO},
    {check_own_files, ABOUT_FILE},
    {check_worker_file, ABOUT_SCENARIO},
    {check_page_steps, ABOUT_MACHINE},
    {check_break, ABOUT_SCENARIO},
    {check_breaker, ABOUT_SCENARIO},
    {check_fork, ABOUT_SCENARIO},
    {check_snapshot, ABOUT_SCENARIO},
    {check_list, ABOUT_FILE},
    {check_open_latency, ABOUT_SCENARIO},
    {check_pieces, ABOUT_FILE},
    {check_queue_depth, ABOUT_FILE},
    {check_direct, ABOUT_FILE},
    {check_descriptor_of, ABOUT_SCENARIO},
    {check_miss, ABOUT_SCENARIO},
    {check_workers, ABOUT_MACHINE},
    {check_crowd, ABOUT_SCENARIO},
    {check_meeting, ABOUT_SCENARIO},
    {check_home, ABOUT_SCENARIO},
    {check_background, ABOUT_SCENARIO},
    {check_timed, ABOUT_SCENARIO},
    {check_apart, ABOUT_SCENARIO},
    {check_payload, ABOUT_SCENARIO},
    {check_seqlock, ABOUT_SCENARIO},
    {check_slots, ABOUT_SCENARIO},
    {check_byte_ring, ABOUT_SCENARIO},
    {check_ring_pages, ABOUT_MACHINE},
    {check_ring_way, ABOUT_MACHINE},
    {check_ring_file, ABOUT_FILE},
    {check_ring_room, ABOUT_SCENARIO},
    {check_meet, ABOUT_SCENARIO},
    {check_meet_room, ABOUT_MACHINE},
    {check_place_of_pair, ABOUT_SCENARIO},
    {check_place, ABOUT_MACHINE},
    {check_spread, ABOUT_MACHINE},
    {check_place_of_cpu, ABOUT_SCENARIO},
    {check_place_is_here, ABOUT_MACHINE},
    {check_memory_of_file, ABOUT_SCENARIO},
    {check_memory_node, ABOUT_MACHINE},
    {check_visits, ABOUT_SCENARIO},
    {check_matrix, ABOUT_MACHINE},
};

/* Turns the refusal into a message at the place that set the blamed field, or else at the arm. */
static int blame(const struct site *site)
{
    const struct draft *draft = site->draft;
    struct place_in_file at = draft->arm_origins[site->arm_index].at[site->blame];
    err_set(draft->err, EINVAL, "%s (arm '%s', cell %s)", site->text, site->arm->name, site->cell->id);
    if (at.line == 0 && at.column > 0)
        return err_prefix(draft->err, "--set %.100s", draft->sets[at.column - 1].text);
    return err_place(draft->err, draft->scenario->path, at.line ? at : draft->scenario->arms[site->arm_index].at);
}

static int check_arm(const struct draft *draft, const struct cell *cell, unsigned arm, char *reason, size_t size)
{
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        struct site site = {
            .draft = draft,
            .cell = cell,
            .arm = &cell->arms[arm],
            .params = &cell->arms[arm].params,
            .arm_index = arm,
        };
        if (checks[i].check(&site) == 0)
            continue;
        bool asked = draft->varied[site.blame] || method_meets(site.arm->method); /* that workers meet is asked for */
        bool of_machine = checks[i].about == ABOUT_MACHINE && asked;
        bool of_file = checks[i].about == ABOUT_FILE && draft->given.present;
        if (!of_machine && !of_file)
            return blame(&site);
        snprintf(reason, size, "%s%s (arm '%s')", of_file ? "--file: " : "", site.text, site.arm->name);
        return 1;
    }
    return 0;
}

int plan_check_filesystem(const struct draft *draft, const struct params *params, char *reason, size_t size)
{
    enum backing backing = (enum backing)params->backing;
    const char *name = field_table[FIELD_backing].options[backing].spelling;
    if (filesystem_is_made(backing) && !draft->options->make_filesystems)
        snprintf(reason, size, "needs --make-filesystems: %s is made and mounted for the run", name);
    else if (filesystem_is_made(backing) && geteuid() != 0)
        snprintf(reason, size, "needs root: %s is made and mounted for the run", name);
    else if (backing == backing_fuse && params->cache == cache_cold)
        snprintf(reason, size, "what fuse has read stays in the page cache of the filesystem below: it is never cold");
    else if (params->read_ahead != read_ahead_as_found && !filesystem_has_read_ahead(backing))
        snprintf(reason, size, "read_ahead is set only on devices made for the run (--make-filesystems), not under %s",
                 name);
    else
        return 0;
    return 1;
}

static int check_memory(const struct draft *draft, const struct cell *cell, char *reason, size_t size)
{
    uint64_t most = draft->memory_bytes / 100 * MEMORY_PERCENT;
    const struct params *params = &cell->params;
    bool resident = params->cache == cache_warm || params->cache == cache_dirty || params_is_memory(params);
    if (params->memory_limit > draft->memory_bytes) {
        snprintf(reason, size, "a memory limit of %" PRIu64 " MiB is none where this process may use %" PRIu64 " MiB",
                 params->memory_limit / MIB, draft->memory_bytes / MIB);
        return 1;
    }
    uint64_t file_bytes = resident ? params->working_set_bytes * plan_file_count(params) : 0;
    uint64_t bytes = file_bytes + plan_arms_memory(cell);
    if (file_bytes <= most && bytes <= draft->memory_bytes / 100 * ARMS_PERCENT)
        return 0;
    snprintf(reason, size, "%" PRIu64 " MiB would have to stay in memory, this process may use %" PRIu64 " MiB",
             bytes / MIB, draft->memory_bytes / MIB);
    return 1;
}

int plan_check_cell(const struct draft *draft, const struct cell *cell, char *reason, size_t reason_size)
{
    int rc = 0;
    for (unsigned i = 0; !rc && i < cell->arm_count; i++)
        rc = check_arm(draft, cell, i, reason, reason_size);
    return rc ? rc : check_memory(draft, cell, reason, reason_size);
}
