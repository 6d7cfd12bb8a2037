/* SPDX-License-Identifier: MIT */
/* Messages through a ring: none is lost, none comes twice, and one that is not due is noticed. */
#include "meeting.h"
#include "ring.h"

/* What becomes of a message on its way into the ring, from the `spoilt_from`-th on; by the producer alone. */
static void (*spoil_put)(struct ring ring, uint64_t at, const unsigned char *message, uint64_t bytes, enum wrap wrap);
static uint64_t put_calls, spoilt_from;

static inline void put(struct ring ring, uint64_t at, const unsigned char *message, uint64_t bytes, enum wrap wrap)
{
    if (spoil_put && ++put_calls >= spoilt_from)
        spoil_put(ring, at, message, bytes, wrap);
    else
        ring_put(ring, at, message, bytes, wrap);
}

#define ring_put put
#include "../../bench/methods/spsc_ring.c" // NOLINT(bugprone-suspicious-include): so that its put can be another one
#undef ring_put

static void vary_ring(struct arm *arm, unsigned a)
{
    static const uint64_t payload[] = {8, 64, 1000, 4096}, slots[] = {1, 64, 3, 2};
    arm->params.payload_bytes = payload[a];
    arm->params.ring_bytes = slots[a] * payload[a];
    arm->params.consume = a % 2 ? consume_in_place : consume_copy;
}

/* Rings of bytes, of which messages are no divisors: they reach over the end, at another place each time. */
static void vary_wrap(struct arm *arm, unsigned a)
{
    static const enum wrap wraps[] = {wrap_mirrored, wrap_split, wrap_mask, wrap_modulo};
    arm->params.wrap = wraps[a];
    arm->params.payload_bytes = 40;
    arm->params.ring_bytes = 4 * physics_page_bytes();
    arm->params.consume = consume_copy;
}

/* Taken where they lie, and longer than half of the ring. */
static void vary_mirrored(struct arm *arm, unsigned a)
{
    static const uint64_t payload[] = {24, 1000, 4096 - 8, 4096};
    arm->params.wrap = wrap_mirrored;
    arm->params.payload_bytes = payload[a];
    arm->params.ring_bytes = physics_page_bytes();
    arm->params.consume = consume_in_place;
}

static void no_message_is_lost(void **state)
{
    void (*const variants[])(struct arm *, unsigned) = {vary_ring, vary_wrap, vary_mirrored};
    (void)state;
    for (unsigned i = 0; i < sizeof variants / sizeof *variants; i++)
        for (enum worker_kind kind = 0; kind < MEETING_KINDS; kind++) {
            struct meeting meeting = {.params = meeting_params(kind)};
            meeting_measure(&meeting, &method_spsc_ring, 500, variants[i]);
            meeting_expect_ok(&meeting, 1);
            meeting_free(&meeting);
        }
}

static struct params ring_params(void)
{
    struct params params = meeting_params(worker_kind_thread);
    params.payload_bytes = 64;
    params.ring_bytes = 640;
    params.consume = consume_copy;
    return params;
}

static void threads_are_ordered(void **state)
{
    struct params params = ring_params();
    (void)state;
    for (params.consume = 0; params.consume < consume_count; params.consume++)
        meeting_expect_ordered(&method_spsc_ring, &params, 500);
}

/* What a worker has of its own begins with its mirror. */
static struct mirror *mirror_of_hand(struct hand *hand)
{
    return hand->worker.own;
}

/* As meeting_expect_ordered, and the mirror is one too: what the thread sanitizer compares has one address. */
static void expect_wrapped_ordered(enum wrap wrap)
{
    struct params params = ring_params();
    struct meeting_pair pair = {0};
    params.wrap = wrap;
    params.ring_bytes = physics_page_bytes();
    params.payload_bytes = 1000;
    meeting_begin(&pair, &method_spsc_ring, &params);
    meeting_share(&pair);
    struct mirror own = *mirror_of_hand(&pair.hands[1]);
    *mirror_of_hand(&pair.hands[1]) = *mirror_of_hand(&pair.hands[0]);
    for (unsigned batch = 0; batch < 3; batch++) {
        meeting_run(&pair, 500, 500);
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(pair.rc[i], 0);
    }
    *mirror_of_hand(&pair.hands[1]) = own;
    meeting_end(&pair);
}

