/* SPDX-License-Identifier: MIT */
/* Which filesystem a folder lies on, and which block devices lie below it. */
#ifndef FAULTLINE_MOUNT_H
#define FAULTLINE_MOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

/* One line of mountinfo; the strings point into `line`, which mount_free releases. */
struct mount {
    char *line;
    int id;
    unsigned major, minor;       /* of the filesystem; major 0: it has no block device of its own */
    char *root;                  /* the folder of the filesystem that is mounted */
    char *point, *options;       /* where, and how this mount point is restricted */
    char *type, *source, *super; /* ext4; what was mounted: never recorded; how the filesystem is configured */
};

/* Whether `candidate` is a mount asked for, and a better one than `best` (its `line` is NULL while there is none). */
typedef bool mount_match(const struct mount *candidate, const struct mount *best, const void *argument);

/* The best mount of a mountinfo file. -ENOENT when nothing matches. Free with mount_free, also after a failure. */
int mount_select(const char *mountinfo, mount_match *match, const void *argument, struct mount *mount, struct err *err);

/* The mount a folder lies on: by the kernel's mount id, or by the longest mount point above it. */
int mount_find(const char *mountinfo, const char *directory, struct mount *mount, struct err *err);

void mount_free(struct mount *mount);

/*
 * Both sets of options, sorted, each once: "discard,relatime,rw". The value of an option that names an address, a
 * person, a path or an identifier becomes "*", for it says nothing about speed. New string; NULL without memory.
 */
char *mount_options(const struct mount *mount);

enum { DISK_NAME_SIZE = 64, DISK_STACK_MAX = 8 };

/* Block devices from the filesystem's own down to the lowest one that this system shows. */
struct disk_stack {
    char name[DISK_STACK_MAX][DISK_NAME_SIZE]; /* whole disks as in /sys/block: "loop0", "vda" */
    unsigned count;
};

/* Walks partitions, stacked devices (their first member) and loop files. -ENODEV when the filesystem has none. */
int mount_disks(const struct mount *mount, struct disk_stack *stack, struct err *err);

/* Readahead of the filesystem's own backing device in KiB: what the kernel uses for its files. -errno with text. */
int mount_read_ahead_kb(const struct mount *mount, const struct disk_stack *stack, int64_t *kb, struct err *err);

#endif
