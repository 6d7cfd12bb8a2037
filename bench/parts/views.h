/* SPDX-License-Identifier: MIT */
/* A file in memory of which two views are mapped, alias_bytes apart: what the methods about aliases share. */
#ifndef FAULTLINE_VIEWS_H
#define FAULTLINE_VIEWS_H

#include "method.h"
#include "twin.h"

#define VIEWS_USES (FIELD_BIT(alias_bytes) | FIELD_BIT(through))

/*
 * Makes a memfd into worker->fd and maps `bytes` of it twice, worker->own being a struct twin at the beginning of
 * `size` zeroed bytes; with through: copy the second view is of other pages. All pages are there, and
 * base pages. -EOPNOTSUPP with text where the address space has no two places so far apart. End with views_end, also
 * after a failure.
 */
int views_begin(struct worker *worker, size_t bytes, size_t size, struct err *err);
void views_end(struct worker *worker);

#endif
