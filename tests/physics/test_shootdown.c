/* SPDX-License-Identifier: MIT */
/*
 * Taking pages away while other threads of the process run interrupts them, once a call at least; alone it interrupts
 * nobody. The row TLB of /proc/interrupts counts for the whole machine: what others cause only adds to it, so blocks
 * with and without a sibling take turns, and the smallest count alone and the largest with company are what is looked
 * at. Where no block is free of what others cause, there are more of them; where no moment is, the test is skipped.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>

#include "bare_worker.h"
#include "clock.h"
#include "interrupts.h"
#include "place.h"
#include "ranges.h"

enum { BLOCKS = 12, BLOCKS_MOST = 500, CALLS = 64 };

extern const struct method method_munmap, method_dontneed, method_mprotect, method_victim;

static uint64_t shootdowns(void)
{
    int fd = open("/proc/interrupts", O_RDONLY | O_CLOEXEC);
    uint64_t sum = interrupts_sum(fd, "TLB");
    if (fd >= 0)
        close(fd);
    return sum;
}

static bool has_cpu_flag(const char *wanted)
{
    char line[8192];
    bool found = false;
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && !found && fgets(line, sizeof line, file))
        if (strncmp(line, "flags", 5) == 0)
            for (const char *flag = strtok(line, " \t\n"); flag && !found; flag = strtok(NULL, " \t\n"))
                found = strcmp(flag, wanted) == 0;
    if (file)
        fclose(file);
    return found;
}

static void need_interrupts(void)
{
    if (has_cpu_flag("invlpgb"))
        physics_skip("INVLPGB flushes the TLBs of other CPUs without an interrupt");
    if (shootdowns() == UINT64_MAX)
        physics_skip("this architecture has no row TLB in /proc/interrupts");
}

static unsigned cpu_count(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) ? 1 : (unsigned)CPU_COUNT(&set);
}

static cpu_set_t found_here;

/* The worker stays where it is, so that no sibling is put there. Undone by free_worker. */
static void bind_worker(void)
{
    struct err err;
    assert_int_equal(sched_getaffinity(0, sizeof found_here, &found_here), 0);
    if (place_bind((unsigned)sched_getcpu(), &err))
        physics_skip("%s", err.text);
}

static int free_worker(void **state)
{
    (void)state;
    return CPU_COUNT(&found_here) ? sched_setaffinity(0, sizeof found_here, &found_here) : 0;
}

static void need_two_cpus(void)
{
    if (cpu_count() < 2)
        physics_skip("a sibling needs a CPU of its own, and this process has one");
    bind_worker();
}

static struct params stored_page(uint64_t siblings)
{
    struct params params = bare_params(sharing_anonymous, 1, prior_stored);
    params.siblings = siblings;
    params.storm = storm_none;
    return params;
}

/* Interrupts of one batch. */
static uint64_t block(struct bare_worker *bare, uint64_t calls)
{
    bare_reset(bare, calls);
    uint64_t before = shootdowns();
    bare_run(bare, calls);
    return shootdowns() - before;
}

/* Ends the test as skipped where others leave no moment without an interrupt, though nothing is called. */
static void need_rest(void)
{
    for (unsigned i = 0; i < BLOCKS_MOST; i++) {
        uint64_t before = shootdowns(), limit = clock_now_ns() + 100 * 1000;
        while (clock_now_ns() < limit)
            ;
        if (shootdowns() == before)
            return;
    }
    physics_skip("others cause interrupts all the time");
}

/* The least interrupts of blocks that should be without: as many as are needed to find one that is, within bounds. */
static uint64_t least_of_blocks(struct bare_worker *bare, uint64_t calls)
{
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < BLOCKS || (least && i < BLOCKS_MOST); i++) {
        uint64_t now = block(bare, calls);
        least = now < least ? now : least;
    }
    if (least)
        need_rest();
    return least;
}

