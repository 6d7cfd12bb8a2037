/* SPDX-License-Identifier: MIT */
/* Workers, threads and processes: the same work as one alone, errors with their text, and deaths that are noticed. */
#include "unit.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "crew.h"
#include "random.h"

enum { ARM_COUNT = 3, BLOCKS = 64 };

/* What the methods of this test share with it, also from other processes. */
struct board {
    _Atomic unsigned setups, teardowns, runs;
};

static struct board *board;
static struct arm arms[ARM_COUNT];
static struct cell cell;
static struct offsets offsets;
static struct work_cell work_cell;
static struct err err;

/* ---- methods ---- */

static int count_setup(struct worker *worker, struct err *error)
{
    (void)worker;
    (void)error;
    atomic_fetch_add(&board->setups, 1);
    return 0;
}

static void count_teardown(struct worker *worker)
{
    (void)worker;
    atomic_fetch_add(&board->teardowns, 1);
}

static int add_offsets(struct worker *worker, uint64_t blocks)
{
    atomic_fetch_add(&board->runs, 1);
    for (uint64_t i = 0; i < blocks; i++)
        worker->sum = worker->sum * 31 + worker->offsets[worker->cursor++ % worker->offset_count];
    return 0;
}

/* The offset at which this worker stands: where workers begin differs. */
static bool is_second(const struct worker *worker)
{
    return worker->cursor >= worker->offset_count / 2;
}

static int fail_in_the_second(struct worker *worker, uint64_t blocks)
{
    (void)blocks;
    return is_second(worker) ? -EIO : 0;
}

static int kill_the_second(struct worker *worker, uint64_t blocks)
{
    (void)blocks;
    return is_second(worker) ? raise(SIGKILL) : 0;
}

static int end_the_second(struct worker *worker, uint64_t blocks)
{
    (void)blocks;
    if (is_second(worker))
        _exit(3);
    return 0;
}

static int refuse_setup(struct worker *worker, struct err *error)
{
    (void)worker;
    return err_set(error, EOPNOTSUPP, "not on this machine");
}

static int do_nothing(struct worker *worker, uint64_t blocks)
{
    (void)worker;
    (void)blocks;
    return 0;
}

/* Every other one says that it does not count. */
static int doubt_every_other(struct worker *worker, uint64_t blocks)
{
    worker->cursor += blocks;
    worker->fault = worker->cursor / blocks % 2 ? "the odd ones do not count" : NULL;
    return 0;
}

static const struct method doubting = {.name = "doubting", .version = 1, .run = doubt_every_other};
static const struct method adding = {
    .name = "adding", .version = 1, .setup = count_setup, .run = add_offsets, .teardown = count_teardown};
static const struct method failing = {.name = "failing", .version = 1, .run = fail_in_the_second};
static const struct method killing = {.name = "killing", .version = 1, .run = kill_the_second};
static const struct method ending = {.name = "ending", .version = 1, .run = end_the_second};
static const struct method refusing = {
    .name = "refusing", .version = 1, .setup = refuse_setup, .run = do_nothing, .teardown = count_teardown};

/* ---- a cell of three arms ---- */

static int begin(void **state)
{
    (void)state;
    static const struct method *const methods[ARM_COUNT] = {&adding, &failing, &killing};
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cell = (struct cell){.arms = arms, .arm_count = ARM_COUNT};
    params_default(&cell.params);
    cell.params.working_set_bytes = BLOCKS * 4 * KIB;
    cell.params.touches = 1;
    work_cell = (struct work_cell){.cell = &cell, .worker_count = 1};
    for (unsigned a = 0; a < ARM_COUNT; a++) {
        arms[a] = (struct arm){.method = methods[a], .params = cell.params};
        work_cell.offsets[a] = &offsets;
    }
    return board == MAP_FAILED ? -1 : offsets_make(&offsets, &cell.params, 1, &err);
}

static int end(void **state)
{
    (void)state;
    offsets_free(&offsets);
    return munmap(board, sizeof *board);
}

static struct crew *start(unsigned workers, uint64_t kind)
{
    struct crew *crew;
    cell.params.worker_kind = kind;
    work_cell.worker_count = workers;
    if (crew_start(&crew, &work_cell, &err))
        fail_msg("%s", err.text);
    assert_int_equal(crew_size(crew), workers);
    return crew;
}

static int order(struct crew *crew, enum work_verb verb, unsigned arm, uint64_t blocks)
{
    err = (struct err){0};
    return crew_do(crew, &(struct work_order){.verb = verb, .arm = arm, .blocks = blocks}, &err);
}

