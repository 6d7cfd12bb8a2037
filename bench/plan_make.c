/* SPDX-License-Identifier: MIT */
/* Scenarios → cells and arms with every value resolved. */
#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cgroup.h"
#include "matrix.h"
#include "plan_parts.h"

#define SEED_LIMIT (UINT64_C(1) << 53) /* every smaller whole number survives any reader of JSON */
#define S (1000 * MS)
#define BLOCK_BYTES_AUTO (128 * KIB) /* what cp and cat read at once */

const char *const profile_names[PROFILE_COUNT] = {"quick", "standard", "thorough"};

bool method_uses(const struct method *method, const struct field *field)
{
    return (method->uses >> (field - field_table) & 1) != 0;
}

const struct setting *settings_find(const struct settings *settings, const struct field *field)
{
    for (unsigned i = 0; i < settings->count; i++)
        if (settings->items[i].field == field)
            return &settings->items[i];
    return NULL;
}

static const struct variation *find_variation(const struct variation *vary, unsigned count, const struct field *field)
{
    for (unsigned i = 0; i < count; i++)
        if (vary[i].field == field)
            return &vary[i];
    return NULL;
}

const struct variation *scenario_variation(const struct scenario *scenario, unsigned profile, const struct field *field)
{
    const struct profile *own = &scenario->profiles[profile];
    const struct variation *variation = find_variation(own->vary, own->vary_count, field);
    return variation ? variation : find_variation(scenario->vary, scenario->vary_count, field);
}

/* ---- --set ---- */

int plan_parse_pair(const char *option, const char *text, const struct field **field, const char **value,
                    struct params *params, struct err *err)
{
    const char *equals = strchr(text, '=');
    char key[TEXT_SIZE];
    size_t length = equals ? (size_t)(equals - text) : 0;
    if (length == 0 || length >= sizeof key)
        return err_set(err, EINVAL, "%s %.100s: write key=value", option, text);
    memcpy(key, text, length);
    key[length] = '\0';
    *value = equals + 1;
    *field = field_find(key);
    if (!*field)
        return err_set(err, EINVAL, "%s %.100s: unknown key; `faultline list fields` shows all", option, text);
    return field_parse(*field, *value, params, err) ? err_prefix(err, "%s %.100s", option, text) : 0;
}

static int parse_set(struct draft *draft, unsigned index)
{
    struct set_option *set = &draft->sets[index];
    struct params params;
    int rc = plan_parse_pair("--set", set->text, &set->field, &set->value, &params, draft->err);
    if (rc)
        return rc;
    if (set->field == &field_table[FIELD_backing] && params.backing == backing_given)
        return err_set(draft->err, EINVAL, "--set %.100s: --file PATH says which file", set->text);
    for (unsigned i = 0; i < index; i++)
        if (draft->sets[i].field == set->field)
            return err_set(draft->err, EINVAL, "--set %.100s: %s is set twice", set->text, set->field->name);
    return 0;
}

static int parse_sets(struct draft *draft)
{
    unsigned count = draft->options->set_count;
    draft->sets = calloc(count + 1, sizeof *draft->sets);
    if (!draft->sets)
        return err_set(draft->err, ENOMEM, "out of memory");
    int rc = 0;
    for (unsigned i = 0; !rc && i < count; i++) {
        draft->sets[i].text = draft->options->sets[i];
        rc = parse_set(draft, i);
    }
    return rc;
}

/* Whether the scenario leaves the key to --set, and whether that means anything to it. */
static int check_set(struct draft *draft, struct set_option *set)
{
    const struct scenario *scenario = draft->scenario;
    if (draft->varied[set->field - field_table])
        return err_set(draft->err, EINVAL, "--set %.100s: %s varies %s", set->text, scenario->name, set->field->name);
    set->used = set->used || set->field->scope == SCOPE_TARGET || set->field->scope == SCOPE_CELL;
    for (unsigned i = 0; i < scenario->arm_count; i++) {
        const struct arm_description *arm = &scenario->arms[i];
        if (!narrow_wants_arm(draft, arm->name))
            continue;
        if (settings_find(&arm->settings, set->field))
            return err_set(draft->err, EINVAL, "--set %.100s: the arm '%s' of %s sets %s itself", set->text, arm->name,
                           scenario->name, set->field->name);
        set->used = set->used || method_uses(arm->method, set->field);
    }
    return 0;
}

