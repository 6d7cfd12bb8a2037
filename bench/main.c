/* SPDX-License-Identifier: MIT */
/* The command line: the only C file that prints to the user or chooses an exit status. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build.h"
#include "catalog.h"
#include "cgroup.h"
#include "counter.h"
#include "event.h"
#include "event_probe.h"
#include "explain.h"
#include "machine.h"
#include "options.h"
#include "plan.h"
#include "runner.h"
#include "schema.h"
#include "storage.h"
#include "subcommand.h"
#include "trial.h"
#include "wire.h"
#ifndef FAULTLINE_MINIMAL
#include "scenario.h"
#endif

enum exit_status {
    EXIT_FINE = 0,
    EXIT_USAGE = 2,
    EXIT_ENVIRONMENT = 4,
    EXIT_TRIAL = 5,
    EXIT_NOT_COMPARABLE = 6,
    EXIT_IO = 7,
};

#define DEADLINE_DEFAULT_NS (120 * UINT64_C(1000000000))
#define TIME_MAX_NS (UINT64_C(366) * 86400 * UINT64_C(1000000000)) /* sums and multiples stay in range */

static int complain(const struct err *err, int status)
{
    fprintf(stderr, "faultline: %s\n", err->text);
    return status;
}

/* Of two statuses the graver: 2, 7, 6, 5, 4, 1, 3 in this order; 0 only when both are. */
static int graver(int a, int b)
{
    static const int order[] = {2, 7, 6, 5, 4, 1, 3};
    for (unsigned i = 0; i < sizeof order / sizeof *order; i++)
        if (a == order[i] || b == order[i])
            return order[i];
    return a ? a : b;
}

static int print_json(json_t *json)
{
    int failed = !json || json_dumpf(json, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) || putchar('\n') == EOF;
    json_decref(json);
    return failed && !ferror(stdout) ? complain(&(struct err){.text = "no memory"}, EXIT_IO) : EXIT_FINE;
}

static int read_time(const struct options *options, enum option option, uint64_t *ns, struct err *err)
{
    const char *text = options->values[option];
    int rc = text ? text_parse_time(text, ns, err) : 0;
    if (text && rc == 0 && (*ns == 0 || *ns > TIME_MAX_NS))
        rc = err_set(err, EINVAL, "'%s': a deadline or budget must be above 0 and at most a year", text);
    return rc;
}

/* ---- plans ---- */

#ifndef FAULTLINE_MINIMAL
static int load_scenarios(const struct catalog *catalog, struct scenario **scenarios, struct err *err)
{
    for (unsigned i = 0; i < catalog->count; i++) {
        int rc = scenario_load(catalog->paths[i], &scenarios[i], err);
        if (rc)
            return rc;
    }
    return 0;
}

static int resolve(struct plan *plan, const struct catalog *catalog, const struct plan_options *wishes, struct err *err)
{
    struct scenario **scenarios = calloc(catalog->count + 1, sizeof *scenarios);
    if (!scenarios)
        return err_set(err, ENOMEM, "no memory for the scenarios");
    int rc = load_scenarios(catalog, scenarios, err);
    if (rc == 0)
        rc = plan_make(plan, scenarios, catalog->count, wishes, err);
    for (unsigned i = 0; i < catalog->count; i++)
        scenario_free(scenarios[i]);
    free(scenarios);
    return rc;
}

/* Allowed CPUs, as far as a quota lets them run at the same time. */
static unsigned usable_cpus(const struct topology *place)
{
    struct limits limits;
    struct err ignored;
    unsigned count = place_cpu_count(place);
    if (cgroup_limits("", &limits, &ignored) || limits.cpu_quota_percent == LIMIT_NONE)
        return count;
    uint64_t quota = (limits.cpu_quota_percent + 99) / 100;
    return quota < count ? (unsigned)quota : count;
}

