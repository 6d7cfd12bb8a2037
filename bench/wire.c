/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

json_t *wire_value(const struct field *field, const struct params *params)
{
    char text[64];
    uint64_t integer;
    double share;
    const void *at = (const char *)params + field->offset;
    switch (field->kind) {
    case FIELD_CHOICE:
        field_format(field, params, text, sizeof text);
        return json_string(text);
    case FIELD_SHARE:
        memcpy(&share, at, sizeof share);
        return json_real(share);
    default:
        memcpy(&integer, at, sizeof integer);
        return json_integer((json_int_t)integer);
    }
}

json_t *wire_params(const struct params *params)
{
    json_t *object = json_object();
    for (size_t i = 0; i < FIELD_COUNT; i++)
        json_object_set_new(object, field_table[i].name, wire_value(&field_table[i], params));
    return object;
}

static int read_value(const struct field *field, const json_t *value, struct params *params, struct err *err)
{
    void *at = (char *)params + field->offset;
    if (field->kind == FIELD_CHOICE && json_is_string(value))
        return field_parse(field, json_string_value(value), params, err);
    if (field->kind == FIELD_SHARE && json_is_number(value) && json_number_value(value) >= 0) {
        double share = json_number_value(value);
        memcpy(at, &share, sizeof share);
        return 0;
    }
    if (field->kind != FIELD_CHOICE && field->kind != FIELD_SHARE && json_is_integer(value) &&
        json_integer_value(value) >= 0) {
        uint64_t integer = (uint64_t)json_integer_value(value);
        memcpy(at, &integer, sizeof integer);
        return 0;
    }
    return err_set(err, EINVAL, "%s is not a %s", field->name, field_kind_name(field->kind));
}

/* What is divided by, or is a step: a damaged plan must not end in a crash or go round for ever. */
static int check_above_zero(const struct params *params, struct err *err)
{
    static const enum field_index fields[] = {FIELD_working_set_bytes, FIELD_workers, FIELD_block_bytes, FIELD_touches};
    struct params zero = {0};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (field_equal(&field_table[fields[i]], params, &zero))
            return err_set(err, EINVAL, "%s must be above 0", field_table[fields[i]].name);
    return 0;
}

/* Every block that is visited lies within the file. */
static int check_extent(const struct arm *arm, struct err *err)
{
    const struct params *params = &arm->params;
    if (params->block_bytes > params->working_set_bytes)
        return err_set(err, EINVAL, "plan: arm %s: its block is larger than the working set", arm->name);
    if (arm->method->needs & NEEDS_FILE && params->working_set_bytes > params->file_bytes)
        return err_set(err, EINVAL, "plan: arm %s: its working set is larger than the file", arm->name);
    return 0;
}

int wire_params_read(const json_t *json, struct params *params, struct err *err)
{
    params_default(params);
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const json_t *value = json_object_get(json, field_table[i].name);
        int rc = value ? read_value(&field_table[i], value, params, err) : 0;
        if (rc)
            return rc;
        if (field_is_auto(&field_table[i], params))
            return err_set(err, EINVAL, "%s is missing: a resolved plan holds no automatic value", field_table[i].name);
    }
    return check_above_zero(params, err);
}

static json_t *wire_arm(const struct arm *arm)
{
    return json_pack("{s:s, s:s, s:i, s:b, s:o}", "name", arm->name, "method", arm->method->name, "method_version",
                     (int)arm->method->version, "null", arm->is_null, "params", wire_params(&arm->params));
}

json_t *wire_cell(const struct plan *plan, const struct cell *cell)
{
    const struct plan_scenario *scenario = &plan->scenarios[cell->scenario];
    json_t *arms = json_array(), *params = wire_params(&cell->params);
    for (unsigned a = 0; a < cell->arm_count; a++)
        json_array_append_new(arms, wire_arm(&cell->arms[a]));
    json_object_set_new(params, "op", json_string(scenario->op));
    return json_pack("{s:s, s:s, s:s, s:f, s:s, s:o, s:o, s:i}", "scenario", scenario->name, "question",
                     scenario->question, "op", scenario->op, "delta", scenario->delta, "cell", cell->id, "params",
                     params, "arms", arms, "group", (int)cell->group);
}

static json_t *wire_scenario(const struct plan_scenario *scenario)
{
    json_t *rungs = json_array();
    for (unsigned i = 0; i < RUNGS_MAX && scenario->rungs[i]; i++)
        json_array_append_new(rungs, json_integer(scenario->rungs[i]));
    return json_pack("{s:s, s:s, s:s, s:f, s:f, s:I, s:o, s:s, s:o}", "name", scenario->name, "question",
                     scenario->question, "op", scenario->op, "delta", scenario->delta, "precision", scenario->precision,
                     "budget_ns", (json_int_t)scenario->budget_ns, "rungs", rungs, "hash", scenario->hash, "claim",
                     scenario->claim ? json_loads(scenario->claim, 0, NULL) : json_null());
}

