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

struct making {
    enum memory_file kind;
    char place[4200];
};

/*
 * What memory_file_open is to be given. Removes from /dev/shm what killed runs have left of names, and tries to make
 * one file: -EOPNOTSUPP with text where this machine, or the filesystem, cannot. Nothing is left open.
 */
int making_begin(struct making *making, const struct worker *worker, struct err *err);

/* An empty file of range_bytes, mapped shared at *base. A descriptor, or -errno; *base is NULL then. */
int making_map(const struct making *making, uint64_t bytes, unsigned char **base);

/* Unmaps and closes it. 0 or -errno. */
int making_unmap(int fd, uint64_t bytes, unsigned char *base);

#endif
