/* SPDX-License-Identifier: MIT */
/* Hand-overs in company, after a pause and by where the page lies: right in each, and what was asked for has happened.
 */
#include "meeting.h"

#include <sys/stat.h>

#include "background.h"

extern const struct method method_ping_pong;

static void vary_background(struct arm *arm, unsigned a)
{
    arm->params.background = a % background_count;
    arm->params.hand_over = a % hand_over_count;
}

/*
 * One more than this machine may have CPUs for, which takes turns: slow, and right all the same. Where the background
 * does not get its turn within a batch, the arm says just that.
 */
static void hand_overs_in_company_are_right(void **state)
{
    (void)state;
    for (enum worker_kind kind = 0; kind < MEETING_KINDS; kind++) {
        struct meeting meeting = {.params = meeting_params(kind)};
        meeting.params.workers = 3;
        meeting.params.count_ops = 10;
        meeting_measure(&meeting, &method_ping_pong, 20, vary_background);
        for (unsigned a = 0; a < 4; a++) {
            const struct arm_result *arm = &meeting.cell.result.arms[a];
            bool alone = meeting.cell.arms[a].params.background != background_none && arm->status == ARM_FAILED;
            if (!alone)
                physics_expect_ok(&meeting.cell, a);
            else if (!strstr(arm->reason, "rounds are void: a worker of the background did not run during the batch"))
                fail_msg("%s", arm->reason);
        }
        meeting_free(&meeting);
    }
}

static void vary_home(struct arm *arm, unsigned a)
{
    arm->params.home = a % home_count;
}

/* Both have touched the fresh page before the batch, so that it takes no fault. */
static void fresh_pages_are_touched_before(void **state)
{
    (void)state;
    for (enum worker_kind kind = 0; kind < MEETING_KINDS; kind++) {
        struct meeting meeting = {.params = meeting_params(kind)};
        meeting_measure(&meeting, &method_ping_pong, 200, vary_home);
        struct arm_result *third = &meeting.cell.result.arms[home_third];
        for (unsigned a = 0; a < 4; a++) {
            if (a == home_third && third->status == ARM_UNSUPPORTED)
                continue;
            physics_expect_ok(&meeting.cell, a);
#ifndef PHYSICS_SANITIZED /* its own memory is faulted in meanwhile */
            assert_int_equal(physics_count(&meeting.cell, a, COUNTER_minor_faults), 0);
#endif
        }
        if (third->status == ARM_UNSUPPORTED)
            assert_string_equal(third->reason, "home: third needs a NUMA node beside those of the two workers");
        meeting_free(&meeting);
    }
}

static void *reset_second(void *argument)
{
    hand_reset(argument, 1);
    return NULL;
}

static uint64_t pages_of_file(const struct target *target)
{
    struct stat status;
    assert_int_equal(fstat(target->fd, &status), 0);
    return (uint64_t)status.st_blocks * 512 / physics_page_bytes();
}

/* What was in the page is gone with it, and what workers tell each other is not. */
static void a_home_makes_the_page_anew(void **state)
{
    struct params params = meeting_params(worker_kind_thread);
    struct meeting_pair pair = {0};
    (void)state;
    for (params.home = home_any; params.home <= home_second; params.home++) {
        pthread_t thread;
        meeting_begin(&pair, &method_ping_pong, &params);
        struct worker *worker = &pair.hands[0].worker;
        uint64_t pages = pages_of_file(&pair.target);
        atomic_store(shared_word(worker, 1024), 7);
        atomic_store(shared_word(worker, worker->base_bytes - 8), 7);
        assert_int_equal(pthread_create(&thread, NULL, reset_second, &pair.hands[1]), 0);
        hand_reset(&pair.hands[0], 1);
        pthread_join(thread, NULL);
        assert_int_equal(atomic_load(shared_word(worker, 1024)), params.home == home_any ? 7 : 0);
        assert_int_equal(atomic_load(shared_word(worker, worker->base_bytes - 8)), 7);
        assert_int_equal(pages_of_file(&pair.target), pages); /* all touched again */
        meeting_end(&pair);
    }
}

/* Each worker's own time begins after the pause, and both have slept. A batch has 64 hand-overs at most. */
static void a_pause_is_not_timed(void **state)
{
    struct params params = meeting_params(worker_kind_thread);
    struct meeting_pair pair = {0};
    (void)state;
    params.pause = 3 * MS;
    meeting_begin(&pair, &method_ping_pong, &params);
    uint64_t start_ns = clock_now_ns();
    meeting_run(&pair, 20, 20);
    for (unsigned i = 0; i < 2; i++) {
        const struct worker *worker = &pair.hands[i].worker;
        assert_int_equal(pair.rc[i], 0);
        assert_true(worker->begun_ns >= start_ns + params.pause);
        assert_true(worker->done_ns > worker->begun_ns);
    }
    assert_int_equal(method_ping_pong.limit(&params), 64);
    meeting_end(&pair);
}

/* A background that stands still while a batch lasts long enough to tell. */
static void an_idle_background_is_told(void **state)
{
    struct params params = meeting_params(worker_kind_thread);
    struct meeting_pair pair = {0};
    (void)state;
    params.workers = 3;
    params.background = background_read;
    meeting_begin(&pair, &method_ping_pong, &params);
    struct worker *worker = &pair.hands[0].worker;
    struct shared_slot *third = shared_slot(worker, 2);
    shared_clear(worker);
    atomic_store(&third->steps, 5);
    background_begin(worker);
    worker->done_ns = worker->begun_ns + 1 * US;
    assert_null(background_fault(worker));
    worker->done_ns = worker->begun_ns + 1 * MS;
    assert_string_equal(background_fault(worker), "a worker of the background did not run during the batch");
    atomic_store(&third->steps, 6);
    assert_null(background_fault(worker));
    meeting_end(&pair);
}

/* The background of two that do not get on, and of two that are done. */
static void a_background_has_an_end(void **state)
{
    struct params params = meeting_params(worker_kind_thread);
    struct meeting_pair pair = {0};
    struct err err = {0};
    (void)state;
    params.workers = 3;
    params.background = background_write;
    meeting_begin(&pair, &method_ping_pong, &params);
    struct worker *worker = &pair.hands[1].worker;
    worker->index = 2;
    shared_clear(worker);
    assert_int_equal(background_setup(worker, &err), 0);
    assert_int_equal(method_ping_pong.run(worker, 1), -ETIMEDOUT);
    for (unsigned i = 0; i < 2; i++)
        atomic_store(&shared_slot(worker, i)->done, 1);
    assert_int_equal(method_ping_pong.run(worker, 1), 0);
    meeting_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hand_overs_in_company_are_right), cmocka_unit_test(fresh_pages_are_touched_before),
        cmocka_unit_test(a_home_makes_the_page_anew),      cmocka_unit_test(a_pause_is_not_timed),
        cmocka_unit_test(an_idle_background_is_told),      cmocka_unit_test(a_background_has_an_end),
    };
    return physics_run_beside(tests, DISTURBED_BY_STARVATION);
}
