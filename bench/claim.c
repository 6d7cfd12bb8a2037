/* SPDX-License-Identifier: MIT */
/* The statements that a scenario puts to the test: read, held against its arms and what it varies, and written as the
 * list that a plan carries to whoever decides them. */
#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "counter.h"
#include "scenario_parts.h"
#include "survey.h"
#include "wire.h"

enum {
    CLAIMS_MAX = 16,
    ID_SIZE = 64,
    WORDS_SIZE = 600,
};
static const double factor_default = 1.25; /* from which on a difference of times matters to whoever makes a claim */

/* Reads one key of a mapping into `into`. */
struct member {
    const char *name;
    int (*take)(struct reading *reading, const struct yaml *value, const char *name, json_t *into);
    bool needed;
};

static int set_new(struct reading *reading, json_t *into, const char *name, json_t *value)
{
    return json_object_set_new(into, name, value) ? reading_out_of_memory(reading) : 0;
}

/* The members of a mapping, each at most once, in the order of the table, which ends with a NULL name. */
static int take_members(struct reading *reading, const struct yaml *node, const char *what,
                        const struct member *members, json_t *into)
{
    const char *known[16] = {NULL};
    int rc = reading_want(reading, node, YAML_MAPPING, what);
    for (size_t i = 0; members[i].name; i++)
        known[i] = members[i].name;
    for (unsigned i = 0; !rc && i < node->count; i += 2) {
        size_t which = 0;
        while (known[which] && strcmp(known[which], node->items[i]->text) != 0)
            which++;
        if (!known[which])
            rc = reading_refuse_unknown(reading, "key", node->items[i], known);
    }
    for (; !rc && members->name; members++) {
        const struct yaml *value = yaml_find(node, members->name);
        if (value)
            rc = members->take(reading, value, members->name, into);
        else if (members->needed)
            rc = reading_refuse(reading, node->at, "%s needs '%s'", what, members->name);
    }
    return rc;
}

static int take_words(struct reading *reading, const struct yaml *node, const char *name, json_t *into)
{
    char *text = NULL;
    int rc = reading_string(reading, node, name, WORDS_SIZE, &text);
    if (!rc)
        rc = set_new(reading, into, name, json_string(text));
    free(text);
    return rc;
}

static int take_id(struct reading *reading, const struct yaml *node, const char *name, json_t *into)
{
    int rc = reading_want(reading, node, YAML_TEXT, name);
    if (rc)
        return rc;
    size_t length = strlen(node->text);
    if (length == 0 || length >= ID_SIZE || !isalnum((unsigned char)node->text[0]) ||
        strspn(node->text, "abcdefghijklmnopqrstuvwxyz0123456789-") < length)
        return reading_refuse(reading, node->at,
                              "'%.60s' cannot name a claim: a letter or digit, then a-z, 0-9 and -, at most %d",
                              node->text, ID_SIZE - 1);
    return set_new(reading, into, name, json_string(node->text));
}

/* ---- what is measured ---- */

static int take_arm_of(struct reading *reading, const struct yaml *node, const char *name, json_t *into)
{
    const struct scenario *scenario = reading->scenario;
    const char *known[ARMS_MAX + 1] = {NULL};
    int rc = reading_want(reading, node, YAML_TEXT, name);
    if (rc)
        return rc;
    for (unsigned i = 0; i < scenario->arm_count; i++)
        known[i] = scenario->arms[i].name;
    for (size_t i = 0; known[i]; i++)
        if (strcmp(known[i], node->text) == 0)
            return set_new(reading, into, name, json_string(node->text));
    return reading_refuse_unknown(reading, "arm", node, known);
}

static int take_counter(struct reading *reading, const struct yaml *node, const char *name, json_t *into)
{
    const char *known[COUNTER_COUNT + 1] = {NULL};
    int rc = reading_want(reading, node, YAML_TEXT, name);
    if (rc)
        return rc;
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        known[i] = counter_table[i].name;
        if (strcmp(known[i], node->text) == 0)
            return set_new(reading, into, name, json_string(node->text));
    }
    return reading_refuse_unknown(reading, "counter", node, known);
}

