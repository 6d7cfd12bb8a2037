/* SPDX-License-Identifier: MIT */
/* What cannot mean what it says, or cannot be had here: the reasons to refuse an arm are the rows of plan_check.def. */
#include "filesystem.h"
#include "plan_site.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum {
    MEMORY_PERCENT = 80, /* of memory that a warm file may fill … */
    ARMS_PERCENT = 95,   /* … and all that a cell keeps together */
};

enum about { ABOUT_SCENARIO, ABOUT_FILE, ABOUT_MACHINE };

static const struct check {
    int (*check)(struct site *site);
    enum about about;
} checks[] = {
#define CHECK(name, about) {check_##name, about},
#include "plan_check.def"
#undef CHECK
};

/* Turns the refusal into a message at the place that set the blamed field, or else at the arm. */
static int blame(const struct site *site)
{
    const struct draft *draft = site->draft;
    struct place_in_file at = draft->arm_origins[site->arm_index].at[site->blame];
    err_set(draft->err, EINVAL, "%s (arm '%s', cell %s)", site->text, site->arm->name, site->cell->id);
    if (at.line == 0 && at.column > 0)
        return err_prefix(draft->err, "--set %.100s", draft->sets[at.column - 1].text);
    return err_place(draft->err, draft->scenario->path, at.line ? at : draft->scenario->arms[site->arm_index].at);
}

static int check_arm(const struct draft *draft, const struct cell *cell, unsigned arm, char *reason, size_t size)
{
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        struct site site = {
            .draft = draft,
            .cell = cell,
            .arm = &cell->arms[arm],
            .params = &cell->arms[arm].params,
            .arm_index = arm,
        };
        if (checks[i].check(&site) == 0)
            continue;
        bool asked = draft->varied[site.blame] || method_meets(site.arm->method); /* that workers meet is asked for */
        bool of_machine = checks[i].about == ABOUT_MACHINE && asked;
        bool of_file = checks[i].about == ABOUT_FILE && draft->given.present;
        if (!of_machine && !of_file)
            return blame(&site);
        snprintf(reason, size, "%s%s (arm '%s')", of_file ? "--file: " : "", site.text, site.arm->name);
        return 1;
    }
    return 0;
}

int plan_check_filesystem(const struct draft *draft, const struct params *params, char *reason, size_t size)
{
    enum backing backing = (enum backing)params->backing;
    const char *name = field_table[FIELD_backing].options[backing].spelling;
    if (filesystem_is_made(backing) && !draft->options->make_filesystems)
        snprintf(reason, size, "needs --make-filesystems: %s is made and mounted for the run", name);
    else if (filesystem_is_made(backing) && geteuid() != 0)
        snprintf(reason, size, "needs root: %s is made and mounted for the run", name);
    else if (backing == backing_fuse && params->cache == cache_cold)
        snprintf(reason, size, "what fuse has read stays in the page cache of the filesystem below: it is never cold");
    else if (params->read_ahead != read_ahead_as_found && !filesystem_has_read_ahead(backing))
        snprintf(reason, size, "read_ahead is set only on devices made for the run (--make-filesystems), not under %s",
                 name);
    else
        return 0;
    return 1;
}

static int check_memory(const struct draft *draft, const struct cell *cell, char *reason, size_t size)
{
    uint64_t most = draft->memory_bytes / 100 * MEMORY_PERCENT;
    const struct params *params = &cell->params;
    bool resident = params->cache == cache_warm || params->cache == cache_dirty || params_is_memory(params);
    if (params->memory_limit > draft->memory_bytes) {
        snprintf(reason, size, "a memory limit of %" PRIu64 " MiB is none where this process may use %" PRIu64 " MiB",
                 params->memory_limit / MIB, draft->memory_bytes / MIB);
        return 1;
    }
    uint64_t file_bytes = resident ? params->working_set_bytes * plan_file_count(params) : 0;
    uint64_t bytes = file_bytes + plan_arms_memory(cell);
    if (file_bytes <= most && bytes <= draft->memory_bytes / 100 * ARMS_PERCENT)
        return 0;
    snprintf(reason, size, "%" PRIu64 " MiB would have to stay in memory, this process may use %" PRIu64 " MiB",
             bytes / MIB, draft->memory_bytes / MIB);
    return 1;
}

int plan_check_cell(const struct draft *draft, const struct cell *cell, char *reason, size_t reason_size)
{
    int rc = 0;
    for (unsigned i = 0; !rc && i < cell->arm_count; i++)
        rc = check_arm(draft, cell, i, reason, reason_size);
    return rc ? rc : check_memory(draft, cell, reason, reason_size);
}
