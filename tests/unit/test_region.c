/* SPDX-License-Identifier: MIT */
/* Destination memory: its size and steps by policy, and that fresh pages are fresh. */
#include "unit.h"

#include <sys/mman.h>

#include "hugepage.h"
#include "region.h"

static struct params params;
static struct worker worker;
static struct err err;
static uint64_t page_bytes;

static int begin(void **state)
{
    (void)state;
    page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    params_default(&params);
    worker = (struct worker){.params = &params};
    return 0;
}

static int end(void **state)
{
    (void)state;
    region_remove(&worker);
    return worker.buffer ? -1 : 0;
}

static void make(uint64_t buffer, uint64_t block_bytes)
{
    params.buffer = buffer;
    params.block_bytes = block_bytes;
    if (region_make(&worker, &err))
        fail_msg("%s", err.text);
    assert_non_null(worker.buffer);
    assert_int_equal((uintptr_t)worker.buffer % huge_page_bytes(), 0);
    assert_int_equal(worker.buffer_bytes % worker.buffer_step, 0);
    assert_true(worker.buffer_step >= block_bytes);
    assert_int_equal(worker.buffer_next, 0);
}

static uint64_t resident_pages(uint64_t bytes)
{
    uint64_t pages = (bytes + page_bytes - 1) / page_bytes, count = 0;
    unsigned char *vector = malloc(pages);
    assert_non_null(vector);
    assert_int_equal(mincore(worker.buffer, bytes, vector), 0);
    for (uint64_t i = 0; i < pages; i++)
        count += vector[i] & 1;
    free(vector);
    return count;
}

static void a_reused_buffer_is_one_block(void **state)
{
    (void)state;
    static const uint64_t blocks[] = {1, 64, 4096, 5000, 4 * MIB};
    for (size_t i = 0; i < LENGTH_OF(blocks); i++) {
        make(buffer_reused, blocks[i]);
        assert_int_equal(worker.buffer_bytes, blocks[i]);
        assert_int_equal(resident_pages(blocks[i]), (blocks[i] + page_bytes - 1) / page_bytes);
        assert_true(region_limit(&params) == UINT64_MAX);
        region_remove(&worker);
    }
}

static void a_touched_region_is_resident_throughout(void **state)
{
    (void)state;
    make(buffer_touched, 5000);
    assert_int_equal(worker.buffer_step, 5000);
    assert_int_equal(worker.buffer_bytes, REGION_BYTES / 5000 * 5000);
    assert_int_equal(resident_pages(worker.buffer_bytes), (worker.buffer_bytes + page_bytes - 1) / page_bytes);
    assert_true(region_limit(&params) == UINT64_MAX);
}

static void fresh_blocks_share_no_page(void **state)
{
    (void)state;
    make(buffer_fresh, 64);
    assert_int_equal(worker.buffer_step, page_bytes);
    assert_int_equal(region_limit(&params), REGION_BYTES / page_bytes);
    region_remove(&worker);
    make(buffer_fresh, page_bytes + 1);
    assert_int_equal(worker.buffer_step, 2 * page_bytes);
    assert_int_equal(region_limit(&params), worker.buffer_bytes / (2 * page_bytes));
}

static void fresh_pages_are_given_back_before_a_batch(void **state)
{
    (void)state;
    enum { BLOCKS = 32 };
    make(buffer_fresh, page_bytes);
    assert_int_equal(resident_pages(worker.buffer_bytes), 0);
    memset(worker.buffer, 1, BLOCKS * page_bytes);
    worker.buffer_next = BLOCKS * page_bytes;
    assert_int_equal(resident_pages(worker.buffer_bytes), BLOCKS); /* small pages: no neighbour came along */
    assert_int_equal(region_reset(&worker, BLOCKS, &err), 0);
    assert_int_equal(resident_pages(worker.buffer_bytes), 0);
    assert_int_equal(worker.buffer_next, 0);
    assert_int_equal(region_reset(&worker, UINT32_MAX, &err), 0); /* no more than there is */
}

static void other_regions_are_left_alone(void **state)
{
    (void)state;
    make(buffer_touched, 4096);
    worker.buffer_next = 4096;
    assert_int_equal(region_reset(&worker, 1000, &err), 0);
    assert_int_equal(worker.buffer_next, 4096);
    assert_int_equal(resident_pages(worker.buffer_bytes), worker.buffer_bytes / page_bytes);
    region_remove(&worker);
    assert_int_equal(region_reset(&worker, 1000, &err), 0); /* nor one that is not there */
}

/* Either in huge pages, as smaps shows, or refused with what was given instead. */
static void huge_pages_are_proven(void **state)
{
    (void)state;
    params.buffer = buffer_huge;
    params.block_bytes = 4096;
    int rc = region_make(&worker, &err);
    if (rc) {
        assert_int_equal(rc, -EOPNOTSUPP);
        unit_assert_text(err.text, "huge pages");
        print_message("SKIP: %s\n", err.text);
        skip();
    }
    assert_int_equal(worker.buffer_bytes, REGION_BYTES);
    assert_int_equal(resident_pages(worker.buffer_bytes), worker.buffer_bytes / page_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_reused_buffer_is_one_block, begin, end),
        cmocka_unit_test_setup_teardown(a_touched_region_is_resident_throughout, begin, end),
        cmocka_unit_test_setup_teardown(fresh_blocks_share_no_page, begin, end),
        cmocka_unit_test_setup_teardown(fresh_pages_are_given_back_before_a_batch, begin, end),
        cmocka_unit_test_setup_teardown(other_regions_are_left_alone, begin, end),
        cmocka_unit_test_setup_teardown(huge_pages_are_proven, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