/* --page-bytes: a power of two that some kernel has. 0 when it is not given. */
static int read_page_bytes(const struct options *options, uint64_t *bytes, struct err *err)
{
    const char *text = options->values[OPTION_page_bytes];
    int rc = text ? text_parse_size(text, bytes, err) : 0;
    if (rc)
        return err_prefix(err, "--page-bytes %.60s", text);
    if (text && (*bytes < 4 * KIB || *bytes > MIB || (*bytes & (*bytes - 1))))
        return err_set(err, EINVAL, "--page-bytes %.60s: a power of two from 4KiB to 1MiB", text);
    return 0;
}

/* Every --set; --matrix KIND is another way to write --set matrix=KIND, in `matrix[size]`. */
static void gather_sets(const struct options *options, struct plan_options *wishes, const char **sets, char *matrix,
                        size_t size)
{
    const char *kind = options->values[OPTION_matrix];
    memcpy(sets, options->sets, options->set_count * sizeof *sets);
    wishes->sets = sets;
    wishes->set_count = options->set_count;
    if (!kind)
        return;
    snprintf(matrix, size, "matrix=%s", kind);
    sets[wishes->set_count++] = matrix;
}

/* The scenarios named on the command line, resolved. */
static int make_plan(struct plan *plan, const struct options *options, const struct topology *place, struct err *err)
{
    struct catalog catalog = {0};
    struct plan_options wishes = {
        .profile = options->values[OPTION_profile],
        .has_seed = options->values[OPTION_seed] != NULL,
        .directory = options->values[OPTION_directory],
        .given_path = options->values[OPTION_file],
        .counters = options->values[OPTION_counters],
        .cell = options->values[OPTION_cell],
        .arms = options->values[OPTION_arms],
        .allow_evict = options->values[OPTION_allow_evict] != NULL,
        .make_filesystems = options->values[OPTION_make_filesystems] != NULL,
        .cpu_count = usable_cpus(place),
        .pairs = place_pairs(place),
        .memory_nodes = place_memory_node_count(place),
    };
    const char *sets[SETS_MAX + 1];
    char matrix[64];
    gather_sets(options, &wishes, sets, matrix, sizeof matrix);
    if (options->word_count == 0)
        return err_set(err, EINVAL, "no scenario is named: see 'faultline list scenarios'");
    int rc = read_time(options, OPTION_budget, &wishes.budget_ns, err);
    if (rc == 0 && wishes.counters)
        rc = event_check_list(wishes.counters, err);
    if (rc == 0 && wishes.has_seed)
        rc = text_parse_count(options->values[OPTION_seed], &wishes.seed, err);
    if (rc == 0)
        rc = read_page_bytes(options, &wishes.page_bytes, err);
    if (rc == 0 && !wishes.page_bytes && !options->values[OPTION_topology])
        storage_look(wishes.directory ? wishes.directory : PLAN_DIRECTORY);
    for (unsigned i = 0; i < options->word_count && rc == 0; i++)
        rc = catalog_add(&catalog, options->words[i], err);
    if (rc == 0)
        rc = resolve(plan, &catalog, &wishes, err);
    catalog_free(&catalog);
    return rc;
}
#else
static int make_plan(struct plan *plan, const struct options *options, const struct topology *place, struct err *err)
{
    (void)plan;
    (void)options;
    (void)place;
    return err_set(err, EINVAL, "this minimal build reads no scenarios: give it --plan PLAN.json");
}
#endif

static int load_plan(struct plan *plan, const struct options *options, struct err *err)
{
    const char *path = options->values[OPTION_plan];
    json_error_t where;
    if (options->word_count)
        return err_set(err, EINVAL, "--plan holds its scenarios already: '%s' is one too many", options->words[0]);
    json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
    if (!json)
        return err_set(err, EINVAL, "%s:%d:%d: %s", path, where.line, where.column, where.text);
    int rc = wire_plan_read(json, plan, err);
    json_decref(json);
    return rc ? err_prefix(err, "%s", path) : 0;
}

