/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include <stdlib.h>

static bool same_target(const struct params *a, const struct params *b)
{
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (field_table[i].scope == SCOPE_TARGET && !field_equal(&field_table[i], a, b))
            return false;
    return true;
}

/* Compares with the first cell of each earlier group, walking back through the cells: sweeps have few groups. */
static unsigned group_of(const struct plan *plan, unsigned index)
{
    for (unsigned i = index; i-- > 0;)
        if (same_target(&plan->cells[i].params, &plan->cells[index].params))
            return plan->cells[i].group;
    return plan->group_count;
}

void plan_group(struct plan *plan)
{
    plan->group_count = 0;
    for (unsigned i = 0; i < plan->cell_count; i++) {
        plan->cells[i].group = group_of(plan, i);
        plan->group_count += plan->cells[i].group == plan->group_count;
    }
}

void plan_free(struct plan *plan)
{
    for (unsigned i = 0; i < plan->scenario_count; i++) {
        free(plan->scenarios[i].question);
        free(plan->scenarios[i].op);
        free(plan->scenarios[i].claim);
    }
    for (unsigned i = 0; i < plan->cell_count; i++)
        free(plan->cells[i].arms);
    for (unsigned i = 0; i < plan->refused_count; i++)
        free(plan->refused[i].reason);
    free(plan->scenarios);
    free(plan->cells);
    free(plan->refused);
    free(plan->pairs);
    *plan = (struct plan){0};
}

bool plan_cell_needs(const struct cell *cell, unsigned need)
{
    for (unsigned a = 0; a < cell->arm_count; a++)
        if (cell->arms[a].method->needs & need)
            return true;
    return false;
}
