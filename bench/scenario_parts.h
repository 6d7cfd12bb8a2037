/* SPDX-License-Identifier: MIT */
/* What the readers of a scenario share: scenario.c reads the file, claim.c the statements that it puts to the test. */
#ifndef FAULTLINE_SCENARIO_PARTS_H
#define FAULTLINE_SCENARIO_PARTS_H

#include "scenario.h"

struct reading {
    struct scenario *scenario;
    const struct yaml *claim; /* the value of `claim`; NULL */
    struct err *err;
};

/* All return -EINVAL with "path:line:column: message", or -ENOMEM. */
int reading_refuse(struct reading *reading, struct place_in_file at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int reading_out_of_memory(struct reading *reading);

/* "unknown WHAT 'x': did you mean 'y'?", or the words that are known when none is near. `known` ends with NULL. */
int reading_refuse_unknown(struct reading *reading, const char *what, const struct yaml *word,
                           const char *const *known);
#define MACHINE_VALUE "value of a machine" /* such a `what`: a key of survey.h */

/* Whether a node is of that kind, and not empty. */
int reading_want(struct reading *reading, const struct yaml *node, enum yaml_kind kind, const char *what);

/* A text of 1 to room - 1 bytes, copied. The caller frees *copy. */
int reading_string(struct reading *reading, const struct yaml *node, const char *what, size_t room, char **copy);

/* The field that a key names; its value, checked by field_parse, as text. */
int reading_field(struct reading *reading, const struct yaml *key, const struct field **field);
int reading_value(struct reading *reading, const struct field *field, const struct yaml *value, char text[TEXT_SIZE]);

/* Whether one of the values is the one that is spelled `text`. */
bool variation_has(const struct variation *variation, const char *text);

/*
 * Reads the claim, or the list of them, of a scenario whose other keys have been read. *json: a list of claims as a
 * plan has them (docs/scenario-format.md), with what was left open filled in; the caller frees.
 */
int claim_read(struct reading *reading, const struct yaml *node, char **json);

#endif
