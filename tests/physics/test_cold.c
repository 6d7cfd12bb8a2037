/* SPDX-License-Identifier: MIT */
/*
 * What comes from storage when a file is cold, and that nothing does when it is warm; residency and dirt by two
 * witnesses.
 */
#include "physics.h"

#include <inttypes.h>
#include <sys/vfs.h>

enum { FILE_BYTES = 8 * 1024 * 1024, ATTEMPTS = 25, OPERATIONS = 32, IDLE_US = 3000 };

extern const struct method method_pread, method_lseek_read, method_read, method_mmap, method_first_touch;

static const enum recipe recipes[] = {recipe_write_4KiB,  recipe_write_64KiB, recipe_write_1MiB,     recipe_write_2MiB,
                                      recipe_refill_read, recipe_refill_map,  recipe_refill_hugepage};
enum { RECIPES = sizeof recipes / sizeof *recipes };

static void expect_state(const struct target *target, uint64_t resident)
{
    struct page_state state;
    struct physics_cachestat found;
    struct err err = {0};
    if (target_state(target, target->file_bytes, &state, &err))
        fail_msg("%s", err.text);
    assert_int_equal(state.pages, target->file_bytes / target->page_bytes);
    assert_int_equal(state.resident, resident);
    assert_int_equal(physics_mincore(target->fd, target->file_bytes), resident);
    if (!physics_cachestat(target->fd, target->file_bytes, &found)) {
        assert_int_equal(state.dirty, UINT64_MAX); /* unknown must not look like none */
        return;
    }
    assert_int_equal(found.cache, resident);
    assert_int_equal(found.dirty, 0);
    assert_int_equal(found.writeback, 0);
    assert_int_equal(state.dirty, 0);
    assert_int_equal(state.writeback, 0);
}

/* Skips a recipe that cannot be made here and goes on with the others. */
static bool open_or_say(struct target *target, const struct params *params)
{
    char directory[] = "/var/tmp/faultline-physics-XXXXXX";
    struct err err = {0};
    assert_non_null(mkdtemp(directory));
    struct target_request request = {
        .params = params, .directory = directory, .name = "target", .given_path = "", .seed = 42};
    int rc = target_open(target, &request, &err);
    rmdir(directory);
    if (rc == 0)
        return true;
    target_close(target);
    if (rc != -EOPNOTSUPP)
        fail_msg("%s", err.text);
    print_message("%s: %s\n", field_table[FIELD_recipe].options[params->recipe].spelling, err.text);
    return false;
}

static void prepared_file_is_as_asked(void **state)
{
    unsigned seen = 0;
    (void)state;
    for (unsigned i = 0; i < RECIPES * 2; i++) {
        enum cache cache = i % 2 ? cache_warm : cache_cold;
        struct params params = physics_params(FILE_BYTES, recipes[i / 2], cache);
        struct target target;
        if (!open_or_say(&target, &params))
            continue;
        expect_state(&target, cache == cache_cold ? 0 : FILE_BYTES / target.page_bytes);
        target_close(&target);
        seen++;
    }
    if (seen == 0)
        physics_skip("no recipe works in /var/tmp");
}

/* The device's own reads while this test does nothing: what others do to it. UINT64_MAX: it cannot be asked. */
static uint64_t idle_read_bytes(const struct target *target)
{
    uint64_t before = target_device_read_bytes(target);
    usleep(IDLE_US);
    return before == UINT64_MAX ? UINT64_MAX : target_device_read_bytes(target) - before;
}

struct cold_case {
    const char *name;
    const struct method *method;
    uint64_t pages_per_block;
};

static const struct cold_case cold_cases[] = {
    {"pread of a page", &method_pread, 1},
    {"pread of 16 pages", &method_pread, 16},
    {"lseek and read of a page", &method_lseek_read, 1},
    {"mapped page", &method_mmap, 1},
    {"first touch of a page", &method_first_touch, 1},
};

/* As many as there are blocks, where pages are large: none is cold twice. */
static uint64_t operations_of(const struct cold_case *what, const struct target *target)
{
    uint64_t blocks = FILE_BYTES / (what->pages_per_block * target->page_bytes);
    return blocks < OPERATIONS ? blocks : OPERATIONS;
}

static void arm_of(const struct cold_case *what, struct physics_cell *cell, const struct target *target)
{
    struct params params = *target->params;
    params.pattern = pattern_random;
    params.advice = advice_random; /* no readahead: what is fetched is what is asked for */
    params.block_bytes = what->pages_per_block * target->page_bytes;
    params.count_ops = operations_of(what, target);
    physics_begin(cell, &params);
    physics_arm(cell, what->method, 1);
}