static void threads_are_ordered_at_the_end(void **state)
{
    (void)state;
    for (enum wrap wrap = wrap_mirrored; wrap < wrap_count; wrap++)
        if (wrap != wrap_mirrored_way || mirror_way_exists(physics_page_bytes(), physics_page_bytes()))
            expect_wrapped_ordered(wrap);
}

/* The producer put_calls ten in; then the test spoils the ring before the consumer looks. */
static int consume_spoilt(void (*spoil)(unsigned char *ring), const char *fault)
{
    struct params params = ring_params();
    struct meeting_pair pair = {0};
    meeting_begin(&pair, &method_spsc_ring, &params);
    struct worker *producer = &pair.hands[0].worker, *consumer = &pair.hands[1].worker;
    hand_reset(&pair.hands[0], 10);
    atomic_store(shared_word(producer, SHARED_LINE), 0);
    shared_end(consumer, 10); /* so that the producer does not wait for it */
    int rc = method_spsc_ring.run(producer, 10);
    assert_int_equal(rc, -EPROTO); /* ten were put in, and none was taken out */
    assert_string_equal(producer->fault, "messages were lost or came twice");
    spoil(producer->base + 2 * (size_t)SHARED_LINE);
    rc = method_spsc_ring.run(consumer, 10);
    if (fault)
        assert_string_equal(consumer->fault, fault);
    meeting_end(&pair);
    return rc;
}

static void leave(unsigned char *ring)
{
    (void)ring;
}

/* The third message once more instead of the fourth: whole, and not due. */
static void double_one(unsigned char *ring)
{
    memcpy(ring + 3 * 64, ring + 2 * 64, 64);
}

/* A single bit of the last word of the fifth. */
static void flip_a_bit(unsigned char *ring)
{
    ring[4 * 64 + 63] ^= 1;
}

static void what_is_not_due_is_noticed(void **state)
{
    static const char fault[] = "a message came that was not due, or not whole";
    (void)state;
    assert_int_equal(consume_spoilt(leave, NULL), 0);
    assert_int_equal(consume_spoilt(double_one, fault), -EPROTO);
    assert_int_equal(consume_spoilt(flip_a_bit, fault), -EPROTO);
}

/* ---- a put that is wrong ---- */

static uint64_t kept_bytes;

/* Copies no more than that. */
static void cut_short(struct ring ring, uint64_t at, const unsigned char *message, uint64_t bytes, enum wrap wrap)
{
    ring_put(ring, at, message, kept_bytes < bytes ? kept_bytes : bytes, wrap);
}

/* Leaves out the last line or what there is of it, but not the number. */
static void leave_out_the_end(struct ring ring, uint64_t at, const unsigned char *message, uint64_t bytes,
                              enum wrap wrap)
{
    ring_put(ring, at, message, bytes > 72 ? bytes - 64 : 8, wrap);
}

/* Two words in each other's place, behind the number. */
static void swap_words(struct ring ring, uint64_t at, const unsigned char *message, uint64_t bytes, enum wrap wrap)
{
    uint64_t words[512];
    memcpy(words, message, bytes);
    uint64_t word = words[1];
    words[1] = words[2];
    words[2] = word;
    ring_put(ring, at, (const unsigned char *)words, bytes, wrap);
}

/* Two laps of two threads, of which the second is put in wrongly: what the consumer says, and in rest[2] the producer
 * when the ring is as it is, and the consumer before its next batch. */
static int run_spoilt(struct params *params, int *rest)
{
    struct meeting_pair pair = {0};
    struct err err = {0};
    meeting_begin(&pair, &method_spsc_ring, params);
    uint64_t slots = params->ring_bytes / params->payload_bytes;
    put_calls = 0;
    spoilt_from = slots + 1;
    meeting_run(&pair, 2 * slots, 2 * slots);
    int rc = pair.rc[1];
    rest[0] = pair.rc[0];
    rest[1] = method_spsc_ring.reset(&pair.hands[1].worker, 1, &err);
    meeting_end(&pair);
    return rc;
}

