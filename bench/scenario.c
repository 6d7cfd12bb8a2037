/* SPDX-License-Identifier: MIT */
#include "scenario.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "precision.h"
#include "scenario_parts.h"

enum {
    QUESTION_SIZE = 400,
    OP_SIZE = 64,
    NEAR = 2, /* edits within which a known word is worth suggesting */
};

int reading_refuse(struct reading *reading, struct place_in_file at, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err_set(reading->err, EINVAL, "%s", text);
    return err_place(reading->err, reading->scenario->path, at);
}

int reading_out_of_memory(struct reading *reading)
{
    return err_set(reading->err, ENOMEM, "%s: out of memory", reading->scenario->path);
}

/* Letters to add, drop or replace to make one word of the other; NEAR + 1 stands for all that is farther. */
static unsigned edit_distance(const char *a, const char *b)
{
    enum { WORD_MAX = 32 };
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length > WORD_MAX || b_length > WORD_MAX)
        return NEAR + 1;
    unsigned row[WORD_MAX + 1];
    for (size_t j = 0; j <= b_length; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned above = row[j];
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
        }
    }
    return row[b_length];
}

static const char *nearest(const char *word, const char *const *known)
{
    const char *best = NULL;
    unsigned best_distance = NEAR + 1;
    for (; *known; known++) {
        unsigned distance = edit_distance(word, *known);
        if (distance < best_distance) {
            best_distance = distance;
            best = *known;
        }
    }
    return best;
}

/* The command that shows all there is of what is too much for a message. */
static const char *shown_by(const char *what)
{
    return strcmp(what, "method") == 0        ? "list methods"
           : strcmp(what, MACHINE_VALUE) == 0 ? "machine --json"
                                              : "list fields";
}

/* "unknown key 'x': did you mean 'y'?", or the words that are known when none is near. */
int reading_refuse_unknown(struct reading *reading, const char *what, const struct yaml *word, const char *const *known)
{
    const char *near = nearest(word->text, known);
    if (near)
        return reading_refuse(reading, word->at, "unknown %s '%.60s': did you mean '%s'?", what, word->text, near);
    char list[240] = "";
    for (; *known; known++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", *known);
    }
    if (strlen(list) + 1 >= sizeof list)
        snprintf(list, sizeof list, "`faultline %s` shows all", shown_by(what));
    return reading_refuse(reading, word->at, "unknown %s '%.60s'; known: %s", what, word->text, list);
}

int reading_want(struct reading *reading, const struct yaml *node, enum yaml_kind kind, const char *what)
{
    static const char *const names[] = {"one value", "a list", "a mapping"};
    if (node->kind != kind)
        return reading_refuse(reading, node->at, "%s must be %s, this is %s", what, names[kind], names[node->kind]);
    if (kind != YAML_TEXT && node->count == 0)
        return reading_refuse(reading, node->at, "%s is empty", what);
    return 0;
}

int reading_string(struct reading *reading, const struct yaml *node, const char *what, size_t room, char **copy)
{
    int rc = reading_want(reading, node, YAML_TEXT, what);
    if (rc)
        return rc;
    if (node->text[0] == '\0' || strlen(node->text) >= room)
        return reading_refuse(reading, node->at, "%s must have 1 to %zu bytes", what, room - 1);
    *copy = strdup(node->text);
    return *copy ? 0 : reading_out_of_memory(reading);
}

/* ---- settings and variations: keys of the table ---- */

static void field_names(const char *names[FIELD_COUNT + 1])
{
    for (size_t i = 0; i < FIELD_COUNT; i++)
        names[i] = field_table[i].name;
    names[FIELD_COUNT] = NULL;
}

int reading_field(struct reading *reading, const struct yaml *key, const struct field **field)
{
    const char *names[FIELD_COUNT + 1];
    *field = field_find(key->text);
    if (*field)
        return 0;
    field_names(names);
    return reading_refuse_unknown(reading, "key", key, names);
}

int reading_value(struct reading *reading, const struct field *field, const struct yaml *value, char text[TEXT_SIZE])
{
    struct params params;
    int rc = reading_want(reading, value, YAML_TEXT, field->name);
    if (rc)
        return rc;
    if (strlen(value->text) >= TEXT_SIZE)
        return reading_refuse(reading, value->at, "the value of %s is too long", field->name);
    if (field_parse(field, value->text, &params, reading->err))
        return err_place(reading->err, reading->scenario->path, value->at);
    if (field == &field_table[FIELD_backing] && strcmp(value->text, "given") == 0)
        return reading_refuse(reading, value->at,
                              "'backing: given' is what --file PATH says; a scenario cannot name the file");
    memcpy(text, value->text, strlen(value->text) + 1);
    return 0;
}

