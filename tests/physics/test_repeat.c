/* SPDX-License-Identifier: MIT */
/* Two runs of the program with the same seed count the same: every exact counter of every arm of every trial. */
#include "physics.h"

#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <limits.h>
#include <sys/wait.h>

#include "record.h"

static const char scenario[] =
    "question: Do counts repeat?\n"
    "op: block read\n"
    "common: {backing: file, file_bytes: 4MiB, recipe: write-4KiB, arm_time: 2ms, latency: none, count_ops: 200}\n"
    "vary:\n"
    "  cache: [warm, cold]\n"
    "  pattern: [sequential, random]\n"
    "  working_set_bytes: [1MiB, 4MiB]\n"
    "exclude:\n"
    "  - {cache: cold, pattern: sequential}\n"
    "arms:\n"
    "  - {name: pread, method: pread, buffer: reused, advice: random}\n"
    "  - {name: fresh, method: pread, buffer: fresh, advice: random}\n"
    "  - {name: mapped, method: mmap, lifetime: kept, advice: random}\n"
    "  - {name: mapped-per-pass, method: mmap, lifetime: per_pass, touches: 50, advice: random}\n"
    "  - {name: first, method: first_touch, advice: random}\n"
    "profiles:\n"
    "  quick: {trials: 3}\n";

static char folder[] = "/tmp/faultline-repeat-XXXXXX";

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static int begin(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* The program that was built beside this test. */
static void program_path(char *path, size_t size)
{
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    assert_true(length > 0);
    own[length] = '\0';
    snprintf(path, size, "%s/../faultline", dirname(own));
    if (access(path, X_OK))
        physics_skip("%s: %s", path, strerror(errno));
}

static void run_program(const char *program, const char *yaml, const char *out)
{
    int status;
    pid_t pid = fork();
    assert_int_not_equal(pid, -1);
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, STDOUT_FILENO);
        execl(program, "faultline", "run", yaml, "--profile", "quick", "--seed", "11", "--no-report", "--quiet",
              "--out", out, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    /* 5: an arm failed, as one may whose pages were taken by others; how many, the test sees in the records. */
    if (WEXITSTATUS(status) != 5)
        assert_int_equal(WEXITSTATUS(status), 0);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* The records of a run by "cell/trial". */
static json_t *records_of(const char *run)
{
    char path[PATH_MAX], key[CELL_ID_SIZE + 32], *line = NULL;
    size_t size = 0;
    json_t *records = json_object();
    snprintf(path, sizeof path, "%.200s/trials.jsonl", run);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    for (ssize_t length; (length = getline(&line, &size, file)) > 0;) {
        json_t *record = record_parse(line, (size_t)length - 1);
        assert_non_null(record);
        snprintf(key, sizeof key, "%s/%lld", text_of(record, "cell"),
                 (long long)json_integer_value(json_object_get(record, "trial")));
        json_object_set_new(records, key, record);
    }
    free(line);
    fclose(file);
    return records;
}

static unsigned compare_arm(const char *record, const json_t *a, const json_t *b)
{
    const json_t *counts_a = json_object_get(a, "counts"), *counts_b = json_object_get(b, "counts");
    unsigned compared = 0;
    if (strcmp(text_of(a, "status"), "ok") != 0 || strcmp(text_of(b, "status"), "ok") != 0) {
        print_message("%s, %s: %s%s\n", record, text_of(a, "name"), text_of(a, "reason"), text_of(b, "reason"));
        return 0;
    }
    assert_string_equal(text_of(a, "name"), text_of(b, "name"));
    assert_string_equal(text_of(a, "checksum"), text_of(b, "checksum"));
    assert_true(json_equal(json_object_get(counts_a, "ops"), json_object_get(counts_b, "ops")));
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        const json_t *x = json_object_get(counts_a, counter_table[i].name);
        const json_t *y = json_object_get(counts_b, counter_table[i].name);
        if (counter_table[i].exactness != COUNTER_EXACT)
            continue;
        if (!json_equal(x, y))
            fail_msg("%s, %s: %s %lld, then %lld", record, text_of(a, "name"), counter_table[i].name,
                     (long long)json_integer_value(x), (long long)json_integer_value(y));
        compared += !json_is_null(x);
    }
    return compared;
}

static void same_seed_same_counts(void **state)
{
    char program[PATH_MAX + 32], yaml[128], out[2][128];
    json_t *records[2], *arm, *record;
    const char *key;
    size_t a;
    unsigned compared = 0, arms = 0;
    (void)state;
    physics_need_exact_counts();
    program_path(program, sizeof program);
    snprintf(yaml, sizeof yaml, "%s/repeat.yaml", folder);
    FILE *file = fopen(yaml, "we");
    assert_non_null(file);
    assert_true(fputs(scenario, file) >= 0 && fclose(file) == 0);
    for (int run = 0; run < 2; run++) {
        snprintf(out[run], sizeof out[run], "%s/run-%d", folder, run);
        run_program(program, yaml, out[run]);
        records[run] = records_of(out[run]);
    }
    assert_int_equal(json_object_size(records[0]), 6 * 3);
    assert_int_equal(json_object_size(records[1]), 6 * 3);
    json_object_foreach(records[0], key, record)
    {
        const json_t *other = json_object_get(records[1], key);
        assert_true(json_equal(json_object_get(record, "seed"), json_object_get(other, "seed")));
        json_array_foreach(json_object_get(record, "arms"), a, arm)
        {
            unsigned now = compare_arm(key, arm, json_array_get(json_object_get(other, "arms"), a));
            compared += now;
            arms += now > 0;
        }
    }
    print_message("%u exact counts of %u arms compared\n", compared, arms);
    assert_in_range(arms, 6 * 3 * 6 * 3 / 4, 6 * 3 * 6);
    json_decref(records[0]);
    json_decref(records[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(same_seed_same_counts, begin, end)};
    return physics_run(tests);
}
