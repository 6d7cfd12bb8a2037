/* SPDX-License-Identifier: MIT */
/* A run: launches trial processes, watches them, keeps their records, stops on precision or budget, survives their
 * death. */
#ifndef FAULTLINE_RUNNER_H
#define FAULTLINE_RUNNER_H

#include <stdio.h>

#include "place.h"
#include "plan.h"

struct run_options {
    const char *out;          /* --out, or NULL */
    const char *parent;       /* where a new run is made without --out */
    const char *resume;       /* a run's directory, or NULL */
    const char *machine_name; /* or NULL: the host's name */
    const char *instance;     /* --instance, or NULL */
    uint64_t deadline_ns;     /* of one trial process */
    FILE *progress;           /* NULL: none */
    char *const *argv;        /* recorded */
    unsigned argc;
};

struct run_outcome {
    char directory[4096];
    unsigned expected, finished; /* records */
    bool arm_failed;             /* some arm failed, or checksums within a cell differ */
    bool unfit;                  /* nothing was begun: the place for the files under test has no room for the plan */
};

/*
 * Carries out the plan (or, with options->resume, what is missing of the plan found there: then *plan is filled from
 * its manifest and must be empty on entry). The caller frees the plan. -ESTALE when the run to resume was made by
 * another build, on another machine or with another plan; -errno with text when its files cannot be written; -ENOSPC
 * with outcome->unfit before anything is written. SIGINT and SIGTERM end it early, with the outcome filled, and stay
 * caught afterwards: run_signal() tells.
 */
int run_plan(struct plan *plan, const struct topology *place, const struct run_options *options,
             struct run_outcome *outcome, struct err *err);

/* The signal that asked the run, or what came after it, to end; 0 for none. */
int run_signal(void);

/* Writes the exit status of the finished run into its manifest; err->code must be 0 on entry. */
int run_put_exit(const char *directory, int exit_status, struct err *err);

#endif