/* This machine's topology, or with --topology another's: hwloc takes it from the environment. */
static int load_topology(const struct options *options, struct topology **place, struct err *err)
{
#ifdef FAULTLINE_MINIMAL
    if (options->values[OPTION_topology])
        return err_set(err, EINVAL, "--topology needs hwloc, which this minimal build is without");
#endif
    static const char synthetic[] = "synthetic:";
    const char *where = options->values[OPTION_topology];
    bool describes = where && strncmp(where, synthetic, sizeof synthetic - 1) == 0;
    if (where &&
        setenv(describes ? "HWLOC_SYNTHETIC" : "HWLOC_XMLFILE", describes ? where + sizeof synthetic - 1 : where, 1))
        return err_sys(err, "--topology");
    int rc = place_load(place, err);
    if (rc == 0 && where && place_is_this_machine(*place)) { /* an empty name or description is as good as none */
        place_free(*place);
        *place = NULL;
        rc = err_set(err, EINVAL, "it names no machine");
    }
    return rc && where ? err_prefix(err, "--topology %s", where) : rc;
}

/* --counters list: prints what can be counted here instead of planning or measuring. */
static bool asks_for_list(const struct options *options)
{
    return options->values[OPTION_counters] && strcmp(options->values[OPTION_counters], "list") == 0;
}

static int list_openable(void)
{
    struct err err = {0};
    json_t *counters = event_probe_all(&err);
    if (!counters)
        return complain(&err, EXIT_ENVIRONMENT);
    event_probe_print(counters, stdout);
    json_decref(counters);
    return EXIT_FINE;
}

static int command_plan(const struct options *options)
{
    if (asks_for_list(options))
        return list_openable();
    struct plan plan = {0};
    struct topology *place = NULL;
    struct err err = {0};
    int status = EXIT_FINE;
    int rc = load_topology(options, &place, &err);
    if (rc == 0)
        rc = make_plan(&plan, options, place, &err);
    if (rc)
        status = complain(&err, EXIT_USAGE);
    else if (options->values[OPTION_json])
        status = print_json(wire_plan(&plan));
    else
        plan_print(&plan, stdout);
    plan_free(&plan);
    place_free(place);
    return status;
}

/* ---- run ---- */

/* results/ of the tree the program was built from when it stands in it, else the current folder. */
static const char *default_parent(void)
{
    static char path[PATH_MAX];
    char self[PATH_MAX];
    snprintf(path, sizeof path, "%s/results", FAULTLINE_SOURCE_DIR);
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    bool in_tree = strncmp(self, FAULTLINE_SOURCE_DIR "/", sizeof FAULTLINE_SOURCE_DIR) == 0;
    return in_tree && access(path, W_OK) == 0 ? path : ".";
}

static int run_status(int rc, const struct run_outcome *outcome)
{
    if (rc == -ESTALE)
        return EXIT_NOT_COMPARABLE;
    return outcome->unfit || rc == -EXDEV ? EXIT_ENVIRONMENT : EXIT_IO;
}

/* Table and files by faultline-report; its exit status, 0 when it is not there. */
static int report(const struct plan *plan, const struct run_outcome *outcome, bool quiet)
{
    char path[PATH_MAX], name[] = "report", directory[sizeof outcome->directory];
    struct err err = {0};
    int status = EXIT_FINE;
    snprintf(directory, sizeof directory, "%s", outcome->directory);
    char *argv[] = {name, directory, NULL};
    if (!subcommand_find("report", path, sizeof path)) {
        fputs("faultline: faultline-report is not here (it needs Python): the records are written, nothing is "
              "concluded\n",
              stderr);
        return EXIT_FINE;
    }
    if (!quiet)
        fprintf(stderr, "faultline: writing the report, about %.0f s\n", plan_report_seconds(plan));
    if (subcommand_run("report", argv, &status, &err))
        return complain(&err, EXIT_IO);
    if (status <= 128 || run_signal())
        return status;
    err_set(&err, EIO, "faultline-report was ended by a signal (%s)", strsignal(status - 128));
    return complain(&err, EXIT_IO);
}

