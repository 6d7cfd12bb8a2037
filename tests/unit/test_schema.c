/* SPDX-License-Identifier: MIT */
/* The published JSON Schemas: complete by the tables, and able to tell right from wrong. */
#include "json_schema.h"

#include "counter.h"
#include "method.h"
#include "params.h"
#include "schema.h"

static const json_t *at(const json_t *object, const char *path)
{
    char part[64];
    while (*path && object) {
        size_t length = strcspn(path, "/");
        snprintf(part, sizeof part, "%.*s", (int)length, path);
        object = json_is_array(object) ? json_array_get(object, (size_t)atoi(part)) : json_object_get(object, part);
        path += path[length] ? length + 1 : length;
    }
    return object;
}

static bool requires(const json_t *schema, const char *key)
{
    json_t *name = json_string(key);
    bool found = schema_contains(json_object_get(schema, "required"), name);
    json_decref(name);
    return found;
}

static void records_have_every_field_and_counter(void **state)
{
    (void)state;
    json_t *schema = schema_record();
    const json_t *arm = at(schema, "properties/arms/items");
    const json_t *params[] = {at(schema, "properties/params"), at(arm, "properties/params")};
    const json_t *counts = at(arm, "properties/counts/anyOf/0");
    assert_non_null(counts);
    for (size_t i = 0; i < FIELD_COUNT; i++)
        for (size_t p = 0; p < LENGTH_OF(params); p++) {
            assert_true(requires(params[p], field_table[i].name));
            const json_t *field = json_object_get(json_object_get(params[p], "properties"), field_table[i].name);
            assert_string_equal(json_string_value(json_object_get(field, "description")), field_table[i].doc);
        }
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        assert_true(requires(counts, counter_table[i].name));
    assert_true(requires(params[0], "op"));
    json_decref(schema);
}

static void fields_have_the_types_of_the_wire(void **state)
{
    (void)state;
    json_t *schema = schema_record();
    const json_t *fields = at(schema, "properties/params/properties");
    struct {
        const char *field, *value;
        bool valid;
    } values[] = {
        {"file_bytes", "4096", true},  {"file_bytes", "\"4KiB\"", false}, {"file_bytes", "-1", false},
        {"file_bytes", "null", false}, {"surplus", "0.02", true},         {"surplus", "2", true},
        {"surplus", "\"2%\"", false},  {"cache", "\"as-found\"", true},   {"cache", "\"as_found\"", false},
        {"cache", "0", false},         {"workers", "1.5", false},         {"batch_time", "250000", true},
    };
    for (size_t i = 0; i < LENGTH_OF(values); i++) {
        struct schema_fault fault;
        json_t *value = json_loads(values[i].value, JSON_DECODE_ANY, NULL);
        if (schema_valid(json_object_get(fields, values[i].field), value, "", &fault) != values[i].valid)
            fail_msg("%s: %s", values[i].field, values[i].value);
        json_decref(value);
    }
    json_decref(schema);
}

static json_t *scenario_with(const char *members)
{
    char text[1024];
    json_error_t where;
    snprintf(text, sizeof text,
             "{\"question\":\"q\",\"op\":\"o\",\"arms\":[{\"name\":\"a\",\"method\":\"pread\"}]%s%s}",
             *members ? "," : "", members);
    json_t *scenario = json_loads(text, 0, &where);
    if (!scenario)
        fail_msg("%s: %s", text, where.text);
    return scenario;
}

static void check_scenario(const json_t *schema, const char *members, bool valid)
{
    struct schema_fault fault = {""};
    json_t *scenario = scenario_with(members);
    if (schema_valid(schema, scenario, "", &fault) != valid)
        fail_msg("%s: %s", members, valid ? fault.text : "taken for a good scenario");
    json_decref(scenario);
}

