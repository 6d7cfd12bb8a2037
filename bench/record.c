/* SPDX-License-Identifier: MIT */
#include "record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <zlib.h>

#include "wire.h"

static const char CRC_MARK[] = ",\"crc32\":\"";

static const char *status_name(enum arm_status status)
{
    static const char *const names[] = {"ok", "failed", "unsupported", "skipped"};
    return names[status];
}

/* A number, or null when it is unknown. */
static json_t *known(uint64_t value)
{
    return value == UINT64_MAX ? json_null() : json_integer((json_int_t)value);
}

/* Text of any origin, such as a reason that names somebody's file: what is not UTF-8 shows as '?'. */
static json_t *text_of(const char *text)
{
    char plain[sizeof((struct err *)0)->text];
    json_t *json = json_string(text);
    if (json)
        return json;
    snprintf(plain, sizeof plain, "%s", text);
    for (char *at = plain; *at; at++)
        if (*at & 0x80)
            *at = '?';
    return json_string(plain);
}

static json_t *text_or_null(const char *text)
{
    return text && *text ? text_of(text) : json_null();
}

static json_t *histogram_json(const struct histogram *histogram)
{
    json_t *buckets = json_array();
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        if (histogram->buckets[i])
            json_array_append_new(buckets, json_pack("[i, I]", (int)i, (json_int_t)histogram->buckets[i]));
    return json_pack("{s:i, s:I, s:o}", "sub_bits", HISTOGRAM_SUB_BITS, "count", (json_int_t)histogram->count,
                     "buckets", buckets);
}

static json_t *latency_json(const struct params *params, const struct work_latency *latency)
{
    bool open = params->latency == latency_open;
    if (!latency)
        return json_null();
    json_t *worst = json_array();
    for (unsigned i = 0; i < latency->worst_count; i++)
        json_array_append_new(worst, json_pack("{s:I, s:I, s:n}", "t_ns", (json_int_t)latency->worst[i].t_ns, "ns",
                                               (json_int_t)latency->worst[i].ns, "cause"));
    return json_pack("{s:s, s:I, s:o, s:o, s:o, s:I}", "mode", open ? "open" : "closed", "interval_ns",
                     (json_int_t)(open ? params->latency_interval : 0), "response",
                     open ? histogram_json(&latency->response) : json_null(), "service",
                     histogram_json(&latency->service), "worst", worst, "left_out", (json_int_t)latency->left_out);
}

static json_t *counts_json(const struct cell_result *result, const struct arm_result *arm)
{
    if (!arm->has_counts)
        return json_null();
    json_t *counts = json_pack("{s:I}", "ops", (json_int_t)arm->count_ops);
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        json_object_set_new(counts, counter_table[i].name, known(arm->counts.values[i]));
    for (unsigned i = 0; arm->events && i < result->events->count; i++)
        json_object_set_new(counts, result->events->counters[i].label, known(arm->events[i].value));
    return counts;
}

/* Why an event that was asked for has no count, or "". */
static void event_reason(const struct perf_counter *counter, const struct arm_result *arm, unsigned i, char *text,
                         size_t size)
{
    struct err why = {.text = ""};
    const struct event_count *count = &arm->events[i];
    if (!counter->opened)
        snprintf(why.text, sizeof why.text, "%s", counter->reason);
    else if (!arm->has_counts || !arm->has_events)
        snprintf(why.text, sizeof why.text, "%s",
                 arm->has_counts ? "under a memory limit there is no counting pass" : "this arm has no counting pass");
    else if (count->error)
        perf_explain(count->error, &why);
    else if (count->value == UINT64_MAX)
        snprintf(why.text, sizeof why.text, "it was never on the CPU's counters: somebody else holds them");
    snprintf(text, size, "%s", why.text);
}

