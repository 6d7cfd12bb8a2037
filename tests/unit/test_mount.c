/* SPDX-License-Identifier: MIT */
/* Which mount a folder lies on, what of its options may be told, and the small files of the kernel. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "mount.h"
#include "sysfile.h"

static char folder[64], table[96];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/faultline-test-mount-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(table, sizeof table, "%s/mountinfo", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(table);
    return rmdir(folder);
}

static void put(const char *format, ...)
{
    va_list args;
    FILE *file = fopen(table, "w");
    assert_non_null(file);
    va_start(args, format);
    vfprintf(file, format, args);
    va_end(args);
    fclose(file);
}

/* No mount has the id of the real one here, so that the path decides. */
static void takes_the_longest_mount_point_above(void **state)
{
    (void)state;
    struct mount mount;
    struct err err = {0};
    put("9001 1 254:0 / / rw - ext4 /dev/a rw\n"
        "9002 1 0:9 / /tmp rw - tmpfs t rw\n"
        "9003 1 8:1 / %.20s rw - xfs /dev/not-above rw\n"
        "9004 1 8:2 / %s rw - btrfs /dev/covered rw\n"
        "9005 1 8:3 / %s rw,noatime shared:1 master:2 - f2fs /dev/b rw,mode=lfs\n",
        folder, folder, folder);
    assert_int_equal(mount_find(table, folder, &mount, &err), 0);
    assert_string_equal(mount.type, "f2fs");
    assert_string_equal(mount.point, folder);
    assert_string_equal(mount.options, "rw,noatime");
    assert_string_equal(mount.super, "rw,mode=lfs");
    assert_int_equal(mount.major, 8);
    assert_int_equal(mount.minor, 3);
    mount_free(&mount);
}

static void reads_escaped_names_and_skips_broken_lines(void **state)
{
    (void)state;
    struct mount mount;
    struct err err = {0};
    put("not a line\n9001 1 x:y / / rw - ext4 s rw\n9002 1 8:1 /with\\040space /\\057\\134 rw - ext4 s rw\n"
        "9003 1 8:1 / / rw - ext4 a\\011b rw\n");
    assert_int_equal(mount_find(table, folder, &mount, &err), 0);
    assert_int_equal(mount.id, 9003);
    assert_string_equal(mount.source, "a\tb");
    mount_free(&mount);
}

static void says_when_nothing_matches(void **state)
{
    (void)state;
    struct mount mount;
    struct err err = {0};
    put("");
    assert_int_equal(mount_find(table, folder, &mount, &err), -ENOENT);
    assert_int_equal(mount_find(table, "/nonexistent", &mount, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent"));
}

static void options_tell_nothing_about_people_and_places(void **state)
{
    (void)state;
    static char options[] = "rw,noatime",
                super[] = "vers=4.2,rw,addr=10.1.2.3,username=alice,lowerdir=rel:/home/alice,"
                          "journal_path=/dev/disk/by-uuid/1234,sec=krb5p,compress=zstd:3,uuid=ab";
    const struct mount mount = {.options = options, .super = super};
    char *text = mount_options(&mount);
    assert_string_equal(text, "addr=*,compress=zstd:3,journal_path=*,lowerdir=*,noatime,rw,sec=krb5p,username=*,uuid=*,"
                              "vers=4.2");
    free(text);
}

static void finds_what_the_kernel_says_about_this_folder(void **state)
{
    (void)state;
    struct mount mount;
    struct err err = {0};
    struct stat status;
    assert_int_equal(mount_find("/proc/self/mountinfo", folder, &mount, &err), 0);
    if (strcmp(mount.type, "btrfs") == 0) {
        mount_free(&mount);
        print_message("SKIP: btrfs shows other device numbers in stat than in mountinfo\n");
        skip();
    }
    assert_int_equal(stat(folder, &status), 0);
    assert_int_equal(mount.major, major(status.st_dev));
    assert_int_equal(mount.minor, minor(status.st_dev));
    mount_free(&mount);
}

static void a_value_is_number_choice_or_text(void **state)
{
    (void)state;
    struct err err = {0};
    const struct {
        const char *line;
        json_t *value;
    } cases[] = {{"42", json_integer(42)},
                 {"-1", json_integer(-1)},
                 {"always [madvise] never", json_string("madvise")},
                 {"0x0007", json_string("0x0007")},
                 {"write back", json_string("write back")},
                 {"", json_string("")}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *value = sysfile_value(cases[i].line, &err);
        assert_true(json_equal(value, cases[i].value));
        json_decref(value);
        json_decref(cases[i].value);
    }
    assert_null(sysfile_value("\xff", &err));
    assert_non_null(strstr(err.text, "UTF-8"));
}

static void a_list_counts_its_numbers(void **state)
{
    (void)state;
    struct err err = {0};
    unsigned count;
    assert_int_equal(sysfile_list_count("0-3,8,10-11", &count, &err), 0);
    assert_int_equal(count, 7);
    assert_int_equal(sysfile_list_count("0", &count, &err), 0);
    assert_int_equal(count, 1);
    assert_int_equal(sysfile_list_count("3-1", &count, &err), -EINVAL);
    assert_int_equal(sysfile_list_count("x", &count, &err), -EINVAL);
}

static void a_number_is_nothing_else(void **state)
{
    (void)state;
    struct err err = {0};
    int64_t value;
    put("0x10\n");
    assert_int_equal(sysfile_number(&value, &err, "%s", table), 0);
    assert_int_equal(value, 16);
    put("max\n");
    assert_int_equal(sysfile_number(&value, &err, "%s", table), -EINVAL);
    assert_non_null(strstr(err.text, "'max'"));
    assert_int_equal(sysfile_number(&value, &err, "%s/none", folder), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_longest_mount_point_above),
        cmocka_unit_test(reads_escaped_names_and_skips_broken_lines),
        cmocka_unit_test(says_when_nothing_matches),
        cmocka_unit_test(options_tell_nothing_about_people_and_places),
        cmocka_unit_test(finds_what_the_kernel_says_about_this_folder),
        cmocka_unit_test(a_value_is_number_choice_or_text),
        cmocka_unit_test(a_list_counts_its_numbers),
        cmocka_unit_test(a_number_is_nothing_else),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
