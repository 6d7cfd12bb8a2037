/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "machine.h"

#include "event_probe.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRINT_WIDTH = 100, LABEL_WIDTH = 16 };

/* Prints "label  text" with lines broken at spaces and continued under the text. */
static void print_row(FILE *out, const char *label, const char *text)
{
    size_t column = LABEL_WIDTH;
    fprintf(out, "%-*s", LABEL_WIDTH, label);
    while (*text) {
        size_t word = strcspn(text, " ");
        if (word > PRINT_WIDTH - LABEL_WIDTH)
            word = PRINT_WIDTH - LABEL_WIDTH;
        if (column > LABEL_WIDTH && column + 1 + word > PRINT_WIDTH) {
            fprintf(out, "\n%*s", LABEL_WIDTH, "");
            column = LABEL_WIDTH;
        }
        column += (size_t)fprintf(out, "%s%.*s", column > LABEL_WIDTH ? " " : "", (int)word, text);
        text += word + (text[word] == ' ');
    }
    fputc('\n', out);
}

static void print_format(FILE *out, const char *label, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void print_format(FILE *out, const char *label, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) >= 0)
        print_row(out, label, text);
    va_end(args);
    free(text);
}

/* A printable value, handed on within one expression; the longest are lists of compiler flags. */
struct shown {
    char text[1024];
};

static struct shown show_value(const json_t *value)
{
    struct shown shown = {.text = "unknown"};
    if (json_is_string(value))
        snprintf(shown.text, sizeof shown.text, "%s", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(shown.text, sizeof shown.text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return shown;
}

/* The value at "a.b". */
static const json_t *value_at(const json_t *object, const char *key)
{
    const char *dot = strchr(key, '.');
    char outer[64];
    if (!dot)
        return json_object_get(object, key);
    snprintf(outer, sizeof outer, "%.*s", (int)(dot - key), key);
    return json_object_get(json_object_get(object, outer), dot + 1);
}

static struct shown show(const json_t *object, const char *key)
{
    return show_value(value_at(object, key));
}

static struct shown show_size(const json_t *object, const char *key)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    const json_t *value = value_at(object, key);
    struct shown shown = show_value(value);
    if (!json_is_integer(value))
        return shown;
    double size = (double)json_integer_value(value);
    size_t unit = 0;
    for (; size >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        size /= 1024;
    snprintf(shown.text, sizeof shown.text, "%.4g %s", size, units[unit]);
    return shown;
}

static void print_caches(FILE *out, const json_t *topology)
{
    char text[512] = "";
    size_t i, used = 0;
    json_t *cache;
    json_array_foreach(json_object_get(topology, "caches"), i, cache)
    {
        if (used >= sizeof text)
            break;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s x L%s %s", used ? ", " : "",
                                 show(cache, "count").text, show(cache, "level").text, show_size(cache, "bytes").text);
    }
    print_row(out, "caches", used ? text : "unknown");
}

/* What CPUs lie in together, as far as the machine shows it. */
static const char *const together[] = {"package", "numa_node", "die", "l3"};
enum { TOGETHER = sizeof together / sizeof *together };

static bool lie_together(const json_t *a, const json_t *b)
{
    bool same = true;
    for (size_t i = 0; i < TOGETHER; i++)
        same &= json_equal(json_object_get(a, together[i]), json_object_get(b, together[i])) == 1;
    return same;
}

static int compare_numbers(const void *a, const void *b)
{
    json_int_t one = *(const json_int_t *)a, other = *(const json_int_t *)b;
    return one < other ? -1 : one > other;
}

/* "0-7,64-71" of so many numbers. */
static void put_ranges(FILE *out, json_int_t *numbers, size_t count)
{
    qsort(numbers, count, sizeof *numbers, compare_numbers);
    for (size_t i = 0, last; i < count; i = last + 1) {
        for (last = i; last + 1 < count && numbers[last + 1] == numbers[last] + 1; last++)
            ;
        fprintf(out, "%s%" JSON_INTEGER_FORMAT, i ? "," : "", numbers[i]);
        if (last > i)
            fprintf(out, "-%" JSON_INTEGER_FORMAT, numbers[last]);
    }
}

/* The CPUs that lie in the same as pus[first], and what that is; nothing when an earlier one has said it. */
static void put_unit(FILE *out, const json_t *pus, size_t first, json_int_t *numbers)
{
    static const char *const words[TOGETHER] = {"package", "NUMA node", "die", "L3"};
    const json_t *pu = json_array_get(pus, first);
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(pus); i++) {
        const json_t *other = json_array_get(pus, i);
        if (!lie_together(pu, other))
            continue;
        if (i < first)
            return;
        numbers[count++] = json_integer_value(json_object_get(other, "os_index"));
    }
    for (size_t i = 0; i < TOGETHER; i++)
        if (json_is_integer(json_object_get(pu, together[i])))
            fprintf(out, "%s %s, ", words[i], show(pu, together[i]).text);
    fputs("CPUs ", out);
    put_ranges(out, numbers, count);
}

