/* SPDX-License-Identifier: MIT */
/* What the system-call methods share: opening with advice, and passes in which the descriptor lives. */
#ifndef FAULTLINE_DESCRIPTOR_H
#define FAULTLINE_DESCRIPTOR_H

#include "method.h"

/* Opens the target into worker->fd and gives posix_fadvise advice. -errno. */
int descriptor_open(struct worker *worker);

/* Closes worker->fd. 0 or -errno. */
int descriptor_close(struct worker *worker);

/* A method's setup and teardown when a descriptor is all it needs; none is opened when it lives per pass. */
int descriptor_setup(struct worker *worker, struct err *err);
void descriptor_teardown(struct worker *worker);

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
