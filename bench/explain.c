/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "explain.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "perf.h"
#include "schedule.h"
#include "work.h"

enum {
    COMMAND_SIZE = 1024,
    COMMAND_WORDS = 24,
    REASON_SIZE = 256,
    DEADLINE_S = 20, /* of trying a command; each takes some 50 ms */
    FILE_FD = 3,     /* of what a command that is tried writes */
    NOT_FOUND = 127,
};

struct look {
    enum { ALL, FAULTS, MEETING } suits;
    const char *events;
    enum { FIRST, EACH } choice;
    enum { LONG, SHORT } seconds;
    const char *file, *command, *report, *needs, *doc;
};

#define LOOK(suits, events, choice, seconds, file, command, report, needs, doc)                                        \
    {suits, events, choice, seconds, file, command, report, needs, doc},
static const struct look looks[] = {
#include "looks.def"
};
#undef LOOK

/* ---- which arm ---- */

int explain_find(const struct plan *plan, const char *where, const struct cell **cell, const struct arm **arm,
                 struct err *err)
{
    const char *slash = strrchr(where, '/');
    size_t length = slash ? (size_t)(slash - where) : 0;
    *cell = NULL;
    *arm = NULL;
    if (plan->scenario_count != 1)
        return err_set(err, EINVAL, "--explain is about one arm of one scenario, there are %u here",
                       plan->scenario_count);
    if (length == 0 || !slash[1])
        return err_set(err, EINVAL, "--explain %.200s: write CELL/ARM", where);
    for (unsigned i = 0; i < plan->cell_count && !*cell; i++)
        if (strlen(plan->cells[i].id) == length && strncmp(plan->cells[i].id, where, length) == 0)
            *cell = &plan->cells[i];
    for (unsigned i = 0; i < plan->refused_count; i++)
        if (strlen(plan->refused[i].cell) == length && strncmp(plan->refused[i].cell, where, length) == 0)
            return err_set(err, ENOENT, "--explain: the cell cannot be measured: %.300s", plan->refused[i].reason);
    if (!*cell)
        return err_set(err, ENOENT, "--explain: there is no cell '%.*s'", (int)(length < 200 ? length : 200), where);
    for (unsigned i = 0; i < (*cell)->arm_count && !*arm; i++)
        if (strcmp((*cell)->arms[i].name, slash + 1) == 0 && !(*cell)->arms[i].is_null)
            *arm = &(*cell)->arms[i];
    return *arm ? 0 : err_set(err, ENOENT, "--explain: there is no arm '%.200s'", slash + 1);
}

void explain_names(const struct plan *plan, FILE *out)
{
    fputs("cells:", out);
    for (unsigned i = 0; i < plan->cell_count; i++)
        fprintf(out, " %s", plan->cells[i].id);
    fputs("\narms:", out);
    for (unsigned i = 0; plan->cell_count && i < plan->cells[0].arm_count; i++)
        if (!plan->cells[0].arms[i].is_null)
            fprintf(out, " %s", plan->cells[0].arms[i].name);
    fputc('\n', out);
}

static const char *suits_text(const struct look *look)
{
    static const char *const texts[] = {
        [ALL] = "all", [FAULTS] = "those that can take page faults", [MEETING] = "those of several workers"};
    return texts[look->suits];
}

static bool look_suits(const struct look *look, const struct arm *arm)
{
    bool faults = !method_meets(arm->method) || arm->method->uses & FIELD_BIT(fault_of);
    return look->suits == ALL || (look->suits == FAULTS ? faults : arm->params.workers > 1);
}

/* ---- words for a shell ---- */

static void put_quoted(const char *text, FILE *out)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
    if (*text && text[strspn(text, plain)] == '\0') {
        fputs(text, out);
        return;
    }
    fputc('\'', out);
    for (const char *at = text; *at; at++)
        fputs(*at == '\'' ? "'\\''" : (char[]){*at, '\0'}, out);
    fputc('\'', out);
}

static void put_word(const char *text, FILE *out)
{
    fputc(' ', out);
    put_quoted(text, out);
}

/* A path means the same file wherever the command is pasted; a scenario's name stays one. */
static void put_path(const char *text, FILE *out)
{
    char *whole = realpath(text, NULL);
    put_word(whole ? whole : text, out);
    free(whole);
}

static void put_program(FILE *out)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    put_word(length > 0 ? self : "faultline", out);
}

/* ---- the run of the one arm ---- */

static bool is_set(const struct options *options, const char *key)
{
    size_t length = strlen(key);
    for (unsigned i = 0; i < options->set_count; i++)
        if (strncmp(options->sets[i], key, length) == 0)
            return true;
    return false;
}

