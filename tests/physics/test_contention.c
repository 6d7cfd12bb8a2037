/* SPDX-License-Identifier: MIT */
/* Two workers on one page: nothing is lost, what is lost is noticed, and nobody waits for ever. */
#include "meeting.h"

#include <sched.h>
#include <sys/wait.h>

extern const struct method method_ping_pong, method_false_sharing, method_hand_off, method_write_write;

/* Rounds with their proofs, which look after every batch of each arm. */
static void measure_pair(const struct method *method, enum worker_kind kind, void (*vary)(struct arm *, unsigned))
{
    struct meeting meeting = {.params = meeting_params(kind)};
    meeting_measure(&meeting, method, method == &method_hand_off ? 200 : 2000, vary);
    meeting_expect_ok(&meeting, 2);
    meeting_free(&meeting);
}

static void vary_hand_over(struct arm *arm, unsigned a)
{
    arm->params.hand_over = a % hand_over_count;
}

static void vary_distance(struct arm *arm, unsigned a)
{
    static const uint64_t apart[] = {0, 8, 64, 4096};
    arm->params.apart_bytes = apart[a];
}

/* Workers that go from pair to pair: each batch ran where it was to (a batch that did not is void), on new pages. */
static void workers_move(enum worker_kind kind, unsigned first, unsigned second)
{
    enum { ROUNDS = 2, VISITS = 3 };
    struct params params = meeting_params(kind);
    struct physics_cell cell;
    struct target target;
    struct err err = {0};
    unsigned cpus[2] = {first, second};
    struct visit visits[VISITS] = {{.cpus = {first, second}}, {.cpus = {second, first}}, {.cpus = {first, second}}};
    physics_open(&target, &params);
    assert_int_equal(pwrite(target.fd, "old", 3, (off_t)params.file_bytes - 3), 3);
    physics_begin(&cell, &params);
    for (unsigned a = 0; a < 4; a++)
        vary_hand_over(physics_arm(&cell, &method_ping_pong, 200), a);
    struct measure_request request = physics_request(&cell, &target);
    request.cpus = cpus;
    request.visits = visits;
    request.visit_count = VISITS;
    request.visit_rounds = ROUNDS;
    if (measure_cell(&request, &cell.result, &err))
        fail_msg("%s", err.text);
    assert_int_equal(cell.result.rounds, VISITS * ROUNDS);
    for (unsigned a = 0; a < 4; a++)
        physics_expect_ok(&cell, a);
    for (unsigned r = 0; r < cell.result.rounds; r++) {
        assert_null(cell.result.voided[r]);
        assert_true(cell.result.arms[1].batch_ns[r] > 0);
    }
    for (unsigned v = 0; v < VISITS; v++) {
        assert_int_equal(visits[v].rounds, ROUNDS);
        assert_true(v == 0 || visits[v].t_ns > visits[v - 1].t_ns);
    }
    char byte = 1;
    assert_int_equal(pread(target.fd, &byte, 1, (off_t)params.file_bytes - 1), 1);
    assert_int_equal(byte, 0);
    measure_free(&cell.result);
    target_close(&target);
}

static void find_two_cpus(cpu_set_t *allowed, unsigned cpus[2])
{
    unsigned count = 0;
    assert_int_equal(sched_getaffinity(0, sizeof *allowed, allowed), 0);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && count < 2; cpu++)
        if (CPU_ISSET(cpu, allowed))
            cpus[count++] = cpu;
    if (count < 2)
        physics_skip("two workers that spin need two CPUs");
}

static void workers_visit_pairs_of_cpus(void **state)
{
    (void)state;
    cpu_set_t allowed;
    unsigned cpus[2];
    find_two_cpus(&allowed, cpus);
    for (enum worker_kind kind = 0; kind < MEETING_KINDS; kind++) {
        workers_move(kind, cpus[0], cpus[1]);
        assert_int_equal(sched_setaffinity(0, sizeof allowed, &allowed), 0); /* the coordinator goes along */
    }
}

