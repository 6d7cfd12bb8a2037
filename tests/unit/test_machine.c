/* SPDX-License-Identifier: MIT */
/* The fingerprint: stable, complete or with reasons, and silent about people and serial numbers. */
#include <errno.h>
#include <glob.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fnv.h"
#include "machine.h"
#include "probe.h"

static struct topology *place;
static char folder[64];

static int begin(void **state)
{
    struct err err;
    (void)state;
    strcpy(folder, "/tmp/faultline-test-machine-XXXXXX");
    return mkdtemp(folder) && place_load(&place, &err) == 0 ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    place_free(place);
    return rmdir(folder); /* fails when a probe left something behind */
}

static json_t *fingerprint(const char *directory, const char *name)
{
    struct machine_options options = {.directory = directory, .name = name};
    struct err err = {0};
    json_t *machine = machine_fingerprint(place, &options, &err);
    if (!machine)
        fail_msg("machine_fingerprint: %s", err.text);
    return machine;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

static void hash_function_is_fnv_1a(void **state)
{
    (void)state;
    assert_true(fnv_add(FNV_START, "", 0) == UINT64_C(0xcbf29ce484222325));
    assert_true(fnv_add(FNV_START, "foobar", 6) == UINT64_C(0x85944171f73967e8));
}

static void same_conditions_same_hash(void **state)
{
    (void)state;
    json_t *first = fingerprint(folder, NULL);
    char *ballast = malloc(64 << 20); /* what is free changes; what the hash covers must not */
    assert_non_null(ballast);
    memset(ballast, 1, 64 << 20);
    json_t *second = fingerprint(folder, "another name");
    free(ballast);
    assert_string_equal(text_of(first, "hash"), text_of(second, "hash"));
    assert_true(json_equal(json_object_get(first, "blocking"), json_object_get(second, "blocking")));
    assert_string_equal(text_of(second, "name"), "another name");
    assert_string_equal(text_of(first, "boot_id"), text_of(second, "boot_id"));
    json_decref(first);
    json_decref(second);
}

static void hash_covers_blocking_alone(void **state)
{
    (void)state;
    char expected[FNV_TEXT_SIZE];
    json_t *machine = fingerprint(folder, NULL);
    char *text = json_dumps(json_object_get(machine, "blocking"), JSON_COMPACT | JSON_SORT_KEYS);
    fnv_text(fnv_add(FNV_START, text, strlen(text)), expected);
    assert_string_equal(text_of(machine, "hash"), expected);
    free(text);
    json_decref(machine);
}

/* Every null of the object is explained, under its full key. Returns how many there are. */
static size_t explained_nulls(const json_t *object, const char *prefix, const json_t *unknown)
{
    size_t nulls = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        char full[256];
        snprintf(full, sizeof full, "%s%s", prefix, key);
        if (json_is_object(value) && !*prefix) {
            char inner[256];
            snprintf(inner, sizeof inner, "%.200s.", key);
            nulls += explained_nulls(value, inner, unknown);
        } else if (json_is_null(value)) {
            const char *reason = json_string_value(json_object_get(unknown, full));
            if (!reason || !*reason)
                fail_msg("%s is null without a reason", full);
            nulls++;
        }
    }
    return nulls;
}

static void what_cannot_be_read_has_a_reason(void **state)
{
    (void)state;
    json_t *machine = fingerprint(folder, NULL), *unknown = json_object_get(machine, "unknown");
    size_t nulls = explained_nulls(json_object_get(machine, "blocking"), "", unknown) +
                   explained_nulls(json_object_get(machine, "informational"), "", unknown);
    assert_int_equal(nulls, json_object_size(unknown));
    json_decref(machine);
}