/* Whether a batch can be of any number of operations, and what is restored before it does not grow with them. */
static bool is_steady(const struct arm *arm)
{
    const struct params *params = &arm->params;
    return work_limit(arm) == UINT64_MAX && (!arm->method->reset || method_meets(arm->method)) &&
           !schedule_is_cold(arm) && params->pause == 0 && params->memory_limit == 0 && params->matrix == matrix_none;
}

/* Batches that leave little of the time to what is around them, where that can be had. */
static void put_length(const struct look *look, const struct cell *cell, const struct arm *arm,
                       const struct options *options, FILE *out)
{
    static const char *const longer[][2] = {{"batch_time=", "5ms"}, {"arm_time=", "1s"}};
    if (!options->values[OPTION_budget])
        fputs(look->seconds == LONG ? " --budget 10s" : " --budget 1s", out);
    for (unsigned i = 0; i < 2 && look->seconds == LONG && is_steady(arm); i++)
        if (!is_set(options, longer[i][0]) && !strstr(cell->id, longer[i][0]))
            fprintf(out, " --set %s%s", longer[i][0], longer[i][1]);
}

/* Those that the arm heeds: the others would be refused where it is alone. */
static void put_sets(const struct arm *arm, const struct options *options, FILE *out)
{
    for (unsigned i = 0; i < options->set_count; i++)
        for (size_t f = 0; f < FIELD_COUNT; f++) {
            const struct field *field = &field_table[f];
            size_t length = strlen(field->name);
            bool names = strncmp(options->sets[i], field->name, length) == 0 && options->sets[i][length] == '=';
            bool common = field->scope == SCOPE_TARGET || field->scope == SCOPE_CELL;
            if (!names || !(common || arm->method->uses >> f & 1))
                continue;
            fputs(" --set", out);
            put_word(options->sets[i], out);
        }
}

static void put_options(const struct options *options, FILE *out)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        char spelled[64];
        const char *value = options->values[i];
        bool own = i == OPTION_set || i == OPTION_cell || i == OPTION_arms || i == OPTION_explain ||
                   i == OPTION_quiet || i == OPTION_no_report;
        if (!value || own)
            continue;
        bool takes = options_spell((enum option)i, spelled, sizeof spelled) != NULL;
        fprintf(out, " %s", spelled);
        if (takes && (i == OPTION_file || i == OPTION_directory))
            put_path(value, out);
        else if (takes)
            put_word(value, out);
    }
}

static void put_run(const struct look *look, const struct cell *cell, const struct arm *arm,
                    const struct options *options, FILE *out)
{
    const char *file = look->file ? look->file : "totals";
    put_program(out);
    fputs(" run", out);
    for (unsigned i = 0; i < options->word_count; i++)
        put_path(options->words[i], out);
    fprintf(out, " --cell %s --arms %s", cell->id, arm->name);
    put_options(options, out);
    put_sets(arm, options, out);
    put_length(look, cell, arm, options, out);
    fprintf(out, " --no-report --quiet --out %.*s.run", (int)strcspn(file, "."), file);
}

/* ---- what perf can do here ---- */

/* perf knows the kernel's own events by the names that stand behind our kinds. */
static const char *perf_spelling(const char *source)
{
    const char *colon = strchr(source, ':');
    return colon ? colon + 1 : source;
}

static void add_event(char *events, size_t size, const char *source)
{
    size_t used = strlen(events);
    snprintf(events + used, size - used, "%s%s", used ? "," : "", perf_spelling(source));
}

/* A comment on all counters from `first` on that have its reason, unless an earlier one has told it for them. */
static void tell_reason(const struct perf_set *set, unsigned first, unsigned count, FILE *out)
{
    const char *reason = set->counters[first].reason;
    for (unsigned i = 0; i < first; i++)
        if (strcmp(set->counters[i].reason, reason) == 0)
            return;
    fprintf(out, "# no %s", perf_spelling(set->counters[first].label));
    for (unsigned i = first + 1; i < count; i++)
        if (strcmp(set->counters[i].reason, reason) == 0)
            fprintf(out, ", %s", perf_spelling(set->counters[i].label));
    fprintf(out, " here: %s\n", reason);
}

/*
 * The events of a look that open here, "a,b", in `events`; what of them does not, or only in part, is printed as
 * comments. *chosen: how many they are; all events when it is 0.
 */
static int choose_events(const struct look *look, char *events, size_t size, unsigned *chosen, FILE *out,
                         struct err *err)
{
    struct perf_set set;
    struct err why = {0};
    bool user_only = false;
    int rc = perf_find_list(&set, look->events, err);
    unsigned count = 0;
    *chosen = 0;
    events[0] = '\0';
    for (; rc == 0 && count < set.count && !(*chosen && look->choice == FIRST); count++)
        if (set.counters[count].opened) {
            add_event(events, size, set.counters[count].code.name);
            user_only = user_only || set.counters[count].user_only;
            ++*chosen;
        }
    for (unsigned i = 0; rc == 0 && i < count; i++)
        if (!set.counters[i].opened)
            tell_reason(&set, i, count, out);
    for (unsigned i = 0; rc == 0 && *chosen == 0 && i < count; i++)
        add_event(events, size, set.counters[i].label);
    if (user_only) {
        perf_explain(EACCES, &why);
        fprintf(out, "# of user mode only: %s\n", why.text);
    }
    return rc;
}

