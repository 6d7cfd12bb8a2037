/* SPDX-License-Identifier: MIT */
/* How much of a cold file one touch reads, by advice: the kernel's window is known, so the bytes are. */
#define _GNU_SOURCE
#include "physics.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "sysfile.h"

extern const struct method method_pread, method_mmap;

enum { TOUCHES = 16 };

/* Bytes that the device under the file reads ahead; the test is skipped where that cannot be known. */
static uint64_t read_ahead_bytes(const struct target *target)
{
    static const char *const forms[] = {"/sys/dev/block/%u:%u/queue/read_ahead_kb",
                                        "/sys/dev/block/%u:%u/../queue/read_ahead_kb",
                                        "/sys/class/bdi/%u:%u/read_ahead_kb"};
    struct err ignored;
    int64_t kib;
    char path[128];
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(path, sizeof path, forms[i], major(target->device), minor(target->device));
#pragma GCC diagnostic pop
        if (sysfile_number(&kib, &ignored, "%s", path) == 0)
            return (uint64_t)kib * KIB;
    }
    physics_skip("read-ahead of the device under the file is not shown");
    return 0;
}

/* Large enough for whole windows around a page in its middle. */
static void open_cold(struct target *target, struct params *params, uint64_t *window)
{
    *params = physics_params(4 * MIB, recipe_write_1MiB, cache_cold);
    physics_open(target, params);
    *window = read_ahead_bytes(target);
    target_close(target);
    if (*window > 16 * MIB)
        physics_skip("read-ahead of %llu MiB needs too large a file", (unsigned long long)(*window / MIB));
    if (*window < 2 * physics_page_bytes())
        physics_skip("the device reads nothing ahead");
    uint64_t bytes = 4 * *window > 4 * MIB ? 4 * *window : 4 * MIB;
    *params = physics_params(bytes, recipe_write_1MiB, cache_cold);
    physics_open(target, params);
}

static bool is_resident(int fd, uint64_t offset)
{
    unsigned char resident;
    void *page = mmap(NULL, physics_page_bytes(), PROT_READ, MAP_SHARED, fd, (off_t)offset);
    assert_ptr_not_equal(page, MAP_FAILED);
    assert_int_equal(mincore(page, physics_page_bytes(), &resident), 0);
    munmap(page, physics_page_bytes());
    return resident & 1;
}

/* Pages in the cache, those still on their way from the device included; mincore sees a page when it has arrived. */
static uint64_t cached_pages(const struct target *target)
{
    struct physics_cachestat found;
    if (physics_cachestat(target->fd, target->file_bytes, &found))
        return found.cache;
    usleep(300000);
    return physics_mincore(target->fd, target->file_bytes);
}

/* One touch in the middle of the cold file, on a mapping with that advice; bytes that are resident then. */
static uint64_t touch_middle(const struct target *target, int advice, uint64_t at)
{
    struct err err = {0};
    uint64_t resident = 1;
    for (unsigned i = 0; i < 1000 && resident; i++) { /* pages in flight survive the first attempt */
        assert_int_equal(target_evict(target, &err), 0);
        resident = physics_mincore(target->fd, target->file_bytes);
        usleep(resident ? 1000 : 0);
    }
    assert_int_equal(resident, 0);
    unsigned char *base = mmap(NULL, target->file_bytes, PROT_READ, MAP_SHARED, target->fd, 0);
    assert_ptr_not_equal(base, MAP_FAILED);
    assert_int_equal(madvise(base, target->file_bytes, advice), 0);
    (void)*(volatile unsigned char *)(base + at);
    munmap(base, target->file_bytes);
    return cached_pages(target) * physics_page_bytes();
}

/* Where the window lies: around the page, from it on, or nothing but it. */
static void test_windows(void **state)
{
    (void)state;
    struct target target;
    struct params params;
    uint64_t window, page_bytes = physics_page_bytes();
    open_cold(&target, &params, &window);
    uint64_t at = target.file_bytes / 2;

    uint64_t bytes = touch_middle(&target, MADV_RANDOM, at);
    assert_int_equal(bytes, page_bytes);
    assert_true(is_resident(target.fd, at));

    bytes = touch_middle(&target, MADV_NORMAL, at);
    assert_in_range(bytes, window / 2 + page_bytes, window);
    usleep(300000);                                       /* until all of it has arrived */
    assert_true(is_resident(target.fd, at - page_bytes)); /* around: what lies before it too */
    if (window > 2 * page_bytes)
        assert_true(is_resident(target.fd, at + page_bytes)); /* of two pages, this one is the second */
    assert_false(is_resident(target.fd, at - window));
    assert_false(is_resident(target.fd, at + window));

    bytes = touch_middle(&target, MADV_SEQUENTIAL, at);
    assert_in_range(bytes, 2 * page_bytes, 2 * window); /* and, on some kernels, the window after it */
    usleep(300000);
    assert_false(is_resident(target.fd, at - page_bytes));
    assert_true(is_resident(target.fd, at + page_bytes));
    target_close(&target);
}

