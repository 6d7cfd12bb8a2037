/* SPDX-License-Identifier: MIT */
#include "hugepage.h"

#include "params.h"
#include "sysfile.h"

uint64_t huge_page_bytes(void)
{
    struct err err;
    int64_t bytes = 0;
    int rc = sysfile_number(&bytes, &err, "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
    return rc == 0 && bytes > 0 ? (uint64_t)bytes : 2 * MIB;
}
