/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "memory_group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "sysfile.h"

static const char PREFIX[] = "faultline-limit-";
static const char ASIDE[] = "faultline-aside-";
enum {
    REMOVE_ATTEMPTS = 200, /* a process that was killed leaves its group a little later than it is waited for … */
    REMOVE_WAIT_US = 5000, /* … one second in all */
};

/* Writes to a file of a control group. 0 or -errno. */
static int put(const char *folder, const char *name, const char *text)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= sizeof path)
        return -ENAMETOOLONG;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return rc;
}

static int put_number(const char *folder, const char *name, uint64_t number)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, number);
    return put(folder, name, text);
}

/* When a process began, in clock ticks since boot: with its number it names one process. 0 when it is not there. */
static uint64_t start_of(long process)
{
    char path[64], text[1024];
    uint64_t start = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", process);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t done = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[done > 0 ? done : 0] = '\0';
    char *rest = strrchr(text, ')'); /* the name may hold anything; the start is the 20th word after it */
    for (unsigned word = 0; rest && word < 20; word++)
        rest = strchr(rest + 1, ' ');
    if (rest)
        start = strtoull(rest, NULL, 10);
    return start;
}

static void own_name(char *name, size_t size, const char *prefix)
{
    snprintf(name, size, "%s%ld-%" PRIu64, prefix, (long)getpid(), start_of(getpid()));
}

/* rmdir, after the pages charged to it have been given back (version 1 keeps them otherwise). */
static int remove_folder(const char *path)
{
    int rc = -EBUSY;
    for (unsigned i = 0; i < REMOVE_ATTEMPTS && rc == -EBUSY; i++) {
        if (i)
            usleep(REMOVE_WAIT_US);
        put(path, "memory.force_empty", "0"); /* version 2 has no such file, and needs none */
        rc = rmdir(path) ? -errno : 0;
    }
    return rc;
}

/* Ours, and whoever made it is dead: neither does its process live nor does anybody hold its lock. */
static bool is_abandoned(const char *path, const char *mark)
{
    struct stat status;
    long process;
    uint64_t start;
    if (sscanf(mark, "%ld-%" SCNu64, &process, &start) != 2 || process <= 0 || start_of(process) == start)
        return false;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool abandoned = fd >= 0 && fstat(fd, &status) == 0 && status.st_uid == geteuid() &&
                     flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0)
        close(fd);
    return abandoned;
}

static void sweep(const char *own, const char *prefix)
{
    DIR *folder = opendir(own);
    struct dirent *entry;
    char path[PATH_MAX];
    while (folder && (entry = readdir(folder))) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        int length = snprintf(path, sizeof path, "%s/%s", own, entry->d_name);
        if (length > 0 && (size_t)length < sizeof path && is_abandoned(path, entry->d_name + strlen(prefix)))
            remove_folder(path);
    }
    if (folder)
        closedir(folder);
}

/* The group of this process that memory is charged to; *old: of version 1. */
static int find_own(struct cgroup *cgroup, bool *old, struct err *err)
{
    *old = cgroup_find("", "memory", cgroup, err) == 0;
    return *old ? 0 : cgroup_find("", NULL, cgroup, err);
}

void memory_group_sweep(void)
{
    struct cgroup cgroup;
    struct err ignored;
    bool old;
    if (find_own(&cgroup, &old, &ignored))
        return;
    sweep(cgroup.path, PREFIX);
    sweep(cgroup.path, ASIDE);
}

/* Whether a file of words separated by spaces has this one. */
static bool file_has_word(const char *folder, const char *name, const char *word)
{
    char line[512], *rest = line, *found;
    struct err ignored;
    if (sysfile_line(line, sizeof line, &ignored, "%s/%s", folder, name))
        return false;
    while ((found = strsep(&rest, " ")))
        if (strcmp(found, word) == 0)
            return true;
    return false;
}

/* Whether this process is the only one of a group. */
static bool is_alone(const char *folder)
{
    char path[PATH_MAX];
    long process;
    bool alone = true;
    snprintf(path, sizeof path, "%.4000s/cgroup.procs", folder);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    while (fscanf(file, "%ld", &process) == 1)
        alone = alone && process == (long)getpid();
    fclose(file);
    return alone;
}

/*
 * Version 2 gives children a controller only where the group itself holds no process. A group of which we are the only
 * one is ours: we step aside into a child of it. Any other is left as it is.
 */
