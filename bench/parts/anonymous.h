/* SPDX-License-Identifier: MIT */
/* Anonymous memory for the methods that work on no file. */
#ifndef FAULTLINE_ANONYMOUS_H
#define FAULTLINE_ANONYMOUS_H

#include "method.h"

/*
 * Maps `bytes`, rounded up to whole pages, at an address where a huge page could begin, in base pages (or advised to be
 * huge), none of them touched. -errno with text; -EOPNOTSUPP without transparent huge pages where `huge`.
 */
int anonymous_make(unsigned char **base, uint64_t bytes, bool huge, struct err *err);

/* Unmaps what anonymous_make has made; NULL: nothing. */
void anonymous_remove(unsigned char *base, uint64_t bytes);

/* Stores a byte to each page of the leading `bytes`. */
void anonymous_touch(unsigned char *base, uint64_t bytes);

#endif
