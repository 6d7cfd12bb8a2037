/* SPDX-License-Identifier: MIT */
/* A destination is what it is called: fresh faults in every page of every block, the others fault in none. */
#include "physics.h"

#include <inttypes.h>

#include "region.h"

enum { FILE_BYTES = 4 * 1024 * 1024 };

extern const struct method method_pread, method_lseek_read, method_mmap;

/* Minor faults of an operation of the arm with that destination, by the counting pass. */
static uint64_t faults_per_op(struct target *target, const struct method *method, enum buffer buffer,
                              uint64_t block_bytes)
{
    struct params params = *target->params;
    struct physics_cell cell;
    params.pattern = pattern_random;
    params.block_bytes = block_bytes;
    params.count_ops = 32;
    params.consume = consume_copy;
    params.populate = populate_map_populate; /* a mapping's own faults are not the destination's */
    params.buffer = buffer;
    physics_begin(&cell, &params);
    physics_arm(&cell, method, 16);
    physics_measure(&cell, target, 2);
    physics_expect_ok(&cell, 0);
    uint64_t faults = physics_count(&cell, 0, COUNTER_minor_faults), ops = cell.result.arms[0].count_ops;
    measure_free(&cell.result);
    assert_int_equal(ops, 32);
    assert_int_equal(faults % ops, 0);
    return faults / ops;
}

static void buffer_takes(enum buffer buffer, bool faults)
{
    const struct method *methods[] = {&method_pread, &method_lseek_read, &method_mmap};
    struct params params = physics_params(FILE_BYTES, recipe_write_1MiB, cache_warm);
    struct target target;
    physics_need_exact_counts();
    physics_open(&target, &params);
    uint64_t page_bytes = target.page_bytes, sizes[] = {64, page_bytes, 4 * page_bytes, page_bytes + 64};
    for (unsigned m = 0; m < sizeof methods / sizeof *methods; m++)
        for (unsigned s = 0; s < sizeof sizes / sizeof *sizes; s++)
            assert_int_equal(faults_per_op(&target, methods[m], buffer, sizes[s]),
                             faults ? (sizes[s] + page_bytes - 1) / page_bytes : 0);
    target_close(&target);
}

static void fresh_faults_in_every_page(void **state)
{
    (void)state;
    buffer_takes(buffer_fresh, true);
}

static void reused_faults_in_none(void **state)
{
    (void)state;
    buffer_takes(buffer_reused, false);
}

static void touched_faults_in_none(void **state)
{
    (void)state;
    buffer_takes(buffer_touched, false);
}

static void huge_faults_in_none(void **state)
{
    (void)state;
    buffer_takes(buffer_huge, false);
}

/* Bytes in huge pages of the mapping that holds `address`; ends the test where there is no smaps. */
static uint64_t huge_bytes_at(const void *address)
{
    char line[256];
    uint64_t start, end, kib = 0, huge = 0;
    bool inside = false;
    FILE *smaps = fopen("/proc/self/smaps", "re");
    if (!smaps)
        physics_skip("/proc/self/smaps: %s", strerror(errno));
    while (fgets(line, sizeof line, smaps)) {
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &start, &end) == 2)
            inside = start <= (uintptr_t)address && (uintptr_t)address < end;
        else if (inside && sscanf(line, "AnonHugePages: %" SCNu64, &kib) == 1)
            huge = kib * KIB;
    }
    fclose(smaps);
    return huge;
}

static void region_is_in_huge_pages(enum buffer buffer, bool huge)
{
    struct params params = physics_params(FILE_BYTES, recipe_write_1MiB, cache_warm);
    struct err err = {0};
    struct worker worker = {.params = &params};
    params.buffer = buffer;
    int rc = region_make(&worker, &err);
    if (rc == -EOPNOTSUPP) {
        region_remove(&worker);
        physics_skip("%s", err.text);
    }
    assert_int_equal(rc, 0);
    uint64_t found = huge_bytes_at(worker.buffer);
    print_message("%s: %" PRIu64 " of %zu KiB in huge pages\n", field_table[FIELD_buffer].options[buffer].spelling,
                  found / KIB, worker.buffer_bytes / KIB);
    if (huge) /* fragmented memory may lack some, which the engine tolerates up to a half */
        assert_in_range(found, worker.buffer_bytes / 2, UINT64_MAX);
    else
        assert_int_equal(found, 0);
    region_remove(&worker);
}

static void huge_is_in_huge_pages(void **state)
{
    (void)state;
    region_is_in_huge_pages(buffer_huge, true);
}

static void touched_is_in_small_pages(void **state)
{
    (void)state;
    region_is_in_huge_pages(buffer_touched, false);
    region_is_in_huge_pages(buffer_reused, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_faults_in_every_page), cmocka_unit_test(reused_faults_in_none),
        cmocka_unit_test(touched_faults_in_none),     cmocka_unit_test(huge_faults_in_none),
        cmocka_unit_test(huge_is_in_huge_pages),      cmocka_unit_test(touched_is_in_small_pages),
    };
    return physics_run(tests);
}