static int check_sets_used(struct draft *draft)
{
    for (unsigned i = 0; i < draft->options->set_count; i++)
        if (!draft->sets[i].used)
            return err_set(draft->err, EINVAL, "--set %.100s: no arm heeds %s", draft->sets[i].text,
                           draft->sets[i].field->name);
    return 0;
}

/* ---- values and where they come from ---- */

/* The text was checked when it was read, so it cannot be refused here. */
static void apply(const struct field *field, const char *text, struct place_in_file at, struct params *params,
                  struct origins *origins)
{
    struct err impossible;
    field_parse(field, text, params, &impossible);
    origins->at[field - field_table] = at;
}

static void apply_settings(const struct settings *settings, struct params *params, struct origins *origins)
{
    for (unsigned i = 0; i < settings->count; i++)
        apply(settings->items[i].field, settings->items[i].text, settings->items[i].at, params, origins);
}

/* A matrix that is asked for replaces the places that a scenario varies. */
static void drop_places(struct draft *draft)
{
    bool asked = false;
    struct params params;
    struct err impossible;
    for (unsigned i = 0; i < draft->options->set_count; i++)
        if (draft->sets[i].field == &field_table[FIELD_matrix])
            asked = field_parse(draft->sets[i].field, draft->sets[i].value, &params, &impossible) == 0 &&
                    params.matrix != matrix_none;
    if (asked)
        draft->varied[FIELD_place] = NULL;
}

/* What it varies: its cells have their names. */
static void take_scenario(struct draft *draft, const struct scenario *scenario)
{
    draft->scenario = scenario;
    draft->scenario_index = draft->plan->scenario_count;
    for (size_t i = 0; i < FIELD_COUNT; i++)
        draft->varied[i] = scenario_variation(scenario, draft->profile, &field_table[i]);
    drop_places(draft);
    memset(draft->choice, 0, sizeof draft->choice);
}

static int begin_scenario(struct draft *draft)
{
    const struct scenario *scenario = draft->scenario;
    draft->common_origins = (struct origins){0};
    params_default(&draft->common);
    apply_settings(&scenario->common, &draft->common, &draft->common_origins);
    apply_settings(&scenario->profiles[draft->profile].common, &draft->common, &draft->common_origins);
    for (unsigned i = 0; i < draft->options->set_count; i++) {
        struct set_option *set = &draft->sets[i];
        int rc = check_set(draft, set);
        if (rc)
            return rc;
        apply(set->field, set->value, (struct place_in_file){0, i + 1}, &draft->common, &draft->common_origins);
    }
    return 0;
}

static void apply_choice(struct draft *draft, struct params *params)
{
    *params = draft->common;
    draft->cell_origins = draft->common_origins;
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const struct variation *variation = draft->varied[i];
        if (variation)
            apply(variation->field, variation->texts[draft->choice[i]], variation->at[draft->choice[i]], params,
                  &draft->cell_origins);
    }
}

/* The next combination, the last key of the table fastest. False after the last. */
static bool advance_choice(struct draft *draft)
{
    for (size_t i = FIELD_COUNT; i-- > 0;) {
        if (!draft->varied[i])
            continue;
        if (++draft->choice[i] < draft->varied[i]->text_count)
            return true;
        draft->choice[i] = 0;
    }
    return false;
}

static uint64_t count_choices(const struct scenario *scenario, unsigned profile)
{
    uint64_t count = 1;
    for (size_t i = 0; i < FIELD_COUNT && count <= CELLS_MAX; i++) {
        const struct variation *variation = scenario_variation(scenario, profile, &field_table[i]);
        count *= variation ? variation->text_count : 1;
    }
    return count;
}

