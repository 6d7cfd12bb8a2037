/* SPDX-License-Identifier: MIT */
/* Trials, hash and the time a plan will take. Estimates are for the progress line and for "is this worth starting". */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "filesystem.h"
#include "matrix.h"
#include "offsets.h"
#include "plan_parts.h"
#include "region.h"
#include "schedule.h"
#include "storage.h"
#include "work.h"

/* Rough rates of a present-day machine; a wrong one costs a wrong guess, never a wrong figure. */
static const double page_bytes = 4096, around_pages = 16; /* fault-around */
static const double call_ns = 250, read_ns = 750, copy_byte_ns = 0.08, fresh_byte_ns = 0.6, give_back_byte_ns = 0.07;
static const double open_ns = 3e3, map_ns = 5e3, fault_ns = 1e3, fault_page_ns = 100, populate_page_ns = 30,
                    page_out_ns = 5e3;
static const double evict_call_ns = 90e3, evict_byte_ns = 0.05, buffer_ns = 300e3, look_call_ns = 2e3,
                    look_folio_ns = 39;
static const double order_ns = 1.5e3, wake_ns = 72e3; /* to have an order carried out, where workers have to be woken */
static const double side_by_side = 1.3,
                    writing_side_by_side = 2; /* what an operation costs when others work beside it */
static const double slow_start = 8;           /* requests until read-ahead has its full size */
static const double vma_ns = 2.5e3, mapper_ns = 4e6, pool_byte_ns = 0.9;
static const double sum_byte_ns = 0.05, zero_block_ns = 2e3, fill_byte_ns = 0.6, place_ns = 21, draw_ns = 155,
                    memory_byte_ns = 0.4;
static const double process_s = 8e-3, write_folio_ns = 2.5e3;
/* A page mapped by setup: by itself, its share of a folio, and by a store for which the filesystem makes room. */
static const double map_page_ns = 35, map_folio_ns = 190, store_small_ns = 2e3, store_large_ns = 7e3;
static const double run_s = 0.12; /* looking at the machine, before the first trial */

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

/* ---- memory ---- */

uint64_t plan_file_count(const struct params *params)
{
    return params->worker_file == worker_file_own ? params->workers : 1;
}

/* Of fresh memory no more is touched than a batch holds. */
static uint64_t destination_bytes(const struct arm *arm)
{
    const struct params *params = &arm->params;
    uint64_t bytes = work_needs_buffer(arm) ? region_bytes(params) : 0;
    bool few = params->buffer == buffer_fresh && arm->method->limit && bytes &&
               arm->method->limit(params) < bytes / params->block_bytes;
    return few ? arm->method->limit(params) * params->block_bytes : bytes;
}

/* Of each worker: its destination, memory without a file, the copies of a private mapping's pages. */
static uint64_t arm_memory(const struct arm *arm)
{
    const struct params *params = &arm->params;
    bool copies = params->sharing == sharing_private && params->access == access_store;
    bool whole = copies || !method_needs_file(arm->method, params);
    uint64_t own = arm->method->memory ? arm->method->memory(params) : whole ? params->working_set_bytes : 0;
    return params->workers * (destination_bytes(arm) + own);
}

uint64_t plan_arms_memory(const struct cell *cell)
{
    uint64_t bytes = 0;
    for (unsigned a = 0; a < cell->arm_count; a++)
        bytes += arm_memory(&cell->arms[a]);
    return bytes;
}

static uint64_t cell_memory(const struct cell *cell)
{
    bool made = plan_cell_needs(cell, NEEDS_FILE) && cell->params.backing != backing_given;
    uint64_t file_bytes = made ? cell->params.file_bytes : 0;
    return plan_arms_memory(cell) + file_bytes * plan_file_count(&cell->params);
}

