/* SPDX-License-Identifier: MIT */
/* Values of the command line. The first byte says which; the words of a command line are lines. */
#include "fuzz_plans.h"

#include <errno.h>

#include "explain.h"
#include "options.h"
#include "plan_parts.h"

enum { WORDS_MAX = 24 };

/* Every field, and the four kinds by themselves: what is accepted is written in a form that says the same. */
static void read_field(const char *text)
{
    struct err err = {0};
    uint64_t number;
    double share;
    for (unsigned f = 0; f < FIELD_COUNT; f++) {
        struct params params, again;
        char spelled[128];
        params_default(&params);
        again = params;
        if (field_parse(&field_table[f], text, &params, &err)) {
            HOLDS(err.code == EINVAL && err.text[0]);
            continue;
        }
        field_format(&field_table[f], &params, spelled, sizeof spelled);
        HOLDS(field_parse(&field_table[f], spelled, &again, &err) == 0 &&
              field_equal(&field_table[f], &params, &again));
    }
    (void)text_parse_size(text, &number, &err);
    (void)text_parse_time(text, &number, &err);
    (void)text_parse_count(text, &number, &err);
    if (text_parse_share(text, &share, &err) == 0)
        HOLDS(share >= 0);
}

static unsigned words_of(char *text, char **words)
{
    unsigned count = 0;
    char *save = NULL;
    for (char *word = strtok_r(text, "\n", &save); word && count < WORDS_MAX; word = strtok_r(NULL, "\n", &save))
        words[count++] = word;
    words[count] = NULL;
    return count;
}

static void read_options(char *text)
{
    for (enum command command = 0; command < COMMAND_COUNT; command++) {
        char *words[WORDS_MAX + 2] = {"command"}, *copy = strdup(text);
        struct options options;
        struct err err = {0};
        HOLDS(copy);
        unsigned count = words_of(copy, words + 1);
        if (options_parse(&options, command, (int)count + 1, words, &err))
            HOLDS(err.text[0]);
        else
            HOLDS(options.word_count <= count && options.set_count <= SETS_MAX);
        free(copy);
    }
}

/* --cell, --arms, --counters and --set, a line each, and CELL/ARM. */
static void read_narrowing(char *text)
{
    char *words[WORDS_MAX + 1];
    struct plan plan = {0};
    struct plan_options options = fuzz_options();
    struct err err = {0};
    unsigned count = words_of(text, words);
    options.cell = count > 0 && words[0][0] != '-' ? words[0] : NULL;
    options.arms = count > 1 && words[1][0] != '-' ? words[1] : NULL;
    options.sets = (const char *const *)words + 2;
    options.set_count = count > 2 ? count - 2 : 0;
    if (fuzz_plan(&plan, fuzz_scenario, sizeof fuzz_scenario - 1, &options, &err) == 0) {
        const struct cell *cell;
        const struct arm *arm;
        fuzz_plan_holds(&plan);
        if (count && explain_find(&plan, words[count - 1], &cell, &arm, &err))
            HOLDS(err.text[0]);
    }
    plan_free(&plan);
}

static void read_events(const char *text)
{
    struct err err = {0};
    struct event_code code;
    HOLDS(event_check_list(text, &err) == 0 || err.text[0]);
    (void)event_encode(text, &code, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *text = fuzz_text(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        read_field(text);
        break;
    case 1:
        read_options(text);
        break;
    case 2:
        read_narrowing(text);
        break;
    default:
        read_events(text);
    }
    free(text);
    return 0;
}
