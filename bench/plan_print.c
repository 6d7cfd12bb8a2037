/* SPDX-License-Identifier: MIT */
/* The plan as a person reads it. */
#include <inttypes.h>
#include <string.h>

#include "plan_parts.h"

static void print_bytes(FILE *out, uint64_t bytes)
{
    if (bytes >= MIB)
        fprintf(out, "%.1f MiB", (double)bytes / (double)MIB);
    else
        fprintf(out, "%" PRIu64 " bytes", bytes);
}

static void print_seconds(FILE *out, double seconds)
{
    if (seconds < 120)
        fprintf(out, "%.0f s", seconds);
    else
        fprintf(out, "%.0f min", seconds / 60);
}

/* Arms are the same in every cell but for what varies: those of the first cell are shown, with what is not default. */
static void print_arm(const struct arm *arm, FILE *out)
{
    struct params defaults;
    params_default(&defaults);
    fprintf(out, "    %-20s %s", arm->name, arm->method->name);
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        char text[TEXT_SIZE];
        const struct field *field = &field_table[i];
        if (field->scope != SCOPE_ARM || field->kind != FIELD_CHOICE || field_equal(field, &arm->params, &defaults))
            continue;
        field_format(field, &arm->params, text, sizeof text);
        fprintf(out, " %s=%s", field->name, text);
    }
    fputs(arm->is_null ? " (the baseline again)\n" : "\n", out);
}

static void print_cells(const struct plan *plan, unsigned scenario, FILE *out)
{
    for (unsigned i = 0; i < plan->cell_count; i++) {
        const struct cell *cell = &plan->cells[i];
        if (cell->scenario != scenario)
            continue;
        fprintf(out, "    %s", cell->id);
        if (cell->params.backing == backing_given) {
            fputs(": the first ", out);
            print_bytes(out, cell->params.working_set_bytes);
            fputs(" of ", out);
            print_bytes(out, cell->params.file_bytes);
        }
        fputc('\n', out);
    }
}

static const struct cell *first_cell(const struct plan *plan, unsigned scenario, unsigned *count)
{
    const struct cell *first = NULL;
    *count = 0;
    for (unsigned i = 0; i < plan->cell_count; i++)
        if (plan->cells[i].scenario == scenario && (*count)++ == 0)
            first = &plan->cells[i];
    return first;
}

static void print_trials(const struct plan_scenario *scenario, FILE *out)
{
    unsigned last = 0;
    while (last + 1 < RUNGS_MAX && scenario->rungs[last + 1])
        last++;
    fprintf(out, "  trials: %u", scenario->rungs[0]);
    if (last > 0)
        fprintf(out, " to %u", scenario->rungs[last]);
    fprintf(out, ", until the interval is ±%.2g %% wide", scenario->precision * 100);
    if (scenario->budget_ns)
        fprintf(out, " or %.0f s are spent", (double)scenario->budget_ns * 1e-9);
    fputc('\n', out);
}

static void print_scenario(const struct plan *plan, unsigned index, FILE *out)
{
    const struct plan_scenario *scenario = &plan->scenarios[index];
    unsigned count;
    const struct cell *first = first_cell(plan, index, &count);
    fprintf(out, "%s: %s\n  one operation: %s\n", scenario->name, scenario->question, scenario->op);
    print_trials(scenario, out);
    fprintf(out, "  %u %s\n", count, count == 1 ? "cell" : "cells");
    print_cells(plan, index, out);
    if (first)
        fprintf(out, "  %u arms\n", first->arm_count);
    for (unsigned i = 0; first && i < first->arm_count; i++)
        print_arm(&first->arms[i], out);
    fputc('\n', out);
}

static void print_refused(const struct plan *plan, FILE *out)
{
    if (plan->refused_count)
        fputs("not measured\n", out);
    for (unsigned i = 0; i < plan->refused_count; i++)
        fprintf(out, "    %s %s: %s\n", plan->scenarios[plan->refused[i].scenario].name, plan->refused[i].cell,
                plan->refused[i].reason);
    if (plan->refused_count)
        fputc('\n', out);
}

/* Which CPUs two workers are bound to, class by class. */
static void print_pairs(const struct plan *plan, FILE *out)
{
    const char *class = "";
    for (unsigned i = 0; i < plan->pair_count; i++) {
        const struct plan_pair *pair = &plan->pairs[i];
        if (strcmp(pair->class, class) != 0)
            fprintf(out, "%s    %s: CPUs", i ? "\n" : "pairs of workers\n", pair->class);
        fprintf(out, " %u+%u", pair->a, pair->b);
        class = pair->class;
    }
    if (plan->pair_count)
        fputs("\n\n", out);
}

void plan_print(const struct plan *plan, FILE *out)
{
    for (unsigned i = 0; i < plan->scenario_count; i++)
        print_scenario(plan, i, out);
    print_refused(plan, out);
    print_pairs(plan, out);
    if (plan->counters[0])
        fprintf(out, "counted besides: %s\n", plan->counters);
    fprintf(out, "profile %s, seed %" PRIu64 ": %u cell%s with %u kind%s of file, about ", plan->profile, plan->seed,
            plan->cell_count, plan->cell_count == 1 ? "" : "s", plan->group_count, plan->group_count == 1 ? "" : "s");
    print_seconds(out, plan_seconds(plan));
    if (plan_is_cut(plan))
        fputs(", which is its budget", out);
    fputs(" (preparing ", out);
    print_seconds(out, plan->estimate_prepare_s);
    fputs(", restoring ", out);
    print_seconds(out, plan->estimate_reset_s);
    fputs(", measuring ", out);
    print_seconds(out, plan->estimate_measure_s);
    fputs("), then ", out);
    print_seconds(out, plan_report_seconds(plan));
    fputs(" for the report", out);
    if (plan->disk_bytes) {
        fputs(", at most ", out);
        print_bytes(out, plan->disk_bytes);
        fprintf(out, " in %s", plan->directory);
    }
    if (plan->memory_bytes) {
        fputs(", ", out);
        print_bytes(out, plan->memory_bytes);
        fputs(" of memory", out);
    }
    fputs("\n", out);
}
