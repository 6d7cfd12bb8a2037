/* SPDX-License-Identifier: MIT */
/* The text forms of parameters: each way there and back, and every spelling that is refused. */
#include "unit.h"

#include <math.h>

#include "params.h"

enum { SIZE_OF_TEXT = 64 };

static const struct field *field_named(const char *name)
{
    const struct field *field = field_find(name);
    if (!field)
        fail_msg("there is no field %s", name);
    return field;
}

static void check_round_trip(const struct field *field, const struct params *params)
{
    char text[SIZE_OF_TEXT], again[SIZE_OF_TEXT];
    struct params read;
    struct err err = {0};
    memset(&read, 0xa5, sizeof read); /* a field that is not set shows */
    field_format(field, params, text, sizeof text);
    if (field_parse(field, text, &read, &err))
        fail_msg("%s: %s", field->name, err.text);
    if (!field_equal(field, params, &read))
        fail_msg("%s: '%s' is read back as another value", field->name, text);
    field_format(field, &read, again, sizeof again);
    assert_string_equal(text, again);
}

static void every_default_goes_there_and_back(void **state)
{
    (void)state;
    struct params params;
    params_default(&params);
    for (size_t i = 0; i < FIELD_COUNT; i++)
        check_round_trip(&field_table[i], &params);
}

static void every_option_goes_there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const struct field *field = &field_table[i];
        for (size_t o = 0; field->options && field->options[o].spelling; o++) {
            struct params params;
            struct err err = {0};
            params_default(&params);
            if (field_numbered_length(&field->options[o]))
                continue;
            assert_int_equal(field_parse(field, field->options[o].spelling, &params, &err), 0);
            check_round_trip(field, &params);
        }
    }
}

static void an_option_may_have_a_number(void **state)
{
    (void)state;
    static const char *const good[] = {"cpu:0", "cpu:1", "cpu:511", "cpu:8191"};
    static const char *const bad[] = {"cpu:N", "cpu:", "cpu", "cpu:-1", "cpu:1x", "cpu: 1", "cpu:99999999", "any:1"};
    const struct field *place = &field_table[FIELD_place];
    struct params params;
    struct err err = {0};
    char text[64];
    params_default(&params);
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(field_parse(place, good[i], &params, &err), 0);
        assert_int_equal(params.place, place_cpu + strtoul(good[i] + 4, NULL, 10));
        field_format(place, &params, text, sizeof text);
        assert_string_equal(text, good[i]);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(field_parse(place, bad[i], &params, &err), -EINVAL);
        assert_non_null(strstr(err.text, "spread, cpu:N"));
    }
}

static void every_field_is_found_and_separate(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        assert_ptr_equal(field_find(field_table[i].name), &field_table[i]);
        assert_true(field_table[i].doc && *field_table[i].doc);
        assert_int_equal(field_table[i].offset, i * 8); /* in the order of the table, without holes */
        assert_int_equal(field_table[i].kind == FIELD_CHOICE, field_table[i].options != NULL);
    }
    assert_null(field_find("block"));
    assert_null(field_find(""));
    assert_null(field_find("BLOCK_BYTES"));
}

static void check_text(const char *name, const char *text, uint64_t value, const char *canonical)
{
    const struct field *field = field_named(name);
    struct params params;
    struct err err = {0};
    char found[SIZE_OF_TEXT];
    uint64_t integer;
    params_default(&params);
    if (field_parse(field, text, &params, &err))
        fail_msg("%s: %s", name, err.text);
    memcpy(&integer, (const char *)&params + field->offset, sizeof integer);
    assert_int_equal(integer, value);
    field_format(field, &params, found, sizeof found);
    assert_string_equal(found, canonical);
}

static void sizes_take_the_largest_unit_that_divides(void **state)
{
    (void)state;
    check_text("file_bytes", "0", 0, "0");
    check_text("file_bytes", "1", 1, "1");
    check_text("file_bytes", "4095", 4095, "4095");
    check_text("file_bytes", "4096", 4096, "4KiB");
    check_text("file_bytes", "4KiB", 4096, "4KiB");
    check_text("file_bytes", "1024KiB", MIB, "1MiB");
    check_text("file_bytes", "1025KiB", 1025 * KIB, "1025KiB");
    check_text("file_bytes", "3072MiB", 3 * GIB, "3GiB");
    check_text("file_bytes", "0064MiB", 64 * MIB, "64MiB");
    check_text("file_bytes", "8589934591GiB", UINT64_C(8589934591) * GIB, "8589934591GiB");
    check_text("file_bytes", "9223372036854775807", INT64_MAX, "9223372036854775807");
    check_text("block_bytes", "auto", FIELD_AUTO, "auto");
}

static void times_need_a_unit(void **state)
{
    (void)state;
    check_text("batch_time", "0", 0, "0");
    check_text("batch_time", "7ns", 7, "7ns");
    check_text("batch_time", "250us", 250 * US, "250us");
    check_text("batch_time", "1000us", MS, "1ms");
    check_text("batch_time", "5s", 5000 * MS, "5s");
    check_text("batch_time", "90s", 90000 * MS, "90s");
    check_text("batch_time", "1500ms", 1500 * MS, "1500ms");
}

static void check_share(const char *text, double share, const char *canonical)
{
    struct params params;
    struct err err = {0};
    char found[SIZE_OF_TEXT];
    const struct field *field = field_named("surplus");
    assert_int_equal(field_parse(field, text, &params, &err), 0);
    assert_true(fabs(params.surplus - share) < 1e-15);
    field_format(field, &params, found, sizeof found);
    assert_string_equal(found, canonical);
}