/* A value that the field has in some profile. */
static int check_varied(struct reading *reading, const struct field *field, const struct yaml *key,
                        const struct yaml *value, const char *text)
{
    bool varied = false;
    for (unsigned which = 0; which < PROFILE_COUNT; which++) {
        const struct variation *variation = scenario_variation(reading->scenario, which, field);
        if (variation && variation_has(variation, text))
            return 0;
        varied = varied || variation;
    }
    return varied ? reading_refuse(reading, value->at, "%s is never %s here", field->name, text)
                  : reading_refuse(reading, key->at, "'%s' is not varied here: every cell has the same", field->name);
}

/* Conditions: some of what is varied, with one of its values each. */
static int take_conditions(struct reading *reading, const struct yaml *node, const char *name, json_t *into)
{
    json_t *found = json_object();
    int rc = reading_want(reading, node, YAML_MAPPING, name);
    for (unsigned i = 0; !rc && i < node->count; i += 2) {
        const struct yaml *key = node->items[i], *value = node->items[i + 1];
        const struct field *field;
        struct params params;
        char text[TEXT_SIZE];
        rc = reading_field(reading, key, &field);
        if (!rc)
            rc = reading_value(reading, field, value, text);
        if (!rc)
            rc = check_varied(reading, field, key, value, text);
        if (!rc)
            rc = field_parse(field, text, &params, reading->err);
        if (!rc)
            rc = set_new(reading, found, field->name, wire_value(field, &params));
    }
    if (!rc)
        rc = set_new(reading, into, name, json_incref(found));
    json_decref(found);
    return rc;
}

/* The words by which a quantity is told apart are needed, so each kind has a table of its own. */
static const struct member of_faster[] = {{"faster", take_arm_of, true},
                                          {"than", take_arm_of, true},
                                          {"at", take_conditions, false},
                                          {"than_at", take_conditions, false},
                                          {0}};
static const struct member of_slower[] = {{"slower", take_arm_of, true},
                                          {"than", take_arm_of, true},
                                          {"at", take_conditions, false},
                                          {"than_at", take_conditions, false},
                                          {0}};
static const struct member of_count[] = {{"count", take_counter, true},         {"of", take_arm_of, true},
                                         {"at", take_conditions, false},        {"beyond", take_arm_of, false},
                                         {"beyond_at", take_conditions, false}, {0}};

static bool is_count(const json_t *quantity)
{
    return json_object_get(quantity, "count");
}

