/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "vma_room.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static int count_lines(const char *path, uint64_t *lines)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    *lines = 0;
    for (int c; (c = getc(file)) != EOF;)
        *lines += c == '\n';
    fclose(file);
    return 0;
}

static int read_number(const char *path, uint64_t *number)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    int found = fscanf(file, "%" SCNu64, number);
    fclose(file);
    return found == 1 ? 0 : -ENODATA;
}

int vma_room_read(struct vma_room *room)
{
    int rc = read_number("/proc/sys/vm/max_map_count", &room->limit);
    return rc ? rc : count_lines("/proc/self/maps", &room->vmas);
}

bool vma_room_has(const struct vma_room *room, uint64_t more)
{
    return room->vmas <= room->limit && more <= room->limit - room->vmas;
}
