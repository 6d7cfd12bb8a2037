/* SPDX-License-Identifier: MIT */
/* What newer kernels offer does what it is for, and says the same as what it is to replace. */
#include "hand.h"

#include <fcntl.h>

#include "collapse.h"
#include "hugepage.h"
#include "move.h"
#include "smaps.h"

enum { PAGES = 256, TRIES = 10 };

extern const struct method method_residency_mincore, method_residency_cachestat, method_pagemap_read,
    method_pagemap_scan, method_move_copy, method_move_remap, method_move_userfault, method_guard_protect,
    method_guard_install, method_collapse, method_collapse_copy, method_discard, method_discard_sealed;

static struct params range_params(uint64_t bytes)
{
    struct params params = physics_params(bytes, recipe_write_4KiB, cache_warm);
    params.range_bytes = bytes;
    return params;
}

/* What one call of the method answers. */
static uint64_t answer_of(const struct method *method, const struct params *params, const struct target *target)
{
    struct hand hand;
    hand_begin(&hand, method, params, target);
    hand_reset(&hand, 1);
    uint64_t before = hand.worker.sum;
    hand_run(&hand, 1);
    uint64_t answer = hand.worker.sum - before;
    hand_end(&hand);
    return answer;
}

static void both_see_the_same_pages_resident(void **state)
{
    uint64_t bytes = PAGES * physics_page_bytes();
    struct params params = range_params(bytes);
    struct target target;
    (void)state;
    physics_open(&target, &params);
    assert_int_equal(answer_of(&method_residency_mincore, &params, &target), PAGES);
    assert_int_equal(answer_of(&method_residency_cachestat, &params, &target), PAGES);
    assert_int_equal(fsync(target.fd), 0);
    assert_int_equal(posix_fadvise(target.fd, (off_t)(bytes / 2), 0, POSIX_FADV_DONTNEED), 0);
    uint64_t left = physics_mincore(target.fd, bytes);
    assert_int_equal(answer_of(&method_residency_mincore, &params, &target), left);
    assert_int_equal(answer_of(&method_residency_cachestat, &params, &target), left);
    if (left == PAGES) {
        target_close(&target);
        physics_skip("nothing is evicted here: that both would see it is not shown");
    }
    target_close(&target);
}

static void both_see_the_same_pages_touched(void **state)
{
    static const double shares[] = {0, 0.25, 1};
    struct params params = range_params(PAGES * physics_page_bytes());
    (void)state;
    for (unsigned i = 0; i < sizeof shares / sizeof *shares; i++) {
        params.written_share = shares[i];
        uint64_t touched = (uint64_t)(shares[i] * PAGES);
        assert_int_equal(answer_of(&method_pagemap_read, &params, NULL), touched);
        assert_int_equal(answer_of(&method_pagemap_scan, &params, NULL), touched);
    }
}

static uint64_t resident(unsigned char *base, uint64_t bytes)
{
    struct smaps found = {0};
    return smaps_read(base, bytes, &found) ? found.rss / physics_page_bytes() : UINT64_MAX;
}

/* The bytes are at the new place, nothing is at the old one, and `faults` were taken. */
static void expect_move(const struct method *method, uint64_t faults)
{
    struct params params = range_params(PAGES * physics_page_bytes());
    struct hand hand;
    struct physics_cell cell;
    hand_begin(&hand, method, &params, NULL);
    const struct move *move = hand.worker.own;
    hand_run(&hand, 3); /* an odd number: they are at the second place */
    assert_int_equal(move->at, 1);
    assert_int_equal(resident(move->places[0], move->bytes), 0);
    assert_int_equal(resident(move->places[1], move->bytes), PAGES);
    for (uint64_t at = 0; at < move->bytes; at += physics_page_bytes())
        assert_int_equal(move->places[1][at], 1);
    hand_end(&hand);
    physics_need_exact_counts();
    physics_begin(&cell, &params);
    struct arm *arm = physics_arm(&cell, method, 4);
    arm->params.count_ops = 4;
    physics_measure(&cell, NULL, 1);
    physics_expect_ok(&cell, 0);
    assert_int_equal(physics_count(&cell, 0, COUNTER_minor_faults), 4 * faults);
    measure_free(&cell.result);
}

static void a_copy_faults_for_every_page(void **state)
{
    (void)state;
    expect_move(&method_move_copy, PAGES);
}

static void mremap_moves_without_a_fault(void **state)
{
    (void)state;
    expect_move(&method_move_remap, 0);
}

static void userfault_moves_without_a_fault(void **state)
{
    (void)state;
    expect_move(&method_move_userfault, 0);
}

static uint64_t mapped_ranges(void)
{
    uint64_t lines = 0;
    char line[1024];
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        lines += strchr(line, '\n') != NULL;
    fclose(maps);
    return lines;
}

/* A system call writing to the page fails where a store would be a signal. */
static bool is_guarded(unsigned char *page)
{
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    bool refused = read(fd, page, 1) < 0 && errno == EFAULT;
    close(fd);
    return refused;
}