/* ---- one cell ---- */

static void format_id(const struct draft *draft, struct cell *cell)
{
    size_t used = 0;
    for (size_t i = 0; i < FIELD_COUNT && used < sizeof cell->id; i++) {
        char text[TEXT_SIZE];
        if (!draft->varied[i])
            continue;
        field_format(&field_table[i], &cell->params, text, sizeof text);
        used += (size_t)snprintf(cell->id + used, sizeof cell->id - used, "%s%s=%s", used ? "," : "",
                                 field_table[i].name, text);
    }
    if (used == 0)
        snprintf(cell->id, sizeof cell->id, "all");
}

/* A cell whose id does not fit could be taken for another. */
static int check_id(const struct draft *draft, const struct cell *cell)
{
    if (strlen(cell->id) + 1 < sizeof cell->id)
        return 0;
    err_set(draft->err, EINVAL, "too many keys are varied: the name of a cell has more than %d bytes",
            CELL_ID_SIZE - 2);
    return err_place(draft->err, draft->scenario->path, draft->scenario->arms_at);
}

static const struct settings *find_exclusion(const struct draft *draft, const struct params *params)
{
    for (unsigned i = 0; i < draft->scenario->exclude_count; i++) {
        const struct settings *entry = &draft->scenario->exclude[i];
        struct params excluded = *params;
        struct origins ignored;
        apply_settings(entry, &excluded, &ignored);
        if (memcmp(&excluded, params, sizeof excluded) == 0)
            return entry;
    }
    return NULL;
}

static void make_arm(struct draft *draft, const struct cell *cell, unsigned index, struct arm *arm)
{
    const struct arm_description *description = &draft->scenario->arms[index];
    struct origins *origins = &draft->arm_origins[index];
    *arm = (struct arm){.method = description->method};
    snprintf(arm->name, sizeof arm->name, "%s", description->name);
    params_default(&arm->params);
    *origins = (struct origins){0};
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const struct field *field = &field_table[i];
        bool own = field->scope == SCOPE_ARM || field->scope == SCOPE_STATE;
        if (own && !method_uses(arm->method, field))
            continue;
        field_copy(field, &cell->params, &arm->params);
        origins->at[i] = draft->cell_origins.at[i];
    }
    apply_settings(&description->settings, &arm->params, origins);
}

static void resolve_auto(const struct draft *draft, struct params *params)
{
    if (params->stride_bytes == FIELD_AUTO)
        params->stride_bytes = draft->page_bytes;
    if (params->block_bytes == FIELD_AUTO)
        params->block_bytes = params->working_set_bytes < BLOCK_BYTES_AUTO ? params->working_set_bytes
                                                                           : BLOCK_BYTES_AUTO;
    if (params->range_bytes == FIELD_AUTO)
        params->range_bytes = params->working_set_bytes;
    if (params->window_bytes == FIELD_AUTO)
        params->window_bytes = params->working_set_bytes;
    if (params->touches == FIELD_AUTO) { /* blocks of 0 and too large ones are refused by name, not by this */
        uint64_t step = params->pattern == pattern_stride ? params->stride_bytes : params->block_bytes;
        uint64_t blocks = step ? params->working_set_bytes / step : 1;
        params->touches = blocks ? blocks : 1;
    }
}

static int make_arms(struct draft *draft, struct cell *cell)
{
    const struct scenario *scenario = draft->scenario;
    cell->arms = calloc(scenario->arm_count + 1, sizeof *cell->arms);
    if (!cell->arms)
        return err_set(draft->err, ENOMEM, "out of memory");
    for (unsigned i = 0; i < scenario->arm_count; i++)
        make_arm(draft, cell, cell->arm_count++, &cell->arms[i]);
    return 0;
}

static void add_null_arm(struct cell *cell)
{
    struct arm *null = &cell->arms[cell->arm_count++];
    *null = cell->arms[0];
    snprintf(null->name, sizeof null->name, "null");
    null->is_null = true;
}

