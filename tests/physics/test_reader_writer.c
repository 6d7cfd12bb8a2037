/* SPDX-License-Identifier: MIT */
/* One worker writes, others read: whose operations are counted, that nothing is lost or made up, and that all ends. */
#include "meeting.h"

extern const struct method method_reader_writer;

static void vary_apart(struct arm *arm, unsigned a)
{
    arm->params.update = a % 2 ? update_store : update_fetch_add;
    arm->params.apart_bytes = arm->params.timed == timed_round_trip ? 0 : a / 2 * 4096;
}

static void measure(enum worker_kind kind, enum timed timed, uint64_t workers, uint64_t ops)
{
    struct meeting meeting = {.params = meeting_params(kind)};
    meeting.params.timed = timed;
    meeting.params.workers = workers;
    meeting_measure(&meeting, &method_reader_writer, ops, vary_apart);
    meeting_expect_ok(&meeting, timed == timed_readers ? workers - 1 : 1);
    meeting_free(&meeting);
}

static void every_role_is_timed_by_itself(void **state)
{
    (void)state;
    for (enum timed timed = 0; timed < timed_count; timed++)
        for (enum worker_kind kind = 0; kind < MEETING_KINDS; kind++)
            measure(kind, timed, 2, 1000);
}

static void vary_timed(struct arm *arm, unsigned a)
{
    arm->params.timed = a % 2 ? timed_writer : timed_readers;
}

/* Arms of one cell may differ in whose operations are timed, and so in how many there are. */
static void each_arm_counts_its_own(void **state)
{
    (void)state;
    for (enum worker_kind kind = 0; kind < MEETING_KINDS; kind++) {
        struct meeting meeting = {.params = meeting_params(kind)};
        meeting.params.workers = 3;
        meeting_measure(&meeting, &method_reader_writer, 10, vary_timed);
        for (unsigned a = 0; a < 4; a++) {
            physics_expect_ok(&meeting.cell, a);
            assert_int_equal(meeting.cell.result.arms[a].count_ops, (a % 2 ? 1 : 2) * meeting.params.count_ops);
        }
        meeting_free(&meeting);
    }
}

/* More workers than CPUs: slow, and right all the same. */
static void many_readers_are_all_answered(void **state)
{
    (void)state;
    for (enum timed timed = 0; timed < timed_count; timed++)
        for (enum worker_kind kind = 0; kind < MEETING_KINDS; kind++)
            measure(kind, timed, 4, 10);
}

static void threads_are_ordered(void **state)
{
    struct params params = meeting_params(worker_kind_thread);
    (void)state;
    for (params.timed = 0; params.timed < timed_count; params.timed++)
        for (params.update = 0; params.update < update_count; params.update++)
            meeting_expect_ordered(&method_reader_writer, &params, 200);
}

/* The writer alone, as if a reader had come to its end with the number `seen`. */
static int write_beside(struct meeting_pair *pair, uint64_t seen, uint64_t lost)
{
    struct worker *writer = &pair->hands[0].worker;
    hand_reset(&pair->hands[0], 1);
    shared_done(&pair->hands[1].worker);
    shared_end(&pair->hands[1].worker, seen);
    atomic_fetch_sub(shared_word(writer, 0), lost);
    return method_reader_writer.run(writer, 10);
}

static void what_cannot_be_is_noticed(void **state)
{
    struct params params = meeting_params(worker_kind_thread);
    struct meeting_pair pair = {0};
    (void)state;
    params.timed = timed_writer;
    meeting_begin(&pair, &method_reader_writer, &params);
    assert_int_equal(write_beside(&pair, 10, 0), 0);
    assert_int_equal(write_beside(&pair, 11, 0), -EPROTO);
    assert_string_equal(pair.hands[0].worker.fault, "a reader has seen a number that was not written");
    assert_int_equal(write_beside(&pair, 9, 1), -EPROTO);
    assert_string_equal(pair.hands[0].worker.fault, "updates were lost");
    meeting_end(&pair);
}

/* A reader to whom the word's number falls, over and over until it has done its loads. */
static void numbers_that_go_back_are_noticed(void **state)
{
    struct params params = meeting_params(worker_kind_thread);
    struct meeting_pair pair = {0};
    (void)state;
    params.timed = timed_readers;
    meeting_begin(&pair, &method_reader_writer, &params);
    hand_reset(&pair.hands[0], 1);
    struct worker *reader = &pair.hands[1].worker;
    pthread_t thread;
    struct meeting_member member = {&pair, 1, 0};
    pair.blocks[1] = 50000000;
    assert_int_equal(pthread_create(&thread, NULL, meeting_member_main, &member), 0);
    for (uint64_t i = 0; pthread_tryjoin_np(thread, NULL); i++)
        atomic_store(shared_word(reader, 0), 4 + i % 2);
    assert_int_equal(pair.rc[1], -EPROTO);
    assert_string_equal(reader->fault, "a reader has seen numbers go back");
    meeting_end(&pair);
}

static void waiting_has_an_end(void **state)
{
    (void)state;
    for (enum timed timed = 0; timed < timed_count; timed++)
        for (unsigned index = 0; index < 2; index++) {
            bool is_timed = (index == 0) != (timed == timed_readers);
            struct params params = meeting_params(worker_kind_thread);
            struct meeting_pair pair = {0};
            params.timed = timed;
            meeting_begin(&pair, &method_reader_writer, &params);
            hand_reset(&pair.hands[0], 5);
            int rc = method_reader_writer.run(&pair.hands[index].worker, 5);
            bool waits = !is_timed || index == 0; /* a reader that is done waits for readers alone */
            assert_int_equal(rc, waits ? -ETIMEDOUT : 0);
            meeting_end(&pair);
        }
}

static void a_death_is_told(void **state)
{
    (void)state;
    meeting_expect_death(&method_reader_writer, vary_apart);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_are_ordered),
        cmocka_unit_test(every_role_is_timed_by_itself),
        cmocka_unit_test(each_arm_counts_its_own),
        cmocka_unit_test(many_readers_are_all_answered),
        cmocka_unit_test(what_cannot_be_is_noticed),
        cmocka_unit_test(waiting_has_an_end),
        cmocka_unit_test(numbers_that_go_back_are_noticed),
        cmocka_unit_test(a_death_is_told),
    };
    return physics_run_beside(tests, DISTURBED_BY_STARVATION);
}
