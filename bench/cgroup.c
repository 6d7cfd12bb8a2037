/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cgroup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mask.h"
#include "mount.h"
#include "sysfile.h"

/* Whether a comma-separated list has the word. */
static bool list_has(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (; list; list = strchr(list, ',') ? strchr(list, ',') + 1 : NULL)
        if (strncmp(list, word, length) == 0 && (list[length] == ',' || list[length] == '\0'))
            return true;
    return false;
}

/* `argument` is the controller, or NULL for the version-2 tree. The first mount found serves. */
static bool match_cgroup(const struct mount *candidate, const struct mount *best, const void *argument)
{
    if (best->line)
        return false;
    if (!argument)
        return strcmp(candidate->type, "cgroup2") == 0;
    return strcmp(candidate->type, "cgroup") == 0 && list_has(candidate->super, argument);
}

/* Finds "3:cpu,cpuacct:/path" or, without a controller, "0::/path". */
static int cgroup_path(const char *root, const char *controller, char *path, size_t size, struct err *err)
{
    char file_name[SYSFILE_PATH_SIZE], *line = NULL;
    size_t room = 0;
    bool found = false;
    snprintf(file_name, sizeof file_name, "%s/proc/self/cgroup", root);
    FILE *file = fopen(file_name, "re");
    if (!file)
        return err_sys(err, "%s", file_name);
    while (!found && getline(&line, &room, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'), *at = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!at)
            continue;
        *at++ = '\0';
        found = controller ? list_has(controllers + 1, controller) : controllers[1] == '\0';
        if (found)
            snprintf(path, size, "%s", at);
    }
    free(line);
    fclose(file);
    return found ? 0 : err_set(err, ENOENT, "%s: no group of %s", file_name, controller ? controller : "version 2");
}

int cgroup_find(const char *root, const char *controller, struct cgroup *cgroup, struct err *err)
{
    char path[2048], mountinfo[SYSFILE_PATH_SIZE];
    int rc = cgroup_path(root, controller, path, sizeof path, err);
    if (rc)
        return rc;
    struct mount mount;
    snprintf(mountinfo, sizeof mountinfo, "%s/proc/self/mountinfo", root);
    rc = mount_select(mountinfo, match_cgroup, controller, &mount, err);
    if (rc)
        goto out;
    /* In a container the mount may begin below the path that the kernel shows. */
    const char *below = path;
    size_t length = strlen(mount.root);
    if (length > 1 && strncmp(path, mount.root, length) == 0)
        below += length;
    int top = snprintf(cgroup->path, sizeof cgroup->path, "%s%s", root, mount.point);
    if (top < 0 || (size_t)top + strlen(below) >= sizeof cgroup->path) {
        rc = err_set(err, ENAMETOOLONG, "%s: the path of the control group is too long", mount.point);
        goto out;
    }
    cgroup->top = (size_t)top;
    if (strcmp(below, "/") != 0)
        memcpy(cgroup->path + top, below, strlen(below) + 1);
out:
    mount_free(&mount);
    return rc;
}

/* The lowest value that `read` finds from this group up to the top; a group without the file sets no limit. */
static uint64_t cgroup_lowest(const char *root, const char *controller, uint64_t (*read)(const char *group))
{
    struct cgroup cgroup;
    struct err err;
    uint64_t lowest = LIMIT_NONE;
    if (cgroup_find(root, controller, &cgroup, &err))
        return LIMIT_NONE;
    for (char *end = cgroup.path + strlen(cgroup.path);; end = strrchr(cgroup.path, '/')) {
        *end = '\0';
        uint64_t value = read(cgroup.path);
        if (value < lowest)
            lowest = value;
        if (strlen(cgroup.path) <= cgroup.top)
            return lowest;
    }
}

static uint64_t memory_v1(const char *group)
{
    struct err err;
    int64_t bytes;
    if (sysfile_number(&bytes, &err, "%s/memory.limit_in_bytes", group) || bytes < 0)
        return LIMIT_NONE;
    /* "No limit" is the largest multiple of the page size; nobody means more than 2^60 bytes. */
    return bytes > INT64_C(1) << 60 ? LIMIT_NONE : (uint64_t)bytes;
}

static uint64_t memory_v2(const char *group)
{
    struct err err;
    int64_t bytes; /* the file says "max" when there is no limit */
    return sysfile_number(&bytes, &err, "%s/memory.max", group) || bytes < 0 ? LIMIT_NONE : (uint64_t)bytes;
}

static uint64_t quota_percent(int64_t quota_us, int64_t period_us)
{
    return quota_us > 0 && period_us > 0 ? (uint64_t)((quota_us * 100 + period_us / 2) / period_us) : LIMIT_NONE;
}

static uint64_t quota_v1(const char *group)
{
    struct err err;
    int64_t quota_us, period_us;
    if (sysfile_number(&quota_us, &err, "%s/cpu.cfs_quota_us", group) ||
        sysfile_number(&period_us, &err, "%s/cpu.cfs_period_us", group))
        return LIMIT_NONE;
    return quota_percent(quota_us, period_us);
}

static uint64_t quota_v2(const char *group)
{
    struct err err;
    char line[64];
    int64_t quota_us, period_us;
    if (sysfile_line(line, sizeof line, &err, "%s/cpu.max", group) ||
        sscanf(line, "%" SCNd64 " %" SCNd64, &quota_us, &period_us) != 2)
        return LIMIT_NONE;
    return quota_percent(quota_us, period_us);
}

int cgroup_memory_total(const char *root, uint64_t *bytes, struct err *err)
{
    char line[256];
    uint64_t kib;
    int rc = sysfile_line(line, sizeof line, err, "%s/proc/meminfo", root); /* MemTotal is its first line */
    if (rc)
        return rc;
    if (sscanf(line, "MemTotal: %" SCNu64 " kB", &kib) != 1)
        return err_set(err, EINVAL, "%s/proc/meminfo: does not begin with MemTotal", root);
    *bytes = kib * 1024;
    return 0;
}

static uint64_t lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

int cgroup_limits(const char *root, struct limits *limits, struct err *err)
{
    struct cpu_mask mask;
    *limits = (struct limits){.memory_limit_bytes = LIMIT_NONE, .cpu_quota_percent = LIMIT_NONE};
    if (cpu_mask_read(&mask))
        return err_sys(err, "sched_getaffinity");
    limits->cpus_allowed = cpu_mask_count(&mask);
    int rc = cgroup_memory_total(root, &limits->memory_total_bytes, err);
    if (rc)
        return rc;
    limits->memory_limit_bytes = lower(cgroup_lowest(root, "memory", memory_v1), cgroup_lowest(root, NULL, memory_v2));
    limits->cpu_quota_percent = lower(cgroup_lowest(root, "cpu", quota_v1), cgroup_lowest(root, NULL, quota_v2));
    return 0;
}

uint64_t cgroup_memory_bytes(const struct limits *limits)
{
    return lower(limits->memory_total_bytes, limits->memory_limit_bytes);
}