static void scenarios_are_told_from_mistakes(void **state)
{
    (void)state;
    json_t *schema = schema_scenario();
    check_scenario(schema, "", true);
    check_scenario(schema, "\"common\":{\"file_bytes\":\"64MiB\",\"cache\":\"warm\",\"workers\":2}", true);
    check_scenario(schema, "\"common\":{\"file_bytes\":4096,\"working_set_bytes\":\"auto\"}", true);
    check_scenario(schema, "\"vary\":{\"block_bytes\":[64,\"4KiB\"]},\"delta\":\"0.5%\",\"null_arm\":false", true);
    check_scenario(schema, "\"profiles\":{\"quick\":{\"trials\":8,\"budget\":\"60s\",\"vary\":{\"workers\":[1,2]}}}",
                   true);
    check_scenario(schema, "\"commom\":{}", false);
    check_scenario(schema, "\"common\":{\"file_byte\":1}", false);
    check_scenario(schema, "\"common\":{\"file_bytes\":\"4k\"}", false);
    check_scenario(schema, "\"common\":{\"batch_time\":\"5m\"}", false);
    check_scenario(schema, "\"common\":{\"cache\":\"hot\"}", false);
    check_scenario(schema, "\"common\":{\"workers\":\"many\"}", false);
    check_scenario(schema, "\"vary\":{\"block_bytes\":64}", false);
    check_scenario(schema, "\"delta\":\"0.5\"", false);
    check_scenario(schema, "\"profiles\":{\"fast\":{}}", false);
    check_scenario(schema, "\"profiles\":{\"quick\":{\"trials\":0}}", false);
    json_decref(schema);
}

static void arms_are_told_from_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *arms;
        bool valid;
    } cases[] = {
        {"[{\"name\":\"a\",\"method\":\"mmap\",\"consume\":\"copy\"}]", true},
        {"[]", false},
        {"[{\"name\":\"a\"}]", false},
        {"[{\"method\":\"mmap\"}]", false},
        {"[{\"name\":\"a\",\"method\":\"mnap\"}]", false},
        {"[{\"name\":\"a b\",\"method\":\"mmap\"}]", false},
        {"[{\"name\":\"a\",\"method\":\"mmap\",\"cache\":\"warm\"}]", false}, /* a condition, not an arm's to choose */
    };
    json_t *schema = schema_scenario();
    for (size_t i = 0; i < LENGTH_OF(cases); i++) {
        struct schema_fault fault;
        json_t *scenario = scenario_with("");
        json_object_set_new(scenario, "arms", json_loads(cases[i].arms, 0, NULL));
        if (schema_valid(schema, scenario, "", &fault) != cases[i].valid)
            fail_msg("%s", cases[i].arms);
        json_decref(scenario);
    }
    json_decref(schema);
}

/* What the program writes as a field's text form, an editor must not mark as wrong. */
static void text_forms_satisfy_the_schema(void **state)
{
    (void)state;
    json_t *schema = schema_scenario();
    struct params params;
    params_default(&params);
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        char text[64], members[256];
        field_format(&field_table[i], &params, text, sizeof text);
        snprintf(members, sizeof members, "\"common\":{\"%s\":\"%s\"}", field_table[i].name, text);
        check_scenario(schema, members, true);
    }
    json_decref(schema);
}

static void every_method_may_be_an_arm(void **state)
{
    (void)state;
    json_t *schema = schema_scenario();
    const json_t *methods = at(schema, "properties/arms/items/properties/method/enum");
    size_t count = 0;
    for (; method_table[count]; count++) {
        json_t *name = json_string(method_table[count]->name);
        assert_true(schema_contains(methods, name));
        json_decref(name);
    }
    assert_int_equal(json_array_size(methods), count);
    json_decref(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_have_every_field_and_counter), cmocka_unit_test(fields_have_the_types_of_the_wire),
        cmocka_unit_test(scenarios_are_told_from_mistakes),     cmocka_unit_test(arms_are_told_from_mistakes),
        cmocka_unit_test(text_forms_satisfy_the_schema),        cmocka_unit_test(every_method_may_be_an_arm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
