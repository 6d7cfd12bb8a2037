/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "direct.h"
#include "target.h"

static int advise(const struct worker *worker)
{
    static const int advice[] = {
        [advice_random] = POSIX_FADV_RANDOM,
        [advice_sequential] = POSIX_FADV_SEQUENTIAL,
        [advice_willneed] = POSIX_FADV_WILLNEED,
        [advice_dontneed] = POSIX_FADV_DONTNEED,
    };
    if (worker->params->advice == advice_normal)
        return 0;
    return -posix_fadvise(worker->fd, 0, (off_t)worker->params->working_set_bytes, advice[worker->params->advice]);
}

int descriptor_description(const struct target *target, const struct params *params, bool writes)
{
    static const int flags[] = {[open_as_plain] = 0, [open_as_direct] = O_DIRECT, [open_as_noatime] = O_NOATIME};
    return target_reopen(target, (writes ? O_RDWR : O_RDONLY) | flags[params->open_as]);
}

static int share_description(int fd)
{
    int own = fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return fd >= 0 && own < 0 ? -errno : own;
}

int descriptor_open_plain(struct worker *worker)
{
    const struct params *params = worker->params;
    worker->fd = params->descriptor_of == descriptor_of_crew
                     ? share_description(worker->crew_fd)
                     : descriptor_description(worker->target, params, worker->writes);
    return worker->fd < 0 ? worker->fd : 0;
}

int descriptor_open(struct worker *worker)
{
    int rc = descriptor_open_plain(worker);
    return rc ? rc : advise(worker);
}

int descriptor_close(struct worker *worker)
{
    int rc = worker->fd >= 0 && close(worker->fd) ? -errno : 0;
    worker->fd = -1;
    return rc;
}

/* Why the file cannot be opened as asked. */
static int refuse_open(const struct worker *worker, int rc, struct err *err)
{
    if (worker->params->open_as == open_as_noatime && rc == -EPERM)
        return err_set(err, EOPNOTSUPP, "O_NOATIME is for the owner of a file alone");
    if (worker->params->open_as == open_as_direct && rc == -EINVAL)
        return err_set(err, EOPNOTSUPP, "this filesystem has no O_DIRECT");
    return err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc));
}

int descriptor_setup(struct worker *worker, struct err *err)
{
    bool kept = worker->params->descriptor == descriptor_kept;
    if (!kept && worker->params->open_as == open_as_plain)
        return 0;
    int rc = descriptor_open(worker);
    if (rc)
        return refuse_open(worker, rc, err);
    if (worker->params->open_as == open_as_direct)
        rc = direct_check(worker, err);
    if (!kept)
        descriptor_close(worker);
    return rc;
}

void descriptor_teardown(struct worker *worker)
{
    descriptor_close(worker);
}

int descriptor_setup_pieces(struct worker *worker, struct err *err)
{
    worker->own = calloc(worker->params->pieces, sizeof(struct iovec));
    return worker->own ? descriptor_setup(worker, err) : err_set(err, ENOMEM, "no memory for a list of buffers");
}

void descriptor_teardown_pieces(struct worker *worker)
{
    descriptor_close(worker);
    free(worker->own);
    worker->own = NULL;
}

uint64_t descriptor_stretch(const struct params *params)
{
    uint64_t sharers = params->descriptor_of == descriptor_of_crew ? params->workers : 1;
    if (params->descriptor == descriptor_per_pass)
        return UINT64_MAX;
    return params->working_set_bytes / params->block_bytes / sharers;
}

int descriptor_position(struct worker *worker, uint64_t blocks, struct err *err)
{
    const struct params *params = worker->params;
    if (params->descriptor == descriptor_per_pass) {
        worker->cursor = 0;
        return 0;
    }
    if (worker->cursor + blocks * worker->sharers > worker->offset_count)
        worker->cursor = 0;
    if (lseek(worker->fd, (off_t)worker->offsets[worker->cursor], SEEK_SET) < 0)
        return err_sys(err, "lseek %s", worker->target->path);
    return 0;
}
