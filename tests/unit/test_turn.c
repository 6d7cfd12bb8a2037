/* SPDX-License-Identifier: MIT */
/* Turn passing over pipes: who starts, what lies in the pipes, and the other side's end. */
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "turn.h"

enum { ROUNDS = 1000 };

/* Two sides joined by two pipes. */
struct pair {
    struct turn starter, other;
};

static struct err err;

static int ignore_broken_pipes(void **state)
{
    (void)state;
    return signal(SIGPIPE, SIG_IGN) == SIG_ERR;
}

static struct pair join(void)
{
    int there[2], back[2];
    assert_int_equal(pipe2(there, O_CLOEXEC), 0);
    assert_int_equal(pipe2(back, O_CLOEXEC), 0);
    return (struct pair){{back[0], there[1], true, 0}, {there[0], back[1], false, 0}};
}

static void leave(struct turn *turn)
{
    close(turn->read_fd);
    close(turn->write_fd);
}

static int waiting_bytes(const struct turn *turn)
{
    int count = -1;
    assert_int_equal(ioctl(turn->read_fd, FIONREAD, &count), 0);
    return count;
}

static void passes_one_byte_a_round(void **state)
{
    (void)state;
    struct pair pair = join();
    assert_int_equal(turn_take(&pair.starter, &err), 0); /* nothing was given yet: the starter skips the first */
    assert_false(pair.starter.starts);
    for (int round = 0; round < 5; round++) {
        assert_int_equal(waiting_bytes(&pair.other), 0);
        assert_int_equal(turn_give(&pair.starter, &err), 0);
        assert_int_equal(waiting_bytes(&pair.other), 1);
        assert_int_equal(turn_take(&pair.other, &err), 0);
        assert_int_equal(waiting_bytes(&pair.other), 0);
        assert_int_equal(turn_give(&pair.other, &err), 0);
        assert_int_equal(turn_take(&pair.starter, &err), 0);
    }
    leave(&pair.starter);
    leave(&pair.other);
}

/* Any program can be the other side: it sees plain bytes, and any byte is a turn. */
static void talks_to_a_stranger(void **state)
{
    (void)state;
    struct pair pair = join();
    char byte;
    assert_int_equal(write(pair.starter.write_fd, "\n", 1), 1);
    assert_int_equal(turn_take(&pair.other, &err), 0);
    assert_int_equal(turn_give(&pair.other, &err), 0);
    assert_int_equal(read(pair.starter.read_fd, &byte, 1), 1);
    leave(&pair.starter);
    leave(&pair.other);
}

static void says_when_the_other_has_gone(void **state)
{
    (void)state;
    struct pair pair = join();
    leave(&pair.starter);
    assert_int_equal(turn_take(&pair.other, &err), -EPIPE);
    unit_assert_text(err.text, "has gone");
    assert_int_equal(turn_give(&pair.other, &err), -EPIPE);
    leave(&pair.other);
}

static void takes_a_turn_given_before_the_end(void **state)
{
    (void)state;
    struct pair pair = join();
    assert_int_equal(turn_give(&pair.starter, &err), 0);
    leave(&pair.starter);
    assert_int_equal(turn_take(&pair.other, &err), 0);
    assert_int_equal(turn_take(&pair.other, &err), -EPIPE);
    leave(&pair.other);
}

static void waits_as_long_as_it_is_told(void **state)
{
    (void)state;
    struct pair pair = join();
    pair.other.wait_s = 1;
    assert_int_equal(turn_take(&pair.other, &err), -ETIMEDOUT);
    unit_assert_text(err.text, "within 1 s");
    leave(&pair.starter);
    leave(&pair.other);
}

static void does_nothing_without_pipes(void **state)
{
    (void)state;
    struct turn none = {.read_fd = -1, .write_fd = -1};
    for (int round = 0; round < 3; round++) {
        assert_int_equal(turn_take(&none, &err), 0);
        assert_int_equal(turn_give(&none, &err), 0);
    }
}

/* ---- both sides at once ---- */

struct side {
    struct turn turn;
    unsigned *log, *logged; /* shared without any other lock than the turn */
    unsigned name;
    int rc;
};

static void *take_turns(void *argument)
{
    struct side *side = argument;
    struct err own = {0};
    for (int round = 0; round < ROUNDS && side->rc == 0; round++) {
        side->rc = turn_take(&side->turn, &own);
        if (side->rc == 0)
            side->log[(*side->logged)++] = side->name;
        if (side->rc == 0)
            side->rc = turn_give(&side->turn, &own);
    }
    return NULL;
}

static void alternates_strictly(void **state)
{
    (void)state;
    static unsigned log[2 * ROUNDS];
    unsigned logged = 0;
    struct pair pair = join();
    struct side sides[2] = {{pair.starter, log, &logged, 0, 0}, {pair.other, log, &logged, 1, 0}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_turns, &sides[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(sides[0].rc, 0);
    assert_int_equal(sides[1].rc, 0);
    assert_int_equal(logged, 2 * ROUNDS);
    for (unsigned i = 0; i < logged; i++)
        assert_int_equal(log[i], i % 2); /* the starter first */
    leave(&pair.starter);
    leave(&pair.other);
}

static void do_nothing(int number)
{
    (void)number;
}

/* Signals such as a profiler's timer interrupt the waiting, not the taking. */
static void waits_on_through_signals(void **state)
{
    (void)state;
    struct pair pair = join();
    struct side side = {pair.other, calloc(ROUNDS, sizeof(unsigned)), &(unsigned){0}, 1, 0};
    struct sigaction action = {.sa_handler = do_nothing}; /* without SA_RESTART */
    pthread_t thread;
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, take_turns, &side), 0);
    for (int i = 0; i < 20; i++) {
        usleep(1000);
        assert_int_equal(pthread_kill(thread, SIGUSR1), 0);
    }
    assert_int_equal(turn_take(&pair.starter, &err), 0);
    for (int round = 0; round < ROUNDS; round++) {
        assert_int_equal(turn_give(&pair.starter, &err), 0);
        assert_int_equal(turn_take(&pair.starter, &err), 0);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(side.rc, 0);
    free(side.log);
    leave(&pair.starter);
    leave(&pair.other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_one_byte_a_round),      cmocka_unit_test(talks_to_a_stranger),
        cmocka_unit_test(says_when_the_other_has_gone), cmocka_unit_test(takes_a_turn_given_before_the_end),
        cmocka_unit_test(does_nothing_without_pipes),   cmocka_unit_test(alternates_strictly),
        cmocka_unit_test(waits_on_through_signals),     cmocka_unit_test(waits_as_long_as_it_is_told),
    };
    return cmocka_run_group_tests(tests, ignore_broken_pipes, NULL);
}
