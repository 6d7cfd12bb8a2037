/* SPDX-License-Identifier: MIT */
/*
 * After a fork the first to store to a page takes a fault and a copy, the last owner a fault and keeps the page; a fork
 * copies the page tables of private memory and leaves those of a shared file out; no child outlives its parent.
 */
#include "hand.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "forked.h"
#include "hugepage.h"
#include "room.h"
#include "smaps.h"

enum { PAGES = 256 };

extern const struct method method_fork_break, method_fork, method_fork_wait, method_fork_vfork;

static struct params break_params(enum breaker breaker, uint64_t bytes)
{
    struct params params = physics_params(bytes, recipe_write_1MiB, cache_warm);
    params.pattern = pattern_stride;
    params.block_bytes = sizeof(uint64_t);
    params.sharing = sharing_anonymous;
    params.access = access_store;
    params.breaker = breaker;
    return params;
}

static const char *name_of(unsigned breaker)
{
    return field_table[FIELD_breaker].options[breaker].spelling;
}

static bool of_child(unsigned breaker)
{
    return breaker == breaker_child_first || breaker == breaker_child_second || breaker == breaker_child_again;
}

/* Whichever side it is, and whether or not the other has the page: a fault a page on the side that stores, none on the
 * other, and none for a page that this side has broken. */
static void every_store_after_a_fork_faults_once(void **state)
{
    (void)state;
    physics_need_exact_counts();
    for (unsigned breaker = 0; breaker < breaker_count; breaker++) {
        struct params params = break_params((enum breaker)breaker, PAGES * physics_page_bytes());
        struct physics_cell cell;
        physics_begin(&cell, &params);
        physics_arm(&cell, &method_fork_break, PAGES);
        physics_measure(&cell, NULL, 1);
        physics_expect_ok(&cell, 0);
        uint64_t own = physics_count(&cell, 0, COUNTER_minor_faults);
        uint64_t child = physics_count(&cell, 0, COUNTER_child_faults);
        print_message("%-14s faults: parent %llu, child %llu of %d pages\n", name_of(breaker), (unsigned long long)own,
                      (unsigned long long)child, PAGES);
        assert_int_equal(cell.result.arms[0].count_ops, PAGES);
        assert_int_equal(own, of_child(breaker) ? 0 : PAGES);
        assert_int_equal(child, of_child(breaker) && breaker != breaker_child_again ? PAGES : 0);
        measure_free(&cell.result);
    }
}

