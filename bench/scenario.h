/* SPDX-License-Identifier: MIT */
/* One YAML file, one question: read with its positions, its keys and values checked (the YAML itself: yaml.h). */
#ifndef FAULTLINE_SCENARIO_H
#define FAULTLINE_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

#include "params.h"
#include "plan.h"
#include "yaml.h"

enum {
    TEXT_SIZE = 64, /* of a value as written, terminator included */
};

/* One `key: value` of fields.def as written, with its position; the value is kept as text and was checked by
 * field_parse. */
struct setting {
    const struct field *field;
    char text[TEXT_SIZE];
    struct place_in_file at;
};

struct settings {
    struct setting *items;
    unsigned count;
};

struct variation { /* one key of `vary` */
    const struct field *field;
    char (*texts)[TEXT_SIZE]; /* [text_count] */
    struct place_in_file *at; /* [text_count] */
    unsigned text_count;
    struct place_in_file key_at;
};

struct arm_description {
    char name[NAME_SIZE];
    const struct method *method;
    struct settings settings;
    struct place_in_file at;
};

struct profile { /* what a profile changes */
    bool present;
    bool left_out; /* nothing is measured under it */
    struct settings common;
    struct variation *vary;
    unsigned vary_count;
    bool has_trials, has_precision, has_budget;
    unsigned trials;
    double precision;
    uint64_t budget_ns;
    struct place_in_file at;
};

enum { PROFILE_QUICK, PROFILE_STANDARD, PROFILE_THOROUGH, PROFILE_COUNT };

struct scenario {
    char *path;     /* as given, for messages */
    char name[128]; /* "access/read-or-map": path below the folder `scenarios`, without .yaml; else the file's stem */
    char *question, *op;
    struct settings common;
    struct variation *vary;
    unsigned vary_count;
    struct settings *exclude; /* [exclude_count] partial assignments */
    unsigned exclude_count;
    struct arm_description *arms;
    unsigned arm_count;
    struct place_in_file arms_at;
    bool null_arm; /* default true */
    double delta;  /* default 0.01 */
    struct profile profiles[PROFILE_COUNT];
    char *claim; /* JSON text of the list of claims (scenario_parts.h claim_read), or NULL */
};

/*
 * Reads and checks one file. Everything that can be known from the file alone is an error here: unknown or duplicate
 * key, wrong type, empty list, a value field_parse refuses, an arm field its method does not use … -EINVAL with
 * "path:line:column: message"; -errno with "path: message" when it cannot be read; *scenario is NULL then. The caller
 * frees with scenario_free.
 */
int scenario_load(const char *path, struct scenario **scenario, struct err *err);

void scenario_free(struct scenario *scenario);

/* The setting of a field, or NULL. */
const struct setting *settings_find(const struct settings *settings, const struct field *field);

/* How a field varies under a profile (enum PROFILE_…): the profile's own list, else the file's, else NULL. */
const struct variation *scenario_variation(const struct scenario *scenario, unsigned profile,
                                           const struct field *field);

/* Whether an ARM field has a meaning for a method. */
bool method_uses(const struct method *method, const struct field *field);

/* "quick", "standard", "thorough" */
extern const char *const profile_names[PROFILE_COUNT];

#endif