/* Room for `count` more settings, which are then added one by one. */
static int settings_reserve(struct reading *reading, struct settings *settings, unsigned count)
{
    settings->items = calloc(count ? count : 1, sizeof *settings->items);
    return settings->items ? 0 : reading_out_of_memory(reading);
}

static int settings_add(struct reading *reading, const struct yaml *key, const struct yaml *value,
                        struct settings *settings)
{
    struct setting *setting = &settings->items[settings->count];
    int rc = reading_field(reading, key, &setting->field);
    if (rc)
        return rc;
    setting->at = key->at;
    settings->count++;
    return reading_value(reading, setting->field, value, setting->text);
}

static int take_settings(struct reading *reading, const struct yaml *node, const char *what, struct settings *settings)
{
    int rc = reading_want(reading, node, YAML_MAPPING, what);
    if (!rc)
        rc = settings_reserve(reading, settings, node->count / 2);
    for (unsigned i = 0; !rc && i < node->count; i += 2)
        rc = settings_add(reading, node->items[i], node->items[i + 1], settings);
    return rc;
}

static bool same_value(const struct field *field, const char *a, const char *b)
{
    struct params first, second;
    struct err ignored;
    params_default(&first);
    params_default(&second);
    return !field_parse(field, a, &first, &ignored) && !field_parse(field, b, &second, &ignored) &&
           field_equal(field, &first, &second);
}

bool variation_has(const struct variation *variation, const char *text)
{
    for (unsigned i = 0; i < variation->text_count; i++)
        if (same_value(variation->field, variation->texts[i], text))
            return true;
    return false;
}

static int take_variation(struct reading *reading, const struct yaml *key, const struct yaml *list,
                          struct variation *variation)
{
    int rc = reading_field(reading, key, &variation->field);
    if (!rc)
        rc = reading_want(reading, list, YAML_LIST, variation->field->name);
    if (rc)
        return rc;
    if (list->count > CELLS_MAX)
        return reading_refuse(reading, list->at, "%u values: a sweep has at most %d cells", list->count, CELLS_MAX);
    variation->key_at = key->at;
    variation->texts = calloc(list->count, sizeof *variation->texts);
    variation->at = calloc(list->count, sizeof *variation->at);
    if (!variation->texts || !variation->at)
        return reading_out_of_memory(reading);
    for (unsigned i = 0; i < list->count; i++) {
        const struct yaml *value = list->items[i];
        rc = reading_value(reading, variation->field, value, variation->texts[i]);
        if (rc)
            return rc;
        if (variation_has(variation, value->text))
            return reading_refuse(reading, value->at, "%s has the value %s twice", variation->field->name, value->text);
        variation->at[variation->text_count++] = value->at;
    }
    return 0;
}

static int take_vary(struct reading *reading, const struct yaml *node, struct variation **vary, unsigned *count)
{
    int rc = reading_want(reading, node, YAML_MAPPING, "vary");
    if (rc)
        return rc;
    *vary = calloc(node->count / 2, sizeof **vary);
    if (!*vary)
        return reading_out_of_memory(reading);
    for (unsigned i = 0; !rc && i < node->count; i += 2) {
        rc = take_variation(reading, node->items[i], node->items[i + 1], *vary + i / 2);
        ++*count; /* counted even when refused, so that it is freed */
    }
    return rc;
}

/* ---- arms ---- */

