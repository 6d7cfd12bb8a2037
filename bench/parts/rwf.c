/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "rwf.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "target.h"

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80 /* Linux 6.14 */
#endif

int rwf_flags(enum rwf rwf)
{
    static const int flags[] = {[rwf_none] = 0, [rwf_nowait] = RWF_NOWAIT, [rwf_dontcache] = RWF_DONTCACHE};
    return flags[rwf];
}

int rwf_try(const struct target *target, enum rwf rwf, struct err *err)
{
    static const char *const names[] = {
        [rwf_none] = "preadv2", [rwf_nowait] = "RWF_NOWAIT", [rwf_dontcache] = "RWF_DONTCACHE"};
    enum { BEHIND = 1 << 20 }; /* the user's own file may be growing */
    char byte;
    struct iovec piece = {&byte, 1};
    if (preadv2(target->fd, &piece, 1, (off_t)target->file_bytes + BEHIND, rwf_flags(rwf)) >= 0)
        return 0;
    bool refused = errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS || errno == EPERM;
    return err_set(err, refused ? EOPNOTSUPP : errno, "this filesystem or kernel has no %s (preadv2: %s)", names[rwf],
                   strerror(errno));
}
