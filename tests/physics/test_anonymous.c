/* SPDX-License-Identifier: MIT */
/*
 * First touch of anonymous memory: a load maps the page of zeros and uses no memory, the store after it takes another
 * fault, a store takes one fault a page, of whatever size the pages are. Memory and page tables grow by exactly that.
 */
#include "stage.h"

#include "hugepage.h"
#include "room.h"
#include "sysfile.h"

enum { PAGES = 1024, HUGE_PAGES = 4 };
#define HUGE_BYTES_MAX (64 * MIB) /* four of what is larger would be more memory than a test should take */

extern const struct method method_first_touch;

static struct params anonymous_params(uint64_t bytes, enum pages pages, enum access access, enum prior prior)
{
    struct params params = physics_params(bytes, recipe_write_1MiB, cache_as_found);
    params.sharing = sharing_anonymous;
    params.pages = pages;
    params.access = access;
    params.prior = prior;
    params.pattern = pattern_stride;
    params.block_bytes = 64;
    return params;
}

static uint64_t small_bytes(void)
{
    return PAGES * physics_page_bytes();
}

static void begin(struct stage *stage, uint64_t bytes, enum pages pages, enum access access, enum prior prior)
{
    struct params params = anonymous_params(bytes, pages, access, prior);
    stage_begin(stage, &method_first_touch, &params, NULL);
}

static void a_load_maps_zeros_and_uses_no_memory(void **state)
{
    struct stage stage;
    (void)state;
    physics_need_exact_counts();
    begin(&stage, small_bytes(), pages_small, access_load, prior_never);
    for (unsigned batch = 0; batch < 3; batch++) {
        stage_reset(&stage, PAGES);
        assert_int_equal(stage_run(&stage, PAGES), PAGES);
        assert_int_equal(stage_smaps(&stage).rss, 0);
        assert_int_equal(stage_run(&stage, PAGES), 0); /* again: they are mapped now */
    }
    assert_int_equal(stage.worker.sum, 0);
    stage_end(&stage);
}

static void the_store_after_a_load_faults_again(void **state)
{
    struct stage stage;
    (void)state;
    physics_need_exact_counts();
    begin(&stage, small_bytes(), pages_small, access_store, prior_loaded);
    stage_reset(&stage, PAGES);
    assert_int_equal(stage_smaps(&stage).rss, 0);
    assert_int_equal(stage_run(&stage, PAGES), PAGES);
    assert_int_equal(stage_smaps(&stage).rss, small_bytes());
    assert_int_equal(stage_smaps(&stage).anonymous, small_bytes());
    stage_end(&stage);
}

static void a_store_faults_once_a_page(void **state)
{
    struct stage stage;
    (void)state;
    physics_need_exact_counts();
    begin(&stage, small_bytes(), pages_small, access_store, prior_never);
    for (unsigned batch = 0; batch < 3; batch++) {
        stage_reset(&stage, PAGES);
        assert_int_equal(stage_run(&stage, PAGES / 2), PAGES / 2);
        assert_int_equal(stage_smaps(&stage).rss, small_bytes() / 2);
        assert_int_equal(stage_run(&stage, PAGES / 2), PAGES / 2);
        assert_int_equal(stage_smaps(&stage).rss, small_bytes());
        assert_int_equal(stage_smaps(&stage).huge, 0);
    }
    stage_end(&stage);
}

static void no_fault_is_left_after_a_store(void **state)
{
    struct stage stage;
    (void)state;
    physics_need_exact_counts();
    begin(&stage, small_bytes(), pages_small, access_store, prior_stored);
    stage_reset(&stage, PAGES);
    assert_int_equal(stage_smaps(&stage).rss, small_bytes());
    assert_int_equal(stage_run(&stage, PAGES), 0);
    stage_end(&stage);
}

