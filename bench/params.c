/* SPDX-License-Identifier: MIT */
#include "params.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE(name, scope, default_value, doc)
#define TIME(name, scope, default_value, doc)
#define COUNT(name, scope, default_value, doc)
#define SHARE(name, scope, default_value, doc)
#define OPTION(field, id, spelling, doc) {spelling, doc},
#define CHOICE(name, scope, default_value, doc, options)                                                               \
    static const struct field_option name##_options[] = {options{NULL, NULL}};
#include "fields.def"
#undef SIZE
#undef TIME
#undef COUNT
#undef SHARE
#undef OPTION
#undef CHOICE

#define ROW(kind, name, scope, doc, options) {#name, doc, kind, SCOPE_##scope, offsetof(struct params, name), options},
#define SIZE(name, scope, default_value, doc) ROW(FIELD_SIZE, name, scope, doc, NULL)
#define TIME(name, scope, default_value, doc) ROW(FIELD_TIME, name, scope, doc, NULL)
#define COUNT(name, scope, default_value, doc) ROW(FIELD_NUMBER, name, scope, doc, NULL)
#define SHARE(name, scope, default_value, doc) ROW(FIELD_SHARE, name, scope, doc, NULL)
#define CHOICE(name, scope, default_value, doc, options) ROW(FIELD_CHOICE, name, scope, doc, name##_options)
const struct field field_table[FIELD_COUNT] = {
#include "fields.def"
};
#undef SIZE
#undef TIME
#undef COUNT
#undef SHARE
#undef CHOICE

void params_default(struct params *params)
{
    *params = (struct params){
#define SIZE(name, scope, default_value, doc) .name = default_value,
#define TIME(name, scope, default_value, doc) .name = default_value,
#define COUNT(name, scope, default_value, doc) .name = default_value,
#define SHARE(name, scope, default_value, doc) .name = default_value,
#define CHOICE(name, scope, default_value, doc, options) .name = name##_##default_value,
#include "fields.def"
#undef SIZE
#undef TIME
#undef COUNT
#undef SHARE
#undef CHOICE
    };
}

_Static_assert(sizeof(struct params) == FIELD_COUNT * sizeof(uint64_t), "every member is 8 bytes wide");
_Static_assert(FIELD_COUNT <= 8 * sizeof(field_set), "FIELD_BIT needs a wider set");

struct unit {
    const char *suffix;
    uint64_t factor;
};

/* Largest first: the text form takes the first that divides. */
static const struct unit size_units[] = {{"GiB", GIB}, {"MiB", MIB}, {"KiB", KIB}, {NULL, 1}};
static const struct unit time_units[] = {{"s", 1000 * MS}, {"ms", MS}, {"us", US}, {"ns", 1}, {NULL, 1}};

const struct field *field_find(const char *name)
{
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (strcmp(field_table[i].name, name) == 0)
            return &field_table[i];
    return NULL;
}

const char *field_kind_name(enum field_kind kind)
{
    static const char *const names[] = {"size", "time", "count", "share", "choice"};
    return names[kind];
}

const char *field_scope_name(enum field_scope scope)
{
    static const char *const names[] = {"target", "cell", "state", "arm"};
    return names[scope];
}

static uint64_t *integer_in(const struct field *field, struct params *params)
{
    return (uint64_t *)(void *)((char *)params + field->offset);
}

static uint64_t integer_of(const struct field *field, const struct params *params)
{
    uint64_t value;
    memcpy(&value, (const char *)params + field->offset, sizeof value);
    return value;
}

bool field_is_auto(const struct field *field, const struct params *params)
{
    return field->kind != FIELD_SHARE && integer_of(field, params) == FIELD_AUTO;
}

bool field_equal(const struct field *field, const struct params *a, const struct params *b)
{
    return integer_of(field, a) == integer_of(field, b);
}

void field_copy(const struct field *field, const struct params *from, struct params *to)
{
    *integer_in(field, to) = integer_of(field, from);
}

#define NUMBER_MAX ((uint64_t)INT64_MAX) /* what JSON carries; above it lies FIELD_AUTO */

/* Reads digits, at least one; returns what follows them, or NULL when there are none or the number does not fit. */
static const char *digits(const char *text, uint64_t *value)
{
    if (*text < '0' || *text > '9')
        return NULL;
    errno = 0;
    char *end;
    *value = strtoull(text, &end, 10);
    return errno ? NULL : end;
}

