/* SPDX-License-Identifier: MIT */
#include "schema.h"

#include <string.h>

#include "counter.h"
#include "event.h"
#include "method.h"
#include "params.h"

static const char DIALECT[] = "https://json-schema.org/draft/2020-12/schema";

/* {"type": type} or, when it may be unknown, {"type": [type, "null"]} */
static json_t *type_of(const char *type, int nullable)
{
    return nullable ? json_pack("{s:[s, s]}", "type", type, "null") : json_pack("{s:s}", "type", type);
}

static json_t *list_of(json_t *items)
{
    return json_pack("{s:s, s:o}", "type", "array", "items", items);
}

/* An object whose listed members are all required; others are allowed, for later versions. */
static json_t *object_of(json_t *members)
{
    json_t *required = json_array();
    const char *key;
    json_t *value;
    json_object_foreach(members, key, value) json_array_append_new(required, json_string(key));
    return json_pack("{s:s, s:o, s:o}", "type", "object", "properties", members, "required", required);
}

static json_t *or_null(json_t *schema)
{
    return json_pack("{s:[o, {s:s}]}", "anyOf", schema, "type", "null");
}

/* One of its spellings; the last may have any number in place of its N. */
static json_t *choice_schema(const struct field *field)
{
    json_t *list = json_array(), *numbered = NULL;
    for (const struct field_option *option = field->options; option->spelling; option++) {
        size_t length = field_numbered_length(option);
        if (length)
            numbered = json_sprintf("^%.*s[0-9]+$", (int)length, option->spelling);
        else
            json_array_append_new(list, json_string(option->spelling));
    }
    return numbered ? json_pack("{s:[{s:o}, {s:s, s:o}]}", "anyOf", "enum", list, "type", "string", "pattern", numbered)
                    : json_pack("{s:o}", "enum", list);
}

/* A field as records hold it. */
static json_t *field_in_record(const struct field *field)
{
    static const char *const units[] = {"bytes", "ns", "count", "fraction of 1", NULL};
    json_t *schema = field->kind == FIELD_CHOICE  ? choice_schema(field)
                     : field->kind == FIELD_SHARE ? json_pack("{s:s, s:i}", "type", "number", "minimum", 0)
                                                  : json_pack("{s:s, s:i}", "type", "integer", "minimum", 0);
    json_object_set_new(schema, "description", json_string(field->doc));
    if (units[field->kind])
        json_object_set_new(schema, "unit", json_string(units[field->kind]));
    return schema;
}

static json_t *params_schema(int with_op)
{
    json_t *members = json_object();
    for (size_t i = 0; i < FIELD_COUNT; i++)
        json_object_set_new(members, field_table[i].name, field_in_record(&field_table[i]));
    if (with_op)
        json_object_set_new(members, "op", type_of("string", 0));
    return object_of(members);
}

static json_t *histogram_schema(void)
{
    return object_of(json_pack("{s:o, s:o, s:o}", "sub_bits", type_of("integer", 0), "count", type_of("integer", 0),
                               "buckets", list_of(list_of(type_of("integer", 0)))));
}

static json_t *latency_schema(void)
{
    json_t *worst = object_of(json_pack("{s:o, s:o, s:o}", "t_ns", type_of("integer", 0), "ns", type_of("integer", 0),
                                        "cause", type_of("string", 1)));
    return or_null(
        object_of(json_pack("{s:{s:[s, s]}, s:o, s:o, s:o, s:o, s:o}", "mode", "enum", "closed", "open", "interval_ns",
                            type_of("integer", 0), "response", or_null(histogram_schema()), "service",
                            histogram_schema(), "worst", list_of(worst), "left_out", type_of("integer", 0))));
}

