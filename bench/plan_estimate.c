/* SPDX-License-Identifier: MIT */
/* Trials, hash and the time a plan will take. Estimates are for the progress line and for "is this worth starting". */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "filesystem.h"
#include "plan_parts.h"

/* Rough rates of a present-day machine; a wrong one costs a wrong guess, never a wrong figure. */
static const double write_rate = 800e6, read_rate = 1e9, memory_rate = 5e9; /* bytes a second */
static const double call_s = 300e-9, open_call_s = 3e-6, map_s = 5e-6, populate_page_s = 20e-9;
static const double cold_block_s = 60e-6, process_s = 5e-3;
static const double run_s = 0.3; /* looking at the machine, before the first trial */
static const double evict_s = 300e-6, look_s = 1e-6, look_page_s = 1e-9;
enum {
    ROUNDS_MAX = 200,
    WARMUP_ROUNDS = 5,
};
static const double warmup_s = 20e-3, long_batch_s = 5e-3;

/* ---- trials ---- */

void plan_rungs(unsigned pairs, unsigned trials, unsigned rungs[RUNGS_MAX])
{
    static const unsigned ladder[] = {8, 10, 15, 20, 30};
    enum { LADDER_COUNT = sizeof ladder / sizeof *ladder };
    const double alpha = 0.05;
    /* The smallest p value of n trials is 2^-n, and Holm's first step is alpha / (2 pairs). */
    double least = ceil(log2(2.0 * (pairs ? pairs : 1) / alpha));
    unsigned most = trials ? trials : ladder[LADDER_COUNT - 1], count = 0;
    for (size_t i = 0; i < LADDER_COUNT; i++)
        if (ladder[i] >= least && ladder[i] <= most)
            rungs[count++] = ladder[i];
    if (count == 0 || rungs[count - 1] < most)
        rungs[count++] = most;
    rungs[count] = 0;
}

/* ---- hash ---- */

struct hash { /* FNV-1a of 128 bits: it tells mistakes apart, not attackers */
    unsigned __int128 state;
};

static void hash_add(struct hash *hash, const char *text)
{
    const unsigned __int128 prime = ((unsigned __int128)1 << 88) + 0x13b;
    do { /* the terminator too, so that texts cannot run into each other */
        hash->state = (hash->state ^ (unsigned char)*text) * prime;
    } while (*text++);
}

static void hash_add_params(struct hash *hash, const struct params *params)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        char text[TEXT_SIZE];
        field_format(&field_table[i], params, text, sizeof text);
        hash_add(hash, field_table[i].name);
        hash_add(hash, text);
    }
}

static void hash_add_number(struct hash *hash, double number)
{
    char text[TEXT_SIZE];
    snprintf(text, sizeof text, "%.17g", number);
    hash_add(hash, text);
}

static void hash_add_cell(struct hash *hash, const struct cell *cell)
{
    hash_add(hash, cell->id);
    hash_add_params(hash, &cell->params);
    for (unsigned i = 0; i < cell->arm_count; i++) {
        hash_add(hash, cell->arms[i].name);
        hash_add(hash, cell->arms[i].method->name);
        hash_add_number(hash, cell->arms[i].method->version);
        hash_add_params(hash, &cell->arms[i].params);
    }
}

void plan_hash(struct plan *plan, unsigned scenario_index)
{
    struct plan_scenario *scenario = &plan->scenarios[scenario_index];
    const unsigned __int128 basis = (unsigned __int128)0x6c62272e07bb0142 << 64 | 0x62b821756295c58d;
    struct hash hash = {basis};
    hash_add(&hash, scenario->op);
    hash_add_number(&hash, scenario->delta);
    for (unsigned i = 0; i < plan->cell_count; i++)
        if (plan->cells[i].scenario == scenario_index)
            hash_add_cell(&hash, &plan->cells[i]);
    snprintf(scenario->hash, sizeof scenario->hash, "%016llx%016llx", (unsigned long long)(hash.state >> 64),
             (unsigned long long)hash.state);
}