static void shares_are_percentages(void **state)
{
    (void)state;
    check_share("0%", 0, "0%");
    check_share("2%", 0.02, "2%");
    check_share("0.5%", 0.005, "0.5%");
    check_share(".5%", 0.005, "0.5%");
    check_share("100%", 1, "100%");
    check_share("33.333%", 0.33333, "33.333%");
}

static void check_refused(const char *name, const char *text, const char *says)
{
    struct params params;
    struct err err = {0};
    params_default(&params);
    if (field_parse(field_named(name), text, &params, &err) != -EINVAL)
        fail_msg("%s: '%s' is not refused", name, text);
    assert_int_equal(err.code, EINVAL);
    unit_assert_text(err.text, says);
}

static void refuses_sizes(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",   "4k",  "4kb",    "4KB",  "4kib",  "4K", "4 KiB", "KiB",   "-1",
                                        "+1", "1e3", "1.5MiB", "0x10", "4KiBs", " 4", "4 ",    "1_000", "AUTO"};
    static const char *const large[] = {"18446744073709551615", "9223372036854775808", "8589934592GiB",
                                        "18014398509481984KiB"};
    for (size_t i = 0; i < LENGTH_OF(wrong); i++)
        check_refused("file_bytes", wrong[i], "is not a size: write 4KiB");
    for (size_t i = 0; i < LENGTH_OF(large); i++)
        check_refused("file_bytes", large[i], "too large");
    check_refused("file_bytes", "99999999999999999999999", "is not a size");
    check_refused("file_bytes", "auto", "is not a size"); /* has a default of its own */
}

static void refuses_times(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",      "5",    "-5s", "5 s",  "5m", "5min",
                                        "1e3us", "0.5s", "us",  "auto", "5S", "5ss"};
    for (size_t i = 0; i < LENGTH_OF(wrong); i++)
        check_refused("batch_time", wrong[i], "is not a time: write 250us");
    check_refused("batch_time", "9223372037s", "too large");
    check_refused("batch_time", "9223372036854775808ns", "too large");
}

static void refuses_counts(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "-1",
                                        "+1",
                                        "1.0",
                                        "1e3",
                                        "0x1",
                                        "ten",
                                        "1k",
                                        "auto",
                                        " 1",
                                        "1 ",
                                        "9223372036854775808",
                                        "18446744073709551615",
                                        "99999999999999999999"};
    for (size_t i = 0; i < LENGTH_OF(wrong); i++)
        check_refused("workers", wrong[i], "is not a whole number");
}

static void refuses_shares(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",     "1",    "0.01", "%",  "-1%",   "+1%",   "1 %",  "1%%",
                                        "nan%", "inf%", "1e9%", ".%", "1001%", "0x10%", "1,5%", "auto"};
    for (size_t i = 0; i < LENGTH_OF(wrong); i++)
        check_refused("surplus", wrong[i], "is not a percentage: write 1%");
}

static void refuses_choices(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "Warm", "war", "warmer", "0", "auto", " warm"};
    for (size_t i = 0; i < LENGTH_OF(wrong); i++)
        check_refused("cache", wrong[i], "is not a cache: one of warm, cold, clean, dirty, as-found");
}

static void only_some_fields_can_be_automatic(void **state)
{
    (void)state;
    static const char *const automatic[] = {"stride_bytes", "working_set_bytes", "touches",
                                            "block_bytes",  "range_bytes",       "window_bytes"};
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        struct params params;
        struct err err = {0};
        bool may = false;
        for (size_t n = 0; n < LENGTH_OF(automatic); n++)
            may |= strcmp(field_table[i].name, automatic[n]) == 0;
        params_default(&params);
        assert_int_equal(field_parse(&field_table[i], "auto", &params, &err), may ? 0 : -EINVAL);
        assert_int_equal(field_is_auto(&field_table[i], &params), may);
    }
}

static void copies_and_compares_one_field(void **state)
{
    (void)state;
    struct params a, b;
    params_default(&a);
    params_default(&b);
    assert_memory_equal(&a, &b, sizeof a);
    b.workers = 7;
    assert_false(field_equal(field_named("workers"), &a, &b));
    assert_true(field_equal(field_named("block_bytes"), &a, &b));
    field_copy(field_named("workers"), &b, &a);
    assert_memory_equal(&a, &b, sizeof a);
}

static void cuts_text_that_does_not_fit(void **state)
{
    (void)state;
    struct params params;
    char text[4] = "xxx";
    params_default(&params);
    field_format(field_named("cache"), &params, text, sizeof text);
    assert_string_equal(text, "war");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_goes_there_and_back),
        cmocka_unit_test(every_option_goes_there_and_back),
        cmocka_unit_test(an_option_may_have_a_number),
        cmocka_unit_test(every_field_is_found_and_separate),
        cmocka_unit_test(sizes_take_the_largest_unit_that_divides),
        cmocka_unit_test(times_need_a_unit),
        cmocka_unit_test(shares_are_percentages),
        cmocka_unit_test(refuses_sizes),
        cmocka_unit_test(refuses_times),
        cmocka_unit_test(refuses_counts),
        cmocka_unit_test(refuses_shares),
        cmocka_unit_test(refuses_choices),
        cmocka_unit_test(only_some_fields_can_be_automatic),
        cmocka_unit_test(copies_and_compares_one_field),
        cmocka_unit_test(cuts_text_that_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
