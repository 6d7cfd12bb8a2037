/* SPDX-License-Identifier: MIT */
/*
 * First touch of a file: what one fault maps when it loads, what it maps when it stores, what a store after a load
 * still takes, which pages are dirty then, and which blocks a hole has got.
 */
#include "stage.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

enum { PAGES = 1024 };

extern const struct method method_first_touch;

static uint64_t file_bytes(void)
{
    return PAGES * physics_page_bytes();
}

static struct params touch_params(enum backing backing, enum recipe recipe)
{
    struct params params = physics_params(file_bytes(), recipe, cache_warm);
    params.backing = backing;
    params.pattern = pattern_stride;
    params.block_bytes = 64;
    return params;
}

struct kind {
    enum sharing sharing;
    enum access access;
    enum vma vma;
    enum prior prior;
};

static void begin(struct stage *stage, const struct target *target, struct kind kind)
{
    struct params params = *target->params;
    params.sharing = kind.sharing;
    params.access = kind.access;
    params.vma = kind.vma;
    params.prior = kind.prior;
    stage_begin(stage, &method_first_touch, &params, target);
}

/* Faults of touching each page once, from a file that is clean and warm. */
static uint64_t faults_of(const struct target *target, struct kind kind)
{
    struct stage stage;
    struct err err = {0};
    assert_int_equal(target_settle(target, &err), 0);
    begin(&stage, target, kind);
    stage_reset(&stage, PAGES);
    uint64_t faults = stage_run(&stage, PAGES);
    stage_end(&stage);
    return faults;
}

/* Ends the test unless a 4 KiB write makes a folio of one page here and stores are noted page by page: on a filesystem
 * that has page_mkwrite. */
static void need_small_folios_on_disk(const struct target *target)
{
    struct statfs filesystem;
    assert_int_equal(fstatfs(target->fd, &filesystem), 0);
    if ((uint64_t)filesystem.f_bsize > target->page_bytes)
        physics_skip("the filesystem's blocks are larger than a page");
    if (filesystem.f_type != EXT4_SUPER_MAGIC && filesystem.f_type != XFS_SUPER_MAGIC)
        physics_skip("filesystem %#lx is neither ext4 nor XFS", (unsigned long)filesystem.f_type);
}

static void a_one_page_vma_takes_one_fault(void **state)
{
    static const enum backing backings[] = {backing_file, backing_tmpfs};
    static const enum recipe recipes[] = {recipe_write_4KiB, recipe_write_1MiB};
    static const enum sharing sharings[] = {sharing_shared, sharing_private};
    (void)state;
    physics_need_exact_counts();
    for (unsigned i = 0; i < 4; i++) {
        struct params params = touch_params(backings[i / 2], recipes[i % 2]);
        struct target target;
        physics_open(&target, &params);
        for (unsigned s = 0; s < 2; s++) {
            assert_int_equal(faults_of(&target, (struct kind){sharings[s], access_load, vma_page, prior_never}), PAGES);
            assert_int_equal(faults_of(&target, (struct kind){sharings[s], access_store, vma_page, prior_never}),
                             PAGES);
        }
        target_close(&target);
    }
}

/* On a disk the filesystem is told of the first store to every page; shared memory has nobody to tell. */
static void a_store_after_a_load(void **state)
{
    struct kind kind = {sharing_shared, access_store, vma_whole, prior_loaded};
    struct params params = touch_params(backing_tmpfs, recipe_write_4KiB);
    struct target target;
    (void)state;
    physics_need_exact_counts();
    physics_open(&target, &params);
    assert_int_equal(faults_of(&target, kind), 0);
    target_close(&target);
    params = touch_params(backing_file, recipe_write_4KiB);
    physics_open(&target, &params);
    need_small_folios_on_disk(&target);
    assert_int_equal(faults_of(&target, kind), PAGES);
    target_close(&target);
}

