/* SPDX-License-Identifier: MIT */
/* Two views of a page are one page: what is stored through one is loaded through the other, and the frames are equal.
 */
#include "hand.h"

#include <fcntl.h>

#include "counter.h"

/* What /proc/self/pagemap is to say; NULL: what it says. */
static const uint64_t *script;

static ssize_t scripted(int fd, void *to, size_t bytes, off_t offset)
{
    if (!script)
        return pread(fd, to, bytes, offset);
    memcpy(to, script++, sizeof *script);
    return (ssize_t)bytes;
}

#define pread(...) scripted(__VA_ARGS__)
#include "../../bench/techniques/twin.c" // NOLINT(bugprone-suspicious-include): pages are to be moved while it looks
#undef pread
#include "vma_room.h"
#include "vmas.h"
#include "way_hash.h"

enum { OPERATIONS = 1000, CHAIN = 256 };

#define DIAGONAL (4 * KIB + 128 * MIB) /* bits 12 and 27: not a multiple of 256 MiB, and of equal way hash */

extern const struct method method_alias_load, method_flushed_load, method_same_page_store, method_same_page_frame;

static void need_free_addresses(void)
{
#ifdef PHYSICS_THREADS_ONLY
    physics_skip("the thread sanitizer keeps addresses for itself");
#endif
}

/* Distances that are whole pages on every machine, but for the diagonal; all of them fit 39 bits of address. */
static const uint64_t distances[] = {64 * KIB, 1 * MIB, 2 * MIB, 128 * MIB, 256 * MIB, 1 * GIB, 64 * GIB};
enum { DISTANCES = sizeof distances / sizeof *distances };

static struct params alias_params(uint64_t distance, enum through through)
{
    struct params params = physics_params(1 * MIB, recipe_write_4KiB, cache_as_found);
    params.alias_bytes = distance;
    params.through = through;
    params.count_ops = OPERATIONS;
    return params;
}

