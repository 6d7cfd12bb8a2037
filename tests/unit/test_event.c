/* SPDX-License-Identifier: MIT */
/*
 * Names of events: what each source encodes to, also on CPUs that nobody here owns, and what may be asked for; how
 * groups are split. No counter is opened but software ones.
 */
#include "unit.h"

#include <sys/wait.h>

#include "build.h"
#include "counter.h"
#include "event.h"
#include "perf.h"

static void names_are_unique(void **state)
{
    (void)state;
    for (unsigned i = 0; i < EVENT_COUNT; i++) {
        assert_ptr_equal(event_find(event_table[i].name), &event_table[i]);
        for (unsigned c = 0; c < COUNTER_COUNT; c++)
            assert_string_not_equal(event_table[i].name, counter_table[c].name);
        char source[EVENT_SOURCE_SIZE];
        const char *rest = event_table[i].sources;
        while (event_next_source(&rest, source, sizeof source))
            assert_true(strlen(source) > 0 && !strchr(source, ' ') && strlen(source) < EVENT_SOURCE_SIZE - 1);
    }
    assert_null(event_find("no-such-counter"));
}

struct expectation {
    const char *source;
    uint32_t type;
    uint64_t config, config1;
};

static void check_code(const struct expectation *expected)
{
    struct event_code code;
    struct err why = {0};
    if (event_encode(expected->source, &code, &why))
        fail_msg("%s: %s", expected->source, why.text);
    if (code.attr.type != expected->type || code.attr.config != expected->config ||
        code.attr.config1 != expected->config1)
        fail_msg("%s: type %u config %#llx config1 %#llx", expected->source, code.attr.type,
                 (unsigned long long)code.attr.config, (unsigned long long)code.attr.config1);
    assert_int_equal(code.attr.size, sizeof code.attr);
    assert_true(code.name[0]);
}

/* The numbers of perf_event_open(2), written out. */
static void general_names(void **state)
{
    (void)state;
    static const struct expectation codes[] = {
        {"software:page-faults", 1, 2, 0},     {"software:context-switches", 1, 3, 0},
        {"software:cpu-migrations", 1, 4, 0},  {"software:minor-faults", 1, 5, 0},
        {"software:major-faults", 1, 6, 0},    {"software:task-clock", 1, 1, 0},
        {"hardware:cpu-cycles", 0, 0, 0},      {"hardware:instructions", 0, 1, 0},
        {"hardware:ref-cycles", 0, 9, 0},      {"cache:l1d-load-miss", 3, 0x10000, 0},
        {"cache:ll-load-miss", 3, 0x10002, 0}, {"cache:dtlb-load-miss", 3, 0x10003, 0},
    };
    for (size_t i = 0; i < LENGTH_OF(codes); i++)
        check_code(&codes[i]);
}

static void check_refused(const char *source, int code, const char *part)
{
    struct event_code unused;
    struct err why = {0};
    assert_int_equal(event_encode(source, &unused, &why), -code);
    unit_assert_text(why.text, part);
}

static void what_is_no_event(void **state)
{
    (void)state;
    check_refused("software:nonsense", ENOENT, "no such event");
    check_refused("tracepoint:exceptions", EINVAL, "SYSTEM:NAME");
    check_refused("tracepoint:../../x:id", EINVAL, "SYSTEM:NAME");
    check_refused("sysfs:msr", EINVAL, "PMU/EVENT");
    check_refused("sysfs:nosuch/event", ENOENT, "no event");
    check_refused("raw:NoSuchVendor/1/0x1", ENOENT, "another CPU");
    check_refused("raw:0x1", ENOENT, "another CPU");
    if (HAVE_LIBPFM)
        check_refused("NO_SUCH_EVENT", ENOENT, "libpfm4 knows no");
    else
        check_refused("NO_SUCH_EVENT", ENOTSUP, "needs libpfm4");
}

