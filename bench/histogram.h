/* SPDX-License-Identifier: MIT */
/*
 * A log-linear histogram of nanoseconds: values below 128 each have a bucket, above it every octave has 128 of equal
 * width, so a bucket is at most 1/128 (0.8 %) of its lower bound wide. Two histograms merge by adding their buckets.
 */
#ifndef FAULTLINE_HISTOGRAM_H
#define FAULTLINE_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_SUB_BITS = 7,
    HISTOGRAM_SUB_COUNT = 1 << HISTOGRAM_SUB_BITS,
    HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS + 1) * HISTOGRAM_SUB_COUNT, /* any 64-bit value has one */
};

struct histogram {
    uint64_t count;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Bucket of a value. */
unsigned histogram_index(uint64_t value);

/* Smallest value of a bucket. */
uint64_t histogram_lower(unsigned index);

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->count++;
    histogram->buckets[histogram_index(value)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from);

#endif
