/* SPDX-License-Identifier: MIT */
/*
 * Other processes that map a file and have touched every page of it: whoever takes a page away or cleans it has to find
 * their page table entries too (reverse map). They sleep; they end with the process that started them, however it ends.
 * Each is bound to another CPU than that of whoever starts them, as far as this process may use one, and to its CPU
 * otherwise: what they load comes from its caches, and what it stores to from theirs.
 */
#ifndef FAULTLINE_MAPPER_H
#define FAULTLINE_MAPPER_H

#include <stdint.h>
#include <sys/types.h>

#include "err.h"

struct mappers;

/*
 * `count` processes that look at the leading `bytes` of the file under `fd` as `view` says (enum mapper_view), and have
 * loaded from every page of what they look at. There is one set for a file, count and view in this process: asking for
 * it again, by another arm, gives the same. *out is NULL where none are asked for; the other functions take that as
 * nothing to do. -errno with text. End each with mappers_stop, also after a failure; by the thread that started them,
 * which they are not to outlive.
 */
int mappers_start(struct mappers **out, unsigned count, unsigned view, int fd, uint64_t bytes, struct err *err);
void mappers_stop(struct mappers *mappers);

/* Has each touch every page again. -ECHILD with text when one has died. */
int mappers_touch(struct mappers *mappers, struct err *err);

/*
 * The same after its page table entries for the file are gone, so that it faults on it. Those that cut the file off do
 * it now, and only now: nobody may be at work on it. Neither side sleeps meanwhile, and they stay awake for as long as
 * a store to each of the pages may take.
 */
int mappers_fault(struct mappers *mappers, struct err *err);

/* Process id of the n-th. */
pid_t mappers_process(const struct mappers *mappers, unsigned n);

#endif