static const struct {
    unsigned workers;
    uint64_t kind;
} crews[] = {{1, worker_kind_thread}, {1, worker_kind_process}, {2, worker_kind_thread}, {2, worker_kind_process}};

static void every_worker_does_the_same_work(void **state)
{
    (void)state;
    struct work_order sum = {.verb = WORK_SUM, .blocks = 3 * BLOCKS / 2, .unit = 3 * BLOCKS / 2};
    uint64_t expected = 0; /* of all blocks as one unit */
    for (unsigned i = 0; i < 3 * BLOCKS / 2; i++)
        expected = expected * 31 + offsets.items[i % BLOCKS];
    expected = random_derive(0, expected);
    for (size_t c = 0; c < LENGTH_OF(crews); c++) {
        struct crew *crew = start(crews[c].workers, crews[c].kind);
        assert_int_equal(order(crew, WORK_SETUP, 0, 0), 0);
        assert_int_equal(order(crew, WORK_RUN, 0, 5), 0); /* the sum begins at the head of the list all the same */
        sum.unit = sum.blocks;
        assert_int_equal(crew_do(crew, &sum, &err), 0);
        for (unsigned w = 0; w < crews[c].workers; w++)
            assert_int_equal(crew_answer(crew, w)->sum, expected);
        crew_stop(crew);
    }
}

/* Units are summed by themselves and mixed in their order: the sum alone would not show two of them exchanged. */
static void units_are_mixed_in_order(void **state)
{
    (void)state;
    struct work_order sum = {.verb = WORK_SUM, .blocks = BLOCKS, .unit = BLOCKS / 2};
    uint64_t found[2];
    for (int i = 0; i < 2; i++) {
        struct crew *crew = start(1, worker_kind_thread);
        assert_int_equal(order(crew, WORK_SETUP, 0, 0), 0);
        assert_int_equal(crew_do(crew, &sum, &err), 0);
        found[i] = crew_answer(crew, 0)->sum;
        crew_stop(crew);
        for (unsigned b = 0; b < BLOCKS / 2; b++) { /* the two halves of the list change places */
            uint64_t swap = offsets.items[b];
            offsets.items[b] = offsets.items[b + BLOCKS / 2];
            offsets.items[b + BLOCKS / 2] = swap;
        }
    }
    assert_true(found[0] != found[1]);
}

static void what_is_set_up_is_torn_down(void **state)
{
    (void)state;
    unsigned setups = 0;
    for (size_t c = 0; c < LENGTH_OF(crews); c++) {
        struct crew *crew = start(crews[c].workers, crews[c].kind);
        setups += crews[c].workers;
        assert_int_equal(order(crew, WORK_SETUP, 0, 0), 0);
        assert_int_equal(atomic_load(&board->setups), setups);
        if (c % 2)
            assert_int_equal(order(crew, WORK_TEARDOWN, 0, 0), 0); /* else stopping does it */
        crew_stop(crew);
        assert_int_equal(atomic_load(&board->teardowns), setups);
    }
}

static void batches_are_timed_from_first_start_to_last_finish(void **state)
{
    (void)state;
    for (size_t c = 0; c < LENGTH_OF(crews); c++) {
        struct crew *crew = start(crews[c].workers, crews[c].kind);
        assert_int_equal(order(crew, WORK_SETUP, 0, 0), 0);
        for (int round = 0; round < 20; round++) {
            uint64_t longest = 0, sum = 0;
            unsigned runs = atomic_load(&board->runs);
            assert_int_equal(order(crew, WORK_RESET, 0, 1000), 0);
            assert_int_equal(order(crew, WORK_RUN, 0, 1000), 0);
            assert_int_equal(atomic_load(&board->runs), runs + crews[c].workers);
            for (unsigned w = 0; w < crews[c].workers; w++) {
                const struct work_answer *answer = crew_answer(crew, w);
                assert_true(answer->finish_ns >= answer->start_ns);
                uint64_t own = answer->finish_ns - answer->start_ns;
                longest = own > longest ? own : longest;
                sum += own;
            }
            assert_true(crew_elapsed_ns(crew) >= longest);
            assert_true(crews[c].workers > 1 || crew_elapsed_ns(crew) == sum);
        }
        crew_stop(crew);
    }
}