/* With advice random exactly the blocks asked for come, by the process's account and by the device's. */
static void cold_reads_what_is_asked_for(void **state)
{
    const struct cold_case *what = *state;
    struct params params = physics_params(FILE_BYTES, recipe_write_1MiB, cache_cold);
    struct target target;
    struct statfs filesystem;
    bool unseen = false;
    uint64_t noise = 0, device = 0, bytes = 0, least = UINT64_MAX;
    physics_open(&target, &params);
    assert_int_equal(fstatfs(target.fd, &filesystem), 0);
    if ((uint64_t)filesystem.f_bsize > target.page_bytes)
        physics_skip("the filesystem's blocks are larger than a page");
    uint64_t wanted = operations_of(what, &target) * what->pages_per_block * target.page_bytes;
    /* A page of the program's own that was reclaimed, or a block of metadata, is fetched too: not every time. */
    for (unsigned i = 0; i < ATTEMPTS && (device != wanted || bytes != wanted); i++) {
        struct physics_cell cell;
        uint64_t idle = idle_read_bytes(&target);
        arm_of(what, &cell, &target);
        physics_measure(&cell, &target, 1);
        physics_expect_ok(&cell, 0);
        assert_int_equal(cell.result.arms[0].count_ops, operations_of(what, &target));
        assert_int_equal(cell.result.arms[0].before.resident, 0);
        bytes = physics_count(&cell, 0, COUNTER_read_bytes);
        device = physics_count(&cell, 0, COUNTER_device_read_bytes);
        measure_free(&cell.result);
        assert_in_range(bytes, wanted, UINT64_MAX - 1);
        assert_in_range(device, wanted, UINT64_MAX);
        least = bytes < least ? bytes : least;
        unseen = device == UINT64_MAX || idle == UINT64_MAX;
        if (unseen && bytes == wanted)
            break;
        noise += idle;
    }
    assert_int_equal(least, wanted);
    if (unseen)
        physics_skip("no block device is visible below the file: only the process's account was checked");
    print_message("%s: %" PRIu64 " bytes asked for, read_bytes the same, device %" PRIu64 "\n", what->name, wanted,
                  device);
    target_close(&target);
    if (device != wanted && noise)
        physics_skip("others read from the device all the time: its count could not be compared for equality");
    assert_int_equal(device, wanted);
}

/* The other side of the same coin: every page of the file once, every byte of it once. */
static void cold_scan_fetches_the_file_once(void **state)
{
    struct params params = physics_params(FILE_BYTES, recipe_write_1MiB, cache_cold);
    struct physics_cell cell;
    struct target target;
    (void)state;
    physics_open(&target, &params);
    params.per = per_pass;
    params.count_ops = 1;
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_read, 1)->params.descriptor = descriptor_per_pass;
    physics_arm(&cell, &method_mmap, 1)->params.lifetime = lifetime_per_pass;
    struct arm *populated = physics_arm(&cell, &method_mmap, 1);
    populated->params.lifetime = lifetime_per_pass;
    populated->params.populate = populate_map_populate;
    physics_measure_reads(&cell, &target, 1, (const uint64_t[]){FILE_BYTES, FILE_BYTES, FILE_BYTES});
    for (unsigned a = 0; a < cell.cell.arm_count; a++) {
        physics_expect_ok(&cell, a);
        assert_int_equal(physics_count(&cell, a, COUNTER_read_bytes), FILE_BYTES);
        assert_in_range(physics_count(&cell, a, COUNTER_device_read_bytes), FILE_BYTES, UINT64_MAX);
        assert_int_equal(cell.result.arms[a].before.resident, 0);
        assert_int_equal(cell.result.arms[a].after.resident, FILE_BYTES / target.page_bytes);
    }
    measure_free(&cell.result);
    target_close(&target);
}

static void warm_reads_nothing(void **state)
{
    const struct method *methods[] = {&method_pread, &method_lseek_read, &method_mmap, &method_first_touch};
    struct params params = physics_params(FILE_BYTES, recipe_write_1MiB, cache_warm);
    struct physics_cell cell;
    struct target target;
    (void)state;
    physics_open(&target, &params);
    params.pattern = pattern_random;
    physics_begin(&cell, &params);
    for (unsigned m = 0; m < sizeof methods / sizeof *methods; m++)
        physics_arm(&cell, methods[m], 64);
    physics_measure(&cell, &target, 4);
    for (unsigned a = 0; a < cell.cell.arm_count; a++) {
        physics_expect_ok(&cell, a);
        assert_int_equal(physics_count(&cell, a, COUNTER_read_bytes), 0);
        assert_int_equal(physics_count(&cell, a, COUNTER_major_faults), 0);
        assert_int_equal(cell.result.arms[a].before.resident, FILE_BYTES / target.page_bytes);
        assert_int_equal(cell.result.arms[a].after.resident, FILE_BYTES / target.page_bytes);
    }
    measure_free(&cell.result);
    expect_state(&target, FILE_BYTES / target.page_bytes);
    target_close(&target);
}

int main(void)
{
    enum { CASES = sizeof cold_cases / sizeof *cold_cases };
    struct CMUnitTest tests[3 + CASES] = {
        cmocka_unit_test(prepared_file_is_as_asked),
        cmocka_unit_test(cold_scan_fetches_the_file_once),
        cmocka_unit_test(warm_reads_nothing),
    };
    for (unsigned i = 0; i < CASES; i++)
        tests[3 + i] = (struct CMUnitTest){.name = cold_cases[i].name,
                                           .test_func = cold_reads_what_is_asked_for,
                                           .initial_state = (void *)(uintptr_t)&cold_cases[i]};
    return physics_run(tests);
}