/* One event that was asked for: what was counted under its name, how much of the time, or why not. */
static json_t *event_json(const struct perf_counter *counter, const struct arm_result *arm, unsigned i)
{
    char reason[sizeof((struct err *)0)->text];
    const struct event_count *count = &arm->events[i];
    event_reason(counter, arm, i, reason, sizeof reason);
    bool is_counted = reason[0] == '\0';
    json_t *json = json_pack("{s:s, s:o, s:b, s:o, s:o, s:o}", "name", counter->label, "event",
                             text_or_null(counter->encoded ? counter->code.name : NULL), "user_only",
                             counter->user_only, "share", is_counted ? json_real(count->share) : json_null(), "pass",
                             is_counted ? json_integer(count->pass) : json_null(), "reason", text_or_null(reason));
    const struct perf_event_attr *attr = &counter->code.attr;
    json_t *code = counter->encoded ? json_pack("{s:I, s:I, s:I}", "type", (json_int_t)attr->type, "config",
                                                (json_int_t)attr->config, "config1", (json_int_t)attr->config1)
                                    : json_null();
    json_object_set_new(json, "code", code);
    return json;
}

static json_t *events_json(const struct cell_result *result, const struct arm_result *arm)
{
    if (!arm->events)
        return json_null();
    json_t *list = json_array();
    for (unsigned i = 0; i < result->events->count; i++)
        json_array_append_new(list, event_json(&result->events->counters[i], arm, i));
    return list;
}

/* Where workers were bound to, or where batches were seen to end; nothing where "pairs" tells. */
static json_t *cpus_json(const struct cell_result *result, uint64_t cpus)
{
    json_t *list = json_array();
    for (unsigned w = 0; !result->moved && result->cpus && w < result->cpu_count; w++)
        json_array_append_new(list, json_integer(result->cpus[w]));
    if (result->cpus || result->moved)
        return list;
    for (int cpu = 0; cpu < 64; cpu++)
        if (cpus >> cpu & 1)
            json_array_append_new(list, json_integer(cpu));
    return list;
}

static json_t *proof_json(const struct cell_result *result, const struct arm_result *arm)
{
    json_t *proof = json_pack("{s:o}", "cpus", cpus_json(result, arm->cpus));
    if (arm->setup_turn)
        json_object_set_new(proof, "setup_turn", json_integer(arm->setup_turn));
    if (arm->has_state) {
        json_object_set_new(proof, "witness", json_string(result->witness));
        json_object_set_new(proof, "pages", known(arm->before.pages));
        json_object_set_new(proof, "resident_before", known(arm->before.resident));
        json_object_set_new(proof, "resident_after", known(arm->after.resident));
        json_object_set_new(proof, "dirty_before", known(arm->before.dirty));
        json_object_set_new(proof, "dirty_after", known(arm->after.dirty));
    }
    if (result->signature_pages) {
        json_object_set_new(proof, "recipe_pages", known(result->signature_pages));
        json_object_set_new(proof, "recipe_faults", known(result->signature_faults));
        json_object_set_new(proof, "recipe_faults_after", known(result->signature_faults_after));
    }
    if (result->homes) {
        json_t *homes = json_array();
        for (unsigned i = 0; i < result->home_count; i++)
            json_array_append_new(homes, json_pack("{s:i, s:I}", "node", (int)result->homes[i].node, "pages",
                                                   (json_int_t)result->homes[i].pages));
        json_object_set_new(proof, "homes", homes);
    }
    if (result->memory_limit)
        json_object_set_new(proof, "memory_limit", json_integer((json_int_t)result->memory_limit));
    if (arm->samples)
        json_object_set_new(proof, "refault_source", text_or_null(counter_refault_source()));
    return proof;
}

/* Times of those that are only there for the others' sake are nobody's: null. */
static json_t *workers_json(const struct cell_result *result, const struct arm_result *arm, const struct arm *plan)
{
    if (!arm->worker_ns || arm->status != ARM_OK)
        return json_null();
    json_t *lists = json_array();
    for (unsigned w = 0; w < plan->params.workers; w++) {
        json_t *list = json_array();
        bool timed = !plan->method->timed || plan->method->timed(&plan->params, w);
        for (unsigned r = 0; r < result->rounds; r++)
            json_array_append_new(list, result->voided[r] || !timed ? json_null()
                                                                    : known(arm->worker_ns[w * result->room + r]));
        json_array_append_new(lists, list);
    }
    return lists;
}

