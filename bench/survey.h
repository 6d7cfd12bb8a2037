/* SPDX-License-Identifier: MIT */
/* The conditions of a machine, one row each: those that must agree between compared runs, and those that may explain.
 */
#ifndef FAULTLINE_SURVEY_H
#define FAULTLINE_SURVEY_H

#include <sys/utsname.h>

#include <jansson.h>

#include "cgroup.h"
#include "err.h"
#include "mount.h"

/* What several rows look at, gathered once. */
struct survey {
    const char *directory;
    struct utsname system;
    struct limits limits;
    struct mount mount;
    struct disk_stack disks;
    struct err limits_err, mount_err, disks_err; /* why these are empty; code 0: they are not */
};

/* Looks at the folder and at the limits; -errno with text when the folder is none. End it in any case. */
int survey_begin(struct survey *survey, const char *directory, struct err *err);
void survey_end(struct survey *survey);

/*
 * {key: value}, nested where the row's key has a dot. A value that cannot be read is null, and its full key is put into
 * `unknown` with the reason. New references. Blocking values are stable while nothing about the machine is changed.
 */
json_t *survey_blocking(const struct survey *survey, json_t *unknown);
json_t *survey_informational(const struct survey *survey, json_t *unknown);

enum { SURVEY_KEYS_MAX = 128 };

/* The keys of both, in that order, and a NULL behind them. */
void survey_keys(const char *keys[SURVEY_KEYS_MAX]);

#endif
