/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "event.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build.h"
#include "sysfile.h"

#if HAVE_LIBPFM
#include <dlfcn.h>

#include <perfmon/pfmlib_perf_event.h>
#endif
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#define EVENT(name, unit, direction, exactness, sources, doc)                                                          \
    {#name, unit, sources, doc, COUNTER_##direction, COUNTER_##exactness},
const struct event event_table[EVENT_COUNT] = {
#include "events.def"
};
#undef EVENT

const struct event *event_find(const char *name)
{
    for (unsigned i = 0; i < EVENT_COUNT; i++)
        if (strcmp(event_table[i].name, name) == 0)
            return &event_table[i];
    return NULL;
}

const char *event_sources(const char *name)
{
    const struct event *event = event_find(name);
    return event ? event->sources : name;
}

/* Takes what stands before the separator off the list. */
static bool next_item(const char **list, const char *separator, char *item, size_t size)
{
    if (!*list || !**list)
        return false;
    const char *end = strstr(*list, separator);
    int length = end ? (int)(end - *list) : (int)strlen(*list);
    snprintf(item, size, "%.*s", length, *list);
    *list = end ? end + strlen(separator) : NULL;
    return true;
}

bool event_next_source(const char **list, char *source, size_t size)
{
    return next_item(list, " | ", source, size);
}

bool event_next_name(const char **list, char *name, size_t size)
{
    return next_item(list, ",", name, size);
}

static void start_code(struct event_code *code, uint32_t type, uint64_t config)
{
    code->attr = (struct perf_event_attr){.size = sizeof code->attr, .type = type, .config = config};
}

/* ---- the kernel's own names ---- */

struct number_of_name {
    const char *name;
    uint64_t number;
};

static bool find_number(const struct number_of_name *table, const char *name, uint64_t *number)
{
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0) {
            *number = table->number;
            return true;
        }
    return false;
}

/* As in software and cache events of perf-list(1). */
static const struct number_of_name software_names[] = {
    {"cpu-clock", PERF_COUNT_SW_CPU_CLOCK},           {"task-clock", PERF_COUNT_SW_TASK_CLOCK},
    {"page-faults", PERF_COUNT_SW_PAGE_FAULTS},       {"context-switches", PERF_COUNT_SW_CONTEXT_SWITCHES},
    {"cpu-migrations", PERF_COUNT_SW_CPU_MIGRATIONS}, {"minor-faults", PERF_COUNT_SW_PAGE_FAULTS_MIN},
    {"major-faults", PERF_COUNT_SW_PAGE_FAULTS_MAJ},  {NULL, 0},
};
static const struct number_of_name hardware_names[] = {
    {"cpu-cycles", PERF_COUNT_HW_CPU_CYCLES},
    {"instructions", PERF_COUNT_HW_INSTRUCTIONS},
    {"ref-cycles", PERF_COUNT_HW_REF_CPU_CYCLES},
    {NULL, 0},
};
/* level | operation << 8 | result << 16, as perf_event_open(2) says */
#define CACHE_LOAD_MISS(level)                                                                                         \
    ((uint64_t)PERF_COUNT_HW_CACHE_##level | (uint64_t)PERF_COUNT_HW_CACHE_OP_READ << 8 |                              \
     (uint64_t)PERF_COUNT_HW_CACHE_RESULT_MISS << 16)
static const struct number_of_name cache_names[] = {
    {"l1d-load-miss", CACHE_LOAD_MISS(L1D)},
    {"ll-load-miss", CACHE_LOAD_MISS(LL)},
    {"dtlb-load-miss", CACHE_LOAD_MISS(DTLB)},
    {NULL, 0},
};

static int encode_generic(struct event_code *code, uint32_t type, const struct number_of_name *names, const char *name,
                          struct err *why)
{
    uint64_t number;
    if (!find_number(names, name, &number))
        return err_set(why, ENOENT, "'%.60s' is no such event", name);
    start_code(code, type, number);
    return 0;
}

static int encode_software(const char *name, struct event_code *code, struct err *why)
{
    return encode_generic(code, PERF_TYPE_SOFTWARE, software_names, name, why);
}

