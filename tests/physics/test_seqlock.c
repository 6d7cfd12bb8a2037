/* SPDX-License-Identifier: MIT */
/* A payload under a sequence lock: no copy is torn, and one that is would be known, with the sequence and without. */
#include "meeting.h"

#include "sequence.h"

extern const struct method method_seqlock;

static void vary_payload(struct arm *arm, unsigned a)
{
    arm->params.payload_bytes = a % 2 ? 4096 : 64;
    arm->params.apart_bytes = a / 2 * 8192;
}

static void measure(enum worker_kind kind, enum timed timed, uint64_t workers, uint64_t ops)
{
    struct meeting meeting = {.params = meeting_params(kind)};
    meeting.params.timed = timed;
    meeting.params.workers = workers;
    meeting_measure(&meeting, &method_seqlock, ops, vary_payload);
    meeting_expect_ok(&meeting, timed == timed_readers ? workers - 1 : 1);
    for (unsigned a = 2; a < 4 && timed == timed_readers; a++) /* nobody writes what they copy */
        assert_int_equal(physics_count(&meeting.cell, a, COUNTER_retries), 0);
    meeting_free(&meeting);
}

static void no_copy_is_torn(void **state)
{
    (void)state;
    for (enum timed timed = timed_readers; timed <= timed_writer; timed++)
        for (enum worker_kind kind = 0; kind < MEETING_KINDS; kind++) {
            measure(kind, timed, 2, 1000);
            measure(kind, timed, 4, 20);
        }
}

static void threads_are_ordered(void **state)
{
    struct params params = meeting_params(worker_kind_thread);
    (void)state;
    params.payload_bytes = 1024;
    for (params.timed = timed_readers; params.timed <= timed_writer; params.timed++)
        meeting_expect_ordered(&method_seqlock, &params, 200);
}

/* Half of the next payload is there, and the sequence does not say so: as if its check were left out. */
static void a_torn_copy_is_noticed(void **state)
{
    struct params params = meeting_params(worker_kind_thread);
    struct meeting_pair pair = {0};
    (void)state;
    params.payload_bytes = 512;
    params.apart_bytes = 8192; /* a reader alone copies the same payload again and again */
    params.timed = timed_readers;
    meeting_begin(&pair, &method_seqlock, &params);
    struct worker *reader = &pair.hands[1].worker;
    struct sequence *sequence = (struct sequence *)(void *)reader->base;
    hand_reset(&pair.hands[0], 1);
    assert_int_equal(method_seqlock.run(reader, 10), 0);
    sequence_store(sequence, 2, 32, 64);
    assert_int_equal(method_seqlock.run(reader, 10), -EPROTO);
    assert_string_equal(reader->fault, "a copy is torn");
    hand_reset(&pair.hands[0], 1);
    sequence_store(sequence, 2, 63, 64); /* a single word of another payload */
    assert_int_equal(method_seqlock.run(reader, 1), -EPROTO);
    meeting_end(&pair);
}

enum { WORDS = 512 };

struct stage {
    struct sequence *sequence;
    _Atomic bool over;
};

static void *write_on(void *argument)
{
    struct stage *stage = argument;
    for (uint64_t number = 1; !atomic_load(&stage->over); number++)
        sequence_write(stage->sequence, number, WORDS);
    return NULL;
}

/* What the words are together, whatever the sequence says. */
static bool copy_unheeded(struct sequence *sequence)
{
    static uint64_t copy[WORDS];
    for (uint64_t i = 0; i < WORDS; i++)
        copy[i] = atomic_load_explicit(&sequence->words[i], memory_order_acquire);
    uint64_t number = copy[0] * UINT64_C(0xf1de83e19937733d); /* the inverse of the words' factor, modulo 2^64 */
    return sequence_is_torn(copy, WORDS, number);
}

