/* SPDX-License-Identifier: MIT */
/*
 * Rough rates of the storage below a directory. They differ a hundredfold between machines, and how long a plan takes
 * hangs on them; nothing that is measured does.
 */
#ifndef FAULTLINE_STORAGE_H
#define FAULTLINE_STORAGE_H

#include "params.h"

struct storage {
    double sync_ns;       /* to write one dirty page back and hear that it has arrived (fsync) */
    double write_byte_ns; /* a byte of many that are written and synced together */
    double fetch_ns;      /* to fetch one page from a random place of a file */
    double read_byte_ns;  /* a byte of a file fetched front to back */
    double ahead_bytes;   /* what the kernel reads ahead, and around a fault */
};

/* What storage_look found; the rates of a present-day machine before it was called, and where it could not look. */
const struct storage *storage_rates(void);

/*
 * Looks: writes a nameless file of 4 MiB in the directory, twice, syncs it and reads it back past what is cached. Some
 * 20 ms; where storage is slow it looks at less, once that has taken a tenth of a second.
 */
void storage_look(const char *directory);

/* Bytes that the kernel reads ahead in a cell, and around a fault. */
double storage_ahead_bytes(const struct params *params);

/* Bytes of the page cache's folios by recipe: what a sync writes, and what asking for the state of a file counts. */
uint64_t storage_folio_bytes(const struct params *params);

/* Rough ns to write so many dirty pages of 4 KiB back, side by side or all over the file; 0 where it is but memory. */
double storage_write_back_ns(const struct params *params, double pages, bool scattered);

#endif
