/* SPDX-License-Identifier: MIT */
/* The directory of a run: where it is made, what survives a kill or a full disk, and who may write it. */
#include "unit.h"

#include <regex.h>
#include <sys/mount.h>

#include "record.h"
#include "store.h"

static struct err err;

static int begin(void **state)
{
    err = (struct err){0};
    return unit_begin(state);
}

static struct store make(const char *out, const char *parent)
{
    struct store store;
    if (store_make(&store, out, parent, "my.host/1", &err))
        fail_msg("%s", err.text);
    return store;
}

static void check_name(const char *path, const char *parent, const char *host)
{
    char pattern[128];
    regex_t compiled;
    size_t length = strlen(parent);
    assert_int_equal(strncmp(path, parent, length), 0);
    assert_int_equal(path[length], '/');
    snprintf(pattern, sizeof pattern, "^[0-9]{8}T[0-9]{6}Z-%s-[0-9a-f]{6}$", host);
    assert_int_equal(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&compiled, path + length + 1, 0, NULL, 0))
        fail_msg("%s does not match %s", path + length + 1, pattern);
    regfree(&compiled);
}

static void out_is_made_when_absent(void **state)
{
    (void)state;
    struct store store = make(unit_path("new"), "/nonexistent");
    assert_string_equal(store.directory, unit_path("new"));
    assert_true(unit_exists("new/trials.jsonl"));
    store_close(&store);
    store = make(unit_path("a/b/c"), "/nonexistent"); /* with what is missing above it */
    assert_true(unit_exists("a/b/c/trials.jsonl"));
    store_close(&store);
}

static void out_is_taken_when_empty(void **state)
{
    (void)state;
    assert_int_equal(mkdir(unit_path("empty"), 0700), 0);
    struct store store = make(unit_path("empty"), "/nonexistent");
    assert_string_equal(store.directory, unit_path("empty"));
    store_close(&store);
}

static void out_with_something_in_it_gets_a_run_inside(void **state)
{
    (void)state;
    assert_int_equal(mkdir(unit_path("full"), 0700), 0);
    unit_write("full/.hidden", "x", 1);
    struct store store = make(unit_path("full"), "/nonexistent");
    check_name(store.directory, unit_path("full"), "my-host-1");
    struct store second = make(unit_path("full"), "/nonexistent");
    assert_string_not_equal(store.directory, second.directory);
    store_close(&store);
    store_close(&second);
    assert_int_equal(unit_count_entries(unit_path("full")), 3);
}

static void without_out_a_run_lies_in_its_parent(void **state)
{
    (void)state;
    struct store store;
    assert_int_equal(store_make(&store, NULL, unit_path("results"), "", &err), 0);
    check_name(store.directory, unit_path("results"), "host");
    store_close(&store);
}

static void refuses_an_out_that_cannot_be(void **state)
{
    (void)state;
    struct store store;
    char longer[5000];
    unit_write("file", "x", 1);
    assert_int_equal(store_make(&store, unit_path("file"), "/tmp", "h", &err), -ENOTDIR);
    unit_assert_text(err.text, unit_path("file"));
    store_close(&store);
    assert_int_equal(store_make(&store, unit_path("file/below"), "/tmp", "h", &err), -ENOTDIR);
    store_close(&store);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_true(store_make(&store, longer, "/tmp", "h", &err) < 0);
    store_close(&store);
    assert_int_equal(store_open(&store, longer, &err), -ENAMETOOLONG);
    assert_int_equal(store_open(&store, unit_path("none"), &err), -ENOENT);
    unit_assert_text(err.text, "none/trials.jsonl");
}

static void append(const struct store *store, int n)
{
    json_t *record = json_pack("{s:i}", "n", n);
    char *line = record_line(record);
    assert_int_equal(store_append(store, line, strlen(line), &err), 0);
    free(line);
    json_decref(record);
}

enum { DAMAGED = -7 };

struct seen {
    int numbers[16];
    unsigned count;
    int stop_at;
};

static int see(void *context, const json_t *record)
{
    struct seen *seen = context;
    int n = record ? (int)json_integer_value(json_object_get(record, "n")) : DAMAGED;
    assert_in_range(seen->count, 0, LENGTH_OF(seen->numbers) - 1);
    seen->numbers[seen->count++] = n;
    return n == seen->stop_at ? -ECANCELED : 0;
}

static struct seen read_all(const struct store *store)
{
    struct seen seen = {.stop_at = -1};
    assert_int_equal(store_read(store, see, &seen, &err), 0);
    return seen;
}

