/* SPDX-License-Identifier: MIT */
/* A file of /proc or /sys, or what a line of one says. The first byte says which. */
#include "fuzz.h"

#include "event.c" /* the format of a PMU's terms … */

#include "counter.c" /* … and the counts of the kernel are read by functions of their own */
#include "interrupts.h"
#include "mount.h"
#include "sysfile.h"

static void read_mounts(const uint8_t *data, size_t size)
{
    static const char *const directories[] = {"/", "/var/tmp", "/tmp/a b/c"};
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
        struct mount mount = {0};
        struct err err = {0};
        if (mount_find(fuzz_path(data, size), directories[i], &mount, &err) == 0) {
            char *options = mount_options(&mount);
            HOLDS(options && mount.point && mount.type && mount.super);
            free(options);
        } else
            HOLDS(err.text[0]);
        mount_free(&mount);
    }
}

static void read_line(const uint8_t *data, size_t size)
{
    char line[64];
    int64_t number;
    struct err err = {0};
    const char *path = fuzz_path(data, size);
    if (sysfile_line(line, sizeof line, &err, "%s", path) == 0)
        HOLDS(strlen(line) < sizeof line && !strchr(line, '\n'));
    (void)sysfile_number(&number, &err, "%s", path);
    json_decref(sysfile_json(path, &err));
}

static void read_list(const char *text)
{
    struct err err = {0};
    unsigned count, first, last, ranges = 0;
    for (const char *at = text; sysfile_list_next(&at, &first, &last) > 0; ranges++)
        HOLDS(first <= last && at > text);
    HOLDS(sysfile_list_count(text, &count, &err) == 0 || err.text[0]);
    HOLDS(ranges <= strlen(text));
}

static void read_counts(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    (void)io_value(text, "read_bytes");
    (void)schedstat_run_delay(text);
    (void)workingset_refault_file(text);
    free(text);
    int fd = fuzz_file(data, size);
    struct counter_sources sources = {.io = fd, .schedstat = fd, .interrupts = fd, .workingset = fd};
    struct counts counts;
    counter_read_before(&sources, &counts);
    (void)interrupts_sum(fd, "TLB");
}

static void read_format(const char *text)
{
    struct perf_event_attr attr = {0};
    struct err err = {0};
    HOLDS(put_bits(&attr, text, UINT64_C(0x123456789abcdef), &err) == 0 || err.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *text = fuzz_text(data + 1, size - 1);
    switch (data[0] % 5) {
    case 0:
        read_mounts(data + 1, size - 1);
        break;
    case 1:
        read_line(data + 1, size - 1);
        break;
    case 2:
        read_list(text);
        break;
    case 3:
        read_counts(data + 1, size - 1);
        break;
    default:
        read_format(text);
    }
    free(text);
    return 0;
}