uint64_t plan_memory(const struct plan *plan)
{
    uint64_t most = 0;
    for (unsigned i = 0; i < plan->cell_count; i++) {
        uint64_t bytes = cell_memory(&plan->cells[i]);
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* ---- time ---- */

/* What one arm of a cell is expected to take. */
struct arm_guess {
    double block_ns;         /* a block of a whole granule, with its share of what lives per pass */
    uint64_t granule, limit; /* of its batches, in blocks */
    uint64_t blocks;         /* of a batch */
    double batch_ns, reset_ns;
    bool shares; /* the baseline's number of blocks */
};

struct cell_guess {
    struct arm_guess arms[ARMS_MAX];
    double rounds; /* timed ones and the warm-up */
    double round_ns, round_reset_ns;
};

static bool is_limited(const struct params *params)
{
    return params->memory_limit && params->working_set_bytes > params->memory_limit;
}

/* One block, without its share of what lives per pass; a nanosecond at least. */
static double block_ns(const struct arm *arm)
{
    const struct params *params = &arm->params;
    const struct storage *rates = storage_rates();
    double bytes = (double)params->block_bytes;
    if (arm->method->block_ns)
        return fmax(1, (double)arm->method->block_ns(params));
    if (!(arm->method->needs & NEEDS_FILE))
        return call_ns;
    double missing = is_limited(params) ? 1 - (double)params->memory_limit / (double)params->working_set_bytes : 1;
    bool direct = params->open_as == open_as_direct;
    missing = direct ? 1 : missing;
    double fresh = params->buffer == buffer_fresh ? bytes * fresh_byte_ns : 0;
    if (!direct && !schedule_is_cold(arm) && !is_limited(params))
        return (arm->method->needs & MOVES_NOTHING ? call_ns : read_ns + bytes * copy_byte_ns) + fresh;
    double fetch = params->pattern == pattern_sequential && !direct ? 0 : rates->fetch_ns;
    return missing * (fetch + bytes * rates->read_byte_ns) + fresh;
}

/* What a pass costs beside its blocks: opening, mapping, filling page tables or faulting them in, unmapping. */
static double pass_ns(const struct arm *arm)
{
    const struct params *params = &arm->params;
    double folio_pages = (double)storage_folio_bytes(params) / page_bytes;
    double pages = (double)params->working_set_bytes / page_bytes, touched = (double)params->touches;
    double opens = params->descriptor == descriptor_per_pass ? open_ns : 0;
    if (schedule_is_cold(arm) && params->lifetime == lifetime_per_pass && params->advice != advice_random)
        opens += slow_start * storage_rates()->fetch_ns;
    if (params->advice == advice_pageout)
        opens += pages * page_out_ns;
    if (params->lifetime != lifetime_per_pass)
        return opens;
    if (params->populate != populate_none)
        return opens + map_ns + pages * (populate_page_ns + fault_page_ns / folio_pages);
    double window = folio_pages < around_pages ? around_pages : folio_pages, windows = pages / window;
    if (params->pattern == pattern_sequential)
        touched = touched * (double)params->block_bytes / (window * page_bytes);
    return opens + map_ns + (touched < windows ? touched : windows) * (fault_ns + window * fault_page_ns / folio_pages);
}

static double blocks_ns(const struct arm *arm, double blocks)
{
    double passes = blocks / (double)params_granule(&arm->params);
    return blocks * block_ns(arm) + (passes < 1 ? 1 : passes) * pass_ns(arm);
}

/* Asking for the state of the working set's pages: a look at each folio. */
static double look_ns(const struct params *params)
{
    return look_call_ns + (double)params->working_set_bytes / (double)storage_folio_bytes(params) * look_folio_ns;
}

/* Emptying the page cache of what the batch before has brought, and setting the arm up. */
static double evict_ns(const struct arm *arm)
{
    const struct params *params = &arm->params;
    bool ahead = params->advice != advice_random && params->open_as != open_as_direct;
    double bytes = ahead ? storage_ahead_bytes(params) : 0, most = (double)params->working_set_bytes;
    return evict_call_ns + (bytes < most ? bytes : most) * evict_byte_ns +
           (arm->method->needs & NEEDS_BUFFER ? buffer_ns : 0);
}

/* Before a batch of that many blocks: what the method restores, the proofs around it, and emptying the page cache. */
static double reset_ns(const struct arm *arm, uint64_t blocks)
{
    double looks = arm->method->dirties ? 2 : 1; /* what was reset has to be looked at anew */
    double own = arm->method->reset_ns ? (double)arm->method->reset_ns(&arm->params, blocks) : 0;
    if (arm->params.buffer == buffer_fresh && arm->method->needs & NEEDS_BUFFER)
        own += (double)(blocks * arm->params.block_bytes) * give_back_byte_ns;
    if (!method_needs_file(arm->method, &arm->params))
        return own;
    double files = (double)plan_file_count(&arm->params);
    return own + files * (looks * look_ns(&arm->params) + (schedule_is_cold(arm) ? evict_ns(arm) : 0));
}

static double company_of(const struct arm *arm)
{
    bool writes = method_writes(arm->method, &arm->params);
    return arm->params.workers < 2 ? 1 : writes ? writing_side_by_side : side_by_side;
}

/* As measure.c calibrates: the baseline's number of blocks where arms can share it and are close in cost. */
static void guess_batches(const struct cell *cell, struct arm_guess *arms)
{
    uint64_t granules[ARMS_MAX], limits[ARMS_MAX], granule, limit, aim = cell->params.batch_time;
    for (unsigned a = 0; a < cell->arm_count; a++) {
        const struct arm *arm = &cell->arms[a];
        granules[a] = arms[a].granule = work_granule(arm);
        limits[a] = arms[a].limit = schedule_limit(arm, offsets_count(&arm->params));
        arms[a].block_ns = blocks_ns(arm, (double)granules[a]) / (double)granules[a] * company_of(arm);
    }
    schedule_common(granules, limits, cell->arm_count, &granule, &limit);
    uint64_t shared = schedule_batch(arms[0].block_ns, aim, granule, limit);
    for (unsigned a = 0; a < cell->arm_count; a++) {
        struct arm_guess *arm = &arms[a];
        bool fits = shared % arm->granule == 0 && shared <= arm->limit && !cell->params.memory_limit &&
                    schedule_is_close(arm->block_ns, arms[0].block_ns);
        arm->shares = fits;
        arm->blocks = fits ? shared : schedule_batch(arm->block_ns, aim, arm->granule, arm->limit);
        arm->batch_ns = (double)work_timed_blocks(&cell->arms[a], arm->blocks) * arm->block_ns;
        arm->reset_ns = reset_ns(&cell->arms[a], arm->blocks);
    }
}

/* Rounds come in whole blocks of orders, and what a batch comes to is known to a fifth: the mean of what that makes. */
static double expected_rounds(const struct cell *cell, double batch_ns)
{
    static const double known[] = {0.8, 1, 1.25};
    enum { KNOWN_COUNT = sizeof known / sizeof *known };
    double sum = 0;
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        sum += schedule_rounds(cell->arm_count, cell->params.arm_time, (uint64_t)(batch_ns * known[i]));
    return sum / KNOWN_COUNT;
}

/* A visit to a pair of CPUs is some rounds and one that warms up; both workers move, and set all arms up again. */
static void guess_visits(const struct cell *cell, struct cell_guess *guess)
{
    double orders = 2 * cell->arm_count + 1, rounds = 1 + matrix_rounds(cell->visits);
    guess->rounds = cell->visits * rounds;
    guess->round_reset_ns += orders * (order_ns + 2 * wake_ns) / rounds;
}

static void guess_rounds(const struct cell *cell, struct cell_guess *guess)
{
    unsigned count = cell->arm_count, warm = 0;
    double elapsed = 0, order = order_ns + (cell->params.workers > 1 ? 2 * wake_ns : 0);
    for (unsigned a = 0; a < count; a++) {
        guess->round_ns += guess->arms[a].batch_ns;
        guess->round_reset_ns += guess->arms[a].reset_ns + order;
    }
    if (cell->visits) {
        guess_visits(cell, guess);
        return;
    }
    double batch_ns = cell->params.memory_limit ? (double)cell->params.batch_time : guess->round_ns / count;
    guess->rounds = cell->params.memory_limit ? schedule_rounds(count, cell->params.arm_time, (uint64_t)batch_ns)
                                              : expected_rounds(cell, batch_ns);
    for (; !cell->params.memory_limit && !schedule_is_warm(warm, count, (uint64_t)elapsed, (uint64_t)batch_ns); warm++)
        elapsed += guess->round_ns + guess->round_reset_ns;
    guess->rounds += warm;
}

static void guess_cell(const struct cell *cell, struct cell_guess *guess)
{
    *guess = (struct cell_guess){0};
    guess_batches(cell, guess->arms);
    guess_rounds(cell, guess);
}

/*
 * So many blocks in one go, and the reset before. Where read-ahead makes a cold block dear no byte is fetched twice
 * for all that.
 */
static double go_ns(const struct arm *arm, const struct arm_guess *guess, double blocks)
{
    double all = blocks * guess->block_ns, bytes = (double)arm->params.working_set_bytes;
    double most = bytes * storage_rates()->read_byte_ns + blocks * storage_rates()->fetch_ns;
    return (schedule_is_cold(arm) && all > most ? most : all) + reset_ns(arm, (uint64_t)blocks);
}

/* The checksum pass. Of a cold cell only the first arm finds nothing, and those that go past the page cache. */
static double sum_ns(const struct cell *cell, unsigned a, const struct arm_guess *guess)
{
    uint64_t unit, bytes = schedule_sum_bytes(cell, &unit);
    const struct arm *arm = &cell->arms[a];
    double blocks = (double)bytes / (double)arm->params.block_bytes;
    bool cached = schedule_is_cold(arm) && a > 0 && arm->params.open_as != open_as_direct;
    if (!method_sums(arm->method, &arm->params))
        return 0;
    double step = (double)guess->limit < blocks ? (double)guess->limit : blocks;
    double stores = arm->params.access == access_store || arm->method->needs & NEEDS_WRITE ? blocks * zero_block_ns : 0;
    double alone = arm->params.queue_depth < 2                   ? 1
                   : arm->params.submission == submission_sqpoll ? 8
                                                                 : 2; /* none is under way with another */
    double one = (cached ? step * read_ns : go_ns(arm, guess, step)) * alone;
    return blocks / step * one + (double)bytes * sum_byte_ns + stores;
}

/* The limit is of operations alone where each has an order of its own, or workers meet; and else of the whole pass. */
static double latency_ns(const struct arm *arm, const struct arm_guess *guess)
{
    const struct params *params = &arm->params;
    uint64_t blocks = params_blocks_per_op(params);
    bool cold = schedule_is_cold(arm), apart = cold || method_meets(arm->method);
    double op = (double)blocks * guess->block_ns, most = (double)params->latency_time;
    double own = arm->method->reset_ns ? (double)arm->method->reset_ns(params, blocks) : 0;
    double reset = cold ? reset_ns(arm, blocks) : method_meets(arm->method) ? 0 : own;
    double each = apart ? op : op + reset, all = each * (double)params->latency_ops;
    if (params->latency == latency_none || schedule_latency_refusal(params, cold))
        return 0;
    if (params->latency == latency_open)
        all = fmax(all, (double)params->latency_ops * (double)params->latency_interval);
    all = all < most ? all : most < each ? each : most;
    return apart ? all + all / op * reset : all;
}

static double count_ns(const struct arm *arm, const struct arm_guess *guess)
{
    return arm->params.memory_limit ? 0 : go_ns(arm, guess, (double)schedule_count_blocks(&arm->params, guess->limit));
}

/* Under a memory limit the working set is read anew before each stretch of an arm's batches. */
static double refill_each_ns(const struct params *params)
{
    const double reclaim = 1.7; /* each page has to drive out another */
    return evict_call_ns + reclaim * (double)params->working_set_bytes * storage_rates()->read_byte_ns;
}

static double refill_ns(const struct cell *cell)
{
    enum { STRETCHES = 2 };
    return cell->params.memory_limit ? STRETCHES * cell->arm_count * refill_each_ns(&cell->params) : 0;
}

/*
 * The baseline's batch is doubled until it can be timed, and so is that of an arm that cannot share its blocks; then
 * each is timed at the blocks it will have. Under a memory limit each is timed alone, for some batches.
 */
static double calibrate_ns(const struct cell *cell, unsigned a, const struct arm_guess *guess)
{
    enum { LIMITED_BATCHES = 3 };
    const struct arm *arm = &cell->arms[a];
    double ns = PROBE_BATCHES * (guess->batch_ns + guess->reset_ns), step_ns = 0;
    if (arm->is_null)
        return 0;
    if (cell->params.memory_limit)
        return LIMITED_BATCHES * (double)cell->params.batch_time + refill_each_ns(&cell->params);
    for (uint64_t blocks = guess->granule; !(a && guess->shares) && step_ns < (double)PROBE_NS; blocks *= 2) {
        step_ns = (double)work_timed_blocks(arm, blocks) * guess->block_ns;
        ns += PROBE_BATCHES * (step_ns + reset_ns(arm, blocks));
        if (blocks > guess->limit / 2)
            break;
    }
    return ns;
}

/* Every page of the file mapped once, by a load or a store; copies are what the arm fills. */
static double map_pages_ns(const struct arm *arm)
{
    const struct params *params = &arm->params;
    bool kept = arm->method->uses & FIELD_BIT(lifetime) && params->lifetime == lifetime_kept && !schedule_is_cold(arm);
    double pages = (double)params->working_set_bytes / page_bytes;
    double folio_pages = (double)storage_folio_bytes(params) / page_bytes;
    if (!(kept || arm->method->maps) || !method_needs_file(arm->method, params))
        return 0;
    if (!kept || params->access == access_load)
        return (arm->method->maps ? 2 : 1) * pages * (map_page_ns + map_folio_ns / folio_pages); /* and unmaps them */
    return params->sharing == sharing_private ? 0
           : params_is_memory(params)         ? pages * map_folio_ns
                                              : pages * (folio_pages > 1 ? store_large_ns : store_small_ns);
}

/* Once a trial: what an arm keeps is mapped and touched. */
static double setup_ns(const struct arm *arm)
{
    const struct params *params = &arm->params;
    double pages = (double)params->working_set_bytes / page_bytes;
    double meeting = method_meets(arm->method) ? pages * fault_ns * company_of(arm) : 0; /* each touches every page */
    bool refills = arm->method->reset_ns && !arm->method->fills; /* which is part of the reset's time */
    double filled = refills ? (double)params->workers * (double)destination_bytes(arm) : (double)arm_memory(arm);
    return meeting + (arm->method->needs & NEEDS_BUFFER ? buffer_ns : 0) + filled * fill_byte_ns + map_pages_ns(arm);
}

/* The order in which blocks are visited, for each size of block; the recipe's signature before and after; VMAs. */
static double begin_ns(const struct cell *cell)
{
    const struct params *params = &cell->params;
    double ns = (double)params->vmas * vma_ns + (double)params->mappers * mapper_ns;
    for (unsigned a = 0; a < cell->arm_count; a++) {
        const struct params *own = &cell->arms[a].params;
        bool again = false;
        for (unsigned b = 0; b < a; b++)
            again |= own->block_bytes == cell->arms[b].params.block_bytes;
        ns += again ? 0 : (double)offsets_count(own) * (own->pattern == pattern_zipf ? draw_ns : place_ns);
    }
    double folios = (double)params->working_set_bytes / (double)storage_folio_bytes(params);
    return ns + (params->cache == cache_warm ? 2 * folios * fault_page_ns : 0);
}

/* Timed batches and untimed passes of all trials. */
static double measure_seconds(const struct cell *cell, const struct cell_guess *guess, double trials)
{
    double ns = guess->rounds * guess->round_ns + begin_ns(cell), once = 0;
    for (unsigned a = 0; a < cell->arm_count; a++) {
        const struct arm *arm = &cell->arms[a];
        const struct arm_guess *one = &guess->arms[a];
        ns += sum_ns(cell, a, one) + count_ns(arm, one) + latency_ns(arm, one) + setup_ns(arm);
        once += calibrate_ns(cell, a, one);
    }
    return (trials * ns + once) * 1e-9;
}

/* What happens before each batch: proofs, evictions, and what the methods restore. */
static double reset_seconds(const struct cell *cell, const struct cell_guess *guess)
{
    return (guess->rounds * guess->round_reset_ns + refill_ns(cell)) * 1e-9;
}

static double file_seconds(const struct params *params)
{
    const struct storage *rates = storage_rates();
    double bytes = (double)params->file_bytes;
    bool refill = params->recipe == recipe_refill_read || params->recipe == recipe_refill_map ||
                  params->recipe == recipe_refill_hugepage;
    if (params->recipe == recipe_hole)
        return 0;
    if (params->backing == backing_given || params_is_memory(params))
        return bytes * memory_byte_ns * 1e-9;
    double folios = bytes / (double)storage_folio_bytes(params) * write_folio_ns;
    return (rates->sync_ns + folios + bytes * (rates->write_byte_ns + (refill ? rates->read_byte_ns : 0))) * 1e-9;
}

/* Some scenarios are over with the first rung of trials, and some with the second; what workers who meet take scatters.
 */
static double expected_trials(const struct plan *plan, const struct cell *cell)
{
    const unsigned *rungs = plan->scenarios[cell->scenario].rungs;
    unsigned most = method_meets(cell->arms[0].method) ? 3 : 2, count = 0;
    double sum = 0;
    while (count < most && rungs[count])
        sum += rungs[count++];
    return sum / count;
}

/* What trial processes of a group prepare. */
struct group_guess {
    double trials;      /* those of the scenario that wants most */
    unsigned processes; /* that each takes */
    uint64_t files;     /* that are there at the same time; none where no arm works on one */
};

static struct group_guess guess_group(const struct plan *plan, unsigned group)
{
    struct group_guess guess = {0};
    unsigned cells = 0;
    for (unsigned i = 0; i < plan->cell_count; i++) {
        const struct cell *cell = &plan->cells[i];
        if (cell->group != group)
            continue;
        uint64_t files = plan_cell_needs(cell, NEEDS_FILE) ? plan_file_count(&cell->params) : 0;
        guess.trials = fmax(guess.trials, expected_trials(plan, cell));
        guess.files = files > guess.files ? files : guess.files;
        cells++;
    }
    guess.processes = (cells + PLAN_CELLS_PER_PROCESS - 1) / PLAN_CELLS_PER_PROCESS;
    return guess;
}

/* Whether a cell is the first of its group. */
static bool begins_group(const struct plan *plan, unsigned index)
{
    for (unsigned i = 0; i < index; i++)
        if (plan->cells[i].group == plan->cells[index].group)
            return false;
    return true;
}

static double all_seconds(const struct plan *plan)
{
    return plan->estimate_prepare_s + plan->estimate_reset_s + plan->estimate_measure_s;
}

bool plan_is_cut(const struct plan *plan)
{
    return plan_seconds(plan) < all_seconds(plan);
}

double plan_seconds(const struct plan *plan)
{
    double budget = run_s + (double)plan->budget_ns * 1e-9; /* it begins with the first trial */
    return plan->budget_ns && budget < all_seconds(plan) ? budget : all_seconds(plan);
}

double plan_report_seconds(const struct plan *plan)
{
    const double begin_s = 1.6, scenario_s = 0.3; /* an interpreter and its libraries; pictures */
    return begin_s + scenario_s * plan->scenario_count;
}

/* A ring's file has all its blocks at once, the others have those that are stored to. */
uint64_t plan_beside_bytes(const struct cell *cell)
{
    uint64_t bytes = 0;
    for (unsigned a = 0; a < cell->arm_count; a++) {
        const struct params *params = &cell->arms[a].params;
        const struct method *method = cell->arms[a].method;
        bool ring = method->uses & FIELD_BIT(ring_of) && params->ring_of == ring_of_file;
        bool made = method->uses & FIELD_BIT(made_on) && params->made_on == made_on_target;
        bytes += params->workers * (ring ? params->ring_bytes : made ? method->memory(params) : 0);
    }
    return bytes;
}

void plan_estimate(struct plan *plan)
{
    const uint64_t margin = MIB; /* for the file's own metadata */
    struct filesystem_wishes wishes = {0};
    plan->estimate_prepare_s = run_s;
    plan->estimate_reset_s = plan->estimate_measure_s = 0;
    plan->disk_bytes = 0;
    plan->memory_bytes = plan_memory(plan);
    for (unsigned i = 0; i < plan->cell_count; i++) {
        const struct cell *cell = &plan->cells[i];
        double trials = expected_trials(plan, cell);
        struct cell_guess guess;
        guess_cell(cell, &guess);
        plan->estimate_measure_s += measure_seconds(cell, &guess, trials);
        plan->estimate_reset_s += trials * reset_seconds(cell, &guess);
        if (begins_group(plan, i)) {
            struct group_guess group = guess_group(plan, cell->group);
            uint64_t bytes = (cell->params.file_bytes + margin) * group.files;
            double process = process_s + (double)group.files * file_seconds(&cell->params);
            plan->estimate_prepare_s += group.trials * group.processes * process;
            if (cell->params.backing == backing_file && bytes > plan->disk_bytes)
                plan->disk_bytes = bytes;
        }
        uint64_t beside = plan_beside_bytes(cell), with_those = beside + cell->params.file_bytes + margin;
        if (beside && cell->params.backing == backing_file && with_those > plan->disk_bytes)
            plan->disk_bytes = with_those;
        filesystem_want(&wishes, &cell->params, beside);
    }
    plan->disk_bytes += filesystem_disk_bytes(&wishes);
    plan->estimate_prepare_s += (double)plan->memory_bytes * pool_byte_ns * 1e-9;
    plan->estimate_prepare_s += filesystem_seconds(&wishes);
}
