/* SPDX-License-Identifier: MIT */
/* What the parts of the plan share: plan_make.c resolves, plan_given.c knows the user's file, plan_narrow.c
 * which cells and arms are wanted, plan_check.c refuses. */
#ifndef FAULTLINE_PLAN_PARTS_H
#define FAULTLINE_PLAN_PARTS_H

#include "scenario.h"

/* Where each value of an experiment comes from. {0, 0}: a default; line 0 and column n: the n-th --set, from 1. */
struct origins {
    struct place_in_file at[FIELD_COUNT];
};

struct set_option { /* one --set */
    const struct field *field;
    const char *text;  /* "key=value", borrowed */
    const char *value; /* behind the = */
    bool used;
};

struct given_file { /* --file */
    bool present;
    bool on_tmpfs;
    uint64_t bytes;
};

enum { LISTED_SIZE = 300 }; /* bytes of names in a message */

struct narrowing { /* --cell */
    bool all;      /* "all": the cell of a scenario that varies nothing */
    bool asked[FIELD_COUNT];
    struct params wanted;     /* values of the fields that are asked for */
    bool found;               /* some scenario has such a cell */
    char others[LISTED_SIZE]; /* names of cells of scenarios that have none, each once, as many as there is room for */
};

/* One scenario on its way into the plan. */
struct draft {
    struct plan *plan;
    const struct plan_options *options;
    struct set_option *sets; /* [options->set_count] */
    struct given_file given;
    struct narrowing narrowing;
    bool directory_on_tmpfs;
    uint64_t page_bytes;
    uint64_t memory_bytes;    /* that this process may use */
    uint64_t available_bytes; /* of memory just now */

    const struct scenario *scenario;
    unsigned scenario_index, profile;
    const struct variation *varied[FIELD_COUNT]; /* NULL where the field does not vary */
    unsigned choice[FIELD_COUNT];                /* which of its values this cell has */
    struct params common;
    struct origins common_origins;
    struct origins cell_origins, arm_origins[ARMS_MAX]; /* of the cell at hand */
    struct err *err;
};

/* Adds a refusal; `reason` is copied. -ENOMEM. */
int draft_refuse(struct draft *draft, const struct cell *cell, const char *reason);

/*
 * Takes "key=value", given with `option`, apart: *value is what stands behind the =, in `params` it is parsed. -EINVAL
 * with "OPTION key=value: message".
 */
int plan_parse_pair(const char *option, const char *text, const struct field **field, const char **value,
                    struct params *params, struct err *err);

/*
 * --cell and --arms: keys, values, and that each arm is one of some scenario. -EINVAL with text; no item of either list
 * may be empty, come twice or be longer than what it could name.
 */
int narrow_parse(struct draft *draft, struct scenario *const *scenarios, unsigned count);

/* Whether the scenario at hand has a wanted cell and a wanted arm; only what it varies needs to be known. */
bool narrow_wants_scenario(struct draft *draft);

/* Remembers the name of a cell of a scenario that is left out, for narrow_check. */
void narrow_leave_out(struct draft *draft, const struct cell *cell);

/* Whether a cell of a wanted scenario is wanted; nothing of it needs to be resolved. */
bool narrow_keeps(const struct draft *draft, const struct cell *cell);

/* Whether an arm of that name is wanted. */
bool narrow_wants_arm(const struct draft *draft, const char *name);

/* Leaves out the arms that are not wanted. */
void narrow_arms(const struct draft *draft, struct cell *cell);

/* How many arms of the scenario are wanted. */
unsigned narrow_arm_count(const struct draft *draft);

/* After all scenarios: -EINVAL with text when there is no wanted cell, or none with a wanted arm. */
int narrow_check(const struct draft *draft);

/* --file: size and kind of the user's file, its path made absolute. -errno with "--file PATH: message". */
int given_open(struct draft *draft);

/*
 * What --file changes in the conditions of a cell, before its arms are made. 0; 1 when the cell cannot be: `reason`
 * says why.
 */
int given_apply(const struct draft *draft, struct params *params, char *reason, size_t reason_size);

/*
 * Resolves working_set_bytes of a cell and its arms, for a given file also rounded down to whole blocks of every arm.
 * 0; 1 when the cell cannot be: `reason` says why.
 */
int given_fit(const struct draft *draft, struct cell *cell, char *reason, size_t reason_size);

/* True when the cells are made from a private copy of the user's file, because they ask for a recipe or size. */
bool given_is_copied(const struct draft *draft);

/*
 * Checks a cell and its arms; everything is resolved. 0; -EINVAL with "file:line:column: message"; 1 when only this
 * machine or the user's file cannot have the cell: `reason` says why.
 */
int plan_check_cell(const struct draft *draft, const struct cell *cell, char *reason, size_t reason_size);

/* 0; 1 when the conditions ask for a filesystem, or a read-ahead of one, that is not made: `reason` says why. */
int plan_check_filesystem(const struct draft *draft, const struct params *params, char *reason, size_t reason_size);

/* Fills `rungs` for a scenario of `pairs` comparisons; `trials` is the most that may be asked for, 0: no limit. */
void plan_rungs(unsigned pairs, unsigned trials, unsigned rungs[RUNGS_MAX]);

/* Fills the hash of a scenario of the plan from its cells. */
void plan_hash(struct plan *plan, unsigned scenario_index);

/* Fills the estimates and disk_bytes. Groups and rungs are there. */
void plan_estimate(struct plan *plan);

#endif
