/* SPDX-License-Identifier: MIT */
/* Giving a range of a file mapping back and loading from it again, for the methods that do it on different mappings. */
#ifndef FAULTLINE_DISCARD_H
#define FAULTLINE_DISCARD_H

#include "method.h"

/* Opens the file and maps its leading range_bytes, shared, at worker->base. */
int discard_begin(struct worker *worker, struct err *err);
int discard_each(struct worker *worker, uint64_t blocks);
void discard_end(struct worker *worker);
uint64_t discard_ns(const struct params *params);

#endif
