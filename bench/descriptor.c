/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "target.h"

static int advise(const struct worker *worker)
{
    static const int advice[] = {
        [advice_random] = POSIX_FADV_RANDOM,
        [advice_sequential] = POSIX_FADV_SEQUENTIAL,
        [advice_willneed] = POSIX_FADV_WILLNEED,
    };
    if (worker->params->advice == advice_normal)
        return 0;
    return -posix_fadvise(worker->fd, 0, (off_t)worker->params->working_set_bytes, advice[worker->params->advice]);
}

int descriptor_open(struct worker *worker)
{
    worker->fd = target_reopen(worker->target);
    return worker->fd < 0 ? worker->fd : advise(worker);
}

int descriptor_close(struct worker *worker)
{
    int rc = worker->fd >= 0 && close(worker->fd) ? -errno : 0;
    worker->fd = -1;
    return rc;
}

int descriptor_setup(struct worker *worker, struct err *err)
{
    if (worker->params->descriptor == descriptor_per_pass)
        return 0;
    int rc = descriptor_open(worker);
    return rc ? err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc)) : 0;
}

void descriptor_teardown(struct worker *worker)
{
    descriptor_close(worker);
}
