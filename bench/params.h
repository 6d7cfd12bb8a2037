/* SPDX-License-Identifier: MIT */
/* The parameters of an experiment: struct, table of fields, text forms. All of it is generated from fields.def. */
#ifndef FAULTLINE_PARAMS_H
#define FAULTLINE_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

_Static_assert(sizeof(void *) == 8, "sizes of memory, distances of addresses and offsets take 64 bits");

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define US UINT64_C(1000)
#define MS (1000 * US)
#define FIELD_AUTO UINT64_MAX /* resolved by the plan */

/* enum NAME { NAME_OPTION, … } for each CHOICE. */
#define SIZE(name, scope, default_value, doc)
#define TIME(name, scope, default_value, doc)
#define COUNT(name, scope, default_value, doc)
#define SHARE(name, scope, default_value, doc)
#define OPTION(field, id, spelling, doc) field##_##id,
#define CHOICE(name, scope, default_value, doc, options) enum name { options name##_count };
#include "fields.def"
#undef SIZE
#undef TIME
#undef COUNT
#undef SHARE
#undef OPTION
#undef CHOICE

/* Flat, no pointers; every member is 8 bytes wide, so there is no padding and memcmp compares two experiments. */
struct params {
#define SIZE(name, scope, default_value, doc) uint64_t name;
#define TIME(name, scope, default_value, doc) uint64_t name; /* ns */
#define COUNT(name, scope, default_value, doc) uint64_t name;
#define SHARE(name, scope, default_value, doc) double name;             /* fraction of 1 */
#define CHOICE(name, scope, default_value, doc, options) uint64_t name; /* enum name */
#include "fields.def"
#undef SIZE
#undef TIME
#undef COUNT
#undef SHARE
#undef CHOICE
};

/* FIELD_NAME: index of the field in field_table. */
enum field_index {
#define SIZE(name, scope, default_value, doc) FIELD_##name,
#define TIME(name, scope, default_value, doc) FIELD_##name,
#define COUNT(name, scope, default_value, doc) FIELD_##name,
#define SHARE(name, scope, default_value, doc) FIELD_##name,
#define CHOICE(name, scope, default_value, doc, options) FIELD_##name,
#include "fields.def"
#undef SIZE
#undef TIME
#undef COUNT
#undef SHARE
#undef CHOICE
    FIELD_COUNT
};
typedef unsigned __int128 field_set; /* there are more fields than a word has bits */
#define FIELD_BIT(name) ((field_set)1 << FIELD_##name)

enum field_kind { FIELD_SIZE, FIELD_TIME, FIELD_NUMBER, FIELD_SHARE, FIELD_CHOICE };
enum field_scope { SCOPE_TARGET, SCOPE_CELL, SCOPE_STATE, SCOPE_ARM };

struct field_option {
    const char *spelling, *doc;
};

struct field {
    const char *name, *doc;
    enum field_kind kind;
    enum field_scope scope;
    size_t offset;                      /* into struct params */
    const struct field_option *options; /* FIELD_CHOICE: ends with spelling NULL; else NULL */
};

/* Bytes of an option's word where any number may follow it: 4 of "cpu:N"; 0 where it is spelled without one. */
size_t field_numbered_length(const struct field_option *option);

extern const struct field field_table[FIELD_COUNT];

/* The row of that name, or NULL. */
const struct field *field_find(const char *name);

/* "size", "time", "count", "share", "choice"; "target", "cell", "state", "arm". */
const char *field_kind_name(enum field_kind kind);
const char *field_scope_name(enum field_scope scope);

/* Fills every field with its default. */
void params_default(struct params *params);

/* True when the field holds FIELD_AUTO. */
bool field_is_auto(const struct field *field, const struct params *params);

/* Whether two experiments agree in a field. */
bool field_equal(const struct field *field, const struct params *a, const struct params *b);

/* Copies one field from one experiment to another. */
void field_copy(const struct field *field, const struct params *from, struct params *to);

/*
 * Sets a field from its text form ("4KiB", "250us", "1%", "warm", "auto").
 * -EINVAL with the spelling to use when the text is not one ("4k", a negative number, an unknown option, a value that
 * does not fit).
 */
int field_parse(const struct field *field, const char *text, struct params *params, struct err *err);

/* Writes the text form that field_parse reads back: 65536 as "64KiB", 250000 as "250us". Always terminated. */
void field_format(const struct field *field, const struct params *params, char *text, size_t size);

/* Readers of the text forms by themselves: bytes, nanoseconds, fraction. -EINVAL with the spelling to use. */
int text_parse_size(const char *text, uint64_t *bytes, struct err *err);
int text_parse_time(const char *text, uint64_t *ns, struct err *err);
int text_parse_count(const char *text, uint64_t *count, struct err *err);
int text_parse_share(const char *text, double *share, struct err *err);

#endif
