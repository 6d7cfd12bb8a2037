/* SPDX-License-Identifier: MIT */
/* The command line: every way to write an option, every mistake, and that --help tells them all. */
#include "unit.h"

#include "options.h"

enum { ARGUMENTS_MAX = 100 };

static char *arguments[ARGUMENTS_MAX];
static struct options options;
static struct err err;

/* Parses `run` with the arguments; the list ends with NULL. */
static int parse_as(enum command command, const char *const *list)
{
    static char name[] = "run";
    int count = 1;
    arguments[0] = name;
    for (; list[count - 1]; count++)
        arguments[count] = (char *)(uintptr_t)list[count - 1];
    err = (struct err){0};
    return options_parse(&options, command, count, arguments, &err);
}

#define PARSE(...) parse_as(COMMAND_RUN, (const char *const[]){__VA_ARGS__, NULL})

static void check_word(unsigned index, const char *word)
{
    assert_true(index < options.word_count);
    assert_string_equal(options.words[index], word);
}

static void finds_commands(void **state)
{
    (void)state;
    static const char *const names[] = {"run", "plan", "list", "machine", "schema"};
    for (unsigned c = 0; c < COMMAND_COUNT; c++)
        assert_int_equal(command_find(names[c]), c);
    assert_int_equal(command_find("report"), COMMAND_COUNT);
    assert_int_equal(command_find("ru"), COMMAND_COUNT);
    assert_int_equal(command_find(""), COMMAND_COUNT);
}

static void takes_both_spellings(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--out", "a", "--profile=quick", "--file=", "--budget=60s"), 0);
    assert_string_equal(options.values[OPTION_out], "a");
    assert_string_equal(options.values[OPTION_profile], "quick");
    assert_string_equal(options.values[OPTION_file], ""); /* given, though empty */
    assert_string_equal(options.values[OPTION_budget], "60s");
    assert_null(options.values[OPTION_seed]);
    assert_int_equal(options.word_count, 0);
}

static void an_argument_may_look_like_anything(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--out", "--quiet", "--file", "-", "--seed", "-1", "--plan=a=b=c"), 0);
    assert_string_equal(options.values[OPTION_out], "--quiet");
    assert_string_equal(options.values[OPTION_file], "-");
    assert_string_equal(options.values[OPTION_seed], "-1");
    assert_string_equal(options.values[OPTION_plan], "a=b=c");
    assert_null(options.values[OPTION_quiet]);
}

static void underscores_are_written_as_dashes(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--allow-evict", "--no-report", "--machine-name", "m"), 0);
    assert_string_equal(options.values[OPTION_allow_evict], "");
    assert_string_equal(options.values[OPTION_no_report], "");
    assert_string_equal(options.values[OPTION_machine_name], "m");
    assert_int_equal(PARSE("--allow_evict"), -EINVAL);
}

static void words_and_options_mix(void **state)
{
    (void)state;
    assert_int_equal(PARSE("access/a", "--quiet", "b", "--out", "c", "-", "", "d"), 0);
    assert_int_equal(options.word_count, 5);
    check_word(0, "access/a");
    check_word(1, "b");
    check_word(2, "-");
    check_word(3, "");
    check_word(4, "d");
    assert_string_equal(options.values[OPTION_out], "c");
}

static void two_dashes_end_the_options(void **state)
{
    (void)state;
    assert_int_equal(PARSE("a", "--quiet", "--", "--out", "-h", "--", "b"), 0);
    assert_int_equal(options.word_count, 5);
    check_word(1, "--out");
    check_word(2, "-h");
    check_word(3, "--");
    check_word(4, "b");
    assert_null(options.values[OPTION_out]);
    assert_null(options.values[OPTION_help]);
    assert_int_equal(PARSE("--"), 0);
    assert_int_equal(options.word_count, 0);
}

static void only_set_may_be_repeated(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--set", "a=1", "--set=b=2", "x", "--set", "a=1"), 0);
    assert_int_equal(options.set_count, 3);
    assert_string_equal(options.sets[0], "a=1");
    assert_string_equal(options.sets[1], "b=2");
    assert_string_equal(options.sets[2], "a=1");
    assert_int_equal(PARSE("--out", "a", "--out=b"), -EINVAL);
    assert_string_equal(err.text, "'--out' is given twice");
    assert_int_equal(PARSE("--quiet", "--quiet"), -EINVAL);
    assert_string_equal(err.text, "'--quiet' is given twice");
}

