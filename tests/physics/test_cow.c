/* SPDX-License-Identifier: MIT */
/*
 * The first store to a page of a private mapping: one fault and one copy of a base page whatever the folios, one fault
 * more where the page was read before, and nothing of it in the file.
 */
#include "hand.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "smaps.h"

enum { PAGES = 512 };

extern const struct method method_cow_break, method_first_touch;

static uint64_t file_bytes(void)
{
    return PAGES * physics_page_bytes();
}

/* One word of each page is stored to a private mapping. */
static struct params break_params(enum recipe recipe, enum prior prior, enum vma vma)
{
    struct params params = physics_params(file_bytes(), recipe, cache_warm);
    params.pattern = pattern_stride;
    params.block_bytes = sizeof(uint64_t);
    params.sharing = sharing_private;
    params.access = access_store;
    params.prior = prior;
    params.vma = vma;
    return params;
}

static uint64_t engine_faults(struct target *target, const struct params *params, const struct method *method)
{
    struct physics_cell cell;
    physics_begin(&cell, params);
    physics_arm(&cell, method, PAGES);
    physics_measure(&cell, target, 1);
    physics_expect_ok(&cell, 0);
    assert_int_equal(cell.result.arms[0].count_ops, PAGES);
    assert_int_equal(physics_count(&cell, 0, COUNTER_major_faults), 0);
    uint64_t faults = physics_count(&cell, 0, COUNTER_minor_faults);
    measure_free(&cell.result);
    return faults;
}

/* Also on large folios, and where fault-around has mapped the page for reading: never more than a page is copied. */
static void every_page_is_broken_by_a_fault_of_its_own(void **state)
{
    static const enum recipe recipes[] = {recipe_write_4KiB, recipe_write_64KiB, recipe_write_2MiB};
    (void)state;
    physics_need_exact_counts();
    for (unsigned i = 0; i < sizeof recipes / sizeof *recipes; i++)
        for (unsigned prior = prior_never; prior <= prior_loaded; prior++)
            for (unsigned vma = vma_whole; vma <= vma_page; vma++) {
                struct params params = break_params(recipes[i], (enum prior)prior, (enum vma)vma);
                struct target target;
                physics_open(&target, &params);
                assert_int_equal(engine_faults(&target, &params, &method_cow_break), PAGES);
                target_close(&target);
            }
}

static uint64_t faults_now(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (uint64_t)usage.ru_minflt;
}