/* 0; 1 with a reason when the cell cannot be had here; -errno with text. */
static int resolve_cell(struct draft *draft, struct cell *cell, char *reason, size_t size)
{
    const struct settings *exclusion = find_exclusion(draft, &cell->params);
    if (exclusion) {
        snprintf(reason, size, "excluded by line %u of the scenario", exclusion->items[0].at.line);
        return 1;
    }
    int rc = given_apply(draft, &cell->params, reason, size);
    if (!rc)
        rc = plan_check_filesystem(draft, &cell->params, reason, size);
    if (!rc)
        rc = make_arms(draft, cell);
    if (!rc)
        rc = given_fit(draft, cell, reason, size);
    if (rc)
        return rc;
    resolve_auto(draft, &cell->params);
    for (unsigned i = 0; i < cell->arm_count; i++) {
        struct arm *arm = &cell->arms[i];
        if (!method_uses(arm->method, &field_table[FIELD_touches]))
            arm->params.touches = 1; /* its operations are single ones, whatever else of it is auto */
        resolve_auto(draft, &arm->params);
    }
    rc = plan_check_cell(draft, cell, reason, size);
    if (!rc)
        narrow_arms(draft, cell);
    if (!rc && draft->scenario->null_arm)
        add_null_arm(cell);
    return rc;
}

int draft_refuse(struct draft *draft, const struct cell *cell, const char *reason)
{
    struct plan *plan = draft->plan;
    struct refusal *refused = &plan->refused[plan->refused_count];
    refused->scenario = cell->scenario;
    memcpy(refused->cell, cell->id, sizeof refused->cell);
    refused->reason = strdup(reason);
    if (!refused->reason)
        return err_set(draft->err, ENOMEM, "out of memory");
    plan->refused_count++;
    return 0;
}

/* "only with --profile thorough": the profiles under which the scenario is measured. */
static void say_profiles(const struct scenario *scenario, char *reason, size_t size)
{
    int length = snprintf(reason, size, "only with --profile");
    const char *before = " ";
    for (unsigned i = 0; i < PROFILE_COUNT; i++) {
        if (scenario->profiles[i].left_out)
            continue;
        length += snprintf(reason + length, size - (size_t)length, "%s%s", before, profile_names[i]);
        before = " or ";
    }
}

static int make_cell(struct draft *draft)
{
    struct plan *plan = draft->plan;
    struct cell *cell = &plan->cells[plan->cell_count];
    char reason[400] = "";
    *cell = (struct cell){.scenario = draft->scenario_index};
    apply_choice(draft, &cell->params);
    format_id(draft, cell);
    int rc = check_id(draft, cell);
    if (!rc && !narrow_keeps(draft, cell))
        return 0;
    if (!rc && draft->scenario->profiles[draft->profile].left_out) {
        say_profiles(draft->scenario, reason, sizeof reason);
        return draft_refuse(draft, cell, reason);
    }
    if (!rc)
        rc = resolve_cell(draft, cell, reason, sizeof reason);
    if (rc == 0) {
        plan->cell_count++;
        return 0;
    }
    free(cell->arms);
    cell->arms = NULL;
    return rc > 0 ? draft_refuse(draft, cell, reason) : rc;
}

/* ---- one scenario ---- */

static double default_precision(unsigned profile, double delta)
{
    return profile == PROFILE_QUICK ? 0.02 : profile == PROFILE_STANDARD ? 0.01 : delta / 2;
}

static int copy_texts(struct draft *draft, struct plan_scenario *to)
{
    const struct scenario *from = draft->scenario;
    to->question = strdup(from->question);
    to->op = strdup(from->op);
    to->claim = from->claim ? strdup(from->claim) : NULL;
    bool failed = !to->question || !to->op || (from->claim && !to->claim);
    return failed ? err_set(draft->err, ENOMEM, "out of memory") : 0;
}