static void an_error_of_one_is_the_crews(void **state)
{
    (void)state;
    for (size_t c = 0; c < LENGTH_OF(crews); c++) {
        struct crew *crew = start(crews[c].workers, crews[c].kind);
        work_cell.starts[1] = 0;
        assert_int_equal(order(crew, WORK_SETUP, 1, 0), 0);
        assert_int_equal(order(crew, WORK_RUN, 1, 1), crews[c].workers > 1 ? -EIO : 0);
        if (crews[c].workers > 1) {
            unit_assert_text(err.text, "failing: Input/output error");
            assert_int_equal(crew_answer(crew, 0)->rc, 0);
            assert_int_equal(crew_answer(crew, 1)->rc, -EIO);
        }
        assert_int_equal(order(crew, WORK_SETUP, 0, 0), 0); /* the crew goes on */
        assert_int_equal(order(crew, WORK_RUN, 0, 10), 0);
        crew_stop(crew);
    }
}

static void a_failed_setup_keeps_its_text_and_is_torn_down(void **state)
{
    (void)state;
    arms[1].method = &refusing;
    for (size_t c = 0; c < LENGTH_OF(crews); c++) {
        struct crew *crew = start(crews[c].workers, crews[c].kind);
        unsigned before = atomic_load(&board->teardowns);
        assert_int_equal(order(crew, WORK_SETUP, 1, 0), -EOPNOTSUPP);
        assert_string_equal(err.text, "not on this machine");
        crew_stop(crew);
        assert_int_equal(atomic_load(&board->teardowns), before + crews[c].workers);
    }
}

