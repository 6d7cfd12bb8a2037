/* SPDX-License-Identifier: MIT */
/*
 * Groups of sparse spans for the methods that make one of each: objects of a line, which fill a span between them, each
 * in the span whose turn it is. Objects are words that tell where they are, so that any reader can verify them.
 */
#ifndef FAULTLINE_MERGING_H
#define FAULTLINE_MERGING_H

#include <stdbool.h>

#include "method.h"

enum { MERGING_OBJECT_BYTES = 64, MERGING_WORDS = 8 };

#define MERGING_USES (FIELD_BIT(range_bytes) | FIELD_BIT(spans))

/* Groups that lie in the working set: as many operations a batch. */
uint64_t merging_groups(const struct params *params);

/* Objects in a group: a span's worth. Object i lies in the group's span i % spans, at i * MERGING_OBJECT_BYTES. */
uint64_t merging_objects(const struct params *params);

/* The first word of an object, the others count on from it. */
uint64_t merging_tag(uint64_t group, uint64_t index);

/* Stores an object, and whether it is there. `group` and `index` say which. */
void merging_store(unsigned char *at, uint64_t group, uint64_t index);
bool merging_is_there(const unsigned char *at, uint64_t group, uint64_t index);

#endif