static int describe_scenario(struct draft *draft)
{
    const struct scenario *from = draft->scenario;
    const struct profile *profile = &from->profiles[draft->profile];
    struct plan_scenario *to = &draft->plan->scenarios[draft->scenario_index];
    draft->plan->scenario_count++;
    snprintf(to->name, sizeof to->name, "%s", from->name);
    to->delta = from->delta;
    to->precision = profile->has_precision ? profile->precision : default_precision(draft->profile, from->delta);
    if (to->precision < from->delta / 2)
        to->precision = from->delta / 2;
    to->budget_ns = profile->has_budget ? profile->budget_ns : 0;
    return copy_texts(draft, to);
}

static void finish_scenario(struct draft *draft, unsigned first_cell)
{
    struct plan *plan = draft->plan;
    const struct profile *profile = &draft->scenario->profiles[draft->profile];
    unsigned pairs = (plan->cell_count - first_cell) * (narrow_arm_count(draft) - 1);
    plan_rungs(pairs, profile->has_trials ? profile->trials : 0, plan->scenarios[draft->scenario_index].rungs);
    plan_hash(plan, draft->scenario_index);
}

static int check_name_unique(struct draft *draft)
{
    for (unsigned i = 0; i < draft->scenario_index; i++)
        if (strcmp(draft->plan->scenarios[i].name, draft->scenario->name) == 0)
            return err_set(draft->err, EINVAL, "%s: the scenario %s is already in the plan", draft->scenario->path,
                           draft->scenario->name);
    return 0;
}

static void leave_out(struct draft *draft)
{
    struct cell cell = {0};
    for (bool more = true; more; more = advance_choice(draft)) {
        apply_choice(draft, &cell.params);
        format_id(draft, &cell);
        narrow_leave_out(draft, &cell);
    }
}

static int make_scenario(struct draft *draft, const struct scenario *scenario)
{
    unsigned first_cell = draft->plan->cell_count;
    take_scenario(draft, scenario);
    if (!narrow_wants_scenario(draft)) {
        leave_out(draft);
        return 0;
    }
    int rc = begin_scenario(draft);
    if (!rc)
        rc = check_name_unique(draft);
    if (!rc)
        rc = describe_scenario(draft);
    for (bool more = true; !rc && more; more = advance_choice(draft))
        rc = make_cell(draft);
    if (!rc)
        finish_scenario(draft, first_cell);
    return rc;
}

/* ---- the whole plan ---- */

static int count_cells(struct draft *draft, struct scenario *const *scenarios, unsigned count, uint64_t *cells)
{
    *cells = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t own = count_choices(scenarios[i], draft->profile);
        *cells += own;
        if (own > CELLS_MAX || *cells > CELLS_MAX) {
            err_set(draft->err, EINVAL, "more than %d cells%s: vary less", CELLS_MAX, own > CELLS_MAX ? "" : " in all");
            return err_place(draft->err, scenarios[i]->path, scenarios[i]->arms_at);
        }
    }
    return 0;
}

static int reserve(struct draft *draft, struct scenario *const *scenarios, unsigned count)
{
    uint64_t cells;
    struct plan *plan = draft->plan;
    int rc = count_cells(draft, scenarios, count, &cells);
    if (rc)
        return rc;
    plan->scenarios = calloc(count + 1, sizeof *plan->scenarios);
    plan->cells = calloc(cells + 1, sizeof *plan->cells);
    plan->refused = calloc(cells + 1, sizeof *plan->refused);
    return plan->scenarios && plan->cells && plan->refused ? 0 : err_set(draft->err, ENOMEM, "out of memory");
}

static int choose_profile(struct draft *draft)
{
    const char *name = draft->options->profile ? draft->options->profile : "standard";
    for (draft->profile = 0; draft->profile < PROFILE_COUNT; draft->profile++)
        if (strcmp(profile_names[draft->profile], name) == 0)
            break;
    if (draft->profile == PROFILE_COUNT)
        return err_set(draft->err, EINVAL, "--profile %.60s: one of quick, standard, thorough", name);
    snprintf(draft->plan->profile, sizeof draft->plan->profile, "%s", name);
    return 0;
}