/* A bare loop over one-page VMAs: a fault a page for the load, and one more for the store. */
static void a_page_that_was_read_faults_once_more(void **state)
{
    struct params params = break_params(recipe_write_4KiB, prior_never, vma_page);
    uint64_t page_bytes = physics_page_bytes(), counts[3];
    struct target target;
    (void)state;
    physics_need_exact_counts();
    physics_open(&target, &params);
    unsigned char *base = mmap(NULL, file_bytes(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(base, MAP_FAILED);
    for (uint64_t i = 0; i < PAGES; i++) /* in reverse: neighbours that are none in the file are not merged */
        assert_ptr_not_equal(mmap(base + i * page_bytes, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
                                  target.fd, (off_t)((PAGES - 1 - i) * page_bytes)),
                             MAP_FAILED);
    for (int run = 0; run < 2; run++) { /* the first, over nothing, takes the faults of what is called here */
        counts[0] = faults_now();
        for (uint64_t i = 0; i < (run ? PAGES : 0); i++)
            (void)*(const volatile unsigned char *)(base + i * page_bytes);
        counts[1] = faults_now();
        for (uint64_t i = 0; i < (run ? PAGES : 0); i++)
            *(volatile unsigned char *)(base + i * page_bytes) = 1;
        counts[2] = faults_now();
    }
    munmap(base, file_bytes());
    assert_int_equal(counts[1] - counts[0], PAGES);
    assert_int_equal(counts[2] - counts[1], PAGES);
    target_close(&target);
}

/* As much anonymous memory as pages were stored to, to the byte: the copies, and nothing else. */
static void a_byte_copies_a_page(void **state)
{
    struct params params = break_params(recipe_write_2MiB, prior_loaded, vma_whole);
    struct target target;
    struct hand hand;
    struct smaps before, after;
    (void)state;
    physics_open(&target, &params);
    hand_begin(&hand, &method_cow_break, &params, &target);
    hand_reset(&hand, PAGES);
    if (!smaps_read(hand.worker.base, hand.worker.base_bytes, &before)) {
        hand_end(&hand);
        physics_skip("there is no /proc/self/smaps");
    }
    hand_run(&hand, PAGES / 4);
    assert_true(smaps_read(hand.worker.base, hand.worker.base_bytes, &after));
    assert_int_equal(before.anonymous, 0);
    assert_int_equal(after.anonymous, PAGES / 4 * physics_page_bytes());
    hand_end(&hand);
    target_close(&target);
}

/* Past the page cache where the filesystem can do it: what the medium holds. */
static void read_file(const struct target *target, unsigned char *bytes)
{
    int fd = target_reopen(target, O_RDONLY | O_DIRECT);
    if (fd < 0)
        fd = target_reopen(target, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, bytes, file_bytes(), 0), file_bytes());
    close(fd);
}

static unsigned char *new_memory(void)
{
    unsigned char *bytes = mmap(NULL, file_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    return bytes;
}

static void private_stores_never_reach_the_file(void **state)
{
    struct params params = break_params(recipe_write_1MiB, prior_never, vma_whole);
    unsigned char *before = new_memory(), *after = new_memory();
    struct target target;
    struct hand hand;
    (void)state;
    physics_open(&target, &params);
    read_file(&target, before);
    hand_begin(&hand, &method_cow_break, &params, &target);
    hand_reset(&hand, PAGES);
    hand_run(&hand, PAGES);
    assert_int_equal(msync(hand.worker.base, hand.worker.base_bytes, MS_SYNC), 0);
    assert_int_equal(fsync(target.fd), 0);
    read_file(&target, after);
    assert_memory_equal(before, after, file_bytes());
    uint64_t changed = 0;
    for (uint64_t i = 0; i < PAGES; i++) {
        uint64_t at = hand.offsets.items[i];
        changed += memcmp(hand.worker.base + at, before + at, sizeof(uint64_t)) != 0;
        assert_memory_equal(hand.worker.base + at, hand.worker.buffer, sizeof(uint64_t));
    }
    assert_int_equal(changed, PAGES); /* the mapping itself does show them */
    hand_end(&hand);
    target_close(&target);
    munmap(before, file_bytes());
    munmap(after, file_bytes());
}

/* A private mapping is no snapshot: what is written to the file shows in it until the page is broken. */
static void later_writes_show_in_unbroken_pages_only(void **state)
{
    struct params params = break_params(recipe_write_1MiB, prior_loaded, vma_whole);
    unsigned char *written = new_memory();
    uint64_t page_bytes = physics_page_bytes();
    struct target target;
    struct hand hand;
    (void)state;
    physics_open(&target, &params);
    hand_begin(&hand, &method_cow_break, &params, &target);
    hand_reset(&hand, PAGES);
    hand_run(&hand, PAGES / 2); /* the leading half, in order */
    memset(written, 0xa5, file_bytes());
    assert_int_equal(pwrite(target.fd, written, file_bytes(), 0), file_bytes());
    for (uint64_t page = 0; page < PAGES; page++) {
        const unsigned char *end = hand.worker.base + (page + 1) * page_bytes - 64;
        assert_int_equal(memcmp(end, written, 64) == 0, page >= PAGES / 2);
    }
    hand_end(&hand);
    target_close(&target);
    munmap(written, file_bytes());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_is_broken_by_a_fault_of_its_own),
        cmocka_unit_test(a_page_that_was_read_faults_once_more),
        cmocka_unit_test(a_byte_copies_a_page),
        cmocka_unit_test(private_stores_never_reach_the_file),
        cmocka_unit_test(later_writes_show_in_unbroken_pages_only),
    };
    return physics_run(tests);
}