static void print_tree(FILE *out, const json_t *topology)
{
    const json_t *pus = json_object_get(topology, "pus");
    json_int_t *numbers = calloc(json_array_size(pus) + 1, sizeof *numbers);
    const char *label = "cpus";
    for (size_t i = 0; numbers && i < json_array_size(pus); i++) {
        char *text = NULL;
        size_t size = 0;
        FILE *stream = open_memstream(&text, &size);
        if (!stream)
            break;
        put_unit(stream, pus, i, numbers);
        fclose(stream);
        if (size)
            print_row(out, label, text);
        label = size ? "" : label;
        free(text);
    }
    free(numbers);
}

static void print_nodes(FILE *out, const json_t *topology)
{
    const json_t *nodes = json_object_get(topology, "nodes"), *distances = json_object_get(topology, "distances");
    for (size_t i = 0; json_array_size(nodes) > 1 && i < json_array_size(nodes); i++) {
        const json_t *node = json_array_get(nodes, i), *row = json_array_get(distances, i);
        bool bare = json_integer_value(json_object_get(node, "cpus")) == 0;
        char *text = json_is_array(row) ? json_dumps(row, JSON_COMPACT) : NULL;
        print_format(out, i ? "" : "memory nodes", "%s: %s%s%s%s", show(node, "os_index").text,
                     show_size(node, "bytes").text, bare ? ", no usable CPU is near it" : "",
                     text ? ", distances " : "", text ? text : "");
        free(text);
    }
}

/* How far apart two CPUs can be: what contention is measured by. */
static void print_classes(FILE *out, const json_t *topology)
{
    const json_t *classes = json_object_get(topology, "classes");
    char *text = NULL;
    size_t size = 0, i;
    json_t *class;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return;
    json_array_foreach(classes, i, class)
    {
        json_int_t pairs = json_integer_value(json_object_get(class, "pairs"));
        fprintf(stream, "%s%s (%" JSON_INTEGER_FORMAT " pair%s)", i ? ", " : "", show(class, "name").text, pairs,
                pairs == 1 ? "" : "s");
    }
    fclose(stream);
    print_row(out, "pairs share", json_array_size(classes) ? text : "nothing: there is one CPU");
    free(text);
}

static void print_identity(FILE *out, const json_t *machine)
{
    const json_t *blocking = json_object_get(machine, "blocking"), *topology = json_object_get(machine, "topology");
    print_format(out, "machine", "%s, fingerprint %s", show(machine, "name").text, show(machine, "hash").text);
    print_format(out, "cpu", "%s, microcode %s", show(blocking, "cpu_model").text, show(blocking, "microcode").text);
    print_format(out, "topology", "packages %s, NUMA nodes %s, cores %s, usable CPUs %s (quota %s%s); from %s%s",
                 show(topology, "packages").text, show(topology, "numa_nodes").text, show(topology, "cores").text,
                 show(topology, "cpus").text, show(blocking, "cpus.quota_percent").text,
                 json_is_integer(value_at(blocking, "cpus.quota_percent")) ? " %" : "", show(topology, "source").text,
                 json_is_false(json_object_get(topology, "this_machine")) ? ", NOT THIS MACHINE: planning only" : "");
    print_caches(out, topology);
    print_tree(out, topology);
    print_nodes(out, topology);
    print_classes(out, topology);
}