static int choose_seed(struct draft *draft)
{
    struct plan *plan = draft->plan;
    plan->seed = draft->options->seed;
    if (draft->options->has_seed && plan->seed >= SEED_LIMIT)
        return err_set(draft->err, EINVAL, "--seed %" PRIu64 ": must be below 2^53", plan->seed);
    if (draft->options->has_seed)
        return 0;
    if (getrandom(&plan->seed, sizeof plan->seed, 0) != (ssize_t)sizeof plan->seed)
        return err_sys(draft->err, "a seed from the kernel");
    plan->seed %= SEED_LIMIT;
    return 0;
}

static int choose_directory(struct draft *draft)
{
    struct plan *plan = draft->plan;
    const char *directory = draft->options->directory ? draft->options->directory : PLAN_DIRECTORY;
    struct statfs filesystem;
    if (strlen(directory) >= sizeof plan->directory)
        return err_set(draft->err, ENAMETOOLONG, "--directory %.100s…: too long", directory);
    snprintf(plan->directory, sizeof plan->directory, "%s", directory);
    if (statfs(directory, &filesystem))
        return err_sys(draft->err, "--directory %.300s", directory);
    draft->directory_on_tmpfs = filesystem.f_type == TMPFS_MAGIC;
    return 0;
}

/* MemAvailable of /proc/meminfo, or what the limits leave when the kernel does not say. */
static uint64_t available_memory(uint64_t limit)
{
    char line[128];
    uint64_t kib = UINT64_MAX / KIB;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib * KIB < limit ? kib * KIB : limit;
}

static int look_at_machine(struct draft *draft)
{
    struct limits limits;
    int rc = cgroup_limits("", &limits, draft->err);
    if (rc)
        return rc;
    draft->page_bytes = draft->options->page_bytes ? draft->options->page_bytes : (uint64_t)sysconf(_SC_PAGESIZE);
    draft->memory_bytes = cgroup_memory_bytes(&limits);
    draft->available_bytes = available_memory(draft->memory_bytes);
    return 0;
}

/* Of what the scenarios allow themselves, a run takes no more than this, however noisy the machine is. 0: no limit. */
static const uint64_t budget_most_ns[PROFILE_COUNT] = {270 * S, 1420 * S, 0};

/* What the command line gives, else the sum of the scenarios' budgets, where all have one; never more than the profile
 * allows. */
static uint64_t whole_budget(const struct plan *plan, unsigned profile, uint64_t given_ns)
{
    uint64_t sum = 0, most = budget_most_ns[profile];
    for (unsigned i = 0; i < plan->scenario_count; i++) {
        if (plan->scenarios[i].budget_ns == 0)
            return given_ns ? given_ns : most;
        sum += plan->scenarios[i].budget_ns;
    }
    sum = most && sum > most ? most : sum;
    return given_ns ? given_ns : sum;
}

static int check_not_empty(struct draft *draft)
{
    const struct plan *plan = draft->plan;
    if (plan->cell_count)
        return 0;
    if (plan->refused_count)
        return err_set(draft->err, EINVAL, "no cell is left to measure; %s, cell %s: %s",
                       plan->scenarios[plan->refused[0].scenario].name, plan->refused[0].cell, plan->refused[0].reason);
    return err_set(draft->err, EINVAL, "no scenario to plan");
}

static int prepare(struct draft *draft)
{
    int rc = choose_profile(draft);
    if (!rc)
        rc = choose_seed(draft);
    if (!rc)
        rc = choose_directory(draft);
    if (!rc)
        rc = look_at_machine(draft);
    if (!rc)
        rc = given_open(draft);
    return rc ? rc : parse_sets(draft);
}

static bool has_matrix(const struct plan *plan, enum matrix matrix)
{
    bool has = false;
    for (unsigned i = 0; i < plan->cell_count; i++)
        has |= plan->cells[i].params.matrix == matrix;
    return has;
}

