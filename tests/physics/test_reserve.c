/* SPDX-License-Identifier: MIT */
/*
 * A reservation costs nothing until it is stored to; a store then costs a page, and a page of page tables for each
 * level that had none there. What the kernel promises follows from vm.overcommit_memory.
 */
#include "hand.h"

#include <sys/utsname.h>

#include "hugepage.h"
#include "reservation.h"
#include "smaps.h"
#include "vma_room.h"
#include "vmas.h"

extern const struct method method_reserve, method_reserve_touch, method_first_touch;

static struct params reserve_params(uint64_t range_bytes, uint64_t distance_bytes, enum reservation reservation)
{
    struct params params = physics_params(64 * KIB, recipe_write_1MiB, cache_as_found);
    params.range_bytes = range_bytes;
    params.distance_bytes = distance_bytes;
    params.reservation = reservation;
    return params;
}

/* A line of /proc/self/status, in bytes. */
static uint64_t status_bytes(const char *key)
{
    char line[256], format[64];
    uint64_t kib = UINT64_MAX;
    FILE *file = fopen("/proc/self/status", "re");
    assert_non_null(file);
    snprintf(format, sizeof format, "%s: %%" SCNu64, key);
    while (fgets(line, sizeof line, file) && sscanf(line, format, &kib) != 1)
        ;
    fclose(file);
    assert_int_not_equal(kib, UINT64_MAX);
    return kib * KIB;
}

/* Since when VmRSS and its like are exact, and no sum of what CPUs have told so far. */
static bool rss_is_exact(void)
{
    struct utsname system;
    unsigned major = 0, minor = 0;
    assert_int_equal(uname(&system), 0);
    assert_int_equal(sscanf(system.release, "%u.%u", &major, &minor), 2);
    return major > 6 || (major == 6 && minor >= 17);
}

/* Pages of one level of page tables that `touches` pages so far apart lead through, each reaching so far. */
static uint64_t tables_of(uint64_t touches, uint64_t distance, uint64_t reach)
{
    return distance >= reach ? touches : (touches - 1) * distance / reach + 1;
}

static uint64_t tables(uint64_t touches, uint64_t distance)
{
    return tables_of(touches, distance, 2 * MIB) + tables_of(touches, distance, GIB) +
           tables_of(touches, distance, 512 * GIB);
}

static void need_small_pages(void)
{
    if (physics_page_bytes() != 4 * KIB || sizeof(void *) != 8)
        physics_skip("page tables are laid out otherwise where a page has %llu bytes",
                     (unsigned long long)physics_page_bytes());
}

/* What the counters say of so many touches, and the kernel's own figures around them. */
static void every_touch_costs_a_page_and_its_page_tables(void **state)
{
    static const uint64_t distances[] = {4 * KIB, 64 * KIB, 2 * MIB, 32 * MIB, GIB};
    enum { TOUCHES = 600 };
    (void)state;
    physics_need_exact_counts();
    need_small_pages();
    for (unsigned d = 0; d < sizeof distances / sizeof *distances; d++)
        for (unsigned way = reservation_noreserve; way <= reservation_prot_none; way++) {
            struct params params = reserve_params(1024 * GIB, distances[d], (enum reservation)way);
            uint64_t wanted = tables(TOUCHES, distances[d]) * 4 * KIB;
            struct physics_cell cell;
            struct hand hand;
            physics_begin(&cell, &params);
            physics_arm(&cell, &method_reserve_touch, 8)->params.count_ops = TOUCHES;
            physics_measure(&cell, NULL, 1);
            physics_expect_ok(&cell, 0);
            assert_int_equal(physics_count(&cell, 0, COUNTER_minor_faults), TOUCHES);
            assert_int_equal(physics_count(&cell, 0, COUNTER_page_table_bytes), wanted);
            if (rss_is_exact())
                assert_int_equal(physics_count(&cell, 0, COUNTER_rss_bytes), TOUCHES * 4 * KIB);
            measure_free(&cell.result);
            hand_begin(&hand, &method_reserve_touch, &params, NULL);
            hand_reset(&hand, TOUCHES);
            status_bytes("VmPTE"); /* its own memory comes before */
            uint64_t before = status_bytes("VmPTE");
            hand_run(&hand, TOUCHES);
            assert_int_equal(status_bytes("VmPTE") - before, wanted);
            hand_end(&hand);
            assert_int_equal(status_bytes("VmPTE"), before); /* all of them are given back */
        }
}

