/* SPDX-License-Identifier: MIT */
/* Taking a cache line out of every cache, where a program may. */
#ifndef FAULTLINE_FLUSH_H
#define FAULTLINE_FLUSH_H

#include <stdbool.h>

#if defined(__x86_64__) || defined(__aarch64__) || defined(__powerpc64__)
enum { FLUSH_IS_POSSIBLE = true };
#else
enum { FLUSH_IS_POSSIBLE = false };
#endif

/* Writes the line back and drops it from all caches of the machine; in force after flush_wait. */
static inline void flush_line(const void *address)
{
#if defined(__x86_64__)
    __asm__ volatile("clflush (%0)" : : "r"(address) : "memory");
#elif defined(__aarch64__)
    __asm__ volatile("dc civac, %0" : : "r"(address) : "memory");
#elif defined(__powerpc64__)
    __asm__ volatile("dcbf 0, %0" : : "r"(address) : "memory");
#else
    (void)address;
#endif
}

static inline void flush_wait(void)
{
#if defined(__x86_64__)
    __asm__ volatile("mfence" : : : "memory");
#elif defined(__aarch64__)
    __asm__ volatile("dsb sy" : : : "memory");
#elif defined(__powerpc64__)
    __asm__ volatile("sync" : : : "memory");
#endif
}

#endif
