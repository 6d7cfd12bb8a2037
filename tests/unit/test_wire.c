/* SPDX-License-Identifier: MIT */
/* A plan as JSON and back: identical, and every damaged one refused with its reason. */
#include "sample_plan.h"

#include "wire.h"

/* Through text, as it travels. */
static json_t *through_text(json_t *json)
{
    json_error_t where;
    assert_non_null(json);
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    json_t *again = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    if (!again)
        fail_msg("%s", where.text);
    free(text);
    return again;
}

static void check_scenario(const struct plan_scenario *a, const struct plan_scenario *b)
{
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->question, b->question);
    assert_string_equal(a->op, b->op);
    assert_string_equal(a->hash, b->hash);
    assert_true(a->delta == b->delta && a->precision == b->precision);
    assert_int_equal(a->budget_ns, b->budget_ns);
    assert_memory_equal(a->rungs, b->rungs, sizeof a->rungs);
    assert_int_equal(a->claim == NULL, b->claim == NULL);
    if (a->claim)
        assert_string_equal(a->claim, b->claim);
}

static void check_cell(const struct cell *a, const struct cell *b)
{
    assert_int_equal(a->scenario, b->scenario);
    assert_string_equal(a->id, b->id);
    assert_memory_equal(&a->params, &b->params, sizeof a->params);
    assert_int_equal(a->group, b->group);
    assert_int_equal(a->arm_count, b->arm_count);
    for (unsigned i = 0; i < a->arm_count; i++) {
        assert_string_equal(a->arms[i].name, b->arms[i].name);
        assert_ptr_equal(a->arms[i].method, b->arms[i].method);
        assert_int_equal(a->arms[i].is_null, b->arms[i].is_null);
        assert_memory_equal(&a->arms[i].params, &b->arms[i].params, sizeof a->arms[i].params);
    }
}

static void check_members(const struct plan *a, const struct plan *b)
{
    assert_int_equal(a->seed, b->seed);
    assert_int_equal(a->budget_ns, b->budget_ns);
    assert_string_equal(a->profile, b->profile);
    assert_string_equal(a->directory, b->directory);
    assert_string_equal(a->given_path, b->given_path);
    assert_int_equal(a->allow_evict, b->allow_evict);
    assert_int_equal(a->make_filesystems, b->make_filesystems);
    assert_true(a->estimate_prepare_s == b->estimate_prepare_s && a->estimate_reset_s == b->estimate_reset_s);
    assert_true(a->estimate_measure_s == b->estimate_measure_s);
    assert_int_equal(a->disk_bytes, b->disk_bytes);
    assert_int_equal(a->memory_bytes, b->memory_bytes);
    assert_int_equal(a->group_count, b->group_count);
    assert_int_equal(a->refused_count, b->refused_count);
    assert_int_equal(a->pair_count, b->pair_count);
    assert_memory_equal(a->pairs, b->pairs, a->pair_count * sizeof *a->pairs);
    for (unsigned i = 0; i < a->refused_count; i++) {
        assert_int_equal(a->refused[i].scenario, b->refused[i].scenario);
        assert_string_equal(a->refused[i].cell, b->refused[i].cell);
        assert_string_equal(a->refused[i].reason, b->refused[i].reason);
    }
}

static void a_plan_comes_back_identical(void **state)
{
    (void)state;
    struct plan plan = sample_plan(), read;
    struct err err = {0};
    plan.memory_bytes = plan_memory(&plan);
    json_t *json = through_text(wire_plan(&plan));
    if (wire_plan_read(json, &read, &err))
        fail_msg("%s", err.text);
    check_members(&plan, &read);
    assert_int_equal(plan.scenario_count, read.scenario_count);
    for (unsigned i = 0; i < plan.scenario_count; i++)
        check_scenario(&plan.scenarios[i], &read.scenarios[i]);
    assert_int_equal(plan.cell_count, read.cell_count);
    for (unsigned i = 0; i < plan.cell_count; i++)
        check_cell(&plan.cells[i], &read.cells[i]);
    json_t *again = through_text(wire_plan(&read));
    assert_true(json_equal(json, again));
    json_decref(again);
    json_decref(json);
    plan_free(&read);
    plan_free(&plan);
}