/* What is not of JSON Schema (unit, direction, exactness) is for those who compare counts. */
static json_t *counter_schema(const char *doc, const char *unit, enum counter_direction direction,
                              enum counter_exactness exactness)
{
    json_t *counter = type_of("integer", 1);
    json_object_set_new(counter, "description", json_string(doc));
    json_object_set_new(counter, "unit", json_string(unit));
    json_object_set_new(counter, "direction", json_string(direction == COUNTER_LESS ? "less" : "neither"));
    json_object_set_new(counter, "exactness", json_string(exactness == COUNTER_EXACT ? "exact" : "timed"));
    return counter;
}

/* Counters that are asked for may be absent, and have any name: they may be events of the CPU at hand. */
static json_t *counts_schema(void)
{
    json_t *members = json_pack("{s:o}", "ops", type_of("integer", 0));
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        const struct counter *row = &counter_table[i];
        json_object_set_new(members, row->name, counter_schema(row->doc, row->unit, row->direction, row->exactness));
    }
    json_t *counts = object_of(members);
    for (unsigned i = 0; i < EVENT_COUNT; i++) {
        const struct event *row = &event_table[i];
        json_object_set_new(members, row->name, counter_schema(row->doc, row->unit, row->direction, row->exactness));
    }
    json_object_set_new(counts, "additionalProperties", type_of("integer", 1));
    return or_null(counts);
}

static json_t *events_schema(void)
{
    json_t *code = object_of(json_pack("{s:o, s:o, s:o}", "type", type_of("integer", 0), "config",
                                       type_of("integer", 0), "config1", type_of("integer", 0)));
    return or_null(list_of(
        object_of(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", type_of("string", 0), "event",
                            type_of("string", 1), "user_only", type_of("boolean", 0), "share", type_of("number", 1),
                            "pass", type_of("integer", 1), "reason", type_of("string", 1), "code", or_null(code)))));
}

static json_t *arm_schema(void)
{
    json_t *voided = object_of(json_pack("{s:o, s:o}", "round", type_of("integer", 0), "reason", type_of("string", 0)));
    json_t *sample = object_of(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "t_ns", type_of("integer", 0), "ns",
                                         type_of("integer", 0), "ops", type_of("integer", 0), "read_bytes",
                                         type_of("integer", 1), "major_faults", type_of("integer", 1), "refaults",
                                         type_of("integer", 1), "stretch", type_of("integer", 0)));
    json_t *head = json_pack("{s:o, s:o, s:o, s:o, s:o, s:{s:[s, s, s, s]}, s:o}", "name", type_of("string", 0),
                             "method", type_of("string", 0), "method_version", type_of("integer", 0), "null",
                             type_of("boolean", 0), "params", params_schema(0), "status", "enum", "ok", "failed",
                             "unsupported", "skipped", "reason", type_of("string", 1));
    json_t *times = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "ops_per_batch", type_of("integer", 1),
                              "bytes_per_op", type_of("integer", 1), "batch_ns", list_of(type_of("integer", 1)),
                              "order", list_of(type_of("integer", 0)), "workers",
                              or_null(list_of(list_of(type_of("integer", 1)))), "samples", or_null(list_of(sample)),
                              "voided", list_of(voided), "warmup_rounds", type_of("integer", 0));
    json_t *rest = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "checksum", type_of("string", 1), "latency",
                             latency_schema(), "latency_reason", type_of("string", 1), "counts", counts_schema(),
                             "events", events_schema(), "proof", type_of("object", 1));
    json_object_update_new(head, times);
    json_object_update_new(head, rest);
    return object_of(head);
}

static json_t *covariates_schema(void)
{
    static const char *const others[] = {"steal_ms", "psi_cpu_us", "psi_memory_us", "psi_io_us"};
    json_t *members = json_object();
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        if (!counter_is_device(i))
            json_object_set_new(members, counter_table[i].name, type_of("integer", 1));
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
        json_object_set_new(members, others[i], type_of("integer", 1));
    return or_null(object_of(members));
}

static json_t *layout_schema(void)
{
    return object_of(
        json_pack("{s:o, s:o}", "environment_bytes", type_of("integer", 0), "mapping_pages", type_of("integer", 0)));
}