/* The loop that a program would write, without any of the engine. */
static void a_bare_loop_takes_as_many(void **state)
{
    uint64_t page_bytes = physics_page_bytes(), faults[3];
    (void)state;
    physics_need_exact_counts();
    volatile unsigned char *base = mmap(NULL, small_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                                        0);
    assert_ptr_not_equal(base, MAP_FAILED);
    (void)madvise((void *)(uintptr_t)base, small_bytes(), MADV_NOHUGEPAGE); /* EINVAL where there are none */
    for (unsigned pass = 0; pass < 3; pass++) {
        (void)stage_minor_faults();
        faults[pass] = stage_minor_faults();
        for (uint64_t at = 0; at < small_bytes(); at += page_bytes)
            if (pass == 0)
                (void)base[at];
            else
                base[at] = 1;
        faults[pass] = stage_minor_faults() - faults[pass];
    }
    munmap((void *)(uintptr_t)base, small_bytes());
    assert_int_equal(faults[0], PAGES);
    assert_int_equal(faults[1], PAGES);
    assert_int_equal(faults[2], 0);
}

static uint64_t need_huge_bytes(void)
{
    uint64_t bytes = huge_page_bytes();
    if (access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK))
        physics_skip("this kernel has no transparent huge pages");
    if (bytes > HUGE_BYTES_MAX)
        physics_skip("a huge page has %" PRIu64 " MiB here", bytes / MIB);
    return bytes;
}

/* Ends the test as skipped where fragmented memory had no huge pages to give: then nothing is to be counted. */
static void need_huge_pages(struct stage *stage)
{
    struct err err = {0};
    if (smaps_check_pages(&stage->worker, &err) == 0)
        return;
    stage_end(stage);
    physics_skip("%s", err.text);
}

static void a_store_faults_once_a_huge_page(void **state)
{
    struct stage stage;
    uint64_t huge = need_huge_bytes(), pages = HUGE_PAGES * huge / physics_page_bytes();
    (void)state;
    physics_need_exact_counts();
    begin(&stage, HUGE_PAGES * huge, pages_thp, access_store, prior_never);
    stage_reset(&stage, pages);
    uint64_t first = stage_run(&stage, 1);
    need_huge_pages(&stage);
    assert_int_equal(first, 1);
    assert_int_equal(stage_smaps(&stage).huge, huge);
    uint64_t others = stage_run(&stage, pages - 1);
    need_huge_pages(&stage);
    assert_int_equal(others, HUGE_PAGES - 1);
    assert_int_equal(stage_smaps(&stage).rss, HUGE_PAGES * huge);
    assert_int_equal(stage_smaps(&stage).huge, HUGE_PAGES * huge);
    stage_end(&stage);
}

static void a_load_maps_a_huge_page_of_zeros(void **state)
{
    struct stage stage;
    struct err err;
    int64_t zero_page = 0;
    uint64_t huge = need_huge_bytes(), pages = HUGE_PAGES * huge / physics_page_bytes();
    (void)state;
    physics_need_exact_counts();
    if (sysfile_number(&zero_page, &err, "/sys/kernel/mm/transparent_hugepage/use_zero_page") || !zero_page)
        physics_skip("no huge page of zeros here");
    begin(&stage, HUGE_PAGES * huge, pages_thp, access_load, prior_never);
    uint64_t refused = physics_huge_refused();
    stage_reset(&stage, pages);
    uint64_t faults = stage_run(&stage, pages);
    physics_need_huge_given(refused);
    assert_int_equal(faults, HUGE_PAGES);
    assert_int_equal(stage_smaps(&stage).rss, 0);
    stage_end(&stage);
}

static void a_store_faults_once_a_reserved_page(void **state)
{
    struct stage stage;
    uint64_t huge = hugetlb_page_bytes(), pages = HUGE_PAGES * huge / physics_page_bytes();
    (void)state;
    physics_need_exact_counts();
    begin(&stage, HUGE_PAGES * huge, pages_hugetlb, access_store, prior_never);
    stage_reset(&stage, pages);
    assert_int_equal(stage_run(&stage, pages), HUGE_PAGES);
    assert_int_equal(stage_smaps(&stage).hugetlb, HUGE_PAGES * huge);
    stage_end(&stage);
}

