/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "making.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "target.h"

static const enum memory_file kinds[made_by_count] = {
    [made_by_memfd_create] = MEMORY_FILE_MEMFD,
    [made_by_shm_open] = MEMORY_FILE_SHM,
    [made_by_o_tmpfile] = MEMORY_FILE_UNNAMED,
    [made_by_o_creat] = MEMORY_FILE_NAMED,
};

static const char *directory_of(const struct worker *worker)
{
    return worker->params->made_on == made_on_target ? worker->target->directory : MAKING_SHARED;
}

/* The name is made once: it is free again as soon as the file has been opened. */
static void choose_place(struct making *making, const struct worker *worker)
{
    char name[MEMORY_FILE_NAME_BYTES];
    memory_file_name(name, MAKING_PREFIX);
    making->kind = kinds[worker->params->made_by];
    if (making->kind == MEMORY_FILE_UNNAMED)
        snprintf(making->place, sizeof making->place, "%s", directory_of(worker));
    else if (making->kind == MEMORY_FILE_NAMED)
        snprintf(making->place, sizeof making->place, "%s%s", directory_of(worker), name);
    else
        snprintf(making->place, sizeof making->place, "%s", name);
}

int making_check_room(const char *directory, uint64_t bytes, struct err *err)
{
    struct statvfs space;
    if (statvfs(directory, &space))
        return err_set(err, memory_file_is_unsupported(-errno) ? EOPNOTSUPP : errno, "statvfs %s: %s", directory,
                       strerror(errno));
    uint64_t room = (uint64_t)space.f_bavail * space.f_frsize;
    if (space.f_blocks == 0 || bytes <= room)
        return 0;
    return err_set(err, EOPNOTSUPP, "%s has room for %llu KiB, and %llu KiB are to be stored there", directory,
                   (unsigned long long)(room / KIB), (unsigned long long)(bytes / KIB));
}

int making_begin(struct making *making, const struct worker *worker, struct err *err)
{
    choose_place(making, worker);
    memory_file_sweep(MAKING_SHARED, MAKING_PREFIX);
    int fd = memory_file_open(making->kind, making->place);
    if (fd < 0)
        return err_set(err, memory_file_is_unsupported(fd) ? EOPNOTSUPP : -fd, "a file by %s at %s: %s",
                       field_table[FIELD_made_by].options[worker->params->made_by].spelling, making->place,
                       strerror(-fd));
    if (close(fd))
        return err_sys(err, "close");
    if (making->kind == MEMORY_FILE_MEMFD) /* on a filesystem of the kernel's own, which has no limit */
        return 0;
    return making_check_room(directory_of(worker), worker->params->range_bytes * worker->params->workers, err);
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