/* [rounds that count]: what each batch did, in the order of the rounds. */
static json_t *samples_json(const struct cell_result *result, const struct arm_result *arm)
{
    if (!arm->samples || arm->status != ARM_OK)
        return json_null();
    json_t *list = json_array();
    for (unsigned r = 0; r < result->rounds; r++) {
        const struct batch_sample *sample = &arm->samples[r];
        if (!result->voided[r])
            json_array_append_new(list, json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:I}", "t_ns",
                                                  (json_int_t)sample->t_ns, "ns", (json_int_t)sample->ns, "ops",
                                                  (json_int_t)sample->ops, "read_bytes", known(sample->read_bytes),
                                                  "major_faults", known(sample->major_faults), "refaults",
                                                  known(sample->refaults), "stretch", (json_int_t)sample->stretch));
    }
    return list;
}

static json_t *arm_head(const struct arm *arm)
{
    return json_pack("{s:s, s:s, s:i, s:b, s:o}", "name", arm->name, "method", arm->method->name, "method_version",
                     (int)arm->method->version, "null", arm->is_null, "params", wire_params(&arm->params));
}

static void set_rounds(json_t *json, const struct cell_result *result, unsigned a, const struct cell *cell)
{
    const struct arm_result *arm = &result->arms[a];
    json_t *batches = json_array(), *order = json_array(), *voided = json_array();
    char reason[256];
    for (unsigned r = 0; r < result->rounds && arm->status == ARM_OK; r++) {
        json_array_append_new(batches, result->voided[r] ? json_null() : known(arm->batch_ns[r]));
        json_array_append_new(order, json_integer(arm->order[r]));
        if (!result->voided[r])
            continue;
        snprintf(reason, sizeof reason, "%s: %s", cell->arms[result->voided_by[r]].name, result->voided[r]);
        json_array_append_new(voided, json_pack("{s:i, s:s}", "round", (int)r, "reason", reason));
    }
    json_object_set_new(json, "batch_ns", batches);
    json_object_set_new(json, "order", order);
    json_object_set_new(json, "voided", voided);
}

static json_t *arm_json(const struct cell *cell, const struct cell_result *result, unsigned a)
{
    const struct arm_result *arm = &result->arms[a];
    uint64_t timed = method_timed_workers(cell->arms[a].method, &cell->arms[a].params);
    char sum[17];
    json_t *json = arm_head(&cell->arms[a]);
    snprintf(sum, sizeof sum, "%016" PRIx64, arm->sum);
    json_object_set_new(json, "status", json_string(status_name(arm->status)));
    json_object_set_new(json, "reason", text_or_null(arm->reason));
    json_object_set_new(json, "ops_per_batch", json_integer((json_int_t)(arm->ops * timed)));
    json_object_set_new(json, "bytes_per_op", json_integer((json_int_t)arm->bytes_per_op));
    set_rounds(json, result, a, cell);
    json_object_set_new(json, "workers", workers_json(result, arm, &cell->arms[a]));
    json_object_set_new(json, "samples", samples_json(result, arm));
    json_object_set_new(json, "warmup_rounds", json_integer(result->warmup_rounds));
    json_object_set_new(json, "checksum", text_or_null(arm->has_sum ? sum : NULL));
    json_object_set_new(json, "latency", latency_json(&cell->arms[a].params, arm->latency));
    json_object_set_new(json, "latency_reason", text_or_null(arm->latency_reason));
    json_object_set_new(json, "counts", counts_json(result, arm));
    json_object_set_new(json, "events", events_json(result, arm));
    json_object_set_new(json, "proof", proof_json(result, arm));
    return json;
}

static json_t *unmeasured_arm(const struct arm *arm, enum arm_status status, const char *reason)
{
    json_t *json = arm_head(arm);
    json_t *rest = json_pack("{s:s, s:o, s:n, s:n, s:[], s:[], s:n, s:n, s:[], s:i, s:n, s:n, s:s, s:n, s:n, s:n}",
                             "status", status_name(status), "reason", text_of(reason), "ops_per_batch", "bytes_per_op",
                             "batch_ns", "order", "workers", "samples", "voided", "warmup_rounds", 0, "checksum",
                             "latency", "latency_reason", "the arm was not measured", "counts", "events", "proof");
    json_object_update_new(json, rest);
    return json;
}

/* Which pair of CPUs the rounds were measured on, one visit after the other. */
static json_t *pairs_json(const struct cell_result *result)
{
    json_t *list = json_array();
    for (unsigned v = 0; v < result->visit_count; v++) {
        const struct visit *visit = &result->visits[v];
        json_array_append_new(list,
                              json_pack("{s:i, s:i, s:o, s:i, s:b, s:I}", "a", (int)visit->cpus[0], "b",
                                        (int)visit->cpus[1], "class", text_or_null(visit->class), "rounds",
                                        (int)visit->rounds, "canary", visit->canary, "t_ns", (json_int_t)visit->t_ns));
    }
    if (result->visit_count)
        return list;
    json_decref(list);
    return json_null();
}