/* A huge page where one of 4 KiB was stored to, and the page table that it keeps for its end. */
static void a_touch_in_huge_pages_costs_a_huge_page(void **state)
{
    enum { TOUCHES = 4 };
    struct params params = reserve_params(64 * GIB, GIB, reservation_noreserve);
    struct physics_cell cell;
    (void)state;
    physics_need_exact_counts();
    need_small_pages();
    uint64_t refused = physics_huge_refused();
    params.pages = pages_thp;
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_reserve_touch, 1)->params.count_ops = TOUCHES;
    physics_measure(&cell, NULL, 1);
    physics_expect_ok(&cell, 0);
    physics_need_huge_given(refused);
    if (rss_is_exact())
        assert_int_equal(physics_count(&cell, 0, COUNTER_rss_bytes), TOUCHES * huge_page_bytes());
    assert_int_equal(physics_count(&cell, 0, COUNTER_page_table_bytes), (2 * TOUCHES + 1) * 4 * KIB);
    measure_free(&cell.result);
}

/* Of two workers in one process nobody knows whose memory it is; processes have their own. */
static void memory_is_told_of_workers_that_have_a_process(void **state)
{
    enum { PAGES = 64, WORKERS = 2 };
    (void)state;
    physics_need_exact_counts();
    for (unsigned kind = 0; kind < worker_kind_count; kind++) {
        struct params params = physics_params(WORKERS * PAGES * physics_page_bytes(), recipe_write_1MiB,
                                              cache_as_found);
        struct physics_cell cell;
        params.workers = WORKERS;
        params.worker_kind = (enum worker_kind)kind;
        params.sharing = sharing_anonymous;
        params.access = access_store;
        params.touches = params.count_ops = PAGES;
        physics_begin(&cell, &params);
        physics_arm(&cell, &method_first_touch, PAGES);
        physics_measure(&cell, NULL, 1);
        physics_expect_ok(&cell, 0);
        uint64_t rss = physics_count(&cell, 0, COUNTER_rss_bytes);
        if (kind == worker_kind_thread)
            assert_true(rss == UINT64_MAX);
        else if (rss_is_exact())
            assert_int_equal(rss, WORKERS * PAGES * physics_page_bytes());
        else
            assert_true(rss != UINT64_MAX);
        measure_free(&cell.result);
    }
}

/* Memory that a reservation takes by being there. */
static void a_reservation_alone_costs_nothing(void **state)
{
    struct reserved_range reserved;
    struct smaps found;
    (void)state;
    physics_need_exact_counts();
    status_bytes("VmPTE");
    uint64_t before = status_bytes("VmPTE");
    if (reservation_make(&reserved, 1024 * GIB, RESERVATION_PROT_NONE))
        physics_skip("a process may not have 1 TiB of addresses here");
    assert_int_equal(status_bytes("VmPTE"), before);
    if (smaps_read(reserved.at, reserved.bytes, &found))
        assert_int_equal(found.rss, 0);
    assert_int_equal(reservation_commit(reserved.at + GIB, 2 * physics_page_bytes()), 0);
    assert_int_equal(status_bytes("VmPTE"), before); /* what is promised is not there either */
    reserved.at[GIB] = 1;
    assert_int_equal(reserved.at[GIB + physics_page_bytes()], 0);
    if (smaps_read(reserved.at, reserved.bytes, &found))
        assert_int_equal(found.anonymous, physics_page_bytes()); /* a load from zeros takes no memory */
    reservation_remove(&reserved);
    assert_null(reserved.at);
}

static uint64_t vmas_now(struct vma_room *room)
{
    assert_int_equal(vma_room_read(room), 0);
    return room->vmas;
}

/* Pieces that lie alone are two VMAs more each, pages in a row are one. */
static void pieces_are_vmas(void **state)
{
    enum { TOUCHES = 1000 };
    const uint64_t distances[] = {physics_page_bytes(), 2 * physics_page_bytes()}, most[] = {2, 2 * TOUCHES};
    (void)state;
    physics_need_exact_counts(); /* a sanitizer maps memory of its own whenever it likes */
    for (unsigned i = 0; i < 2; i++) {
        struct params params = reserve_params(1 * GIB, distances[i], reservation_prot_none);
        struct vma_room room;
        struct hand hand;
        hand_begin(&hand, &method_reserve_touch, &params, NULL);
        hand_reset(&hand, TOUCHES);
        uint64_t before = vmas_now(&room);
        hand_run(&hand, TOUCHES);
        uint64_t made = vmas_now(&room) - before;
        hand_end(&hand);
        assert_in_range(made, most[i] / 2, most[i]);
    }
}