static int encode_hardware(const char *name, struct event_code *code, struct err *why)
{
    return encode_generic(code, PERF_TYPE_HARDWARE, hardware_names, name, why);
}

static int encode_cache(const char *name, struct event_code *code, struct err *why)
{
    return encode_generic(code, PERF_TYPE_HW_CACHE, cache_names, name, why);
}

/* ---- tracepoints ---- */

/* Nothing is mounted for the purpose: where tracefs is seldom, that is the machine's answer. */
static int refuse_tracepoint(const char *system, const char *name, const struct err *found, struct err *why)
{
    if (found->code == EACCES || found->code == EPERM)
        return err_set(why, EACCES, "tracefs is closed to this user: it takes root, or a mount with another gid");
    if (access("/sys/kernel/tracing/events", F_OK) && access("/sys/kernel/debug/tracing/events", F_OK))
        return errno == EACCES
                   ? err_set(why, EACCES, "tracefs is closed to this user: it takes root, or a mount with another gid")
                   : err_set(why, ENOENT, "tracefs is not mounted on /sys/kernel/tracing");
    return err_set(why, ENOENT, "this kernel has no tracepoint %.60s:%.60s", system, name);
}

static bool is_word(const char *text)
{
    return *text && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == strlen(text);
}

static int encode_tracepoint(const char *name, struct event_code *code, struct err *why)
{
    static const char *const roots[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
    char system[64];
    int64_t id = 0;
    struct err found = {0}, first = {0};
    const char *colon = strchr(name, ':');
    snprintf(system, sizeof system, "%.*s", colon ? (int)(colon - name) : 0, name);
    if (!colon || !is_word(system) || !is_word(colon + 1))
        return err_set(why, EINVAL, "'tracepoint:%.60s' is not of the form tracepoint:SYSTEM:NAME", name);
    int rc = sysfile_number(&id, &first, "%s/events/%s/%s/id", roots[0], system, colon + 1);
    if (rc)
        rc = sysfile_number(&id, &found, "%s/events/%s/%s/id", roots[1], system, colon + 1);
    if (rc)
        return refuse_tracepoint(system, colon + 1, first.code == EACCES ? &first : &found, why);
    start_code(code, PERF_TYPE_TRACEPOINT, (uint64_t)id);
    return 0;
}

/* ---- what a PMU says of itself in sysfs ---- */

/* Puts `value` into the bits that a format such as "config1:0-7,32-35" names, low bits first. */
static int put_bits(struct perf_event_attr *attr, const char *format, uint64_t value, struct err *why)
{
    static const char *const words[] = {"config", "config1", "config2"};
    uint64_t config[3] = {attr->config, attr->config1, attr->config2};
    const char *ranges = strchr(format, ':');
    unsigned word = 0;
    while (
        ranges && word < 3 &&
        !(strlen(words[word]) == (size_t)(ranges - format) && strncmp(format, words[word], strlen(words[word])) == 0))
        word++;
    if (!ranges || word == 3)
        return err_set(why, EINVAL, "format '%.60s' is not understood", format);
    for (char *at = (char *)(uintptr_t)ranges; *at;) {
        unsigned long low = strtoul(at + 1, &at, 10), high = *at == '-' ? strtoul(at + 1, &at, 10) : low;
        if (low > high || high > 63 || (*at && *at != ','))
            return err_set(why, EINVAL, "format '%.60s' is not understood", format);
        for (unsigned long bit = low; bit <= high; bit++, value >>= 1)
            config[word] |= (value & 1) << bit;
    }
    attr->config = config[0];
    attr->config1 = config[1];
    attr->config2 = config[2];
    return 0;
}

/* One "term=0x12" or "term", which is 1. */
static int put_term(struct perf_event_attr *attr, const char *pmu, const char *term, struct err *why)
{
    char name[64], format[128];
    const char *equals = strchr(term, '=');
    snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - term) : (int)strlen(term), term);
    if (!is_word(name))
        return err_set(why, EINVAL, "term '%.60s' is not understood", term);
    int rc = sysfile_line(format, sizeof format, why, "/sys/bus/event_source/devices/%s/format/%s", pmu, name);
    return rc ? rc : put_bits(attr, format, equals ? strtoull(equals + 1, NULL, 0) : 1, why);
}