/* Each table of the lowest level maps a huge page's worth; those above it are there. */
static void page_tables_grow(enum pages kind, enum access access)
{
    struct stage stage;
    struct room room;
    uint64_t huge = need_huge_bytes(), page_bytes = physics_page_bytes();
    uint64_t pages = HUGE_PAGES * huge / page_bytes;
    if (huge / page_bytes * sizeof(uint64_t) != page_bytes)
        physics_skip("page tables here do not fill pages");
    room_begin(&room);
    begin(&stage, HUGE_PAGES * huge, kind, access, prior_never);
    stage_reset(&stage, pages);
    room_expect(&room, stage.worker.base, HUGE_PAGES * huge);
    assert_int_equal((uintptr_t)stage.worker.base % huge, 0);
    (void)stage_table_bytes(); /* its own memory comes before */
    uint64_t before = stage_table_bytes();
    stage_run(&stage, 1);
    assert_int_equal(stage_table_bytes() - before, page_bytes);
    stage_run(&stage, pages - 1);
    uint64_t grown = stage_table_bytes() - before;
    need_huge_pages(&stage);
    assert_int_equal(grown, HUGE_PAGES * page_bytes);
    stage_end(&stage);
    room_end(&room);
}

static void page_tables_grow_by_a_table_a_huge_page(void **state)
{
    (void)state;
    physics_need_exact_counts();
    page_tables_grow(pages_small, access_load); /* zeros cost tables too */
    page_tables_grow(pages_small, access_store);
    page_tables_grow(pages_thp, access_store); /* kept aside in case the huge page has to be split */
}

/* The same through the whole engine: no file, no target. */
static void the_counting_pass_says_the_same(void **state)
{
    struct params params = anonymous_params(small_bytes(), pages_small, access_store, prior_never);
    struct physics_cell cell;
    (void)state;
    physics_need_exact_counts();
    params.count_ops = PAGES;
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_first_touch, PAGES);
    physics_arm(&cell, &method_first_touch, PAGES)->params.prior = prior_loaded;
    physics_arm(&cell, &method_first_touch, PAGES)->params.prior = prior_stored;
    physics_arm(&cell, &method_first_touch, PAGES)->params.access = access_load;
    physics_measure(&cell, NULL, 4);
    for (unsigned a = 0; a < cell.cell.arm_count; a++) {
        physics_expect_ok(&cell, a);
        assert_int_equal(cell.result.arms[a].count_ops, PAGES);
        assert_int_equal(physics_count(&cell, a, COUNTER_minor_faults), a == 2 ? 0 : PAGES);
    }
    measure_free(&cell.result);
}

/* Pages of another kind than was asked for are found out, either way. */
static void other_pages_are_refused(void **state)
{
    struct stage stage;
    struct err err = {0};
    uint64_t huge = need_huge_bytes(), pages = HUGE_PAGES * huge / physics_page_bytes();
    (void)state;
    begin(&stage, HUGE_PAGES * huge, pages_small, access_store, prior_never);
    stage_reset(&stage, pages);
    stage_run(&stage, pages);
    assert_int_equal(smaps_check_pages(&stage.worker, &err), 0);
    stage.params.pages = pages_thp;
    assert_int_equal(smaps_check_pages(&stage.worker, &err), -EOPNOTSUPP);
    stage_end(&stage);
    begin(&stage, HUGE_PAGES * huge, pages_thp, access_store, prior_never);
    stage_reset(&stage, pages);
    stage_run(&stage, pages);
    need_huge_pages(&stage);
    stage.params.pages = pages_small;
    assert_int_equal(smaps_check_pages(&stage.worker, &err), -EOPNOTSUPP);
    stage_end(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_load_maps_zeros_and_uses_no_memory),
        cmocka_unit_test(the_store_after_a_load_faults_again),
        cmocka_unit_test(a_store_faults_once_a_page),
        cmocka_unit_test(no_fault_is_left_after_a_store),
        cmocka_unit_test(a_bare_loop_takes_as_many),
        cmocka_unit_test(a_store_faults_once_a_huge_page),
        cmocka_unit_test(a_load_maps_a_huge_page_of_zeros),
        cmocka_unit_test(a_store_faults_once_a_reserved_page),
        cmocka_unit_test(page_tables_grow_by_a_table_a_huge_page),
        cmocka_unit_test(the_counting_pass_says_the_same),
        cmocka_unit_test(other_pages_are_refused),
    };
    return physics_run(tests);
}
