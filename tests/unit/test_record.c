/* SPDX-License-Identifier: MIT */
/* Records: what they say, that any damage shows, and that each satisfies the published schema. */
#include "json_schema.h"
#include "sample_plan.h"

#include "record.h"
#include "schema.h"

enum { ROUNDS = 4, ROOM = 7, WORKERS = 2 };

static struct plan plan;
static struct cell_result result;
static struct record_context context;
static json_t *schema;

static void fill_arm(struct arm_result *arm, unsigned a)
{
    arm->status = ARM_OK;
    arm->ops = 250;
    arm->bytes_per_op = 4096;
    for (unsigned r = 0; r < ROUNDS; r++) {
        arm->batch_ns[r] = 1000 * (a + 1) + r;
        arm->order[r] = (a + r) % 3;
    }
    arm->has_sum = true;
    arm->sum = UINT64_C(0x0123456789abcdef);
    arm->cpus = 5; /* 0 and 2 */
}

/* A result with a void round, and a mapped arm that knows everything. */
static int make_result(void **state)
{
    (void)state;
    plan = sample_plan();
    struct err err = {0};
    result = (struct cell_result){.rounds = ROUNDS, .warmup_rounds = 5};
    if (measure_make_room(&result, &plan.cells[0], ROOM, &err))
        return -1;
    for (unsigned a = 0; a < 3; a++)
        fill_arm(&result.arms[a], a);
    result.voided[2] = "not warm: pages are missing";
    result.voided_by[2] = 1;
    result.covariates.counts.values[COUNTER_run_delay_ns] = UINT64_MAX;
    struct arm_result *full = &result.arms[1];
    full->has_counts = full->has_state = true;
    full->count_ops = 256;
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        full->counts.values[i] = i == COUNTER_read_bytes ? UINT64_MAX : i;
    full->before = (struct page_state){.pages = 256, .resident = 256, .dirty = UINT64_MAX};
    full->after = (struct page_state){.pages = 256, .resident = 255};
    full->latency = calloc(1, sizeof *full->latency);
    for (uint64_t ns = 1; ns < 3000; ns += 7)
        histogram_add(&full->latency->service, ns);
    full->latency->worst[0] = (struct work_sample){55, 2997};
    full->latency->worst_count = 1;
    context = (struct record_context){
        .plan = &plan,
        .cell = &plan.cells[0],
        .trial = 3,
        .process = 7,
        .seed = 123,
        .machine = "0123456789abcdef",
        .boot_id = "b",
        .clock = {24, 10},
        .empty_batch_ns = 40,
        .started = "2026-01-31T12:34:56.789Z",
    };
    schema = schema_record();
    return schema && result.arms && full->latency ? 0 : -1;
}

static int free_result(void **state)
{
    (void)state;
    measure_free(&result);
    plan_free(&plan);
    json_decref(schema);
    return 0;
}

/* Through its line, checked against the schema on the way. */
static json_t *through_line(json_t *record)
{
    assert_non_null(record);
    char *line = record_line(record);
    assert_non_null(line);
    size_t length = strlen(line);
    assert_int_equal(line[length - 1], '\n');
    assert_ptr_equal(strchr(line, '\n'), line + length - 1);
    json_t *parsed = record_parse(line, length - 1);
    assert_non_null(parsed);
    schema_assert_valid(schema, parsed);
    json_t *without_crc = json_copy(parsed);
    json_object_del(without_crc, "crc32");
    assert_true(json_equal(without_crc, record));
    json_decref(without_crc);
    json_decref(record);
    free(line);
    return parsed;
}

static const json_t *arm_of(const json_t *record, unsigned a)
{
    return json_array_get(json_object_get(record, "arms"), a);
}

static json_int_t integer_at(const json_t *object, const char *key)
{
    assert_true(json_is_integer(json_object_get(object, key)));
    return json_integer_value(json_object_get(object, key));
}

static void check_text(const json_t *object, const char *key, const char *text)
{
    assert_true(json_is_string(json_object_get(object, key)));
    assert_string_equal(json_string_value(json_object_get(object, key)), text);
}

