/* SPDX-License-Identifier: MIT */
/* VMAs that the process has besides those under test. */
#ifndef FAULTLINE_VMAS_H
#define FAULTLINE_VMAS_H

#include <stdint.h>

#include "err.h"

/*
 * Sees to it that this process has `count` more VMAs, of one page each and none of them touched. They are the
 * process's: whoever asks for the same number again shares them. -EOPNOTSUPP with text beyond vm.max_map_count, -EBUSY
 * when another number is held. End each successful call with vmas_release(count).
 */
int vmas_hold(uint64_t count, struct err *err);
void vmas_release(uint64_t count);

#endif