static int number_with_unit(const char *text, const struct unit *units, bool unit_needed, const char *spelling,
                            uint64_t *value, struct err *err)
{
    uint64_t number, factor = 0;
    const char *suffix = digits(text, &number);
    if (suffix && *suffix == '\0' && (!unit_needed || number == 0))
        factor = 1;
    for (; suffix && units->suffix; units++)
        if (strcmp(suffix, units->suffix) == 0)
            factor = units->factor;
    if (factor == 0)
        return err_set(err, EINVAL, "'%s' is not %s", text, spelling);
    if (number > NUMBER_MAX / factor)
        return err_set(err, EINVAL, "'%s' is too large", text);
    *value = number * factor;
    return 0;
}

int text_parse_size(const char *text, uint64_t *bytes, struct err *err)
{
    return number_with_unit(text, size_units, false, "a size: write 4KiB, 64MiB, 1GiB or plain bytes", bytes, err);
}

int text_parse_time(const char *text, uint64_t *ns, struct err *err)
{
    return number_with_unit(text, time_units, true, "a time: write 250us, 50ms or 5s", ns, err);
}

int text_parse_count(const char *text, uint64_t *count, struct err *err)
{
    const char *end = digits(text, count);
    if (!end || *end || *count > NUMBER_MAX)
        return err_set(err, EINVAL, "'%s' is not a whole number", text);
    return 0;
}

int text_parse_share(const char *text, double *share, struct err *err)
{
    char *end;
    double number = strtod(text, &end);
    bool starts_right = ((*text >= '0' && *text <= '9') || *text == '.') && !strpbrk(text, "xX"); /* not hexadecimal */
    if (!starts_right || end == text || strcmp(end, "%") != 0 || !isfinite(number) || number > 1000)
        return err_set(err, EINVAL, "'%s' is not a percentage: write 1%% or 0.5%%", text);
    *share = number / 100;
    return 0;
}

static int parse_choice(const struct field *field, const char *text, uint64_t *value, struct err *err)
{
    char known[256] = "";
    for (const struct field_option *option = field->options; option->spelling; option++) {
        if (strcmp(option->spelling, text) == 0) {
            *value = (uint64_t)(option - field->options);
            return 0;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", option->spelling);
    }
    return err_set(err, EINVAL, "'%s' is not a %s: one of %s", text, field->name, known);
}

int field_parse(const struct field *field, const char *text, struct params *params, struct err *err)
{
    struct params defaults;
    params_default(&defaults);
    uint64_t *value = integer_in(field, params);
    /* block_bytes may be resolved by the plan although its default is not. */
    if (strcmp(text, "auto") == 0 && (field_is_auto(field, &defaults) || field == &field_table[FIELD_block_bytes])) {
        *value = FIELD_AUTO;
        return 0;
    }
    switch (field->kind) {
    case FIELD_SIZE:
        return text_parse_size(text, value, err);
    case FIELD_TIME:
        return text_parse_time(text, value, err);
    case FIELD_NUMBER:
        return text_parse_count(text, value, err);
    case FIELD_SHARE:
        return text_parse_share(text, (double *)(void *)value, err);
    case FIELD_CHOICE:
        return parse_choice(field, text, value, err);
    }
    return err_set(err, EINVAL, "%s has no kind", field->name);
}

static void format_with_unit(uint64_t value, const struct unit *units, char *text, size_t size)
{
    while (units->suffix && (value == 0 || value % units->factor != 0))
        units++;
    snprintf(text, size, "%" PRIu64 "%s", value / units->factor, units->suffix ? units->suffix : "");
}

void field_format(const struct field *field, const struct params *params, char *text, size_t size)
{
    uint64_t value = integer_of(field, params);
    double share;
    if (field_is_auto(field, params)) {
        snprintf(text, size, "auto");
        return;
    }
    switch (field->kind) {
    case FIELD_SIZE:
        format_with_unit(value, size_units, text, size);
        break;
    case FIELD_TIME:
        format_with_unit(value, time_units, text, size);
        break;
    case FIELD_NUMBER:
        snprintf(text, size, "%" PRIu64, value);
        break;
    case FIELD_SHARE:
        memcpy(&share, &value, sizeof share);
        snprintf(text, size, "%.10g%%", share * 100);
        break;
    case FIELD_CHOICE:
        snprintf(text, size, "%s", field->options[value].spelling);
        break;
    }
}
