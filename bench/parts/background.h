/* SPDX-License-Identifier: MIT */
/* What workers do beside two that are timed: they use the memory's bandwidth, or sleep (params->background). */
#ifndef FAULTLINE_BACKGROUND_H
#define FAULTLINE_BACKGROUND_H

#include "method.h"

#define BACKGROUND_BYTES (64 * MIB) /* of each: more than its share of any cache */

/* Fills memory of its own. -ENOMEM with text. */
int background_setup(struct worker *worker, struct err *err);
void background_teardown(struct worker *worker);

/* Goes on until the first two workers are done. -ETIMEDOUT when they no longer get on. */
int background_run(struct worker *worker);

/*
 * Around the work of the two: background_fault says, to the first of them, why the batch does not count (static text)
 * when some worker of the background has stood still meanwhile; else NULL. Batches too short to tell are not judged.
 */
void background_begin(struct worker *worker);
const char *background_fault(const struct worker *worker);

#endif
