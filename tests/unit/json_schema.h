/* SPDX-License-Identifier: MIT */
/* A small validator for the keywords that our JSON Schemas use; a keyword it does not know fails the test. */
#ifndef FAULTLINE_JSON_SCHEMA_H
#define FAULTLINE_JSON_SCHEMA_H

#include "unit.h"

#include <regex.h>

#include <jansson.h>

struct schema_fault {
    char text[512]; /* "" while nothing is wrong */
};

static inline bool schema_valid(const json_t *schema, const json_t *value, const char *at, struct schema_fault *fault);

static inline bool schema_blame(struct schema_fault *fault, const char *at, const char *what)
{
    snprintf(fault->text, sizeof fault->text, "%s: %s", at, what);
    return false;
}

static inline bool schema_is_type(const char *type, const json_t *value)
{
    static const struct {
        const char *name;
        json_type type;
    } types[] = {{"object", JSON_OBJECT},
                 {"array", JSON_ARRAY},
                 {"string", JSON_STRING},
                 {"integer", JSON_INTEGER},
                 {"null", JSON_NULL}};
    if (strcmp(type, "boolean") == 0)
        return json_is_boolean(value);
    if (strcmp(type, "number") == 0)
        return json_is_number(value);
    for (size_t i = 0; i < LENGTH_OF(types); i++)
        if (strcmp(types[i].name, type) == 0)
            return json_typeof(value) == types[i].type;
    fail_msg("the schema names a type '%s'", type);
    return false;
}

static inline bool schema_check_type(const json_t *type, const json_t *value)
{
    bool any = false;
    for (size_t i = 0; i < json_array_size(type); i++)
        any |= schema_is_type(json_string_value(json_array_get(type, i)), value);
    return json_is_string(type) ? schema_is_type(json_string_value(type), value) : any;
}

static inline bool schema_matches(const char *pattern, const char *text)
{
    regex_t compiled;
    assert_int_equal(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB), 0);
    bool matches = regexec(&compiled, text, 0, NULL, 0) == 0;
    regfree(&compiled);
    return matches;
}

static inline bool schema_contains(const json_t *list, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_equal(json_array_get(list, i), value))
            return true;
    return false;
}

static inline bool schema_any_of(const json_t *list, const json_t *value, const char *at, struct schema_fault *fault)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (schema_valid(json_array_get(list, i), value, at, fault)) {
            fault->text[0] = '\0';
            return true;
        }
    return false;
}

static inline bool schema_check_members(const json_t *schema, const json_t *object, const char *at,
                                        struct schema_fault *fault)
{
    const json_t *properties = json_object_get(schema, "properties"), *required = json_object_get(schema, "required");
    const char *key;
    json_t *value;
    char below[256];
    for (size_t i = 0; i < json_array_size(required); i++)
        if (!json_object_get(object, json_string_value(json_array_get(required, i))))
            return schema_blame(fault, at, json_string_value(json_array_get(required, i)));
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        const json_t *member = json_object_get(properties, key);
        snprintf(below, sizeof below, "%.190s/%.60s", at, key);
        if (!member && json_is_false(json_object_get(schema, "additionalProperties")))
            return schema_blame(fault, below, "unknown key");
        if (member && !schema_valid(member, value, below, fault))
            return false;
    }
    return true;
}

static inline bool schema_check_items(const json_t *items, const json_t *list, const char *at,
                                      struct schema_fault *fault)
{
    char below[256];
    for (size_t i = 0; items && i < json_array_size(list); i++) {
        snprintf(below, sizeof below, "%.200s/%zu", at, i);
        if (!schema_valid(items, json_array_get(list, i), below, fault))
            return false;
    }
    return true;
}

static inline void schema_know_keywords(const json_t *schema)
{
    static const char *const known[] = {"type",
                                        "properties",
                                        "required",
                                        "items",
                                        "enum",
                                        "anyOf",
                                        "pattern",
                                        "minimum",
                                        "minItems",
                                        "maxItems",
                                        "additionalProperties",
                                        "description",
                                        "unit",
                                        "title",
                                        "$schema",
                                        "direction",
                                        "exactness"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)schema, key, value)
    {
        bool found = false;
        for (size_t i = 0; i < LENGTH_OF(known); i++)
            found |= strcmp(known[i], key) == 0;
        if (!found)
            fail_msg("the schema uses '%s'", key);
    }
}

static inline bool schema_check_size(const json_t *schema, const json_t *value)
{
    const json_t *least = json_object_get(schema, "minItems"), *most = json_object_get(schema, "maxItems");
    json_int_t size = (json_int_t)json_array_size(value);
    return (!least || size >= json_integer_value(least)) && (!most || size <= json_integer_value(most));
}

static inline bool schema_valid(const json_t *schema, const json_t *value, const char *at, struct schema_fault *fault)
{
    assert_true(json_is_object(schema));
    schema_know_keywords(schema);
    const json_t *type = json_object_get(schema, "type"), *list = json_object_get(schema, "enum");
    const json_t *any = json_object_get(schema, "anyOf"), *pattern = json_object_get(schema, "pattern");
    const json_t *minimum = json_object_get(schema, "minimum");
    if (type && !schema_check_type(type, value))
        return schema_blame(fault, at, "wrong type");
    if (list && !schema_contains(list, value))
        return schema_blame(fault, at, "not one of the list");
    if (any && !schema_any_of(any, value, at, fault))
        return false;
    if (pattern && json_is_string(value) && !schema_matches(json_string_value(pattern), json_string_value(value)))
        return schema_blame(fault, at, "does not match");
    if (minimum && json_is_number(value) && json_number_value(value) < json_number_value(minimum))
        return schema_blame(fault, at, "below the minimum");
    if (json_is_array(value))
        return schema_check_size(schema, value) ? schema_check_items(json_object_get(schema, "items"), value, at, fault)
                                                : schema_blame(fault, at, "too few or too many");
    return !json_is_object(value) || schema_check_members(schema, value, at, fault);
}

static inline void schema_assert_valid(const json_t *schema, const json_t *value)
{
    struct schema_fault fault = {""};
    if (!schema_valid(schema, value, "", &fault))
        fail_msg("%s", fault.text);
}

#endif