static int encode_sysfs(const char *name, struct event_code *code, struct err *why)
{
    char pmu[64], terms[256], term[64];
    int64_t type;
    const char *slash = strchr(name, '/'), *list = terms;
    struct err found = {0};
    snprintf(pmu, sizeof pmu, "%.*s", slash ? (int)(slash - name) : 0, name);
    if (!slash || !is_word(pmu) || !is_word(slash + 1))
        return err_set(why, EINVAL, "'sysfs:%.60s' is not of the form sysfs:PMU/EVENT", name);
    if (sysfile_number(&type, &found, "/sys/bus/event_source/devices/%s/type", pmu) ||
        sysfile_line(terms, sizeof terms, &found, "/sys/bus/event_source/devices/%s/events/%s", pmu, slash + 1))
        return err_set(why, ENOENT, "the kernel offers no event %.60s here", name);
    start_code(code, (uint32_t)type, 0);
    int rc = 0;
    while (rc == 0 && event_next_name(&list, term, sizeof term))
        rc = put_term(&code->attr, pmu, term, why);
    return rc;
}

/* ---- raw codes for one family of CPUs ---- */

static void read_family(char *family, size_t size)
{
    family[0] = '\0';
#if defined(__x86_64__) || defined(__i386__)
    unsigned a, words[4] = {0}, b, c, d;
    if (__get_cpuid(0, &a, &words[0], &words[2], &words[1]) && __get_cpuid(1, &a, &b, &c, &d)) {
        unsigned base = a >> 8 & 0xf;
        snprintf(family, size, "%.12s/%u", (const char *)words, base == 0xf ? base + (a >> 20 & 0xff) : base);
    }
#else
    (void)size;
#endif
}

static int encode_raw(const char *name, struct event_code *code, struct err *why)
{
    char family[32];
    const char *slash = strrchr(name, '/');
    read_family(family, sizeof family);
    if (!slash || strlen(family) != (size_t)(slash - name) || strncmp(family, name, strlen(family)) != 0)
        return err_set(why, ENOENT, "%.60s is of another CPU", name);
    start_code(code, PERF_TYPE_RAW, strtoull(slash + 1, NULL, 0));
    return 0;
}

/* ---- libpfm4 ---- */

/*
 * It is loaded when the first name of its own is met, and not linked. Every trial process would relocate its 3 MB;
 * worse, the kernel aligns so large a library to huge pages, and the hole before it takes small mappings or does not,
 * by chance: equal seeds had unequal faults (tests/physics/test_repeat.c).
 */
#if HAVE_LIBPFM
struct library {
    int (*initialize)(void);
    int (*encode)(const char *, int, pfm_os_t, void *);
    const char *(*error_text)(int);
    int status; /* of initialize */
};

static int load(struct library *library, struct err *why)
{
    void *handle = dlopen("libpfm.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return err_set(why, ENOTSUP, "libpfm4 cannot be loaded: %.200s", dlerror());
    library->encode = (int (*)(const char *, int, pfm_os_t, void *))dlsym(handle, "pfm_get_os_event_encoding");
    library->error_text = (const char *(*)(int))dlsym(handle, "pfm_strerror");
    library->initialize = (int (*)(void))dlsym(handle, "pfm_initialize");
    if (!library->encode || !library->error_text || !library->initialize)
        return err_set(why, ENOTSUP, "libpfm.so.4 is not libpfm4");
    library->status = library->initialize();
    return 0;
}

static int encode_by_library(const char *name, struct event_code *code, struct err *why)
{
    static struct library library; /* once it is loaded it stays */
    struct perf_event_attr attr = {0};
    char *full = NULL;
    pfm_perf_encode_arg_t argument = {.attr = &attr, .fstr = &full, .size = sizeof argument};
    int rc = library.initialize ? 0 : load(&library, why);
    if (rc)
        return rc;
    int status = library.status;
    if (status == PFM_SUCCESS)
        status = library.encode(name, PFM_PLM0 | PFM_PLM3, PFM_OS_PERF_EVENT_EXT, &argument);
    if (status != PFM_SUCCESS)
        return err_set(why, ENOENT, "libpfm4 knows no '%.100s' on this CPU: %s", name, library.error_text(status));
    start_code(code, attr.type, attr.config);
    code->attr.config1 = attr.config1;
    code->attr.config2 = attr.config2;
    code->attr.exclude_user = attr.exclude_user;
    code->attr.exclude_kernel = attr.exclude_kernel;
    code->attr.exclude_hv = attr.exclude_hv;
    code->attr.exclude_guest = attr.exclude_guest;
    code->attr.exclude_host = attr.exclude_host;
    if (full)
        snprintf(code->name, sizeof code->name, "%s", full);
    free(full);
    return 0;
}

const char *event_other_cpu(void)
{
    static const char *const names[] = {"LIBPFM_ENCODE_INACTIVE", "LIBPFM_FORCE_PMU"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i]))
            return names[i];
    return NULL;
}
#else
static int encode_by_library(const char *name, struct event_code *code, struct err *why)
{
    (void)code;
    return err_set(why, ENOTSUP, "'%.100s' needs libpfm4, and this program was built without it", name);
}