static void says_how_many_trials_and_seconds(void **state)
{
    (void)state;
    struct plan plan = sample_plan();
    json_t *json = through_text(wire_plan(&plan));
    assert_int_equal(json_integer_value(json_object_get(json, "trials")), 24); /* three cells, first rung 8 */
    const json_t *estimate = json_object_get(json, "estimate_s");
    assert_true(json_real_value(json_object_get(estimate, "total")) == 1.1 + 2.2);
    assert_int_equal(json_array_size(json_object_get(json, "refused")), 1);
    const json_t *cell = json_array_get(json_object_get(json, "cells"), 0);
    assert_string_equal(json_string_value(json_object_get(json_object_get(cell, "params"), "op")), "block read");
    json_decref(json);
    plan_free(&plan);
}

static void chosen_cells_alone(void **state)
{
    (void)state;
    struct plan plan = sample_plan(), read;
    struct err err = {0};
    static const unsigned chosen[] = {2, 0};
    json_t *json = through_text(wire_plan_of(&plan, chosen, 2));
    assert_int_equal(wire_plan_read(json, &read, &err), 0);
    assert_int_equal(read.cell_count, 2);
    assert_string_equal(read.cells[0].id, plan.cells[2].id);
    assert_string_equal(read.cells[1].id, plan.cells[0].id);
    assert_int_equal(json_integer_value(json_object_get(json, "trials")), 16);
    json_decref(json);
    plan_free(&read);
    plan_free(&plan);
}

static void every_parameter_travels(void **state)
{
    (void)state;
    struct params params, read;
    struct err err = {0};
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const struct field *field = &field_table[i];
        params_default(&params);
        params.stride_bytes = params.working_set_bytes = params.touches = params.range_bytes = params.window_bytes =
            12345;
        /* Another value than the default: the last option, or an odd number. */
        uint64_t value = 77777;
        double share = 0.1;
        if (field->kind == FIELD_CHOICE)
            for (value = 0; field->options[value + 1].spelling; value++)
                ;
        memcpy((char *)&params + field->offset, field->kind == FIELD_SHARE ? (const void *)&share : &value, 8);
        json_t *json = through_text(wire_params(&params));
        if (wire_params_read(json, &read, &err))
            fail_msg("%s", err.text);
        assert_memory_equal(&params, &read, sizeof params);
        json_decref(json);
    }
}

/* One change to a good plan: at `where` ("cells/0/arms") the member `key` becomes `value`, or vanishes when it is NULL.
 */
struct damage {
    const char *where, *key, *value, *says;
};

static json_t *walk(json_t *json, const char *where)
{
    char part[64];
    while (*where && json) {
        size_t length = strcspn(where, "/");
        snprintf(part, sizeof part, "%.*s", (int)length, where);
        json = json_is_array(json) ? json_array_get(json, (size_t)atoi(part)) : json_object_get(json, part);
        where += where[length] ? length + 1 : length;
    }
    return json;
}

static void check_damage(const struct damage *damage)
{
    struct plan plan = sample_plan(), read;
    struct err err = {0};
    json_t *json = through_text(wire_plan(&plan)), *object = walk(json, damage->where);
    assert_true(json_is_object(object) && json_object_get(object, damage->key));
    if (damage->value)
        assert_int_equal(json_object_set_new(object, damage->key, json_loads(damage->value, JSON_DECODE_ANY, NULL)), 0);
    else
        json_object_del(object, damage->key);
    if (wire_plan_read(json, &read, &err) != -EINVAL)
        fail_msg("%s/%s = %s is not refused", damage->where, damage->key, damage->value ? damage->value : "absent");
    assert_int_equal(err.code, EINVAL);
    unit_assert_text(err.text, damage->says);
    json_decref(json);
    plan_free(&read);
    plan_free(&plan);
}

