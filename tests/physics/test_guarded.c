/* SPDX-License-Identifier: MIT */
/* Accesses that may fault: what they raise is told, what somebody else raises meanwhile goes where it always went. */
#define _GNU_SOURCE
#include "physics.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include "clock.h"

/* A signal comes as soon as a handler is there, before the C library has told of the one that was there. */
static bool prompt;

static int act(int number, const struct sigaction *action, struct sigaction *old)
{
    struct sigaction found;
    int rc = sigaction(number, action, old ? &found : NULL);
    if (prompt && action)
        raise(number);
    if (old)
        *old = found;
    return rc;
}

#define sigaction(...) act(__VA_ARGS__)
#include "../../bench/techniques/guarded.c" // NOLINT(bugprone-suspicious-include): its calls are to be met by signals
#undef sigaction

enum { SIGNALS = 100 };

static _Atomic unsigned handled;

static void count_signal(int number)
{
    (void)number;
    atomic_fetch_add(&handled, 1);
}

static void what_an_access_raises_is_told(void **state)
{
    uint64_t page_bytes = physics_page_bytes();
    unsigned char byte = 77;
    (void)state;
    unsigned char *room = mmap(NULL, 2 * page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(room, MAP_FAILED);
    assert_int_equal(mprotect(room + page_bytes, page_bytes, PROT_NONE), 0);
    assert_int_equal(guarded_load(room, &byte), 0);
    assert_int_equal(byte, 0);
    assert_int_equal(guarded_store(room, 1), SIGSEGV);
    byte = 77;
    assert_int_equal(guarded_load(room + page_bytes, &byte), SIGSEGV);
    assert_int_equal(byte, 77);
    munmap(room, 2 * page_bytes);
}

static void beyond_the_end_of_a_file_is_a_bus_error(void **state)
{
    uint64_t page_bytes = physics_page_bytes();
    unsigned char byte;
    int fd = memfd_create("guarded", MFD_CLOEXEC);
    (void)state;
    assert_int_equal(ftruncate(fd, (off_t)page_bytes), 0);
    unsigned char *room = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(room, MAP_FAILED);
    assert_int_equal(guarded_store(room, 9), 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(guarded_load(room, &byte), SIGBUS);
    munmap(room, page_bytes);
    close(fd);
}

/* One signal after the other, each when the one before it has been handled. */
static void *send_signals(void *context)
{
    const pthread_t *receiver = context;
    for (unsigned i = 0; i < SIGNALS; i++) {
        uint64_t limit = clock_now_ns() + 1000 * MS;
        pthread_kill(*receiver, i % 2 ? SIGBUS : SIGSEGV);
        while (atomic_load(&handled) == i)
            if (clock_now_ns() > limit)
                return NULL; /* it is lost */
            else
                sched_yield();
    }
    return NULL;
}

/* Mostly it comes while the guard's own handler is there. */
static void a_signal_that_is_sent_is_not_lost(void **state)
{
    struct sigaction action = {.sa_handler = count_signal}, kept[2];
    pthread_t self = pthread_self(), sender;
    unsigned char place = 5, byte = 0;
    int wrong = 0;
    (void)state;
    sigaction(SIGBUS, &action, &kept[0]);
    sigaction(SIGSEGV, &action, &kept[1]);
    assert_int_equal(pthread_create(&sender, NULL, send_signals, &self), 0);
    while (pthread_tryjoin_np(sender, NULL))
        wrong |= guarded_load(&place, &byte);
    sigaction(SIGBUS, &kept[0], NULL);
    sigaction(SIGSEGV, &kept[1], NULL);
    assert_int_equal(wrong, 0);
    assert_int_equal(byte, 5);
    assert_int_equal(atomic_load(&handled), SIGNALS);
}

/* However early it comes, and after whatever handlers an access before has met. */
static void a_signal_that_comes_at_once_is_not_lost(void **state)
{
    struct sigaction action = {.sa_handler = count_signal}, ignored = {.sa_handler = SIG_IGN}, kept[2];
    unsigned char place = 5, byte = 0;
    (void)state;
    sigaction(SIGBUS, &ignored, &kept[0]);
    sigaction(SIGSEGV, &ignored, &kept[1]);
    assert_int_equal(guarded_load(&place, &byte), 0);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    atomic_store(&handled, 0);
    prompt = true;
    int found = guarded_load(&place, &byte);
    prompt = false;
    sigaction(SIGBUS, &kept[0], NULL);
    sigaction(SIGSEGV, &kept[1], NULL);
    assert_int_equal(found, 0);
    assert_int_equal(byte, 5);
    assert_int_equal(atomic_load(&handled), 4); /* one for each handler that there was, the guard's and its own */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_an_access_raises_is_told),
        cmocka_unit_test(beyond_the_end_of_a_file_is_a_bus_error),
        cmocka_unit_test(a_signal_that_is_sent_is_not_lost),
        cmocka_unit_test(a_signal_that_comes_at_once_is_not_lost),
    };
    return physics_run_beside(tests, DISTURBED_BY_STARVATION);
}
