/* SPDX-License-Identifier: MIT */
#include "smaps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void add_line(const char *line, struct smaps *found)
{
    const struct {
        const char *format;
        uint64_t *bytes;
    } keys[] = {
        {"Rss: %" SCNu64, &found->rss},
        {"Anonymous: %" SCNu64, &found->anonymous},
        {"AnonHugePages: %" SCNu64, &found->huge},
        {"Private_Hugetlb: %" SCNu64, &found->hugetlb},
        {"ShmemPmdMapped: %" SCNu64, &found->huge_of_files},
        {"FilePmdMapped: %" SCNu64, &found->huge_of_files},
    };
    uint64_t kib;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (sscanf(line, keys[i].format, &kib) == 1)
            *keys[i].bytes += kib * KIB;
}

/* Whether it reaches into any of the ranges; *beyond: all of them end before it. */
static bool overlaps(uint64_t start, uint64_t end, const struct smaps_range *ranges, size_t count, bool *beyond)
{
    bool any = false;
    *beyond = true;
    for (size_t i = 0; i < count; i++) {
        uint64_t from = (uint64_t)(uintptr_t)ranges[i].base, to = from + ranges[i].bytes;
        any |= start < to && from < end;
        *beyond &= start >= to;
    }
    return any;
}

/*
 * The first line of a VMA, unlike those below it, begins with a range: two numbers with nothing but a dash between.
 * VMAs come by address and the kernel walks the page tables of each as it is read: what lies beyond is left unread.
 */
bool smaps_read_ranges(const struct smaps_range *ranges, size_t count, struct smaps *found)
{
    char line[256];
    uint64_t start, end;
    bool inside = false, any = false, beyond = false;
    FILE *file = fopen("/proc/self/smaps", "re");
    *found = (struct smaps){0};
    while (file && !beyond && fgets(line, sizeof line, file)) {
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &start, &end) == 2)
            any |= inside = overlaps(start, end, ranges, count, &beyond);
        else if (inside)
            add_line(line, found);
    }
    if (file)
        fclose(file);
    return any;
}

bool smaps_read(const void *base, size_t bytes, struct smaps *found)
{
    return smaps_read_ranges(&(struct smaps_range){base, bytes}, 1, found);
}

int smaps_check_pages(const struct worker *worker, struct err *err)
{
    const struct params *params = worker->params;
    struct smaps found;
    if (params->sharing != sharing_anonymous || params->pages == pages_hugetlb || !worker->base ||
        !smaps_read(worker->base, worker->base_bytes, &found))
        return 0;
    if (params->pages == pages_small && found.huge)
        return err_set(err, EOPNOTSUPP, "the kernel gave %" PRIu64 " KiB in huge pages where base pages were asked for",
                       found.huge / KIB);
    if (params->pages == pages_thp && found.huge < found.anonymous)
        return err_set(err, EOPNOTSUPP,
                       "the kernel gave %" PRIu64 " of %" PRIu64 " KiB stored to in transparent huge pages",
                       found.huge / KIB, found.anonymous / KIB);
    return 0;
}

int smaps_check_small(const void *base, size_t bytes, struct err *err)
{
    struct smaps found;
    uint64_t huge = smaps_read(base, bytes, &found) ? found.huge + found.huge_of_files : 0;
    return huge ? err_set(err, EOPNOTSUPP, "the kernel gave %" PRIu64 " KiB in huge pages where none are wanted",
                          huge / KIB)
                : 0;
}