void record_time(char text[32])
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t used = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + used, 32 - used, ".%03dZ", (int)(now.tv_nsec / 1000000 % 1000));
}

static json_t *record_of(const struct record_context *context, json_t *arms, json_t *covariates)
{
    json_t *params = wire_params(&context->cell->params);
    json_object_set_new(params, "op", json_string(context->plan->scenarios[context->cell->scenario].op));
    return json_pack(
        "{s:s, s:s, s:s, s:i, s:i, s:I, s:o, s:{s:I, s:I, s:I}, s:{s:I, s:I}, s:o, s:o, s:s, s:s, s:o, s:s}", "schema",
        "faultline.trial/1", "scenario", context->plan->scenarios[context->cell->scenario].name, "cell",
        context->cell->id, "trial", (int)context->trial, "process", (int)context->process, "seed",
        (json_int_t)context->seed, "params", params, "clock", "cost_ns", (json_int_t)context->clock.cost_ns, "grid_ns",
        (json_int_t)context->clock.grid_ns, "empty_batch_ns", (json_int_t)context->empty_batch_ns, "layout",
        "environment_bytes", (json_int_t)context->environment_bytes, "mapping_pages",
        (json_int_t)context->mapping_pages, "covariates", covariates, "arms", arms, "machine", context->machine,
        "boot_id", context->boot_id, "instance", text_or_null(context->instance), "started", context->started);
}

/* A filesystem that was made for the run is no part of the machine, so that each record has to say what it was. */
static void add_filesystem(json_t *arm, const json_t *filesystem)
{
    if (json_is_object(filesystem))
        json_object_set_new(json_object_get(arm, "proof"), "filesystem", json_deep_copy(filesystem));
}

json_t *record_make(const struct record_context *context, const struct cell_result *result)
{
    json_t *arms = json_array();
    for (unsigned a = 0; a < context->cell->arm_count; a++) {
        json_t *arm = arm_json(context->cell, result, a);
        add_filesystem(arm, context->filesystem);
        json_array_append_new(arms, arm);
    }
    json_t *record = record_of(context, arms, covariates_json(&result->covariates));
    json_object_set_new(record, "pairs", pairs_json(result));
    return record;
}

json_t *record_unmeasured(const struct record_context *context, int arm, enum arm_status status, const char *reason)
{
    json_t *arms = json_array();
    for (unsigned a = 0; a < context->cell->arm_count; a++) {
        bool it = arm < 0 || a == (unsigned)arm;
        json_array_append_new(arms, unmeasured_arm(&context->cell->arms[a], it ? status : ARM_SKIPPED,
                                                   it ? reason : "another arm ended the trial process"));
    }
    json_t *record = record_of(context, arms, json_null());
    json_object_set_new(record, "pairs", json_null());
    return record;
}

char *record_line(const json_t *record)
{
    char *body = json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(17));
    if (!body)
        return NULL;
    size_t length = strlen(body);
    char *line = malloc(length + sizeof CRC_MARK + 16);
    if (line) {
        unsigned long crc = crc32(0, (const unsigned char *)body, (unsigned)length);
        memcpy(line, body, length - 1);
        sprintf(line + length - 1, "%s%08lx\"}\n", CRC_MARK, crc);
    }
    free(body);
    return line;
}

json_t *record_parse(const char *line, size_t length)
{
    enum { TAIL = sizeof CRC_MARK - 1 + 8 + 2 }; /* mark, digits, quote and brace */
    char expected[TAIL + 1];
    if (length <= TAIL)
        return NULL;
    size_t body = length - TAIL;
    unsigned long crc = crc32(0, (const unsigned char *)line, (unsigned)body);
    crc = crc32(crc, (const unsigned char *)"}", 1);
    snprintf(expected, sizeof expected, "%s%08lx\"}", CRC_MARK, crc);
    if (memcmp(line + body, expected, TAIL) != 0)
        return NULL;
    return json_loadb(line, length, 0, NULL);
}