static void print_conditions(FILE *out, const json_t *machine)
{
    const json_t *blocking = json_object_get(machine, "blocking"), *memory = json_object_get(blocking, "memory");
    const json_t *informational = json_object_get(machine, "informational");
    print_format(out, "memory", "%s, limit of the control groups %s, available %s",
                 show_size(memory, "total_bytes").text, show_size(memory, "limit_bytes").text,
                 show_size(informational, "memory_available_bytes").text);
    print_format(out, "kernel", "%s, %s, pages of %s", show(blocking, "kernel_release").text,
                 show(blocking, "architecture").text, show_size(blocking, "page_bytes").text);
    print_format(out, "huge pages", "%s, defrag %s, shared memory %s", show(blocking, "thp.enabled").text,
                 show(blocking, "thp.defrag").text, show(blocking, "thp.shmem").text);
    print_format(out, "virtualisation", "%s", show(blocking, "virtualisation").text);
    print_format(out, "frequency", "governor %s, boost %s", show(blocking, "governor").text,
                 show(blocking, "boost").text);
    const json_t *stack = json_object_get(json_object_get(informational, "device"), "stack");
    size_t lowest = json_array_size(stack);
    const char *device = lowest ? json_string_value(json_array_get(stack, lowest - 1)) : "unknown";
    print_format(out, "filesystem", "%s (%s), device %s, read_ahead_kb %s", show(blocking, "filesystem.type").text,
                 show(blocking, "filesystem.options").text, device, show(blocking, "read_ahead_kb").text);
    print_format(out, "program", "%s %s, %s, %s", show(blocking, "tool.version").text,
                 show(blocking, "tool.build").text, show(blocking, "compiler").text, show(blocking, "flags").text);
}

/* The names of all features that work, or with `reason` of all that share it: "a b c". New string or NULL. */
static char *names_of(json_t *object, const char *reason, const char *between)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    const char *name;
    json_t *value;
    bool first = true;
    if (!stream)
        return NULL;
    json_object_foreach(object, name, value)
    {
        if (reason ? !json_is_string(value) || strcmp(json_string_value(value), reason) != 0 : !json_is_true(value))
            continue;
        fprintf(stream, "%s%s", first ? "" : between, name);
        first = false;
    }
    fclose(stream);
    return text;
}

/* The first entry with this reason stands for all of them. */
static bool is_first_of_reason(json_t *object, const char *name, const json_t *reason)
{
    const char *other;
    json_t *value;
    json_object_foreach(object, other, value)
    {
        if (json_equal(value, reason))
            return strcmp(other, name) == 0;
    }
    return false;
}

/* What is not there, grouped by the reason. */
static void print_reasons(FILE *out, const char *heading, json_t *object)
{
    const char *name;
    json_t *reason;
    fprintf(out, "%s\n", heading);
    json_object_foreach(object, name, reason)
    {
        if (!json_is_string(reason) || !is_first_of_reason(object, name, reason))
            continue;
        char *names = names_of(object, json_string_value(reason), ", ");
        print_format(out, "", "%s: %s", names ? names : name, json_string_value(reason));
        free(names);
    }
}

void machine_print(const json_t *machine, FILE *out)
{
    json_t *available = json_object_get(machine, "available");
    print_identity(out, machine);
    print_conditions(out, machine);
    char *works = names_of(available, NULL, " ");
    print_row(out, "works here", works ? works : "");
    free(works);
    print_reasons(out, "does not work here, and why", available);
    print_reasons(out, "cannot be read here, and why", json_object_get(machine, "unknown"));
    const json_t *counters = json_object_get(machine, "counters");
    if (counters)
        event_probe_print(counters, out);
}
