/* SPDX-License-Identifier: MIT */
/* Where the objects lie that object_write stores to: what an allocator decides. */
#ifndef FAULTLINE_OBJECTS_H
#define FAULTLINE_OBJECTS_H

#include "params.h"

enum { OBJECTS_COUNT = 512 };

/*
 * From one object to the next: a page, or what malloc of glibc takes for one of object_bytes on 64-bit machines: 8
 * bytes more, in steps of 16, 32 at least (malloc/malloc.c request2size).
 */
uint64_t objects_step(const struct params *params, uint64_t page_bytes);

/* How many of them are written to, 1 at least, and where the i-th of those begins. They are spread evenly. */
uint64_t objects_written(const struct params *params);
uint64_t objects_offset(const struct params *params, uint64_t page_bytes, uint64_t i);

#endif
