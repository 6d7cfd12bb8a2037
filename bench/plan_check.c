/* SPDX-License-Identifier: MIT */
/* What cannot mean what it says, or cannot be had here: one small function per reason. */
#include "offsets.h"
#include "plan_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BLOCK_BYTES_MAX (4 * MIB)
enum {
    TOUCHES_MAX = 1 << 20,
    VMAS_MAX = 60000,    /* vm.max_map_count is 65530 unless somebody raised it */
    MEMORY_PERCENT = 80, /* of memory that a warm file may fill */
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

/* Nothing is mapped, or opened, anew inside the clock: what comes before the first touch comes before the clock. */
static bool is_prepared(const struct site *site)
{
    return maps(site) ? site->params->lifetime == lifetime_kept : site->params->descriptor == descriptor_kept;
}

static bool is_own(const struct site *site, enum field_index field)
{
    return settings_find(&site->draft->scenario->arms[site->arm_index].settings, &field_table[field]) != NULL;
}

static bool has_passes(const struct params *params)
{
    return params->per == per_pass || params->lifetime == lifetime_per_pass ||
           params->descriptor == descriptor_per_pass;
}

static bool is_tmpfs(const struct site *site)
{
    const struct params *params = site->params;
    return params->backing == backing_tmpfs || (params->backing == backing_file && site->draft->directory_on_tmpfs);
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
    if (site->params->workers <= cpus)
        return 0;
    return refuse(site, FIELD_workers, "%" PRIu64 " spinning workers need %" PRIu64 " CPUs, this machine has %u",
                  site->params->workers, site->params->workers, cpus);
}

static int check_cache(struct site *site)
{
    const struct params *params = site->params;
    const char *where = params->backing == backing_tmpfs ? "on tmpfs" : "in this directory, which lies on tmpfs";
    if (!is_tmpfs(site))
        return 0;
    if (params->cache == cache_cold || params->cache == cache_clean)
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
    if (!has_passes(params))
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
    if (!uses(site, FIELD_consume) || params->consume != consume_in_place)
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
    if ((advice == advice_hugepage || advice == advice_nohugepage) && uses(site, FIELD_advice) && !maps(site))
        return refuse(site, FIELD_advice, "%s is advice for mappings, and %s makes none",
                      size_text(site->params, FIELD_advice), site->arm->method->name);
    return 0;
}

/* MAP_POPULATE fills the page tables within mmap, before any advice could be given. */
static int check_populate(struct site *site)
{
    const struct params *params = site->params;
    if (maps(site) && params->populate == populate_map_populate && params->advice != advice_normal)
        return refuse(site, FIELD_populate,
                      "map_populate reads the file before advice can be given: write populate: populate_read");
    return 0;
}

/* The list of blocks is bounded, and only a random one can stand for a longer one. */
static int check_list(struct site *site)
{
    const struct params *params = site->params;
    uint64_t blocks = params->working_set_bytes / params->block_bytes;
    bool sampled = params->pattern == pattern_random || params->pattern == pattern_chain;
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

static int check_vma(struct site *site)
{
    const struct params *params = site->params;
    uint64_t pages = params->working_set_bytes / site->draft->page_bytes;
    if (!maps(site) || params->vma != vma_page)
        return 0;
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

/* ---- the arms beside each other ---- */

static uint64_t op_bytes(const struct params *params)
{
    return params->block_bytes * params_blocks_per_op(params);
}

static const struct arm *first_with_file(const struct cell *cell)
{
    for (unsigned i = 0; i < cell->arm_count; i++)
        if (cell->arms[i].method->needs & NEEDS_FILE)
            return &cell->arms[i];
    return NULL;
}

static int check_same_work(struct site *site)
{
    const struct arm *first = first_with_file(site->cell);
    if (!first || !needs(site, NEEDS_FILE) || op_bytes(&first->params) == op_bytes(site->params))
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
        if (has_passes(&site->cell->arms[i].params))
            return 0;
    return refuse(site, FIELD_touches, "touches is varied, but no arm has anything that lives per pass");
}

static const struct check {
    int (*check)(struct site *site);
    bool by_size; /* a matter of sizes, which with --file are not the scenario's */
} checks[] = {
    {check_above_zero, false}, {check_times, false},          {check_workers, false}, {check_recipe, false},
    {check_cache, false},      {check_working_set, true},     {check_block, true},    {check_stride, true},
    {check_order, false},      {check_touches_heeded, false}, {check_touches, true},  {check_read_before_clock, false},
    {check_descriptor, false}, {check_consume, false},        {check_advice, false},  {check_vma, true},
    {check_same_work, true},   {check_populate, false},       {check_list, true},     {check_open_latency, false},
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
        if (!checks[i].by_size || !draft->given.present)
            return blame(&site);
        snprintf(reason, size, "--file: %s (arm '%s')", site.text, site.arm->name);
        return 1;
    }
    return 0;
}

static int check_memory(const struct draft *draft, const struct cell *cell, char *reason, size_t size)
{
    uint64_t most = draft->memory_bytes / 100 * MEMORY_PERCENT;
    const struct params *params = &cell->params;
    bool resident = params->cache == cache_warm || params->backing == backing_tmpfs;
    if (!resident || params->working_set_bytes <= most)
        return 0;
    snprintf(reason, size, "%" PRIu64 " MiB would have to stay in memory, this process may use %" PRIu64 " MiB",
             params->working_set_bytes / MIB, draft->memory_bytes / MIB);
    return 1;
}

int plan_check_cell(const struct draft *draft, const struct cell *cell, char *reason, size_t reason_size)
{
    int rc = 0;
    for (unsigned i = 0; !rc && i < cell->arm_count; i++)
        rc = check_arm(draft, cell, i, reason, reason_size);
    return rc ? rc : check_memory(draft, cell, reason, reason_size);
}
