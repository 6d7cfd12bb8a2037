/* SPDX-License-Identifier: MIT */
/*
 * Spans that are merged are one physical span, hold what was stored at the addresses where it was stored, and what they
 * gave back is what the file no longer holds; readers never see anything else.
 */
#include "meeting.h"

#include <fcntl.h>

// NOLINTNEXTLINE(bugprone-suspicious-include): what its readers read is to be spoilt
#include "../../bench/methods/merge_compact.c"
#include "counter.h"
#include "interrupts.h"
#include "merge.h"
#include "vma_room.h"
#include "vmas.h"

enum { SPAN_PAGES = 4, GROUPS = 8 };

extern const struct method method_merge;

static struct params merge_params(uint64_t spans, enum merge_step step)
{
    uint64_t span_bytes = SPAN_PAGES * physics_page_bytes();
    struct params params = physics_params(GROUPS * spans * span_bytes, recipe_write_4KiB, cache_as_found);
    params.range_bytes = span_bytes;
    params.spans = spans;
    params.merge_step = step;
    params.count_ops = GROUPS;
    return params;
}

static uint64_t mapped_ranges(void)
{
    struct vma_room room;
    assert_int_equal(vma_room_read(&room), 0);
    return room.vmas;
}

/* A system call writing to the page fails where a store would be a signal. */
static bool is_writable(unsigned char *page)
{
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    unsigned char before = *page;
    bool written = read(fd, page, 1) == 1;
    close(fd);
    if (written)
        *page = before;
    return written;
}

/* The technique by hand, step by step. */
static void each_step_does_its_own(void **state)
{
    uint64_t page_bytes = physics_page_bytes(), span_bytes = 2 * page_bytes;
    struct merge_arena arena;
    (void)state;
    assert_int_equal(merge_arena_make(&arena, 4 * span_bytes, span_bytes), 0);
    assert_int_equal(merge_held_bytes(&arena), 0);
    unsigned char *into = merge_span(&arena, 1), *from = merge_span(&arena, 3);
    memset(into, 1, span_bytes / 2);
    memset(from + span_bytes / 2, 2, span_bytes / 2);
    memset(from, 3, 1); /* its other page is there, too */
    memset(into + span_bytes - 1, 3, 1);
    assert_int_equal(merge_held_bytes(&arena), 2 * span_bytes);
    assert_true(is_writable(from));
    assert_int_equal(merge_protect(&arena, 3), 0);
    assert_false(is_writable(from));
    assert_true(is_writable(into));
    memcpy(into + span_bytes / 2, from + span_bytes / 2, span_bytes / 2);
    assert_int_equal(merge_remap(&arena, 1, 3), 0);
    assert_true(is_writable(from));
    assert_memory_equal(into, from, span_bytes);
    from[0] = 77; /* one page now */
    assert_int_equal(into[0], 77);
    assert_int_equal(merge_held_bytes(&arena), 2 * span_bytes);
    assert_int_equal(merge_punch(&arena, 3), 0);
    assert_int_equal(merge_held_bytes(&arena), span_bytes);
    assert_int_equal(physics_mincore(arena.fd, 4 * span_bytes), span_bytes / page_bytes);
    assert_int_equal(from[span_bytes - 1], 2);
    assert_int_equal(merge_undo(&arena, 3), 0);
    assert_int_equal(from[0], 0); /* a hole */
    assert_int_equal(into[0], 77);
    merge_arena_remove(&arena);
    merge_arena_remove(&arena); /* twice is nothing */
}

/* What is no arena is refused, and leaves nothing to be removed. */
static void spans_are_whole_pages(void **state)
{
    uint64_t page_bytes = physics_page_bytes();
    const uint64_t refused[][2] = {
        {0, page_bytes}, {page_bytes, 0}, {4 * page_bytes, page_bytes / 2}, {3 * page_bytes, 2 * page_bytes}};
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct merge_arena arena;
        assert_int_equal(merge_arena_make(&arena, refused[i][0], refused[i][1]), -EINVAL);
        assert_int_equal(arena.fd, -1);
        assert_null(arena.base);
        merge_arena_remove(&arena);
    }
}

