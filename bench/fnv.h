/* SPDX-License-Identifier: MIT */
/* FNV-1a, 64 bits: tells texts apart that nobody makes collide on purpose. */
#ifndef FAULTLINE_FNV_H
#define FAULTLINE_FNV_H

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define FNV_START UINT64_C(0xcbf29ce484222325)

enum { FNV_TEXT_SIZE = 17 }; /* 16 hexadecimal digits */

/* The hash of what `hash` covers already and then of [count] bytes; begin with FNV_START. */
static inline uint64_t fnv_add(uint64_t hash, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static inline void fnv_text(uint64_t hash, char text[FNV_TEXT_SIZE])
{
    snprintf(text, FNV_TEXT_SIZE, "%016" PRIx64, hash);
}

#endif