/* The hash worked out by hand, for the views' base is a multiple of 256 MiB. */
static void the_way_hash_is_as_published(void **state)
{
    static const struct {
        uint64_t address;
        unsigned hash;
    } known[] = {
        {0, 0x00},
        {UINT64_C(1) << 12, 0x01},
        {UINT64_C(1) << 19, 0x80},
        {UINT64_C(1) << 20, 0x08},
        {UINT64_C(1) << 24, 0x80},
        {UINT64_C(1) << 25, 0x04},
        {UINT64_C(1) << 27, 0x01},
        {DIAGONAL, 0x00},
        {UINT64_C(1) << 28, 0x00},
        {UINT64_C(1) << 46, 0x00},
        {0xfff, 0x00},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_int_equal(way_hash(known[i].address), known[i].hash);
}

/* Every byte of the second view lies where it was asked for, also where the views take turns. */
static void views_are_as_far_apart_as_asked(void **state)
{
    uint64_t page_bytes = physics_page_bytes(), bytes = 8 * page_bytes;
    int fd = memfd_create("views", MFD_CLOEXEC);
    (void)state;
    need_free_addresses();
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    for (uint64_t apart = page_bytes; apart <= 16 * page_bytes; apart += page_bytes) {
        struct twin twin;
        assert_int_equal(twin_map(&twin, fd, 0, 0, bytes, apart), 0);
        for (uint64_t at = 0; at < bytes; at += page_bytes) {
            assert_ptr_equal(twin_at(&twin, 1, at), twin_at(&twin, 0, at) + apart);
            *twin_at(&twin, 0, at) = (unsigned char)(apart + at / page_bytes);
        }
        for (uint64_t at = 0; at < bytes; at += page_bytes)
            assert_int_equal(*twin_at(&twin, 1, at), (unsigned char)(apart + at / page_bytes));
        twin_unmap(&twin);
    }
    close(fd);
}

/* Nothing that is mapped already is taken; and nothing is left mapped. */
static void views_take_nobodys_place(void **state)
{
    uint64_t page_bytes = physics_page_bytes();
    int fd = memfd_create("views", MFD_CLOEXEC);
    struct twin first, second;
    (void)state;
    need_free_addresses();
    assert_int_equal(ftruncate(fd, (off_t)page_bytes), 0);
    assert_int_equal(twin_map(&first, fd, 0, 0, page_bytes, 1 * GIB), 0);
    assert_int_equal(twin_map(&second, fd, 0, 0, page_bytes, 1 * GIB), 0);
    assert_ptr_not_equal(first.base, second.base);
    unsigned char *base = first.base;
    twin_unmap(&first);
    twin_unmap(&first); /* twice is nothing */
    assert_int_equal(twin_map(&first, fd, 0, 0, page_bytes, 1 * GIB), 0);
    assert_ptr_equal(first.base, base);
    twin_unmap(&first);
    twin_unmap(&second);
    assert_int_equal(twin_map(&first, fd, 0, 0, page_bytes, UINT64_C(1) << 62), -EADDRNOTAVAIL);
    assert_int_equal(twin_map(&first, fd, 0, 0, page_bytes, 0), -EINVAL);
    assert_int_equal(twin_map(&first, fd, 0, 0, 0, page_bytes), -EINVAL);
    assert_int_equal(twin_map(&first, fd, 0, 0, page_bytes, page_bytes + 64), -EINVAL);
    assert_int_equal(twin_map(&first, fd, 0, 0, page_bytes / 2, page_bytes), -EINVAL);
    assert_null(first.base);
    close(fd);
}

static void expect_unsupported(const struct params *params, const struct method *method, const char *why)
{
    struct physics_cell cell;
    physics_begin(&cell, params);
    physics_arm(&cell, method, 1);
    physics_measure(&cell, NULL, 1);
    assert_int_equal(cell.result.arms[0].status, ARM_UNSUPPORTED);
    assert_non_null(strstr(cell.result.arms[0].reason, why));
    measure_free(&cell.result);
}

/* VMAs that run out are told as such, and not as addresses that are taken; an arm is refused before. */
static void views_need_room_for_vmas(void **state)
{
    enum { PIECES = 256, LEFT = 100 };
    uint64_t page_bytes = physics_page_bytes();
    struct params params = alias_params(page_bytes, through_other);
    struct vma_room room;
    struct twin twin;
    struct err err = {0};
    int fd = memfd_create("views", MFD_CLOEXEC);
    (void)state;
    need_free_addresses();
    assert_int_equal(ftruncate(fd, (off_t)(PIECES * page_bytes)), 0);
    assert_int_equal(vma_room_read(&room), 0);
    uint64_t held = room.limit - room.vmas - LEFT;
    if (room.limit > UINT64_C(1) << 21)
        physics_skip("a process may have %llu VMAs here, which takes too long to try", (unsigned long long)room.limit);
    assert_int_equal(vmas_hold(held, &err), 0);
    int views = twin_map(&twin, fd, 0, 0, PIECES * page_bytes, page_bytes);
    int far = twin_map(&twin, fd, 0, 0, page_bytes, UINT64_C(1) << 62);
    expect_unsupported(&params, &method_flushed_load, ", and vm.max_map_count is ");
    vmas_release(held);
    assert_int_equal(views, -ENOMEM);
    assert_int_equal(far, -EADDRNOTAVAIL);
    close(fd);
}

/* Where a turn of the second view shows what comes right before the next turn of the first, both are one. */
static void views_are_as_many_vmas_as_told(void **state)
{
    enum { PIECES = 256 };
    uint64_t page_bytes = physics_page_bytes(), bytes = PIECES * page_bytes;
    int fd = memfd_create("views", MFD_CLOEXEC);
    (void)state;
    need_free_addresses();
    physics_need_exact_counts(); /* a sanitizer maps memory of its own whenever it likes */
    assert_int_equal(ftruncate(fd, (off_t)(2 * bytes)), 0);
    assert_int_equal(twin_vmas(bytes, page_bytes), 2 * PIECES);
    assert_int_equal(twin_vmas(bytes, bytes - page_bytes), 4);
    assert_int_equal(twin_vmas(bytes, bytes), 2);
    for (unsigned copy = 0; copy < 2; copy++) {
        struct vma_room before, with;
        struct twin twin;
        assert_int_equal(vma_room_read(&before), 0);
        assert_int_equal(twin_map(&twin, fd, 0, copy ? (off_t)bytes : 0, bytes, page_bytes), 0);
        assert_int_equal(vma_room_read(&with), 0);
        twin_unmap(&twin);
        assert_int_equal(with.vmas - before.vmas, copy ? 2 * PIECES : PIECES + 1);
    }
    close(fd);
}

/* What an operation has answered, by hand. */
static uint64_t answered(const struct method *method, uint64_t distance, enum through through)
{
    struct params params = alias_params(distance, through);
    struct hand hand;
    hand_begin(&hand, method, &params, NULL);
    uint64_t before = counter_method.occurred;
    hand_run(&hand, OPERATIONS);
    uint64_t found = counter_method.occurred - before;
    hand_end(&hand);
    return found;
}

static void expect_answers(const struct method *method)
{
    need_free_addresses();
    for (size_t i = 0; i < DISTANCES; i++) {
        assert_int_equal(answered(method, distances[i], through_other), OPERATIONS);
        assert_int_equal(answered(method, distances[i], through_same), OPERATIONS);
        assert_int_equal(answered(method, distances[i], through_copy), 0);
    }
}

static void a_store_tells_one_page_from_two(void **state)
{
    (void)state;
    expect_answers(&method_same_page_store);
}

static void frames_tell_one_page_from_two(void **state)
{
    (void)state;
    expect_answers(&method_same_page_frame);
}

/* What is said of pages that the kernel moves meanwhile, after how many reads. */
static void pages_that_move_are_looked_at_again(void **state)
{
    static const struct {
        uint64_t frames[7]; /* one, the other, the first again …; 0: not there */
        unsigned reads;
        bool same;
    } moves[] = {
        {{7, 7, 7}, 3, true},           {{7, 8, 7}, 3, false},
        {{7, 8, 8, 8, 8, 8}, 6, true},  /* one page, from 7 to 8 */
        {{7, 7, 9, 9, 7, 9}, 6, false}, /* two: the second came to where the first had been */
        {{0, 8, 8, 8}, 4, true},        /* the first is being moved … */
        {{7, 0, 8, 8, 8}, 5, true},     /* … after it has been looked at … */
        {{7, 7, 0, 8, 8, 8}, 6, true},  /* … or once both were */
        {{7, 9, 0, 8, 9, 8}, 6, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) {
        uint64_t entries[7];
        bool same = !moves[i].same;
        for (unsigned n = 0; n < 7; n++)
            entries[n] = moves[i].frames[n] | (moves[i].frames[n] ? PAGEMAP_PRESENT : 0);
        script = entries;
        int rc = twin_same_frame(-1, entries, entries, &same);
        unsigned reads = (unsigned)(script - entries);
        script = NULL;
        assert_int_equal(rc, 0);
        assert_int_equal(same, moves[i].same);
        assert_int_equal(reads, moves[i].reads);
    }
}

/* One that never comes to rest, or is not there at all, is no answer; nor are frames that are hidden. */
static void pages_without_a_frame_are_told(void **state)
{
    enum { READS = 3 * LOOKS };
    uint64_t *entries = calloc(READS, sizeof *entries);
    bool same;
    (void)state;
    assert_non_null(entries);
    script = entries;
    assert_int_equal(twin_same_frame(-1, entries, entries, &same), -ENXIO);
    for (unsigned i = 0; i < READS; i++)
        entries[i] = PAGEMAP_PRESENT | (i + 1);
    script = entries;
    assert_int_equal(twin_same_frame(-1, entries, entries, &same), -ENXIO);
    entries[0] = PAGEMAP_PRESENT;
    script = entries;
    assert_int_equal(twin_same_frame(-1, entries, entries, &same), -EPERM);
    script = NULL;
    free(entries);
}

/* Loads from a line in turns take no fault, find the other's address each time, and know whose hashes are equal. */
static void measure_loads(const struct method *method, uint64_t distance, enum through through, bool equal)
{
    struct params params = alias_params(distance, through);
    struct physics_cell cell;
    physics_begin(&cell, &params);
    physics_arm(&cell, method, method == &method_flushed_load ? CHAIN : OPERATIONS);
    physics_measure(&cell, NULL, 3);
    physics_expect_ok(&cell, 0);
    uint64_t told = physics_count(&cell, 0, COUNTER_occurred), faults = physics_count(&cell, 0, COUNTER_minor_faults);
    measure_free(&cell.result);
    if (method == &method_flushed_load || !way_hash_is_used())
        assert_int_equal(told, UINT64_MAX); /* unknown */
    else
        assert_int_equal(told, equal ? OPERATIONS : 0);
    physics_need_exact_counts();
    assert_int_equal(faults, 0);
}

static void loads_in_turns_know_equal_way_hashes(void **state)
{
    (void)state;
    need_free_addresses();
    for (size_t i = 0; i < DISTANCES; i++) {
        bool equal = distances[i] % (256 * MIB) == 0;
        measure_loads(&method_alias_load, distances[i], through_same, true);
        measure_loads(&method_alias_load, distances[i], through_other, equal);
        measure_loads(&method_alias_load, distances[i], through_copy, equal);
    }
    if (DIAGONAL % physics_page_bytes() == 0)
        measure_loads(&method_alias_load, DIAGONAL, through_other, true);
}

/* Its reset fails when a batch has not come by the lines in their order. */
static void flushed_lines_are_loaded_in_their_order(void **state)
{
    (void)state;
    need_free_addresses();
    for (unsigned through = 0; through < through_count; through++)
        measure_loads(&method_flushed_load, distances[(size_t)through * 3], (enum through)through, false);
}

/* That reset can fail: a line that points to itself ends the order. */
static void a_wrong_order_is_found(void **state)
{
    struct params params = alias_params(1 * MIB, through_other);
    struct hand hand;
    struct err err = {0};
    (void)state;
    need_free_addresses();
    hand_begin(&hand, &method_flushed_load, &params, NULL);
    hand_reset(&hand, CHAIN);
    hand_run(&hand, CHAIN);
    hand_reset(&hand, CHAIN);
    void **first = (void **)twin_at(hand.worker.own, 1, 0);
    *first = first;
    hand_run(&hand, CHAIN - 1);
    int rc = method_flushed_load.reset(&hand.worker, CHAIN, &err);
    hand_end(&hand);
    assert_int_equal(rc, -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_way_hash_is_as_published),
        cmocka_unit_test(views_are_as_far_apart_as_asked),
        cmocka_unit_test(views_take_nobodys_place),
        cmocka_unit_test(views_need_room_for_vmas),
        cmocka_unit_test(views_are_as_many_vmas_as_told),
        cmocka_unit_test(a_store_tells_one_page_from_two),
        cmocka_unit_test(frames_tell_one_page_from_two),
        cmocka_unit_test(pages_that_move_are_looked_at_again),
        cmocka_unit_test(pages_without_a_frame_are_told),
        cmocka_unit_test(loads_in_turns_know_equal_way_hashes),
        cmocka_unit_test(flushed_lines_are_loaded_in_their_order),
        cmocka_unit_test(a_wrong_order_is_found),
    };
    return physics_run(tests);
}
