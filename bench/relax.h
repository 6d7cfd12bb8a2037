/* SPDX-License-Identifier: MIT */
/* A hint to the processor that the calling thread waits in vain; one that is emulated runs another CPU meanwhile. */
#ifndef FAULTLINE_RELAX_H
#define FAULTLINE_RELAX_H

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#elif defined(__powerpc__)
    __asm__ volatile("or 27,27,27");
#endif
}

#endif
