/* SPDX-License-Identifier: MIT */
/*
 * First touch of a warm file takes as many faults as the kernel's fault-around and the folios of the recipe allow. The
 * engine's counting pass, getrusage around a bare loop and the perf software event around it must all say the same.
 */
#include "physics.h"

#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/resource.h>
#include <sys/vfs.h>

enum { FILE_BYTES = 8 * 1024 * 1024, HUGE_BYTES = 2 * 1024 * 1024 };

extern const struct method method_first_touch;

static int perf_open(void)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_PAGE_FAULTS_MIN, .exclude_hv = 1};
    return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static uint64_t perf_read(int fd)
{
    uint64_t value = 0;
    return fd >= 0 && read(fd, &value, sizeof value) == (ssize_t)sizeof value ? value : UINT64_MAX;
}

static void touch(const unsigned char *base, uint64_t pages, uint64_t page_bytes)
{
    for (uint64_t i = 0; i < pages; i++)
        (void)*(const volatile unsigned char *)(base + i * page_bytes);
}

struct bare {
    uint64_t rusage, perf; /* minor faults; perf UINT64_MAX: not to be had */
};

/* The loop that a program would write, without any of the engine. */
static struct bare bare_touch(const unsigned char *base, uint64_t pages, int perf)
{
    struct rusage before, after;
    struct bare bare;
    for (int run = 0; run < 2; run++) { /* the first, over nothing, takes the faults of what is called here */
        uint64_t first = perf_read(perf);
        getrusage(RUSAGE_THREAD, &before);
        touch(base, run ? pages : 0, physics_page_bytes());
        getrusage(RUSAGE_THREAD, &after);
        uint64_t last = perf_read(perf);
        bare = (struct bare){(uint64_t)(after.ru_minflt - before.ru_minflt), perf < 0 ? UINT64_MAX : last - first};
    }
    return bare;
}

/* Maps the target as the kernel places it; ends the test where that place would decide the count. */
static unsigned char *map_target(const struct target *target)
{
    unsigned char *base = mmap(NULL, target->file_bytes, PROT_READ, MAP_SHARED, target->fd, 0);
    assert_ptr_not_equal(base, MAP_FAILED);
    if ((uintptr_t)base % HUGE_BYTES) {
        munmap(base, target->file_bytes);
        physics_skip("this kernel aligns no file mappings: the number of windows depends on where a mapping falls");
    }
    return base;
}

static int advice_of(enum advice advice)
{
    switch (advice) {
    case advice_random:
        return MADV_RANDOM;
    case advice_sequential:
        return MADV_SEQUENTIAL;
    case advice_nohugepage:
        return MADV_NOHUGEPAGE;
    default:
        return MADV_NORMAL;
    }
}

static struct bare bare_faults(const struct target *target, enum advice advice, int perf)
{
    unsigned char *base = map_target(target);
    assert_int_equal(madvise(base, target->file_bytes, advice_of(advice)), 0);
    struct bare bare = bare_touch(base, target->file_bytes / target->page_bytes, perf);
    munmap(base, target->file_bytes);
    return bare;
}

static uint64_t engine_faults(struct target *target, enum advice advice, enum vma vma)
{
    struct physics_cell cell;
    physics_begin(&cell, target->params);
    struct arm *arm = physics_arm(&cell, &method_first_touch, target->params->touches);
    arm->params.advice = advice;
    arm->params.vma = vma;
    physics_measure(&cell, target, 1);
    physics_expect_ok(&cell, 0);
    assert_int_equal(cell.result.arms[0].count_ops, target->file_bytes / target->page_bytes);
    uint64_t faults = physics_count(&cell, 0, COUNTER_minor_faults);
    assert_int_equal(physics_count(&cell, 0, COUNTER_major_faults), 0);
    measure_free(&cell.result);
    return faults;
}

static bool pagemap_present(int pagemap, const unsigned char *address)
{
    uint64_t entry = 0;
    off_t at = (off_t)((uintptr_t)address / physics_page_bytes() * sizeof entry);
    assert_int_equal(pread(pagemap, &entry, sizeof entry, at), sizeof entry);
    return entry >> 63;
}

/* Pages that one fault on page `at` of a fresh mapping puts into the page table, and the first of them. */
static uint64_t window_of_fault(const struct target *target, uint64_t at, uint64_t *first)
{
    uint64_t pages = target->file_bytes / target->page_bytes, mapped = 0;
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (pagemap < 0)
        physics_skip("/proc/self/pagemap: %s", strerror(errno));
    unsigned char *base = map_target(target);
    touch(base + at * target->page_bytes, 1, target->page_bytes);
    for (uint64_t i = pages; i-- > 0;)
        if (pagemap_present(pagemap, base + i * target->page_bytes)) {
            mapped++;
            *first = i;
        }
    munmap(base, target->file_bytes);
    close(pagemap);
    return mapped;
}

/* Fault-around as debugfs tells it, in pages; 0 where it may not be read. */
static uint64_t told_window(void)
{
    char text[32] = "";
    int fd = open("/sys/kernel/debug/fault_around_bytes", O_RDONLY | O_CLOEXEC);
    ssize_t done = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    return done > 0 ? strtoull(text, NULL, 10) / physics_page_bytes() : 0;
}

