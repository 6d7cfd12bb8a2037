/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "survey.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>

#include "build.h"
#include "clock.h"
#include "cpu.h"
#include "fnv.h"
#include "probe.h"
#include "sysfile.h"

enum { MEMORY_GRAIN = 16 * 1024 * 1024 }; /* MemTotal differs by some pages from boot to boot */

/* Reads one value: new reference, or NULL with the reason. */
typedef json_t *survey_read(const struct survey *survey, const char *argument, struct err *why);

struct survey_row {
    const char *key; /* "thp.enabled" becomes "enabled" in the object "thp" */
    survey_read *read;
    const char *argument;
};

static json_t *read_given(const struct survey *survey, const char *argument, struct err *why)
{
    (void)survey;
    return sysfile_text(argument, why);
}

static json_t *read_file(const struct survey *survey, const char *argument, struct err *why)
{
    (void)survey;
    return sysfile_json(argument, why);
}

static json_t *read_glob(const struct survey *survey, const char *argument, struct err *why)
{
    (void)survey;
    return sysfile_glob(argument, why);
}

/* The one value that all files of a pattern hold, or the list of the different ones. */
static json_t *read_distinct(const struct survey *survey, const char *argument, struct err *why)
{
    json_t *all = read_glob(survey, argument, why), *distinct = json_array(), *value, *old;
    const char *key;
    size_t i;
    json_object_foreach(all, key, value)
    {
        bool known = false;
        json_array_foreach(distinct, i, old)
        {
            known = known || json_equal(old, value);
        }
        if (!known)
            json_array_append(distinct, value);
    }
    json_t *result = !all                             ? NULL
                     : json_array_size(distinct) == 1 ? json_incref(json_array_get(distinct, 0))
                                                      : json_incref(distinct);
    json_decref(distinct);
    json_decref(all);
    return result;
}

static json_t *read_architecture(const struct survey *survey, const char *argument, struct err *why)
{
    (void)argument;
    return sysfile_text(survey->system.machine, why);
}

static json_t *read_release(const struct survey *survey, const char *argument, struct err *why)
{
    (void)argument;
    return sysfile_text(survey->system.release, why);
}

static json_t *read_kernel_build(const struct survey *survey, const char *argument, struct err *why)
{
    (void)argument;
    return sysfile_text(survey->system.version, why);
}

static json_t *read_page_bytes(const struct survey *survey, const char *argument, struct err *why)
{
    (void)survey, (void)argument, (void)why;
    return json_integer(sysconf(_SC_PAGESIZE));
}

static json_t *read_cpu_model(const struct survey *survey, const char *argument, struct err *why)
{
    (void)survey, (void)argument;
    return cpu_model(why);
}

static json_t *read_virtualisation(const struct survey *survey, const char *argument, struct err *why)
{
    (void)survey, (void)argument;
    return cpu_virtualisation(why);
}

static json_t *read_nested_paging(const struct survey *survey, const char *argument, struct err *why)
{
    (void)survey, (void)argument;
    return cpu_nested_paging(why);
}

static json_t *read_cpuinfo(const struct survey *survey, const char *argument, struct err *why)
{
    char value[512];
    (void)survey;
    return cpu_line(argument, value, sizeof value, why) ? NULL : sysfile_text(value, why);
}

/* Whether something gathered is there; otherwise its reason is handed on. */
static bool is_known(const struct err *err, struct err *why)
{
    if (err->code)
        *why = *err;
    return !err->code;
}

static json_t *read_filesystem_type(const struct survey *survey, const char *argument, struct err *why)
{
    (void)argument;
    return is_known(&survey->mount_err, why) ? sysfile_text(survey->mount.type, why) : NULL;
}

static json_t *read_filesystem_options(const struct survey *survey, const char *argument, struct err *why)
{
    (void)argument;
    if (!is_known(&survey->mount_err, why))
        return NULL;
    char *options = mount_options(&survey->mount);
    json_t *value = sysfile_text(options ? options : "", why);
    free(options);
    return value;
}

static json_t *read_filesystem_block(const struct survey *survey, const char *argument, struct err *why)
{
    struct statvfs status;
    (void)argument;
    if (statvfs(survey->directory, &status) == 0)
        return json_integer((json_int_t)status.f_bsize);
    err_sys(why, "statvfs %s", survey->directory);
    return NULL;
}