static void expect_guards(const struct method *method, uint64_t vmas_each)
{
    enum { GUARDS = 10 };
    struct params params = range_params(PAGES * physics_page_bytes());
    struct hand hand;
    hand_begin(&hand, method, &params, NULL);
    hand_reset(&hand, GUARDS);
    uint64_t before = mapped_ranges();
    assert_false(is_guarded(hand.worker.base + physics_page_bytes()));
    hand_run(&hand, GUARDS);
    assert_int_equal(mapped_ranges() - before, GUARDS * vmas_each);
    for (uint64_t page = 0; page < 2 * GUARDS + 2; page++)
        assert_int_equal(is_guarded(hand.worker.base + page * physics_page_bytes()), page < 2 * GUARDS && page % 2);
    hand_reset(&hand, GUARDS);
    assert_int_equal(mapped_ranges(), before);
    assert_false(is_guarded(hand.worker.base + physics_page_bytes()));
    hand_end(&hand);
}

static void protecting_a_page_makes_two_vmas_more(void **state)
{
    (void)state;
    expect_guards(&method_guard_protect, 2);
}

static void a_guard_region_makes_none(void **state)
{
    (void)state;
    expect_guards(&method_guard_install, 0);
}

/* Collapses small pages; 0 or -errno as the method. */
static int collapse_small_pages(struct hand *hand)
{
    struct smaps found = {.huge = UINT64_MAX};
    for (unsigned tries = 0; found.huge && tries < TRIES; tries++) { /* khugepaged wakes at the advice: may be first */
        hand_reset(hand, 1);
        if (!smaps_read(hand->worker.base, hand->worker.base_bytes, &found)) {
            hand_end(hand);
            physics_skip("there is no /proc/self/smaps");
        }
    }
    assert_int_equal(found.huge, 0);
    return hand->method->run(&hand->worker, 1);
}

/* Small pages before, huge ones after, the same bytes; a copy ends with the same. */
static void collapsing_makes_huge_pages_of_the_same_bytes(void **state)
{
    uint64_t bytes = 2 * huge_page_bytes();
    struct params params = range_params(bytes);
    struct smaps found;
    struct hand hand;
    (void)state;
    if (bytes > 128 * MIB)
        physics_skip("a huge page of %llu MiB", (unsigned long long)(bytes / 2 / MIB));
    hand_begin(&hand, &method_collapse, &params, NULL);
    int rc = collapse_small_pages(&hand);
    for (unsigned tries = 1; (rc == -ENOMEM || hand.worker.fault) && tries < TRIES; tries++)
        rc = collapse_small_pages(&hand); /* somebody holds one of the pages, or no huge page is free, just now */
    if (rc == -ENOMEM) {
        hand_end(&hand);
        physics_skip("fragmented memory had no huge page to give");
    }
    assert_int_equal(rc, 0);
    assert_null(hand.worker.fault);
    assert_true(smaps_read(hand.worker.base, bytes, &found));
    assert_int_equal(found.huge, bytes);
    for (uint64_t at = 0; at < bytes; at += physics_page_bytes())
        assert_int_equal(hand.worker.base[at], 1);
    hand_end(&hand);
    hand_begin(&hand, &method_collapse_copy, &params, NULL);
    hand_reset(&hand, 1);
    uint64_t refused = physics_huge_refused();
    hand_run(&hand, 1);
    physics_need_huge_given(refused);
    assert_true(smaps_read(hand.worker.buffer, bytes, &found));
    assert_int_equal(found.huge, bytes);
    for (uint64_t at = 0; at < bytes; at += physics_page_bytes())
        assert_int_equal(hand.worker.buffer[at], 1);
    hand_end(&hand);
}

/* Of a range given back and loaded from once, what one fault maps is there: the first page, and never all of them. */
static void expect_discard(const struct method *method)
{
    struct params params = range_params(PAGES * physics_page_bytes());
    struct target target;
    struct hand hand;
    struct physics_cell cell;
    physics_open(&target, &params);
    hand_begin(&hand, method, &params, &target);
    for (uint64_t at = 0; at < params.range_bytes; at += physics_page_bytes())
        (void)*(volatile unsigned char *)(hand.worker.base + at);
    assert_int_equal(resident(hand.worker.base, params.range_bytes), PAGES);
    hand_run(&hand, 1);
    assert_in_range(resident(hand.worker.base, params.range_bytes), 1, PAGES / 4);
    hand_end(&hand);
    physics_need_exact_counts();
    physics_begin(&cell, &params);
    struct arm *arm = physics_arm(&cell, method, 4);
    arm->params.count_ops = 4;
    physics_measure(&cell, &target, 1);
    physics_expect_ok(&cell, 0);
    assert_int_equal(physics_count(&cell, 0, COUNTER_minor_faults), 4);
    measure_free(&cell.result);
    target_close(&target);
}

static void discarded_pages_fault_again(void **state)
{
    (void)state;
    expect_discard(&method_discard);
}

static void a_seal_does_not_keep_pages(void **state)
{
    (void)state;
    expect_discard(&method_discard_sealed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_see_the_same_pages_resident),
        cmocka_unit_test(both_see_the_same_pages_touched),
        cmocka_unit_test(a_copy_faults_for_every_page),
        cmocka_unit_test(mremap_moves_without_a_fault),
        cmocka_unit_test(userfault_moves_without_a_fault),
        cmocka_unit_test(protecting_a_page_makes_two_vmas_more),
        cmocka_unit_test(a_guard_region_makes_none),
        cmocka_unit_test(collapsing_makes_huge_pages_of_the_same_bytes),
        cmocka_unit_test(discarded_pages_fault_again),
        cmocka_unit_test(a_seal_does_not_keep_pages),
    };
    return physics_run(tests);
}