const char *event_other_cpu(void)
{
    return NULL;
}
#endif

/* ---- all of them ---- */

/* Switches, migrations and tracepoints happen while the kernel runs. */
static bool is_kernel_only(const struct perf_event_attr *attr)
{
    return attr->type == PERF_TYPE_TRACEPOINT ||
           (attr->type == PERF_TYPE_SOFTWARE &&
            (attr->config == PERF_COUNT_SW_CONTEXT_SWITCHES || attr->config == PERF_COUNT_SW_CPU_MIGRATIONS));
}

int event_encode(const char *source, struct event_code *code, struct err *why)
{
    static const struct {
        const char *prefix;
        int (*encode)(const char *, struct event_code *, struct err *);
    } kinds[] = {
        {"software:", encode_software}, {"hardware:", encode_hardware},
        {"cache:", encode_cache},       {"tracepoint:", encode_tracepoint},
        {"sysfs:", encode_sysfs},       {"raw:", encode_raw},
        {"", encode_by_library},
    };
    size_t kind = 0;
    while (strncmp(source, kinds[kind].prefix, strlen(kinds[kind].prefix)) != 0)
        kind++;
    *code = (struct event_code){0};
    snprintf(code->name, sizeof code->name, "%s", source);
    int rc = kinds[kind].encode(source + strlen(kinds[kind].prefix), code, why);
    code->kernel_only = is_kernel_only(&code->attr);
    return rc;
}

static int check_name(const char *name, struct err *err)
{
    struct event_code code;
    struct err why = {0};
    if (event_find(name))
        return 0;
    int rc = event_encode(name, &code, &why);
    bool is_tracepoint = strncmp(name, "tracepoint:", strlen("tracepoint:")) == 0;
    if (rc == 0 || (is_tracepoint && rc != -EINVAL))
        return 0;
    return err_set(err, EINVAL, "--counters: '%.100s' is none of 'faultline list counters', and %s", name, why.text);
}

static bool comes_twice(const char *names, const char *name, unsigned before)
{
    char other[EVENT_SOURCE_SIZE];
    for (unsigned i = 0; i < before && event_next_name(&names, other, sizeof other); i++)
        if (strcmp(other, name) == 0)
            return true;
    return false;
}

int event_check_list(const char *names, struct err *err)
{
    const char *rest = names;
    char name[EVENT_SOURCE_SIZE];
    unsigned count = 0;
    int rc = 0;
    for (; rc == 0 && event_next_name(&rest, name, sizeof name); count++)
        rc = comes_twice(names, name, count) ? err_set(err, EINVAL, "--counters: '%.100s' comes twice", name)
             : count == EVENTS_MAX           ? err_set(err, EINVAL, "--counters: more than %d", EVENTS_MAX)
                                             : check_name(name, err);
    if (rc == 0 && count == 0)
        return err_set(err, EINVAL, "--counters: no counter is named: see 'faultline list counters'");
    if (rc == 0 && names[strlen(names) - 1] == ',')
        return check_name("", err);
    return rc;
}
