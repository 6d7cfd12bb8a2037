/* SPDX-License-Identifier: MIT */
/* Filesystems made for one run (--make-filesystems): mounted where no other process sees them, gone with this one. */
#ifndef FAULTLINE_FILESYSTEM_H
#define FAULTLINE_FILESYSTEM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "err.h"
#include "params.h"

/* Bytes of files that lie on each filesystem at the same time; 0: it is not wanted. */
struct filesystem_wishes {
    uint64_t bytes[backing_count];
};

struct filesystem {
    char path[4096];       /* folder for the files under test; "" when it could not be made */
    char reason[512];      /* why it could not */
    dev_t device;          /* the loop device below it */
    bool direct;           /* which reads its image past the page cache */
    char read_ahead[128];  /* the file in sysfs that holds its read-ahead */
    int64_t read_ahead_kb; /* as it was found; -1: not to be had */
};

struct filesystems {
    char root[4096]; /* folder on which all of them are mounted; "" when there are none */
    struct filesystem each[backing_count];
    pid_t passthrough; /* the process that serves FUSE; 0: none */
};

/* Whether such a file lies on a filesystem that has to be made: ext4, xfs, btrfs, overlay, fuse. */
bool filesystem_is_made(enum backing backing);

/* Whether its read-ahead can be set: it has one device, which is ours alone. */
bool filesystem_has_read_ahead(enum backing backing);

/* Adds the files of a cell to what is wanted, and so many bytes beside them; those of other backings are none. */
void filesystem_want(struct filesystem_wishes *wishes, const struct params *params, uint64_t beside);

/* The most that the images of what is wanted can come to hold. 0 when nothing is wanted. */
uint64_t filesystem_disk_bytes(const struct filesystem_wishes *wishes);

/* Seconds that making what is wanted takes, roughly. */
double filesystem_seconds(const struct filesystem_wishes *wishes);

/*
 * Gives this process mounts of its own and makes on them what is wanted: images in the folder `images`, everything
 * mounted below the folder `root`, both of this run. What cannot be had has a reason afterwards. The caller ends it
 * with filesystem_remove. When this process is killed instead, mounts, loop devices and images vanish with it and its
 * children.
 */
void filesystem_make(struct filesystems *filesystems, const struct filesystem_wishes *wishes, const char *images,
                     const char *root);

/* Unmounts all of them. */
void filesystem_remove(struct filesystems *filesystems);

/*
 * Sets the read-ahead that files of that backing are opened with from now on. -EOPNOTSUPP with text when it cannot be
 * set. Does nothing for what has none of its own.
 */
int filesystem_set_read_ahead(const struct filesystems *filesystems, enum backing backing, enum read_ahead read_ahead,
                              struct err *err);

/* NULL when cells with these conditions can be measured, else why not. */
const char *filesystem_fault(const struct filesystems *filesystems, const struct params *params);

/* Type, mount options, block size, read-ahead and image of a made filesystem, as records show them. New reference; null
 * for other backings. */
json_t *filesystem_describe(const struct filesystems *filesystems, enum backing backing);

#endif
