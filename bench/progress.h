/* SPDX-License-Identifier: MIT */
/* What a user sees while a run goes on: in place on a terminal, one line a cell otherwise. */
#ifndef FAULTLINE_PROGRESS_H
#define FAULTLINE_PROGRESS_H

#include <stdbool.h>
#include <stdio.h>

#include "plan.h"
#include "precision.h"

struct progress {
    FILE *out; /* NULL: silent */
    bool is_terminal;
    unsigned rows, columns;
    unsigned drawn; /* lines that stand on the terminal and are drawn over next time */
    uint64_t begin_ns, last_ns;
    const struct plan *plan;
    char (*lines)[768]; /* [cell_count] the last word on each cell; "" for none yet */
    bool *finished;     /* [cell_count] */
    unsigned changed;   /* the cell that had a trial last */
};

/* `out` is standard error or NULL; -ENOMEM. End with progress_end. */
int progress_begin(struct progress *progress, FILE *out, const struct plan *plan);
void progress_end(struct progress *progress);

/* A cell has had another trial: intervals[arm_count] (the baseline's is not looked at); `finished` once it is not run
 * again. */
void progress_cell(struct progress *progress, unsigned cell, unsigned trials,
                   const struct precision_interval *intervals, bool finished);

/* A line of its own for something that went wrong. */
void progress_note(struct progress *progress, const char *text);

/* Draws how far the run is; at most every 0.2 s, or every 5 s where it is not a terminal. */
void progress_tick(struct progress *progress, unsigned done, unsigned expected, double remaining_s);

#endif
