/* SPDX-License-Identifier: MIT */
/* --cell and --arms: a part of what the scenarios ask. What is kept is resolved as it is beside all the rest. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "plan_parts.h"

static int parse_cell(struct draft *draft)
{
    struct narrowing *narrowing = &draft->narrowing;
    const char *rest = draft->options->cell, *value;
    char pair[2 * TEXT_SIZE];
    if (!rest)
        return 0;
    if (!*rest)
        return err_set(draft->err, EINVAL, "--cell: write key=value,…");
    while (event_next_name(&rest, pair, sizeof pair)) {
        const struct field *field;
        int rc = plan_parse_pair("--cell", pair, &field, &value, &narrowing->wanted, draft->err);
        if (rc)
            return rc;
        if (narrowing->asked[field - field_table])
            return err_set(draft->err, EINVAL, "--cell %.100s: %s is asked for twice", pair, field->name);
        narrowing->asked[field - field_table] = true;
    }
    return 0;
}

static const struct arm_description *find_arm(const struct scenario *scenario, const char *name)
{
    for (unsigned i = 0; i < scenario->arm_count; i++)
        if (strcmp(scenario->arms[i].name, name) == 0)
            return &scenario->arms[i];
    return NULL;
}

/* Appends ", name" where there is room for it and for what tells that something was left out. */
static void append_name(char *list, size_t size, const char *name)
{
    static const char more[] = ", …";
    size_t used = strlen(list), cut = sizeof more - 1;
    bool full = used >= cut && strcmp(list + used - cut, more) == 0;
    if (used + strlen(name) + 2 + cut < size)
        snprintf(list + used, size - used, "%s%s", used ? ", " : "", name);
    else if (!full)
        snprintf(list + used, size - used, "%s", more);
}

static int refuse_arm(struct draft *draft, struct scenario *const *scenarios, unsigned count, const char *name)
{
    char known[300] = "";
    for (unsigned s = 0; s < count; s++)
        for (unsigned i = 0; i < scenarios[s]->arm_count; i++) {
            const char *arm = scenarios[s]->arms[i].name;
            bool listed = false;
            for (unsigned before = 0; before < s; before++)
                listed = listed || find_arm(scenarios[before], arm);
            if (!listed)
                append_name(known, sizeof known, arm);
        }
    return err_set(draft->err, EINVAL, "--arms: there is no arm '%.60s', but %s", name, known);
}

static int parse_arms(struct draft *draft, struct scenario *const *scenarios, unsigned count)
{
    const char *rest = draft->options->arms;
    char name[NAME_SIZE + 1];
    if (rest && (!*rest || rest[strlen(rest) - 1] == ','))
        return refuse_arm(draft, scenarios, count, "");
    while (event_next_name(&rest, name, sizeof name)) {
        bool known = false;
        for (unsigned s = 0; s < count; s++)
            known = known || find_arm(scenarios[s], name);
        if (!known)
            return refuse_arm(draft, scenarios, count, name);
    }
    return 0;
}

int narrow_parse(struct draft *draft, struct scenario *const *scenarios, unsigned count)
{
    int rc = parse_cell(draft);
    return rc ? rc : parse_arms(draft, scenarios, count);
}

bool narrow_keeps(struct draft *draft, const struct cell *cell)
{
    struct narrowing *narrowing = &draft->narrowing;
    bool keeps = true;
    for (unsigned i = 0; i < FIELD_COUNT; i++)
        if (narrowing->asked[i])
            keeps = keeps && draft->varied[i] && field_equal(&field_table[i], &cell->params, &narrowing->wanted);
    narrowing->cell_count += keeps;
    if (!keeps)
        append_name(narrowing->others, sizeof narrowing->others, cell->id);
    return keeps;
}

bool narrow_wants_arm(const struct draft *draft, const char *name)
{
    const char *rest = draft->options->arms;
    char wanted[NAME_SIZE + 1];
    bool wants = !rest;
    while (event_next_name(&rest, wanted, sizeof wanted))
        wants = wants || strcmp(wanted, name) == 0;
    return wants;
}

void narrow_arms(const struct draft *draft, struct cell *cell)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < cell->arm_count; i++)
        if (narrow_wants_arm(draft, cell->arms[i].name))
            cell->arms[kept++] = cell->arms[i];
    cell->arm_count = kept;
}

unsigned narrow_arm_count(const struct draft *draft)
{
    unsigned count = 0;
    for (unsigned i = 0; i < draft->scenario->arm_count; i++)
        count += narrow_wants_arm(draft, draft->scenario->arms[i].name);
    return count;
}

int narrow_check(const struct draft *draft)
{
    if (!draft->options->cell || draft->narrowing.cell_count)
        return 0;
    return err_set(draft->err, EINVAL, "--cell %.150s: there is no such cell, but %s", draft->options->cell,
                   draft->narrowing.others);
}