/* The only child of this process; 0 when it has none. */
static pid_t only_child(void)
{
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t done = read(fd, text, sizeof text - 1);
    close(fd);
    return done > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

/* Frame numbers of the pages at `base` in a process; false where they may not be seen. */
static bool read_frames(pid_t process, const unsigned char *base, uint64_t frames[PAGES])
{
    const uint64_t frame_mask = (UINT64_C(1) << 55) - 1, present = UINT64_C(1) << 63;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/pagemap", (int)process);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t wanted = (ssize_t)(PAGES * sizeof *frames);
    ssize_t done = pread(fd, frames, (size_t)wanted, (off_t)((uintptr_t)base / physics_page_bytes() * sizeof *frames));
    close(fd);
    assert_int_equal(done, wanted);
    for (unsigned i = 0; i < PAGES; i++) {
        assert_true(frames[i] & present);
        frames[i] &= frame_mask;
    }
    return frames[0] != 0;
}

/* The physical page tells whether there was a copy. */
static void only_the_first_store_copies(void **state)
{
    (void)state;
    for (unsigned breaker = 0; breaker < breaker_count; breaker++) {
        struct params params = break_params((enum breaker)breaker, PAGES * physics_page_bytes());
        bool first = breaker == breaker_parent_first || breaker == breaker_child_first;
        uint64_t before[PAGES], after[PAGES], kept = 0;
        struct hand hand;
        hand_begin(&hand, &method_fork_break, &params, NULL);
        hand_reset(&hand, PAGES);
        pid_t side = of_child(breaker) ? only_child() : getpid();
        if (side < 0 || !read_frames(side, hand.worker.base, before)) {
            hand_end(&hand);
            physics_skip("page frame numbers are not shown here: they need root and /proc/PID/task/TID/children");
        }
        hand_run(&hand, PAGES);
        assert_true(read_frames(side, hand.worker.base, after));
        for (unsigned i = 0; i < PAGES; i++)
            kept += before[i] == after[i];
        print_message("%-14s %llu of %d pages stay where they were\n", name_of(breaker), (unsigned long long)kept,
                      PAGES);
        assert_int_equal(kept, first ? 0 : PAGES);
        hand_end(&hand);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child, dead or alive */
    }
}

/* Without root: what the parent stores does not show in the child, and the other way round. */
static void the_two_sides_do_not_see_each_other(void **state)
{
    struct params params = break_params(breaker_child_first, PAGES * physics_page_bytes());
    uint64_t word = UINT64_MAX;
    struct hand hand;
    (void)state;
    hand_begin(&hand, &method_fork_break, &params, NULL);
    hand_reset(&hand, PAGES);
    hand_run(&hand, PAGES);
    for (uint64_t at = 0; at < hand.worker.base_bytes; at += physics_page_bytes()) {
        memcpy(&word, hand.worker.base + at, sizeof word);
        assert_int_equal(word, 0); /* the child has stored the buffer's bytes, which are none of them 0 */
    }
    assert_int_not_equal(hand.worker.buffer[0], 0);
    hand_end(&hand);
}

/* Faults of a store to each page of one huge page, and how much of it is huge after that. */
static uint64_t huge_faults(enum breaker breaker, uint64_t *huge_bytes)
{
    uint64_t bytes = huge_page_bytes(), pages = bytes / physics_page_bytes();
    struct params params = break_params(breaker, bytes);
    struct hand hand;
    struct smaps found = {.huge = UINT64_MAX};
    struct physics_cell cell;
    params.pages = pages_thp;
    hand_begin(&hand, &method_fork_break, &params, NULL);
    hand_reset(&hand, pages);
    hand_run(&hand, pages);
    bool seen = smaps_read(hand.worker.base, hand.worker.base_bytes, &found);
    hand_end(&hand);
    if (!seen)
        physics_skip("there is no /proc/self/smaps");
    *huge_bytes = found.huge;
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_fork_break, pages);
    physics_measure(&cell, NULL, 1);
    physics_expect_ok(&cell, 0);
    uint64_t faults = physics_count(&cell, 0, COUNTER_minor_faults);
    measure_free(&cell.result);
    print_message("%-14s a store to each page of a huge page: %llu faults, %llu KiB huge after it\n", name_of(breaker),
                  (unsigned long long)faults, (unsigned long long)(found.huge / KIB));
    return faults;
}

/* While the other side has it, it may be split, to be copied page by page, or be copied whole: what smaps shows after
 * that decides how many faults are right. Its last owner keeps it. */
static void a_huge_page_is_split_or_copied_or_kept_whole(void **state)
{
    uint64_t huge = huge_page_bytes(), pages = huge / physics_page_bytes(), left;
    (void)state;
    physics_need_exact_counts();
    if (huge > 64 * MIB)
        physics_skip("a huge page of %llu MiB", (unsigned long long)(huge / MIB));
    uint64_t refused = physics_huge_refused(), faults = huge_faults(breaker_parent_first, &left);
    physics_need_huge_given(refused);
    assert_true(left == 0 || left == huge);
    assert_int_equal(faults, left ? 1 : pages);
    faults = huge_faults(breaker_parent_last, &left);
    physics_need_huge_given(refused);
    assert_int_equal(faults, 1);
    assert_int_equal(left, huge);
}

