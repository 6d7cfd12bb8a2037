/* SPDX-License-Identifier: MIT */
/* On which NUMA node the pages lie that two workers meet on: decided by who touches them first (params->home). */
#ifndef FAULTLINE_HOME_H
#define FAULTLINE_HOME_H

#include "method.h"

/*
 * For the reset of each of the first two workers, after shared_setup: gives the pages of the first half of the working
 * set back, lets the home touch fresh ones first and then the other, and sees where they lie (move_pages(2)). Nothing
 * of that with home: any, but a touch. -EOPNOTSUPP with text where there is no third node, or where pages cannot be
 * asked for; -ENXIO where they lie elsewhere; -ETIMEDOUT when the other does not come.
 */
int home_refresh(struct worker *worker, struct err *err);

#endif