static json_t *read_read_ahead(const struct survey *survey, const char *argument, struct err *why)
{
    int64_t kb;
    (void)argument;
    if (!is_known(&survey->mount_err, why) || mount_read_ahead_kb(&survey->mount, &survey->disks, &kb, why))
        return NULL;
    return json_integer(kb);
}

/* Devices from the filesystem's own down to the lowest that can be seen. */
static json_t *read_disks(const struct survey *survey, const char *argument, struct err *why)
{
    (void)argument;
    if (!is_known(&survey->disks_err, why))
        return NULL;
    json_t *names = json_array();
    for (unsigned i = 0; i < survey->disks.count; i++)
        json_array_append_new(names, json_string(survey->disks.name[i]));
    return names;
}

/* A file below the folder of the lowest device. */
static json_t *read_disk_file(const struct survey *survey, const char *argument, struct err *why)
{
    char path[SYSFILE_PATH_SIZE];
    if (!is_known(&survey->disks_err, why))
        return NULL;
    snprintf(path, sizeof path, "/sys/block/%s/%s", survey->disks.name[survey->disks.count - 1], argument);
    return sysfile_json(path, why);
}

/* Alignment that direct I/O wants on this filesystem; only a file tells, a folder does not. */
static json_t *read_direct_alignment(const struct survey *survey, const char *argument, struct err *why)
{
    (void)argument;
    json_t *value = NULL;
#ifdef STATX_DIOALIGN
    struct statx status;
    int fd = probe_file(survey->directory, why);
    if (fd < 0)
        return NULL;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status))
        err_sys(why, "statx");
    else if (!(status.stx_mask & STATX_DIOALIGN))
        err_set(why, ENOTSUP, "the filesystem does not tell");
    else
        value = json_pack("{s:i, s:i}", "memory_bytes", (int)status.stx_dio_mem_align, "offset_bytes",
                          (int)status.stx_dio_offset_align);
    close(fd);
#else
    (void)survey;
    err_set(why, ENOTSUP, "built with headers that do not know it");
#endif
    return value;
}

static json_t *read_list_count(const struct survey *survey, const char *argument, struct err *why)
{
    char list[1024];
    unsigned count;
    (void)survey;
    if (sysfile_line(list, sizeof list, why, "%s", argument) || sysfile_list_count(list, &count, why))
        return NULL;
    return json_integer(count);
}

static json_t *limit_or_none(uint64_t value)
{
    return value == LIMIT_NONE ? json_string("none") : json_integer((json_int_t)value);
}

static json_t *read_memory_total(const struct survey *survey, const char *argument, struct err *why)
{
    (void)argument;
    if (!is_known(&survey->limits_err, why))
        return NULL;
    uint64_t grains = (survey->limits.memory_total_bytes + MEMORY_GRAIN / 2) / MEMORY_GRAIN;
    return json_integer((json_int_t)(grains * MEMORY_GRAIN));
}

static json_t *read_memory_limit(const struct survey *survey, const char *argument, struct err *why)
{
    (void)argument;
    return is_known(&survey->limits_err, why) ? limit_or_none(survey->limits.memory_limit_bytes) : NULL;
}

static json_t *read_memory_effective(const struct survey *survey, const char *argument, struct err *why)
{
    (void)argument;
    return is_known(&survey->limits_err, why) ? json_integer((json_int_t)cgroup_memory_bytes(&survey->limits)) : NULL;
}

static json_t *read_cpus_allowed(const struct survey *survey, const char *argument, struct err *why)
{
    (void)argument;
    if (survey->limits.cpus_allowed)
        return json_integer(survey->limits.cpus_allowed);
    *why = survey->limits_err;
    return NULL;
}

static json_t *read_cpu_quota(const struct survey *survey, const char *argument, struct err *why)
{
    (void)argument;
    return is_known(&survey->limits_err, why) ? limit_or_none(survey->limits.cpu_quota_percent) : NULL;
}

/* Hash of the text of the kernel's configuration; zlib reads a plain file as well as a compressed one. */
static json_t *read_kernel_config(const struct survey *survey, const char *argument, struct err *why)
{
    char path[PATH_MAX], chunk[8192];
    (void)argument;
    snprintf(path, sizeof path, "/boot/config-%s", survey->system.release);
    gzFile file = gzopen(access(path, R_OK) == 0 ? path : "/proc/config.gz", "re");
    if (!file) {
        err_set(why, ENOENT, "neither %s nor /proc/config.gz can be read", path);
        return NULL;
    }
    uint64_t hash = FNV_START;
    int got;
    while ((got = gzread(file, chunk, sizeof chunk)) > 0)
        hash = fnv_add(hash, chunk, (size_t)got);
    gzclose(file);
    if (got == 0) {
        char text[FNV_TEXT_SIZE];
        fnv_text(hash, text);
        return json_string(text);
    }
    err_set(why, EIO, "the kernel's configuration cannot be unpacked");
    return NULL;
}

