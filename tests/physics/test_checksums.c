/* SPDX-License-Identifier: MIT */
/*
 * All arms read the same bytes: the checksum of each is what is computed here from the file's contents, by the plainest
 * loops, over the head of the same list of blocks, and that head is as long for all of them.
 */
#include "physics.h"

#include <glob.h>
#include <inttypes.h>

#include "offsets.h"
#include "random.h"
#include "scenario.h"
#include "work.h"

enum { SEED = 7 };
#define SEARCH_BYTES GIB /* no checksum pass is that long */

/* Little-endian or not, as the machine reads them: 64-bit words, then the bytes left over. */
static uint64_t sum_block(const unsigned char *from, uint64_t bytes)
{
    uint64_t sum = 0, i = 0;
    for (; i + 8 <= bytes; i += 8) {
        uint64_t word;
        memcpy(&word, from + i, 8);
        sum += word;
    }
    for (; i < bytes; i++)
        sum += from[i];
    return sum;
}

static unsigned char *contents_of(const struct target *target)
{
    unsigned char *contents = malloc(target->file_bytes);
    assert_non_null(contents);
    for (uint64_t at = 0; at < target->file_bytes;) {
        ssize_t done = pread(target->fd, contents + at, target->file_bytes - at, (off_t)at);
        assert_true(done > 0);
        at += (uint64_t)done;
    }
    return contents;
}

/*
 * Length in bytes of the head of the list that has the checksum; fails the test when no head has it. The blocks of each
 * unit are added up, and the units are mixed one after the other.
 */
static uint64_t head_with_sum(const unsigned char *contents, const struct params *params, uint64_t unit_bytes,
                              uint64_t checksum)
{
    struct offsets offsets;
    struct err err = {0};
    uint64_t own = 0, bytes = 0, i = 0;
    assert_int_equal(offsets_make(&offsets, params, random_derive(SEED, 'o'), &err), 0);
    do {
        uint64_t unit = 0;
        for (uint64_t end = bytes + unit_bytes; bytes < end; bytes += params->block_bytes)
            unit += sum_block(contents + offsets.items[i++ % offsets.count], params->block_bytes);
        own = random_derive(own, unit);
    } while (own != checksum && bytes < SEARCH_BYTES);
    offsets_free(&offsets);
    if (own != checksum)
        fail_msg("checksum %016" PRIx64 " is that of no head of the list", checksum);
    return bytes;
}

/* Bytes of the smallest unit that is a whole number of passes of every arm. */
static uint64_t unit_of(const struct cell *cell)
{
    uint64_t unit = 1;
    for (unsigned a = 0; a < cell->arm_count; a++) {
        uint64_t own = params_granule(&cell->arms[a].params) * cell->arms[a].params.block_bytes, next = unit;
        while (next % own)
            next += unit;
        unit = next;
    }
    return unit;
}

static bool stores(const struct arm *arm)
{
    return arm->method->needs & NEEDS_WRITE || arm->params.access == access_store;
}

/* Whether it has a sum at all: not where no block is visited, nor where a private mapping is gone with what it held. */
static bool has_sum(const struct arm *arm)
{
    bool gone = stores(arm) && !method_writes(arm->method, &arm->params) && arm->params.lifetime == lifetime_per_pass;
    return method_visits(arm->method, &arm->params) && !gone;
}

/*
 * Measures the cell as shortly as can be; its arms must have the sums that the file's contents give, those that store
 * the sums of what they store: ones. Returns the bytes summed.
 */
static uint64_t check_cell(const struct plan *plan, struct cell *cell, struct target *target)
{
    struct cell_result result;
    struct err err = {0};
    uint64_t ops[ARMS_MAX], bytes = 0;
    cell->params.count_ops = 1;
    for (unsigned a = 0; a < cell->arm_count; a++) {
        struct params *params = &cell->arms[a].params;
        params->latency = latency_none;
        params->count_ops = 1;
        ops[a] = work_granule(&cell->arms[a]) / params_blocks_per_op(params);
    }
    struct measure_request request = {.plan = plan,
                                      .cell = cell,
                                      .target = target,
                                      .seed = SEED,
                                      .ops = ops,
                                      .rounds = 1,
                                      .turn = {.read_fd = -1, .write_fd = -1},
                                      .clock = {20, 1}};
    if (measure_cell(&request, &result, &err))
        fail_msg("%s", err.text);
    unsigned char *contents = contents_of(target), *ones = malloc(target->file_bytes);
    assert_non_null(ones);
    memset(ones, 1, target->file_bytes);
    for (unsigned a = 0; a < cell->arm_count; a++) {
        const struct arm_result *arm = &result.arms[a];
        if (arm->status == ARM_UNSUPPORTED || !has_sum(&cell->arms[a]))
            continue;
        if (!arm->has_sum)
            fail_msg("%s, %s: no checksum: %s", cell->id, cell->arms[a].name, arm->reason);
        uint64_t own = head_with_sum(stores(&cell->arms[a]) ? ones : contents, &cell->arms[a].params, unit_of(cell),
                                     arm->sum);
        bytes = bytes ? bytes : own;
        assert_int_equal(own, bytes);
    }
    free(ones);
    free(contents);
    measure_free(&result);
    return bytes;
}

