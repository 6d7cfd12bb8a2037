/* SPDX-License-Identifier: MIT */
/* What every method has to say of itself: the bytes that an operation is about, and the four headings of its file. */
#include "unit.h"

#include "method.h"

/* Of methods that use range_bytes an operation is about as many, but for these. */
static const struct {
    const char *method;
    uint64_t pages; /* of a range of 64, of two spans where it has spans */
} others[] = {
    {"memory_file_make", 0}, /* nothing is stored to the file */
    {"memory_file_touch", 1},
    {"reserve", 0},
    {"reserve_touch", 0},
};

static uint64_t expected(const struct method *method, const struct params *params)
{
    for (size_t i = 0; i < LENGTH_OF(others); i++)
        if (strcmp(others[i].method, method->name) == 0)
            return others[i].pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return params->range_bytes;
}

static void an_operation_is_about_so_many_bytes(void **state)
{
    unsigned found = 0;
    struct params params;
    (void)state;
    params_default(&params);
    params.range_bytes = 64 * (uint64_t)sysconf(_SC_PAGESIZE);
    params.spans = 2;
    for (const struct method *const *method = method_table; *method; method++) {
        bool ranges = (*method)->uses & FIELD_BIT(range_bytes), visits = (*method)->uses & FIELD_BIT(block_bytes);
        if (!ranges || visits)
            continue;
        if (method_op_bytes(*method, &params) != expected(*method, &params))
            fail_msg("%s: an operation is about %llu bytes, not %llu", (*method)->name,
                     (unsigned long long)method_op_bytes(*method, &params),
                     (unsigned long long)expected(*method, &params));
        for (size_t i = 0; i < LENGTH_OF(others); i++)
            found += strcmp(others[i].method, (*method)->name) == 0;
    }
    assert_int_equal(found, LENGTH_OF(others));
}

/* Blocks that are moved; none that are only looked for, and none of a method that is about something else. */
static void blocks_are_bytes_where_they_move(void **state)
{
    struct params params;
    (void)state;
    params_default(&params);
    params.block_bytes = 4096;
    params.touches = 8;
    assert_int_equal(method_op_bytes(method_find("pread"), &params), 4096);
    assert_int_equal(method_op_bytes(method_find("nowait_miss"), &params), 0);
    assert_int_equal(method_op_bytes(method_find("syscall_floor"), &params), 0);
    params.per = per_pass;
    assert_int_equal(method_op_bytes(method_find("pread"), &params), 8 * 4096);
}

static bool opens_with(const char *path, const char *heading)
{
    char line[512];
    bool found = false;
    FILE *file = fopen(path, "re");
    if (!file)
        fail_msg("%s: %s", path, strerror(errno));
    while (!found && fgets(line, sizeof line, file) && strncmp(line, "#include", 8) != 0)
        found = strncmp(line, heading, strlen(heading)) == 0;
    fclose(file);
    return found;
}

/* Before its first include, each at the beginning of a line and with its text in one column. */
static void every_file_opens_with_its_headings(void **state)
{
    static const char *const headings[] = {
        " * Measures:         ", " * Does not measure: ", " * Expect:           ", " * Source:           "};
    unsigned missing = 0;
    (void)state;
    for (const struct method *const *method = method_table; *method; method++) {
        char path[UNIT_PATH_SIZE];
        snprintf(path, sizeof path, TESTS_DIR "/../bench/methods/%s.c", (*method)->name);
        for (size_t i = 0; i < LENGTH_OF(headings); i++)
            if (!opens_with(path, headings[i])) {
                print_message("%s has no line that begins with '%s'\n", path, headings[i]);
                missing++;
            }
    }
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operation_is_about_so_many_bytes),
        cmocka_unit_test(blocks_are_bytes_where_they_move),
        cmocka_unit_test(every_file_opens_with_its_headings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