static json_t *wire_refused(const struct plan *plan)
{
    json_t *refused = json_array();
    for (unsigned i = 0; i < plan->refused_count; i++)
        json_array_append_new(refused,
                              json_pack("{s:s, s:s, s:s}", "scenario", plan->scenarios[plan->refused[i].scenario].name,
                                        "cell", plan->refused[i].cell, "reason", plan->refused[i].reason));
    return refused;
}

static json_t *wire_pairs(const struct plan *plan)
{
    json_t *pairs = json_array();
    for (unsigned i = 0; i < plan->pair_count; i++)
        json_array_append_new(pairs, json_pack("{s:s, s:i, s:i}", "class", plan->pairs[i].class, "a",
                                               (int)plan->pairs[i].a, "b", (int)plan->pairs[i].b));
    return pairs;
}

static json_t *wire_counters(const struct plan *plan)
{
    const char *rest = plan->counters;
    char name[EVENT_SOURCE_SIZE];
    json_t *list = json_array();
    while (event_next_name(&rest, name, sizeof name))
        json_array_append_new(list, json_string(name));
    return list;
}

json_t *wire_plan(const struct plan *plan)
{
    return wire_plan_of(plan, NULL, plan->cell_count);
}

json_t *wire_plan_of(const struct plan *plan, const unsigned *chosen, unsigned count)
{
    json_t *scenarios = json_array(), *cells = json_array();
    json_int_t trials = 0;
    for (unsigned i = 0; i < plan->scenario_count; i++)
        json_array_append_new(scenarios, wire_scenario(&plan->scenarios[i]));
    for (unsigned i = 0; i < count; i++) {
        const struct cell *cell = &plan->cells[chosen ? chosen[i] : i];
        json_array_append_new(cells, wire_cell(plan, cell));
        trials += plan->scenarios[cell->scenario].rungs[0];
    }
    return json_pack(
        "{s:s, s:I, s:s, s:o, s:o, s:I, s:{s:f, s:f, s:f, s:f}, s:I, s:I, s:o, s:o, s:I, s:s, s:s, s:o, s:b, s:b}",
        "schema", "faultline.plan/1", "seed", (json_int_t)plan->seed, "profile", plan->profile, "scenarios", scenarios,
        "cells", cells, "trials", trials, "estimate_s", "prepare", plan->estimate_prepare_s, "reset",
        plan->estimate_reset_s, "measure", plan->estimate_measure_s, "total", plan_seconds(plan), "disk_bytes",
        (json_int_t)plan->disk_bytes, "memory_bytes", (json_int_t)plan->memory_bytes, "pairs", wire_pairs(plan),
        "refused", wire_refused(plan), "budget_ns", (json_int_t)plan->budget_ns, "directory", plan->directory,
        "given_path", plan->given_path, "counters", wire_counters(plan), "allow_evict", plan->allow_evict,
        "make_filesystems", plan->make_filesystems);
}

/* Reads a whole number; -EINVAL when it is absent or something else. */
static int read_number(const json_t *object, const char *key, uint64_t *number, struct err *err)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        return err_set(err, EINVAL, "plan: '%s' is missing or no whole number", key);
    *number = (uint64_t)json_integer_value(value);
    return 0;
}

/* Copies text into a fixed field; -EINVAL when it is absent or does not fit. */
static int read_text(const json_t *object, const char *key, char *text, size_t size, struct err *err)
{
    const char *value = json_string_value(json_object_get(object, key));
    if (!value || strlen(value) >= size)
        return err_set(err, EINVAL, "plan: '%s' is missing or too long", key);
    strcpy(text, value);
    return 0;
}

static int read_arm(const json_t *json, struct arm *arm, struct err *err)
{
    char method[NAME_SIZE];
    int rc = read_text(json, "name", arm->name, sizeof arm->name, err);
    if (rc == 0)
        rc = read_text(json, "method", method, sizeof method, err);
    if (rc)
        return rc;
    arm->method = method_find(method);
    if (!arm->method)
        return err_set(err, EINVAL, "plan: method '%s' is not known to this build", method);
    json_int_t version = json_integer_value(json_object_get(json, "method_version"));
    if (version != (json_int_t)arm->method->version)
        return err_set(err, EINVAL, "plan: method %s is version %d there and %u here", method, (int)version,
                       arm->method->version);
    arm->is_null = json_is_true(json_object_get(json, "null"));
    rc = wire_params_read(json_object_get(json, "params"), &arm->params, err);
    return rc ? rc : check_extent(arm, err);
}