static int conclude(const struct plan *plan, const struct options *options, const struct run_outcome *outcome)
{
    bool quiet = options->values[OPTION_quiet] != NULL;
    struct err err = {0};
    int status = outcome->arm_failed ? EXIT_TRIAL : EXIT_FINE;
    if (outcome->finished == 0)
        status = EXIT_IO;
    if (outcome->finished && !options->values[OPTION_no_report])
        status = graver(status, report(plan, outcome, quiet));
    if (run_signal())
        status = 128 + run_signal();
    if (run_put_exit(outcome->directory, status, &err))
        status = complain(&err, graver(status, EXIT_IO));
    printf("%s\n", outcome->directory);
    return status;
}

static void announce(const struct plan *plan, bool quiet)
{
    if (!quiet)
        fprintf(stderr, "faultline: %u cells of %u scenarios, about %.0f s%s\n", plan->cell_count, plan->scenario_count,
                plan_seconds(plan), plan_is_cut(plan) ? " (limited by the budget)" : "");
    for (unsigned i = 0; i < plan->refused_count && !quiet; i++)
        fprintf(stderr, "faultline: not run: %s %s: %s\n", plan->scenarios[plan->refused[i].scenario].name,
                plan->refused[i].cell, plan->refused[i].reason);
}

static int run_resolved(struct plan *plan, const struct topology *place, const struct options *options, int argc,
                        char *const *argv)
{
    struct err err = {0};
    struct run_outcome outcome;
    bool quiet = options->values[OPTION_quiet] != NULL;
    struct run_options wishes = {
        .out = options->values[OPTION_out],
        .parent = default_parent(),
        .resume = options->values[OPTION_resume],
        .machine_name = options->values[OPTION_machine_name],
        .instance = options->values[OPTION_instance],
        .deadline_ns = DEADLINE_DEFAULT_NS,
        .progress = quiet ? NULL : stderr,
        .argv = argv,
        .argc = (unsigned)argc,
    };
    if (read_time(options, OPTION_deadline, &wishes.deadline_ns, &err))
        return complain(&err, EXIT_USAGE);
    if (!wishes.resume)
        announce(plan, quiet);
    int rc = run_plan(plan, place, &wishes, &outcome, &err);
    if (rc)
        complain(&err, 0);
    if (!outcome.directory[0])
        return run_status(rc, &outcome);
    int status = conclude(plan, options, &outcome);
    return rc && !run_signal() ? graver(status, run_status(rc, &outcome)) : status;
}

static int check_run_options(const struct options *options, struct err *err)
{
    static const enum option of_plan[] = {OPTION_profile,  OPTION_set,    OPTION_file,      OPTION_allow_evict,
                                          OPTION_seed,     OPTION_budget, OPTION_directory, OPTION_make_filesystems,
                                          OPTION_counters, OPTION_matrix, OPTION_cell,      OPTION_arms,
                                          OPTION_explain};
    const char *source = options->values[OPTION_resume] ? "--resume" : options->values[OPTION_plan] ? "--plan" : NULL;
    if (options->values[OPTION_resume] &&
        (options->word_count || options->values[OPTION_plan] || options->values[OPTION_out]))
        return err_set(err, EINVAL, "--resume takes scenarios, plan and directory from the run itself");
    if (options->values[OPTION_explain] && options->values[OPTION_out])
        return err_set(err, EINVAL, "--explain measures nothing: the commands it prints have an --out of their own");
    for (unsigned i = 0; source && i < sizeof of_plan / sizeof *of_plan; i++)
        if (options->values[of_plan[i]])
            return err_set(err, EINVAL, "%s holds a resolved plan: it cannot be changed any more", source);
    return 0;
}