static const char *word(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool same_fields(const json_t *one, const json_t *other)
{
    const char *key;
    json_t *value;
    if (json_object_size(one) != json_object_size(other))
        return false;
    json_object_foreach((json_t *)one, key, value) if (!json_object_get(other, key)) return false;
    return true;
}

/* An arm against itself under the same conditions says nothing. */
static int check_sides(struct reading *reading, const struct yaml *node, const json_t *quantity)
{
    const char *mine = json_object_get(quantity, "faster") ? "faster" : is_count(quantity) ? "of" : "slower";
    const char *other = is_count(quantity) ? "beyond" : "than";
    const char *other_at = is_count(quantity) ? "beyond_at" : "than_at";
    const json_t *at = json_object_get(quantity, "at"), *its = json_object_get(quantity, other_at);
    if (its && !json_object_get(quantity, other))
        return reading_refuse(reading, node->at, "'%s' says where '%s' is, which is missing", other_at, other);
    if (its && !same_fields(at, its))
        return reading_refuse(reading, node->at, "'at' and '%s' must name the same fields", other_at);
    bool same_place = !its || json_equal(at, its); /* the other one is where the first is, unless it says otherwise */
    if (same_place && strcmp(word(quantity, mine), word(quantity, other)) == 0)
        return reading_refuse(reading, node->at, "'%s' is compared with itself", word(quantity, mine));
    return 0;
}

static int take_quantity(struct reading *reading, const struct yaml *node, const char *name, json_t *into)
{
    int rc = reading_want(reading, node, YAML_MAPPING, name);
    if (rc)
        return rc;
    const struct member *kind = yaml_find(node, "count") ? of_count : yaml_find(node, "slower") ? of_slower : of_faster;
    json_t *quantity = json_object();
    rc = take_members(reading, node, "a quantity", kind, quantity);
    if (!rc)
        rc = check_sides(reading, node, quantity);
    if (!rc)
        rc = set_new(reading, into, name, json_incref(quantity));
    json_decref(quantity);
    return rc;
}

/* ---- what is asked of it ---- */

static int take_rule(struct reading *reading, const struct yaml *node, const char *name, json_t *into)
{
    static const char *const known[] = {"at_least", "at_most", NULL};
    int rc = reading_want(reading, node, YAML_TEXT, name);
    for (size_t i = 0; !rc && known[i]; i++)
        if (strcmp(known[i], node->text) == 0)
            return set_new(reading, into, name, json_string(known[i]));
    return rc ? rc : reading_refuse_unknown(reading, "rule", node, known);
}

static int take_threshold(struct reading *reading, const struct yaml *node, const char *name, json_t *into)
{
    int rc = reading_want(reading, node, YAML_TEXT, name);
    if (rc)
        return rc;
    char *end;
    double value = strtod(node->text, &end);
    bool plain = strspn(node->text, "0123456789.") == strlen(node->text);
    if (!plain || *end || end == node->text || !isfinite(value))
        return reading_refuse(reading, node->at, "'%.60s' is no threshold: a number such as 1.25", node->text);
    return set_new(reading, into, name, json_real(value));
}

/* What was left open: the rule; the threshold of a factor of time, while that of a count has to be said. */
static int fill_test(struct reading *reading, const struct yaml *node, json_t *test)
{
    const json_t *threshold = json_object_get(test, "threshold");
    bool counts = is_count(json_object_get(test, "quantity"));
    if (counts && !threshold)
        return reading_refuse(reading, node->at, "a count needs a 'threshold'");
    if (!counts && threshold && !(json_number_value(threshold) > 0))
        return reading_refuse(reading, node->at, "the threshold of a factor must be above 0");
    int rc = threshold ? 0 : set_new(reading, test, "threshold", json_real(factor_default));
    if (!rc && !json_object_get(test, "rule"))
        rc = set_new(reading, test, "rule", json_string("at_least"));
    return rc;
}

static int take_control(struct reading *reading, const struct yaml *node, const char *name, json_t *into)
{
    static const struct member members[] = {
        {"quantity", take_quantity, true}, {"rule", take_rule, false}, {"threshold", take_threshold, false}, {0}};
    json_t *control = json_object();
    int rc = take_members(reading, node, name, members, control);
    if (!rc)
        rc = fill_test(reading, node, control);
    if (!rc)
        rc = set_new(reading, into, name, json_incref(control));
    json_decref(control);
    return rc;
}

/* ---- what is expected, and where ---- */

static int take_verdict(struct reading *reading, const struct yaml *node, const char *name, json_t *into)
{
    static const char *const known[] = {"SUPPORTED", "REFUTED", "INCONCLUSIVE", NULL};
    int rc = reading_want(reading, node, YAML_TEXT, name);
    for (size_t i = 0; !rc && known[i]; i++)
        if (strcmp(known[i], node->text) == 0)
            return set_new(reading, into, name, json_string(known[i]));
    return rc ? rc : reading_refuse_unknown(reading, "verdict", node, known);
}

/* Values of a machine's description by their keys (survey.h), as text. */
static int take_machine(struct reading *reading, const struct yaml *node, const char *name, json_t *into)
{
    const char *known[SURVEY_KEYS_MAX];
    json_t *found = json_object();
    int rc = reading_want(reading, node, YAML_MAPPING, name);
    survey_keys(known);
    for (unsigned i = 0; !rc && i < node->count; i += 2) {
        const char *key = node->items[i]->text;
        size_t which = 0;
        while (known[which] && strcmp(known[which], key) != 0)
            which++;
        rc = known[which] ? take_words(reading, node->items[i + 1], key, found)
                          : reading_refuse_unknown(reading, MACHINE_VALUE, node->items[i], known);
    }
    if (!rc)
        rc = set_new(reading, into, name, json_incref(found));
    json_decref(found);
    return rc;
}

static int take_expectation(struct reading *reading, const struct yaml *node, json_t *list)
{
    static const struct member members[] = {{"verdict", take_verdict, true},  {"where", take_conditions, false},
                                            {"cpu", take_words, false},       {"kernel_from", take_words, false},
                                            {"machine", take_machine, false}, {0}};
    json_t *one = json_object();
    int rc = take_members(reading, node, "an expectation", members, one);
    if (!rc && json_array_append(list, one))
        rc = reading_out_of_memory(reading);
    json_decref(one);
    return rc;
}

/* One word, or a list of which the first that applies counts. */
static int take_expected(struct reading *reading, const struct yaml *node, const char *name, json_t *into)
{
    if (node->kind != YAML_LIST) {
        json_t *one = json_object();
        int rc = take_verdict(reading, node, "verdict", one);
        if (!rc)
            rc = set_new(reading, into, name, json_pack("[O]", one));
        json_decref(one);
        return rc;
    }
    json_t *list = json_array();
    int rc = reading_want(reading, node, YAML_LIST, name);
    for (unsigned i = 0; !rc && i < node->count; i++)
        rc = take_expectation(reading, node->items[i], list);
    if (!rc)
        rc = set_new(reading, into, name, json_incref(list));
    json_decref(list);
    return rc;
}

/* ---- the block ---- */

static int check_new(struct reading *reading, const struct yaml *node, const json_t *claim, const json_t *list)
{
    size_t i;
    const json_t *other;
    json_array_foreach(list, i, other) if (strcmp(word(other, "id"), word(claim, "id")) == 0) return reading_refuse(
        reading, node->at, "two claims are named '%s'", word(claim, "id"));
    return 0;
}

static int take_one(struct reading *reading, const struct yaml *node, json_t *list)
{
    static const struct member members[] = {{"id", take_id, true},
                                            {"statement", take_words, true},
                                            {"heard", take_words, true},
                                            {"quantity", take_quantity, true},
                                            {"rule", take_rule, false},
                                            {"threshold", take_threshold, false},
                                            {"positive_control", take_control, true},
                                            {"negative_control", take_control, true},
                                            {"expected", take_expected, false},
                                            {0}};
    json_t *claim = json_object();
    int rc = take_members(reading, node, "a claim", members, claim);
    if (!rc)
        rc = fill_test(reading, node, claim);
    if (!rc)
        rc = check_new(reading, node, claim, list);
    if (!rc && json_array_append(list, claim))
        rc = reading_out_of_memory(reading);
    json_decref(claim);
    return rc;
}

int claim_read(struct reading *reading, const struct yaml *node, char **json)
{
    json_t *list = json_array();
    int rc = 0;
    if (node->kind != YAML_LIST)
        rc = take_one(reading, node, list);
    else if (node->count == 0 || node->count > CLAIMS_MAX)
        rc = reading_refuse(reading, node->at, "%u claims: 1 to %d", node->count, CLAIMS_MAX);
    else
        for (unsigned i = 0; !rc && i < node->count; i++)
            rc = take_one(reading, node->items[i], list);
    if (!rc && !(*json = json_dumps(list, JSON_COMPACT)))
        rc = reading_out_of_memory(reading);
    json_decref(list);
    return rc;
}