/* Bytes of page tables of a process that has come to rest: until then it still faults. */
static uint64_t table_bytes(pid_t process)
{
    char path[64], line[128], state = 0;
    uint64_t kib = UINT64_MAX;
    snprintf(path, sizeof path, "/proc/%d/status", (int)process);
    for (int i = 0; i < 20000 && state != 'S'; i++) {
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof line, file))
            if (sscanf(line, "State: %c", &state) != 1 && sscanf(line, "VmPTE: %lu", &kib) == 1)
                break;
        fclose(file);
        nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
    }
    assert_int_equal(state, 'S');
    assert_int_not_equal(kib, UINT64_MAX);
    return kib * KIB;
}

/* Page tables that memory lies in: one more than its size fills where it begins within what one maps. */
static uint64_t tables_spanned(const struct worker *worker)
{
    uint64_t base = (uintptr_t)worker->base, mapped = huge_page_bytes();
    return (base + worker->base_bytes - 1) / mapped - base / mapped + 1;
}

/* Bytes of page tables of the child that a fork makes with this memory mapped, and how many that memory lies in. */
static uint64_t child_tables(const struct params *params, const struct target *target, const struct room *room,
                             uint64_t *spanned)
{
    struct hand hand;
    hand_begin(&hand, &method_fork, params, target);
    hand_reset(&hand, 1);
    room_expect(room, hand.worker.base, hand.worker.base_bytes);
    hand_run(&hand, 1);
    pid_t child = ((const struct forking *)hand.worker.own)->child;
    uint64_t bytes = table_bytes(child);
    *spanned = tables_spanned(&hand.worker);
    hand_end(&hand);
    assert_int_equal(kill(child, 0), -1); /* it has been ended and reaped */
    return bytes;
}

static void page_tables_of_private_memory_are_copied(void **state)
{
    enum { TABLES = 8 };
    uint64_t bytes = TABLES * huge_page_bytes(); /* a page table maps as much as a huge page */
    uint64_t table = huge_page_bytes() / physics_page_bytes() * sizeof(uint64_t); /* 8 bytes an entry */
    uint64_t rounding = table < KIB ? KIB : 0;                                    /* the kernel tells whole KiB */
    struct params params = physics_params(bytes, recipe_write_1MiB, cache_warm);
    struct target target;
    struct room room;
    (void)state;
    physics_need_exact_counts(); /* a sanitizer's shadow of what is stored to has page tables too */
    if (bytes > 256 * MIB)
        physics_skip("a page table maps %llu MiB here", (unsigned long long)(bytes / TABLES / MIB));
    room_begin(&room);
    physics_open(&target, &params);
    params.sharing = sharing_anonymous;
    params.prior = prior_never;
    uint64_t spanned, file_spanned, ignored;
    /* The process itself may still grow by what is called for the first time. */
    child_tables(&params, &target, &room, &ignored);
    uint64_t none = child_tables(&params, &target, &room, &ignored);
    params.prior = prior_stored;
    uint64_t stored = child_tables(&params, &target, &room, &spanned);
    params.sharing = sharing_shared;
    params.prior = prior_loaded;
    uint64_t shared = child_tables(&params, &target, &room, &ignored);
    params.sharing = sharing_private;
    uint64_t private_loaded = child_tables(&params, &target, &room, &ignored);
    params.prior = prior_stored;
    uint64_t private_stored = child_tables(&params, &target, &room, &file_spanned);
    print_message("page tables of the child beyond the process's own: anonymous %llu, shared file %llu, private file "
                  "%llu loaded, %llu stored; KiB\n",
                  (unsigned long long)(stored - none) / KIB, (unsigned long long)(shared - none) / KIB,
                  (unsigned long long)(private_loaded - none) / KIB, (unsigned long long)(private_stored - none) / KIB);
    assert_int_equal(spanned, TABLES);
    assert_in_range(stored - none, spanned * table - rounding, spanned * table + rounding);
    assert_int_equal(shared, none);
    assert_int_equal(private_loaded, none);
    assert_in_range(private_stored - none, file_spanned * table - rounding, file_spanned * table + rounding);
    target_close(&target);
    room_end(&room);
}