static int open_to_children(struct memory_group *group, struct err *err)
{
    char name[sizeof group->aside], path[PATH_MAX];
    if (file_has_word(group->own, "cgroup.subtree_control", "memory"))
        return 0;
    if (!file_has_word(group->own, "cgroup.controllers", "memory"))
        return err_set(err, EOPNOTSUPP, "needs a control group with the memory controller; %.200s has none",
                       group->own);
    if (!is_alone(group->own))
        return err_set(err, EOPNOTSUPP,
                       "needs a control group of its own, for children get no memory limit where %.200s holds other "
                       "processes: start it by systemd-run --scope -p Delegate=yes (with --user unless root)",
                       group->own);
    own_name(name, sizeof name, ASIDE);
    snprintf(path, sizeof path, "%.3900s/%s", group->own, name);
    if (mkdir(path, 0700))
        return err_set(err, EOPNOTSUPP, "needs a control group delegated to this user: %.200s: %s", path,
                       strerror(errno));
    memcpy(group->aside, name, sizeof name);
    int rc = put_number(path, "cgroup.procs", (uint64_t)getpid());
    if (rc == 0)
        rc = put(group->own, "cgroup.subtree_control", "+memory");
    return rc ? err_set(err, EOPNOTSUPP, "needs a control group delegated to this user: %.200s: %s", group->own,
                        strerror(-rc))
              : 0;
}

static void close_to_children(struct memory_group *group)
{
    char path[PATH_MAX];
    if (!group->aside[0])
        return;
    snprintf(path, sizeof path, "%.3900s/%s", group->own, group->aside);
    put(group->own, "cgroup.subtree_control", "-memory");
    put_number(group->own, "cgroup.procs", (uint64_t)getpid());
    remove_folder(path);
    group->aside[0] = '\0';
}

static int make_folder(struct memory_group *group, struct err *err)
{
    char name[128];
    own_name(name, sizeof name, PREFIX);
    snprintf(group->path, sizeof group->path, "%.3900s/%s", group->own, name);
    int code = mkdir(group->path, 0700) ? errno : 0;
    if (code == EEXIST && remove_folder(group->path) == 0) /* of an earlier trial of ours, which was slow to end */
        code = mkdir(group->path, 0700) ? errno : 0;
    if (code) {
        group->path[0] = '\0';
        return err_set(err, EOPNOTSUPP,
                       "needs the right to make a control group below this one (root, or a group delegated to this "
                       "user): mkdir %.200s/%s: %s",
                       group->own, name, strerror(code));
    }
    group->folder_fd = open(group->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (group->folder_fd < 0 || flock(group->folder_fd, LOCK_EX | LOCK_NB))
        return err_sys(err, "lock %s", group->path);
    return 0;
}

static int limit_it(struct memory_group *group, uint64_t limit_bytes, struct err *err)
{
    const char *file = group->old ? "memory.limit_in_bytes" : "memory.max";
    int rc = put_number(group->path, file, limit_bytes);
    if (rc)
        return err_set(err, EOPNOTSUPP, "needs the right to limit a control group: %.200s/%s: %s", group->path, file,
                       strerror(-rc));
    group->entry_fd = openat(group->folder_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    return group->entry_fd < 0 ? err_set(err, EOPNOTSUPP, "needs the right to enter a control group: %.200s: %s",
                                         group->path, strerror(errno))
                               : 0;
}

int memory_group_make(struct memory_group *group, uint64_t limit_bytes, struct err *err)
{
    struct cgroup cgroup;
    struct err why;
    *group = MEMORY_GROUP_NONE;
    if (find_own(&cgroup, &group->old, &why))
        return err_set(err, EOPNOTSUPP, "needs a control group with the memory controller: %.200s", why.text);
    snprintf(group->own, sizeof group->own, "%s", cgroup.path);
    int rc = group->old ? 0 : open_to_children(group, err);
    if (rc == 0)
        rc = make_folder(group, err);
    return rc ? rc : limit_it(group, limit_bytes, err);
}

int memory_group_remove(struct memory_group *group)
{
    int rc = 0;
    if (group->entry_fd >= 0)
        close(group->entry_fd);
    if (group->path[0])
        rc = remove_folder(group->path);
    if (group->folder_fd >= 0)
        close(group->folder_fd);
    close_to_children(group);
    *group = MEMORY_GROUP_NONE;
    return rc;
}

int memory_group_enter(int entry_fd)
{
    return entry_fd < 0 || write(entry_fd, "0", 1) == 1 ? 0 : -errno;
}

uint64_t memory_group_own_limit(void)
{
    struct cgroup cgroup;
    struct err ignored;
    bool old;
    int64_t bytes;
    if (find_own(&cgroup, &old, &ignored) ||
        sysfile_number(&bytes, &ignored, "%s/%s", cgroup.path, old ? "memory.limit_in_bytes" : "memory.max") ||
        bytes < 0)
        return LIMIT_NONE;
    return bytes > INT64_C(1) << 60 ? LIMIT_NONE : (uint64_t)bytes; /* version 1 writes "none" as a large number */
}