/* However large the folios are that the page cache holds, a private store copies one page. */
static void a_private_store_takes_one_fault_a_page(void **state)
{
    static const enum recipe recipes[] = {recipe_write_4KiB, recipe_write_1MiB, recipe_write_2MiB};
    static const enum prior priors[] = {prior_never, prior_loaded};
    (void)state;
    physics_need_exact_counts();
    for (unsigned i = 0; i < 6; i++) {
        struct params params = touch_params(backing_file, recipes[i / 2]);
        struct target target;
        struct stage stage;
        unsigned char before[64], after[64];
        physics_open(&target, &params);
        assert_int_equal(pread(target.fd, before, sizeof before, 0), sizeof before);
        begin(&stage, &target, (struct kind){sharing_private, access_store, vma_whole, priors[i % 2]});
        stage_reset(&stage, PAGES);
        assert_int_equal(stage_smaps(&stage).anonymous, 0);
        assert_int_equal(stage_run(&stage, PAGES), PAGES);
        assert_int_equal(stage_smaps(&stage).anonymous, file_bytes());
        assert_memory_equal(stage.worker.base, stage.worker.buffer, sizeof before);
        stage_end(&stage);
        assert_int_equal(pread(target.fd, after, sizeof after, 0), sizeof after); /* the file has not changed */
        assert_memory_equal(before, after, sizeof before);
        target_close(&target);
    }
}

static void a_shared_store_dirties_what_it_touches(void **state)
{
    struct params params = touch_params(backing_file, recipe_write_4KiB);
    struct physics_cachestat found;
    struct target target;
    struct stage stage;
    (void)state;
    physics_need_exact_counts();
    physics_open(&target, &params);
    need_small_folios_on_disk(&target);
    begin(&stage, &target, (struct kind){sharing_shared, access_store, vma_whole, prior_never});
    stage_reset(&stage, PAGES);
    assert_int_equal(stage_run(&stage, PAGES / 4), PAGES / 4);
    if (physics_cachestat(target.fd, file_bytes(), &found))
        assert_int_equal(found.dirty + found.writeback, PAGES / 4);
    else
        print_message("no cachestat here: dirty pages are not counted\n");
    stage_end(&stage);
    target_close(&target);
}

/* Loads put what they map into the address space: all of it once every page has been touched, and nothing is copied. */
static void a_load_adds_the_cached_pages(void **state)
{
    struct params params = touch_params(backing_file, recipe_write_1MiB);
    struct target target;
    struct stage stage;
    (void)state;
    physics_open(&target, &params);
    for (enum sharing sharing = sharing_shared; sharing <= sharing_private; sharing++) {
        begin(&stage, &target, (struct kind){sharing, access_load, vma_whole, prior_never});
        stage_reset(&stage, PAGES);
        assert_int_equal(stage_smaps(&stage).rss, 0);
        stage_run(&stage, PAGES);
        assert_int_equal(stage_smaps(&stage).rss, file_bytes());
        assert_int_equal(stage_smaps(&stage).anonymous, 0);
        stage_end(&stage);
    }
    target_close(&target);
}

static uint64_t strided_faults(const struct target *target, uint64_t stride_pages, uint64_t *window)
{
    struct params params = *target->params;
    struct stage stage;
    params.stride_bytes = stride_pages * target->page_bytes;
    stage_begin(&stage, &method_first_touch, &params, target);
    stage_reset(&stage, stage.worker.offset_count);
    uint64_t start_page = (uint64_t)(uintptr_t)stage.worker.base / target->page_bytes;
    uint64_t faults = stage_run(&stage, stage.worker.offset_count);
    stage_end(&stage);
    if (stride_pages == 1)
        *window = PAGES / faults;
    if (start_page % *window)
        physics_skip("the mapping does not begin with a window of fault-around");
    return faults;
}

/* Up to a window of fault-around there is a fault a window, from there on a fault a touch. */
static void a_fault_reaches_as_far_as_a_window(void **state)
{
    struct params params = touch_params(backing_file, recipe_write_4KiB);
    struct target target;
    uint64_t window = 1;
    (void)state;
    physics_need_exact_counts();
    physics_open(&target, &params);
    need_small_folios_on_disk(&target);
    for (uint64_t stride = 1; stride <= PAGES / 4; stride *= 2) {
        uint64_t faults = strided_faults(&target, stride, &window);
        assert_int_equal(faults, PAGES / (stride > window ? stride : window));
    }
    print_message("window: %" PRIu64 " pages\n", window);
    target_close(&target);
}

/* Pages that the first store brings in lie in one folio: at least as many a fault as for a load of one-page folios, and
 * what the engine counts is what a bare loop meets. */