static void what_happens_in_the_kernel_alone(void **state)
{
    (void)state;
    struct event_code code;
    struct err why = {0};
    static const char *const names[] = {"software:context-switches", "software:cpu-migrations", "software:page-faults"};
    for (size_t i = 0; i < LENGTH_OF(names); i++) {
        assert_int_equal(event_encode(names[i], &code, &why), 0);
        assert_true(code.kernel_only == (i < 2));
    }
}

static void check_list_refused(const char *names, const char *part)
{
    struct err err = {0};
    assert_int_equal(event_check_list(names, &err), -EINVAL);
    unit_assert_text(err.text, "--counters");
    unit_assert_text(err.text, part);
}

static void what_may_be_asked_for(void **state)
{
    (void)state;
    struct err err = {0};
    char many[EVENTS_MAX * 32 + 64] = "";
    assert_int_equal(event_check_list("page_faults", &err), 0);
    assert_int_equal(event_check_list("page_faults,cycles,hitm_remote", &err), 0);
    assert_int_equal(event_check_list("tracepoint:nosuch:event", &err), 0); /* it may be there where it is measured */
    check_list_refused("", "no counter is named");
    check_list_refused("page_faults,nonsense", "'nonsense'");
    check_list_refused("cycles,page_faults,cycles", "'cycles' comes twice");
    check_list_refused("tracepoint:nosuch", "tracepoint:SYSTEM:NAME");
    check_list_refused("page_faults,,cycles", "''");
    check_list_refused("page_faults,", "''");
    check_list_refused(",page_faults", "''");
    for (unsigned i = 0; i <= EVENTS_MAX; i++)
        sprintf(many + strlen(many), "%stracepoint:a:b%u", i ? "," : "", i);
    check_list_refused(many, "more than 32");
}