/* Ends the test unless a write of 4 KiB makes a folio of one page here: blocks larger than a page need larger ones. */
static void need_single_page_folios(const struct target *target)
{
    struct statfs filesystem;
    assert_int_equal(fstatfs(target->fd, &filesystem), 0);
    if ((uint64_t)filesystem.f_bsize > target->page_bytes)
        physics_skip("the filesystem's blocks of %llu bytes are larger than a page",
                     (unsigned long long)filesystem.f_bsize);
}

static void every_fault_maps_one_aligned_window(void **state)
{
    struct params params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_warm);
    struct target target;
    (void)state;
    physics_open(&target, &params);
    need_single_page_folios(&target);
    uint64_t first, window = window_of_fault(&target, 0, &first), pages = FILE_BYTES / target.page_bytes;
    if (told_window())
        assert_int_equal(window, told_window());
    for (uint64_t at = 0; at < pages; at += pages / 8 + 5) {
        assert_int_equal(window_of_fault(&target, at, &first), window);
        assert_int_equal(first, at / window * window);
    }
    print_message("fault-around: %llu pages%s\n", (unsigned long long)window,
                  told_window() ? "" : " (by probing: debugfs does not tell)");
    target_close(&target);
}

/* Small folios: every advice, MADV_RANDOM too, takes one fault a window. */
static void small_folios_take_one_fault_a_window(void **state)
{
    static const enum advice advices[] = {advice_normal, advice_random, advice_sequential, advice_nohugepage};
    struct params params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_warm);
    struct target target;
    uint64_t first, pages = params.touches;
    (void)state;
    physics_need_exact_counts();
    physics_open(&target, &params);
    need_single_page_folios(&target);
    uint64_t window = window_of_fault(&target, 0, &first);
    for (unsigned i = 0; i < sizeof advices / sizeof *advices; i++)
        assert_int_equal(engine_faults(&target, advices[i], vma_whole), (pages + window - 1) / window);
    target_close(&target);
}

/* All three witnesses, whatever the recipe and the advice; fault-around is at work under all of them. */
static void witnesses_agree(void **state)
{
    static const enum advice advices[] = {advice_normal, advice_random, advice_sequential, advice_nohugepage};
    enum recipe recipe = *(const enum recipe *)*state;
    struct params params = physics_params(FILE_BYTES, recipe, cache_warm);
    struct target target;
    physics_need_exact_counts();
    physics_open(&target, &params);
    int perf = perf_open();
    for (unsigned i = 0; i < sizeof advices / sizeof *advices; i++) {
        struct bare bare = bare_faults(&target, advices[i], perf);
        uint64_t engine = engine_faults(&target, advices[i], vma_whole);
        print_message("%-15s %-10s faults: engine %llu, rusage %llu, perf %lld; pages a fault %.1f\n",
                      field_table[FIELD_recipe].options[recipe].spelling,
                      field_table[FIELD_advice].options[advices[i]].spelling, (unsigned long long)engine,
                      (unsigned long long)bare.rusage, (long long)bare.perf, (double)params.touches / (double)engine);
        assert_int_equal(engine, bare.rusage);
        if (perf >= 0)
            assert_int_equal(bare.perf, bare.rusage);
        assert_in_range(engine, 1, params.touches);
    }
    if (perf >= 0)
        close(perf);
    target_close(&target);
}

static void one_page_vmas_take_one_fault_a_page(void **state)
{
    enum recipe recipe = *(const enum recipe *)*state;
    struct params params = physics_params(FILE_BYTES, recipe, cache_warm);
    struct target target;
    physics_need_exact_counts();
    physics_open(&target, &params);
    assert_int_equal(engine_faults(&target, advice_normal, vma_page), params.touches);
    assert_int_equal(engine_faults(&target, advice_random, vma_page), params.touches);
    target_close(&target);
}

static void perf_event_is_to_be_had(void **state)
{
    (void)state;
    int perf = perf_open();
    if (perf < 0)
        physics_skip("perf_event_open: %s: no third witness here", strerror(errno));
    assert_int_not_equal(perf_read(perf), UINT64_MAX);
    close(perf);
}

/* One test a recipe, named by it in `name`. */
static struct CMUnitTest of_recipe(CMUnitTestFunction function, const enum recipe *recipe, const char *what,
                                   char name[64])
{
    snprintf(name, 64, "%s: %s", what, field_table[FIELD_recipe].options[*recipe].spelling);
    return (struct CMUnitTest){.name = name, .test_func = function, .initial_state = (void *)(uintptr_t)recipe};
}

int main(void)
{
    static const enum recipe recipes[] = {recipe_write_4KiB,     recipe_write_64KiB, recipe_write_1MiB,
                                          recipe_write_2MiB,     recipe_refill_read, recipe_refill_map,
                                          recipe_refill_hugepage};
    enum { RECIPES = sizeof recipes / sizeof *recipes };
    char names[2 * RECIPES][64];
    struct CMUnitTest tests[3 + 2 * RECIPES] = {
        cmocka_unit_test(every_fault_maps_one_aligned_window),
        cmocka_unit_test(small_folios_take_one_fault_a_window),
        cmocka_unit_test(perf_event_is_to_be_had),
    };
    for (unsigned i = 0; i < RECIPES; i++) {
        tests[3 + i] = of_recipe(witnesses_agree, &recipes[i], "witnesses_agree", names[i]);
        tests[3 + RECIPES + i] = of_recipe(one_page_vmas_take_one_fault_a_page, &recipes[i], "one_fault_a_page_by_page",
                                           names[RECIPES + i]);
    }
    return physics_run(tests);
}
