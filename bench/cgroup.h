/* SPDX-License-Identifier: MIT */
/* What this process may use of the machine: memory and CPUs, by control groups of version 1 and 2 and by affinity. */
#ifndef FAULTLINE_CGROUP_H
#define FAULTLINE_CGROUP_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define LIMIT_NONE UINT64_MAX

struct limits {
    uint64_t memory_total_bytes; /* MemTotal */
    uint64_t memory_limit_bytes; /* the lowest limit of the control groups above this process, or LIMIT_NONE */
    uint64_t cpu_quota_percent;  /* 150: one and a half CPUs; the lowest quota above this process, or LIMIT_NONE */
    unsigned cpus_allowed;       /* by affinity, which a cpuset narrows too */
};

/* `root` stands before /proc and /sys: "" but in tests. -errno with text without /proc; cpus_allowed is right even
 * then. */
int cgroup_limits(const char *root, struct limits *limits, struct err *err);

/* MemTotal. -errno with text. */
int cgroup_memory_total(const char *root, uint64_t *bytes, struct err *err);

/* Bytes this process may use: the lower of what there is and what its control groups allow. */
uint64_t cgroup_memory_bytes(const struct limits *limits);

struct cgroup {
    char path[4096]; /* folder of this process's group */
    size_t top;      /* length of the part of it that is the mount point: the highest group that can be seen */
};

/* This process's group for a version-1 controller, or with NULL in the version-2 tree. -ENOENT when it has none. */
int cgroup_find(const char *root, const char *controller, struct cgroup *cgroup, struct err *err);

#endif
