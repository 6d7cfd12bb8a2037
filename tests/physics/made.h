/* SPDX-License-Identifier: MIT */
/* A filesystem made for one test on an image of its own (root): its device is ours to read, and nobody else's. */
#ifndef FAULTLINE_MADE_H
#define FAULTLINE_MADE_H

#include "filesystem.h"
#include "physics.h"

struct made {
    struct filesystems filesystems;
    char directory[64];
};

/* A copy of what is made now: the frame of a test that fails or is skipped is gone when the process ends. */
static struct made made_now;

/* Takes down what made_open has made, in any state of it. */
static inline void made_close(struct made *made)
{
    filesystem_remove(&made->filesystems);
    rmdir(made->directory);
    made_now.directory[0] = '\0';
}

static inline void made_close_left(void)
{
    if (made_now.directory[0])
        made_close(&made_now);
}

/*
 * Makes a filesystem for a file of params->file_bytes and opens the target on it. What cannot be had ends the test as
 * skipped. Close the target, then made_close.
 */
static inline void made_open(struct made *made, struct target *target, const struct params *params)
{
    static bool watched;
    struct filesystem_wishes wishes = {0};
    struct err err = {0};
    watched = watched || atexit(made_close_left) == 0;
    wishes.bytes[params->backing] = params->file_bytes;
    snprintf(made->directory, sizeof made->directory, "/var/tmp/faultline-physics-XXXXXX");
    if (!mkdtemp(made->directory))
        physics_skip("no folder can be made as %s: %s", made->directory, strerror(errno));
    filesystem_make(&made->filesystems, &wishes, "/var/tmp", made->directory);
    made_close_left();
    made_now = *made;
    const struct filesystem *one = &made->filesystems.each[params->backing];
    struct target_request request = {
        .params = params, .directory = one->path, .name = "target", .given_path = "", .seed = 42};
    int rc = one->path[0] ? target_open(target, &request, &err) : err_set(&err, EOPNOTSUPP, "%s", one->reason);
    if (rc == 0)
        return;
    made_close(made);
    if (rc == -EOPNOTSUPP || rc == -ENOSPC)
        physics_skip("%s", err.text);
    fail_msg("%s", err.text);
}

#endif
