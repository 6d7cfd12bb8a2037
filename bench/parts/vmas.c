/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "vmas.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct {
    unsigned char *base;
    uint64_t count;
    unsigned users;
} held;
static pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER;

/*
 * One mapping whose pages have alternating protections is one VMA a page. It is shared memory: private anonymous VMAs
 * would merge with whatever lies beside them.
 */
static int make(uint64_t count, struct err *err)
{
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE), bytes = count * page_bytes;
    held.base = mmap(NULL, bytes, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (held.base == MAP_FAILED)
        return err_sys(err, "map %" PRIu64 " pages", count);
    madvise(held.base, bytes, MADV_DONTFORK); /* a child has enough to do without them */
    for (uint64_t at = page_bytes; at < bytes; at += 2 * page_bytes)
        if (mprotect(held.base + at, page_bytes, PROT_READ)) {
            int code = errno == ENOMEM ? EOPNOTSUPP : errno; /* ENOMEM: more than vm.max_map_count */
            err_set(err, code, "%" PRIu64 " VMAs: %s at %" PRIu64 " (vm.max_map_count)", count, strerror(errno),
                    at / page_bytes);
            munmap(held.base, bytes);
            return -code;
        }
    return 0;
}

int vmas_hold(uint64_t count, struct err *err)
{
    int rc = 0;
    if (count == 0)
        return 0;
    pthread_mutex_lock(&held_lock);
    if (held.users && held.count != count)
        rc = err_set(err, EBUSY, "%" PRIu64 " VMAs were asked for while %" PRIu64 " are held", count, held.count);
    else if (held.users == 0)
        rc = make(count, err);
    if (rc == 0) {
        held.count = count;
        held.users++;
    }
    pthread_mutex_unlock(&held_lock);
    return rc;
}

void vmas_release(uint64_t count)
{
    if (count == 0)
        return;
    pthread_mutex_lock(&held_lock);
    if (--held.users == 0)
        munmap(held.base, count * (uint64_t)sysconf(_SC_PAGESIZE));
    pthread_mutex_unlock(&held_lock);
}