/* What the methods' own counts say: `touches` pages far apart, read by a pass from a cold file. */
static uint64_t fetched_once(const struct method *method, enum advice advice, uint64_t touches, uint64_t *major_faults)
{
    struct target target;
    struct params params;
    struct physics_cell cell;
    uint64_t window;
    open_cold(&target, &params, &window);
    params.pattern = pattern_stride;
    params.stride_bytes = params.working_set_bytes / touches;
    params.per = per_pass;
    params.touches = touches;
    params.count_ops = 1;
    physics_begin(&cell, &params);
    struct arm *arm = physics_arm(&cell, method, 1);
    arm->params.advice = advice;
    arm->params.consume = consume_copy;
    arm->params.descriptor = descriptor_per_pass;
    if (method == &method_mmap)
        arm->params.lifetime = lifetime_per_pass;
    physics_measure(&cell, &target, 1);
    physics_expect_ok(&cell, 0);
    uint64_t bytes = physics_count(&cell, 0, COUNTER_read_bytes);
    *major_faults = physics_count(&cell, 0, COUNTER_major_faults);
    measure_free(&cell.result);
    target_close(&target);
    if (bytes == UINT64_MAX)
        physics_skip("this kernel does not account what a process reads");
    return bytes;
}

/* The least of several: a page of the program's own that was reclaimed, or a block of metadata, is fetched too. */
static uint64_t fetched_by(const struct method *method, enum advice advice, uint64_t touches, uint64_t *major_faults)
{
    uint64_t least = fetched_once(method, advice, touches, major_faults), faults;
    for (unsigned tries = 1; tries < 5 && least > touches * physics_page_bytes(); tries++) {
        uint64_t now = fetched_once(method, advice, touches, &faults);
        if (now < least) {
            least = now;
            *major_faults = faults;
        }
    }
    return least;
}

static void test_random_reads_what_is_touched(void **state)
{
    (void)state;
    uint64_t faults, page_bytes = physics_page_bytes();
    assert_int_equal(fetched_by(&method_mmap, advice_random, TOUCHES, &faults), TOUCHES * page_bytes);
    assert_int_equal(faults, TOUCHES);
    assert_int_equal(fetched_by(&method_pread, advice_random, TOUCHES, &faults), TOUCHES * page_bytes);
    assert_int_equal(faults, 0);
}

static void test_normal_reads_windows(void **state)
{
    (void)state;
    struct target target;
    struct params params;
    uint64_t window, faults;
    open_cold(&target, &params, &window);
    uint64_t file_bytes = target.file_bytes;
    target_close(&target);
    uint64_t bytes = fetched_once(&method_mmap, advice_normal, 1, &faults);
    assert_in_range(bytes, window / 2, window); /* cut where it would reach beyond the file */
    assert_int_equal(faults, 1);
    bytes = fetched_once(&method_mmap, advice_normal, TOUCHES, &faults);
    assert_in_range(bytes, TOUCHES * physics_page_bytes(), TOUCHES * window);
    assert_true(bytes <= file_bytes); /* nothing is read twice */
    assert_in_range(faults, 1, TOUCHES);
    assert_true(bytes >= faults * window / 2);
}

/* The advice is for all of the mapping, but no more is read than one window (mm/readahead.c force_page_cache_ra). */
static void test_willneed_is_bounded(void **state)
{
    (void)state;
    struct target target;
    struct params params;
    struct err ignored;
    uint64_t window, page_bytes = physics_page_bytes();
    int64_t io_kib = 0;
    char path[96];
    open_cold(&target, &params, &window);
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u/queue/max_sectors_kb", major(target.device),
             minor(target.device));
    uint64_t largest = sysfile_number(&io_kib, &ignored, "%s", path) ? window : (uint64_t)io_kib * KIB;
    largest = largest > window ? largest : window; /* a device that takes larger requests is given them */
    uint64_t bytes = touch_middle(&target, MADV_WILLNEED, 0);
    print_message("MADV_WILLNEED of %llu MiB: %llu KiB come into the cache, the window is %llu KiB\n",
                  (unsigned long long)(target.file_bytes / MIB), (unsigned long long)(bytes / KIB),
                  (unsigned long long)(window / KIB));
    assert_in_range(bytes, window, 2 * largest + 2 * window); /* and what the touch itself reads on */
    assert_true(is_resident(target.fd, 0));
    assert_true(bytes >= 2 * page_bytes);
    target_close(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_random_reads_what_is_touched),
        cmocka_unit_test(test_normal_reads_windows),
        cmocka_unit_test(test_willneed_is_bounded),
    };
    return physics_run(tests);
}