/* Faults of a store to each page of private memory after the method has run once. */
static uint64_t faults_after(const struct method *method)
{
    struct params params = physics_params(PAGES * physics_page_bytes(), recipe_write_1MiB, cache_warm);
    struct hand hand;
    params.sharing = sharing_anonymous;
    params.prior = prior_stored;
    hand_begin(&hand, method, &params, NULL);
    hand_reset(&hand, 1);
    hand_run(&hand, 1);
    forked_rest(); /* nor is what the kernel writes when a thread gets its CPU back to be counted */
    forked_faults();
    uint64_t before = forked_faults();
    for (uint64_t at = 0; at < hand.worker.base_bytes; at += physics_page_bytes())
        *(volatile unsigned char *)(hand.worker.base + at) = 1;
    uint64_t faults = forked_faults() - before;
    hand_end(&hand);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child, dead or alive */
    return faults;
}

/* The least of three: a page of the process's own that is looked after meanwhile can only add a fault. */
static uint64_t least_faults_after(const struct method *method)
{
    uint64_t least = UINT64_MAX;
    for (unsigned tries = 3; tries; tries--) {
        uint64_t faults = faults_after(method);
        least = faults < least ? faults : least;
    }
    return least;
}

/* A copy takes the right to write to every page; a child in the same address space takes nothing. */
static void vfork_copies_nothing(void **state)
{
    (void)state;
    physics_need_exact_counts();
    assert_int_equal(least_faults_after(&method_fork), PAGES);
    assert_int_equal(least_faults_after(&method_fork_wait), PAGES);
    assert_int_equal(least_faults_after(&method_fork_vfork), 0);
}

static bool is_gone(pid_t process)
{
    for (int i = 0; i < 2000; i++) {
        if (kill(process, 0) && errno == ESRCH)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
    }
    return false;
}

/* A trial that is killed between two batches takes the child along that waits or spins for it. */
static void children_end_with_a_killed_parent(void **state)
{
    (void)state;
    for (unsigned breaker = 0; breaker < breaker_count; breaker++) {
        int ends[2];
        pid_t child = 0;
        if (breaker == breaker_parent_last) /* that one has ended by itself */
            continue;
        assert_int_equal(pipe(ends), 0);
        pid_t parent = fork();
        assert_int_not_equal(parent, -1);
        if (parent == 0) {
            struct params params = break_params((enum breaker)breaker, PAGES * physics_page_bytes());
            struct hand hand;
            hand_begin(&hand, &method_fork_break, &params, NULL);
            hand_reset(&hand, PAGES);
            child = only_child();
            if (write(ends[1], &child, sizeof child) == (ssize_t)sizeof child)
                pause();
            _exit(1);
        }
        close(ends[1]);
        bool told = read(ends[0], &child, sizeof child) == (ssize_t)sizeof child;
        close(ends[0]);
        kill(parent, SIGKILL);
        assert_int_equal(waitpid(parent, NULL, 0), parent);
        if (told && child < 0)
            physics_skip("/proc/PID/task/TID/children: %s", strerror(ENOENT));
        assert_true(told && child > 0);
        assert_true(is_gone(child));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_store_after_a_fork_faults_once),
        cmocka_unit_test(only_the_first_store_copies),
        cmocka_unit_test(the_two_sides_do_not_see_each_other),
        cmocka_unit_test(a_huge_page_is_split_or_copied_or_kept_whole),
        cmocka_unit_test(page_tables_of_private_memory_are_copied),
        cmocka_unit_test(vfork_copies_nothing),
        cmocka_unit_test(children_end_with_a_killed_parent),
    };
    return physics_run_beside(tests, DISTURBED_BY_STARVATION);
}
