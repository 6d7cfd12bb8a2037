/* SPDX-License-Identifier: MIT */
/* One or several workers, threads or processes, that carry out the same order at the same time. */
#ifndef FAULTLINE_CREW_H
#define FAULTLINE_CREW_H

#include "work.h"

struct crew;

/*
 * Starts the workers of a cell. A single worker is the calling thread itself: nothing is started and no barrier is
 * waited for. -errno with text. End with crew_stop, also after a failure (then *crew may be NULL).
 */
int crew_start(struct crew **crew, const struct work_cell *cell, struct err *err);
void crew_stop(struct crew *crew);

/*
 * Gives all workers the order and waits until all have carried it out. Returns 0, or the first worker's error with its
 * text; -ECHILD when a worker process died. With WORK_RUN the workers start together: each spins at a barrier until all
 * are there, at most two seconds (-ETIMEDOUT).
 */
int crew_do(struct crew *crew, const struct work_order *order, struct err *err);

/* Answer of worker i to the last order. */
const struct work_answer *crew_answer(const struct crew *crew, unsigned worker);

/* Last finish - first start of the last WORK_RUN, of the workers that are timed. */
uint64_t crew_elapsed_ns(const struct crew *crew);

unsigned crew_size(const struct crew *crew);

#endif