/* ---- time ---- */

uint64_t plan_file_count(const struct params *params)
{
    return params->worker_file == worker_file_own ? params->workers : 1;
}

/* One block, without its share of what lives per pass. */
static double block_seconds(const struct arm *arm)
{
    const struct params *params = &arm->params;
    double bytes = (double)params->block_bytes;
    if (arm->method->block_ns)
        return (double)arm->method->block_ns(params) * 1e-9;
    if (!(arm->method->needs & NEEDS_FILE))
        return call_s;
    bool misses = params->memory_limit && params->working_set_bytes > params->memory_limit;
    if (params->cache != cache_cold && !misses)
        return call_s + bytes / memory_rate;
    return params->pattern == pattern_sequential ? bytes / read_rate : cold_block_s + bytes / read_rate;
}

/* What a pass costs beside its blocks: opening, mapping, filling page tables, unmapping. */
static double pass_seconds(const struct arm *arm)
{
    const struct params *params = &arm->params;
    double pages = (double)params->working_set_bytes / (4.0 * (double)KIB);
    double open_s = params->descriptor == descriptor_per_pass ? open_call_s : 0;
    if (params->lifetime != lifetime_per_pass)
        return open_s;
    return open_s + map_s + (params->populate == populate_none ? 0 : pages * populate_page_s);
}

static double blocks_seconds(const struct arm *arm, double blocks)
{
    double passes = blocks / (double)params_granule(&arm->params);
    return blocks * block_seconds(arm) + (passes < 1 ? 1 : passes) * pass_seconds(arm);
}

static double op_seconds(const struct arm *arm)
{
    return blocks_seconds(arm, (double)params_blocks_per_op(&arm->params));
}

/* Batches are calibrated to batch_time, unless what cannot be divided is longer. */
static double batch_seconds(const struct arm *arm, uint64_t granule)
{
    double least = blocks_seconds(arm, (double)granule), wanted = (double)arm->params.batch_time * 1e-9;
    return least > wanted ? least : wanted;
}

/* The baseline's batch is one that all arms could share. */
static double round_seconds(const struct cell *cell)
{
    uint64_t granule = 1;
    double sum = 0;
    for (unsigned i = 0; i < cell->arm_count; i++) {
        uint64_t own = params_granule(&cell->arms[i].params);
        granule = own > granule ? own : granule;
        sum += i == 0 ? 0 : batch_seconds(&cell->arms[i], own);
    }
    return sum + batch_seconds(&cell->arms[0], granule);
}

/* Timed rounds of a trial and those of its warm-up. */
static double round_count(const struct cell *cell)
{
    double arms = cell->arm_count, round = round_seconds(cell);
    double timed = floor((double)cell->params.arm_time * 1e-9 / round + 0.5) * arms;
    timed = timed < arms ? arms : timed > ROUNDS_MAX ? ROUNDS_MAX : timed;
    if (cell->params.memory_limit)
        return timed; /* reading the working set before each stretch is the warm-up */
    if (round / arms > long_batch_s)
        return timed + arms;
    return timed + (round * WARMUP_ROUNDS > warmup_s ? WARMUP_ROUNDS : ceil(warmup_s / round));
}

/* The untimed passes of an arm: checksum over the working set, counts, latency. */
static double passes_seconds(const struct arm *arm)
{
    const struct params *params = &arm->params;
    double op = op_seconds(arm), latency = op * (double)params->latency_ops, most = (double)params->latency_time * 1e-9;
    double rate = params->cache == cache_cold ? read_rate : memory_rate;
    if (params->latency == latency_none)
        latency = 0;
    else if (latency > most)
        latency = op > most ? op : most;
    return (double)params->working_set_bytes / rate + op * (double)params->count_ops + latency;
}

