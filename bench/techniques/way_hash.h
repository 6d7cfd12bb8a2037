/* SPDX-License-Identifier: MIT */
/*
 * The hash of linear address bits that AMD's Zen keeps beside each line of its first-level data cache to predict the
 * way (utag): bit 12 xor 27, 13 xor 26, 14 xor 25, 15 xor 20, 16 xor 21, 17 xor 22, 18 xor 23, 19 xor 24. One line that
 * is reached through two addresses whose hashes differ is guessed wrong each time it was last used through the other:
 * 20 cycles instead of 4. Published for Zen to Zen 2 by Lipp et al., "Take A Way" (AsiaCCS 2020), figure 3; found to
 * hold on Zen 4 too, by timing loads.
 *
 *     if (way_hash((uintptr_t)one) != way_hash((uintptr_t)other)) …
 */
#ifndef FAULTLINE_WAY_HASH_H
#define FAULTLINE_WAY_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Addresses that are a multiple of this apart have equal hashes. */
#define WAY_HASH_SPAN ((size_t)1 << 28)

/* Eight bits. Equal for all bytes of a page of 4 KiB. */
unsigned way_hash(uintptr_t address);

/* Whether this CPU is of the AMD families that are known to have it (17h, 19h: Zen to Zen 4). */
bool way_hash_is_used(void);

#endif