static struct plan plan_quick(const char *pattern)
{
    glob_t found;
    struct plan plan;
    struct err err = {0};
    struct scenario *scenarios[64];
    struct plan_options options = {.profile = "quick", .has_seed = true, .seed = SEED, .cpu_count = 1};
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_in_range(found.gl_pathc, 1, 64);
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (scenario_load(found.gl_pathv[i], &scenarios[i], &err))
            fail_msg("%s", err.text);
    if (plan_make(&plan, scenarios, (unsigned)found.gl_pathc, &options, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < found.gl_pathc; i++)
        scenario_free(scenarios[i]);
    globfree(&found);
    return plan;
}

/* Every cell that a newcomer's first run measures. */
static void quick_access_scenarios(void **state)
{
    struct plan plan = plan_quick(TESTS_DIR "/../scenarios/access/*.yaml");
    unsigned done = 0;
    (void)state;
    for (unsigned g = 0; g < plan.group_count; g++) {
        struct target target = {.fd = -1};
        for (unsigned c = 0; c < plan.cell_count; c++) {
            struct cell *cell = &plan.cells[c];
            if (cell->group != g)
                continue;
            done++;
            if (cell->params.backing != backing_file && cell->params.backing != backing_tmpfs)
                continue; /* what a made filesystem or reserved memory needs is not here */
            if (target.fd < 0)
                physics_open(&target, &cell->params);
            uint64_t bytes = check_cell(&plan, cell, &target);
            if (strcmp(plan.scenarios[cell->scenario].op, "file scan") == 0) /* whole files, and nothing but */
                assert_int_equal(bytes % cell->params.file_bytes, 0);
        }
        target_close(&target);
    }
    print_message("%u cells in %u groups\n", done, plan.group_count);
    assert_int_equal(done, plan.cell_count);
    plan_free(&plan);
}

extern const struct method method_read, method_lseek_read, method_pread, method_mmap, method_first_touch;

static struct arm *add_arm(struct cell *cell, const struct method *method)
{
    struct arm *arm = &cell->arms[cell->arm_count++];
    *arm = (struct arm){.method = method, .params = cell->params};
    snprintf(arm->name, sizeof arm->name, "%s %u", method->name, cell->arm_count);
    return arm;
}

/* Five ways to the same blocks. */
static void check_methods(struct target *target, enum pattern pattern, uint64_t block_bytes, uint64_t stride_bytes)
{
    struct arm arms[5];
    struct cell cell = {.id = "all", .params = *target->params, .arms = arms};
    struct plan plan = {.cells = &cell, .cell_count = 1};
    cell.params.pattern = pattern;
    cell.params.block_bytes = block_bytes;
    cell.params.stride_bytes = stride_bytes;
    cell.params.touches = cell.params.working_set_bytes / block_bytes;
    add_arm(&cell, &method_pread);
    add_arm(&cell, &method_lseek_read);
    add_arm(&cell, &method_mmap);
    struct arm *copied = add_arm(&cell, &method_mmap);
    copied->params.consume = consume_copy;
    copied->params.lifetime = lifetime_per_pass;
    if (pattern == pattern_sequential)
        add_arm(&cell, &method_read);
    assert_in_range(check_cell(&plan, &cell, target), 1, UINT64_MAX);
}

static void every_pattern_and_odd_blocks(void **state)
{
    static const enum pattern patterns[] = {pattern_sequential, pattern_stride, pattern_random, pattern_chain,
                                            pattern_zipf};
    static const uint64_t blocks[] = {1, 63, 64, 4096, 65536};
    struct params params = physics_params(256 * KIB, recipe_write_4KiB, cache_warm);
    struct target target;
    (void)state;
    physics_open(&target, &params);
    for (unsigned p = 0; p < sizeof patterns / sizeof *patterns; p++)
        for (unsigned b = 0; b < sizeof blocks / sizeof *blocks; b++)
            check_methods(&target, patterns[p], blocks[b], blocks[b] < 4096 ? blocks[b] * 64 : blocks[b]);
    target_close(&target);
}

/* The first touch of each page, whichever VMA it lies in. */
static void first_touch_sums_the_same(void **state)
{
    struct params params = physics_params(1 * MIB, recipe_write_1MiB, cache_warm);
    struct target target;
    struct arm arms[3];
    struct cell cell = {.id = "all", .arms = arms};
    struct plan plan = {.cells = &cell, .cell_count = 1};
    (void)state;
    physics_open(&target, &params);
    cell.params = params;
    cell.params.pattern = pattern_random;
    add_arm(&cell, &method_pread);
    add_arm(&cell, &method_first_touch);
    add_arm(&cell, &method_first_touch)->params.vma = vma_page;
    assert_in_range(check_cell(&plan, &cell, &target), 1, UINT64_MAX);
    target_close(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quick_access_scenarios),
        cmocka_unit_test(every_pattern_and_odd_blocks),
        cmocka_unit_test(first_touch_sums_the_same),
    };
    return physics_run(tests);
}