static void says_its_conditions(void **state)
{
    (void)state;
    json_t *record = through_line(record_make(&context, &result));
    check_text(record, "schema", "faultline.trial/1");
    check_text(record, "scenario", "access/one");
    check_text(record, "cell", plan.cells[0].id);
    check_text(record, "machine", "0123456789abcdef");
    check_text(record, "started", "2026-01-31T12:34:56.789Z");
    assert_int_equal(integer_at(record, "trial"), 3);
    assert_int_equal(integer_at(record, "process"), 7);
    assert_int_equal(integer_at(record, "seed"), 123);
    assert_true(json_is_null(json_object_get(record, "instance")));
    check_text(json_object_get(record, "params"), "op", "block read");
    assert_int_equal(integer_at(json_object_get(record, "params"), "file_bytes"), MIB);
    assert_int_equal(integer_at(json_object_get(record, "clock"), "empty_batch_ns"), 40);
    assert_true(json_is_null(json_object_get(json_object_get(record, "covariates"), "run_delay_ns")));
    check_text(arm_of(record, 1), "method", "mmap");
    check_text(json_object_get(arm_of(record, 1), "params"), "consume", "copy");
    assert_true(json_is_false(json_object_get(arm_of(record, 0), "null")));
    assert_true(json_is_true(json_object_get(arm_of(record, 2), "null")));
    json_decref(record);
}

static void says_its_rounds_and_which_are_void(void **state)
{
    (void)state;
    json_t *record = through_line(record_make(&context, &result));
    for (unsigned a = 0; a < 3; a++) {
        const json_t *batches = json_object_get(arm_of(record, a), "batch_ns");
        const json_t *order = json_object_get(arm_of(record, a), "order");
        const json_t *voided = json_object_get(arm_of(record, a), "voided");
        assert_int_equal(json_array_size(batches), ROUNDS);
        assert_int_equal(json_array_size(order), ROUNDS);
        for (unsigned r = 0; r < ROUNDS; r++) {
            assert_int_equal(json_is_null(json_array_get(batches, r)), r == 2);
            if (r != 2)
                assert_int_equal(json_integer_value(json_array_get(batches, r)), 1000 * (a + 1) + r);
            assert_int_equal(json_integer_value(json_array_get(order, r)), (a + r) % 3);
        }
        assert_int_equal(json_array_size(voided), 1);
        assert_int_equal(integer_at(json_array_get(voided, 0), "round"), 2);
        check_text(json_array_get(voided, 0), "reason", "mapped: not warm: pages are missing");
        check_text(arm_of(record, a), "checksum", "0123456789abcdef");
    }
    json_decref(record);
}

static void unknown_is_null(void **state)
{
    (void)state;
    json_t *record = through_line(record_make(&context, &result));
    const json_t *counts = json_object_get(arm_of(record, 1), "counts");
    const json_t *proof = json_object_get(arm_of(record, 1), "proof");
    assert_true(json_is_null(json_object_get(counts, "read_bytes")));
    assert_int_equal(integer_at(counts, "minor_faults"), COUNTER_minor_faults);
    assert_int_equal(integer_at(counts, "ops"), 256);
    assert_true(json_is_null(json_object_get(proof, "dirty_before")));
    assert_int_equal(integer_at(proof, "resident_after"), 255);
    assert_int_equal(json_array_size(json_object_get(proof, "cpus")), 2);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(proof, "cpus"), 1)), 2);
    assert_true(json_is_null(json_object_get(arm_of(record, 0), "counts")));
    assert_true(json_is_null(json_object_get(arm_of(record, 0), "latency")));
    assert_true(json_is_null(json_object_get(arm_of(record, 0), "workers")));
    json_decref(record);
}

static uint64_t count_buckets(const json_t *histogram)
{
    const json_t *buckets = json_object_get(histogram, "buckets");
    json_int_t count = 0, previous = -1;
    for (size_t i = 0; i < json_array_size(buckets); i++) {
        json_int_t index = json_integer_value(json_array_get(json_array_get(buckets, i), 0));
        assert_true(index > previous); /* ascending */
        previous = index;
        count += json_integer_value(json_array_get(json_array_get(buckets, i), 1));
    }
    assert_int_equal(count, integer_at(histogram, "count"));
    assert_int_equal(integer_at(histogram, "sub_bits"), 7);
    return (uint64_t)count;
}