static int take_arm_name(struct reading *reading, const struct yaml *node, struct arm_description *arm)
{
    int rc = reading_want(reading, node, YAML_TEXT, "the name of an arm");
    if (rc)
        return rc;
    size_t length = strlen(node->text);
    size_t good = strspn(node->text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-");
    if (length == 0 || length >= NAME_SIZE || good < length || !isalnum((unsigned char)node->text[0]))
        return reading_refuse(
            reading, node->at,
            "'%.60s' cannot name an arm: a letter or digit, then letters, digits and . _ + -, at most %d", node->text,
            NAME_SIZE - 1);
    if (strcmp(node->text, "null") == 0)
        return reading_refuse(reading, node->at, "'null' is the name of the automatic duplicate of the baseline");
    for (const struct arm_description *other = reading->scenario->arms; other < arm; other++)
        if (strcmp(other->name, node->text) == 0)
            return reading_refuse(reading, node->at, "two arms are named '%s'", node->text);
    memcpy(arm->name, node->text, length + 1);
    return 0;
}

static int take_method(struct reading *reading, const struct yaml *node, struct arm_description *arm)
{
    enum { METHODS_SHOWN = 128 };
    const char *names[METHODS_SHOWN + 1] = {NULL};
    int rc = reading_want(reading, node, YAML_TEXT, "method");
    if (rc)
        return rc;
    arm->method = method_find(node->text);
    if (arm->method)
        return 0;
    for (size_t i = 0; i < METHODS_SHOWN && method_table[i]; i++)
        names[i] = method_table[i]->name;
    return reading_refuse_unknown(reading, "method", node, names);
}

static int add_arm_setting(struct reading *reading, const struct yaml *key, const struct yaml *value,
                           struct arm_description *arm)
{
    int rc = settings_add(reading, key, value, &arm->settings);
    if (rc)
        return rc;
    const struct field *field = arm->settings.items[arm->settings.count - 1].field;
    if (field->scope != SCOPE_ARM)
        return reading_refuse(reading, key->at, "'%s' is the same for all arms: it belongs in common or vary",
                              field->name);
    if (!method_uses(arm->method, field))
        return reading_refuse(reading, key->at, "'%s' means nothing to %s", field->name, arm->method->name);
    return 0;
}

static int take_arm(struct reading *reading, const struct yaml *node, struct arm_description *arm)
{
    int rc = reading_want(reading, node, YAML_MAPPING, "an arm");
    if (rc)
        return rc;
    arm->at = node->at;
    const struct yaml *name = yaml_find(node, "name"), *method = yaml_find(node, "method");
    if (!name || !method)
        return reading_refuse(reading, node->at, "an arm needs a %s", name ? "method" : "name");
    rc = take_arm_name(reading, name, arm);
    if (!rc)
        rc = take_method(reading, method, arm);
    if (!rc)
        rc = settings_reserve(reading, &arm->settings, node->count / 2);
    for (unsigned i = 0; !rc && i < node->count; i += 2)
        if (node->items[i + 1] != name && node->items[i + 1] != method)
            rc = add_arm_setting(reading, node->items[i], node->items[i + 1], arm);
    return rc;
}

static int take_arms(struct reading *reading, const struct yaml *node)
{
    struct scenario *scenario = reading->scenario;
    int rc = reading_want(reading, node, YAML_LIST, "arms");
    if (rc)
        return rc;
    if (node->count > ARMS_MAX - 1)
        return reading_refuse(reading, node->at, "%u arms: at most %d", node->count, ARMS_MAX - 1);
    scenario->arms_at = node->at;
    scenario->arms = calloc(node->count, sizeof *scenario->arms);
    if (!scenario->arms)
        return reading_out_of_memory(reading);
    for (unsigned i = 0; !rc && i < node->count; i++)
        rc = take_arm(reading, node->items[i], &scenario->arms[scenario->arm_count++]);
    return rc;
}

/* ---- profiles ---- */

static int take_flag(struct reading *reading, const struct yaml *node, const char *what, bool *flag)
{
    int rc = reading_want(reading, node, YAML_TEXT, what);
    if (rc)
        return rc;
    *flag = strcmp(node->text, "true") == 0;
    if (!*flag && strcmp(node->text, "false") != 0)
        return reading_refuse(reading, node->at, "%s must be true or false", what);
    return 0;
}

static int take_share(struct reading *reading, const struct yaml *node, const char *what, double *share)
{
    int rc = reading_want(reading, node, YAML_TEXT, what);
    if (rc)
        return rc;
    if (text_parse_share(node->text, share, reading->err))
        return err_place(reading->err, reading->scenario->path, node->at);
    if (*share <= 0 || *share > 0.5)
        return reading_refuse(reading, node->at, "%s must lie above 0%% and be at most 50%%", what);
    return 0;
}

static int take_trials(struct reading *reading, const struct yaml *node, struct profile *profile)
{
    uint64_t count;
    int rc = reading_want(reading, node, YAML_TEXT, "trials");
    if (rc)
        return rc;
    if (text_parse_count(node->text, &count, reading->err))
        return err_place(reading->err, reading->scenario->path, node->at);
    if (count < 1 || count > PRECISION_TRIALS_MAX)
        return reading_refuse(reading, node->at, "trials must lie between 1 and %d", PRECISION_TRIALS_MAX);
    profile->trials = (unsigned)count;
    profile->has_trials = true;
    return 0;
}

static int take_budget(struct reading *reading, const struct yaml *node, struct profile *profile)
{
    int rc = reading_want(reading, node, YAML_TEXT, "budget");
    if (rc)
        return rc;
    if (text_parse_time(node->text, &profile->budget_ns, reading->err))
        return err_place(reading->err, reading->scenario->path, node->at);
    if (profile->budget_ns == 0)
        return reading_refuse(reading, node->at, "a budget of no time measures nothing");
    profile->has_budget = true;
    return 0;
}

static int take_profile_key(struct reading *reading, const struct yaml *key, const struct yaml *value,
                            struct profile *profile)
{
    if (strcmp(key->text, "vary") == 0)
        return take_vary(reading, value, &profile->vary, &profile->vary_count);
    if (strcmp(key->text, "trials") == 0)
        return take_trials(reading, value, profile);
    if (strcmp(key->text, "budget") == 0)
        return take_budget(reading, value, profile);
    if (strcmp(key->text, "precision") == 0) {
        profile->has_precision = true;
        return take_share(reading, value, "precision", &profile->precision);
    }
    if (strcmp(key->text, "left_out") == 0)
        return take_flag(reading, value, "left_out", &profile->left_out);
    if (field_find(key->text))
        return settings_add(reading, key, value, &profile->common);
    const char *names[FIELD_COUNT + 6] = {"vary", "trials", "budget", "precision", "left_out"};
    field_names(names + 5);
    return reading_refuse_unknown(reading, "key", key, names);
}

static int take_profile(struct reading *reading, const struct yaml *node, struct profile *profile)
{
    int rc = reading_want(reading, node, YAML_MAPPING, "a profile");
    if (!rc)
        rc = settings_reserve(reading, &profile->common, node->count / 2);
    profile->present = true;
    profile->at = node->at;
    for (unsigned i = 0; !rc && i < node->count; i += 2)
        rc = take_profile_key(reading, node->items[i], node->items[i + 1], profile);
    return rc;
}

static int take_profiles(struct reading *reading, const struct yaml *node)
{
    const char *const known[] = {"quick", "standard", "thorough", NULL};
    int rc = reading_want(reading, node, YAML_MAPPING, "profiles");
    for (unsigned i = 0; !rc && i < node->count; i += 2) {
        unsigned which = 0;
        while (which < PROFILE_COUNT && strcmp(profile_names[which], node->items[i]->text) != 0)
            which++;
        rc = which == PROFILE_COUNT ? reading_refuse_unknown(reading, "profile", node->items[i], known)
                                    : take_profile(reading, node->items[i + 1], &reading->scenario->profiles[which]);
    }
    return rc;
}

/* ---- the other keys ---- */

static int take_question(struct reading *reading, const struct yaml *node)
{
    return reading_string(reading, node, "question", QUESTION_SIZE, &reading->scenario->question);
}

static int take_op(struct reading *reading, const struct yaml *node)
{
    return reading_string(reading, node, "op", OP_SIZE, &reading->scenario->op);
}

static int take_common(struct reading *reading, const struct yaml *node)
{
    return take_settings(reading, node, "common", &reading->scenario->common);
}

static int take_own_vary(struct reading *reading, const struct yaml *node)
{
    return take_vary(reading, node, &reading->scenario->vary, &reading->scenario->vary_count);
}

static int take_exclude(struct reading *reading, const struct yaml *node)
{
    struct scenario *scenario = reading->scenario;
    int rc = reading_want(reading, node, YAML_LIST, "exclude");
    if (rc)
        return rc;
    scenario->exclude = calloc(node->count, sizeof *scenario->exclude);
    if (!scenario->exclude)
        return reading_out_of_memory(reading);
    for (unsigned i = 0; !rc && i < node->count; i++)
        rc = take_settings(reading, node->items[i], "an entry of exclude",
                           &scenario->exclude[scenario->exclude_count++]);
    return rc;
}

static int take_null_arm(struct reading *reading, const struct yaml *node)
{
    return take_flag(reading, node, "null_arm", &reading->scenario->null_arm);
}

static int take_delta(struct reading *reading, const struct yaml *node)
{
    return take_share(reading, node, "delta", &reading->scenario->delta);
}

static int take_claim(struct reading *reading, const struct yaml *node)
{
    reading->claim = node; /* names arms and what varies: looked at when all of these are known */
    return 0;
}

/* ---- what several keys say together ---- */

static bool any_arm_uses(const struct scenario *scenario, const struct field *field)
{
    for (unsigned i = 0; i < scenario->arm_count; i++)
        if (method_uses(scenario->arms[i].method, field))
            return true;
    return false;
}

static int check_used(struct reading *reading, const struct field *field, struct place_in_file at)
{
    bool own = field->scope == SCOPE_ARM || field->scope == SCOPE_STATE;
    if (own && !any_arm_uses(reading->scenario, field))
        return reading_refuse(reading, at, "'%s' means nothing to any of the arms", field->name);
    return 0;
}

static int check_settings_used(struct reading *reading, const struct settings *settings)
{
    int rc = 0;
    for (unsigned i = 0; !rc && i < settings->count; i++)
        rc = check_used(reading, settings->items[i].field, settings->items[i].at);
    return rc;
}

static int check_vary(struct reading *reading, const struct variation *vary, unsigned count)
{
    const struct scenario *scenario = reading->scenario;
    for (unsigned i = 0; i < count; i++) {
        const struct field *field = vary[i].field;
        int rc = check_used(reading, field, vary[i].key_at);
        if (rc)
            return rc;
        for (unsigned arm = 0; arm < scenario->arm_count; arm++) {
            const struct setting *own = settings_find(&scenario->arms[arm].settings, field);
            if (own)
                return reading_refuse(reading, own->at, "'%s' is varied (line %u), so the arm '%s' cannot set it",
                                      field->name, vary[i].key_at.line, scenario->arms[arm].name);
        }
    }
    return 0;
}

static int check_profile(struct reading *reading, unsigned which)
{
    const struct profile *profile = &reading->scenario->profiles[which];
    int rc = check_settings_used(reading, &profile->common);
    if (!rc)
        rc = check_vary(reading, profile->vary, profile->vary_count);
    for (unsigned i = 0; !rc && i < profile->common.count; i++) {
        const struct setting *setting = &profile->common.items[i];
        if (scenario_variation(reading->scenario, which, setting->field))
            rc = reading_refuse(reading, setting->at,
                                "'%s' is varied, so this value would never be used: write vary: {%s: [%s]}",
                                setting->field->name, setting->field->name, setting->text);
    }
    return rc;
}

static int check_left_out(struct reading *reading)
{
    const struct profile *profiles = reading->scenario->profiles;
    for (unsigned which = 0; which < PROFILE_COUNT; which++)
        if (!profiles[which].left_out)
            return 0;
    return reading_refuse(reading, profiles[0].at, "left out of every profile: nothing would ever be measured");
}

/* An entry may name what is varied in any profile, and there any value of any profile's list. */
static int check_excluded(struct reading *reading, const struct setting *setting)
{
    bool varied = false;
    for (unsigned which = 0; which < PROFILE_COUNT; which++) {
        const struct variation *variation = scenario_variation(reading->scenario, which, setting->field);
        if (variation && variation_has(variation, setting->text))
            return 0;
        varied = varied || variation;
    }
    if (!varied)
        return reading_refuse(reading, setting->at, "'%s' is not varied, so nothing can be excluded by it",
                              setting->field->name);
    return reading_refuse(reading, setting->at, "%s is never %s, so nothing is excluded by it", setting->field->name,
                          setting->text);
}

static int check_together(struct reading *reading)
{
    const struct scenario *scenario = reading->scenario;
    int rc = check_settings_used(reading, &scenario->common);
    if (!rc)
        rc = check_vary(reading, scenario->vary, scenario->vary_count);
    for (unsigned which = 0; !rc && which < PROFILE_COUNT; which++)
        rc = check_profile(reading, which);
    if (!rc)
        rc = check_left_out(reading);
    for (unsigned i = 0; !rc && i < scenario->exclude_count; i++)
        for (unsigned j = 0; !rc && j < scenario->exclude[i].count; j++)
            rc = check_excluded(reading, &scenario->exclude[i].items[j]);
    if (!rc && reading->claim)
        rc = claim_read(reading, reading->claim, &reading->scenario->claim);
    return rc;
}

/* ---- the file ---- */

static const struct key {
    const char *name;
    int (*take)(struct reading *reading, const struct yaml *node);
    bool needed;
} keys[] = {
    {"question", take_question, true},  {"op", take_op, true},
    {"common", take_common, false},     {"vary", take_own_vary, false},
    {"exclude", take_exclude, false},   {"arms", take_arms, true},
    {"null_arm", take_null_arm, false}, {"delta", take_delta, false},
    {"profiles", take_profiles, false}, {"claim", take_claim, false},
};
enum { KEY_COUNT = sizeof keys / sizeof *keys };

static int check_keys(struct reading *reading, const struct yaml *root)
{
    const char *known[KEY_COUNT + 1] = {NULL};
    for (size_t i = 0; i < KEY_COUNT; i++)
        known[i] = keys[i].name;
    for (unsigned i = 0; i < root->count; i += 2) {
        size_t which = 0;
        while (which < KEY_COUNT && strcmp(known[which], root->items[i]->text) != 0)
            which++;
        if (which == KEY_COUNT)
            return reading_refuse_unknown(reading, "key", root->items[i], known);
    }
    return 0;
}

static int take_root(struct reading *reading, const struct yaml *root)
{
    int rc = reading_want(reading, root, YAML_MAPPING, "a scenario");
    if (!rc)
        rc = check_keys(reading, root);
    for (size_t i = 0; !rc && i < KEY_COUNT; i++) {
        const struct yaml *node = yaml_find(root, keys[i].name);
        if (node)
            rc = keys[i].take(reading, node);
        else if (keys[i].needed)
            rc = reading_refuse(reading, root->at, "'%s' is missing", keys[i].name);
    }
    return rc ? rc : check_together(reading);
}

/* The path below the last folder named `scenarios`, or else the file's own name; without .yaml. */
static int take_name(struct reading *reading)
{
    static const char folder[] = "scenarios/", suffix[] = ".yaml";
    struct scenario *scenario = reading->scenario;
    const char *slash = strrchr(scenario->path, '/');
    const char *start = slash ? slash + 1 : scenario->path;
    for (const char *hit = scenario->path; (hit = strstr(hit, folder)); hit += sizeof folder - 1)
        if (hit == scenario->path || hit[-1] == '/')
            start = hit + sizeof folder - 1;
    size_t length = strlen(start);
    if (length > sizeof suffix - 1 && strcmp(start + length - (sizeof suffix - 1), suffix) == 0)
        length -= sizeof suffix - 1;
    if (length == 0 || length >= sizeof scenario->name)
        return err_set(reading->err, EINVAL, "%.200s: its name must have 1 to %zu bytes", scenario->path,
                       sizeof scenario->name - 1);
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)start[i]) && !strchr("._+-/", start[i]))
            return err_set(reading->err, EINVAL, "%.200s: a scenario's name has letters, digits and . _ + - only",
                           scenario->path);
    memcpy(scenario->name, start, length);
    return 0;
}

