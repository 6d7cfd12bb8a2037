/* SPDX-License-Identifier: MIT */
/* Rows of /proc/interrupts. */
#ifndef FAULTLINE_INTERRUPTS_H
#define FAULTLINE_INTERRUPTS_H

#include <stdint.h>

/*
 * Sum over all CPUs of the row that begins with `label` ("TLB"), read anew from a descriptor of /proc/interrupts or a
 * file like it. UINT64_MAX when there is no such row (it is x86 that counts "TLB") or fd is -1. Allocates nothing: the
 * file grows with the number of CPUs.
 */
uint64_t interrupts_sum(int fd, const char *label);

#endif