/* libpfm4 is begun once a process: each CPU gets its own, which fails the test by its status. */
static void as_cpu(const char *pmu, const struct expectation *codes)
{
#if !HAVE_LIBPFM
    (void)pmu;
    (void)codes;
    print_message("%s: skipped: this build has no libpfm4\n", pmu);
    skip();
#endif
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        bool fine = setenv("LIBPFM_ENCODE_INACTIVE", "1", 1) == 0 && setenv("LIBPFM_FORCE_PMU", pmu, 1) == 0;
        for (; fine && codes->source; codes++) {
            struct event_code code;
            struct err why = {0};
            int rc = event_encode(codes->source, &code, &why);
            bool known = codes->type != UINT32_MAX;
            fine = known ? rc == 0 && code.attr.type == codes->type && code.attr.config == codes->config &&
                               code.attr.config1 == codes->config1
                         : rc == -ENOENT;
            if (!fine)
                fprintf(stderr, "%s::%s: rc %d type %u config %#llx config1 %#llx %s\n", pmu, codes->source, rc,
                        code.attr.type, (unsigned long long)code.attr.config, (unsigned long long)code.attr.config1,
                        why.text);
        }
        _exit(!fine);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define RAW 4
#define UNKNOWN UINT32_MAX, 0, 0

/* Event and unit mask of AMD's manual: PMCx045 L1 DTLB misses, PMCx043 fills, PMCx025 locks, of which only bus locks.
 */
static void zen4(void **state)
{
    (void)state;
    static const struct expectation codes[] = {
        {"L1_DTLB_MISS:TLB_RELOAD_4K_L2_MISS:TLB_RELOAD_COALESCED_PAGE_MISS:TLB_RELOAD_2M_L2_MISS:TLB_RELOAD_1G_L2_"
         "MISS",
         RAW, 0xf045, 0},
        {"DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:NEAR_CACHE_NEAR_FAR", RAW, 0x443, 0},
        {"DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:FAR_CACHE_NEAR_FAR", RAW, 0x1043, 0},
        {"DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:DRAM_IO_NEAR:DRAM_IO_FAR", RAW, 0x4843, 0},
        {"RETIRED_LOCK_INSTRUCTIONS:BUS_LOCK", RAW, 0x125, 0},
        {"RETIRED_LOCK_INSTRUCTIONS", RAW, 0x125, 0}, /* the trap: bus locks again, and not all of 0xff25 */
        {"DTLB_LOAD_MISSES:WALK_COMPLETED", UNKNOWN},
        {0},
    };
    as_cpu("amd64_fam19h_zen4", codes);
}

static void zen3(void **state)
{
    (void)state;
    static const struct expectation codes[] = {
        {"DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:EXT_CACHE_LCL", RAW, 0x443, 0},
        {"DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:EXT_CACHE_RMT", RAW, 0x1043, 0},
        {"DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:MEM_IO_LCL:MEM_IO_RMT", RAW, 0x4843, 0},
        {"DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:NEAR_CACHE_NEAR_FAR", UNKNOWN},
        {0},
    };
    as_cpu("amd64_fam19h_zen3", codes);
}

/* Event and unit mask of Intel's tables; offcore response: the request's and the answer's bits in config1. */
static void skylake(void **state)
{
    (void)state;
    static const struct expectation codes[] = {
        {"DTLB_LOAD_MISSES:WALK_COMPLETED", RAW, 0xe08, 0},
        {"DTLB_STORE_MISSES:WALK_COMPLETED", RAW, 0xe49, 0},
        {"MEM_LOAD_L3_HIT_RETIRED:XSNP_HITM", RAW, 0x4d2, 0},
        {"MEM_LOAD_RETIRED:L3_MISS", RAW, 0x20d1, 0},
        {"MACHINE_CLEARS:MEMORY_ORDERING", RAW, 0x2c3, 0},
        {"OFFCORE_RESPONSE_0:DMND_RFO:L3_HIT:SNP_HITM", RAW, 0x1b7, 0x10001c0002},
        {"MEM_LOAD_L3_MISS_RETIRED:REMOTE_HITM", UNKNOWN}, /* a desktop has no other socket */
        {"OCR:DEMAND_RFO_L3_HIT_SNOOP_HITM", UNKNOWN},
        {0},
    };
    as_cpu("skl", codes);
}

static void sapphire_rapids(void **state)
{
    (void)state;
    static const struct expectation codes[] = {
        {"DTLB_LOAD_MISSES:WALK_COMPLETED", RAW, 0xe12, 0},
        {"DTLB_STORE_MISSES:WALK_COMPLETED", RAW, 0xe13, 0},
        {"MEM_LOAD_L3_HIT_RETIRED:XSNP_HITM", UNKNOWN},
        {"MEM_LOAD_L3_HIT_RETIRED:XSNP_FWD", RAW, 0x4d2, 0},
        {"MEM_LOAD_L3_MISS_RETIRED:REMOTE_HITM", RAW, 0x4d3, 0},
        {"OCR:DEMAND_RFO_L3_HIT_SNOOP_HITM", RAW, 0x12a, 0x10003c0002},
        {"SQ_MISC:BUS_LOCK", RAW, 0x102c, 0},
        {0},
    };
    as_cpu("spr", codes);
}

/* Every source of the tests above stands in the table, so that what is checked is what is used. */
static void rows_use_what_is_checked(void **state)
{
    (void)state;
    assert_non_null(strstr(event_find("dtlb_walks")->sources, "L1_DTLB_MISS:TLB_RELOAD_4K_L2_MISS:"));
    assert_non_null(strstr(event_find("near_cache_fills")->sources, ":NEAR_CACHE_NEAR_FAR | "));
    assert_non_null(strstr(event_find("hitm_local")->sources, "XSNP_HITM | MEM_LOAD_L3_HIT_RETIRED:XSNP_FWD"));
    assert_non_null(strstr(event_find("hitm_remote")->sources, "MEM_LOAD_L3_MISS_RETIRED:REMOTE_HITM"));
    assert_non_null(strstr(event_find("rfo_hitm")->sources, "OCR:DEMAND_RFO_L3_HIT_SNOOP_HITM | OFFCORE_RESPONSE_0:"));
    assert_non_null(strstr(event_find("bus_locks")->sources, "RETIRED_LOCK_INSTRUCTIONS:BUS_LOCK"));
}

static void another_cpu_is_noticed(void **state)
{
    (void)state;
    unsetenv("LIBPFM_FORCE_PMU");
    unsetenv("LIBPFM_ENCODE_INACTIVE");
    assert_null(event_other_cpu());
    setenv("LIBPFM_FORCE_PMU", "skl", 1);
    if (HAVE_LIBPFM)
        assert_string_equal(event_other_cpu(), "LIBPFM_FORCE_PMU");
    else
        assert_null(event_other_cpu());
    unsetenv("LIBPFM_FORCE_PMU");
}

/* ---- splitting ---- */

static struct perf_reading reading_of(uint64_t enabled_ns, uint64_t running_ns)
{
    struct perf_reading reading = {.enabled_ns = enabled_ns, .running_ns = running_ns};
    return reading;
}

static void what_fits_is_not_split(void **state)
{
    (void)state;
    uint32_t parts[PERF_PARTS_MAX];
    struct perf_reading reading = reading_of(1000, 1000);
    assert_int_equal(perf_split(0x7, &reading, parts), 0);
    reading.errors[1] = EMFILE; /* another group would not help */
    assert_int_equal(perf_split(0x7, &reading, parts), 0);
    reading = reading_of(1000, 10);
    assert_int_equal(perf_split(0x4, &reading, parts), 0); /* one alone cannot be smaller */
}

static void groups_that_take_turns_are_halved(void **state)
{
    (void)state;
    uint32_t parts[PERF_PARTS_MAX];
    struct perf_reading reading = reading_of(1000, 999);
    assert_int_equal(perf_split(0x2d, &reading, parts), 2); /* 0, 2, 3, 5 */
    assert_int_equal(parts[0], 0x05);
    assert_int_equal(parts[1], 0x28);
    reading = reading_of(1000, 0);
    assert_int_equal(perf_split(0x3, &reading, parts), 2);
    assert_int_equal(parts[0] | parts[1], 0x3);
}

static void the_refused_become_a_group(void **state)
{
    (void)state;
    uint32_t parts[PERF_PARTS_MAX];
    struct perf_reading reading = reading_of(1000, 1000);
    reading.errors[3] = EINVAL;
    reading.errors[1] = ENOSPC;
    assert_int_equal(perf_split(0xf, &reading, parts), 1);
    assert_int_equal(parts[0], 0xa);
    reading = reading_of(0, 0); /* not even the leader: each half is tried again */
    reading.errors[0] = reading.errors[1] = EINVAL;
    assert_int_equal(perf_split(0x3, &reading, parts), 2);
}

static void the_worker_with_least_time_decides(void **state)
{
    (void)state;
    struct perf_reading sum = {.values = {5, UINT64_MAX, 7}, .enabled_ns = 100, .running_ns = 100};
    struct perf_reading other = {.values = {6, 1, 8}, .errors = {0, 0, EMFILE}, .enabled_ns = 200, .running_ns = 50};
    other.values[2] = UINT64_MAX;
    perf_reading_add(&sum, &other);
    assert_int_equal(sum.values[0], 11);
    assert_true(sum.values[1] == UINT64_MAX && sum.values[2] == UINT64_MAX);
    assert_int_equal(sum.errors[2], EMFILE);
    assert_int_equal(sum.enabled_ns, 200);
    assert_int_equal(sum.running_ns, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            zen4), /* these first: libpfm4 begins once in a process, and children take over what it knows */
        cmocka_unit_test(zen3),
        cmocka_unit_test(skylake),
        cmocka_unit_test(sapphire_rapids),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(general_names),
        cmocka_unit_test(what_is_no_event),
        cmocka_unit_test(what_happens_in_the_kernel_alone),
        cmocka_unit_test(what_may_be_asked_for),
        cmocka_unit_test(rows_use_what_is_checked),
        cmocka_unit_test(another_cpu_is_noticed),
        cmocka_unit_test(what_fits_is_not_split),
        cmocka_unit_test(groups_that_take_turns_are_halved),
        cmocka_unit_test(the_refused_become_a_group),
        cmocka_unit_test(the_worker_with_least_time_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
