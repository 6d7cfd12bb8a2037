/* SPDX-License-Identifier: MIT */
/* Differences and sums of counts: what is not known stays unknown. */
#include "unit.h"

#include <string.h>

#include "counter.h"

static struct counts counts_of(uint64_t value)
{
    struct counts counts;
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        counts.values[i] = value;
    return counts;
}

/* A process that has given memory back has no count of what it took, and surely not 2^64 less a few bytes. */
static void what_has_fallen_is_unknown(void **state)
{
    struct counts before = counts_of(10), after = counts_of(10);
    (void)state;
    after.values[COUNTER_rss_bytes] = 9;
    after.values[COUNTER_page_table_bytes] = 14;
    after.values[COUNTER_read_bytes] = UINT64_MAX;
    before.values[COUNTER_write_bytes] = UINT64_MAX;
    counter_subtract(&after, &before);
    assert_true(after.values[COUNTER_rss_bytes] == UINT64_MAX);
    assert_int_equal(after.values[COUNTER_page_table_bytes], 4);
    assert_true(after.values[COUNTER_read_bytes] == UINT64_MAX);
    assert_true(after.values[COUNTER_write_bytes] == UINT64_MAX);
    assert_int_equal(after.values[COUNTER_minor_faults], 0);
}

static bool is_of(unsigned counter, const char *source)
{
    return strcmp(counter_table[counter].source, source) == 0;
}

/* Of a process with several workers nobody knows whose memory it is. */
static void memory_of_a_process_is_a_lone_workers(void **state)
{
    (void)state;
    for (unsigned alone = 0; alone < 2; alone++)
        for (unsigned told = 0; told < 2; told++) {
            struct counts counts = counts_of(7);
            counter_forget_untold(&counts, told ? UINT64_MAX : 0, alone);
            for (unsigned i = 0; i < COUNTER_COUNT; i++) {
                bool known = is_of(i, "STATUS") ? told && alone : is_of(i, "METHOD") ? told : true;
                assert_true(counts.values[i] == (known ? 7 : UINT64_MAX));
            }
        }
    assert_true(is_of(COUNTER_rss_bytes, "STATUS") && is_of(COUNTER_occurred, "METHOD"));
}

/* Workers that are processes have memory of their own; what they all look at is counted once. */
static void counts_of_workers_add_up(void **state)
{
    struct counts sum = counts_of(3), other = counts_of(5);
    (void)state;
    other.values[COUNTER_page_table_bytes] = UINT64_MAX;
    counter_add(&sum, &other);
    assert_int_equal(sum.values[COUNTER_rss_bytes], 8);
    assert_int_equal(sum.values[COUNTER_minor_faults], 8);
    assert_int_equal(sum.values[COUNTER_device_read_bytes], 5);
    assert_true(sum.values[COUNTER_page_table_bytes] == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_fallen_is_unknown),
        cmocka_unit_test(memory_of_a_process_is_a_lone_workers),
        cmocka_unit_test(counts_of_workers_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
