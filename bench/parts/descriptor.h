/* SPDX-License-Identifier: MIT */
/* What the system-call methods share: opening with advice, and passes in which the descriptor lives. */
#ifndef FAULTLINE_DESCRIPTOR_H
#define FAULTLINE_DESCRIPTOR_H

#include "method.h"

/* An open file description of the target as a worker of these parameters would open it. A descriptor, or -errno. */
int descriptor_description(const struct target *target, const struct params *params, bool writes);

/*
 * Opens the target into worker->fd: for writing where the method writes, with the flags of open_as; with descriptor_of:
 * crew it is another descriptor of the crew's open file description. -errno.
 */
int descriptor_open_plain(struct worker *worker);

/* The same, then posix_fadvise advice: for methods that make no mapping. -errno. */
int descriptor_open(struct worker *worker);

/* Closes worker->fd. 0 or -errno. */
int descriptor_close(struct worker *worker);

/*
 * A method's setup and teardown when a descriptor is all it needs; none stays open when it lives per pass.
 * -EOPNOTSUPP with text where open_as is not to be had here; -EINVAL where O_DIRECT wants another alignment.
 */
int descriptor_setup(struct worker *worker, struct err *err);
void descriptor_teardown(struct worker *worker);

/* The same with worker->own as the list of struct iovec [pieces] of a method that scatters. */
int descriptor_setup_pieces(struct worker *worker, struct err *err);
void descriptor_teardown_pieces(struct worker *worker);

/*
 * The limit and the reset of a method that reads on from the file position: which follows the cursor, and goes back to
 * the start when the batch would cross the end. Workers that share the position advance it together.
 */
uint64_t descriptor_stretch(const struct params *params);
int descriptor_position(struct worker *worker, uint64_t blocks, struct err *err);

/* Runs `blocks` as whole passes, each between open and close when descriptor: per_pass; `pass` does the blocks of one.
 */
static inline int descriptor_passes(struct worker *worker, uint64_t blocks, int (*pass)(struct worker *, uint64_t))
{
    if (worker->params->descriptor == descriptor_kept)
        return pass(worker, blocks);
    uint64_t touches = worker->params->touches;
    for (uint64_t done = 0; done < blocks; done += touches) {
        int rc = descriptor_open(worker);
        if (rc == 0)
            rc = pass(worker, touches);
        int rc_close = descriptor_close(worker);
        if (rc || rc_close)
            return rc ? rc : rc_close;
    }
    return 0;
}

#endif