static void there_is_room_for_many_sets(void **state)
{
    (void)state;
    const char *list[SETS_MAX + 2] = {NULL};
    for (int i = 0; i < SETS_MAX; i++)
        list[i] = "--set=a=1";
    assert_int_equal(parse_as(COMMAND_RUN, list), 0);
    assert_int_equal(options.set_count, SETS_MAX);
    list[SETS_MAX] = "--set=a=1";
    assert_int_equal(parse_as(COMMAND_RUN, list), -EINVAL);
    unit_assert_text(err.text, "more than 64 times '--set'");
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *arguments[3], *says;
    } mistakes[] = {
        {{"--nonsense"}, "unknown option '--nonsense': see 'faultline run --help'"},
        {{"--nonsense=1"}, "unknown option '--nonsense': see 'faultline run --help'"},
        {{"--ou", "a"}, "unknown option '--ou': see 'faultline run --help'"}, /* no abbreviations */
        {{"--outs=a"}, "unknown option '--outs': see 'faultline run --help'"},
        {{"--=a"}, "unknown option '--': see 'faultline run --help'"},
        {{"--json"}, "unknown option '--json': see 'faultline run --help'"}, /* plan and machine know it */
        {{"-q"}, "unknown option '-q': see 'faultline run --help'"},
        {{"a", "--out"}, "'--out' needs an argument: DIR"},
        {{"--set"}, "'--set' needs an argument: KEY=VALUE"},
        {{"--quiet=yes"}, "'--quiet' takes no argument"},
        {{"--help="}, "'--help' takes no argument"},
    };
    for (size_t i = 0; i < LENGTH_OF(mistakes); i++) {
        const char *const *given = mistakes[i].arguments;
        assert_int_equal(parse_as(COMMAND_RUN, (const char *const[]){given[0], given[1], given[2], NULL}), -EINVAL);
        assert_int_equal(err.code, EINVAL);
        assert_string_equal(err.text, mistakes[i].says);
    }
}

/* What is given is recorded, and a record must be UTF-8. */
static void refuses_text_that_cannot_be_recorded(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--file", "/tmp/caf\xc3\xa9"), 0);
    assert_int_equal(PARSE("a", "--file", "/tmp/caf\xe9"), -EINVAL);
    unit_assert_text(err.text, "argument 3 is not UTF-8");
    assert_int_equal(PARSE("--out=\xff"), -EINVAL);
    assert_int_equal(PARSE("--", "\xc3"), -EINVAL);
}

static void each_command_knows_its_own(void **state)
{
    (void)state;
    const char *const json[] = {"--json", NULL}, *const markdown[] = {"--markdown", NULL}, *const help[] = {"-h", NULL};
    for (unsigned c = 0; c < COMMAND_COUNT; c++) {
        bool knows_json = c == COMMAND_PLAN || c == COMMAND_MACHINE;
        assert_int_equal(parse_as(c, json), knows_json ? 0 : -EINVAL);
        assert_int_equal(parse_as(c, markdown), c == COMMAND_LIST ? 0 : -EINVAL);
        assert_int_equal(parse_as(c, help), 0);
        assert_string_equal(options.values[OPTION_help], "");
    }
}

static char *help_of(enum command command)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    options_help(command, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* Whatever --help of a command offers is understood by it, and nothing else is. */
static void help_tells_every_option(void **state)
{
    (void)state;
    static const char *const names[] = {
#define OPTION(name, argument, commands, doc) #name,
#include "options.def"
#undef OPTION
    };
    for (unsigned c = 0; c < COMMAND_COUNT; c++) {
        char *text = help_of(c), spelled[64], listed[66];
        for (size_t i = 0; i < LENGTH_OF(names); i++) {
            snprintf(spelled, sizeof spelled, "--%s", names[i]);
            for (char *at = spelled; *at; at++)
                *at = *at == '_' ? '-' : *at;
            snprintf(listed, sizeof listed, "  %.60s ", spelled);
            const char *const list[] = {spelled, "argument", NULL};
            bool known = parse_as(c, list) == 0;
            if (known != (strstr(text, listed) != NULL))
                fail_msg("command %u: %s is %s but --help says otherwise", c, spelled, known ? "known" : "not known");
        }
        free(text);
    }
}

static void help_of_the_program_tells_every_command(void **state)
{
    (void)state;
    static const char *const words[] = {"run",    "plan", "list",    "machine",    "schema",
                                        "report", "plot", "history", "Exit status"};
    char *text = help_of(COMMAND_COUNT);
    for (size_t i = 0; i < LENGTH_OF(words); i++)
        unit_assert_text(text, words[i]);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_commands),
        cmocka_unit_test(takes_both_spellings),
        cmocka_unit_test(an_argument_may_look_like_anything),
        cmocka_unit_test(underscores_are_written_as_dashes),
        cmocka_unit_test(words_and_options_mix),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(only_set_may_be_repeated),
        cmocka_unit_test(there_is_room_for_many_sets),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(refuses_text_that_cannot_be_recorded),
        cmocka_unit_test(each_command_knows_its_own),
        cmocka_unit_test(help_tells_every_option),
        cmocka_unit_test(help_of_the_program_tells_every_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
