/* SPDX-License-Identifier: MIT */
/* Two workers on one page: nothing is lost, what is lost is noticed, and nobody waits for ever. */
#include "hand.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>

extern const struct method method_ping_pong, method_false_sharing, method_hand_off;

static struct params pair_params(enum worker_kind kind)
{
    struct params params = physics_params(4 * physics_page_bytes(), recipe_write_4KiB, cache_as_found);
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) < 2)
        physics_skip("two workers that spin need two CPUs");
    params.backing = backing_memfd;
    params.worker_kind = kind;
    params.workers = 2;
    params.access = access_load;
    return params;
}

/* Rounds with their proofs, which look after every batch of each arm. */
static void measure_pair(const struct method *method, enum worker_kind kind, void (*vary)(struct arm *, unsigned))
{
    struct params params = pair_params(kind);
    struct physics_cell cell;
    struct target target;
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    for (unsigned a = 0; a < 4; a++)
        vary(physics_arm(&cell, method, 2000), a);
    physics_measure(&cell, &target, 8);
    for (unsigned a = 0; a < 4; a++) {
        physics_expect_ok(&cell, a);
        assert_int_equal(cell.result.arms[a].count_ops, 2 * params.count_ops);
    }
    measure_free(&cell.result);
    target_close(&target);
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
    struct params params = pair_params(kind);
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

static void workers_visit_pairs_of_cpus(void **state)
{
    (void)state;
    cpu_set_t allowed;
    unsigned cpus[2], count = 0;
    assert_int_equal(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && count < 2; cpu++)
        if (CPU_ISSET(cpu, &allowed))
            cpus[count++] = cpu;
    if (count < 2)
        physics_skip("two workers that spin need two CPUs");
    for (enum worker_kind kind = 0; kind < worker_kind_count; kind++) {
        workers_move(kind, cpus[0], cpus[1]);
        assert_int_equal(sched_setaffinity(0, sizeof allowed, &allowed), 0); /* the coordinator goes along */
    }
}

/* A CPU that is not there, or has gone, ends the cell with a reason and leaves no worker behind. */
static void a_cpu_that_is_not_there_is_told(void **state)
{
    (void)state;
    struct params params = pair_params(worker_kind_process);
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

static void no_hand_over_is_lost(void **state)
{
    (void)state;
    measure_pair(&method_ping_pong, worker_kind_thread, vary_hand_over);
    measure_pair(&method_ping_pong, worker_kind_process, vary_hand_over);
}

static void no_addition_is_lost(void **state)
{
    (void)state;
    measure_pair(&method_false_sharing, worker_kind_thread, vary_distance);
    measure_pair(&method_false_sharing, worker_kind_process, vary_distance);
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
    for (unsigned i = 0; i < 2; i++) {
        enum worker_kind kind = i ? worker_kind_process : worker_kind_thread;
        measure_pair(&method_hand_off, kind, vary_mapped);
        measure_pair(&method_hand_off, kind, vary_called);
    }
}

/* One worker by hand, whose peer never comes. */
static void begin_alone(struct hand *hand, struct target *target, const struct method *method)
{
    struct params params = pair_params(worker_kind_thread);
    physics_open(target, &params);
    hand_begin(hand, method, &params, target);
    hand_reset(hand, 1);
}

/* As if both workers had come to the end of a batch of nothing: the notes of either method, set by hand. */
static void pretend_ended(const struct worker *worker, const struct method *method)
{
    _Atomic uint64_t *notes = (_Atomic uint64_t *)(void *)(worker->base + worker->base_bytes / 2);
    if (method == &method_ping_pong) {
        atomic_store(&notes[0], 0);
        atomic_store(&notes[2], 2);
        return;
    }
    for (unsigned i = 0; i < 2; i++)
        atomic_store(&notes[i * 256 / sizeof *notes + 3], 1);
}

static void lost_work_is_noticed(const struct method *method)
{
    struct hand hand;
    struct target target;
    struct err err = {0};
    begin_alone(&hand, &target, method);
    pretend_ended(&hand.worker, method);
    atomic_fetch_add((_Atomic uint64_t *)(void *)hand.worker.base, 1);
    assert_int_equal(method->reset(&hand.worker, 1, &err), -EPROTO);
    assert_non_null(strstr(err.text, "lost"));
    hand_end(&hand);
    target_close(&target);
}

static void a_word_that_is_off_is_noticed(void **state)
{
    (void)state;
    lost_work_is_noticed(&method_ping_pong);
    lost_work_is_noticed(&method_false_sharing);
}

static void nobody_comes(const struct method *method, enum hand_over hand_over)
{
    struct hand hand;
    struct target target;
    begin_alone(&hand, &target, method);
    hand.params.hand_over = hand_over;
    assert_int_equal(method->run(&hand.worker, 5), -ETIMEDOUT);
    hand_end(&hand);
    target_close(&target);
}

/* A payload that is announced but is not the one that is due. */
static void a_wrong_payload_is_noticed(void **state)
{
    struct hand hand;
    struct target target;
    (void)state;
    begin_alone(&hand, &target, &method_hand_off);
    hand.params.payload_bytes = 64;
    atomic_store((_Atomic uint32_t *)(void *)(hand.worker.base + 256), 1);
    assert_int_equal(hand.method->run(&hand.worker, 1), -EPROTO);
    hand_end(&hand);
    target_close(&target);
}

static void waiting_has_an_end(void **state)
{
    (void)state;
    for (enum hand_over hand_over = 0; hand_over < hand_over_count; hand_over++)
        nobody_comes(&method_ping_pong, hand_over);
    nobody_comes(&method_false_sharing, hand_over_cas);
    nobody_comes(&method_hand_off, hand_over_cas);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_hand_over_is_lost),
        cmocka_unit_test(workers_visit_pairs_of_cpus),
        cmocka_unit_test(a_cpu_that_is_not_there_is_told),
        cmocka_unit_test(no_addition_is_lost),
        cmocka_unit_test(no_payload_is_lost),
        cmocka_unit_test(a_word_that_is_off_is_noticed),
        cmocka_unit_test(a_wrong_payload_is_noticed),
        cmocka_unit_test(waiting_has_an_end),
    };
    return physics_run(tests);
}