static void each_feature_works_or_says_why_not(void **state)
{
    (void)state;
    json_t *machine = fingerprint(folder, NULL), *available = json_object_get(machine, "available"), *answer;
    const char *name;
    assert_true(json_object_size(available) > 20);
    json_object_foreach(available, name, answer)
    {
        const char *reason = json_string_value(answer);
        if (!json_is_true(answer) && (!reason || !*reason))
            fail_msg("%s has neither an answer nor a reason", name);
        if (reason && strstr(reason, "ended the process"))
            fail_msg("%s: %s", name, reason);
    }
    /* On any Linux since 4.6, on any filesystem. */
    assert_true(json_is_true(json_object_get(available, "preadv2")));
    assert_true(json_is_true(json_object_get(available, "hwloc")));
    json_decref(machine);
}

/* What hangs on free memory may change from one moment to the next; nothing else may. */
static json_t *lasting_answers(void)
{
    static const char *const momentary[] = {"hugetlb", "madv_hugepage", "madv_collapse"};
    struct err err = {0};
    json_t *available = probe_all(folder, &err);
    for (size_t i = 0; i < sizeof momentary / sizeof *momentary; i++)
        assert_int_equal(json_object_del(available, momentary[i]), 0);
    return available;
}

static void answers_do_not_change(void **state)
{
    (void)state;
    json_t *first = lasting_answers();
    for (int i = 0; i < 5; i++) {
        json_t *again = lasting_answers();
        assert_true(json_equal(first, again));
        json_decref(again);
    }
    json_decref(first);
}

static void must_not_match(const char *text, const char *pattern, const char *what)
{
    regex_t regex;
    regmatch_t found;
    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_ICASE), 0);
    if (regexec(&regex, text, 1, &found, 0) == 0)
        fail_msg("%s: %.*s", what, (int)(found.rm_eo - found.rm_so), text + found.rm_so);
    regfree(&regex);
}

/* The contents of these files must not be in the text. */
static void must_not_hold_files(const char *text, const char *pattern)
{
    glob_t found;
    if (glob(pattern, 0, NULL, &found))
        return;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char line[256] = "";
        FILE *file = fopen(found.gl_pathv[i], "r");
        if (!file)
            continue;
        if (fgets(line, sizeof line, file))
            line[strcspn(line, "\n")] = '\0';
        fclose(file);
        if (strlen(line) >= 6 && strstr(text, line)) /* shorter ones, such as "0" or "None", are in any text */
            fail_msg("the content of %s is in the fingerprint", found.gl_pathv[i]);
    }
    globfree(&found);
}

static void must_not_hold_names(const char *text, const char *pattern)
{
    glob_t found;
    if (glob(pattern, 0, NULL, &found))
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (strstr(text, strrchr(found.gl_pathv[i], '/') + 1))
            fail_msg("%s is in the fingerprint", found.gl_pathv[i]);
    globfree(&found);
}

static void tells_no_serials_addresses_or_names(void **state)
{
    (void)state;
    char host[256] = "";
    json_t *machine = fingerprint(folder, "replaced");
    json_object_del(machine, "boot_id"); /* identifies a boot, by intent */
    char *text = json_dumps(machine, JSON_INDENT(1));
    must_not_match(text, "([0-9a-f]{2}:){5}[0-9a-f]{2}", "looks like a MAC address");
    must_not_match(text, "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "looks like a UUID");
    must_not_match(text, "serial\":|asset_tag\":", "a key that should not be there");
    must_not_match(text, "/home/", "a path of a person");
    must_not_hold_files(text, "/sys/class/dmi/id/*serial");
    must_not_hold_files(text, "/sys/class/dmi/id/product_uuid");
    must_not_hold_files(text, "/sys/class/net/e*/address");
    must_not_hold_files(text, "/sys/block/*/device/serial");
    must_not_hold_files(text, "/etc/machine-id");
    must_not_hold_names(text, "/dev/disk/by-uuid/*");
    gethostname(host, sizeof host - 1);
    if (strlen(host) >= 6)
        assert_null(strstr(text, host));
    free(text);
    json_decref(machine);
}

static void describes_the_filesystem_of_the_folder(void **state)
{
    (void)state;
    struct statfs status;
    if (statfs("/dev/shm", &status) || status.f_type != TMPFS_MAGIC || access("/dev/shm", W_OK)) {
        print_message("SKIP: /dev/shm is no tmpfs that can be written here\n");
        skip();
    }
    json_t *machine = fingerprint("/dev/shm", NULL), *blocking = json_object_get(machine, "blocking");
    assert_string_equal(text_of(json_object_get(blocking, "filesystem"), "type"), "tmpfs");
    assert_true(json_is_null(json_object_get(blocking, "read_ahead_kb")));
    assert_true(json_is_true(json_object_get(json_object_get(machine, "available"), "mincore")));
    json_decref(machine);
}

static void agrees_with_the_affinity(void **state)
{
    (void)state;
    json_t *machine = fingerprint(folder, NULL);
    json_t *cpus = json_object_get(json_object_get(machine, "blocking"), "cpus");
    assert_int_equal(json_integer_value(json_object_get(cpus, "allowed")), place_cpu_count(place));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(machine, "topology"), "cpus")),
                     place_cpu_count(place));
    json_decref(machine);
}

