/* SPDX-License-Identifier: MIT */
/*
 * Files that methods make, as made_by and made_on say. Names that a killed run has left on /dev/shm the next one
 * sweeps; those beside the target go with that run's folder (workdir.h), or with the filesystem made for it.
 */
#ifndef FAULTLINE_MAKING_H
#define FAULTLINE_MAKING_H

#include "memory_file.h"
#include "method.h"

#define MAKING_USES (FIELD_BIT(range_bytes) | FIELD_BIT(made_by) | FIELD_BIT(made_on))
#define MAKING_PREFIX "faultline-memory-" /* of names that live for microseconds */
#define MAKING_SHARED "/dev/shm"

struct making {
    enum memory_file kind;
    char place[4200];
};

/*
 * What memory_file_open is to be given. Removes from /dev/shm what killed runs have left of names, and tries to make
 * one file: -EOPNOTSUPP with text where this machine, or the filesystem, cannot, or has no room for those of all
 * workers. Nothing is left open.
 */
int making_begin(struct making *making, const struct worker *worker, struct err *err);

/*
 * Whether a filesystem has room for so much: where it is full a store to a mapped page is a signal. -EOPNOTSUPP with
 * both figures; a tmpfs without a limit has room.
 */
int making_check_room(const char *directory, uint64_t bytes, struct err *err);

/* An empty file of range_bytes, mapped shared at *base. A descriptor, or -errno; *base is NULL then. */
int making_map(const struct making *making, uint64_t bytes, unsigned char **base);

/* Unmaps and closes it. 0 or -errno. */
int making_unmap(int fd, uint64_t bytes, unsigned char *base);

#endif
