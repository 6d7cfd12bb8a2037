/* SPDX-License-Identifier: MIT */
/*
 * preads FILE COUNT: so many preads of 4 KiB at random places of the file, and nothing else: a program for tools that
 * time whole programs. 0; 1 with a line on standard error.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 4096 };

static int complain(const char *what)
{
    fprintf(stderr, "preads: %s: %s\n", what, strerror(errno));
    return 1;
}

int main(int count, char **words)
{
    static unsigned char block[BLOCK];
    struct stat status;
    if (count != 3) {
        fprintf(stderr, "usage: preads FILE COUNT\n");
        return 1;
    }
    int fd = open(words[1], O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status))
        return complain(words[1]);
    if (status.st_size < BLOCK) {
        fprintf(stderr, "preads: %s: shorter than a block\n", words[1]);
        return 1;
    }
    uint64_t blocks = (uint64_t)status.st_size / BLOCK, state = 88172645463325252u;
    for (uint64_t left = strtoull(words[2], NULL, 10); left; left--) {
        state ^= state << 13; /* xorshift64: Marsaglia, Journal of Statistical Software 8 (2003) */
        state ^= state >> 7;
        state ^= state << 17;
        if (pread(fd, block, BLOCK, (off_t)(state % blocks * BLOCK)) != BLOCK)
            return complain("pread");
    }
    close(fd);
    return 0;
}
