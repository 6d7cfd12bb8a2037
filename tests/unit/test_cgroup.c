/* SPDX-License-Identifier: MIT */
/* Limits of control groups, read from made-up systems of both versions. */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "cgroup.h"

static char root[64];

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/faultline-test-cgroup-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status, (void)type, (void)where;
    return remove(path);
}

static int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Writes a file of the made-up system, and the folders it lies in. */
static void put(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static struct limits read_limits(void)
{
    struct limits limits;
    struct err err = {0};
    put("/proc/meminfo", "MemTotal:        1048576 kB\nMemFree: 5 kB\n");
    if (cgroup_limits(root, &limits, &err))
        fail_msg("cgroup_limits: %s", err.text);
    assert_int_equal(limits.memory_total_bytes, UINT64_C(1) << 30);
    assert_true(limits.cpus_allowed > 0);
    return limits;
}

static void a_system_without_groups_has_no_limits(void **state)
{
    (void)state;
    struct limits limits = read_limits();
    assert_true(limits.memory_limit_bytes == LIMIT_NONE);
    assert_true(limits.cpu_quota_percent == LIMIT_NONE);
    assert_int_equal(cgroup_memory_bytes(&limits), UINT64_C(1) << 30);
}

static void version_2_takes_the_lowest_of_all_levels(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/proc/self/mountinfo", "30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
    put("/sys/fs/cgroup/a/memory.max", "134217728\n");
    put("/sys/fs/cgroup/a/b/memory.max", "max\n");
    put("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "150000 100000\n");
    struct limits limits = read_limits();
    assert_int_equal(limits.memory_limit_bytes, 134217728);
    assert_int_equal(limits.cpu_quota_percent, 150);
    assert_int_equal(cgroup_memory_bytes(&limits), 134217728);
}

static void version_1_finds_each_controller_by_its_mount(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/y/z\n1:name=systemd:/\n0::/\n");
    put("/proc/self/mountinfo", "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
                                "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                                "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "67108864\n");
    put("/sys/fs/cgroup/cpu,cpuacct/y/cpu.cfs_quota_us", "25000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/y/cpu.cfs_period_us", "50000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/y/z/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/y/z/cpu.cfs_period_us", "100000\n");
    struct limits limits = read_limits();
    assert_int_equal(limits.memory_limit_bytes, 67108864);
    assert_int_equal(limits.cpu_quota_percent, 50);
}

static void version_1_without_a_limit_says_a_huge_number(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "5:memory:/\n");
    put("/proc/self/mountinfo", "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_true(read_limits().memory_limit_bytes == LIMIT_NONE);
}

/* The kernel shows the path from its own root; in the container only what lies below the mount's root is there. */
static void a_container_sees_its_own_part_only(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "5:memory:/docker/abc/inner\n");
    put("/proc/self/mountinfo", "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n");
    put("/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "536870912\n");
    struct cgroup cgroup;
    struct err err = {0};
    char expected[128];
    assert_int_equal(read_limits().memory_limit_bytes, 268435456);
    assert_int_equal(cgroup_find(root, "memory", &cgroup, &err), 0);
    snprintf(expected, sizeof expected, "%s/sys/fs/cgroup/memory/inner", root);
    assert_string_equal(cgroup.path, expected);
    assert_int_equal(cgroup.top, strlen(expected) - strlen("/inner"));
}

static void a_group_above_the_visible_ones_does_not_end_the_search(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/../../elsewhere\n");
    put("/proc/self/mountinfo", "30 20 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/memory.max", "4096000\n");
    assert_int_equal(read_limits().memory_limit_bytes, 4096000);
}

static void a_system_without_memory_is_an_error(void **state)
{
    (void)state;
    struct limits limits;
    struct err err = {0};
    assert_int_equal(cgroup_limits(root, &limits, &err), -ENOENT);
    put("/proc/meminfo", "nonsense\n");
    assert_int_equal(cgroup_limits(root, &limits, &err), -EINVAL);
    assert_non_null(strstr(err.text, "MemTotal"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_system_without_groups_has_no_limits, make_root, remove_root),
        cmocka_unit_test_setup_teardown(version_2_takes_the_lowest_of_all_levels, make_root, remove_root),
        cmocka_unit_test_setup_teardown(version_1_finds_each_controller_by_its_mount, make_root, remove_root),
        cmocka_unit_test_setup_teardown(version_1_without_a_limit_says_a_huge_number, make_root, remove_root),
        cmocka_unit_test_setup_teardown(a_container_sees_its_own_part_only, make_root, remove_root),
        cmocka_unit_test_setup_teardown(a_group_above_the_visible_ones_does_not_end_the_search, make_root, remove_root),
        cmocka_unit_test_setup_teardown(a_system_without_memory_is_an_error, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