/* Kinds and sizes, not the paths. */
static json_t *read_swap(const struct survey *survey, const char *argument, struct err *why)
{
    char *line = NULL, type[32];
    size_t room = 0;
    uint64_t kb;
    FILE *file = fopen("/proc/swaps", "re");
    (void)survey, (void)argument;
    if (!file) {
        err_sys(why, "/proc/swaps");
        return NULL;
    }
    json_t *areas = json_array();
    while (getline(&line, &room, file) > 0)
        if (sscanf(line, "%*s %31s %" SCNu64, type, &kb) == 2)
            json_array_append_new(areas, json_pack("{s:s, s:I}", "type", type, "bytes", (json_int_t)(kb * 1024)));
    free(line);
    fclose(file);
    return areas;
}

/* The argument is the name of a /proc/meminfo line; bytes. */
static json_t *read_meminfo(const struct survey *survey, const char *argument, struct err *why)
{
    char line[256];
    size_t length = strlen(argument);
    FILE *file = fopen("/proc/meminfo", "re");
    json_t *value = NULL;
    (void)survey;
    if (!file) {
        err_sys(why, "/proc/meminfo");
        return NULL;
    }
    while (!value && fgets(line, sizeof line, file))
        if (strncmp(line, argument, length) == 0 && line[length] == ':')
            value = json_integer(strtoll(line + length + 1, NULL, 10) * 1024);
    fclose(file);
    if (!value)
        err_set(why, ENOENT, "/proc/meminfo has no line %s", argument);
    return value;
}

/* Time the host ran something else, and all time, since boot, in clock ticks summed over CPUs. */
static json_t *read_steal(const struct survey *survey, const char *argument, struct err *why)
{
    char line[512];
    int64_t t[8];
    (void)survey, (void)argument;
    if (sysfile_line(line, sizeof line, why, "/proc/stat"))
        return NULL;
    if (sscanf(line, "cpu %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64,
               &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) != 8) {
        err_set(why, EINVAL, "/proc/stat does not show it");
        return NULL;
    }
    int64_t all = 0;
    for (int i = 0; i < 8; i++)
        all += t[i];
    return json_pack("{s:I, s:I}", "steal_ticks", (json_int_t)t[7], "all_ticks", (json_int_t)all);
}

static json_t *read_load(const struct survey *survey, const char *argument, struct err *why)
{
    double load;
    (void)survey, (void)argument;
    if (getloadavg(&load, 1) == 1)
        return json_real(load);
    err_set(why, ENOENT, "the system does not tell its load");
    return NULL;
}

static json_t *read_clock(const struct survey *survey, const char *argument, struct err *why)
{
    (void)survey, (void)argument, (void)why;
    struct clock_quality quality = clock_measure();
    return json_pack("{s:I, s:I}", "cost_ns", (json_int_t)quality.cost_ns, "grid_ns", (json_int_t)quality.grid_ns);
}

/* Two machines that differ in one of these are not compared unless the user says that this is what varies. */
static const struct survey_row blocking_rows[] = {
    {"architecture", read_architecture, NULL},
    {"page_bytes", read_page_bytes, NULL},
    {"cpu_model", read_cpu_model, NULL},
    {"microcode", read_cpuinfo, "microcode"},
    {"kernel_release", read_release, NULL},
    {"thp.enabled", read_file, "/sys/kernel/mm/transparent_hugepage/enabled"},
    {"thp.defrag", read_file, "/sys/kernel/mm/transparent_hugepage/defrag"},
    {"thp.shmem", read_file, "/sys/kernel/mm/transparent_hugepage/shmem_enabled"},
    {"mitigations", read_glob, "/sys/devices/system/cpu/vulnerabilities/*"},
    {"filesystem.type", read_filesystem_type, NULL},
    {"filesystem.options", read_filesystem_options, NULL},
    {"filesystem.block_bytes", read_filesystem_block, NULL},
    {"read_ahead_kb", read_read_ahead, NULL},
    {"governor", read_distinct, "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"},
    {"boost", read_file, "/sys/devices/system/cpu/cpufreq/boost"},
    {"no_turbo", read_file, "/sys/devices/system/cpu/intel_pstate/no_turbo"},
    {"numa_nodes", read_list_count, "/sys/devices/system/node/online"},
    {"memory.total_bytes", read_memory_total, NULL},
    {"memory.limit_bytes", read_memory_limit, NULL},
    {"cpus.allowed", read_cpus_allowed, NULL},
    {"cpus.quota_percent", read_cpu_quota, NULL},
    {"virtualisation", read_virtualisation, NULL},
    {"tool.version", read_given, FAULTLINE_VERSION},
    {"tool.build", read_given, FAULTLINE_BUILD},
    {"compiler", read_given, FAULTLINE_COMPILER},
    {"flags", read_given, FAULTLINE_FLAGS},
};

