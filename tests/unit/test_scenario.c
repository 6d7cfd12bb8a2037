/* SPDX-License-Identifier: MIT */
/* Reading scenarios: what a good file says, and what is said about a bad one. */
#include "scenario_files.h"

#include <errno.h>
#include <sys/stat.h>

#include "random.h"
#include "scenario.h"

static const char good[] =
    "# a comment\n"
    "question: Is it so?\n"
    "op: block read\n"
    "common: {file_bytes: 1MiB, cache: warm}\n"
    "vary:\n"
    "  block_bytes: [64, 4KiB]\n"
    "  pattern: [sequential, random]\n"
    "exclude:\n"
    "  - {block_bytes: 64, pattern: sequential}\n"
    "arms:\n"
    "  - {name: pread, method: pread, buffer: reused}\n"
    "  - name: mapped\n"
    "    method: mmap\n"
    "    sharing: private\n"
    "null_arm: false\n"
    "delta: 2%\n"
    "profiles:\n"
    "  quick: {vary: {block_bytes: [64]}, trials: 10, budget: 5s, precision: 3%, arm_time: 10ms}\n"
    "claim:\n"
    "  id: it-is-so\n"
    "  statement: It is so.\n"
    "  heard: here\n"
    "  quantity: {slower: mapped, than: pread, at: {block_bytes: 4KiB}, than_at: {block_bytes: 64}}\n"
    "  threshold: 0.5\n"
    "  positive_control: {quantity: {count: minor_faults, of: pread, beyond: mapped}, rule: at_most, threshold: 0}\n"
    "  negative_control: {quantity: {faster: mapped, than: pread}}\n"
    "  expected: [{verdict: REFUTED, where: {block_bytes: 64}, cpu: AMD},\n"
    "             {verdict: SUPPORTED, machine: {filesystem.type: xfs, overcommit_memory: 1}}]\n";

static struct scenario *load(const char *path)
{
    struct scenario *scenario;
    struct err err = {0};
    if (scenario_load(path, &scenario, &err))
        fail_msg("%s", err.text);
    return scenario;
}

/* Loads text that must be refused; returns the message behind "path:". */
static const char *refused(const void *text, size_t size)
{
    static struct err err;
    struct scenario *scenario;
    const char *path = files_write("bad.yaml", text, size);
    err = (struct err){0};
    assert_int_equal(scenario_load(path, &scenario, &err), -EINVAL);
    assert_null(scenario);
    assert_int_equal(strncmp(err.text, path, strlen(path)), 0);
    return err.text + strlen(path) + 1;
}

static void test_top_level(void **state)
{
    (void)state;
    struct scenario *scenario = load(files_write("good.yaml", good, sizeof good - 1));
    assert_string_equal(scenario->name, "good");
    assert_string_equal(scenario->question, "Is it so?");
    assert_string_equal(scenario->op, "block read");
    assert_false(scenario->null_arm);
    assert_float_equal(scenario->delta, 0.02, 1e-12);
    assert_string_equal(
        scenario->claim,
        "[{\"id\":\"it-is-so\",\"statement\":\"It is so.\",\"heard\":\"here\",\"quantity\":{\"slower\":\"mapped\","
        "\"than\":\"pread\",\"at\":{\"block_bytes\":4096},\"than_at\":{\"block_bytes\":64}},\"threshold\":0.5,"
        "\"positive_control\":{\"quantity\":{\"count\":\"minor_faults\",\"of\":\"pread\",\"beyond\":\"mapped\"},"
        "\"rule\":\"at_most\",\"threshold\":0.0},\"negative_control\":{\"quantity\":{\"faster\":\"mapped\","
        "\"than\":\"pread\"},\"threshold\":1.25,\"rule\":\"at_least\"},\"expected\":[{\"verdict\":\"REFUTED\","
        "\"where\":"
        "{\"block_bytes\":64},\"cpu\":\"AMD\"},{\"verdict\":\"SUPPORTED\","
        "\"machine\":{\"filesystem.type\":\"xfs\",\"overcommit_memory\":\"1\"}}],\"rule\":\"at_least\"}]");
    scenario_free(scenario);
}

