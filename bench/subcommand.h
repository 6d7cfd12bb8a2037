/* SPDX-License-Identifier: MIT */
/* Subcommands that are programs of their own, found as git finds its own: faultline-NAME. */
#ifndef FAULTLINE_SUBCOMMAND_H
#define FAULTLINE_SUBCOMMAND_H

#include <stdbool.h>

#include "err.h"

/*
 * Finds faultline-NAME beside this program (through /proc/self/exe), else on PATH. False when there is none; names that
 * are no plain words ([a-z][a-z0-9-]*) are never looked for.
 */
bool subcommand_find(const char *name, char *path, unsigned long path_size);

/* Replaces this process by faultline-NAME with argv; argv[0] is NAME. Returns only on failure: -ENOENT or exec's error.
 */
int subcommand_exec(const char *name, char **argv, struct err *err);

/* Runs faultline-NAME with argv and waits. *status is its exit status, 128 + signal when it was killed. */
int subcommand_run(const char *name, char **argv, int *status, struct err *err);

#endif
