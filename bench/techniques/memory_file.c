/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "memory_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LEFT_OVER_S = 10 };

static int or_errno(int fd)
{
    return fd < 0 ? -errno : fd;
}

/* Whatever has removed the name meanwhile: a file that keeps one is not what was asked for. */
static int without_name(int fd, int removed)
{
    if (fd < 0 || removed == 0)
        return or_errno(fd);
    int rc = -errno;
    close(fd);
    return rc;
}

static int open_shm(const char *name)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR); /* sets FD_CLOEXEC by itself */
    return without_name(fd, fd < 0 ? 0 : shm_unlink(name));
}

static int open_named(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    return without_name(fd, fd < 0 ? 0 : unlink(path));
}

/* A kernel or a file system without O_TMPFILE takes the directory for what is to be written to: EISDIR. */
static int open_unnamed(const char *directory)
{
    int fd = open(directory, O_RDWR | O_TMPFILE | O_CLOEXEC, S_IRUSR | S_IWUSR);
    return fd < 0 && errno == EISDIR ? -EOPNOTSUPP : or_errno(fd);
}

int memory_file_open(enum memory_file kind, const char *place)
{
    switch (kind) {
    case MEMORY_FILE_MEMFD:
        return or_errno(memfd_create(place, MFD_CLOEXEC));
    case MEMORY_FILE_SHM:
        return open_shm(place);
    case MEMORY_FILE_UNNAMED:
        return open_unnamed(place);
    case MEMORY_FILE_NAMED:
        return open_named(place);
    }
    return -EINVAL;
}

bool memory_file_is_unsupported(int rc)
{
    return rc == -ENOSYS || rc == -EOPNOTSUPP || rc == -ENOENT || rc == -EPERM || rc == -EACCES || rc == -EROFS;
}

void memory_file_name(char *name, const char *prefix)
{
    static unsigned number; /* for two names of one moment */
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    unsigned long long ns = (unsigned long long)now.tv_sec * 1000000000 + (unsigned long long)now.tv_nsec;
    snprintf(name, MEMORY_FILE_NAME_BYTES, "/%.24s%x-%llx-%x", prefix, (unsigned)getpid(), ns,
             __atomic_fetch_add(&number, 1, __ATOMIC_RELAXED));
}

static int is_left_over(int directory, const char *name)
{
    struct stat status;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
           status.st_uid == geteuid() && status.st_mtim.tv_sec + LEFT_OVER_S < now.tv_sec;
}

int memory_file_sweep(const char *directory, const char *prefix)
{
    int count = 0;
    DIR *folder = opendir(directory);
    if (!folder)
        return -errno;
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 && is_left_over(dirfd(folder), entry->d_name))
            count += unlinkat(dirfd(folder), entry->d_name, 0) == 0;
    closedir(folder);
    return count;
}