static void keeps_latencies_as_histograms(void **state)
{
    (void)state;
    json_t *record = through_line(record_make(&context, &result));
    const json_t *latency = json_object_get(arm_of(record, 1), "latency");
    check_text(latency, "mode", "closed");
    assert_int_equal(integer_at(latency, "interval_ns"), 0);
    assert_true(json_is_null(json_object_get(latency, "response")));
    assert_int_equal(count_buckets(json_object_get(latency, "service")), result.arms[1].latency->service.count);
    assert_int_equal(integer_at(json_array_get(json_object_get(latency, "worst"), 0), "ns"), 2997);
    json_decref(record);

    plan.cells[0].arms[1].params.latency = latency_open;
    histogram_add(&result.arms[1].latency->response, UINT64_MAX);
    record = through_line(record_make(&context, &result));
    latency = json_object_get(arm_of(record, 1), "latency");
    check_text(latency, "mode", "open");
    assert_int_equal(integer_at(latency, "interval_ns"), plan.cells[0].params.latency_interval);
    assert_int_equal(count_buckets(json_object_get(latency, "response")), 1);
    json_decref(record);
}

static void keeps_the_times_of_each_worker(void **state)
{
    (void)state;
    for (unsigned a = 0; a < plan.cells[0].arm_count; a++)
        plan.cells[0].arms[a].params.workers = WORKERS;
    result.arms[0].worker_ns = calloc((size_t)WORKERS * ROOM, sizeof(uint64_t));
    result.arms[1].worker_ns = calloc((size_t)WORKERS * ROOM, sizeof(uint64_t));
    assert_true(result.arms[0].worker_ns && result.arms[1].worker_ns);
    for (unsigned w = 0; w < WORKERS; w++)
        for (unsigned r = 0; r < ROUNDS; r++)
            result.arms[0].worker_ns[w * ROOM + r] = 100 * w + r;
    result.arms[1].status = ARM_FAILED;
    json_t *record = through_line(record_make(&context, &result));
    const json_t *workers = json_object_get(arm_of(record, 0), "workers");
    assert_int_equal(json_array_size(workers), WORKERS);
    assert_int_equal(json_array_size(json_array_get(workers, 1)), ROUNDS);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(workers, 1), 3)), 103);
    assert_true(json_is_null(json_array_get(json_array_get(workers, 1), 2))); /* the void round */
    assert_true(json_is_null(json_object_get(arm_of(record, 1), "workers"))); /* it has no rounds */
    json_decref(record);
}

static void a_failed_arm_has_no_rounds(void **state)
{
    (void)state;
    result.arms[1].status = ARM_FAILED;
    snprintf(result.arms[1].reason, sizeof result.arms[1].reason, "mmap: no memory");
    json_t *record = through_line(record_make(&context, &result));
    check_text(arm_of(record, 1), "status", "failed");
    check_text(arm_of(record, 1), "reason", "mmap: no memory");
    assert_int_equal(json_array_size(json_object_get(arm_of(record, 1), "batch_ns")), 0);
    assert_int_equal(json_array_size(json_object_get(arm_of(record, 1), "order")), 0);
    check_text(arm_of(record, 0), "status", "ok");
    assert_true(json_is_null(json_object_get(arm_of(record, 0), "reason")));
    json_decref(record);
}

/* A reason may hold the name of somebody's file, in whatever bytes, or be cut in the middle of a character. */
static void a_reason_in_strange_bytes_is_still_a_record(void **state)
{
    (void)state;
    static const char *const strange[] = {"open /tmp/caf\xe9: no such file", "cut \xc3", "\xff\xfe", "fine \xc3\xa9"};
    for (size_t i = 0; i < LENGTH_OF(strange); i++) {
        result.arms[1].status = ARM_FAILED;
        snprintf(result.arms[1].reason, sizeof result.arms[1].reason, "%s", strange[i]);
        json_t *record = through_line(record_make(&context, &result));
        assert_true(json_is_string(json_object_get(arm_of(record, 1), "reason")));
        json_decref(record);
        record = through_line(record_unmeasured(&context, -1, ARM_FAILED, strange[i]));
        check_text(arm_of(record, 2), "status", "failed");
        assert_true(json_is_string(json_object_get(arm_of(record, 2), "reason")));
        json_decref(record);
    }
}

static void unmeasured_cells_have_records(void **state)
{
    (void)state;
    static const struct {
        enum arm_status status;
        const char *name;
    } kinds[] = {{ARM_FAILED, "failed"}, {ARM_UNSUPPORTED, "unsupported"}};
    for (size_t i = 0; i < LENGTH_OF(kinds); i++)
        for (int arm = -1; arm < 3; arm++) {
            json_t *record = through_line(record_unmeasured(&context, arm, kinds[i].status, "why"));
            for (int a = 0; a < 3; a++) {
                bool it = arm < 0 || a == arm;
                check_text(arm_of(record, (unsigned)a), "status", it ? kinds[i].name : "skipped");
                check_text(arm_of(record, (unsigned)a), "reason", it ? "why" : "another arm ended the trial process");
            }
            json_decref(record);
        }
}

