/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "event_probe.h"
#include "fnv.h"
#include "probe.h"
#include "survey.h"
#include "sysfile.h"

static json_t *blocking_hash(const json_t *blocking)
{
    char *text = json_dumps(blocking, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return NULL;
    char hash[FNV_TEXT_SIZE];
    fnv_text(fnv_add(FNV_START, text, strlen(text)), hash);
    free(text);
    return json_string(hash);
}

static json_t *machine_name(const struct survey *survey, const struct machine_options *options)
{
    json_t *name = json_string(options->name ? options->name : survey->system.nodename);
    return name ? name : json_null();
}

static json_t *read_boot(json_t *unknown)
{
    struct err why;
    json_t *boot = sysfile_json("/proc/sys/kernel/random/boot_id", &why);
    if (!boot)
        json_object_set_new(unknown, "boot_id", json_string(why.text));
    return boot ? boot : json_null();
}

static int add_counters(json_t *machine, struct err *err)
{
    json_t *counters = event_probe_all(err);
    return counters ? json_object_set_new(machine, "counters", counters) : -err->code;
}

json_t *machine_fingerprint(const struct topology *place, const struct machine_options *options, struct err *err)
{
    struct survey survey;
    json_t *machine = NULL, *available = NULL;
    if (survey_begin(&survey, options->directory, err))
        goto out;
    available = probe_all(options->directory, err);
    if (!available)
        goto out;
    json_t *unknown = json_object(), *boot = read_boot(unknown);
    json_t *blocking = survey_blocking(&survey, unknown), *informational = survey_informational(&survey, unknown);
    machine = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "schema", "faultline.machine/1", "name",
                        machine_name(&survey, options), "hash", blocking_hash(blocking), "boot_id", boot, "blocking",
                        blocking, "informational", informational, "topology", place_json(place), "available", available,
                        "unknown", unknown);
    if (!machine)
        err_set(err, ENOMEM, "no memory for the fingerprint");
    else if (options->counters && add_counters(machine, err)) {
        json_decref(machine);
        machine = NULL;
    }
out:
    survey_end(&survey);
    return machine;
}