int scenario_load(const char *path, struct scenario **result, struct err *err)
{
    struct yaml *root = NULL;
    *result = NULL;
    struct scenario *scenario = calloc(1, sizeof *scenario);
    if (!scenario || !(scenario->path = strdup(path))) {
        free(scenario);
        return err_set(err, ENOMEM, "%.200s: out of memory", path);
    }
    scenario->null_arm = true;
    scenario->delta = 0.01;
    struct reading reading = {.scenario = scenario, .err = err};
    int rc = yaml_load(path, &root, err);
    if (!rc)
        rc = take_name(&reading);
    if (!rc)
        rc = take_root(&reading, root);
    yaml_free(root);
    if (rc)
        scenario_free(scenario);
    else
        *result = scenario;
    return rc;
}

static void vary_free(struct variation *vary, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        free(vary[i].texts);
        free(vary[i].at);
    }
    free(vary);
}

void scenario_free(struct scenario *scenario)
{
    if (!scenario)
        return;
    for (unsigned i = 0; i < PROFILE_COUNT; i++) {
        vary_free(scenario->profiles[i].vary, scenario->profiles[i].vary_count);
        free(scenario->profiles[i].common.items);
    }
    for (unsigned i = 0; i < scenario->arm_count; i++)
        free(scenario->arms[i].settings.items);
    for (unsigned i = 0; i < scenario->exclude_count; i++)
        free(scenario->exclude[i].items);
    free(scenario->arms);
    free(scenario->exclude);
    vary_free(scenario->vary, scenario->vary_count);
    free(scenario->common.items);
    free(scenario->question);
    free(scenario->op);
    free(scenario->claim);
    free(scenario->path);
    free(scenario);
}