static int find_scenario(const struct plan *plan, const char *name)
{
    for (unsigned i = 0; i < plan->scenario_count; i++)
        if (strcmp(plan->scenarios[i].name, name) == 0)
            return (int)i;
    return -1;
}

static int read_cell(const json_t *json, const struct plan *plan, struct cell *cell, struct err *err)
{
    char scenario[sizeof plan->scenarios->name];
    int rc = read_text(json, "scenario", scenario, sizeof scenario, err);
    if (rc == 0)
        rc = read_text(json, "cell", cell->id, sizeof cell->id, err);
    if (rc == 0)
        rc = wire_params_read(json_object_get(json, "params"), &cell->params, err);
    if (rc)
        return rc;
    int index = find_scenario(plan, scenario);
    const json_t *arms = json_object_get(json, "arms");
    size_t count = json_array_size(arms);
    if (index < 0 || count == 0 || count > ARMS_MAX)
        return err_set(err, EINVAL, "plan: cell %s: scenario '%s' is unknown or the number of arms is not 1 to %d",
                       cell->id, scenario, ARMS_MAX);
    cell->scenario = (unsigned)index;
    cell->arms = calloc(count, sizeof *cell->arms);
    if (!cell->arms)
        return err_set(err, ENOMEM, "no memory for the plan");
    cell->arm_count = (unsigned)count;
    for (size_t a = 0; a < count && rc == 0; a++)
        rc = read_arm(json_array_get(arms, a), &cell->arms[a], err);
    return rc;
}

static char *duplicate(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return strdup(text ? text : "");
}

static int read_rungs(const json_t *list, struct plan_scenario *scenario, struct err *err)
{
    size_t count = json_array_size(list);
    json_int_t previous = 0;
    bool rising = count > 0 && count < RUNGS_MAX;
    for (size_t i = 0; i < count && rising; i++) {
        json_int_t rung = json_integer_value(json_array_get(list, i));
        rising = rung > previous && rung <= INT32_MAX;
        scenario->rungs[i] = (unsigned)rung;
        previous = rung;
    }
    return rising ? 0
                  : err_set(err, EINVAL, "plan: scenario %s: 'rungs' must be 1 to %d rising numbers above 0",
                            scenario->name, RUNGS_MAX - 1);
}

static int read_scenario(const json_t *json, struct plan_scenario *scenario, struct err *err)
{
    int rc = read_text(json, "name", scenario->name, sizeof scenario->name, err);
    if (rc == 0)
        rc = read_text(json, "hash", scenario->hash, sizeof scenario->hash, err);
    if (rc)
        return rc;
    scenario->question = duplicate(json, "question");
    scenario->op = duplicate(json, "op");
    scenario->delta = json_number_value(json_object_get(json, "delta"));
    scenario->precision = json_number_value(json_object_get(json, "precision"));
    const json_t *claim = json_object_get(json, "claim");
    if (json_is_array(claim))
        scenario->claim = json_dumps(claim, JSON_COMPACT);
    if (!scenario->question || !scenario->op)
        return err_set(err, ENOMEM, "no memory for the plan");
    if (!(scenario->delta > 0) || !(scenario->precision > 0))
        return err_set(err, EINVAL, "plan: scenario %s: delta and precision must be above 0", scenario->name);
    rc = read_number(json, "budget_ns", &scenario->budget_ns, err);
    return rc ? rc : read_rungs(json_object_get(json, "rungs"), scenario, err);
}

/* Optional: earlier versions had none. What is not known here is unknown when it is counted, with the reason. */
static int read_counters(const json_t *list, struct plan *plan, struct err *err)
{
    size_t used = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        size_t length = name ? strlen(name) : 0;
        if (length == 0 || length >= EVENT_SOURCE_SIZE || strchr(name, ',') || i >= EVENTS_MAX)
            return err_set(err, EINVAL, "plan: 'counters' must be at most %d names", EVENTS_MAX);
        used += (size_t)sprintf(plan->counters + used, "%s%s", i ? "," : "", name);
    }
    return 0;
}

