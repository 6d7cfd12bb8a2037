/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "program.h"

#include <link.h>
#include <stdint.h>
#include <unistd.h>

/* One object: the program, a library or the vDSO. What lies between variables may be poisoned for the sanitizer. */
__attribute__((no_sanitize("address"))) static int map_object(struct dl_phdr_info *info, size_t size, void *page_bytes)
{
    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        const volatile char *base = (const volatile char *)(info->dlpi_addr + segment->p_vaddr);
        if (segment->p_type != PT_LOAD || segment->p_flags & PF_W || !(segment->p_flags & PF_R))
            continue;
        for (uint64_t at = 0; at < segment->p_memsz; at += *(const uint64_t *)page_bytes)
            (void)base[at];
    }
    return 0;
}

void program_map(void)
{
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    dl_iterate_phdr(map_object, &page_bytes);
}