static uint64_t copy_heeded(struct sequence *sequence, uint64_t *torn)
{
    static uint64_t copy[WORDS];
    uint64_t value = sequence_value(sequence);
    if (!sequence_copy(sequence, value, copy, WORDS))
        return 0;
    *torn += sequence_is_torn(copy, WORDS, value / 2);
    return 1;
}

/* The same copies beside the same writer: torn where the sequence is not asked, never where it is. */
static void without_the_sequence_copies_are_torn(void **state)
{
    (void)state;
    meeting_params(worker_kind_thread); /* two CPUs */
    struct stage stage = {.sequence = calloc(1, sizeof *stage.sequence + WORDS * sizeof(uint64_t))};
    pthread_t writer;
    uint64_t torn = 0, torn_unheeded = 0, limit_ns = clock_now_ns() + 20000 * MS;
    sequence_write(stage.sequence, 1, WORDS);
    assert_false(copy_unheeded(stage.sequence));
    assert_int_equal(pthread_create(&writer, NULL, write_on, &stage), 0);
    for (unsigned tries = 0; (torn_unheeded < 100 || tries < 20000) && clock_now_ns() < limit_ns; tries++) {
        torn_unheeded += copy_unheeded(stage.sequence);
        copy_heeded(stage.sequence, &torn);
    }
    atomic_store(&stage.over, true);
    pthread_join(writer, NULL);
    assert_int_equal(copy_heeded(stage.sequence, &torn), 1);
    free(stage.sequence);
    assert_true(torn_unheeded > 0);
    assert_int_equal(torn, 0);
}

/* Where there is nothing new a reader waits, also when it has copied all there was. */
static void no_payload_is_copied_twice(void **state)
{
    struct params params = meeting_params(worker_kind_thread);
    struct meeting_pair pair = {0};
    (void)state;
    params.payload_bytes = 64;
    params.timed = timed_readers;
    meeting_begin(&pair, &method_seqlock, &params);
    hand_reset(&pair.hands[0], 1);
    assert_int_equal(method_seqlock.run(&pair.hands[1].worker, 1), 0);
    hand_reset(&pair.hands[0], 1);
    assert_int_equal(method_seqlock.run(&pair.hands[1].worker, 2), -ETIMEDOUT);
    meeting_end(&pair);
}

static void waiting_has_an_end(void **state)
{
    struct params params = meeting_params(worker_kind_thread);
    struct meeting_pair pair = {0};
    (void)state;
    params.payload_bytes = 64;
    for (params.timed = timed_readers; params.timed <= timed_writer; params.timed++) {
        meeting_begin(&pair, &method_seqlock, &params);
        hand_reset(&pair.hands[0], 1);
        assert_int_equal(method_seqlock.run(&pair.hands[0].worker, 5), -ETIMEDOUT);
        if (params.timed == timed_readers) /* a writer that has died within a write */
            atomic_store(&((struct sequence *)(void *)pair.hands[1].worker.base)->value, 7);
        hand_reset(&pair.hands[1], 1);
        uint64_t retries = counter_method.retries;
        assert_int_equal(method_seqlock.run(&pair.hands[1].worker, 5), params.timed == timed_readers ? -ETIMEDOUT : 0);
        if (params.timed == timed_readers) /* each vain look is told … */
            assert_true(counter_method.retries > retries);
        else /* … but for those of a reader who is only there for the writer */
            assert_int_equal(counter_method.retries, retries);
        meeting_end(&pair);
    }
}

static void a_death_is_told(void **state)
{
    (void)state;
    meeting_expect_death(&method_seqlock, vary_payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_are_ordered),        cmocka_unit_test(no_copy_is_torn),
        cmocka_unit_test(a_torn_copy_is_noticed),     cmocka_unit_test(without_the_sequence_copies_are_torn),
        cmocka_unit_test(waiting_has_an_end),         cmocka_unit_test(a_death_is_told),
        cmocka_unit_test(no_payload_is_copied_twice),
    };
    return physics_run_beside(tests, DISTURBED_BY_STARVATION);
}