static void reads_back_what_was_appended(void **state)
{
    (void)state;
    struct store store = make(unit_path("run"), NULL);
    assert_int_equal(read_all(&store).count, 0);
    for (int n = 0; n < 5; n++)
        append(&store, n);
    struct seen seen = read_all(&store);
    assert_int_equal(seen.count, 5);
    for (int n = 0; n < 5; n++)
        assert_int_equal(seen.numbers[n], n);
    struct seen some = {.stop_at = 2};
    assert_int_equal(store_read(&store, see, &some, &err), -ECANCELED);
    assert_int_equal(some.count, 3);
    store_close(&store);
}

static void append_bytes(const void *bytes, size_t size)
{
    FILE *file = fopen(unit_path("run/trials.jsonl"), "ae");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Two records, then a tail without newline: after opening, the two and nothing else; what is appended next is whole. */
static void check_torn(const void *tail, size_t size)
{
    struct store store = make(unit_path("run"), NULL);
    append(&store, 0);
    append(&store, 1);
    store_close(&store);
    char *before = unit_read(unit_path("run/trials.jsonl"), NULL);
    append_bytes(tail, size);
    if (store_open(&store, unit_path("run"), &err))
        fail_msg("%s", err.text);
    char *after = unit_read(unit_path("run/trials.jsonl"), NULL);
    assert_string_equal(before, after);
    append(&store, 2);
    assert_int_equal(read_all(&store).count, 3);
    store_close(&store);
    free(before);
    free(after);
    assert_int_equal(unlink(unit_path("run/trials.jsonl")), 0);
}

static void cuts_a_torn_tail(void **state)
{
    (void)state;
    static char longer[20000]; /* over several of the blocks it is sought in */
    memset(longer, 'x', sizeof longer);
    check_torn("", 0);
    check_torn("{", 1);
    check_torn("{\"n\":2,\"crc32\":\"", 15);
    check_torn(longer, 4095);
    check_torn(longer, 4096);
    check_torn(longer, sizeof longer);
}

static void cuts_a_file_that_is_nothing_but_torn(void **state)
{
    (void)state;
    struct store store = make(unit_path("run"), NULL);
    store_close(&store);
    append_bytes("{\"n\":", 5);
    assert_int_equal(store_open(&store, unit_path("run"), &err), 0);
    assert_int_equal(read_all(&store).count, 0);
    append(&store, 7);
    assert_int_equal(read_all(&store).numbers[0], 7);
    store_close(&store);
}

static void hands_out_nothing_for_a_damaged_line(void **state)
{
    (void)state;
    struct store store = make(unit_path("run"), NULL);
    append(&store, 0);
    append_bytes("{\"n\":1,\"crc32\":\"00000000\"}\n\nnonsense\n", 37);
    append(&store, 2);
    struct seen seen = read_all(&store);
    static const int expected[] = {0, DAMAGED, DAMAGED, DAMAGED, 2};
    assert_int_equal(seen.count, LENGTH_OF(expected));
    assert_memory_equal(seen.numbers, expected, sizeof expected);
    store_close(&store);
}

static void has_one_writer(void **state)
{
    (void)state;
    struct store store = make(unit_path("run"), NULL), second;
    assert_int_equal(store_open(&second, unit_path("run"), &err), -EBUSY);
    unit_assert_text(err.text, "being written by another run");
    store_close(&second);
    store_close(&store);
    assert_int_equal(store_open(&second, unit_path("run"), &err), 0);
    store_close(&second);
}

static void puts_and_gets_json(void **state)
{
    (void)state;
    struct store store = make(unit_path("run"), NULL);
    json_t *json = json_pack("{s:f, s:s}", "third", 1.0 / 3, "text", "\xc3\xa9\n");
    assert_int_equal(store_put_json(&store, "a.json", json, &err), 0);
    json_t *again = store_get_json(&store, "a.json", &err);
    assert_true(json_equal(json, again));
    json_decref(again);
    json_object_set_new(json, "more", json_true());
    assert_int_equal(store_put_json(&store, "a.json", json, &err), 0);
    again = store_get_json(&store, "a.json", &err);
    assert_true(json_equal(json, again));
    json_decref(again);
    json_decref(json);
    assert_int_equal(unit_count_entries(unit_path("run")), 2); /* trials.jsonl and a.json */
    store_close(&store);
}

static void failed_puts_leave_nothing(void **state)
{
    (void)state;
    struct store store = make(unit_path("run"), NULL);
    json_t *json = json_pack("{s:i}", "n", 1);
    assert_int_equal(mkdir(unit_path("run/taken.json"), 0700), 0);
    unit_write("run/taken.json/file", "x", 1);
    assert_true(store_put_json(&store, "taken.json", json, &err) < 0); /* cannot be renamed over a folder */
    unit_assert_text(err.text, "rename");
    assert_false(unit_exists("run/taken.json.tmp"));
    assert_true(store_put_json(&store, "none/a.json", json, &err) < 0);
    errno = 0;
    assert_int_equal(store_put_json(&store, "b.json", NULL, &err), -EINVAL); /* nothing that could be written */
    unit_assert_text(err.text, "b.json");
    assert_false(unit_exists("run/b.json"));
    assert_false(unit_exists("run/b.json.tmp"));
    json_decref(json);
    store_close(&store);
}

static void says_what_is_wrong_with_json(void **state)
{
    (void)state;
    struct store store = make(unit_path("run"), NULL);
    assert_null(store_get_json(&store, "none.json", &err));
    unit_assert_text(err.text, "none.json");
    assert_true(err.code > 0);
    unit_write("run/bad.json", "{\n\"a\": }", 8);
    assert_null(store_get_json(&store, "bad.json", &err));
    unit_assert_text(err.text, "bad.json:2:");
    unit_write("run/twice.json", "{\"a\":1,\"a\":2}", 13);
    assert_null(store_get_json(&store, "twice.json", &err));
    store_close(&store);
}

/* ---- a full disk ---- */

static int mount_small(void **state)
{
    if (begin(state) || mkdir(unit_path("disk"), 0700))
        return -1;
    *state = mount("faultline-test", unit_path("disk"), "tmpfs", MS_NOSUID | MS_NODEV, "size=1M") ? NULL : unit_folder;
    return 0;
}

static int unmount_small(void **state)
{
    int rc = *state ? umount(unit_path("disk")) : 0;
    return rc ? rc : unit_end(state);
}

static void append_until_full(const struct store *store, unsigned *count)
{
    static char line[3001]; /* no divisor of a page: a write is cut in its middle */
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\n';
    int rc = 0;
    for (*count = 0; rc == 0 && *count < 1000; *count += rc == 0)
        rc = store_append(store, line, sizeof line, &err);
    assert_int_equal(rc, -ENOSPC);
    unit_assert_text(err.text, "trials.jsonl");
}

static void a_full_disk_leaves_whole_lines(void **state)
{
    if (!*state) {
        print_message("SKIP: a small tmpfs cannot be mounted here\n");
        skip();
    }
    struct store store = make(unit_path("disk/run"), NULL);
    unsigned count;
    size_t size;
    append_until_full(&store, &count);
    assert_true(count > 0);
    char *bytes = unit_read(unit_path("disk/run/trials.jsonl"), &size);
    assert_int_equal(size, count * 3001UL);
    assert_int_equal(bytes[size - 1], '\n');
    free(bytes);
    append_until_full(&store, &count); /* what is left of a page holds no line, however often it is tried */
    assert_int_equal(count, 0);
    store_close(&store);
}

static void a_full_disk_keeps_the_old_json(void **state)
{
    if (!*state) {
        print_message("SKIP: a small tmpfs cannot be mounted here\n");
        skip();
    }
    struct store store = make(unit_path("disk/run"), NULL);
    unsigned count;
    json_t *small = json_pack("{s:i}", "n", 1), *large = json_array();
    for (int i = 0; i < 100000; i++)
        json_array_append_new(large, json_integer(i));
    assert_int_equal(store_put_json(&store, "a.json", small, &err), 0);
    append_until_full(&store, &count);
    assert_int_equal(store_put_json(&store, "a.json", large, &err), -ENOSPC);
    unit_assert_text(err.text, "a.json");
    assert_int_equal(unit_count_entries(unit_path("disk/run")), 2);
    json_t *again = store_get_json(&store, "a.json", &err);
    assert_true(json_equal(again, small));
    json_decref(again);
    json_decref(small);
    json_decref(large);
    store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(out_is_made_when_absent, begin, unit_end),
        cmocka_unit_test_setup_teardown(out_is_taken_when_empty, begin, unit_end),
        cmocka_unit_test_setup_teardown(out_with_something_in_it_gets_a_run_inside, begin, unit_end),
        cmocka_unit_test_setup_teardown(without_out_a_run_lies_in_its_parent, begin, unit_end),
        cmocka_unit_test_setup_teardown(refuses_an_out_that_cannot_be, begin, unit_end),
        cmocka_unit_test_setup_teardown(reads_back_what_was_appended, begin, unit_end),
        cmocka_unit_test_setup_teardown(cuts_a_torn_tail, begin, unit_end),
        cmocka_unit_test_setup_teardown(cuts_a_file_that_is_nothing_but_torn, begin, unit_end),
        cmocka_unit_test_setup_teardown(hands_out_nothing_for_a_damaged_line, begin, unit_end),
        cmocka_unit_test_setup_teardown(has_one_writer, begin, unit_end),
        cmocka_unit_test_setup_teardown(puts_and_gets_json, begin, unit_end),
        cmocka_unit_test_setup_teardown(failed_puts_leave_nothing, begin, unit_end),
        cmocka_unit_test_setup_teardown(says_what_is_wrong_with_json, begin, unit_end),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_whole_lines, mount_small, unmount_small),
        cmocka_unit_test_setup_teardown(a_full_disk_keeps_the_old_json, mount_small, unmount_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