/* Refuses what would be measured as another machine's: topology or counters. */
static int check_this_machine(const struct topology *place, struct err *err)
{
    const char *variable = event_other_cpu();
    if (!place_is_this_machine(place))
        return err_set(err, EINVAL,
                       "the topology is not that of this machine (HWLOC_SYNTHETIC, HWLOC_XMLFILE or HWLOC_FSROOT is "
                       "set): planning is possible, measuring is not");
    if (variable)
        return err_set(err, EINVAL,
                       "%s is set: counters would be named after another CPU; planning is possible, measuring is not",
                       variable);
    return 0;
}

/* --explain CELL/ARM: commands of perf, instead of measuring. */
static int explain(const struct plan *plan, const struct options *options)
{
    const struct cell *cell;
    const struct arm *arm;
    struct err err = {0};
    if (explain_find(plan, options->values[OPTION_explain], &cell, &arm, &err)) {
        complain(&err, EXIT_USAGE);
        if (plan->scenario_count == 1)
            explain_names(plan, stderr);
        return EXIT_USAGE;
    }
    return explain_print(plan, cell, arm, options, stdout, &err) ? complain(&err, EXIT_IO) : EXIT_FINE;
}

static int command_run(const struct options *options, int argc, char *const *argv)
{
    struct plan plan = {0};
    struct topology *place = NULL;
    struct err err = {0};
    int status;
    if (asks_for_list(options))
        return list_openable();
    if (check_run_options(options, &err))
        return complain(&err, EXIT_USAGE);
    if (place_load(&place, &err))
        return complain(&err, EXIT_ENVIRONMENT);
    if (check_this_machine(place, &err)) {
        place_free(place);
        return complain(&err, EXIT_ENVIRONMENT);
    }
    int rc = options->values[OPTION_resume] ? 0
             : options->values[OPTION_plan] ? load_plan(&plan, options, &err)
                                            : make_plan(&plan, options, place, &err);
    if (rc)
        status = complain(&err, EXIT_USAGE);
    else if (options->values[OPTION_explain])
        status = explain(&plan, options);
    else
        status = run_resolved(&plan, place, options, argc, argv);
    plan_free(&plan);
    place_free(place);
    return status;
}

/* ---- list, machine, schema ---- */

static void list_row(bool markdown, const char *name, const char *kind, const char *rest, const char *doc)
{
    if (markdown)
        printf("| `%s` | %s | %s | %s |\n", name, kind, rest, doc);
    else
        printf("%-22s %-8s %-12s %s\n", name, kind, rest, doc);
}

static int list_fields(bool markdown)
{
    struct params defaults;
    char text[64];
    params_default(&defaults);
    if (markdown)
        puts(
            "# Fields\n\nGenerated by `faultline list fields --markdown`.\n\n| field | scope | default | what it is |\n"
            "| --- | --- | --- | --- |");
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        const struct field *field = &field_table[i];
        field_format(field, &defaults, text, sizeof text);
        list_row(markdown, field->name, field_scope_name(field->scope), text, field->doc);
        for (const struct field_option *option = field->options; option && option->spelling; option++) {
            snprintf(text, sizeof text, "%s%s", markdown ? "" : "  ", option->spelling);
            list_row(markdown, text, "", "", option->doc);
        }
    }
    return EXIT_FINE;
}

static const char *exactness(enum counter_exactness exact)
{
    return exact == COUNTER_EXACT ? "exact" : "timed";
}

/* One that is counted when asked for, with what is tried for it. */
static void list_event(bool markdown, const struct event *event)
{
    char source[EVENT_SOURCE_SIZE];
    const char *sources = event->sources;
    if (!markdown) {
        list_row(false, event->name, event->unit, exactness(event->exactness), event->doc);
        return;
    }
    printf("| `%s` | %s | %s | %s | ", event->name, event->unit, exactness(event->exactness), event->doc);
    for (bool first = true; event_next_source(&sources, source, sizeof source); first = false)
        printf("%s`%s`", first ? "" : ", ", source);
    puts(" |");
}