static void refuses_damaged_members(void **state)
{
    (void)state;
    static const struct damage damages[] = {
        {"", "schema", NULL, "no faultline.plan/1"},
        {"", "schema", "\"faultline.plan/2\"", "no faultline.plan/1"},
        {"", "schema", "\"faultline.plan/10\"", "no faultline.plan/1"},
        {"", "schema", "1", "no faultline.plan/1"},
        {"", "scenarios", NULL, "needs scenarios"},
        {"", "scenarios", "[]", "needs scenarios"},
        {"", "scenarios", "{}", "needs scenarios"},
        {"", "cells", NULL, "needs scenarios"},
        {"", "cells", "{}", "needs scenarios"},
        {"", "profile", NULL, "'profile'"},
        {"", "profile", "\"a profile of that name cannot be\"", "'profile' is missing or too long"},
        {"", "directory", "7", "'directory'"},
        {"", "given_path", "null", "'given_path'"},
        {"", "seed", "\"1\"", "'seed'"},
        {"", "seed", NULL, "'seed'"},
        {"", "budget_ns", "1.5", "'budget_ns'"},
        {"", "disk_bytes", "null", "'disk_bytes'"},
        {"", "pairs", "[{\"class\":\"l3\",\"a\":1}]", "'b' is missing"},
        {"", "pairs", "[{\"a\":1,\"b\":2}]", "'class' is missing"},
    };
    for (size_t i = 0; i < LENGTH_OF(damages); i++)
        check_damage(&damages[i]);
}

static void refuses_damaged_scenarios(void **state)
{
    (void)state;
    static const struct damage damages[] = {
        {"scenarios/0", "name", NULL, "'name'"},
        {"scenarios/1", "hash", "1", "'hash'"},
        {"scenarios/0", "delta", "0", "access/one: delta"},
        {"scenarios/0", "delta", "\"1%\"", "access/one: delta"},
        {"scenarios/0", "precision", "-0.1", "precision"},
        {"scenarios/0", "budget_ns", "null", "'budget_ns'"},
        {"scenarios/0", "rungs", NULL, "'rungs'"},
        {"scenarios/0", "rungs", "[]", "'rungs'"},
        {"scenarios/0", "rungs", "[0]", "'rungs'"},
        {"scenarios/0", "rungs", "[8,8]", "'rungs'"},
        {"scenarios/0", "rungs", "[10,8]", "'rungs'"},
        {"scenarios/0", "rungs", "[-1]", "'rungs'"},
        {"scenarios/0", "rungs", "[\"8\"]", "'rungs'"},
        {"scenarios/0", "rungs", "[4294967297]", "'rungs'"},
        {"scenarios/0", "rungs", "[1,2,3,4,5,6,7,8]", "'rungs'"},
        {"scenarios/1", "name", "\"access/three\"",
         "access/two"}, /* the cells' and refusals' scenario is not there now */
        {"refused/0", "scenario", "\"other\"", "other"},
        {"refused/0", "cell", "1", "'cell'"},
    };
    for (size_t i = 0; i < LENGTH_OF(damages); i++)
        check_damage(&damages[i]);
}