static void any_changed_byte_shows(void **state)
{
    (void)state;
    static const char changes[] = {1, 2, 4, 8, 16, 32, 64, (char)128, (char)255};
    json_t *record = record_unmeasured(&context, -1, ARM_FAILED, "why");
    char *line = record_line(record);
    size_t length = strlen(line) - 1;
    for (size_t at = 0; at < length; at++)
        for (size_t c = 0; c < LENGTH_OF(changes); c++) {
            line[at] = (char)(line[at] ^ changes[c]);
            if (record_parse(line, length))
                fail_msg("byte %zu of %zu changed by %d goes unnoticed", at, length, changes[c]);
            line[at] = (char)(line[at] ^ changes[c]);
        }
    json_t *whole = record_parse(line, length);
    assert_non_null(whole);
    json_decref(whole);
    json_decref(record);
    free(line);
}

static void a_torn_line_is_none(void **state)
{
    (void)state;
    json_t *record = record_unmeasured(&context, -1, ARM_FAILED, "why");
    char *line = record_line(record);
    size_t length = strlen(line) - 1;
    for (size_t cut = 0; cut < length; cut++) {
        assert_null(record_parse(line, cut));
        if (cut)
            assert_null(record_parse(line + cut, length - cut));
    }
    assert_null(record_parse("", 0));
    json_decref(record);
    free(line);
}

static void two_lines_in_one_are_none(void **state)
{
    (void)state;
    json_t *record = json_pack("{s:i}", "n", 1);
    char *line = record_line(record), twice[256];
    line[strlen(line) - 1] = '\0';
    snprintf(twice, sizeof twice, "%s%s", line, line);
    assert_null(record_parse(twice, strlen(twice)));
    json_decref(record);
    free(line);
}

/* As the wire is described: zlib's CRC-32 over the text without the last member. */
static void its_crc_is_that_of_the_description(void **state)
{
    (void)state;
    json_t *record = json_pack("{s:i}", "n", 1);
    char *line = record_line(record);
    assert_string_equal(line, "{\"n\":1,\"crc32\":\"d44b3b7e\"}\n");
    json_decref(record);
    free(line);
}

static void the_schema_would_notice(void **state)
{
    (void)state;
    json_t *good = through_line(record_make(&context, &result));
    struct schema_fault fault;
    static const char *const keys[] = {"scenario", "params", "arms", "machine", "started", "crc32", "clock", "seed"};
    for (size_t i = 0; i < LENGTH_OF(keys); i++) {
        json_t *bad = json_deep_copy(good);
        json_object_del(bad, keys[i]);
        assert_false(schema_valid(schema, bad, "", &fault));
        json_decref(bad);
    }
    json_t *bad = json_deep_copy(good);
    json_object_set_new(json_array_get(json_object_get(bad, "arms"), 0), "status", json_string("fine"));
    assert_false(schema_valid(schema, bad, "", &fault));
    json_decref(bad);
    json_decref(good);
}

static void times_are_utc_with_milliseconds(void **state)
{
    (void)state;
    char text[32];
    record_time(text);
    assert_true(schema_matches("^2[0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{3}Z$", text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(says_its_conditions, make_result, free_result),
        cmocka_unit_test_setup_teardown(says_its_rounds_and_which_are_void, make_result, free_result),
        cmocka_unit_test_setup_teardown(unknown_is_null, make_result, free_result),
        cmocka_unit_test_setup_teardown(keeps_latencies_as_histograms, make_result, free_result),
        cmocka_unit_test_setup_teardown(keeps_the_times_of_each_worker, make_result, free_result),
        cmocka_unit_test_setup_teardown(a_failed_arm_has_no_rounds, make_result, free_result),
        cmocka_unit_test_setup_teardown(a_reason_in_strange_bytes_is_still_a_record, make_result, free_result),
        cmocka_unit_test_setup_teardown(unmeasured_cells_have_records, make_result, free_result),
        cmocka_unit_test_setup_teardown(any_changed_byte_shows, make_result, free_result),
        cmocka_unit_test_setup_teardown(a_torn_line_is_none, make_result, free_result),
        cmocka_unit_test(two_lines_in_one_are_none),
        cmocka_unit_test(its_crc_is_that_of_the_description),
        cmocka_unit_test_setup_teardown(the_schema_would_notice, make_result, free_result),
        cmocka_unit_test(times_are_utc_with_milliseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