static json_t *pairs_schema(void)
{
    return or_null(list_of(
        object_of(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "a", type_of("integer", 0), "b", type_of("integer", 0),
                            "class", type_of("string", 1), "rounds", type_of("integer", 0), "canary",
                            type_of("boolean", 0), "t_ns", type_of("integer", 0)))));
}

json_t *schema_record(void)
{
    json_t *clock = object_of(json_pack("{s:o, s:o, s:o}", "cost_ns", type_of("integer", 0), "grid_ns",
                                        type_of("integer", 0), "empty_batch_ns", type_of("integer", 0)));
    json_t *members = json_pack("{s:{s:s}, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "schema", "pattern",
                                "^faultline\\.trial/1(\\.|$)", "scenario", type_of("string", 0), "cell",
                                type_of("string", 0), "trial", type_of("integer", 0), "process", type_of("integer", 0),
                                "seed", type_of("integer", 0), "params", params_schema(1), "clock", clock, "arms",
                                list_of(arm_schema()));
    json_t *rest = json_pack("{s:o, s:o, s:o, s:o, s:o}", "machine", type_of("string", 0), "boot_id",
                             type_of("string", 0), "instance", type_of("string", 1), "started", type_of("string", 0),
                             "crc32", json_pack("{s:s, s:s}", "type", "string", "pattern", "^[0-9a-f]{8}$"));
    json_object_update_new(members, rest);
    json_object_set_new(members, "layout", layout_schema());
    json_object_set_new(members, "pairs", pairs_schema());
    json_object_set_new(members, "covariates", covariates_schema());
    json_t *schema = object_of(members);
    json_object_set_new(schema, "$schema", json_string(DIALECT));
    json_object_set_new(schema, "title", json_string("faultline.trial/1: one cell of one trial"));
    return schema;
}

/* ---- scenario files ---- */

/* A field as people write it. */
static json_t *field_in_file(const struct field *field)
{
    static const char *const patterns[] = {"^([0-9]+(KiB|MiB|GiB)?|auto)$", "^([0-9]+(ns|us|ms|s)|0)$",
                                           "^([0-9]+|auto)$", "^[0-9]*[.]?[0-9]*%$"};
    json_t *schema = field->kind == FIELD_CHOICE
                         ? choice_schema(field)
                         : json_pack("{s:[s, s], s:s}", "type", "string", "integer", "pattern", patterns[field->kind]);
    json_object_set_new(schema, "description", json_string(field->doc));
    return schema;
}

/* Fields of the scopes asked for (bit n: scope n), as single values or as lists. */
static json_t *fields_in_file(unsigned scopes, int lists)
{
    json_t *members = json_object();
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        json_t *schema = field_in_file(&field_table[i]);
        if (lists)
            schema = json_pack("{s:s, s:i, s:o}", "type", "array", "minItems", 1, "items", schema);
        if (scopes >> field_table[i].scope & 1)
            json_object_set_new(members, field_table[i].name, schema);
        else
            json_decref(schema);
    }
    return members;
}

static json_t *closed_object(json_t *members)
{
    return json_pack("{s:s, s:o, s:b}", "type", "object", "properties", members, "additionalProperties", 0);
}

static json_t *arm_in_file(void)
{
    json_t *members = fields_in_file(1U << SCOPE_ARM, 0), *methods = json_array();
    for (const struct method *const *method = method_table; *method; method++)
        json_array_append_new(methods, json_string((*method)->name));
    json_object_set_new(members, "name",
                        json_pack("{s:s, s:s}", "type", "string", "pattern", "^[A-Za-z0-9][A-Za-z0-9._+-]*$"));
    json_object_set_new(members, "method", json_pack("{s:o}", "enum", methods));
    json_t *arm = closed_object(members);
    json_object_set_new(arm, "required", json_pack("[s, s]", "name", "method"));
    return arm;
}