static void the_counting_pass_says_the_same(void **state)
{
    static const enum recipe recipes[] = {recipe_write_4KiB, recipe_write_1MiB, recipe_write_2MiB};
    (void)state;
    physics_need_exact_counts();
    for (unsigned r = 0; r < 3; r++) {
        struct params params = touch_params(backing_file, recipes[r]);
        struct kind kind = {sharing_shared, access_store, vma_whole, prior_never};
        struct physics_cell cell;
        struct target target;
        physics_open(&target, &params);
        uint64_t faults = faults_of(&target, kind);
        params.count_ops = PAGES;
        physics_begin(&cell, &params);
        physics_arm(&cell, &method_first_touch, PAGES)->params.access = access_store;
        physics_measure(&cell, &target, 2);
        physics_expect_ok(&cell, 0);
        print_message("%s: pages a storing fault %.1f\n", field_table[FIELD_recipe].options[recipes[r]].spelling,
                      (double)PAGES / (double)faults);
        assert_int_equal(physics_count(&cell, 0, COUNTER_minor_faults), faults);
        assert_in_range(faults, 1, PAGES);
        measure_free(&cell.result);
        target_close(&target);
    }
}

/* Blocks of the file as the filesystem has settled them. */
static uint64_t allocated_bytes(const struct target *target)
{
    struct stat status;
    struct err err = {0};
    assert_int_equal(target_settle(target, &err), 0);
    assert_int_equal(fstat(target->fd, &status), 0);
    return (uint64_t)status.st_blocks * 512;
}

static void a_hole_gets_the_blocks_that_are_stored_to(enum backing backing)
{
    struct params params = touch_params(backing, recipe_hole);
    struct target target;
    struct stage stage;
    params.cache = cache_as_found;
    physics_open(&target, &params);
    assert_int_equal(allocated_bytes(&target), 0);
    begin(&stage, &target, (struct kind){sharing_shared, access_store, vma_whole, prior_never});
    for (unsigned batch = 0; batch < 3; batch++) {
        stage_reset(&stage, PAGES);
        assert_int_equal(allocated_bytes(&target), 0);
        stage_run(&stage, PAGES);
        assert_in_range(allocated_bytes(&target), file_bytes(), 2 * file_bytes()); /* metadata, speculation */
    }
    stage_end(&stage);
    target_close(&target);
}

static void holes_are_filled_and_emptied(void **state)
{
    (void)state;
    a_hole_gets_the_blocks_that_are_stored_to(backing_tmpfs);
    a_hole_gets_the_blocks_that_are_stored_to(backing_file);
}

/* In memory its pages are zeros that a load brings in and no block is; warm, they are there and clean. */
static void a_warm_hole_has_pages_and_no_blocks(void **state)
{
    struct params params = touch_params(backing_file, recipe_hole);
    struct page_state pages;
    struct target target;
    struct stage stage;
    struct err err = {0};
    (void)state;
    physics_open(&target, &params);
    begin(&stage, &target, (struct kind){sharing_shared, access_store, vma_whole, prior_never});
    for (unsigned batch = 0; batch < 2; batch++) {
        stage_reset(&stage, PAGES);
        assert_int_equal(target_state(&target, file_bytes(), &pages, &err), 0);
        assert_int_equal(pages.resident, PAGES);
        assert_int_equal(allocated_bytes(&target), 0);
        stage_run(&stage, PAGES);
    }
    stage_end(&stage);
    target_close(&target);
}

static void stores_leave_the_blocks_of_a_written_file(void **state)
{
    struct params params = touch_params(backing_file, recipe_write_4KiB);
    struct target target;
    (void)state;
    physics_open(&target, &params);
    uint64_t before = allocated_bytes(&target);
    faults_of(&target, (struct kind){sharing_shared, access_store, vma_whole, prior_never});
    need_small_folios_on_disk(&target); /* a filesystem that writes elsewhere may well count otherwise */
    assert_int_equal(allocated_bytes(&target), before);
    target_close(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_one_page_vma_takes_one_fault),
        cmocka_unit_test(a_store_after_a_load),
        cmocka_unit_test(a_private_store_takes_one_fault_a_page),
        cmocka_unit_test(a_shared_store_dirties_what_it_touches),
        cmocka_unit_test(a_load_adds_the_cached_pages),
        cmocka_unit_test(a_fault_reaches_as_far_as_a_window),
        cmocka_unit_test(the_counting_pass_says_the_same),
        cmocka_unit_test(holes_are_filled_and_emptied),
        cmocka_unit_test(a_warm_hole_has_pages_and_no_blocks),
        cmocka_unit_test(stores_leave_the_blocks_of_a_written_file),
    };
    return physics_run_beside(tests, DISTURBED_BY_WRITEBACK);
}