static int list_counters(bool markdown)
{
    if (markdown)
        puts("## Always counted\n\n| counter | unit | exactness, source | what it counts |\n| --- | --- | --- | --- |");
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        char rest[64];
        const struct counter *counter = &counter_table[i];
        snprintf(rest, sizeof rest, "%s, %s", exactness(counter->exactness), counter->source);
        list_row(markdown, counter->name, counter->unit, rest, counter->doc);
    }
    puts(markdown
             ? "\n## Counted when asked for\n\n| counter | unit | exactness | what it counts | tried in this order "
               "|\n| --- | --- | --- | --- | --- |"
             : "\nwith --counters NAME,...; of these and of libpfm4's events:");
    for (unsigned i = 0; i < EVENT_COUNT; i++)
        list_event(markdown, &event_table[i]);
    return EXIT_FINE;
}

static int list_looks(bool markdown)
{
    explain_list(markdown, stdout);
    return EXIT_FINE;
}

static int list_methods(bool markdown)
{
    if (markdown)
        puts("# Methods\n\nGenerated by `faultline list methods --markdown`.\n\n| method | version | fields it uses | "
             "what it "
             "measures |\n| --- | --- | --- | --- |");
    for (const struct method *const *method = method_table; *method; method++) {
        char version[16], uses[512] = "";
        snprintf(version, sizeof version, "v%u", (*method)->version);
        for (unsigned i = 0; i < FIELD_COUNT && markdown; i++)
            if ((*method)->uses >> i & 1)
                snprintf(uses + strlen(uses), sizeof uses - strlen(uses), "%s%s", *uses ? ", " : "",
                         field_table[i].name);
        list_row(markdown, (*method)->name, version, uses, (*method)->measures);
    }
    return EXIT_FINE;
}

#ifndef FAULTLINE_MINIMAL
static int list_scenarios(bool markdown)
{
    char root[PATH_MAX];
    struct catalog catalog = {0};
    struct err err = {0};
    catalog_root(root, sizeof root);
    int rc = catalog_add(&catalog, root, &err), status = EXIT_FINE;
    if (markdown)
        puts("# Scenarios\n\nGenerated by `faultline list scenarios --markdown`.\n\n| scenario | arms | operation | "
             "question "
             "|\n| --- | --- | --- | --- |");
    for (unsigned i = 0; i < catalog.count && rc == 0; i++) {
        struct scenario *scenario;
        char arms[16];
        rc = scenario_load(catalog.paths[i], &scenario, &err);
        if (rc)
            break;
        snprintf(arms, sizeof arms, "%u arm%s", scenario->arm_count, scenario->arm_count == 1 ? "" : "s");
        if (markdown)
            list_row(markdown, scenario->name, arms, scenario->op, scenario->question);
        else /* operations are of any length: `plan` tells them */
            printf("%-24s %-8s %s\n", scenario->name, arms, scenario->question);
        scenario_free(scenario);
    }
    if (rc)
        status = complain(&err, EXIT_USAGE);
    catalog_free(&catalog);
    return status;
}
#else
static int list_scenarios(bool markdown)
{
    (void)markdown;
    return complain(&(struct err){.text = "this minimal build reads no scenarios"}, EXIT_USAGE);
}
#endif

static int command_list(const struct options *options)
{
    static const struct {
        const char *name;
        int (*list)(bool markdown);
    } lists[] = {{"scenarios", list_scenarios},
                 {"methods", list_methods},
                 {"counters", list_counters},
                 {"fields", list_fields},
                 {"looks", list_looks}};
    bool markdown = options->values[OPTION_markdown] != NULL;
    for (unsigned i = 0; options->word_count == 1 && i < sizeof lists / sizeof *lists; i++)
        if (strcmp(options->words[0], lists[i].name) == 0)
            return lists[i].list(markdown);
    return complain(&(struct err){.text = "list what? one of scenarios, methods, counters, fields, looks"}, EXIT_USAGE);
}

