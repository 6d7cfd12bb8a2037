/* SPDX-License-Identifier: MIT */
/*
 * A control group with a memory limit, made for a trial process and removed after it. It lies below the group that this
 * process is in (version 1, or version 2 where that lets its children have the memory controller) and bears the mark
 * faultline-limit-PID-START of the process that made it: what a killed run has left is removed by the next one.
 */
#ifndef FAULTLINE_MEMORY_GROUP_H
#define FAULTLINE_MEMORY_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

struct memory_group {
    char path[4096]; /* "" when there is none */
    char own[4096];  /* of this process, below which it lies */
    char aside[128]; /* version 2: group below `own` into which this process stepped; "" when it did not have to */
    int folder_fd;   /* locked as long as this process lives: what is not locked is left over */
    int entry_fd;    /* write "0" to enter: see memory_group_enter */
    bool old;        /* version 1 */
};

#define MEMORY_GROUP_NONE ((struct memory_group){.folder_fd = -1, .entry_fd = -1})

/*
 * Makes the group and sets its limit. `group` must be MEMORY_GROUP_NONE on entry; end it with memory_group_remove, also
 * after a failure. -EOPNOTSUPP with "needs …" where this process may not have one.
 */
int memory_group_make(struct memory_group *group, uint64_t limit_bytes, struct err *err);

/*
 * Removes it; the processes that were in it must have been killed. 0, also without one, or -errno when it stays: the
 * next run tries again.
 */
int memory_group_remove(struct memory_group *group);

/* Removes what runs that were killed have left below the group of this process. */
void memory_group_sweep(void);

/*
 * Puts the calling process into the group behind this descriptor (group->entry_fd; -1: nothing to do). Nothing but a
 * system call: may stand between fork and exec. 0 or -errno.
 */
int memory_group_enter(int entry_fd);

/* Limit of the group that this process is in, as the kernel reads it back; LIMIT_NONE (cgroup.h) when it has none. */
uint64_t memory_group_own_limit(void);

#endif