/* By the file's blocks and by the pages of the page cache; every merged span is a VMA of its own, and no more. */
static void expect_merged(uint64_t spans)
{
    struct params params = merge_params(spans, merge_step_whole);
    struct hand hand;
    hand_begin(&hand, &method_merge, &params, NULL);
    const struct merge_arena *arena = hand.worker.own; /* what its own memory begins with */
    uint64_t all = GROUPS * spans * params.range_bytes, left = GROUPS * params.range_bytes;
    for (unsigned again = 0; again < 2; again++) {
        hand_reset(&hand, GROUPS);
        uint64_t vmas = mapped_ranges(), counted = counter_method.given_back_bytes;
        assert_int_equal(merge_held_bytes(arena), all);
        assert_int_equal(physics_mincore(arena->fd, all), all / physics_page_bytes());
        hand_run(&hand, GROUPS);
        method_merge.tell(&hand.worker);
        assert_int_equal(hand.worker.untold, 0);
        assert_int_equal(merge_held_bytes(arena), left);
        assert_int_equal(physics_mincore(arena->fd, all), left / physics_page_bytes());
        assert_int_equal(counter_method.given_back_bytes - counted, all - left);
#ifndef PHYSICS_SANITIZED /* which maps memory of its own whenever it likes */
        if (again == 0)
            assert_int_equal(mapped_ranges() - vmas, GROUPS * spans - 1);
#endif
        assert_in_range(mapped_ranges() - vmas, 0, UINT64_C(2) * GROUPS * (spans - 1) + 16);
    }
    hand_end(&hand);
}

static void merged_spans_give_back_all_but_one(void **state)
{
    (void)state;
    expect_merged(2);
    expect_merged(3);
    expect_merged(8);
}

/* What the engine counts: an operation gives back its spans but one, in the steps that punch, and takes no fault. */
static void operations_give_back_what_they_punch(void **state)
{
    static const enum merge_step steps[] = {merge_step_whole, merge_step_protect, merge_step_copy, merge_step_remap,
                                            merge_step_punch};
    (void)state;
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        bool punches = steps[i] == merge_step_whole || steps[i] == merge_step_punch;
        struct params params = merge_params(4, steps[i]);
        struct physics_cell cell;
        physics_begin(&cell, &params);
        physics_arm(&cell, &method_merge, GROUPS);
        physics_measure(&cell, NULL, 3); /* each reset verifies what the batch before has merged */
        physics_expect_ok(&cell, 0);
        uint64_t given_back = physics_count(&cell, 0, COUNTER_given_back_bytes);
        uint64_t faults = physics_count(&cell, 0, COUNTER_minor_faults);
        uint64_t spans = steps[i] == merge_step_copy ? 0 : 3,
                 copied = steps[i] == merge_step_copy ? 3 : 0; /* a quarter each */
        assert_int_equal(cell.result.arms[0].bytes_per_op,
                         spans * params.range_bytes + copied * params.range_bytes / 4);
        measure_free(&cell.result);
        assert_int_equal(given_back, punches ? UINT64_C(3) * GROUPS * params.range_bytes : 0);
#ifndef PHYSICS_SANITIZED
        assert_int_equal(faults, 0);
#endif
        (void)faults;
    }
}

/* The competitor: a fault for each page of the fresh span. */
static void a_compact_copy_faults_for_every_page(void **state)
{
    struct params params = merge_params(2, merge_step_whole);
    struct physics_cell cell;
    (void)state;
    physics_need_exact_counts();
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_merge_compact, GROUPS);
    physics_measure(&cell, NULL, 3);
    physics_expect_ok(&cell, 0);
    assert_int_equal(physics_count(&cell, 0, COUNTER_minor_faults), GROUPS * SPAN_PAGES);
    assert_int_equal(physics_count(&cell, 0, COUNTER_given_back_bytes), UINT64_MAX); /* it cannot know */
    assert_int_equal(cell.result.arms[0].bytes_per_op, params.range_bytes);
    measure_free(&cell.result);
}

static void need_two_cpus(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) < 2)
        physics_skip("a reader needs a CPU of its own");
}

