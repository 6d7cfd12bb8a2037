/* SPDX-License-Identifier: MIT */
/* What the methods share in which each of several workers adds to a word, and nothing that was added may be missing. */
#ifndef FAULTLINE_ADDING_H
#define FAULTLINE_ADDING_H

#include "shared.h"

/*
 * `count` additions, each by `update`, to the word of this worker: the words lie apart_bytes apart. Its own time ends
 * with the last of them; it goes on, uncounted, until all are done, so that each has the others against it all the
 * time. The first worker then holds the words against what all have added: -EPROTO where something is missing.
 * -ETIMEDOUT where somebody does not come to an end.
 */
int adding_run(struct worker *worker, uint64_t count, enum update update);

int adding_reset(struct worker *worker, uint64_t count, struct err *err);

#endif
