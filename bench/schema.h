/* SPDX-License-Identifier: MIT */
/* JSON Schemas, generated from the tables of fields, counters and methods. */
#ifndef FAULTLINE_SCHEMA_H
#define FAULTLINE_SCHEMA_H

#include <jansson.h>

/* Of a record (a line of trials.jsonl). New reference. */
json_t *schema_record(void);

/* Of a scenario file, for editors. It cannot say everything the program checks. New reference. */
json_t *schema_scenario(void);

#endif
