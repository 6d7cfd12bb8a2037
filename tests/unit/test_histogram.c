/* SPDX-License-Identifier: MIT */
/* The log-linear histogram, against its definition written down a second time. */
#include "unit.h"

#include "histogram.h"
#include "random.h"

static struct histogram one, other, both; /* too large for the stack of a thread */

/* The definition, by repeated halving instead of counting zeros. */
static unsigned index_by_definition(uint64_t value)
{
    unsigned exponent = 0;
    while (value >> exponent >= 256)
        exponent++;
    return value < 128 ? (unsigned)value : (exponent + 1) * 128 + (unsigned)(value >> exponent) - 128;
}

static void has_known_buckets(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        unsigned index;
    } known[] = {
        {0, 0},
        {1, 1},
        {127, 127},
        {128, 128},
        {255, 255},
        {256, 256},
        {257, 256},
        {258, 257},
        {511, 383},
        {512, 384},
        {1023, 511},
        {1024, 512},
        {UINT64_MAX, 57 * 128 + 127},
    };
    for (size_t i = 0; i < LENGTH_OF(known); i++)
        assert_int_equal(histogram_index(known[i].value), known[i].index);
    assert_int_equal(histogram_index(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

/* Both ends of every bucket, and that its neighbours begin where it ends. */
static void covers_every_value_once(void **state)
{
    (void)state;
    assert_int_equal(histogram_lower(0), 0);
    for (unsigned index = 0; index < HISTOGRAM_BUCKETS; index++) {
        uint64_t lower = histogram_lower(index);
        uint64_t last = index + 1 < HISTOGRAM_BUCKETS ? histogram_lower(index + 1) - 1 : UINT64_MAX;
        assert_true(last >= lower);
        assert_int_equal(histogram_index(lower), index);
        assert_int_equal(histogram_index(last), index);
        /* A bucket of more than one value is at most 1/128 of its lower bound wide. */
        assert_true(last == lower || last - lower + 1 <= lower / 128);
    }
}

static void follows_its_definition(void **state)
{
    (void)state;
    struct random random = {1};
    for (int i = 0; i < 200000; i++) {
        uint64_t value = random_next(&random) >> (i % 64);
        assert_int_equal(histogram_index(value), index_by_definition(value));
    }
}

static void never_falls(void **state)
{
    (void)state;
    unsigned previous = 0;
    for (uint64_t value = 0; value < 100000; value++) {
        unsigned index = histogram_index(value);
        assert_in_range(index - previous, 0, 1);
        previous = index;
    }
    for (unsigned shift = 0; shift < 63; shift++)
        assert_true(histogram_index(UINT64_C(1) << shift) < histogram_index(UINT64_C(1) << (shift + 1)));
}

static void merges_by_adding(void **state)
{
    (void)state;
    struct random random = {2};
    for (int i = 0; i < 5000; i++) {
        uint64_t value = random_next(&random) >> (i % 50);
        histogram_add(i % 3 ? &one : &other, value);
        histogram_add(&both, value);
    }
    histogram_add(&other, UINT64_MAX);
    histogram_add(&both, UINT64_MAX);
    histogram_merge(&one, &other);
    assert_int_equal(one.count, 5001);
    assert_memory_equal(&one, &both, sizeof one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_known_buckets),      cmocka_unit_test(covers_every_value_once),
        cmocka_unit_test(follows_its_definition), cmocka_unit_test(never_falls),
        cmocka_unit_test(merges_by_adding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