static void a_put_that_is_cut_is_noticed(void **state)
{
    int rest[2];
    (void)state;
    for (enum consume consume = 0; consume < consume_count; consume++) {
        struct params params = ring_params();
        params.consume = consume;
        spoil_put = NULL;
        assert_int_equal(run_spoilt(&params, rest), 0);
        assert_true(rest[0] == 0 && rest[1] == 0);
        spoil_put = cut_short;
        for (kept_bytes = 8; kept_bytes < params.payload_bytes; kept_bytes += 8)
            assert_int_equal(run_spoilt(&params, rest), -EPROTO);
        kept_bytes = params.payload_bytes;
        assert_int_equal(run_spoilt(&params, rest), 0);
    }
    spoil_put = NULL;
}

/* Slots of any number, and rings of bytes. */
static void what_lay_there_before_is_noticed(void **state)
{
    static const uint64_t slots[] = {1, 2, 3, 6, 7, 12, 60};
    int rest[2];
    (void)state;
    spoil_put = leave_out_the_end;
    for (unsigned i = 0; i < sizeof slots / sizeof *slots; i++)
        for (unsigned bytes = 16; bytes <= 256; bytes *= 4) {
            struct params params = ring_params();
            params.payload_bytes = bytes;
            params.ring_bytes = slots[i] * bytes;
            assert_int_equal(run_spoilt(&params, rest), -EPROTO);
        }
    for (enum wrap wrap = wrap_mirrored; wrap < wrap_count; wrap++)
        for (unsigned bytes = 16; bytes <= 1000 && wrap != wrap_mirrored_way; bytes = bytes * 3 & ~7u) {
            struct params params = ring_params();
            params.wrap = wrap;
            params.payload_bytes = bytes;
            params.ring_bytes = physics_page_bytes();
            assert_int_equal(run_spoilt(&params, rest), -EPROTO);
        }
    spoil_put = NULL;
}

/* A sum is the same in any order: that is found between batches, in the ring and in what came out last. */
static void words_in_another_order_are_noticed(void **state)
{
    struct params params = ring_params();
    int rest[2];
    (void)state;
    for (params.consume = 0; params.consume < consume_count; params.consume++) {
        spoil_put = NULL;
        assert_int_equal(run_spoilt(&params, rest), 0);
        assert_true(rest[0] == 0 && rest[1] == 0);
        spoil_put = swap_words;
        assert_int_equal(run_spoilt(&params, rest), 0);
        assert_int_equal(rest[0], -EPROTO);
        assert_int_equal(rest[1], params.consume == consume_copy ? -EPROTO : 0);
    }
    spoil_put = NULL;
}

/* Where no batch fills the ring a place is another phase's in the next one. */
static void a_lap_may_take_several_batches(void **state)
{
    struct params params = ring_params();
    struct meeting_pair pair = {0};
    (void)state;
    meeting_begin(&pair, &method_spsc_ring, &params);
    for (unsigned batch = 0; batch < 4; batch++) {
        spoil_put = batch == 3 ? cut_short : NULL;
        kept_bytes = 8;
        put_calls = spoilt_from = 0;
        meeting_run(&pair, 4, 4);
        assert_int_equal(pair.rc[1], batch == 3 ? -EPROTO : 0);
    }
    spoil_put = NULL;
    meeting_end(&pair);
}

static void waiting_has_an_end(void **state)
{
    struct params params = ring_params();
    struct meeting_pair pair = {0};
    (void)state;
    meeting_begin(&pair, &method_spsc_ring, &params);
    hand_reset(&pair.hands[0], 11);
    assert_int_equal(method_spsc_ring.run(&pair.hands[0].worker, 11), -ETIMEDOUT); /* the ring holds ten */
    hand_reset(&pair.hands[0], 11);
    assert_int_equal(method_spsc_ring.run(&pair.hands[1].worker, 1), -ETIMEDOUT);
    meeting_end(&pair);
}

static void a_death_is_told(void **state)
{
    (void)state;
    meeting_expect_death(&method_spsc_ring, vary_ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_are_ordered),
        cmocka_unit_test(threads_are_ordered_at_the_end),
        cmocka_unit_test(no_message_is_lost),
        cmocka_unit_test(what_is_not_due_is_noticed),
        cmocka_unit_test(a_put_that_is_cut_is_noticed),
        cmocka_unit_test(what_lay_there_before_is_noticed),
        cmocka_unit_test(words_in_another_order_are_noticed),
        cmocka_unit_test(a_lap_may_take_several_batches),
        cmocka_unit_test(waiting_has_an_end),
        cmocka_unit_test(a_death_is_told),
    };
    return physics_run_beside(tests, DISTURBED_BY_STARVATION);
}