static void refuses_damaged_cells(void **state)
{
    (void)state;
    static const struct damage damages[] = {
        {"cells/1", "scenario", "\"access/none\"", "access/none"},
        {"cells/1", "cell", NULL, "'cell'"},
        {"cells/2", "arms", "[]", "number of arms"},
        {"cells/2", "arms", NULL, "number of arms"},
        {"cells/2", "arms", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", "number of arms"},
        {"cells/2", "arms", "[1]", "'name'"},
        {"cells/2", "params", NULL, "is missing: a resolved plan"},
        {"cells/2/params", "workers", "0", "workers must be above 0"},
        {"cells/1/arms/1", "name", "1", "'name'"},
        {"cells/1/arms/1", "method", "\"mmapp\"", "'mmapp' is not known"},
        {"cells/1/arms/1", "method", NULL, "'method'"},
        {"cells/1/arms/1", "method_version", "99", "method mmap is version 99 there"},
        {"cells/1/arms/1", "method_version", NULL, "version 0 there"},
        {"cells/1/arms/1", "params", "[]", "is missing: a resolved plan"},
    };
    for (size_t i = 0; i < LENGTH_OF(damages); i++)
        check_damage(&damages[i]);
}

static void refuses_damaged_parameters(void **state)
{
    (void)state;
    static const struct damage damages[] = {
        {"cells/0/arms/0/params", "block_bytes", "\"4KiB\"", "block_bytes is not a size"},
        {"cells/0/arms/0/params", "block_bytes", "-1", "block_bytes is not a size"},
        {"cells/0/arms/0/params", "block_bytes", "4096.0", "block_bytes is not a size"},
        {"cells/0/arms/0/params", "block_bytes", "0", "block_bytes must be above 0"},
        {"cells/0/arms/0/params", "block_bytes", "2097152", "arm pread: its block is larger"},
        {"cells/0/arms/2/params", "working_set_bytes", "4194304", "arm null: its working set is larger than the file"},
        {"cells/0/arms/0/params", "working_set_bytes", "0", "working_set_bytes must be above 0"},
        {"cells/0/arms/0/params", "working_set_bytes", NULL, "working_set_bytes is missing"},
        {"cells/0/arms/0/params", "touches", "0", "touches must be above 0"},
        {"cells/0/arms/0/params", "batch_time", "null", "batch_time is not a time"},
        {"cells/0/arms/0/params", "count_ops", "true", "count_ops is not a count"},
        {"cells/0/arms/0/params", "surplus", "\"1%\"", "surplus is not a share"},
        {"cells/0/arms/0/params", "surplus", "-0.5", "surplus is not a share"},
        {"cells/0/arms/0/params", "cache", "1", "cache is not a choice"},
        {"cells/0/arms/0/params", "cache", "\"hot\"", "'hot' is not a cache"},
        {"cells/0/params", "pattern", "\"auto\"", "'auto' is not a pattern"},
    };
    for (size_t i = 0; i < LENGTH_OF(damages); i++)
        check_damage(&damages[i]);
}

static void refuses_too_many_cells(void **state)
{
    (void)state;
    struct plan plan = sample_plan(), read;
    struct err err = {0};
    json_t *json = through_text(wire_plan(&plan)), *cells = json_array();
    for (int i = 0; i < CELLS_MAX + 1; i++)
        json_array_append_new(cells, json_object());
    json_object_set_new(json, "cells", cells);
    assert_int_equal(wire_plan_read(json, &read, &err), -EINVAL);
    unit_assert_text(err.text, "at most 10000 cells");
    plan_free(&read);
    json_decref(json);
    plan_free(&plan);
}

static void ignores_what_it_does_not_know(void **state)
{
    (void)state;
    struct plan plan = sample_plan(), read;
    struct err err = {0};
    json_t *json = through_text(wire_plan(&plan));
    json_object_set_new(json, "schema", json_string("faultline.plan/1.7"));
    json_object_set_new(json, "later", json_true());
    json_object_set_new(walk(json, "cells/0/params"), "later_field", json_integer(1));
    assert_int_equal(wire_plan_read(json, &read, &err), 0);
    check_cell(&plan.cells[0], &read.cells[0]);
    plan_free(&read);
    json_decref(json);
    plan_free(&plan);
}

static void refuses_what_is_no_object(void **state)
{
    (void)state;
    static const char *const texts[] = {"null", "[]", "1", "\"faultline.plan/1\"", "{}"};
    for (size_t i = 0; i < LENGTH_OF(texts); i++) {
        struct plan read;
        struct err err = {0};
        json_t *json = json_loads(texts[i], JSON_DECODE_ANY, NULL);
        assert_int_equal(wire_plan_read(json, &read, &err), -EINVAL);
        plan_free(&read);
        json_decref(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_comes_back_identical), cmocka_unit_test(says_how_many_trials_and_seconds),
        cmocka_unit_test(chosen_cells_alone),          cmocka_unit_test(every_parameter_travels),
        cmocka_unit_test(refuses_damaged_members),     cmocka_unit_test(refuses_damaged_scenarios),
        cmocka_unit_test(refuses_damaged_cells),       cmocka_unit_test(refuses_damaged_parameters),
        cmocka_unit_test(refuses_too_many_cells),      cmocka_unit_test(ignores_what_it_does_not_know),
        cmocka_unit_test(refuses_what_is_no_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
