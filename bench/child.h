/* SPDX-License-Identifier: MIT */
/* Starting, watching and ending one trial process. */
#ifndef FAULTLINE_CHILD_H
#define FAULTLINE_CHILD_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include <jansson.h>

#include "trial.h"

struct child {
    pid_t process; /* 0: none */
    time_t since;  /* when it was started, or shortly before */
    int output;    /* its record lines */
    struct trial_status *status;
    int status_fd;
    char *buffer; /* what came of a line so far */
    size_t used, size;
};

enum child_event { CHILD_LINE, CHILD_QUIET, CHILD_ENDED, CHILD_TIMEOUT, CHILD_INTERRUPTED };

/*
 * Starts `faultline trial` (this very program, by exec) in a process group of its own, with the job on its standard
 * input and `environment_bytes` of padding in its environment. It dies with this process. `entry_fd`: of the control
 * group that it enters before exec (memory_group.h), or -1. -errno with text.
 */
int child_start(struct child *child, json_t *job, uint64_t environment_bytes, int entry_fd, struct err *err);

/*
 * Waits for the next record line, the end of output, `limit_ns` (of CLOCK_MONOTONIC_RAW, an instant), or until
 * *interrupted becomes non-zero; CHILD_QUIET when for a tenth of a second there was none of these. With CHILD_LINE,
 * *line and *length are the line without newline, valid until the next call.
 */
enum child_event child_next(struct child *child, uint64_t limit_ns, const volatile int *interrupted, const char **line,
                            size_t *length);

/*
 * Kills its process group (harmless when it has ended), waits for all of it, removes what System V segments these have
 * left, and frees what is held. Returns its wait status.
 */
int child_end(struct child *child);

#endif