static int read_members(const json_t *json, struct plan *plan, struct err *err)
{
    int rc = read_text(json, "profile", plan->profile, sizeof plan->profile, err);
    if (rc == 0)
        rc = read_text(json, "directory", plan->directory, sizeof plan->directory, err);
    if (rc == 0)
        rc = read_text(json, "given_path", plan->given_path, sizeof plan->given_path, err);
    if (rc == 0)
        rc = read_number(json, "seed", &plan->seed, err);
    if (rc == 0)
        rc = read_number(json, "budget_ns", &plan->budget_ns, err);
    if (rc == 0)
        rc = read_number(json, "disk_bytes", &plan->disk_bytes, err);
    if (rc == 0)
        rc = read_counters(json_object_get(json, "counters"), plan, err);
    if (rc)
        return rc;
    const json_t *estimate = json_object_get(json, "estimate_s");
    plan->allow_evict = json_is_true(json_object_get(json, "allow_evict"));
    plan->make_filesystems = json_is_true(json_object_get(json, "make_filesystems"));
    plan->estimate_prepare_s = json_number_value(json_object_get(estimate, "prepare"));
    plan->estimate_reset_s = json_number_value(json_object_get(estimate, "reset"));
    plan->estimate_measure_s = json_number_value(json_object_get(estimate, "measure"));
    return 0;
}

static int read_refused(const json_t *list, struct plan *plan, struct err *err)
{
    plan->refused = calloc(json_array_size(list) + 1, sizeof *plan->refused);
    if (!plan->refused)
        return err_set(err, ENOMEM, "no memory for the plan");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *json = json_array_get(list, i);
        struct refusal *refusal = &plan->refused[i];
        char scenario[sizeof plan->scenarios->name];
        int rc = read_text(json, "scenario", scenario, sizeof scenario, err);
        if (rc == 0)
            rc = read_text(json, "cell", refusal->cell, sizeof refusal->cell, err);
        int index = rc ? -1 : find_scenario(plan, scenario);
        if (index < 0)
            return rc ? rc : err_set(err, EINVAL, "plan: refused cell of unknown scenario '%s'", scenario);
        refusal->scenario = (unsigned)index;
        refusal->reason = duplicate(json, "reason");
        plan->refused_count++;
    }
    return 0;
}

static int read_pairs(const json_t *list, struct plan *plan, struct err *err)
{
    plan->pairs = calloc(json_array_size(list) + 1, sizeof *plan->pairs);
    if (!plan->pairs)
        return err_set(err, ENOMEM, "no memory for the plan");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *json = json_array_get(list, i);
        struct plan_pair *pair = &plan->pairs[plan->pair_count++];
        uint64_t a = 0, b = 0;
        int rc = read_text(json, "class", pair->class, sizeof pair->class, err);
        if (rc == 0)
            rc = read_number(json, "a", &a, err);
        if (rc == 0)
            rc = read_number(json, "b", &b, err);
        if (rc)
            return rc;
        pair->a = (unsigned)a;
        pair->b = (unsigned)b;
    }
    return 0;
}

int wire_plan_read(const json_t *json, struct plan *plan, struct err *err)
{
    *plan = (struct plan){0};
    static const char known[] = "faultline.plan/1";
    const char *schema = json_string_value(json_object_get(json, "schema"));
    size_t length = sizeof known - 1;
    /* "faultline.plan/1.2" is a later version that this one can read, "faultline.plan/10" is not. */
    if (!schema || strncmp(schema, known, length) != 0 || (schema[length] && schema[length] != '.'))
        return err_set(err, EINVAL, "this is no %s", known);
    const json_t *scenarios = json_object_get(json, "scenarios"), *cells = json_object_get(json, "cells");
    size_t scenario_count = json_array_size(scenarios), cell_count = json_array_size(cells);
    if (scenario_count == 0 || !json_is_array(cells) || cell_count > CELLS_MAX || scenario_count > CELLS_MAX)
        return err_set(err, EINVAL, "plan: it needs scenarios and at most %d cells", CELLS_MAX);
    plan->scenarios = calloc(scenario_count, sizeof *plan->scenarios);
    plan->cells = calloc(cell_count + 1, sizeof *plan->cells);
    if (!plan->scenarios || !plan->cells)
        return err_set(err, ENOMEM, "no memory for the plan");
    int rc = read_members(json, plan, err);
    for (; plan->scenario_count < scenario_count && rc == 0; plan->scenario_count++)
        rc = read_scenario(json_array_get(scenarios, plan->scenario_count), &plan->scenarios[plan->scenario_count],
                           err);
    for (; plan->cell_count < cell_count && rc == 0; plan->cell_count++)
        rc = read_cell(json_array_get(cells, plan->cell_count), plan, &plan->cells[plan->cell_count], err);
    if (rc == 0)
        rc = read_refused(json_object_get(json, "refused"), plan, err);
    if (rc == 0)
        rc = read_pairs(json_object_get(json, "pairs"), plan, err);
    if (rc == 0) {
        plan_group(plan);
        plan->memory_bytes = plan_memory(plan); /* it follows from the cells; version 0.1 did not tell it */
    }
    return rc;
}