static void test_settings_keep_text_and_place(void **state)
{
    (void)state;
    struct scenario *scenario = load(files_write("good.yaml", good, sizeof good - 1));
    assert_int_equal(scenario->common.count, 2);
    assert_ptr_equal(scenario->common.items[1].field, &field_table[FIELD_cache]);
    assert_string_equal(scenario->common.items[1].text, "warm");
    assert_int_equal(scenario->common.items[1].at.line, 4);
    assert_int_equal(scenario->common.items[1].at.column, 28);
    assert_int_equal(scenario->vary_count, 2);
    assert_int_equal(scenario->vary[0].text_count, 2);
    assert_string_equal(scenario->vary[0].texts[1], "4KiB");
    assert_int_equal(scenario->vary[0].at[1].line, 6);
    assert_int_equal(scenario->vary[0].at[1].column, 21);
    assert_int_equal(scenario->vary[1].key_at.line, 7);
    assert_int_equal(scenario->exclude_count, 1);
    assert_int_equal(scenario->exclude[0].count, 2);
    scenario_free(scenario);
}

static void test_arms(void **state)
{
    (void)state;
    struct scenario *scenario = load(files_write("good.yaml", good, sizeof good - 1));
    assert_int_equal(scenario->arm_count, 2);
    assert_string_equal(scenario->arms[0].name, "pread");
    assert_ptr_equal(scenario->arms[0].method, method_find("pread"));
    assert_int_equal(scenario->arms[0].settings.count, 1);
    assert_string_equal(scenario->arms[1].name, "mapped");
    assert_int_equal(scenario->arms[1].at.line, 12);
    assert_int_equal(scenario->arms[1].settings.items[0].at.line, 14);
    scenario_free(scenario);
}

static void test_profiles(void **state)
{
    (void)state;
    struct scenario *scenario = load(files_write("good.yaml", good, sizeof good - 1));
    const struct profile *quick = &scenario->profiles[PROFILE_QUICK];
    assert_true(quick->present);
    assert_int_equal(quick->trials, 10);
    assert_int_equal(quick->budget_ns, 5000 * MS);
    assert_float_equal(quick->precision, 0.03, 1e-12);
    assert_int_equal(quick->common.count, 1);
    assert_string_equal(quick->common.items[0].text, "10ms");
    assert_int_equal(scenario_variation(scenario, PROFILE_QUICK, &field_table[FIELD_block_bytes])->text_count, 1);
    assert_int_equal(scenario_variation(scenario, PROFILE_STANDARD, &field_table[FIELD_block_bytes])->text_count, 2);
    assert_null(scenario_variation(scenario, PROFILE_QUICK, &field_table[FIELD_cache]));
    scenario_free(scenario);
}

static void test_defaults(void **state)
{
    (void)state;
    static const char text[] = "question: q\nop: o\narms: [{name: a, method: pread}]\n";
    struct scenario *scenario = load(files_write("least.yaml", text, sizeof text - 1));
    assert_true(scenario->null_arm);
    assert_float_equal(scenario->delta, 0.01, 1e-12);
    assert_null(scenario->claim);
    assert_int_equal(scenario->vary_count, 0);
    scenario_free(scenario);
}

static void check_bad(const char *path, const char *expected)
{
    struct scenario *scenario;
    struct err err = {0};
    assert_int_equal(scenario_load(path, &scenario, &err), -EINVAL);
    assert_null(scenario);
    assert_int_equal(err.code, EINVAL);
    assert_string_equal(err.text, expected);
}

static void test_bad_files(void **state)
{
    (void)state;
    assert_true(files_each_bad("scenario-", check_bad) >= 50);
}

static void check_shipped(const char *path)
{
    struct scenario *scenario = load(path);
    const char *below = strstr(path, "/scenarios/") + strlen("/scenarios/");
    assert_int_equal(strncmp(scenario->name, below, strlen(scenario->name)), 0);
    assert_string_equal(below + strlen(scenario->name), ".yaml");
    assert_true(scenario->profiles[PROFILE_QUICK].present);
    scenario_free(scenario);
}

static void test_shipped_scenarios_load(void **state)
{
    (void)state;
    assert_true(files_each_shipped(check_shipped) >= 11);
}

