/* SPDX-License-Identifier: MIT */
/* The folder in which a run makes its files: nobody else's names, and removed whatever happens. */
#ifndef FAULTLINE_WORKDIR_H
#define FAULTLINE_WORKDIR_H

#include "err.h"

struct workdir {
    char path[4096]; /* "" when there is none */
    int lock_fd;     /* held as long as the run lives: what is not locked is left over */
};

/*
 * Removes what runs that were killed have left in `parent` (folders faultline-run-XXXXXX of this user that bear our
 * mark and whose lock nobody holds), then makes a new one, mode 0700. -errno with text.
 */
int workdir_make(struct workdir *workdir, const char *parent, struct err *err);

/* Removes it with all that is in it. */
void workdir_remove(struct workdir *workdir);

#endif
