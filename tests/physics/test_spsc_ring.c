/* SPDX-License-Identifier: MIT */
/* Messages through a ring: none is lost, none comes twice, and one that is not due is noticed. */
#include "meeting.h"
#include "mirror.h"

extern const struct method method_spsc_ring;

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
        if (wrap != wrap_mirrored_way || mirror_way_exists(physics_page_bytes()))
            expect_wrapped_ordered(wrap);
}

/* The producer puts ten in; then the test spoils the ring before the consumer looks. */
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
        cmocka_unit_test(threads_are_ordered), cmocka_unit_test(threads_are_ordered_at_the_end),
        cmocka_unit_test(no_message_is_lost),  cmocka_unit_test(what_is_not_due_is_noticed),
        cmocka_unit_test(waiting_has_an_end),  cmocka_unit_test(a_death_is_told),
    };
    return physics_run(tests);
}