static void interrupts_only_with_company(const struct method *method)
{
    need_interrupts();
    need_two_cpus();
    struct params alone_params = stored_page(0), beside_params = stored_page(1);
    struct bare_worker alone, beside;
    uint64_t least_alone = UINT64_MAX, most_beside = 0;
    bare_setup(&alone, method, &alone_params, NULL);
    bare_setup(&beside, method, &beside_params, NULL);
    for (unsigned i = 0; i < BLOCKS || ((least_alone || most_beside < CALLS) && i < BLOCKS_MOST); i++) {
        uint64_t a = block(&alone, CALLS), b = block(&beside, CALLS);
        least_alone = a < least_alone ? a : least_alone;
        most_beside = b > most_beside ? b : most_beside;
    }
    bare_teardown(&alone);
    bare_teardown(&beside);
    print_message("%s: %u calls, at least %llu interrupts alone, at most %llu beside a sibling\n", method->name, CALLS,
                  (unsigned long long)least_alone, (unsigned long long)most_beside);
    if (least_alone)
        need_rest();
    assert_int_equal(least_alone, 0);
    assert_true(most_beside >= CALLS);
}

static void test_dontneed(void **state)
{
    (void)state;
    interrupts_only_with_company(&method_dontneed);
}

static void test_mprotect(void **state)
{
    (void)state;
    interrupts_only_with_company(&method_mprotect);
}

static void test_munmap(void **state)
{
    (void)state;
    interrupts_only_with_company(&method_munmap);
}

/* Entries that were never writable have nothing to take back: no interrupt, whoever runs. */
static void test_mprotect_of_loaded_pages(void **state)
{
    (void)state;
    need_interrupts();
    need_two_cpus();
    struct params params = bare_params(sharing_private, 1, prior_loaded);
    struct target target;
    struct bare_worker bare;
    params.siblings = 1;
    physics_open(&target, &params);
    bare_setup(&bare, &method_mprotect, &params, &target);
    uint64_t least = least_of_blocks(&bare, CALLS);
    bare_teardown(&bare);
    target_close(&target);
    assert_int_equal(least, 0);
}

/* Loads do not interrupt anybody; a storm beside them interrupts the CPU that does them. */
static void test_victim(void **state)
{
    (void)state;
    need_interrupts();
    need_two_cpus();
    if (getenv("FAULTLINE_CPUS_TAKE_TURNS"))
        physics_skip("the CPUs of this emulated machine take turns: none is interrupted while it runs");
    enum { LOADS = 1 << 17 };
    static uint64_t offsets[1024];
    uint64_t least_calm = 0, most[storm_count] = {0};
    for (unsigned i = 0; i < 1024; i++)
        offsets[i] = i * 64 % 1024 * 64;
    for (enum storm storm = storm_none; storm < storm_count; storm++) {
        struct params params = stored_page(1);
        struct bare_worker bare;
        params.storm = storm;
        params.block_bytes = 64;
        bare_setup(&bare, &method_victim, &params, NULL);
        bare.worker.offsets = offsets;
        bare.worker.offset_count = 1024;
        if (storm == storm_none)
            least_calm = least_of_blocks(&bare, LOADS);
        for (unsigned i = 0; storm != storm_none && (i < BLOCKS || (most[storm] < 2 && i < BLOCKS_MOST)); i++) {
            uint64_t now = block(&bare, LOADS);
            most[storm] = now > most[storm] ? now : most[storm];
        }
        bare_teardown(&bare);
    }
    print_message("victim: interrupts in %d loads: calm %llu, dontneed %llu, mprotect %llu, munmap %llu\n", LOADS,
                  (unsigned long long)least_calm, (unsigned long long)most[storm_dontneed],
                  (unsigned long long)most[storm_mprotect], (unsigned long long)most[storm_munmap]);
    assert_int_equal(least_calm, 0);
    assert_true(most[storm_dontneed] > 1 && most[storm_mprotect] > 1 && most[storm_munmap] > 1);
}

