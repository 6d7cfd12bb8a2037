/* SPDX-License-Identifier: MIT */
/* Reading past the page cache: what O_DIRECT wants aligned, and whether a filesystem really does it. */
#ifndef FAULTLINE_DIRECT_H
#define FAULTLINE_DIRECT_H

#include "method.h"

/*
 * Checks worker->fd, open with O_DIRECT, for the worker's blocks: alignment as statx says it (or, where it says
 * nothing, as trying shows it), then one block is read to see that it comes from storage and stays out of the page
 * cache. -EINVAL with text that names the alignment when blocks or buffers are not whole multiples of it;
 * -EOPNOTSUPP when the filesystem has no direct I/O or silently reads through the page cache.
 */
int direct_check(const struct worker *worker, struct err *err);

#endif