static void check_no_children(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void a_worker_that_dies_is_noticed(void **state)
{
    (void)state;
    static const enum work_verb verbs[] = {WORK_RUN, WORK_COUNT};
    for (size_t v = 0; v < LENGTH_OF(verbs); v++) {
        struct crew *crew = start(2, worker_kind_process);
        assert_int_equal(order(crew, WORK_SETUP, 2, 0), 0);
        assert_int_equal(order(crew, verbs[v], 2, 1), -ECHILD);
        assert_string_equal(err.text, "worker 1 died (signal 9)");
        crew_stop(crew);
        check_no_children();
    }
    arms[2].method = &ending;
    struct crew *crew = start(2, worker_kind_process);
    assert_int_equal(order(crew, WORK_SETUP, 2, 0), 0);
    assert_int_equal(order(crew, WORK_RUN, 2, 1), -ECHILD);
    assert_string_equal(err.text, "worker 1 died (status 3)");
    crew_stop(crew);
    check_no_children();
}

static void a_dead_worker_stays_dead(void **state)
{
    (void)state;
    struct crew *crew = start(2, worker_kind_process);
    assert_int_equal(order(crew, WORK_SETUP, 2, 0), 0);
    assert_int_equal(order(crew, WORK_COUNT, 2, 1), -ECHILD);
    /* Whoever goes on nevertheless gets the same answer, and no hang. */
    assert_int_equal(order(crew, WORK_COUNT, 0, 1), -ECHILD);
    crew_stop(crew);
    check_no_children();
}

static void a_cpu_that_is_not_there_is_refused(void **state)
{
    (void)state;
    static const unsigned cpus[] = {8191, 8191};
    for (size_t c = 0; c < LENGTH_OF(crews); c++) {
        struct crew *crew;
        cell.params.worker_kind = crews[c].kind;
        work_cell.worker_count = crews[c].workers;
        work_cell.cpus = cpus;
        assert_int_equal(crew_start(&crew, &work_cell, &err), -EXDEV);
        unit_assert_text(err.text, "CPU 8191");
        crew_stop(crew);
        work_cell.cpus = NULL;
    }
    check_no_children();
}

static void workers_run_where_they_are_bound(void **state)
{
    (void)state;
    cpu_set_t allowed;
    unsigned cpus[2], count = 0;
    assert_int_equal(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && count < 2; cpu++)
        if (CPU_ISSET(cpu, &allowed))
            cpus[count++] = cpu;
    if (count < 2) {
        print_message("SKIP: one CPU is allowed here\n");
        skip();
    }
    work_cell.cpus = cpus;
    for (size_t c = 2; c < LENGTH_OF(crews); c++) {
        struct crew *crew = start(2, crews[c].kind);
        assert_int_equal(order(crew, WORK_SETUP, 0, 0), 0);
        assert_int_equal(order(crew, WORK_RUN, 0, 1000), 0);
        for (unsigned w = 0; w < 2; w++)
            assert_int_equal(crew_answer(crew, w)->cpu, cpus[w]);
        crew_stop(crew);
    }
}

static void check_latency(const struct work_latency *latency, uint64_t operations, bool open)
{
    assert_int_equal(latency->service.count, operations);
    assert_int_equal(latency->response.count, open ? operations : 0);
    assert_int_equal(latency->worst_count, operations < WORST_COUNT ? operations : WORST_COUNT);
    for (unsigned i = 1; i < latency->worst_count; i++)
        assert_true(latency->worst[i - 1].ns >= latency->worst[i].ns);
}

static void every_operation_of_a_latency_pass_is_kept(void **state)
{
    (void)state;
    static const uint64_t operations[] = {0, 1, 5, 100};
    for (size_t c = 0; c < LENGTH_OF(crews); c++) {
        struct crew *crew = start(crews[c].workers, crews[c].kind);
        struct work_order pass = {.verb = WORK_LATENCY, .blocks = 3, .limit_ns = 10000 * MS};
        assert_int_equal(order(crew, WORK_SETUP, 0, 0), 0);
        for (size_t i = 0; i < LENGTH_OF(operations); i++)
            for (pass.interval_ns = 0; pass.interval_ns <= 10 * US; pass.interval_ns += 10 * US) {
                pass.operations = operations[i];
                assert_int_equal(crew_do(crew, &pass, &err), 0);
                for (unsigned w = 0; w < crews[c].workers; w++)
                    check_latency(&crew_answer(crew, w)->latency, operations[i], pass.interval_ns > 0);
            }
        crew_stop(crew);
    }
}

/* What a batch would be void for is left out of the pass; the others count. */
static void operations_that_do_not_count_are_left_out(void **state)
{
    (void)state;
    arms[0].method = &doubting;
    struct crew *crew = start(1, worker_kind_thread);
    struct work_order pass = {.verb = WORK_LATENCY, .blocks = 1, .operations = 100, .limit_ns = 10000 * MS};
    assert_int_equal(order(crew, WORK_SETUP, 0, 0), 0);
    assert_int_equal(crew_do(crew, &pass, &err), 0);
    check_latency(&crew_answer(crew, 0)->latency, 50, false);
    crew_stop(crew);
}

static void a_latency_pass_ends_at_its_limit(void **state)
{
    (void)state;
    struct crew *crew = start(1, worker_kind_thread);
    struct work_order pass = {.verb = WORK_LATENCY, .blocks = 1, .operations = 1U << 30, .limit_ns = MS};
    assert_int_equal(order(crew, WORK_SETUP, 0, 0), 0);
    assert_int_equal(crew_do(crew, &pass, &err), 0);
    assert_in_range(crew_answer(crew, 0)->latency.service.count, 1, (1U << 30) - 1);
    pass.limit_ns = 0; /* one at least */
    assert_int_equal(crew_do(crew, &pass, &err), 0);
    assert_int_equal(crew_answer(crew, 0)->latency.service.count, 1);
    crew_stop(crew);
}

static void nothing_is_left_open(void **state)
{
    (void)state;
    unsigned before = unit_count_descriptors();
    for (size_t c = 0; c < LENGTH_OF(crews); c++) {
        struct crew *crew = start(crews[c].workers, crews[c].kind);
        assert_int_equal(order(crew, WORK_SETUP, 0, 0), 0);
        crew_stop(crew);
    }
    crew_stop(NULL);
    assert_int_equal(unit_count_descriptors(), before);
    check_no_children();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_worker_does_the_same_work, begin, end),
        cmocka_unit_test_setup_teardown(units_are_mixed_in_order, begin, end),
        cmocka_unit_test_setup_teardown(what_is_set_up_is_torn_down, begin, end),
        cmocka_unit_test_setup_teardown(batches_are_timed_from_first_start_to_last_finish, begin, end),
        cmocka_unit_test_setup_teardown(an_error_of_one_is_the_crews, begin, end),
        cmocka_unit_test_setup_teardown(a_failed_setup_keeps_its_text_and_is_torn_down, begin, end),
        cmocka_unit_test_setup_teardown(a_worker_that_dies_is_noticed, begin, end),
        cmocka_unit_test_setup_teardown(a_dead_worker_stays_dead, begin, end),
        cmocka_unit_test_setup_teardown(a_cpu_that_is_not_there_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(workers_run_where_they_are_bound, begin, end),
        cmocka_unit_test_setup_teardown(every_operation_of_a_latency_pass_is_kept, begin, end),
        cmocka_unit_test_setup_teardown(operations_that_do_not_count_are_left_out, begin, end),
        cmocka_unit_test_setup_teardown(a_latency_pass_ends_at_its_limit, begin, end),
        cmocka_unit_test_setup_teardown(nothing_is_left_open, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
