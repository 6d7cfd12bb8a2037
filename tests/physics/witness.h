/* SPDX-License-Identifier: MIT */
/* What can be seen of one worker from outside: what of its file is resident, and the kernel's account of its reads. */
#ifndef FAULTLINE_WITNESS_H
#define FAULTLINE_WITNESS_H

#include "crew_of_one.h"

static inline uint64_t witness_resident(const struct crew_of_one *crew)
{
    return physics_mincore(crew->target.fd, crew->target.file_bytes);
}

/* A number of /proc/thread-self/io by its key, such as "syscr: "; the test is skipped where the kernel keeps none. */
static inline uint64_t witness_account(const char *key)
{
    char text[512];
    FILE *io = fopen("/proc/thread-self/io", "re");
    size_t done = io ? fread(text, 1, sizeof text - 1, io) : 0;
    if (io)
        fclose(io);
    text[done] = '\0';
    const char *line = strstr(text, key);
    if (!line)
        physics_skip("/proc/thread-self/io: the kernel keeps no account of I/O");
    return strtoull(line + strlen(key), NULL, 10);
}

/* Reading system calls of a batch of `blocks`, without those of looking. */
static inline uint64_t witness_read_calls(struct crew_of_one *crew, uint64_t blocks)
{
    uint64_t own = witness_account("syscr: ");
    own = witness_account("syscr: ") - own;
    uint64_t before = witness_account("syscr: ");
    crew_order(crew, WORK_RUN, blocks);
    return witness_account("syscr: ") - before - own;
}

#endif
