/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "making.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "target.h"

#define SHARED_MEMORY "/dev/shm"

static const enum memory_file kinds[made_by_count] = {
    [made_by_memfd_create] = MEMORY_FILE_MEMFD,
    [made_by_shm_open] = MEMORY_FILE_SHM,
    [made_by_o_tmpfile] = MEMORY_FILE_UNNAMED,
    [made_by_o_creat] = MEMORY_FILE_NAMED,
};

static const char *directory_of(const struct worker *worker)
{
    return worker->params->made_on == made_on_target ? worker->target->directory : SHARED_MEMORY;
}

/* The name is made once: it is free again as soon as the file has been opened. */
static void choose_place(struct making *making, const struct worker *worker)
{
    char name[64];
    snprintf(name, sizeof name, MAKING_PREFIX "%x-%llx", (unsigned)getpid(), (unsigned long long)clock_now_ns());
    making->kind = kinds[worker->params->made_by];
    if (making->kind == MEMORY_FILE_UNNAMED)
        snprintf(making->place, sizeof making->place, "%s", directory_of(worker));
    else if (making->kind == MEMORY_FILE_NAMED)
        snprintf(making->place, sizeof making->place, "%s/%s", directory_of(worker), name);
    else
        snprintf(making->place, sizeof making->place, "/%s", name);
}

int making_begin(struct making *making, const struct worker *worker, struct err *err)
{
    choose_place(making, worker);
    memory_file_sweep(SHARED_MEMORY, MAKING_PREFIX);
    int fd = memory_file_open(making->kind, making->place);
    if (fd >= 0)
        return close(fd) ? err_sys(err, "close") : 0;
    bool lacks = fd == -EOPNOTSUPP || fd == -ENOSYS || fd == -ENOENT; /* ENOENT: no /dev/shm */
    return err_set(err, lacks ? EOPNOTSUPP : -fd, "a file by %s at %s: %s",
                   field_table[FIELD_made_by].options[worker->params->made_by].spelling, making->place, strerror(-fd));
}

int making_map(const struct making *making, uint64_t bytes, unsigned char **base)
{
    *base = NULL;
    int fd = memory_file_open(making->kind, making->place);
    if (fd < 0)
        return fd;
    void *at = ftruncate(fd, (off_t)bytes) ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        int code = errno;
        close(fd);
        return -code;
    }
    *base = at;
    return fd;
}

int making_unmap(int fd, uint64_t bytes, unsigned char *base)
{
    int rc = base && munmap(base, bytes) ? -errno : 0;
    if (fd >= 0 && close(fd) && rc == 0)
        rc = -errno;
    return rc;
}
