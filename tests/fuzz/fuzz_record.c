/* SPDX-License-Identifier: MIT */
/* Records that a run finds when it is to go on (--resume): lines of JSON, to each of which a crc is put that fits. */
#include "fuzz_plans.h"

#include <zlib.h>

#include "runner.c" /* what a run learns from its records is its own affair */

/* A cell of the plan goes from pair to pair of CPUs. */
static void begin(struct plan *plan, struct topology **place)
{
    struct err err = {0};
    struct plan_options options = fuzz_options();
    HOLDS(setenv("HWLOC_SYNTHETIC", "pack:2 l3:2 core:4 pu:2", 1) == 0 && place_load(place, &err) == 0);
    HOLDS(fuzz_plan(plan, fuzz_scenario, sizeof fuzz_scenario - 1, &options, &err) == 0 && plan->cell_count == 2);
    strcpy(plan->scenarios[0].name, "fuzz"); /* not what the file happened to be called */
    plan->cells[1].params.matrix = matrix_class;
}

/* The line with the end that record_line would give it; free() it. */
static char *with_crc(const char *line, size_t length)
{
    char *whole = malloc(length + 32);
    HOLDS(whole);
    memcpy(whole, line, length);
    sprintf(whole + length - 1, ",\"crc32\":\"%08lx\"}", crc32(0, (const unsigned char *)line, (unsigned)length));
    return whole;
}

static void learn_line(struct runner *runner, const char *line, size_t length)
{
    if (length == 0 || line[length - 1] != '}') {
        json_decref(record_parse(line, length)); /* without a crc: hardly ever a record */
        return;
    }
    char *whole = with_crc(line, length);
    json_t *record = record_parse(whole, strlen(whole));
    HOLDS(learn_again(runner, record) == 0);
    json_decref(record);
    free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct plan plan;
    static struct topology *place;
    struct run_outcome outcome = {0};
    struct runner runner = {.plan = &plan, .outcome = &outcome, .place = place};
    if (!place)
        begin(&plan, &place);
    runner.place = place;
    runner.cells = calloc(plan.cell_count + 1, sizeof *runner.cells);
    HOLDS(runner.cells);
    const char *text = (const char *)data, *end = text + size;
    for (const char *newline; text < end; text = newline + 1) {
        newline = memchr(text, '\n', (size_t)(end - text));
        newline = newline ? newline : end;
        if (memchr(text, '\0', (size_t)(newline - text)) == NULL)
            learn_line(&runner, text, (size_t)(newline - text));
    }
    HOLDS(expected_records(&runner) >= runner.records);
    for (unsigned c = 0; c < plan.cell_count; c++)
        matrix_forget(&runner.cells[c].seen);
    free(runner.cells);
    return 0;
}
