/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "hugepage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "params.h"
#include "sysfile.h"

static uint64_t read_huge(void)
{
    struct err err;
    int64_t bytes = 0;
    int rc = sysfile_number(&bytes, &err, "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
    return rc == 0 && bytes > 0 ? (uint64_t)bytes : 2 * MIB;
}

static uint64_t read_hugetlb(void)
{
    char line[128];
    uint64_t kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Hugepagesize: %" SCNu64, &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib ? kib * KIB : 2 * MIB;
}

/* Looked up once: a file is read for it, and who maps memory within the clock asks too. Two threads find the same. */
static uint64_t look_once(_Atomic uint64_t *known, uint64_t (*look)(void))
{
    uint64_t bytes = atomic_load_explicit(known, memory_order_relaxed);
    if (bytes == 0) {
        bytes = look();
        atomic_store_explicit(known, bytes, memory_order_relaxed);
    }
    return bytes;
}

int hugepage_avoid(void *base, size_t bytes)
{
    return madvise(base, bytes, MADV_NOHUGEPAGE) && errno != EINVAL ? -errno : 0;
}

bool hugepage_ban(bool banned)
{
    int before = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
    if (before >= 0 && before != (int)banned)
        prctl(PR_SET_THP_DISABLE, banned, 0, 0, 0);
    return before > 0;
}

uint64_t huge_page_bytes(void)
{
    static _Atomic uint64_t known;
    return look_once(&known, read_huge);
}

uint64_t hugetlb_page_bytes(void)
{
    static _Atomic uint64_t known;
    return look_once(&known, read_hugetlb);
}
