/* SPDX-License-Identifier: MIT */
/*
 * Page tables filled before the first touch, all the way: MAP_LOCKED locks every page of the mapping and lets no load
 * fault; MADV_POPULATE_WRITE lets no store fault either, which the other ways of filling do not save on a clean file.
 */
#include "physics.h"

#include <inttypes.h>
#include <sys/resource.h>

#include "mapping.h"

enum { FILE_BYTES = 2 * 1024 * 1024 };

extern const struct method method_mmap;

/* A line of /proc/self/status, in bytes. */
static uint64_t status_bytes(const char *key)
{
    char line[256], format[64];
    uint64_t kib = UINT64_MAX;
    FILE *status = fopen("/proc/self/status", "re");
    snprintf(format, sizeof format, "%s: %%" SCNu64, key);
    while (status && fgets(line, sizeof line, status) && sscanf(line, format, &kib) != 1)
        ;
    if (status)
        fclose(status);
    if (kib == UINT64_MAX)
        physics_skip("/proc/self/status has no %s", key);
    return kib * KIB;
}

static void need_locked_memory(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    if (geteuid() != 0 && limit.rlim_cur < FILE_BYTES)
        physics_skip("RLIMIT_MEMLOCK: %" PRIu64 " KiB", (uint64_t)limit.rlim_cur / KIB);
}

static uint64_t minor_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (uint64_t)usage.ru_minflt;
}

/* Through the method's own way of mapping: locked, and in the page table to the last page, before anything is touched.
 */
static void locked_mapping_is_there_at_once(void **state)
{
    static const enum access accesses[] = {access_load, access_store};
    (void)state;
    need_locked_memory();
    for (unsigned i = 0; i < 2; i++) {
        struct params params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_warm);
        struct target target;
        struct err err = {0};
        params.locked = locked_map_locked;
        params.access = accesses[i];
        physics_open(&target, &params);
        struct worker worker = {.params = &params, .target = &target, .fd = target.fd};
        uint64_t before = status_bytes("VmLck");
        assert_int_equal(mapping_make(&worker, &err), 0);
        assert_int_equal(status_bytes("VmLck") - before, FILE_BYTES);
        assert_int_equal(physics_mapped_pages(worker.base, FILE_BYTES), FILE_BYTES / physics_page_bytes());
        assert_int_equal(mapping_remove(&worker), 0);
        assert_int_equal(status_bytes("VmLck"), before);
        target_close(&target);
    }
}

/* The control: a plain mapping is neither. */
static void plain_mapping_is_not(void **state)
{
    (void)state;
    struct params params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_warm);
    struct target target;
    struct err err = {0};
    physics_open(&target, &params);
    struct worker worker = {.params = &params, .target = &target, .fd = target.fd};
    uint64_t before = status_bytes("VmLck");
    assert_int_equal(mapping_make(&worker, &err), 0);
    assert_int_equal(status_bytes("VmLck"), before);
    assert_int_equal(physics_mapped_pages(worker.base, FILE_BYTES), 0);
    mapping_remove(&worker);
    target_close(&target);
}

struct filling {
    const char *name;
    enum populate populate;
    enum locked locked;
    enum sharing sharing;
    enum access access;
    bool all_fault; /* every page when it is first visited; else none */
};

static const struct filling fillings[] = {
    {"locked, loads", populate_none, locked_map_locked, sharing_shared, access_load, false},
    {"locked, private, loads", populate_none, locked_map_locked, sharing_private, access_load, false},
    {"populated for reading, stores to a clean file", populate_populate_read, locked_no, sharing_shared, access_store,
     true},
    {"MAP_POPULATE, stores to a clean file", populate_map_populate, locked_no, sharing_shared, access_store, true},
    {"locked, stores to a clean file", populate_none, locked_map_locked, sharing_shared, access_store, true},
    {"populated for writing, shared stores", populate_populate_write, locked_no, sharing_shared, access_store, false},
    {"populated for writing, private stores", populate_populate_write, locked_no, sharing_private, access_store, false},
    {"MAP_POPULATE, private stores", populate_map_populate, locked_no, sharing_private, access_store, false},
    {"locked, private stores", populate_none, locked_map_locked, sharing_private, access_store, false},
    {"populated for reading, private stores", populate_populate_read, locked_no, sharing_private, access_store, true},
};

/* Filling makes pages writable as far as the filesystem need not be told of a store: always, if they are private. */
static void faults_that_are_left(void **state)
{
    (void)state;
    physics_need_exact_counts();
    need_locked_memory();
    for (unsigned i = 0; i < sizeof fillings / sizeof *fillings; i++) {
        const struct filling *filling = &fillings[i];
        struct params params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_warm);
        struct target target;
        struct err err = {0};
        params.populate = filling->populate;
        params.locked = filling->locked;
        params.sharing = filling->sharing;
        params.access = filling->access;
        physics_open(&target, &params);
        struct worker worker = {.params = &params, .target = &target, .fd = target.fd};
        int rc = mapping_make(&worker, &err);
        if (rc == -EOPNOTSUPP)
            physics_skip("%s", err.text);
        assert_int_equal(rc, 0);
        (void)minor_faults();
        uint64_t faults = minor_faults();
        mapping_settle(&worker); /* a visit to every page: loads, or stores where the access is one */
        faults = minor_faults() - faults;
        if (faults != (filling->all_fault ? FILE_BYTES / physics_page_bytes() : 0))
            fail_msg("%s: %" PRIu64 " faults", filling->name, faults);
        mapping_remove(&worker);
        target_close(&target);
    }
}

/* The same in the counting pass of a cell: a kept mapping that is locked takes no fault. */
static void counting_pass_finds_no_fault(void **state)
{
    (void)state;
    physics_need_exact_counts();
    need_locked_memory();
    struct params params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_warm);
    struct physics_cell cell;
    struct target target;
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_mmap, params.touches)->params.locked = locked_map_locked;
    physics_measure(&cell, &target, 3);
    physics_expect_ok(&cell, 0);
    assert_int_equal(physics_count(&cell, 0, COUNTER_minor_faults), 0);
    measure_free(&cell.result);
    target_close(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locked_mapping_is_there_at_once),
        cmocka_unit_test(plain_mapping_is_not),
        cmocka_unit_test(faults_that_are_left),
        cmocka_unit_test(counting_pass_finds_no_fault),
    };
    return physics_run(tests);
}
