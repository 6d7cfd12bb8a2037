/* SPDX-License-Identifier: MIT */
#include "merging.h"

#include "random.h"

_Static_assert(MERGING_WORDS * sizeof(uint64_t) == MERGING_OBJECT_BYTES, "an object is words");

uint64_t merging_groups(const struct params *params)
{
    return params->working_set_bytes / params->range_bytes / params->spans;
}

uint64_t merging_objects(const struct params *params)
{
    return params->range_bytes / MERGING_OBJECT_BYTES;
}

uint64_t merging_tag(uint64_t group, uint64_t index)
{
    return random_derive(group, index);
}

void merging_store(unsigned char *at, uint64_t group, uint64_t index)
{
    uint64_t *words = (uint64_t *)(void *)at, tag = merging_tag(group, index);
    for (unsigned i = 0; i < MERGING_WORDS; i++)
        words[i] = tag + i;
}

bool merging_is_there(const unsigned char *at, uint64_t group, uint64_t index)
{
    const volatile uint64_t *words = (const volatile uint64_t *)(const void *)at;
    uint64_t tag = merging_tag(group, index);
    bool there = true;
    for (unsigned i = 0; i < MERGING_WORDS; i++)
        there &= words[i] == tag + i;
    return there;
}
