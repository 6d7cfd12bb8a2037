/* SPDX-License-Identifier: MIT */
/* Whole trees of /proc and /sys: limits of control groups, and how the CPUs lie. The input is the files' contents, each
 * up to a NUL, in the order of the list. */
#include "fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "cgroup.h"
#include "layout.h"

#define CPU(n, name) "/sys/devices/system/cpu/cpu" #n "/" name
static const char *const files[] = {
    "/proc/meminfo",
    "/proc/self/cgroup",
    "/proc/self/mountinfo",
    "/sys/fs/cgroup/a/memory.max",
    "/sys/fs/cgroup/a/cpu.max",
    "/sys/fs/cgroup/memory.limit_in_bytes",
    "/sys/fs/cgroup/cpu.cfs_quota_us",
    "/sys/fs/cgroup/cpu.cfs_period_us",
    CPU(0, "topology/core_cpus_list"),
    CPU(0, "topology/package_cpus_list"),
    CPU(0, "topology/die_cpus_list"),
    CPU(0, "topology/cluster_cpus_list"),
    CPU(0, "cache/index0/level"),
    CPU(0, "cache/index0/type"),
    CPU(0, "cache/index0/shared_cpu_list"),
    CPU(0, "cpu_capacity"),
    CPU(1, "topology/core_cpus_list"),
    CPU(1, "topology/package_cpus_list"),
    CPU(1, "cpu_capacity"),
    "/sys/devices/cpu_core/cpus",
    "/sys/devices/system/node/online",
    "/sys/devices/system/node/node0/cpulist",
    "/sys/devices/system/node/node0/meminfo",
    "/sys/devices/system/node/node0/distance",
    "/sys/devices/system/node/node1/cpulist",
    "/sys/devices/system/node/node1/meminfo",
    "/sys/devices/system/node/node1/distance",
};
enum { FILES = sizeof files / sizeof *files };

static char root[512];

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status, (void)type, (void)where;
    return remove(path);
}

static void end(void)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void begin(void)
{
    const char *parent = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/faultline-fuzz-XXXXXX", parent ? parent : "/tmp");
    HOLDS(mkdtemp(root) && atexit(end) == 0);
    for (unsigned i = 0; i < FILES; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s%s", root, files[i]);
        for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
            *slash = '\0';
            mkdir(path, 0700);
            *slash = '/';
        }
    }
}

/* Most inputs differ from the one before in one file only. */
static void put(unsigned i, const void *content, size_t size)
{
    static struct {
        void *bytes;
        size_t size;
    } now[FILES];
    char path[1024];
    if (now[i].bytes && now[i].size == size && memcmp(now[i].bytes, content, size) == 0)
        return;
    free(now[i].bytes);
    now[i].bytes = fuzz_text(content, size);
    now[i].size = size;
    snprintf(path, sizeof path, "%s%s", root, files[i]);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    HOLDS(fd >= 0 && write(fd, content, size) == (ssize_t)size && close(fd) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!root[0])
        begin();
    for (unsigned i = 0; i < FILES; i++) {
        const uint8_t *stop = size ? memchr(data, 0, size) : NULL;
        size_t length = stop ? (size_t)(stop - data) : size;
        put(i, data, length);
        size_t used = length + (stop != NULL);
        data += used;
        size -= used;
    }
    struct limits limits;
    struct layout layout = {0};
    struct err err = {0};
    struct cpu_mask cpus = {0};
    CPU_SET(0, cpus.part);
    CPU_SET(1, cpus.part);
    (void)cgroup_limits(root, &limits, &err);
    HOLDS(limits.cpus_allowed > 0);
    if (layout_read(&layout, root, &cpus, NULL, &err) == 0)
        HOLDS(layout.cpu_count > 0 && layout.node_count > 0 && layout.cpu_count <= 2);
    layout_free(&layout);
    return 0;
}
