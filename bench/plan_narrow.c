/* SPDX-License-Identifier: MIT */
/* --cell and --arms: a part of what the scenarios ask. What is kept is resolved as it is beside all the rest. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "plan_parts.h"

/* Takes the first item off a list "a,b". 1; 0 at its end; -EINVAL with text when it is empty or does not fit. */
static int next_item(const char *option, const char **list, char *item, size_t size, struct err *err)
{
    if (!*list)
        return 0;
    size_t length = strcspn(*list, ",");
    if (length == 0)
        return err_set(err, EINVAL, "%s: an item of the list is empty", option);
    if (length >= size)
        return err_set(err, EINVAL, "%s %.60s…: no item of the list has more than %zu bytes", option, *list, size - 1);
    memcpy(item, *list, length);
    item[length] = '\0';
    *list = (*list)[length] ? *list + length + 1 : NULL;
    return 1;
}

static int parse_pair(struct draft *draft, const char *pair)
{
    struct narrowing *narrowing = &draft->narrowing;
    const struct field *field;
    const char *value;
    int rc = plan_parse_pair("--cell", pair, &field, &value, &narrowing->wanted, draft->err);
    if (rc)
        return rc;
    if (narrowing->asked[field - field_table])
        return err_set(draft->err, EINVAL, "--cell %.100s: %s is asked for twice", pair, field->name);
    narrowing->asked[field - field_table] = true;
    return 0;
}

static int parse_cell(struct draft *draft)
{
    const char *rest = draft->options->cell;
    char pair[2 * TEXT_SIZE];
    int rc;
    draft->narrowing.all = rest && strcmp(rest, "all") == 0;
    if (draft->narrowing.all)
        return 0;
    while ((rc = next_item("--cell", &rest, pair, sizeof pair, draft->err)) > 0) {
        rc = parse_pair(draft, pair);
        if (rc)
            return rc;
    }
    return rc;
}

/* Whether a name is one of a list "a, b". */
static bool is_listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at; at = strstr(at, ", ")) {
        at += at == list ? 0 : 2;
        if (strncmp(at, name, length) == 0 && (at[length] == '\0' || strncmp(at + length, ", ", 2) == 0))
            return true;
    }
    return false;
}

/* Appends ", name", once, where there is room for it and for what tells that something was left out, the last there. */
static void append_name(char *list, size_t size, const char *name)
{
    static const char more[] = "…";
    size_t used = strlen(list);
    if (is_listed(list, more) || is_listed(list, name))
        return;
    bool fits = used + strlen(name) + sizeof ", " + sizeof more < size;
    snprintf(list + used, size - used, "%s%s", used ? ", " : "", fits ? name : more);
}

static bool has_arm(struct scenario *const *scenarios, unsigned count, const char *name)
{
    for (unsigned s = 0; s < count; s++)
        for (unsigned i = 0; i < scenarios[s]->arm_count; i++)
            if (strcmp(scenarios[s]->arms[i].name, name) == 0)
                return true;
    return false;
}

static int refuse_arm(struct draft *draft, struct scenario *const *scenarios, unsigned count, const char *name)
{
    char known[LISTED_SIZE] = "";
    for (unsigned s = 0; s < count; s++)
        for (unsigned i = 0; i < scenarios[s]->arm_count; i++)
            append_name(known, sizeof known, scenarios[s]->arms[i].name);
    return err_set(draft->err, EINVAL, "--arms: there is no arm '%.60s'; there are: %s", name, known);
}

/* Whether a name is an item of the list before `end`. */
static bool stands_before(const char *list, const char *end, const char *name)
{
    size_t length = strlen(name);
    for (; list < end; list += strcspn(list, ",") + 1)
        if (strcspn(list, ",") == length && strncmp(list, name, length) == 0)
            return true;
    return false;
}

static int parse_arms(struct draft *draft, struct scenario *const *scenarios, unsigned count)
{
    const char *arms = draft->options->arms, *rest = arms, *at = arms;
    char name[NAME_SIZE];
    int rc;
    for (; (rc = next_item("--arms", &rest, name, sizeof name, draft->err)) > 0; at = rest) {
        if (stands_before(arms, at, name))
            return err_set(draft->err, EINVAL, "--arms: %s is asked for twice", name);
        if (!has_arm(scenarios, count, name))
            return refuse_arm(draft, scenarios, count, name);
    }
    return rc;
}

int narrow_parse(struct draft *draft, struct scenario *const *scenarios, unsigned count)
{
    int rc = parse_cell(draft);
    return rc ? rc : parse_arms(draft, scenarios, count);
}

static bool has_value(const struct variation *variation, const struct params *wanted)
{
    for (unsigned i = 0; variation && i < variation->text_count; i++) {
        struct params params;
        struct err impossible;
        if (field_parse(variation->field, variation->texts[i], &params, &impossible) == 0 &&
            field_equal(variation->field, &params, wanted))
            return true;
    }
    return false;
}

bool narrow_wants_scenario(struct draft *draft)
{
    struct narrowing *narrowing = &draft->narrowing;
    bool wants = true;
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        if (narrowing->asked[i])
            wants = wants && has_value(draft->varied[i], &narrowing->wanted);
        if (narrowing->all)
            wants = wants && !draft->varied[i];
    }
    narrowing->found = narrowing->found || wants;
    return wants && narrow_arm_count(draft) > 0;
}

void narrow_leave_out(struct draft *draft, const struct cell *cell)
{
    append_name(draft->narrowing.others, sizeof draft->narrowing.others, cell->id);
}

bool narrow_keeps(const struct draft *draft, const struct cell *cell)
{
    const struct narrowing *narrowing = &draft->narrowing;
    bool keeps = true;
    for (unsigned i = 0; i < FIELD_COUNT; i++)
        keeps = keeps && (!narrowing->asked[i] || field_equal(&field_table[i], &cell->params, &narrowing->wanted));
    return keeps;
}

bool narrow_wants_arm(const struct draft *draft, const char *name)
{
    const char *arms = draft->options->arms;
    return !arms || stands_before(arms, arms + strlen(arms), name);
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
    const struct plan_options *options = draft->options;
    if (options->cell && !draft->narrowing.found)
        return err_set(draft->err, EINVAL, "--cell %.150s: there is no such cell; there are: %s", options->cell,
                       draft->narrowing.others);
    if (options->arms && draft->plan->scenario_count == 0)
        return err_set(draft->err, EINVAL, "--arms %.200s: no cell that is wanted has such an arm", options->arms);
    return 0;
}