static double cell_seconds(const struct cell *cell)
{
    double sum = round_count(cell) * round_seconds(cell);
    for (unsigned i = 0; i < cell->arm_count; i++)
        sum += passes_seconds(&cell->arms[i]);
    return sum;
}

/* What a method does before each batch. */
static double method_reset_seconds(const struct arm *arm)
{
    double block = block_seconds(arm), wanted = (double)arm->params.batch_time * 1e-9;
    uint64_t most = arm->method->limit ? arm->method->limit(&arm->params) : UINT64_MAX;
    double blocks = block > 0 && wanted > block ? wanted / block : 1;
    blocks = blocks < (double)most ? blocks : (double)most;
    return arm->method->reset_ns ? (double)arm->method->reset_ns(&arm->params, (uint64_t)blocks) * 1e-9 : 0;
}

/* Under a memory limit the working set is read anew before each of an arm's two stretches. */
static double refill_seconds(const struct cell *cell)
{
    enum { REFILLS = 2 };
    double bytes = (double)cell->params.working_set_bytes;
    return cell->params.memory_limit ? REFILLS * cell->arm_count * (evict_s + bytes / read_rate) : 0;
}

/* Proofs after every batch, and for cold cells the eviction before it. */
static double reset_seconds(const struct cell *cell)
{
    double rounds = round_count(cell), pages = (double)cell->params.working_set_bytes / 4096;
    double sum = rounds * cell->arm_count * (cell->params.cache == cache_cold ? evict_s : look_s + pages * look_page_s);
    for (unsigned i = 0; i < cell->arm_count; i++)
        sum += rounds * method_reset_seconds(&cell->arms[i]);
    return sum + refill_seconds(cell);
}

static double file_seconds(const struct params *params)
{
    double bytes = (double)params->file_bytes;
    bool refill = params->recipe == recipe_refill_read || params->recipe == recipe_refill_map ||
                  params->recipe == recipe_refill_hugepage;
    if (params->backing == backing_given)
        return process_s + bytes / memory_rate;
    if (params->backing == backing_tmpfs || params->backing == backing_memfd || params->backing == backing_hugetlbfs)
        return process_s + bytes / (memory_rate / 2);
    return process_s + bytes / write_rate * (refill ? 2 : 1);
}

/* Trials of a group: those of the scenario that wants most. 0 unless `index` is the group's first cell. */
static unsigned group_trials(const struct plan *plan, unsigned index)
{
    unsigned most = 0;
    for (unsigned i = 0; i < plan->cell_count; i++) {
        unsigned trials = plan->scenarios[plan->cells[i].scenario].rungs[0];
        if (plan->cells[i].group != plan->cells[index].group)
            continue;
        if (i < index)
            return 0;
        most = trials > most ? trials : most;
    }
    return most;
}

void plan_estimate(struct plan *plan)
{
    const uint64_t margin = MIB; /* for the file's own metadata */
    struct filesystem_wishes wishes = {0};
    plan->estimate_prepare_s = run_s;
    plan->estimate_reset_s = plan->estimate_measure_s = 0;
    plan->disk_bytes = 0;
    for (unsigned i = 0; i < plan->cell_count; i++) {
        const struct cell *cell = &plan->cells[i];
        double trials = plan->scenarios[cell->scenario].rungs[0];
        plan->estimate_measure_s += trials * cell_seconds(cell);
        plan->estimate_reset_s += trials * reset_seconds(cell);
        uint64_t files = plan_file_count(&cell->params), bytes = (cell->params.file_bytes + margin) * files;
        plan->estimate_prepare_s += group_trials(plan, i) * (double)files * file_seconds(&cell->params);
        if (cell->params.backing == backing_file && bytes > plan->disk_bytes)
            plan->disk_bytes = bytes;
        filesystem_want(&wishes, &cell->params);
    }
    plan->disk_bytes += filesystem_disk_bytes(&wishes);
    plan->estimate_prepare_s += filesystem_seconds(&wishes);
}
