/* SPDX-License-Identifier: MIT */
#include "precision.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Sorts its argument. */
static double median_of(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, compare_double);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* Largest c with P(T+ < c) <= 2.5 % for the signed-rank sum T+ of `count` trials; 0 when there is none. */
static unsigned critical_rank(unsigned count)
{
    enum { SUM_MAX = PRECISION_TRIALS_MAX * (PRECISION_TRIALS_MAX + 1) / 2 };
    static const double tail = 0.025;
    double probability[SUM_MAX + 1] = {1};
    unsigned top = 0;
    for (unsigned rank = 1; rank <= count; rank++) {
        top += rank;
        for (unsigned sum = top + 1; sum-- > 0;)
            probability[sum] = (probability[sum] + (sum >= rank ? probability[sum - rank] : 0)) / 2;
    }
    double below = 0;
    unsigned critical = 0;
    while (critical <= top && below + probability[critical] <= tail)
        below += probability[critical++];
    return critical;
}

struct precision_interval precision_of(const double *values, unsigned count)
{
    enum { WALSH_MAX = PRECISION_TRIALS_MAX * (PRECISION_TRIALS_MAX + 1) / 2 };
    double walsh[WALSH_MAX];
    unsigned pairs = 0;
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = i; j < count; j++)
            walsh[pairs++] = (values[i] + values[j]) / 2;
    struct precision_interval interval = {.estimate = median_of(walsh, pairs)};
    unsigned critical = count >= PRECISION_TRIALS_MIN ? critical_rank(count) : 0;
    interval.is_bounded = critical > 0;
    if (interval.is_bounded) {
        interval.low = walsh[critical - 1];
        interval.high = walsh[pairs - critical];
    }
    return interval;
}

/* Log of the time per operation in one round; false when it is void. */
static bool log_time(const json_t *arm, size_t round, double *log_ns)
{
    const json_t *ns = json_array_get(json_object_get(arm, "batch_ns"), round);
    double ops = json_number_value(json_object_get(arm, "ops_per_batch"));
    *log_ns = json_is_integer(ns) && ops > 0 ? log(json_number_value(ns) / ops) : 0;
    return json_is_integer(ns) && ops > 0 && json_integer_value(ns) > 0;
}

bool precision_log_ratio(const json_t *record, unsigned arm_index, double *log_ratio)
{
    const json_t *arms = json_object_get(record, "arms"), *base = json_array_get(arms, 0);
    const json_t *arm = json_array_get(arms, arm_index);
    const json_t *arm_order = json_object_get(arm, "order"), *base_order = json_object_get(base, "order");
    size_t rounds = json_array_size(json_object_get(arm, "batch_ns"));
    double *before = calloc(2 * rounds + 1, sizeof *before), *after = before ? before + rounds : NULL;
    unsigned before_count = 0, after_count = 0;
    for (size_t r = 0; before && r < rounds; r++) {
        double arm_log, base_log;
        if (!log_time(arm, r, &arm_log) || !log_time(base, r, &base_log))
            continue;
        if (json_integer_value(json_array_get(arm_order, r)) < json_integer_value(json_array_get(base_order, r)))
            before[before_count++] = arm_log - base_log;
        else
            after[after_count++] = arm_log - base_log;
    }
    bool known = before_count && after_count;
    if (known)
        *log_ratio = (median_of(before, before_count) + median_of(after, after_count)) / 2;
    free(before);
    return known;
}

const char *precision_word(const struct precision_interval *interval, double delta)
{
    double margin = log1p(delta);
    double low = interval->is_bounded ? interval->low : interval->estimate;
    double high = interval->is_bounded ? interval->high : interval->estimate;
    if (high < -margin)
        return "FASTER";
    if (low > margin)
        return "SLOWER";
    return interval->is_bounded && low > -margin && high < margin ? "SAME" : "CANNOT TELL";
}