static int command_machine(const struct options *options)
{
    struct topology *place = NULL;
    struct err err = {0};
    const char *directory = options->values[OPTION_directory];
    struct machine_options wishes = {.directory = directory ? directory : PLAN_DIRECTORY,
                                     .name = options->values[OPTION_machine_name],
                                     .counters = true};
    if (load_topology(options, &place, &err))
        return complain(&err, options->values[OPTION_topology] ? EXIT_USAGE : EXIT_ENVIRONMENT);
    json_t *machine = machine_fingerprint(place, &wishes, &err);
    place_free(place);
    if (!machine)
        return complain(&err, EXIT_ENVIRONMENT);
    if (options->values[OPTION_json])
        return print_json(machine);
    machine_print(machine, stdout);
    json_decref(machine);
    return EXIT_FINE;
}

static int command_schema(const struct options *options)
{
    return print_json(options->values[OPTION_scenario] ? schema_scenario() : schema_record());
}

/* ---- the trial process: started by a run, with its job on standard input ---- */

static int command_trial(void)
{
    struct err err = {0};
    json_error_t where;
    json_t *job = json_loadf(stdin, 0, &where);
    if (!job) {
        fprintf(stderr, "faultline trial: no job on standard input: %s\n", where.text);
        return EXIT_USAGE;
    }
    int rc = trial_run(job, STDOUT_FILENO, &err);
    json_decref(job);
    return rc ? complain(&err, rc == -EXDEV ? EXIT_ENVIRONMENT : EXIT_TRIAL) : EXIT_FINE;
}

static int dispatch(enum command command, int argc, char **argv)
{
    struct options options;
    struct err err = {0};
    char **words = calloc((size_t)argc + 1, sizeof *words); /* parsing reorders: what is recorded stays as given */
    if (!words)
        return complain(&(struct err){.text = "no memory"}, EXIT_IO);
    memcpy(words, argv, (size_t)argc * sizeof *words);
    int status = EXIT_FINE;
    if (options_parse(&options, command, argc, words, &err))
        status = complain(&err, EXIT_USAGE);
    else if (options.values[OPTION_help])
        options_help(command, stdout);
    else if (command == COMMAND_RUN)
        status = command_run(&options, argc, argv);
    else if (command == COMMAND_PLAN)
        status = command_plan(&options);
    else if (command == COMMAND_LIST)
        status = command_list(&options);
    else if (options.word_count)
        status = complain(&(struct err){.text = "this command takes options only"}, EXIT_USAGE);
    else
        status = command == COMMAND_MACHINE ? command_machine(&options) : command_schema(&options);
    free(words);
    return status;
}

static int run_command(int argc, char **argv)
{
    struct err err = {0};
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        options_help(COMMAND_COUNT, argc > 1 ? stdout : stderr);
        return argc > 1 ? EXIT_FINE : EXIT_USAGE;
    }
    if (strcmp(name, "--version") == 0) {
        printf("faultline %s (%s, %s)\n", FAULTLINE_VERSION, FAULTLINE_BUILD, FAULTLINE_COMPILER);
        return EXIT_FINE;
    }
    if (strcmp(name, "trial") == 0)
        return command_trial();
    enum command command = command_find(name);
    if (command != COMMAND_COUNT)
        return dispatch(command, argc - 1, argv + 1);
    int rc = subcommand_exec(name, argv + 1, &err);
    return complain(&err, rc == -ENOENT ? EXIT_USAGE : EXIT_IO);
}

/* No file of ours gets the number of a standard stream that is closed: what is meant for the stream would end up in it.
 * A folder can be neither read nor written, so that using the stream stays an error. */
static void hold_streams(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/", O_RDONLY | O_DIRECTORY);
}

int main(int argc, char **argv)
{
    hold_streams();
    setlocale(LC_CTYPE, "");  /* numbers stay as C has them */
    signal(SIGPIPE, SIG_IGN); /* a reader that has gone is an error to report, not the end of a run */
    int status = run_command(argc, argv);
    if (fflush(stdout) || ferror(stdout))
        status = graver(status, complain(&(struct err){.text = "standard output cannot be written"}, EXIT_IO));
    return status;
}