static bool has_place(const struct plan *plan, enum place place)
{
    bool has = false;
    for (unsigned i = 0; i < plan->cell_count; i++)
        has |= plan->cells[i].params.place == place;
    return has;
}

static int add_pairs(struct plan *plan, const struct pairs *pairs, const struct pair *items, unsigned count,
                     struct err *err)
{
    struct plan_pair *room = realloc(plan->pairs, (plan->pair_count + count + 1) * sizeof *room);
    if (!room)
        return err_set(err, ENOMEM, "no memory for pairs of CPUs");
    plan->pairs = room;
    for (unsigned i = 0; i < count; i++) {
        struct plan_pair *pair = &plan->pairs[plan->pair_count++];
        *pair = (struct plan_pair){.a = pairs->cpus[items[i].a].os_index, .b = pairs->cpus[items[i].b].os_index};
        memcpy(pair->class, pairs->classes[items[i].class].name, sizeof pair->class);
    }
    return 0;
}

static int add_pairs_of_place(struct plan *plan, const struct pairs *pairs, enum place place, struct err *err)
{
    struct pair *items = NULL;
    unsigned count;
    int rc = pairs_of_place(pairs, place, &items, &count, err);
    if (rc == 0)
        rc = add_pairs(plan, pairs, items, count, err);
    free(items);
    return rc;
}

static int add_pairs_of_matrix(struct plan *plan, const struct pairs *pairs, enum matrix matrix, struct err *err)
{
    struct pair *items = NULL;
    unsigned count;
    int rc = matrix_pairs(pairs, matrix, NULL, plan->seed, &items, &count, err);
    if (rc == 0)
        rc = add_pairs(plan, pairs, items, count, err);
    for (unsigned i = 0; i < plan->cell_count && rc == 0; i++) {
        struct cell *cell = &plan->cells[i];
        unsigned trials = plan->scenarios[cell->scenario].rungs[0];
        if (cell->params.matrix == matrix)
            cell->visits = matrix_visit_count(matrix_share(count, trials));
    }
    free(items);
    return rc;
}

/* The pairs that take turns in the cells whose workers are placed as pairs, and those that are visited. */
static int list_pairs(struct plan *plan, const struct pairs *pairs, struct err *err)
{
    int rc = 0;
    for (enum place place = 0; pairs && rc == 0 && place < place_count; place++)
        if (has_place(plan, place))
            rc = add_pairs_of_place(plan, pairs, place, err);
    for (enum matrix matrix = matrix_none + 1; pairs && rc == 0 && matrix < matrix_count; matrix++)
        if (has_matrix(plan, matrix))
            rc = add_pairs_of_matrix(plan, pairs, matrix, err);
    return rc;
}

int plan_make(struct plan *plan, struct scenario *const *scenarios, unsigned scenario_count,
              const struct plan_options *options, struct err *err)
{
    *plan = (struct plan){.allow_evict = options->allow_evict, .make_filesystems = options->make_filesystems};
    struct draft draft = {.plan = plan, .options = options, .err = err};
    snprintf(plan->counters, sizeof plan->counters, "%s", options->counters ? options->counters : "");
    int rc = prepare(&draft);
    if (!rc)
        rc = reserve(&draft, scenarios, scenario_count);
    if (!rc)
        rc = narrow_parse(&draft, scenarios, scenario_count);
    for (unsigned i = 0; !rc && i < scenario_count; i++)
        rc = make_scenario(&draft, scenarios[i]);
    if (!rc)
        rc = narrow_check(&draft);
    if (!rc)
        rc = check_sets_used(&draft);
    if (!rc)
        rc = check_not_empty(&draft);
    free(draft.sets);
    if (rc)
        return rc;
    rc = list_pairs(plan, options->pairs, err);
    if (rc)
        return rc;
    plan->budget_ns = whole_budget(plan, draft.profile, options->budget_ns);
    plan_group(plan);
    plan_estimate(plan);
    return 0;
}