static unsigned thread_count(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/task");
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

/* Whether there are so many threads; one that has been waited for may be in the list for a moment yet. */
static bool threads_are(unsigned count)
{
    uint64_t limit = clock_now_ns() + 2000 * MS;
    while (thread_count() != count && clock_now_ns() < limit)
        usleep(1000);
    return thread_count() == count;
}

/* How many there are when none is about to go: one of the test before may be in the list for a moment yet. */
static unsigned threads_at_rest(void)
{
    unsigned least = thread_count();
    for (unsigned i = 0; i < 50; i++) {
        usleep(1000);
        unsigned now = thread_count();
        i = now < least ? 0 : i;
        least = now < least ? now : least;
    }
    return least;
}

/* Waits for a sleeping sibling: true when it has stood still for 20 ms before two seconds are over. */
static bool falls_asleep(const struct siblings *siblings)
{
    uint64_t limit = clock_now_ns() + 2000 * MS, seen;
    do {
        seen = siblings_beats(siblings, 0);
        usleep(20000);
        if (siblings_beats(siblings, 0) == seen)
            return true;
    } while (clock_now_ns() < limit);
    return false;
}

/* They run between resume and end, on another CPU, and at no other time; none is left. */
static void test_siblings_run_when_told_to(void **state)
{
    (void)state;
    need_two_cpus();
    struct err err = {0};
    struct siblings *siblings;
    unsigned threads = threads_at_rest(), cpu = (unsigned)sched_getcpu();
    for (unsigned work = 0; work < 2 * storm_count; work++) {
        struct params params = stored_page(1);
        params.storm = work / 2;
        params.sibling_work = work % 2 ? sibling_work_load : sibling_work_spin;
        assert_int_equal(siblings_start(&siblings, &params, &err), 0);
        assert_int_equal(thread_count(), threads + 1);
        assert_int_not_equal(siblings_cpu(siblings, 0), cpu);
        uint64_t started = siblings_beats(siblings, 0);
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(siblings_resume(siblings, &err), 0);
            siblings_begin(siblings); /* before the beats are read: the next one is then to be seen at the end */
            uint64_t before = siblings_beats(siblings, 0), limit = clock_now_ns() + 2000 * MS;
            assert_true(before > started || i == 0);
            while (siblings_beats(siblings, 0) == before && clock_now_ns() < limit)
                ;
            assert_null(siblings_end(siblings));
            assert_true(falls_asleep(siblings));
        }
        siblings_stop(siblings);
        assert_true(threads_are(threads));
    }
}

/* One that does not run during a batch voids it: here it has been told to sleep before. */
static void test_a_sibling_that_stands_still_is_noticed(void **state)
{
    (void)state;
    need_two_cpus();
    struct err err = {0};
    struct siblings *siblings;
    struct params params = stored_page(1);
    assert_int_equal(siblings_start(&siblings, &params, &err), 0);
    assert_int_equal(siblings_resume(siblings, &err), 0);
    siblings_end(siblings);
    assert_true(falls_asleep(siblings));
    siblings_begin(siblings);
    usleep(1000);
    assert_non_null(siblings_end(siblings));
    siblings_stop(siblings);
}

static void test_too_many_siblings(void **state)
{
    (void)state;
    struct err err = {0};
    struct siblings *siblings;
    unsigned cpus = cpu_count(), threads = threads_at_rest();
    struct params params = stored_page(cpus);
    bind_worker();
    assert_int_equal(siblings_start(&siblings, &params, &err), -EOPNOTSUPP);
    siblings_stop(siblings);
    assert_true(threads_are(threads));
}

/* The reader of /proc/interrupts, on what it may look like. */
static void test_rows_of_interrupts(void **state)
{
    (void)state;
    static const char text[] =
        "           CPU0       CPU1\n   0:        141          0   IO-APIC    2-edge      timer\n"
        " TLBX:          1          1   Another\n TLB:         64      45581   TLB shootdowns\n"
        " NOW:          7\n";
    int fd = memfd_create("interrupts", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(interrupts_sum(fd, "TLB"), UINT64_MAX);
    for (unsigned i = 0; i < 200; i++) /* beyond one read */
        assert_int_equal(write(fd, text, 26), 26);
    assert_int_equal(interrupts_sum(fd, "TLB"), UINT64_MAX);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    assert_int_equal(interrupts_sum(fd, "TLB"), 64 + 45581);
    assert_int_equal(interrupts_sum(fd, "NOW"), 7);
    assert_int_equal(interrupts_sum(fd, "0"), 141);
    assert_int_equal(interrupts_sum(fd, "TL"), UINT64_MAX);
    assert_int_equal(interrupts_sum(-1, "TLB"), UINT64_MAX);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_of_interrupts),
        cmocka_unit_test_teardown(test_siblings_run_when_told_to, free_worker),
        cmocka_unit_test_teardown(test_a_sibling_that_stands_still_is_noticed, free_worker),
        cmocka_unit_test_teardown(test_too_many_siblings, free_worker),
        cmocka_unit_test_teardown(test_dontneed, free_worker),
        cmocka_unit_test_teardown(test_mprotect, free_worker),
        cmocka_unit_test_teardown(test_munmap, free_worker),
        cmocka_unit_test_teardown(test_mprotect_of_loaded_pages, free_worker),
        cmocka_unit_test_teardown(test_victim, free_worker),
    };
    return physics_run_beside(tests, DISTURBED_BY_STARVATION);
}