static void refuse(const char *directory, int code)
{
    struct machine_options options = {.directory = directory};
    struct err err = {0};
    assert_null(machine_fingerprint(place, &options, &err));
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.text, directory));
}

static void refuses_what_is_no_folder(void **state)
{
    (void)state;
    refuse("/nonexistent/folder", ENOENT);
    refuse("/proc/self/status", ENOTDIR);
}

static void a_folder_that_cannot_be_written_is_a_reason(void **state)
{
    (void)state;
    struct err err = {0};
    json_t *available = probe_all("/proc", &err);
    const char *reason = text_of(available, "cachestat");
    assert_non_null(strstr(reason, "no file can be made in /proc"));
    assert_true(json_is_true(json_object_get(available, "hwloc")));
    json_decref(available);
}

/* Kills this process when it asks for io_uring, as service managers do with their filters. */
static int forbid_io_uring(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 425, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof rules / sizeof *rules, .filter = rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

static void a_filter_that_kills_is_an_answer(void **state)
{
    enum { RIGHT, NO_FILTER, NO_ANSWER, WRONG_ANSWER };
    int status;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct err err = {0};
        if (forbid_io_uring())
            _exit(NO_FILTER);
        json_t *available = probe_all(folder, &err);
        const char *reason = available ? json_string_value(json_object_get(available, "io_uring")) : NULL;
        _exit(!available ? NO_ANSWER : reason && strstr(reason, "ended the process") ? RIGHT : WRONG_ANSWER);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_FILTER) {
        print_message("SKIP: system call filters cannot be set here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), RIGHT);
}

static void leaves_no_process_behind(void **state)
{
    (void)state;
    json_decref(fingerprint(folder, NULL));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* All of it, in lines that a terminal shows whole. */
static void prints_for_a_person(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size;
    json_t *machine = fingerprint(folder, NULL), *available = json_object_get(machine, "available"), *answer;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    machine_print(machine, stream);
    fclose(stream);
    assert_non_null(strstr(text, text_of(machine, "hash")));
    const char *name;
    json_object_foreach(available, name, answer)
    {
        (void)answer;
        assert_non_null(strstr(text, name));
    }
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 100);
    free(text);
    json_decref(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_function_is_fnv_1a),
        cmocka_unit_test(same_conditions_same_hash),
        cmocka_unit_test(hash_covers_blocking_alone),
        cmocka_unit_test(what_cannot_be_read_has_a_reason),
        cmocka_unit_test(each_feature_works_or_says_why_not),
        cmocka_unit_test(answers_do_not_change),
        cmocka_unit_test(tells_no_serials_addresses_or_names),
        cmocka_unit_test(describes_the_filesystem_of_the_folder),
        cmocka_unit_test(agrees_with_the_affinity),
        cmocka_unit_test(refuses_what_is_no_folder),
        cmocka_unit_test(a_folder_that_cannot_be_written_is_a_reason),
        cmocka_unit_test(a_filter_that_kills_is_an_answer),
        cmocka_unit_test(leaves_no_process_behind),
        cmocka_unit_test(prints_for_a_person),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
