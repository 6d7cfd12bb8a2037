/* SPDX-License-Identifier: MIT */
/*
 * Four ways to a file that has no name and goes when nobody has it open or mapped any more: memory that can be mapped
 * twice, handed to another process as a descriptor, or kept in a file system.
 *
 *     int fd = memory_file_open(MEMORY_FILE_MEMFD, "frames");
 *     ftruncate(fd, bytes);
 *     void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
 */
#ifndef FAULTLINE_MEMORY_FILE_H
#define FAULTLINE_MEMORY_FILE_H

#include <stddef.h>

enum memory_file {
    MEMORY_FILE_MEMFD, /* memfd_create (Linux 3.17, in glibc since 2.27): on no file system; place: what /proc shows */
    MEMORY_FILE_SHM,   /* shm_open and shm_unlink, on /dev/shm; place: "/name" that nobody else uses */
    MEMORY_FILE_UNNAMED, /* O_TMPFILE (Linux 3.11), where the file system has it; place: a directory */
    MEMORY_FILE_NAMED,   /* O_CREAT | O_EXCL and unlink; place: a path that nobody else uses */
};

/*
 * An empty file, open for reading and writing, close-on-exec, for this user alone. It has no name when this returns.
 * The caller closes it. -errno; -EOPNOTSUPP where the file system has no O_TMPFILE; -EEXIST where the name is taken.
 * With SHM and NAMED the file has a name for some microseconds: a process that is killed right then leaves it behind.
 */
int memory_file_open(enum memory_file kind, const char *place);

/*
 * Removes what killed processes of this user have left of such names: regular files in `directory` whose names begin
 * with `prefix` and that are older than ten seconds, when a name lives for microseconds. How many, or -errno.
 */
int memory_file_sweep(const char *directory, const char *prefix);

#endif
