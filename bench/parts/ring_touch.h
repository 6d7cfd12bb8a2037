/* SPDX-License-Identifier: MIT */
/* The first touch of each page of a mirrored ring that is made anew before each batch, through one of its views. */
#ifndef FAULTLINE_RING_TOUCH_H
#define FAULTLINE_RING_TOUCH_H

#include "method.h"

/* Pages of a ring. */
uint64_t ring_touch_pages(const struct params *params);

/* One operation a batch: each ring is touched once. The first fault may do the others' work, so none of them is timed
 * alone. */
uint64_t ring_touch_limit(const struct params *params);

int ring_touch_setup(struct worker *worker, struct err *err);
void ring_touch_teardown(struct worker *worker);

/* Makes the ring anew; with `stored` each of its pages is stored to through the first view. -errno with text. */
int ring_touch_renew(struct worker *worker, bool stored, struct err *err);

/* Loads from, or stores to, each page of a view, 0 or 1, as params->access says. */
void ring_touch_view(struct worker *worker, unsigned view);

#endif
