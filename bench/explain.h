/* SPDX-License-Identifier: MIT */
/* --explain CELL/ARM: the commands with which perf looks into one arm of one cell, ready for a shell. Measures nothing.
 */
#ifndef FAULTLINE_EXPLAIN_H
#define FAULTLINE_EXPLAIN_H

#include <stdio.h>

#include "options.h"
#include "plan.h"

/*
 * Finds "CELL/ARM": the name of a cell as `plan` prints it, and that of an arm, of a plan of one scenario. -EINVAL with
 * text when it is not spelled so or names more than one scenario, -ENOENT when there is no such cell or arm, or the
 * cell cannot be had.
 */
int explain_find(const struct plan *plan, const char *where, const struct cell **cell, const struct arm **arm,
                 struct err *err);

/* Prints the names there are in a plan of one scenario: of the cells, and of the arms. */
void explain_names(const struct plan *plan, FILE *out);

/* Prints the rows of looks.def, for a person or as a Markdown table. */
void explain_list(bool markdown, FILE *out);

/*
 * Prints a script of a POSIX shell: each row of looks.def that suits the arm, with one sentence and its commands, which
 * run this program with these options narrowed down to the arm. What they need is tried here; a command that cannot
 * work is a comment, beside the reason. -errno with text when nothing can be tried.
 */
int explain_print(const struct plan *plan, const struct cell *cell, const struct arm *arm,
                  const struct options *options, FILE *out, struct err *err);

#endif