/* Fills a command of a look in. */
static void fill_in(const char *pattern, const char *events, const char *file, char *text, size_t size)
{
    static const char events_mark[] = "{events}", file_mark[] = "{file}";
    size_t used = 0;
    while (*pattern && used + 1 < size) {
        bool is_events = strncmp(pattern, events_mark, sizeof events_mark - 1) == 0;
        bool is_file = strncmp(pattern, file_mark, sizeof file_mark - 1) == 0;
        if (is_events || is_file)
            used += (size_t)snprintf(text + used, size - used, "%s", is_events ? events : file);
        else
            text[used++] = *pattern;
        pattern += is_events ? sizeof events_mark - 1 : is_file ? sizeof file_mark - 1 : 1;
    }
    text[used < size ? used : size - 1] = '\0';
}

/* What a look counts or samples, each quoted by `quote`. */
static void put_events(const struct look *look, const char *quote, FILE *out)
{
    const char *events = look->events;
    char event[EVENT_SOURCE_SIZE];
    if (!*events)
        fputs("those that perf chooses", out);
    else if (look->choice == FIRST)
        fputs("the first that opens of ", out);
    for (bool first = true; event_next_name(&events, event, sizeof event); first = false)
        fprintf(out, "%s%s%s%s", first ? "" : ", ", quote, event, quote);
}

static void list_look(const struct look *look, bool markdown, FILE *out)
{
    char command[COMMAND_SIZE];
    const char *quote = markdown ? "`" : "", *file = look->file ? look->file : "";
    fill_in(look->command, "EVENTS", file, command, sizeof command);
    fprintf(out, markdown ? "| `perf %s`" : "perf %s", command);
    if (look->report) {
        fill_in(look->report, "", file, command, sizeof command);
        fprintf(out, markdown ? ", `perf %s`" : "; perf %s", command);
    }
    fprintf(out, markdown ? " | %s | " : "\n    of arms: %s; events: ", suits_text(look));
    put_events(look, quote, out);
    fprintf(out, markdown ? " | %s |\n" : "\n    %s\n", look->doc);
}

void explain_list(bool markdown, FILE *out)
{
    if (markdown)
        fputs("## Commands of perf\n\n| command | of which arms | EVENTS | shows |\n| --- | --- | --- | --- |\n", out);
    for (unsigned i = 0; i < sizeof looks / sizeof *looks; i++)
        list_look(&looks[i], markdown, out);
}