static void test_bytes_that_are_no_text(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *message;
    } cases[] = {
        {"question: \xff\n", 12, "1:11: this is not UTF-8 (byte 0xff)"},
        {"op: o\nquestion: \xc0\xaf\n", 19, "2:11: this is not UTF-8 (byte 0xc0)"},
        {"a: \xed\xa0\x80", 6, "1:4: this is not UTF-8 (byte 0xed)"},
        {"a: \xf4\x90\x80\x80", 7, "1:4: this is not UTF-8 (byte 0xf4)"},
        {"a: \xe2\x82", 5, "1:4: this is not UTF-8 (byte 0xe2)"},
        {"a: b\0c", 6, "1:5: control character U+0000"},
        {"a: \x1b[31m", 8, "1:4: control character U+001B"},
        {"\xc3\xa9: \x7f", 5, "1:4: control character U+007F"},
        {"a: \xc2\x85", 5, "1:4: control character U+0085"},
        {"\xff\xfe"
         "a\0",
         4, "1:1: this is not UTF-8 (byte 0xff)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(refused(cases[i].bytes, cases[i].size), cases[i].message);
}

static void test_other_line_ends_and_scripts(void **state)
{
    (void)state;
    static const char text[] = "question: \xc3\x9c"
                               "ber \xe2\x82\xac?\r\nop: o\r\narms: [{name: a, method: pread}]\r\n";
    struct scenario *scenario = load(files_write("crlf.yaml", text, sizeof text - 1));
    assert_string_equal(scenario->question, "\xc3\x9c"
                                            "ber \xe2\x82\xac?");
    assert_string_equal(scenario->op, "o");
    scenario_free(scenario);
}

static void test_size_limit(void **state)
{
    (void)state;
    char *text = malloc(YAML_BYTES_MAX + 1);
    assert_non_null(text);
    memset(text, '#', YAML_BYTES_MAX + 1);
    assert_string_equal(refused(text, YAML_BYTES_MAX + 1), "1:1: larger than 1 MiB: this is not a scenario");
    memcpy(text + YAML_BYTES_MAX - sizeof good, "\n", 1);
    memcpy(text + YAML_BYTES_MAX - sizeof good + 1, good, sizeof good - 1);
    scenario_free(load(files_write("large.yaml", text, YAML_BYTES_MAX)));
    free(text);
}

/* Much of what a parser may choke on: it must say no, and soon. */
static void test_floods(void **state)
{
    (void)state;
    static const char *const units[] = {"[",  "{",      "- ",     "{a: ", "[a, ", "a,",  "? ",
                                        "\"", "a: [\n", "x: 1\n", "- - ", "!!a ", "&a ", "*a "};
    char *text = malloc(YAML_BYTES_MAX);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t length = strlen(units[i]), size = 0;
        while (size + length <= 64 * 1024) {
            memcpy(text + size, units[i], length);
            size += length;
        }
        refused(text, size);
    }
    free(text);
}

static void test_what_is_no_file(void **state)
{
    (void)state;
    struct scenario *scenario;
    struct err err = {0};
    char path[FILES_PATH_SIZE];
    assert_int_equal(scenario_load("/nonexistent/x.yaml", &scenario, &err), -ENOENT);
    assert_string_equal(err.text, "/nonexistent/x.yaml: No such file or directory");
    assert_int_equal(scenario_load("/tmp", &scenario, &err), -EINVAL);
    assert_string_equal(err.text, "/tmp: not a regular file");
    snprintf(path, sizeof path, "%s/pipe.yaml", files_folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(scenario_load(path, &scenario, &err), -EINVAL);
    assert_null(scenario);
}

static void test_name_is_checked(void **state)
{
    (void)state;
    struct scenario *scenario;
    struct err err = {0};
    const char *path = files_write("a\nb.yaml", good, sizeof good - 1);
    assert_int_equal(scenario_load(path, &scenario, &err), -EINVAL);
    assert_non_null(strstr(err.text, "a scenario's name has letters, digits"));
}

/* Whatever happens to the bytes of a good file: a scenario or a message, never anything else. */
static void load_damaged(const char *text, size_t size)
{
    struct scenario *scenario;
    struct err err = {0};
    int rc = scenario_load(files_write("damaged.yaml", text, size), &scenario, &err);
    assert_true(rc == 0 ? scenario != NULL : scenario == NULL && err.code == -rc && err.text[0] == '/');
    scenario_free(scenario);
}

static void test_every_truncation(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof good - 1; size++)
        load_damaged(good, size);
}

static void test_damaged_bytes(void **state)
{
    (void)state;
    static const char signs[] = "{}[]:,-&*!|>'\"%@#? \n\tx09\\";
    struct random random = {20261122};
    for (unsigned i = 0; i < 3000; i++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        for (unsigned hits = 1 + (unsigned)random_below(&random, 4); hits; hits--)
            text[random_below(&random, sizeof good - 1)] = signs[random_below(&random, sizeof signs - 1)];
        load_damaged(text, sizeof good - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_top_level),
        cmocka_unit_test(test_settings_keep_text_and_place),
        cmocka_unit_test(test_arms),
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_shipped_scenarios_load),
        cmocka_unit_test(test_bytes_that_are_no_text),
        cmocka_unit_test(test_other_line_ends_and_scripts),
        cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_what_is_no_file),
        cmocka_unit_test(test_name_is_checked),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_damaged_bytes),
    };
    return cmocka_run_group_tests(tests, files_begin, files_end);
}