/* A reader on another CPU, all the while; the method fails when it finds anything else than was stored. */
static void expect_readers_find(const struct method *method)
{
    struct params params = merge_params(2, merge_step_whole);
    struct hand hand;
    params.siblings = 1;
    hand_begin(&hand, method, &params, NULL);
    for (unsigned i = 0; i < 50; i++) {
        hand_reset(&hand, GROUPS);
        hand_run(&hand, GROUPS);
    }
    hand_end(&hand);
}

static void readers_find_every_object(void **state)
{
    (void)state;
    need_two_cpus();
    expect_readers_find(&method_merge);
    expect_readers_find(&method_merge_compact);
}

/* Of the whole machine, within a batch: what others cause only adds to it. */
static uint64_t interrupts_of_batch(struct hand *hand, int fd)
{
    hand_reset(hand, GROUPS);
    uint64_t before = interrupts_sum(fd, "TLB");
    hand_run(hand, GROUPS);
    return interrupts_sum(fd, "TLB") - before;
}

/* Of those batches the most where `most`, else the least. */
static uint64_t interrupts_of(const struct method *method, uint64_t siblings, bool most)
{
    enum { BATCHES = 20 };
    struct params params = merge_params(2, merge_step_whole);
    struct hand hand;
    uint64_t found = most ? 0 : UINT64_MAX;
    int fd = open("/proc/interrupts", O_RDONLY | O_CLOEXEC);
    params.siblings = siblings;
    hand_begin(&hand, method, &params, NULL);
    for (unsigned i = 0; i < BATCHES; i++) {
        uint64_t count = interrupts_of_batch(&hand, fd);
        found = most == (count > found) ? count : found;
    }
    hand_end(&hand);
    close(fd);
    return found;
}

/* The competitor has company as the merge has it: both interrupt the CPU of a sibling, and nobody's without one. */
static void both_interrupt_a_sibling(void **state)
{
    int fd = open("/proc/interrupts", O_RDONLY | O_CLOEXEC);
    bool counted = fd >= 0 && interrupts_sum(fd, "TLB") != UINT64_MAX;
    (void)state;
    if (fd >= 0)
        close(fd);
    need_two_cpus();
    if (!counted)
        physics_skip("this architecture has no row TLB in /proc/interrupts");
    if (interrupts_of(&method_merge, 1, true) < GROUPS)
        physics_skip("a merge flushes the TLBs of other CPUs without an interrupt");
    assert_true(interrupts_of(&method_merge_compact, 1, true) >= GROUPS);
    assert_true(interrupts_of(&method_merge_compact, 0, false) < GROUPS);
}

/* Goes on until a reader says that an object is spoilt, and ends. */
static void expect_found(struct hand *hand)
{
    int rc = 0;
    for (unsigned i = 0; i < 2000 && rc == 0; i++) {
        hand_reset(hand, 1);
        usleep(100);
        rc = hand->method->run(&hand->worker, 1);
    }
    hand_end(hand);
    assert_int_equal(rc, -EPROTO);
}

/* Nor do readers of what stays overlook a spoilt object. */
static void a_reader_of_what_stays_finds_a_spoilt_object(void **state)
{
    struct params params = merge_params(2, merge_step_whole);
    struct hand hand;
    (void)state;
    need_two_cpus();
    params.siblings = 1;
    hand_begin(&hand, &method_merge_compact, &params, NULL);
    hand_reset(&hand, 1);
    hand_run(&hand, 1);
    usleep(10000); /* the reader has gone to sleep */
    standing_at(hand.worker.own, GROUPS - 1, 3)[MERGING_OBJECT_BYTES - 1] ^= 1;
    expect_found(&hand);
}

/* And it does fail: in the last group, which is not merged and verified by the worker itself, a word of object 1, which
 * moves, is spoilt. */
static void expect_reader_finds(unsigned word)
{
    struct params params = merge_params(2, merge_step_whole);
    struct hand hand;
    params.siblings = 1;
    hand_begin(&hand, &method_merge, &params, NULL);
    unsigned char *span = merge_span(hand.worker.own, 2 * (GROUPS - 1) + 1);
    hand_reset(&hand, 1);
    hand_run(&hand, 1);
    usleep(10000); /* the reader has gone to sleep */
    span[MERGING_OBJECT_BYTES + word * sizeof(uint64_t)] ^= 1;
    expect_found(&hand);
}

