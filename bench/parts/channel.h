/* SPDX-License-Identifier: MIT */
/* What two workers can tell each other through the kernel: made before they start, so that processes inherit it. */
#ifndef FAULTLINE_CHANNEL_H
#define FAULTLINE_CHANNEL_H

#include <stdint.h>

#include "err.h"

/* Directions are numbered by the worker that sends. -1: not open. */
struct channel {
    int pipe_read[2], pipe_write[2];
    int event[2];  /* eventfd: a counter that one side adds to and the other waits for */
    int socket[2]; /* of a pair: worker k reads and writes socket[k] */
};

#define CHANNEL_NONE                                                                                                   \
    {                                                                                                                  \
        {-1, -1}, {-1, -1}, {-1, -1},                                                                                  \
        {                                                                                                              \
            -1, -1                                                                                                     \
        }                                                                                                              \
    }

/* Opens all of it; close it also after a failure. -errno with text. */
int channel_open(struct channel *channel, struct err *err);
void channel_close(struct channel *channel);

/* All `bytes`, in as many calls as it takes. 0, -errno, or -EPIPE where the other side is gone. */
int channel_write(int fd, const void *from, uint64_t bytes);
int channel_read(int fd, void *to, uint64_t bytes);

#endif
