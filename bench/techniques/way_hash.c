/* SPDX-License-Identifier: MIT */
#include "way_hash.h"

/* Bits 12 to 14 have theirs among 27 to 25, in reverse; from 15 on they are 20 to 24, in order. */
unsigned way_hash(uintptr_t address)
{
    unsigned low = (unsigned)(address >> 12), high = (unsigned)(address >> 20);
    unsigned reversed = (high >> 7 & 1) | (high >> 5 & 2) | (high >> 3 & 4);
    return (low ^ high << 3 ^ reversed) & 0xff;
}

bool way_hash_is_used(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_is("amdfam17h") || __builtin_cpu_is("amdfam19h");
#else
    return false;
#endif
}