static void a_reader_finds_a_spoilt_object(void **state)
{
    (void)state;
    need_two_cpus();
    for (unsigned word = 0; word < MERGING_WORDS; word++)
        expect_reader_finds(word);
}

/* Nor does the worker itself overlook one. */
static void a_spoilt_object_is_found_after_the_merge(void **state)
{
    struct params params = merge_params(2, merge_step_whole);
    struct hand hand;
    struct err err = {0};
    (void)state;
    hand_begin(&hand, &method_merge, &params, NULL);
    hand_reset(&hand, GROUPS);
    hand_run(&hand, GROUPS);
    merge_span(hand.worker.own, 1)[MERGING_OBJECT_BYTES + 8] ^= 1;
    int rc = method_merge.reset(&hand.worker, GROUPS, &err);
    hand_end(&hand);
    assert_int_equal(rc, -EPROTO);
}

/* Of so many arms of one cell, as the engine measures them. */
static void expect_arms(const struct params *params, unsigned arms, enum arm_status status)
{
    struct physics_cell cell;
    physics_begin(&cell, params);
    for (unsigned a = 0; a < arms; a++)
        physics_arm(&cell, &method_merge, GROUPS);
    physics_measure(&cell, NULL, 2);
    for (unsigned a = 0; a < arms; a++) {
        if (cell.result.arms[a].status != status)
            fail_msg("arm %u of %u: %s", a, arms, cell.result.arms[a].reason);
        assert_int_equal(strstr(cell.result.arms[a].reason, ", and vm.max_map_count is ") != NULL,
                         status == ARM_UNSUPPORTED);
    }
    measure_free(&cell.result);
}

/* More spans than the process may have VMAs: refused before anything is mapped. */
static void too_many_spans_are_refused(void **state)
{
    struct params params = merge_params(2, merge_step_whole);
    struct vma_room room;
    (void)state;
    assert_int_equal(vma_room_read(&room), 0);
    assert_in_range(room.vmas, 1, room.limit);
    uint64_t most = room.limit - room.vmas;
    assert_true(vma_room_has(&room, 0) && vma_room_has(&room, most) && !vma_room_has(&room, most + 1));
    params.file_bytes = params.working_set_bytes = (most / 2 + 1) * 2 * params.range_bytes;
    expect_arms(&params, 1, ARM_UNSUPPORTED);
}

/* Nor may several arms have together what each could have alone; other VMAs leave room for one and a half of them. */
static void arms_are_refused_what_they_lack_together(void **state)
{
    enum { SPARE = 32, NEEDED = 2 * GROUPS * (SPARE - 1) };
    struct params params = merge_params(SPARE, merge_step_whole);
    struct vma_room room;
    struct err err = {0};
    (void)state;
    assert_int_equal(vma_room_read(&room), 0);
    if (room.limit > UINT64_C(1) << 21)
        physics_skip("a process may have %llu VMAs here, which takes too long to try", (unsigned long long)room.limit);
    uint64_t others = room.limit - room.vmas - NEEDED * UINT64_C(3) / 2;
    assert_int_equal(vmas_hold(others, &err), 0);
    expect_arms(&params, 1, ARM_OK);
    expect_arms(&params, 2, ARM_UNSUPPORTED);
    vmas_release(others);
    expect_arms(&params, 2, ARM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_step_does_its_own),
        cmocka_unit_test(spans_are_whole_pages),
        cmocka_unit_test(merged_spans_give_back_all_but_one),
        cmocka_unit_test(operations_give_back_what_they_punch),
        cmocka_unit_test(a_compact_copy_faults_for_every_page),
        cmocka_unit_test(readers_find_every_object),
        cmocka_unit_test(both_interrupt_a_sibling),
        cmocka_unit_test(a_reader_finds_a_spoilt_object),
        cmocka_unit_test(a_reader_of_what_stays_finds_a_spoilt_object),
        cmocka_unit_test(a_spoilt_object_is_found_after_the_merge),
        cmocka_unit_test(too_many_spans_are_refused),
        cmocka_unit_test(arms_are_refused_what_they_lack_together),
    };
    return physics_run_beside(tests, DISTURBED_BY_STARVATION);
}
