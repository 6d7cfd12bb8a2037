/* SPDX-License-Identifier: MIT */
#include "objects.h"

uint64_t objects_step(const struct params *params, uint64_t page_bytes)
{
    const uint64_t header = 8, step = 16, least = 32;
    uint64_t bytes = (params->object_bytes + header + step - 1) / step * step;
    if (params->objects == objects_page_spread)
        return page_bytes;
    return bytes < least ? least : bytes;
}

/* 1e-6: a decimal share is seldom exact in binary. */
uint64_t objects_written(const struct params *params)
{
    uint64_t count = (uint64_t)((double)OBJECTS_COUNT * params->written_share + 1e-6);
    return count < 1 ? 1 : count < OBJECTS_COUNT ? count : OBJECTS_COUNT;
}

uint64_t objects_offset(const struct params *params, uint64_t page_bytes, uint64_t i)
{
    return i * OBJECTS_COUNT / objects_written(params) * objects_step(params, page_bytes);
}
