/* SPDX-License-Identifier: MIT */
/* Workers that fault at the same time: how many faults each kind of meeting takes, to the last one. */
#include "meeting.h"

#include "faulting.h"

extern const struct method method_fault_contention;

enum { FEW = 8 }; /* pages of each worker */

static void vary_meet(struct arm *arm, unsigned a)
{
    arm->params.meet = a % meet_count;
}

/* What processes have: no table in common. The last arm has its pages stored to before. */
static void vary_meet_of_processes(struct arm *arm, unsigned a)
{
    static const enum meet meet[] = {meet_same_page, meet_other_table, meet_other_file, meet_same_page};
    arm->params.meet = meet[a];
    arm->params.prior = a == 3 ? prior_stored : prior_never;
}

static void vary_meet_stored(struct arm *arm, unsigned a)
{
    arm->params.meet = a % meet_count;
    arm->params.prior = prior_stored;
}

static void vary_own(struct arm *arm, unsigned a)
{
    arm->params.meet = meet_other_file;
    arm->params.prior = a % 2 ? prior_stored : prior_never;
}

static void begin(struct meeting *meeting, enum worker_kind kind, enum fault_of of, uint64_t workers)
{
    meeting->params = meeting_params(kind);
    meeting->params.fault_of = of;
    meeting->params.workers = workers;
    meeting->params.count_ops = FEW;
    meeting->params.file_bytes = meeting->params.working_set_bytes = 2 * workers * FEW * physics_page_bytes();
}

/* Every store of every worker takes one fault, or none where its page was stored to before. Threads that touch the same
 * page together may find it mapped by the other. */
static void expect_faults(struct meeting *meeting)
{
#ifdef PHYSICS_SANITIZED
    return; /* its own memory is faulted in meanwhile */
#endif
    for (unsigned a = 0; a < 4; a++) {
        const struct params *params = &meeting->cell.arms[a].params;
        uint64_t faults = physics_count(&meeting->cell, a, COUNTER_minor_faults), stores = params->workers * FEW;
        if (params->prior == prior_stored)
            assert_int_equal(faults, 0);
        else if (params->meet == meet_same_page && params->worker_kind == worker_kind_thread)
            assert_in_range(faults, FEW, stores);
        else
            assert_int_equal(faults, stores);
        assert_int_equal(physics_count(&meeting->cell, a, COUNTER_major_faults), 0);
    }
}

static void measure(enum worker_kind kind, enum fault_of of, void (*vary)(struct arm *, unsigned))
{
    struct meeting meeting;
    begin(&meeting, kind, of, 2);
    meeting_measure(&meeting, &method_fault_contention, FEW, vary);
    meeting_expect_ok(&meeting, 2);
    expect_faults(&meeting);
    meeting_free(&meeting);
}

static void threads_take_one_fault_a_page(void **state)
{
    (void)state;
    for (enum fault_of of = 0; of < fault_of_count; of++)
        measure(worker_kind_thread, of, vary_meet);
}

static void what_was_stored_to_takes_none(void **state)
{
    (void)state;
    for (enum fault_of of = 0; of < fault_of_count; of++)
        measure(worker_kind_thread, of, vary_meet_stored);
}

static void processes_take_one_fault_a_page(void **state)
{
    (void)state;
    measure(worker_kind_process, fault_of_shared_file, vary_meet_of_processes);
    measure(worker_kind_process, fault_of_private_file, vary_meet_of_processes);
    measure(worker_kind_process, fault_of_anonymous, vary_own);
}

/* Five, which take turns on the CPUs. Of page tables of their own there is no room for so many in so little. */
static void vary_many(struct arm *arm, unsigned a)
{
    static const enum meet meet[] = {meet_same_page, meet_same_table, meet_other_file, meet_same_table};
    arm->params.meet = meet[a];
}

static void many_threads_fault_too(void **state)
{
    struct meeting meeting;
    (void)state;
    begin(&meeting, worker_kind_thread, fault_of_shared_file, 5);
    meeting_measure(&meeting, &method_fault_contention, FEW, vary_many);
    meeting_expect_ok(&meeting, 5);
    expect_faults(&meeting);
    meeting_free(&meeting);
}

/* Where the pages of three workers lie: in three tables, one mapping. */
static void tables_are_their_own(void **state)
{
    uint64_t page_bytes = physics_page_bytes(), table = page_bytes / 8;
    struct params params = meeting_params(worker_kind_process); /* so that each maps by itself, and none waits */
    struct target target;
    struct hand hand;
    struct err err = {0};
    uintptr_t tables[3];
    (void)state;
    if (page_bytes > 4096)
        physics_skip("three page tables of %llu pages need a large file", (unsigned long long)table);
    params.workers = 3;
    params.meet = meet_other_table;
    params.file_bytes = params.working_set_bytes = 2 * 3 * table * page_bytes;
    assert_int_equal(faulting_pages(&params, page_bytes), table);
    physics_open(&target, &params);
    hand_begin(&hand, &method_fault_contention, &params, &target);
    for (unsigned i = 0; i < 3; i++) {
        struct faulting faulting;
        hand.worker.index = i;
        assert_int_equal(faulting_map(&faulting, &hand.worker, &err), 0);
        uintptr_t first = (uintptr_t)faulting.pages / page_bytes;
        assert_int_equal(first / table, (first + table - 1) / table); /* all of it in one */
        tables[i] = (first - (uintptr_t)faulting.mapped / page_bytes) / table;
        assert_true((uint64_t)(faulting.pages - faulting.mapped) + table * page_bytes <= faulting.mapped_bytes);
        faulting_unmap(&faulting);
    }
    assert_true(tables[0] < tables[1] && tables[1] < tables[2]);
    params.working_set_bytes -= 2 * 36 * page_bytes; /* 500 pages each, and 512 between: 1512 of 1500 */
    assert_int_equal(faulting_pages(&params, page_bytes), 0);
    params.meet = meet_same_table;
    assert_int_equal(faulting_pages(&params, page_bytes), 500);
    hand.worker.index = 0;
    hand_end(&hand);
    target_close(&target);
}

