/* SPDX-License-Identifier: MIT */
/* The interval that decides when to stop, against what Python finds, and the log ratio of a record, by hand. */
#include "unit.h"

#include <math.h>

#include <jansson.h>

#include "measure.h"
#include "precision.h"

enum { CASES_MIN = 50 };

static void check_close(double found, double expected)
{
    if (!(fabs(found - expected) <= 1e-12))
        fail_msg("%.17g is not %.17g", found, expected);
}

static void check_golden(const json_t *row)
{
    const json_t *list = json_object_get(row, "ratios");
    unsigned count = (unsigned)json_array_size(list);
    double values[PRECISION_TRIALS_MAX];
    assert_in_range(count, 1, PRECISION_TRIALS_MAX);
    for (unsigned i = 0; i < count; i++)
        values[i] = json_number_value(json_array_get(list, i));
    struct precision_interval found = precision_of(values, count);
    check_close(found.estimate, json_number_value(json_object_get(row, "estimate")));
    assert_int_equal(found.is_bounded, json_is_number(json_object_get(row, "low")));
    if (found.is_bounded) {
        check_close(found.low, json_number_value(json_object_get(row, "low")));
        check_close(found.high, json_number_value(json_object_get(row, "high")));
    }
}

static void agrees_with_python(void **state)
{
    (void)state;
    json_error_t where;
    json_t *rows = json_load_file(TESTS_DIR "/data/precision_golden.json", 0, &where), *row;
    size_t i;
    if (!rows)
        fail_msg("golden data, line %d: %s", where.line, where.text);
    assert_true(json_array_size(rows) >= CASES_MIN);
    json_array_foreach(rows, i, row) check_golden(row);
    json_decref(rows);
}

static void needs_six_trials_for_a_bound(void **state)
{
    (void)state;
    static const double values[] = {0.3, 0.1, 0.2, 0.5, 0.4, 0.6};
    for (unsigned count = 1; count < PRECISION_TRIALS_MIN; count++)
        assert_false(precision_of(values, count).is_bounded);
    struct precision_interval six = precision_of(values, 6);
    assert_true(six.is_bounded); /* 2 / 2^6 = 3.1 %: the extremes */
    check_close(six.low, 0.1);
    check_close(six.high, 0.6);
    check_close(six.estimate, 0.35);
}

/* Turning the ratio upside down mirrors the interval; moving all values moves it along. */
static void mirrors_and_shifts(void **state)
{
    (void)state;
    double values[PRECISION_TRIALS_MAX], mirrored[PRECISION_TRIALS_MAX], shifted[PRECISION_TRIALS_MAX];
    for (unsigned count = PRECISION_TRIALS_MIN; count <= PRECISION_TRIALS_MAX; count++) {
        for (unsigned i = 0; i < count; i++) {
            values[i] = sin(1 + i * 1.7) * 0.01;
            mirrored[i] = -values[i];
            shifted[i] = values[i] + 1;
        }
        struct precision_interval a = precision_of(values, count), b = precision_of(mirrored, count);
        struct precision_interval c = precision_of(shifted, count);
        assert_true(a.is_bounded && a.low <= a.estimate && a.estimate <= a.high && a.low < a.high);
        check_close(a.low, -b.high);
        check_close(a.estimate, -b.estimate);
        check_close(a.low + 1, c.low);
        check_close(a.high + 1, c.high);
    }
}

static bool log_ratio_of(const char *base, const char *arm, double *log_ratio)
{
    char text[1024];
    snprintf(text, sizeof text, "{\"arms\":[%s,%s]}", base, arm);
    json_error_t where;
    json_t *record = json_loads(text, 0, &where);
    if (!record)
        fail_msg("%s: %s", text, where.text);
    bool found = precision_log_ratio(record, 1, log_ratio);
    json_decref(record);
    return found;
}

static void check_log_ratio(const char *base, const char *arm, double ratio)
{
    double log_ratio;
    assert_true(log_ratio_of(base, arm, &log_ratio));
    check_close(log_ratio, log(ratio));
}

#define ARM(ops, batches, order) "{\"ops_per_batch\":" ops ",\"batch_ns\":" batches ",\"order\":" order "}"

static void weighs_both_orders_alike(void **state)
{
    (void)state;
    /* Five rounds in which the arm came after the baseline and took twice as long, one before it: eight times. */
    check_log_ratio(ARM("10", "[100,100,100,100,100,100]", "[0,0,0,0,0,1]"),
                    ARM("10", "[200,200,200,200,200,800]", "[1,1,1,1,1,0]"), 4);
    /* The median within each: one stall does not count. */
    check_log_ratio(ARM("10", "[100,100,100,100,100,100]", "[0,1,0,1,0,1]"),
                    ARM("10", "[200,800,90000,90000,200,800]", "[1,0,1,0,1,0]"), 4);
    /* An even number: the mean of the two in the middle, of the logarithms. */
    check_log_ratio(ARM("10", "[100,100,100,100]", "[0,0,1,1]"), ARM("10", "[100,400,100,400]", "[1,1,0,0]"), 2);
    /* Next to each other or not is the same. */
    check_log_ratio(ARM("10", "[100,100]", "[2,0]"), ARM("10", "[300,300]", "[0,1]"), 3);
}

