/* SPDX-License-Identifier: MIT */
/* An image file behind a loop device, both of which vanish with their last user. */
#ifndef FAULTLINE_LOOP_H
#define FAULTLINE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

struct loop {
    int fd;        /* of the block device: while it is open, or the device is mounted, the device lives */
    char path[32]; /* "/dev/loop3" */
    dev_t device;
    bool direct; /* it reads and writes the image past the page cache: what is evicted above is then read from disk */
};

/*
 * Makes a sparse image of `bytes` in `directory`, whose name is gone before this returns, and puts it behind a free
 * loop device that clears itself (LO_FLAGS_AUTOCLEAR). -errno with text; nothing is left then.
 */
int loop_make(struct loop *loop, const char *directory, uint64_t bytes, struct err *err);

/* Lets go of it: it vanishes unless it is mounted. */
void loop_release(struct loop *loop);

#endif
