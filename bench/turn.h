/* SPDX-License-Identifier: MIT */
/*
 * Turn passing: two programs on one CPU measure alternately, a round each, so that their rounds lie fractions of a
 * millisecond apart. A byte is read from one pipe before each round (the side that starts skips the first) and one is
 * written to the other pipe after it. Any program that keeps to this can be the other side.
 */
#ifndef FAULTLINE_TURN_H
#define FAULTLINE_TURN_H

#include <stdbool.h>

#include "err.h"

struct turn {
    int read_fd, write_fd; /* -1: no turns are passed */
    bool starts;
    unsigned wait_s; /* for the other side's round, which may have to make its file first; 0: 30 s */
};

/* Waits for the turn. 0, -EPIPE when the other side has gone, -ETIMEDOUT. */
int turn_take(struct turn *turn, struct err *err);

/* Passes it on. 0 or -EPIPE. */
int turn_give(const struct turn *turn, struct err *err);

#endif
