/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <jansson.h>

struct option_row {
    const char *name, *argument, *doc;
    unsigned commands;
};

#define OPTION(name, argument, commands, doc) {#name, argument, doc, commands},
static const struct option_row rows[OPTION_COUNT] = {
#include "options.def"
};
#undef OPTION

struct command_row {
    const char *name, *words, *doc;
};

static const struct command_row commands[COMMAND_COUNT] = {
    [COMMAND_RUN] = {"run", "SCENARIO... | --plan PLAN.json | --resume DIR", "measure, and say what to conclude"},
    [COMMAND_PLAN] = {"plan", "SCENARIO...", "what a run would do: cells, arms, trials, time; runs nothing"},
    [COMMAND_LIST] = {"list", "scenarios|methods|counters|fields|looks", "what there is to choose from"},
    [COMMAND_MACHINE] = {"machine", "", "this machine: fingerprint, topology, what is available and why not"},
    [COMMAND_SCHEMA] = {"schema", "", "the JSON Schema of a record"},
};

enum command command_find(const char *name)
{
    unsigned command = 0;
    while (command < COMMAND_COUNT && strcmp(commands[command].name, name) != 0)
        command++;
    return (enum command)command;
}

/* Option names are spelled with '-' on the command line. */
static bool spells(const char *given, size_t length, const char *name)
{
    if (strlen(name) != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if (given[i] != (name[i] == '_' ? '-' : name[i]))
            return false;
    return true;
}

static int take_option(struct options *options, enum command command, int argc, char **argv, int *at, struct err *err)
{
    const char *given = argv[*at] + 2;
    size_t length = strcspn(given, "=");
    unsigned row = 0;
    while (row < OPTION_COUNT && !(rows[row].commands >> command & 1 && spells(given, length, rows[row].name)))
        row++;
    if (row == OPTION_COUNT)
        return err_set(err, EINVAL, "unknown option '--%.*s': see 'faultline %s --help'", (int)length, given,
                       commands[command].name);
    const char *value = given[length] == '=' ? given + length + 1 : NULL;
    if (!rows[row].argument && value)
        return err_set(err, EINVAL, "'--%.*s' takes no argument", (int)length, given);
    if (rows[row].argument && !value && *at + 1 >= argc)
        return err_set(err, EINVAL, "'--%.*s' needs an argument: %s", (int)length, given, rows[row].argument);
    if (rows[row].argument && !value)
        value = argv[++*at];
    if (row == OPTION_set) {
        if (options->set_count == SETS_MAX)
            return err_set(err, EINVAL, "more than %d times '--set'", SETS_MAX);
        options->sets[options->set_count++] = value;
    } else if (options->values[row]) {
        return err_set(err, EINVAL, "'--%.*s' is given twice", (int)length, given);
    }
    options->values[row] = value ? value : "";
    return 0;
}

/* What is given is recorded, and records are UTF-8. */
static int check_text(const char *given, int at, struct err *err)
{
    json_t *text = json_string(given);
    int rc = text ? 0 : err_set(err, EINVAL, "argument %d is not UTF-8 and cannot be recorded", at);
    json_decref(text);
    return rc;
}

int options_parse(struct options *options, enum command command, int argc, char **argv, struct err *err)
{
    int words = 1;
    bool only_words = false;
    *options = (struct options){0};
    for (int at = 1; at < argc; at++)
        if (check_text(argv[at], at, err))
            return -err->code;
    for (int at = 1; at < argc; at++) {
        int rc = 0;
        if (!only_words && strcmp(argv[at], "--") == 0)
            only_words = true;
        else if (!only_words && strcmp(argv[at], "-h") == 0)
            options->values[OPTION_help] = "";
        else if (!only_words && strncmp(argv[at], "--", 2) == 0)
            rc = take_option(options, command, argc, argv, &at, err);
        else if (!only_words && argv[at][0] == '-' && argv[at][1])
            rc = err_set(err, EINVAL, "unknown option '%s': see 'faultline %s --help'", argv[at],
                         commands[command].name);
        else
            argv[words++] = argv[at];
        if (rc)
            return rc;
    }
    options->words = argv + 1;
    options->word_count = (unsigned)(words - 1);
    return 0;
}

static void help_program(FILE *out)
{
    fputs("faultline: should this program mmap the file or read it, and what does each choice really cost?\n\n"
          "usage: faultline COMMAND [ARGUMENT...]\n\n",
          out);
    for (unsigned c = 0; c < COMMAND_COUNT; c++)
        fprintf(out, "  %-9s %s\n", commands[c].name, commands[c].doc);
    fputs(
        "  report    table, report and pictures of a run\n"
        "  plot      one picture of a run\n"
        "  compare   stored runs beside each other: what became faster or slower\n"
        "  history   results over runs, and where a level changed\n"
        "  verdicts  what people say about mapping, put to the test on this machine\n\n"
        "'faultline COMMAND --help' tells more. Any faultline-NAME beside the program or on PATH is a command too.\n\n"
        "Exit status: 0 fine, 1 regression, 2 usage or impossible plan, 3 cannot tell (if asked to insist),\n"
        "4 environment invalid or too noisy, 5 a trial failed or its checksum was wrong, 6 not comparable,\n"
        "7 I/O or schema, or nothing was measured; 130/143 interrupted.\n",
        out);
}

const char *options_spell(enum option option, char *text, size_t size)
{
    snprintf(text, size, "--%s", rows[option].name);
    for (char *at = text; *at; at++)
        *at = *at == '_' ? '-' : *at;
    return rows[option].argument;
}

void options_help(enum command command, FILE *out)
{
    char spelled[64];
    if (command == COMMAND_COUNT) {
        help_program(out);
        return;
    }
    fprintf(out, "usage: faultline %s %s%s[OPTION...]\n\n%s\n\n", commands[command].name, commands[command].words,
            *commands[command].words ? " " : "", commands[command].doc);
    for (unsigned row = 0; row < OPTION_COUNT; row++) {
        if (!(rows[row].commands >> command & 1))
            continue;
        const char *argument = options_spell((enum option)row, spelled, sizeof spelled);
        snprintf(spelled + strlen(spelled), sizeof spelled - strlen(spelled), " %s", argument ? argument : "");
        fprintf(out, "  %-22s %s\n", spelled, rows[row].doc);
    }
}
