/* SPDX-License-Identifier: MIT */
/* The resolved plan: scenario → cells × arms × trials. Everything that cannot work is refused here, before anything
 * runs. */
#ifndef FAULTLINE_PLAN_H
#define FAULTLINE_PLAN_H

#include <stdio.h>

#include "event.h"
#include "method.h"
#include "pairs.h"
#include "params.h"

enum {
    ARMS_MAX = 16,  /* arms of a cell, the null arm included */
    NAME_SIZE = 64, /* bytes of an arm's or scenario's name, terminator included */
    CELL_ID_SIZE = 256,
    CELLS_MAX = 10000, /* a larger sweep is a mistake, and is refused */
    RUNGS_MAX = 8,
};

struct arm {
    char name[NAME_SIZE];
    const struct method *method;
    struct params params; /* resolved: the cell's with the arm's own fields on top */
    bool is_null;         /* a duplicate of the baseline under another name */
};

enum { PLAN_CELLS_PER_PROCESS = 16 }; /* so that a lost process loses seconds, and the budget is kept */

struct cell {
    unsigned scenario;     /* index into plan.scenarios */
    char id[CELL_ID_SIZE]; /* "key=value,…" of the varied keys in table order; "all" when nothing varies */
    struct params params;  /* what the arms have in common */
    struct arm *arms;      /* [arm_count]; arms[0] is the baseline, the null arm is the last */
    unsigned arm_count;
    unsigned visits; /* of pairs of CPUs in a trial (matrix), for the estimate; 0: none */
    unsigned group;  /* cells with the same number may share a trial process */
};

struct plan_scenario {
    char name[128]; /* "access/read-or-map" */
    char *question, *op;
    char hash[65];             /* of the resolved cells and the versions of their methods; hexadecimal, lower case */
    double delta;              /* 0.01: margin within which two arms are the same */
    double precision;          /* half-width of the interval of log ratio at which to stop */
    uint64_t budget_ns;        /* 0: none of its own */
    unsigned rungs[RUNGS_MAX]; /* trials after which the stopping rule is consulted, rising; ends with 0 */
    char *claim;               /* the list of claims as JSON text, or NULL */
};

struct refusal { /* a cell that is not run, and why: excluded by the file, or larger than the user's own file */
    unsigned scenario;
    char cell[CELL_ID_SIZE];
    char *reason;
};

struct plan_pair { /* of CPUs that two workers are bound to in some cell */
    char class[PAIR_NAME_SIZE];
    unsigned a, b; /* OS indices */
};

struct plan {
    struct plan_scenario *scenarios;
    unsigned scenario_count;
    struct cell *cells;
    unsigned cell_count;
    unsigned group_count;
    struct refusal *refused;
    unsigned refused_count;
    struct plan_pair *pairs;
    unsigned pair_count;
    uint64_t seed;
    uint64_t budget_ns;                            /* of the whole run; 0: none */
    char profile[16];                              /* quick, standard, thorough */
    char directory[4096];                          /* where target files are made */
    char given_path[4096];                         /* --file, or "" */
    char counters[EVENTS_MAX * EVENT_SOURCE_SIZE]; /* to be counted beside what always is, "a,b"; or "" */
    bool allow_evict, make_filesystems;
    double estimate_prepare_s, estimate_reset_s, estimate_measure_s;
    uint64_t disk_bytes;   /* the most that lies in `directory` at any time */
    uint64_t memory_bytes; /* plan_memory */
};

#define PLAN_DIRECTORY "/var/tmp" /* where files are made unless told otherwise; /tmp is often memory */

/* What the command line says about a plan. Strings are borrowed. */
struct plan_options {
    const char *profile;     /* NULL: standard */
    const char *const *sets; /* [set_count] "key=value" */
    unsigned set_count;
    uint64_t budget_ns; /* 0: none */
    bool has_seed;
    uint64_t seed;
    const char *directory;  /* NULL: PLAN_DIRECTORY */
    const char *given_path; /* NULL: none */
    const char *counters;   /* "a,b", checked; NULL: none beside what is always counted */
    const char *cell;       /* "key=value,…": only cells that have these of the values that vary; NULL: all */
    const char *arms;       /* "a,b": only these arms, the first that a cell has is its baseline; NULL: all */
    bool allow_evict, make_filesystems;
    uint64_t page_bytes;       /* of the machine planned for; 0: this one */
    unsigned cpu_count;        /* allowed CPUs of the machine planned for */
    const struct pairs *pairs; /* how far apart they are; NULL: unknown, and then nothing about places is checked */
    unsigned memory_nodes;     /* that have memory; looked at where pairs are known */
};

struct scenario; /* scenario.h */

/*
 * Resolves checked scenarios into a plan: profile, vary, exclude, arms, --set, null arm, automatic values, groups,
 * rungs, hashes, estimates. A cell that keeps only some of its arms is what it is with all of them. -EINVAL with
 * "file:line:column: message" when anything cannot mean what it says. The caller frees with plan_free, also after a
 * failure.
 */
int plan_make(struct plan *plan, struct scenario *const *scenarios, unsigned scenario_count,
              const struct plan_options *options, struct err *err);

/* Numbers the groups: cells whose TARGET fields are all equal get the same number. */
void plan_group(struct plan *plan);

/* Files of this cell that exist at the same time: one, or one for each worker. */
uint64_t plan_file_count(const struct params *params);

/* Bytes of the files that the arms of this cell make beside those, in the same directory. */
uint64_t plan_beside_bytes(const struct cell *cell);

/* Seconds that a run of the plan takes: the sum of the estimates, or up to the end of the budget where that is less. */
double plan_seconds(const struct plan *plan);

/* Seconds that writing the report of such a run takes, which is no part of those. */
double plan_report_seconds(const struct plan *plan);

/* Whether it is the budget that ends it. */
bool plan_is_cut(const struct plan *plan);

/* Whether a method of the cell has any of these NEEDS_ (method.h). */
bool plan_cell_needs(const struct cell *cell, unsigned need);

/* Memory that a cell's arms keep beside its files: destinations of more than one block, memory without a file. */
uint64_t plan_arms_memory(const struct cell *cell);

/* The most that a cell's arms keep and the files made for it fill, all of whose bytes pass through the page cache. */
uint64_t plan_memory(const struct plan *plan);

void plan_free(struct plan *plan);

/* Prints the plan for a person: per scenario its question, cells, arms, trials and estimate, then what is refused. */
void plan_print(const struct plan *plan, FILE *out);

#endif