static json_t *profile_in_file(void)
{
    enum { ALL = 1U << SCOPE_TARGET | 1U << SCOPE_CELL | 1U << SCOPE_STATE | 1U << SCOPE_ARM };
    json_t *members = fields_in_file(ALL, 0);
    json_object_set_new(members, "vary", closed_object(fields_in_file(ALL, 1)));
    json_object_set_new(members, "left_out", type_of("boolean", 0));
    json_object_set_new(members, "trials", json_pack("{s:s, s:i}", "type", "integer", "minimum", 1));
    json_object_set_new(members, "precision", json_pack("{s:s, s:s}", "type", "string", "pattern", "%$"));
    json_object_set_new(members, "budget",
                        json_pack("{s:s, s:s}", "type", "string", "pattern", "^[0-9]+(ns|us|ms|s)$"));
    return closed_object(members);
}

/* What a claim or a control of it is decided by; as bench/claim.c reads it. */
static json_t *test_in_file(void)
{
    static const char *const arms[] = {"faster", "slower", "than", "of", "beyond"};
    static const char *const places[] = {"at", "than_at", "beyond_at"};
    json_t *quantity = json_pack("{s:o}", "count", type_of("string", 0));
    for (size_t i = 0; i < sizeof arms / sizeof *arms; i++)
        json_object_set_new(quantity, arms[i], type_of("string", 0));
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        json_object_set_new(quantity, places[i], type_of("object", 0));
    return json_pack("{s:o, s:{s:[s, s]}, s:{s:s, s:i}}", "quantity", closed_object(quantity), "rule", "enum",
                     "at_least", "at_most", "threshold", "type", "number", "minimum", 0);
}

static json_t *claim_in_file(void)
{
    static const char *const needed[] = {"id",       "statement",        "heard",
                                         "quantity", "positive_control", "negative_control"};
    json_t *members = test_in_file(), *required = json_array();
    json_object_set_new(members, "id", json_pack("{s:s, s:s}", "type", "string", "pattern", "^[a-z0-9][a-z0-9-]*$"));
    json_object_set_new(members, "statement", type_of("string", 0));
    json_object_set_new(members, "heard", type_of("string", 0));
    json_object_set_new(members, "positive_control", closed_object(test_in_file()));
    json_object_set_new(members, "negative_control", closed_object(test_in_file()));
    json_object_set_new(members, "expected", json_pack("{s:[s, s]}", "type", "string", "array"));
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        json_array_append_new(required, json_string(needed[i]));
    json_t *claim = closed_object(members);
    json_object_set_new(claim, "required", required);
    return claim;
}

json_t *schema_scenario(void)
{
    enum { ALL = 1U << SCOPE_TARGET | 1U << SCOPE_CELL | 1U << SCOPE_STATE | 1U << SCOPE_ARM };
    json_t *profiles = closed_object(json_pack("{s:o, s:o, s:o}", "quick", profile_in_file(), "standard",
                                               profile_in_file(), "thorough", profile_in_file()));
    json_t *one = claim_in_file();
    json_t *claim = json_pack("{s:[o, o]}", "anyOf", one, list_of(json_incref(one)));
    json_t *members = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:{s:s, s:i, s:i, s:o}, s:o, s:{s:s, s:s}, s:o, s:o}", "question",
        type_of("string", 0), "op", type_of("string", 0), "common", closed_object(fields_in_file(ALL, 0)), "vary",
        closed_object(fields_in_file(ALL, 1)), "exclude", list_of(closed_object(fields_in_file(ALL, 0))), "arms",
        "type", "array", "minItems", 1, "maxItems", 15, "items", arm_in_file(), "null_arm", type_of("boolean", 0),
        "delta", "type", "string", "pattern", "%$", "profiles", profiles, "claim", claim);
    json_t *schema = closed_object(members);
    json_object_set_new(schema, "required", json_pack("[s, s, s]", "question", "op", "arms"));
    json_object_set_new(schema, "$schema", json_string(DIALECT));
    json_object_set_new(schema, "title", json_string("a faultline scenario: one question"));
    return schema;
}
