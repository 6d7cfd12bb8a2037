/* SPDX-License-Identifier: MIT */
/*
 * How wide the interval of a ratio is so far: consulted only to decide when to stop and what to show meanwhile.
 * Everything that is concluded from records is concluded in Python; golden data hold the two equal.
 */
#ifndef FAULTLINE_PRECISION_H
#define FAULTLINE_PRECISION_H

#include <stdbool.h>

#include <jansson.h>

enum { PRECISION_TRIALS_MAX = 64, PRECISION_TRIALS_MIN = 6 /* fewer have no 95 % signed-rank interval */ };

struct precision_interval {
    double estimate;  /* Hodges-Lehmann: median of the Walsh averages */
    double low, high; /* exact two-sided 95 % Wilcoxon signed-rank interval */
    bool is_bounded;  /* false: too few trials, low and high mean nothing */
};

/*
 * Estimate and interval over trials; values[count], 1 <= count <= PRECISION_TRIALS_MAX.
 * Source: Hollander, Wolfe, Chicken, Nonparametric Statistical Methods, 3.2 and 3.3.
 */
struct precision_interval precision_of(const double *values, unsigned count);

/*
 * Log ratio (arm / baseline, per operation) of one record: the mean of two medians, over the rounds in which the arm
 * ran before the baseline and over those in which it ran after it. False when an arm did not end well or one kind of
 * round is missing.
 */
bool precision_log_ratio(const json_t *record, unsigned arm, double *log_ratio);

/* FASTER, SLOWER, SAME or CANNOT TELL as it looks so far; static text. `delta` as in the scenario. */
const char *precision_word(const struct precision_interval *interval, double delta);

#endif
