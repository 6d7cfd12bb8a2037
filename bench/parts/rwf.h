/* SPDX-License-Identifier: MIT */
/* The flags of preadv2: what they are called in the kernel, and whether a file takes them. */
#ifndef FAULTLINE_RWF_H
#define FAULTLINE_RWF_H

#include "err.h"
#include "params.h"

struct target;

/* RWF_… of a value of the field rwf. */
int rwf_flags(enum rwf rwf);

/*
 * Whether the target's filesystem and this kernel take the flag: found by a read behind the end of the file, which
 * brings nothing and starts no readahead. 0; -EOPNOTSUPP with text.
 */
int rwf_try(const struct target *target, enum rwf rwf, struct err *err);

#endif