/* Recorded because they may explain a difference; they also change while a machine runs. */
static const struct survey_row informational_rows[] = {
    {"kernel_build", read_kernel_build, NULL},
    {"kernel_config_hash", read_kernel_config, NULL},
    {"instance_type.vendor", read_file, "/sys/class/dmi/id/sys_vendor"},
    {"instance_type.product", read_file, "/sys/class/dmi/id/product_name"},
    {"bios_version", read_file, "/sys/class/dmi/id/bios_version"},
    {"nested_paging", read_nested_paging, NULL},
    {"smt_active", read_file, "/sys/devices/system/cpu/smt/active"},
    {"cpus_online", read_list_count, "/sys/devices/system/cpu/online"},
    {"isolated_cpus", read_file, "/sys/devices/system/cpu/isolated"},
    {"nohz_full", read_file, "/sys/devices/system/cpu/nohz_full"},
    {"frequency_driver", read_distinct, "/sys/devices/system/cpu/cpu*/cpufreq/scaling_driver"},
    {"idle_driver", read_file, "/sys/devices/system/cpu/cpuidle/current_driver"},
    {"numa_balancing", read_file, "/proc/sys/kernel/numa_balancing"},
    {"mglru.enabled", read_file, "/sys/kernel/mm/lru_gen/enabled"},
    {"mglru.min_ttl_ms", read_file, "/sys/kernel/mm/lru_gen/min_ttl_ms"},
    {"mthp", read_glob, "/sys/kernel/mm/transparent_hugepage/hugepages-*/enabled"},
    {"hugetlb_pages", read_glob, "/sys/kernel/mm/hugepages/*/nr_hugepages"},
    {"ksm", read_file, "/sys/kernel/mm/ksm/run"},
    {"damon.kdamonds", read_glob, "/sys/kernel/mm/damon/admin/kdamonds/*/state"},
    {"damon.actions", read_glob, "/sys/kernel/mm/damon/admin/kdamonds/0/contexts/0/schemes/*/action"},
    {"damon.reclaim", read_glob, "/sys/module/damon_reclaim/parameters/*"},
    {"damon.lru_sort", read_glob, "/sys/module/damon_lru_sort/parameters/*"},
    {"page_reporting_order", read_file, "/sys/module/page_reporting/parameters/page_reporting_order"},
    {"fault_around_bytes", read_file, "/sys/kernel/debug/fault_around_bytes"},
    {"swap", read_swap, NULL},
    {"zswap", read_glob, "/sys/module/zswap/parameters/*"},
    {"swappiness", read_file, "/proc/sys/vm/swappiness"},
    {"overcommit_memory", read_file, "/proc/sys/vm/overcommit_memory"},
    {"memory_effective_bytes", read_memory_effective, NULL},
    {"memory_free_bytes", read_meminfo, "MemFree"},
    {"memory_available_bytes", read_meminfo, "MemAvailable"},
    {"dirty.bytes", read_file, "/proc/sys/vm/dirty_bytes"},
    {"dirty.ratio", read_file, "/proc/sys/vm/dirty_ratio"},
    {"dirty.background_bytes", read_file, "/proc/sys/vm/dirty_background_bytes"},
    {"dirty.background_ratio", read_file, "/proc/sys/vm/dirty_background_ratio"},
    {"dirty.expire_centisecs", read_file, "/proc/sys/vm/dirty_expire_centisecs"},
    {"dirty.writeback_centisecs", read_file, "/proc/sys/vm/dirty_writeback_centisecs"},
    {"device.stack", read_disks, NULL},
    {"device.model", read_disk_file, "device/model"},
    {"device.rotational", read_disk_file, "queue/rotational"},
    {"device.write_cache", read_disk_file, "queue/write_cache"},
    {"device.scheduler", read_disk_file, "queue/scheduler"},
    {"device.requests", read_disk_file, "queue/nr_requests"},
    {"device.read_ahead_kb", read_disk_file, "queue/read_ahead_kb"},
    {"device.max_sectors_kb", read_disk_file, "queue/max_sectors_kb"},
    {"device.logical_block_bytes", read_disk_file, "queue/logical_block_size"},
    {"device.physical_block_bytes", read_disk_file, "queue/physical_block_size"},
    {"direct_alignment", read_direct_alignment, NULL},
    {"address_randomisation", read_file, "/proc/sys/kernel/randomize_va_space"},
    {"perf_event_paranoid", read_file, "/proc/sys/kernel/perf_event_paranoid"},
    {"lockdown", read_file, "/sys/kernel/security/lockdown"},
    {"clock.source", read_file, "/sys/devices/system/clocksource/clocksource0/current_clocksource"},
    {"clock.quality", read_clock, NULL},
    {"steal", read_steal, NULL},
    {"load", read_load, NULL},
};