static void become_perf(char *const *argv, int messages, int file)
{
    int nothing = open("/dev/null", O_RDONLY), copy = fcntl(file, F_DUPFD, 10);
    signal(SIGALRM, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    alarm(DEADLINE_S);
    if (dup2(nothing, STDIN_FILENO) < 0 || dup2(messages, STDOUT_FILENO) < 0 || dup2(messages, STDERR_FILENO) < 0 ||
        dup2(copy, FILE_FD) < 0)
        _exit(126);
    execvp(argv[0], argv);
    _exit(NOT_FOUND);
}

/* The first line that says more than that there is an error. False when there is none. */
static bool read_reason(int fd, char *reason, size_t size)
{
    bool found = false;
    char line[REASON_SIZE];
    int copy = lseek(fd, 0, SEEK_SET) == 0 ? dup(fd) : -1;
    FILE *file = copy < 0 ? NULL : fdopen(copy, "r");
    while (file && !found && fgets(line, sizeof line, file)) {
        const char *text = line + strspn(line, " \t");
        if (strncmp(text, "Error:", 6) == 0)
            text += 6 + strspn(text + 6, " \t");
        int length = (int)strcspn(text, "\r\n");
        found = length > 0 && strncmp(text, "WARNING", 7) != 0;
        if (found)
            snprintf(reason, size, "%.*s", length, text);
    }
    if (file)
        fclose(file);
    return found;
}

static void explain_failure(int status, int messages, int file, char *reason, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(reason, size, "perf was ended: %s", strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == NOT_FOUND && lseek(messages, 0, SEEK_END) == 0)
        snprintf(reason, size, "perf is not installed (Debian: linux-perf, Ubuntu: linux-tools)");
    else if (!read_reason(messages, reason, size) && !read_reason(file, reason, size))
        snprintf(reason, size, "perf ended with status %d", WEXITSTATUS(status));
}

static int memory_file(struct err *err)
{
    int fd = memfd_create("faultline-perf", MFD_CLOEXEC);
    return fd < 0 ? err_sys(err, "memfd_create") : fd;
}

/*
 * Runs perf with a program that does nothing, its file in memory. `reason` is "" when that worked. -errno with text
 * when it could not be tried.
 */
static int try_perf(const char *command, char *reason, size_t size, struct err *err)
{
    char words[COMMAND_SIZE], perf[] = "perf", workload[] = "true", *argv[COMMAND_WORDS] = {perf}, *rest = NULL;
    unsigned count = 1;
    int status = 0, rc = 0, messages = memory_file(err), file = messages < 0 ? -1 : memory_file(err);
    reason[0] = '\0';
    snprintf(words, sizeof words, "%s", command);
    for (char *word = strtok_r(words, " ", &rest); word && count < COMMAND_WORDS - 2; word = strtok_r(NULL, " ", &rest))
        argv[count++] = word;
    argv[count] = workload;
    pid_t child = file < 0 ? -1 : fork();
    if (child == 0)
        become_perf(argv, messages, file);
    if (child < 0)
        rc = err->code ? -err->code : err_sys(err, "fork");
    while (rc == 0 && waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            rc = err_sys(err, "waitpid");
    if (rc == 0 && status)
        explain_failure(status, messages, file, reason, size);
    if (messages >= 0)
        close(messages);
    if (file >= 0)
        close(file);
    return rc;
}

/*
 * Chooses the events of a look and tries its command with them. `reason` is "" when it works here. -errno with text
 * when that cannot be tried.
 */
static int try_look(const struct look *look, char *events, size_t size, char *reason, FILE *out, struct err *err)
{
    char command[COMMAND_SIZE], path[32];
    unsigned chosen;
    int rc = choose_events(look, events, size, &chosen, out, err);
    snprintf(path, sizeof path, "/proc/self/fd/%d", FILE_FD);
    fill_in(look->command, events, path, command, sizeof command);
    if (rc == 0)
        rc = try_perf(command, reason, REASON_SIZE, err);
    if (rc == 0 && !*reason && !chosen && *look->events) /* perf has taken another event, and does not say so */
        snprintf(reason, REASON_SIZE, "none of its events can be opened");
    return rc;
}

/* A command of perf and what it runs, as a comment where it does not work: every line of it, a path may have several.
 */
static void put_command(const char *command, const char *run, bool comment, FILE *out)
{
    fprintf(out, "%sperf %s%s", comment ? "# " : "", command, run ? " --" : "");
    for (; run && *run; run++)
        fputs(*run == '\n' && comment ? "\n# " : (char[]){*run, '\0'}, out);
    fputc('\n', out);
}

static void put_commands(const struct look *look, const char *events, const char *run, const char *reason, FILE *out)
{
    char command[COMMAND_SIZE];
    if (*reason)
        fprintf(out, "# It does not work here: %s\n", reason);
    if (*reason && look->needs)
        fprintf(out, "# It needs %s.\n", look->needs);
    fill_in(look->command, events, look->file, command, sizeof command);
    put_command(command, run, *reason, out);
    if (!look->report)
        return;
    fill_in(look->report, events, look->file, command, sizeof command);
    put_command(command, NULL, *reason, out);
}

static int print_look(const struct look *look, const struct cell *cell, const struct arm *arm,
                      const struct options *options, FILE *out, struct err *err)
{
    char events[COMMAND_SIZE / 2], reason[REASON_SIZE], *run = NULL;
    size_t run_size;
    fprintf(out, "\n# %s\n", look->doc);
    int rc = try_look(look, events, sizeof events, reason, out, err);
    FILE *stream = rc ? NULL : open_memstream(&run, &run_size);
    if (stream)
        put_run(look, cell, arm, options, stream);
    if (rc == 0 && (!stream || fclose(stream)))
        rc = err_set(err, ENOMEM, "no memory for a command");
    if (rc == 0)
        put_commands(look, events, run, reason, out);
    free(run);
    return rc;
}

int explain_print(const struct plan *plan, const struct cell *cell, const struct arm *arm,
                  const struct options *options, FILE *out, struct err *err)
{
    int rc = 0;
    fprintf(out,
            "# %s, cell %s, arm %s, seen by perf. Nothing was measured: these are commands for a shell.\n"
            "# perf sees all of a run, also how the file is made and its state restored. What a run says under perf is "
            "not\n# what it says without.\n",
            plan->scenarios[cell->scenario].name, cell->id, arm->name);
    for (unsigned i = 0; i < sizeof looks / sizeof *looks && rc == 0; i++)
        if (look_suits(&looks[i], arm))
            rc = print_look(&looks[i], cell, arm, options, out, err);
    return rc;
}