static void compares_operations_not_batches(void **state)
{
    (void)state;
    check_log_ratio(ARM("10", "[100,100]", "[0,1]"), ARM("40", "[100,100]", "[1,0]"), 0.25);
}

static void leaves_void_rounds_out(void **state)
{
    (void)state;
    check_log_ratio(ARM("10", "[100,null,100,100]", "[0,1,1,0]"), ARM("10", "[200,null,200,200]", "[1,0,0,1]"), 2);
    /* Null in one arm only: the round counts for neither. */
    check_log_ratio(ARM("10", "[100,null,100]", "[0,1,1]"), ARM("10", "[200,90000,200]", "[1,0,0]"), 2);
    check_log_ratio(ARM("10", "[100,100,100]", "[0,1,1]"), ARM("10", "[200,null,200]", "[1,0,0]"), 2);
}

static void has_none_without_two_good_arms(void **state)
{
    (void)state;
    double log_ratio;
    const char *good = ARM("10", "[100,100]", "[0,1]"), *failed = ARM("null", "[]", "[]");
    assert_false(log_ratio_of(failed, good, &log_ratio));
    assert_false(log_ratio_of(good, failed, &log_ratio));
    assert_false(log_ratio_of(good, ARM("10", "[null,null]", "[1,0]"), &log_ratio));
    assert_false(log_ratio_of(good, ARM("0", "[100,100]", "[1,0]"), &log_ratio));
    assert_false(log_ratio_of(good, ARM("10", "[0,0]", "[1,0]"), &log_ratio));
    assert_false(log_ratio_of(good, "{}", &log_ratio));
}

static void has_none_without_both_orders(void **state)
{
    (void)state;
    double log_ratio;
    const char *first = ARM("10", "[100,100]", "[0,0]"), *later = ARM("10", "[300,300]", "[1,1]");
    assert_false(log_ratio_of(first, later, &log_ratio));
    assert_false(log_ratio_of(later, first, &log_ratio));
    /* The only round of the other order is void. */
    assert_false(
        log_ratio_of(ARM("10", "[100,100,null]", "[0,0,1]"), ARM("10", "[300,300,null]", "[1,1,0]"), &log_ratio));
}

/* A trial that visits many pairs of CPUs has more of them than others. */
static void reads_as_many_rounds_as_there_are(void **state)
{
    (void)state;
    json_t *batches = json_array(), *order = json_array(), *later = json_array(), *base = json_array();
    for (int r = 0; r < 4 * ROUNDS_MAX; r++) {
        json_array_append_new(base, json_integer(100));
        json_array_append_new(batches, json_integer(r < ROUNDS_MAX ? 700 : 100));
        json_array_append_new(order, json_integer(r % 2));
        json_array_append_new(later, json_integer(1 - r % 2));
    }
    json_t *record = json_pack("{s:[{s:i, s:o, s:o}, {s:i, s:o, s:o}]}", "arms", "ops_per_batch", 1, "batch_ns", base,
                               "order", order, "ops_per_batch", 2, "batch_ns", batches, "order", later);
    double log_ratio;
    assert_non_null(record);
    assert_true(precision_log_ratio(record, 1, &log_ratio));
    check_close(log_ratio, log(0.5));
    json_decref(record);
}

static void check_word(double low, double high, bool is_bounded, const char *word)
{
    struct precision_interval interval = {(low + high) / 2, low, high, is_bounded};
    assert_string_equal(precision_word(&interval, 0.01), word);
}

static void says_what_it_looks_like(void **state)
{
    (void)state;
    check_word(-0.03, -0.02, true, "FASTER");
    check_word(0.02, 0.03, true, "SLOWER");
    check_word(-0.005, 0.005, true, "SAME");
    check_word(-0.02, 0.005, true, "CANNOT TELL");
    check_word(-0.005, 0.02, true, "CANNOT TELL");
    check_word(-0.03, -0.005, true, "CANNOT TELL");
    check_word(-0.001, 0.001, false, "CANNOT TELL"); /* too few trials are never the same */
    check_word(0.5, 0.5, false, "SLOWER");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_python),
        cmocka_unit_test(needs_six_trials_for_a_bound),
        cmocka_unit_test(mirrors_and_shifts),
        cmocka_unit_test(weighs_both_orders_alike),
        cmocka_unit_test(compares_operations_not_batches),
        cmocka_unit_test(leaves_void_rounds_out),
        cmocka_unit_test(has_none_without_two_good_arms),
        cmocka_unit_test(has_none_without_both_orders),
        cmocka_unit_test(reads_as_many_rounds_as_there_are),
        cmocka_unit_test(says_what_it_looks_like),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
