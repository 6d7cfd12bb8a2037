/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "anonymous.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hugepage.h"

static uint64_t whole_pages(uint64_t bytes)
{
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    return (bytes + page_bytes - 1) / page_bytes * page_bytes;
}

int anonymous_make(unsigned char **base, uint64_t bytes, bool huge, struct err *err)
{
    uint64_t alignment = huge_page_bytes(), length = whole_pages(bytes);
    unsigned char *room = mmap(NULL, length + alignment, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    *base = NULL;
    if (room == MAP_FAILED)
        return err_sys(err, "no memory of %" PRIu64 " bytes", length);
    uint64_t lead = (alignment - (uint64_t)(uintptr_t)room % alignment) % alignment;
    if (lead)
        munmap(room, lead);
    if (lead < alignment)
        munmap(room + lead + length, alignment - lead);
    *base = room + lead;
    if (madvise(*base, length, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) && (huge || errno != EINVAL))
        return err_set(err, EOPNOTSUPP, "this kernel has no transparent huge pages");
    return 0;
}

void anonymous_remove(unsigned char *base, uint64_t bytes)
{
    if (base)
        munmap(base, whole_pages(bytes));
}

void anonymous_touch(unsigned char *base, uint64_t bytes)
{
    for (uint64_t at = 0, step = (uint64_t)sysconf(_SC_PAGESIZE); at < bytes; at += step)
        *(volatile unsigned char *)(base + at) = 1;
}
