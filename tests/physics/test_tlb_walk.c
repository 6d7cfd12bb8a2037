/* SPDX-License-Identifier: MIT */
/* Walking the page table: no fault is left, every block gives one word, and those words do not all lie in one line's
 * place within a page. */
#include "stage.h"

#include "hugepage.h"

enum { PAGES = 2048 };

extern const struct method method_tlb_walk;

static struct params walk_params(enum sharing sharing, enum pages pages, uint64_t bytes)
{
    struct params params = physics_params(bytes, recipe_write_4KiB,
                                          sharing == sharing_anonymous ? cache_as_found : cache_warm);
    params.sharing = sharing;
    params.pages = pages;
    return params;
}

/* Begins anonymous memory, or ends the test as skipped with what setup says. */
static void begin_anonymous(struct stage *stage, const struct params *params)
{
    struct err err = {0};
    static struct method without_setup; /* which the stage keeps pointing to */
    without_setup = method_tlb_walk;
    without_setup.setup = NULL;
    stage_begin(stage, &without_setup, params, NULL);
    int rc = method_tlb_walk.setup(&stage->worker, &err);
    if (rc == -EOPNOTSUPP) {
        stage_end(stage);
        physics_skip("%s", err.text);
    }
    if (rc)
        fail_msg("%s", err.text);
}

static void no_fault_is_left(struct stage *stage)
{
    for (unsigned pass = 0; pass < 2; pass++) {
        uint64_t faults = stage_run(stage, stage->worker.offset_count);
#ifdef PHYSICS_SANITIZED
        print_message("%" PRIu64 " faults, some of them the sanitizer's\n", faults);
#else
        assert_int_equal(faults, 0);
#endif
    }
}

static void small_pages(void **state)
{
    struct params params = walk_params(sharing_anonymous, pages_small, PAGES * physics_page_bytes());
    struct stage stage;
    (void)state;
    begin_anonymous(&stage, &params);
    assert_int_equal(stage_smaps(&stage).rss, params.working_set_bytes); /* not one page of zeros */
    assert_int_equal(stage_smaps(&stage).huge, 0);
    no_fault_is_left(&stage);
    assert_int_equal(stage.worker.sum, 2 * stage.worker.offset_count * UINT64_C(0x0101010101010101));
    stage_end(&stage);
}

static void huge_pages(void **state)
{
    uint64_t huge = huge_page_bytes();
    (void)state;
    if (huge > 64 * MIB)
        physics_skip("a huge page has %" PRIu64 " MiB here", huge / MIB);
    struct params params = walk_params(sharing_anonymous, pages_thp, 2 * huge);
    struct stage stage;
    begin_anonymous(&stage, &params);
    assert_int_equal(stage_smaps(&stage).huge, params.working_set_bytes);
    no_fault_is_left(&stage);
    stage_end(&stage);
}

static void reserved_pages(void **state)
{
    struct params params = walk_params(sharing_anonymous, pages_hugetlb, 2 * hugetlb_page_bytes());
    struct stage stage;
    (void)state;
    begin_anonymous(&stage, &params);
    assert_int_equal(stage_smaps(&stage).hugetlb, params.working_set_bytes);
    no_fault_is_left(&stage);
    stage_end(&stage);
}

/* Every word of the file is the number of its line within the page, so the sum tells which lines were loaded. */
static void lines_are_spread(void **state)
{
    struct params params = walk_params(sharing_shared, pages_small, PAGES * physics_page_bytes());
    struct target target;
    struct stage stage;
    (void)state;
    physics_open(&target, &params);
    uint64_t words = params.block_bytes / sizeof(uint64_t), lines = params.block_bytes / 64;
    uint64_t *page = malloc(params.block_bytes);
    assert_non_null(page);
    for (uint64_t i = 0; i < words; i++)
        page[i] = i / 8;
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(pwrite(target.fd, page, params.block_bytes, (off_t)(i * params.block_bytes)),
                         params.block_bytes);
    free(page);
    stage_begin(&stage, &method_tlb_walk, &params, &target);
    assert_int_equal(stage.worker.offset_count, PAGES);
    stage_run(&stage, PAGES);
    double mean = (double)stage.worker.sum / PAGES, middle = (double)(lines - 1) / 2;
    print_message("mean line of a block: %.2f of %" PRIu64 "\n", mean, lines);
    assert_true(mean > 0.95 * middle && mean < 1.05 * middle);
    stage_end(&stage);
    target_close(&target);
}

static void a_file_takes_no_fault(void **state)
{
    struct params params = walk_params(sharing_shared, pages_small, PAGES * physics_page_bytes());
    struct target target;
    struct stage stage;
    (void)state;
    physics_open(&target, &params);
    stage_begin(&stage, &method_tlb_walk, &params, &target);
    assert_int_equal(stage_smaps(&stage).rss, params.working_set_bytes);
    no_fault_is_left(&stage);
    stage_end(&stage);
    target_close(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_pages),           cmocka_unit_test(huge_pages),
        cmocka_unit_test(reserved_pages),        cmocka_unit_test(lines_are_spread),
        cmocka_unit_test(a_file_takes_no_fault),
    };
    return physics_run(tests);
}
