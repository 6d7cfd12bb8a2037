/* SPDX-License-Identifier: MIT */
/* The command line: the table of options, its parser and the texts of --help. */
#ifndef FAULTLINE_OPTIONS_H
#define FAULTLINE_OPTIONS_H

#include <stdio.h>

#include "err.h"

enum command { COMMAND_RUN, COMMAND_PLAN, COMMAND_LIST, COMMAND_MACHINE, COMMAND_SCHEMA, COMMAND_COUNT };
enum {
    IN_RUN = 1 << COMMAND_RUN,
    IN_PLAN = 1 << COMMAND_PLAN,
    IN_LIST = 1 << COMMAND_LIST,
    IN_MACHINE = 1 << COMMAND_MACHINE,
    IN_SCHEMA = 1 << COMMAND_SCHEMA,
};

enum option {
#define OPTION(name, argument, commands, doc) OPTION_##name,
#include "options.def"
#undef OPTION
    OPTION_COUNT
};

enum { SETS_MAX = 64 };

struct options {
    const char *values[OPTION_COUNT]; /* argument, "" for a switch that is given, NULL when absent */
    const char *sets[SETS_MAX];       /* every --set */
    unsigned set_count;
    char *const *words; /* what is no option */
    unsigned word_count;
};

/* The command of that name, or COMMAND_COUNT. */
enum command command_find(const char *name);

/*
 * Reads argv[1…] of a command (argv[0] is its name); "--name value", "--name=value" and "--" are understood, words and
 * options may be mixed (argv is reordered). -EINVAL with text.
 */
int options_parse(struct options *options, enum command command, int argc, char **argv, struct err *err);

/*
 * Writes an option's name as it is given ("--allow-evict"), always terminated; tells what stands for its argument
 * ("DIR"), NULL for a switch.
 */
const char *options_spell(enum option option, char *text, size_t size);

/* --help of a command; of the program with COMMAND_COUNT. */
void options_help(enum command command, FILE *out);

#endif