/* Who lacks that room is refused before it fails; who needs none is not. */
static void who_lacks_room_for_vmas_is_unsupported(void **state)
{
    struct params params = reserve_params(1 * GIB, 2 * physics_page_bytes(), reservation_prot_none);
    struct vma_room room;
    struct physics_cell cell;
    struct err err = {0};
    (void)state;
    uint64_t others = vmas_now(&room);
    if (room.limit > UINT64_C(1) << 21)
        physics_skip("a process may have %llu VMAs here, which takes too long to try", (unsigned long long)room.limit);
    others = room.limit - others - 1000; /* half of what an arm needs */
    assert_int_equal(vmas_hold(others, &err), 0);
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_reserve_touch, 8);
    physics_arm(&cell, &method_reserve_touch, 8)->params.reservation = reservation_noreserve;
    physics_measure(&cell, NULL, 1);
    vmas_release(others);
    assert_int_equal(cell.result.arms[0].status, ARM_UNSUPPORTED);
    assert_non_null(strstr(cell.result.arms[0].reason, "make up to 2000 VMAs, "));
    assert_int_equal(cell.result.arms[1].status, ARM_OK);
    measure_free(&cell.result);
}

/* How many of so many attempts the kernel granted. */
static uint64_t granted(uint64_t bytes, enum reservation reservation)
{
    enum { ATTEMPTS = 4 };
    struct params params = reserve_params(bytes, 4 * KIB, reservation);
    struct physics_cell cell;
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_reserve, ATTEMPTS)->params.count_ops = ATTEMPTS;
    physics_measure(&cell, NULL, 1);
    physics_expect_ok(&cell, 0);
    uint64_t occurred = physics_count(&cell, 0, COUNTER_occurred);
    assert_true(physics_count(&cell, 0, COUNTER_rss_bytes) == UINT64_MAX); /* of a method that does not tell them */
    assert_true(physics_count(&cell, 0, COUNTER_page_table_bytes) == UINT64_MAX);
    measure_free(&cell.result);
    assert_true(occurred == 0 || occurred == ATTEMPTS);
    return occurred;
}

static uint64_t meminfo_bytes(const char *key)
{
    char line[256], format[64];
    uint64_t kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    assert_non_null(file);
    snprintf(format, sizeof format, "%s: %%" SCNu64, key);
    while (fgets(line, sizeof line, file) && sscanf(line, format, &kib) != 1)
        ;
    fclose(file);
    return kib * KIB;
}

/* Pages of memory and swap are what one mapping may be promised with mode 0: a GiB less is granted, a GiB more is not.
 */
static void what_is_promised_follows_from_the_mode(void **state)
{
    uint64_t all = (meminfo_bytes("MemTotal") + meminfo_bytes("SwapTotal")) / GIB * GIB, huge = 4096 * GIB;
    FILE *file = fopen("/proc/sys/vm/overcommit_memory", "re");
    int mode = -1;
    (void)state;
    if (!file || fscanf(file, "%d", &mode) != 1)
        physics_skip("vm.overcommit_memory cannot be read");
    fclose(file);
    print_message("vm.overcommit_memory %d, memory and swap %llu GiB\n", mode, (unsigned long long)(all / GIB));
    assert_int_not_equal(granted(64 * MIB, reservation_plain), 0);
    assert_int_not_equal(granted(huge, reservation_prot_none), 0);
    assert_int_equal(granted(huge, reservation_noreserve) == 0, mode == 2);
    assert_int_equal(granted(huge, reservation_plain) == 0, mode != 1);
    if (mode == 0 && all > 2 * GIB) {
        assert_int_not_equal(granted(all - GIB, reservation_plain), 0);
        assert_int_equal(granted(all + 2 * GIB, reservation_plain), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_touch_costs_a_page_and_its_page_tables),
        cmocka_unit_test(a_touch_in_huge_pages_costs_a_huge_page),
        cmocka_unit_test(memory_is_told_of_workers_that_have_a_process),
        cmocka_unit_test(pieces_are_vmas),
        cmocka_unit_test(who_lacks_room_for_vmas_is_unsupported),
        cmocka_unit_test(a_reservation_alone_costs_nothing),
        cmocka_unit_test(what_is_promised_follows_from_the_mode),
    };
    return physics_run(tests);
}