static void waiting_has_an_end(void **state)
{
    struct meeting meeting;
    struct meeting_pair pair = {0};
    (void)state;
    begin(&meeting, worker_kind_process, fault_of_shared_file, 2);
    meeting_begin(&pair, &method_fault_contention, &meeting.params);
    shared_clear(&pair.hands[0].worker);
    assert_int_equal(method_fault_contention.run(&pair.hands[0].worker, 1), -ETIMEDOUT);
    struct err err = {0};
    assert_int_equal(method_fault_contention.reset(&pair.hands[0].worker, 1, &err), -ETIMEDOUT);
    assert_non_null(strstr(err.text, "cannot be taken away"));
    meeting_end(&pair);
}

/*
 * One of `count` workers by hand, with the steps that the others have told. found: what its words on the first two
 * pages hold afterwards; 0 where it did not come that far.
 */
static void run_by_hand(unsigned index, unsigned count, const uint64_t steps[static 3], uint64_t pages,
                        uint64_t found[static 2])
{
    struct meeting meeting;
    struct meeting_pair pair = {0};
    struct worker *worker = &pair.hands[0].worker;
    begin(&meeting, worker_kind_process, fault_of_shared_file, 2);
    meeting_begin(&pair, &method_fault_contention, &meeting.params);
    const struct faulting *faulting = worker->own;
    unsigned char *word = faulting->pages + index % 64 * 64;
    worker->index = index;
    worker->count = count;
    shared_clear(worker);
    for (unsigned i = 0; i < 3; i++)
        if (i != index)
            atomic_store(&shared_slot(worker, i)->steps, steps[i]);
    for (unsigned i = 0; i < 2; i++)
        memset(word + i * faulting->step_bytes, 0, sizeof *found);
    method_fault_contention.run(worker, pages); /* mostly in vain: the others never end */
    for (unsigned i = 0; i < 2; i++)
        memcpy(&found[i], word + i * faulting->step_bytes, sizeof *found);
    worker->index = 0;
    worker->count = 2;
    meeting_end(&pair);
}

/* The second page is not stored to before the other has come that far. */
static void waits_before_each_page(void **state)
{
    uint64_t found[2];
    (void)state;
    run_by_hand(0, 2, (const uint64_t[]){0, 1, 0}, 2, found);
    assert_int_equal(found[0], 1);
    assert_int_equal(found[1], 0);
}

static void waits_for_all(void **state)
{
    uint64_t found[2];
    (void)state;
    run_by_hand(0, 3, (const uint64_t[]){0, 1, 0}, 1, found);
    assert_int_equal(found[0], 0);
    run_by_hand(0, 3, (const uint64_t[]){0, 0, 1}, 1, found);
    assert_int_equal(found[0], 0);
    run_by_hand(0, 3, (const uint64_t[]){0, 1, 1}, 1, found);
    assert_int_equal(found[0], 1);
}

/* There are 64 words to a page of 4 KiB: the worker after them is on the first one's line, not on the next page. */
static void stays_on_its_page(void **state)
{
    uint64_t found[2];
    (void)state;
    if (physics_page_bytes() != 4096)
        physics_skip("pages of %llu bytes have more words", (unsigned long long)physics_page_bytes());
    run_by_hand(64, 1, (const uint64_t[]){1, 0, 0}, 1, found);
    assert_int_equal(found[0], 1);
    assert_int_equal(found[1], 0);
}

static void a_death_is_told(void **state)
{
    (void)state;
    struct meeting meeting = {.params = meeting_params(worker_kind_process)};
    struct method mortal = method_fault_contention;
    mortal.run = meeting_run_mortal;
    meeting_mortal = &method_fault_contention;
    begin(&meeting, worker_kind_process, fault_of_shared_file, 2);
    meeting.params.file_bytes = meeting.params.working_set_bytes = 4 * 512 * physics_page_bytes();
    meeting_measure(&meeting, &mortal, 512, vary_meet_of_processes);
    for (unsigned a = 0; a < 4; a++)
        assert_string_equal(meeting.cell.result.arms[a].reason, "worker 1 died (signal 14)");
    meeting_free(&meeting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_take_one_fault_a_page),
        cmocka_unit_test(what_was_stored_to_takes_none),
        cmocka_unit_test(processes_take_one_fault_a_page),
        cmocka_unit_test(many_threads_fault_too),
        cmocka_unit_test(tables_are_their_own),
        cmocka_unit_test(waiting_has_an_end),
        cmocka_unit_test(waits_before_each_page),
        cmocka_unit_test(waits_for_all),
        cmocka_unit_test(stays_on_its_page),
        cmocka_unit_test(a_death_is_told),
    };
    return physics_run_beside(tests, DISTURBED_BY_STARVATION);
}
