/* SPDX-License-Identifier: MIT */
/* Plans, cells and parameters as JSON and back (jansson): the one description of what travels between processes. */
#ifndef FAULTLINE_WIRE_H
#define FAULTLINE_WIRE_H

#include <jansson.h>

#include "plan.h"

/* Every field of the table by its name: sizes, times and counts as whole numbers, shares as numbers, choices as text.
 * New reference. */
json_t *wire_params(const struct params *params);

/* One of them. New reference. */
json_t *wire_value(const struct field *field, const struct params *params);

/* The reverse. Unknown keys are ignored, a missing one keeps its default; -EINVAL on a wrong type or value. */
int wire_params_read(const json_t *json, struct params *params, struct err *err);

/* One cell as in plan --json. New reference. */
json_t *wire_cell(const struct plan *plan, const struct cell *cell);

/* The whole plan, schema faultline.plan/1. New reference. */
json_t *wire_plan(const struct plan *plan);

/* The same with the chosen cells only: chosen[count] are indices into plan->cells. New reference. */
json_t *wire_plan_of(const struct plan *plan, const unsigned *chosen, unsigned count);

/* Reads a plan made elsewhere; -EINVAL when the schema, a method or a value is not known here. Free with plan_free,
 * also after a failure. */
int wire_plan_read(const json_t *json, struct plan *plan, struct err *err);

#endif
