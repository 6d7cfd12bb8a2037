/* SPDX-License-Identifier: MIT */
/* A resolved plan made by hand: two scenarios, three cells, each with a baseline, a mapping and a null arm. */
#ifndef FAULTLINE_SAMPLE_PLAN_H
#define FAULTLINE_SAMPLE_PLAN_H

#include "unit.h"

#include "plan.h"

static inline struct arm sample_arm(const char *name, const char *method, const struct params *params, bool is_null)
{
    struct arm arm = {.method = method_find(method), .params = *params, .is_null = is_null};
    snprintf(arm.name, sizeof arm.name, "%s", name);
    return arm;
}

static inline void sample_cell(struct cell *cell, unsigned scenario, uint64_t block_bytes, uint64_t file_bytes)
{
    *cell = (struct cell){.scenario = scenario, .arm_count = 3, .arms = calloc(3, sizeof *cell->arms)};
    params_default(&cell->params);
    cell->params.file_bytes = cell->params.working_set_bytes = file_bytes;
    cell->params.stride_bytes = 4 * KIB;
    cell->params.range_bytes = cell->params.window_bytes = file_bytes;
    cell->params.touches = file_bytes / block_bytes;
    cell->params.block_bytes = block_bytes;
    cell->params.surplus = 1.0 / 3; /* no short decimal */
    snprintf(cell->id, sizeof cell->id, "file_bytes=%lu,block_bytes=%lu", (unsigned long)file_bytes,
             (unsigned long)block_bytes);
    cell->arms[0] = sample_arm("pread", "pread", &cell->params, false);
    cell->arms[1] = sample_arm("mapped", "mmap", &cell->params, false);
    cell->arms[1].params.consume = consume_copy;
    cell->arms[2] = sample_arm("null", "pread", &cell->params, true);
}

static inline void sample_scenario(struct plan_scenario *scenario, const char *name, const char *claim)
{
    *scenario = (struct plan_scenario){
        .question = strdup("Is \"it\" faster? \xc3\xa9"),
        .op = strdup("block read"),
        .hash = "0123456789abcdef",
        .delta = 0.01,
        .precision = 0.1 + 0.2, /* 0.30000000000000004: all digits must travel */
        .budget_ns = 60 * 1000 * MS,
        .rungs = {8, 10, 15, 20, 30},
        .claim = claim ? strdup(claim) : NULL,
    };
    snprintf(scenario->name, sizeof scenario->name, "%s", name);
}

/* Free with plan_free. */
static inline struct plan sample_plan(void)
{
    struct plan plan = {
        .scenarios = calloc(2, sizeof *plan.scenarios),
        .scenario_count = 2,
        .cells = calloc(3, sizeof *plan.cells),
        .cell_count = 3,
        .refused = calloc(1, sizeof *plan.refused),
        .refused_count = 1,
        .pairs = calloc(2, sizeof *plan.pairs),
        .pair_count = 2,
        .seed = UINT64_C(0xfedcba9876543210),
        .budget_ns = 60 * 1000 * MS + 5,
        .profile = "quick",
        .directory = "/var/tmp",
        .given_path = "/tmp/my \"file\"",
        .allow_evict = true,
        .make_filesystems = true,
        .estimate_prepare_s = 1.1,
        .estimate_reset_s = 0,
        .estimate_measure_s = 2.2,
        .disk_bytes = 64 * MIB,
    };
    plan.pairs[0] = (struct plan_pair){"core", 3, 64};
    plan.pairs[1] = (struct plan_pair){"machine-distance-32", 1, 130};
    sample_scenario(&plan.scenarios[0], "access/one", "[{\"id\":\"c-1\",\"threshold\":0.25}]");
    sample_scenario(&plan.scenarios[1], "access/two", NULL);
    sample_cell(&plan.cells[0], 0, 4 * KIB, MIB);
    sample_cell(&plan.cells[1], 0, 64, 2 * MIB);
    sample_cell(&plan.cells[2], 1, 64 * KIB, MIB);
    plan.refused[0] = (struct refusal){.scenario = 1, .cell = "block_bytes=2GiB", .reason = strdup("too large")};
    plan_group(&plan);
    return plan;
}

#endif
