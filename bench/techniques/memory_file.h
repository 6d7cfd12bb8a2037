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

#include <stdbool.h>

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
 * Whether an error of memory_file_open says that there are no such files here, whatever the place: the kernel or the
 * file system has none (ENOSYS, EOPNOTSUPP), there is no /dev/shm (ENOENT), or it is not for this user (EPERM, EACCES,
 * EROFS).
 */
bool memory_file_is_unsupported(int rc);

/*
 * A name that nobody else uses, for SHM, and behind a directory for NAMED: "/", the leading 24 bytes of `prefix`, this
 * process and the time, in name[MEMORY_FILE_NAME_BYTES]. It is free again when memory_file_open has returned, so one
 * name does for many files, one after the other.
 */
enum { MEMORY_FILE_NAME_BYTES = 72 };
void memory_file_name(char *name, const char *prefix);

/*
 * Removes what killed processes of this user have left of such names: regular files in `directory` whose names begin
 * with `prefix` and that are older than ten seconds, when a name lives for microseconds. How many, or -errno.
 */
int memory_file_sweep(const char *directory, const char *prefix);

#endif