/* Of three visits one is to a CPU that nobody has: it is void, and the others are not. */
static void a_visit_that_cannot_be_made_is_void(void **state)
{
    struct params params = meeting_params(worker_kind_thread);
    struct physics_cell cell;
    struct target target;
    struct err err = {0};
    cpu_set_t allowed;
    unsigned here[2];
    (void)state;
    find_two_cpus(&allowed, here);
    struct visit visits[] = {{.cpus = {here[0], here[1]}}, {.cpus = {8000, here[1]}}, {.cpus = {here[1], here[0]}}};
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_ping_pong, 200);
    struct measure_request request = physics_request(&cell, &target);
    request.cpus = here;
    request.visits = visits;
    request.visit_count = 3;
    request.visit_rounds = 1;
    if (measure_cell(&request, &cell.result, &err))
        fail_msg("%s", err.text);
    assert_int_equal(sched_setaffinity(0, sizeof allowed, &allowed), 0); /* the coordinator went along */
    assert_null(cell.result.voided[0]);
    assert_string_equal(cell.result.voided[1], "the workers could not be moved to these CPUs");
    assert_null(cell.result.voided[2]);
    measure_free(&cell.result);
    target_close(&target);
}

/* A CPU that is not there, or has gone, ends the cell with a reason and leaves no worker behind. */
static void a_cpu_that_is_not_there_is_told(void **state)
{
    (void)state;
    struct params params = meeting_params(worker_kind_process);
    struct physics_cell cell;
    struct target target;
    struct err err = {0};
    struct visit visit = {.cpus = {0, CPU_SETSIZE - 1}};
    cpu_set_t before;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    vary_hand_over(physics_arm(&cell, &method_ping_pong, 200), 0);
    struct measure_request request = physics_request(&cell, &target);
    request.visits = &visit;
    request.visit_count = request.visit_rounds = 1;
    assert_true(measure_cell(&request, &cell.result, &err) < 0);
    assert_non_null(strstr(err.text, "1023"));
    measure_free(&cell.result);
    target_close(&target);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

static void vary_update(struct arm *arm, unsigned a)
{
    arm->params.update = a % 2 ? update_cas : update_fetch_add;
    arm->params.apart_bytes = a / 2 * 256;
}

static void no_hand_over_is_lost(void **state)
{
    (void)state;
    for (enum worker_kind kind = 0; kind < MEETING_KINDS; kind++)
        measure_pair(&method_ping_pong, kind, vary_hand_over);
}

/* The page is at one address for all or, as an alias, at two; what was mapped beforehand stays. */
static void the_address_is_one_or_two(void **state)
{
    (void)state;
    struct params params = meeting_params(worker_kind_thread);
    struct target target;
    struct err err = {0};
    physics_open(&target, &params);
    unsigned char *room = mmap(NULL, params.working_set_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, target.fd, 0);
    assert_ptr_not_equal(room, MAP_FAILED);
    for (params.alias = 0; params.alias < alias_count; params.alias++) {
        struct worker workers[2];
        for (unsigned i = 0; i < 2; i++) {
            workers[i] = (struct worker){
                .params = &params, .target = &target, .index = i, .writes = true, .room = room, .fd = -1};
            assert_int_equal(shared_setup(&workers[i], &err), 0);
        }
        assert_ptr_equal(workers[0].base, room);
        assert_int_equal(workers[1].base == room, params.alias == alias_no);
        atomic_store(shared_word(&workers[0], 64), 7 + params.alias);
        assert_int_equal(atomic_load(shared_word(&workers[1], 64)), 7 + params.alias);
        for (unsigned i = 0; i < 2; i++)
            shared_teardown(&workers[i]);
        assert_int_equal(room[64], 7 + params.alias);
    }
    munmap(room, params.working_set_bytes);
    target_close(&target);
}

static void vary_via(struct arm *arm, unsigned a)
{
    static const enum via ways[] = {via_mapped_spin, via_mapped_futex, via_pipe, via_file_spin};
    arm->params.via = ways[a];
}

/* Each round trip of the first worker is told, but for what the first may have waited for the other to come. */
static void laps_are_told(const struct method *method, void (*vary)(struct arm *, unsigned), uint64_t unheeded)
{
    for (enum worker_kind kind = 0; kind < MEETING_KINDS; kind++) {
        struct meeting meeting = {.params = meeting_params(kind)};
        meeting.params.latency = latency_closed;
        meeting.params.latency_ops = 40;
        meeting.params.latency_time = 2000 * MS;
        meeting_measure(&meeting, method, 100, vary);
        meeting_expect_ok(&meeting, 2);
        for (unsigned a = 0; a < 4; a++) {
            const struct work_latency *latency = meeting.cell.result.arms[a].latency;
            assert_non_null(latency);
            assert_int_equal(latency->service.count, 40 - unheeded);
            assert_int_equal(latency->left_out, 0);
            assert_true(latency->worst_count > 0 && latency->spent_ns >= latency->worst[0].ns);
        }
        meeting_free(&meeting);
    }
}

static void round_trips_are_timed_one_by_one(void **state)
{
    (void)state;
    laps_are_told(&method_ping_pong, vary_hand_over, 1);
    laps_are_told(&method_hand_off, vary_via, 0);
}

static void no_addition_is_lost(void **state)
{
    (void)state;
    for (enum worker_kind kind = 0; kind < MEETING_KINDS; kind++) {
        measure_pair(&method_false_sharing, kind, vary_distance);
        measure_pair(&method_write_write, kind, vary_update);
    }
}

/* More workers than CPUs take turns on them: slow, and right all the same. */
static void five_workers_add(enum worker_kind kind)
{
    struct meeting meeting = {.params = meeting_params(kind)};
    meeting.params.workers = 5;
    meeting_measure(&meeting, &method_write_write, 200, vary_update);
    meeting_expect_ok(&meeting, 5);
    meeting_free(&meeting);
}

static void no_addition_of_many_is_lost(void **state)
{
    (void)state;
    for (enum worker_kind kind = 0; kind < MEETING_KINDS; kind++)
        five_workers_add(kind);
}

static void vary_mapped(struct arm *arm, unsigned a)
{
    static const enum via via[] = {via_mapped_spin, via_mapped_spin, via_mapped_futex, via_mapped_eventfd};
    arm->params.via = via[a];
    arm->params.consume = a == 1 ? consume_in_place : consume_copy;
    arm->params.payload_bytes = 1000;
}

static void vary_called(struct arm *arm, unsigned a)
{
    static const enum via via[] = {via_file_spin, via_pipe, via_socketpair, via_pipe};
    arm->params.via = via[a];
    arm->params.consume = consume_copy;
    arm->params.payload_bytes = a == 3 ? 8 : 1000;
}

/* Each payload is looked at by the worker it came to: its number, and the sum of all of it. */
static void no_payload_is_lost(void **state)
{
    (void)state;
    for (enum worker_kind kind = 0; kind < MEETING_KINDS; kind++) {
        measure_pair(&method_hand_off, kind, vary_mapped);
        measure_pair(&method_hand_off, kind, vary_called);
    }
}

/* One mapping for both, as threads could have it: each kind of word and of hand-over. */
static void threads_are_ordered(void **state)
{
    struct params params = meeting_params(worker_kind_thread);
    (void)state;
    for (params.hand_over = 0; params.hand_over < hand_over_count; params.hand_over++)
        meeting_expect_ordered(&method_ping_pong, &params, 200);
    meeting_expect_ordered(&method_false_sharing, &params, 1000);
    for (params.update = update_fetch_add; params.update <= update_cas; params.update++)
        meeting_expect_ordered(&method_write_write, &params, 1000);
    params.payload_bytes = 1000;
    for (params.via = 0; params.via <= via_mapped_futex; params.via++)
        for (params.consume = 0; params.consume < consume_count; params.consume++)
            meeting_expect_ordered(&method_hand_off, &params, 50);
}

/* ---- what is lost is noticed ---- */

/* The other says that it has added five times, and has not. */
static void a_lost_addition_is_noticed(void **state)
{
    struct params params = meeting_params(worker_kind_thread);
    struct meeting_pair pair = {0};
    (void)state;
    for (params.apart_bytes = 0; params.apart_bytes <= 256; params.apart_bytes += 256) {
        meeting_begin(&pair, &method_write_write, &params);
        struct worker *worker = &pair.hands[0].worker, *other = &pair.hands[1].worker;
        hand_reset(&pair.hands[0], 1);
        shared_done(other);
        shared_end(other, 5);
        assert_int_equal(method_write_write.run(worker, 10), -EPROTO);
        assert_string_equal(worker->fault, "additions were lost");
        hand_reset(&pair.hands[0], 1);
        shared_done(other);
        shared_end(other, 5);
        atomic_fetch_add(shared_word(worker, params.apart_bytes), 5);
        assert_int_equal(method_write_write.run(worker, 10), 0);
        meeting_end(&pair);
    }
}

struct peer {
    struct worker *worker;
    uint64_t hops, surplus;
};

/* Plays the second worker of by_store, and adds a surplus at the end. */
static void *peer_main(void *argument)
{
    struct peer *peer = argument;
    _Atomic uint64_t *word = shared_word(peer->worker, 0);
    for (uint64_t turn = 1; turn < 2 * peer->hops; turn += 2) {
        while (atomic_load(word) != turn)
            sched_yield();
        atomic_store(word, turn + 1);
    }
    atomic_fetch_add(word, peer->surplus);
    shared_end(peer->worker, peer->hops);
    return NULL;
}

static int hop_with_surplus(struct meeting_pair *pair, uint64_t surplus)
{
    pthread_t thread;
    struct peer peer = {&pair->hands[1].worker, 20, surplus};
    hand_reset(&pair->hands[0], 20);
    assert_int_equal(pthread_create(&thread, NULL, peer_main, &peer), 0);
    int rc = method_ping_pong.run(&pair->hands[0].worker, 20);
    pthread_join(thread, NULL);
    return rc;
}

static void a_lost_hand_over_is_noticed(void **state)
{
    struct params params = meeting_params(worker_kind_thread);
    struct meeting_pair pair = {0};
    (void)state;
    params.hand_over = hand_over_store;
    meeting_begin(&pair, &method_ping_pong, &params);
    assert_int_equal(hop_with_surplus(&pair, 0), 0);
    assert_int_equal(hop_with_surplus(&pair, 1), -EPROTO);
    assert_string_equal(pair.hands[0].worker.fault, "hand-overs were lost or came twice");
    meeting_end(&pair);
}

/* A payload that is announced but is not the one that is due. */
static void a_wrong_payload_is_noticed(void **state)
{
    struct params params = meeting_params(worker_kind_thread);
    struct meeting_pair pair = {0};
    (void)state;
    params.payload_bytes = 64;
    meeting_begin(&pair, &method_hand_off, &params);
    hand_reset(&pair.hands[0], 1);
    uint64_t *payload = (uint64_t *)(void *)(pair.hands[0].worker.base + pair.hands[0].worker.base_bytes / 2);
    payload[0] = 7;
    atomic_store((_Atomic uint32_t *)(void *)(pair.hands[0].worker.base + SHARED_LINE), 1);
    assert_int_equal(method_hand_off.run(&pair.hands[0].worker, 1), -EPROTO);
    assert_non_null(strstr(pair.hands[0].worker.fault, "not due"));
    meeting_end(&pair);
}

/* ---- nobody waits for ever ---- */

static void nobody_comes(const struct method *method, enum hand_over hand_over, uint64_t pause)
{
    struct params params = meeting_params(worker_kind_thread);
    struct meeting_pair pair = {0};
    params.hand_over = hand_over;
    params.pause = pause;
    meeting_begin(&pair, method, &params);
    hand_reset(&pair.hands[0], 5);
    assert_int_equal(method->run(&pair.hands[0].worker, 5), -ETIMEDOUT);
    meeting_end(&pair);
}

static void waiting_has_an_end(void **state)
{
    (void)state;
    for (enum hand_over hand_over = 0; hand_over < hand_over_count; hand_over++)
        nobody_comes(&method_ping_pong, hand_over, 0);
    nobody_comes(&method_ping_pong, hand_over_cas, 1);
    nobody_comes(&method_false_sharing, hand_over_cas, 0);
    nobody_comes(&method_hand_off, hand_over_cas, 0);
}

static void a_death_is_told(void **state)
{
    (void)state;
    meeting_expect_death(&method_ping_pong, vary_hand_over);
    meeting_expect_death(&method_write_write, vary_update);
    meeting_expect_death(&method_hand_off, vary_mapped);
    meeting_expect_death(&method_hand_off, vary_called); /* one sleeps in a pipe, with no deadline of its own */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_are_ordered),
        cmocka_unit_test(no_hand_over_is_lost),
        cmocka_unit_test(the_address_is_one_or_two),
        cmocka_unit_test(round_trips_are_timed_one_by_one),
        cmocka_unit_test(no_addition_is_lost),
        cmocka_unit_test(workers_visit_pairs_of_cpus),
        cmocka_unit_test(a_visit_that_cannot_be_made_is_void),
        cmocka_unit_test(a_cpu_that_is_not_there_is_told),
        cmocka_unit_test(no_addition_of_many_is_lost),
        cmocka_unit_test(no_payload_is_lost),
        cmocka_unit_test(a_lost_addition_is_noticed),
        cmocka_unit_test(a_lost_hand_over_is_noticed),
        cmocka_unit_test(a_wrong_payload_is_noticed),
        cmocka_unit_test(waiting_has_an_end),
        cmocka_unit_test(a_death_is_told),
    };
    return physics_run_beside(tests, DISTURBED_BY_STARVATION);
}