/* Puts a value under its key; "a.b" goes into the object "a". */
static void put(json_t *object, const char *key, json_t *value)
{
    const char *dot = strchr(key, '.');
    char outer[64];
    if (!dot) {
        json_object_set_new(object, key, value);
        return;
    }
    snprintf(outer, sizeof outer, "%.*s", (int)(dot - key), key);
    if (!json_object_get(object, outer))
        json_object_set_new(object, outer, json_object());
    json_object_set_new(json_object_get(object, outer), dot + 1, value);
}

/* Reads the rows; what cannot be read is null, and its reason goes to `unknown`. */
static json_t *survey_object(const struct survey *survey, const struct survey_row *rows, size_t count, json_t *unknown)
{
    json_t *object = json_object();
    for (size_t i = 0; i < count; i++) {
        struct err why = {0};
        json_t *value = rows[i].read(survey, rows[i].argument, &why);
        if (!value)
            json_object_set_new(unknown, rows[i].key, json_string(why.text));
        put(object, rows[i].key, value ? value : json_null());
    }
    return object;
}

int survey_begin(struct survey *survey, const char *directory, struct err *err)
{
    struct stat status;
    *survey = (struct survey){.directory = directory};
    if (stat(directory, &status))
        return err_sys(err, "%s", directory);
    if (!S_ISDIR(status.st_mode))
        return err_set(err, ENOTDIR, "%s: not a folder", directory);
    if (uname(&survey->system))
        return err_sys(err, "uname");
    /* Without /proc, as in a bare chroot, the rest of the machine can still be described. */
    cgroup_limits("", &survey->limits, &survey->limits_err);
    if (mount_find("/proc/self/mountinfo", directory, &survey->mount, &survey->mount_err))
        survey->disks_err = survey->mount_err;
    else
        mount_disks(&survey->mount, &survey->disks, &survey->disks_err);
    return 0;
}

void survey_end(struct survey *survey)
{
    mount_free(&survey->mount);
}

json_t *survey_blocking(const struct survey *survey, json_t *unknown)
{
    return survey_object(survey, blocking_rows, sizeof blocking_rows / sizeof *blocking_rows, unknown);
}

json_t *survey_informational(const struct survey *survey, json_t *unknown)
{
    return survey_object(survey, informational_rows, sizeof informational_rows / sizeof *informational_rows, unknown);
}

void survey_keys(const char *keys[SURVEY_KEYS_MAX])
{
    enum {
        BLOCKING = sizeof blocking_rows / sizeof *blocking_rows,
        OTHERS = sizeof informational_rows / sizeof *informational_rows
    };
    _Static_assert(BLOCKING + OTHERS < SURVEY_KEYS_MAX, "no room for all keys and the NULL behind them");
    for (size_t i = 0; i < BLOCKING; i++)
        keys[i] = blocking_rows[i].key;
    for (size_t i = 0; i < OTHERS; i++)
        keys[BLOCKING + i] = informational_rows[i].key;
    keys[BLOCKING + OTHERS] = NULL;
}
