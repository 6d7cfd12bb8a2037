/* SPDX-License-Identifier: MIT */
#include "histogram.h"

unsigned histogram_index(uint64_t value)
{
    if (value < HISTOGRAM_SUB_COUNT)
        return (unsigned)value;
    unsigned exponent = 63U - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return (exponent + 1) * HISTOGRAM_SUB_COUNT + (unsigned)(value >> exponent) - HISTOGRAM_SUB_COUNT;
}

uint64_t histogram_lower(unsigned index)
{
    if (index < HISTOGRAM_SUB_COUNT)
        return index;
    unsigned exponent = index / HISTOGRAM_SUB_COUNT - 1;
    return (uint64_t)(index % HISTOGRAM_SUB_COUNT + HISTOGRAM_SUB_COUNT) << exponent;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}
