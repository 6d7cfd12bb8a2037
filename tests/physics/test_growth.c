/* SPDX-License-Identifier: MIT */
/*
 * Growing by mremap takes no fault and copies nothing: the bytes stay, the pages too, and what is new holds zeros. It
 * grows where it lies exactly where nothing is behind it. Copying faults for each page of memory never touched before.
 */
#include "hand.h"

#include "hugepage.h"
#include "smaps.h"
#include "vectors.h"

extern const struct method method_vector_remap, method_vector_copy, method_vector_realloc;

enum { PAGES = 16, VECTORS = 8 };

static struct params vector_params(uint64_t bytes)
{
    struct params params = physics_params(bytes, recipe_write_1MiB, cache_as_found);
    params.range_bytes = bytes;
    params.buffer = buffer_touched;
    return params;
}

/* Grown to twice its size, what it held is there, and where `zeros` the rest holds none but zeros; it can be stored to.
 */
static void expect_contents(struct vectors *vectors, uint64_t count, bool zeros)
{
    for (uint64_t n = 0; n < count; n++) {
        struct paged_vector *now = &vectors->items[n].now;
        const uint64_t *words = (const uint64_t *)(void *)now->at;
        uint64_t half = vectors->bytes / sizeof *words;
        assert_int_equal(now->bytes, 2 * vectors->bytes);
        for (uint64_t i = 0; i < half; i++)
            assert_int_equal(words[i], vectors_word(n, i));
        for (uint64_t i = half; zeros && i < 2 * half; i++)
            assert_int_equal(words[i], 0);
        now->at[now->bytes - 1] = 1;
    }
}

static void set_arm(struct params *params, unsigned moved_to, double crowding)
{
    params->moved_to = moved_to;
    params->crowding = crowding;
}

static void contents_stay_however_often_a_vector_grows(void **state)
{
    static const struct {
        const struct method *method;
        unsigned buffer, moved_to;
        double crowding;
    } ways[] = {
        {&method_vector_remap, buffer_reused, moved_to_anywhere, 0},
        {&method_vector_remap, buffer_reused, moved_to_anywhere, 0.5},
        {&method_vector_remap, buffer_reused, moved_to_anywhere, 1},
        {&method_vector_remap, buffer_reused, moved_to_aligned, 0},
        {&method_vector_remap, buffer_reused, moved_to_misaligned, 0},
        {&method_vector_remap, buffer_reused, moved_to_nowhere, 0},
        {&method_vector_copy, buffer_fresh, moved_to_anywhere, 0},
        {&method_vector_copy, buffer_touched, moved_to_anywhere, 0},
    };
    uint64_t sizes[] = {physics_page_bytes(), PAGES * physics_page_bytes(), 2 * huge_page_bytes()};
    (void)state;
    for (unsigned s = 0; s < (sizes[2] > 8 * MIB ? 2 : 3); s++)
        for (unsigned w = 0; w < sizeof ways / sizeof *ways; w++) {
            struct params params = vector_params(sizes[s]);
            struct hand hand;
            params.buffer = ways[w].buffer;
            set_arm(&params, ways[w].moved_to, ways[w].crowding);
            hand_begin(&hand, ways[w].method, &params, NULL);
            uint64_t count = sizes[s] >= MIB ? 2 : VECTORS;
            for (unsigned round = 0; round < 3; round++) {
                hand_reset(&hand, count);
                hand_run(&hand, count);
                expect_contents(hand.worker.own, count, ways[w].buffer != buffer_touched);
            }
            hand_end(&hand);
        }
}

/* Beside a thread that runs meanwhile, whose CPU has to be told of every change. */
static void contents_stay_beside_a_running_thread(void **state)
{
    struct params params = vector_params(PAGES * physics_page_bytes());
    (void)state;
    params.siblings = 1;
    set_arm(&params, moved_to_anywhere, 1);
    for (unsigned copied = 0; copied < 2; copied++) {
        struct hand hand;
        params.buffer = buffer_fresh;
        hand_begin(&hand, copied ? &method_vector_copy : &method_vector_remap, &params, NULL);
        for (unsigned round = 0; round < 3; round++) {
            hand_reset(&hand, VECTORS);
            hand_run(&hand, VECTORS);
            expect_contents(hand.worker.own, VECTORS, true);
        }
        hand_end(&hand);
    }
}

/* Where a vector lies after it has grown, and how far that is from a multiple of a huge page. */
static void vectors_go_where_they_are_sent(void **state)
{
    uint64_t huge = huge_page_bytes(), page = physics_page_bytes();
    (void)state;
    if (huge > 8 * MIB)
        physics_skip("a huge page of %llu MiB", (unsigned long long)(huge / MIB));
    for (unsigned moved_to = moved_to_aligned; moved_to <= moved_to_misaligned; moved_to++) {
        struct params params = vector_params(huge);
        struct hand hand;
        set_arm(&params, moved_to, 0);
        hand_begin(&hand, &method_vector_remap, &params, NULL);
        const struct vector *vector = ((const struct vectors *)hand.worker.own)->items;
        for (unsigned round = 0; round < 4; round++) {
            hand_reset(&hand, 1);
            const unsigned char *before = vector->now.at, *to = vector->to;
            hand_run(&hand, 1);
            uint64_t turned = ((uintptr_t)vector->now.at - (uintptr_t)before) % huge;
            assert_ptr_equal(vector->now.at, to);
            assert_ptr_not_equal(to, before);
            assert_true(moved_to == moved_to_aligned ? turned == 0 : turned == page || turned == huge - page);
        }
        hand_end(&hand);
    }
}

/* Attempts, how many of them were told as successful, and how many really left the vector where it was, twice as large.
 */
static void a_vector_grows_in_place_where_there_is_room(void **state)
{
    static const double crowdings[] = {0, 0.25, 0.5, 0.75, 1};
    (void)state;
    for (unsigned moved_to = moved_to_anywhere; moved_to <= moved_to_nowhere; moved_to++)
        for (unsigned c = 0; c < sizeof crowdings / sizeof *crowdings; c++) {
            struct params params = vector_params(PAGES * physics_page_bytes());
            uint64_t room = VECTORS - (uint64_t)(crowdings[c] * VECTORS), stayed = 0, grown = 0;
            struct physics_cell cell;
            struct hand hand;
            set_arm(&params, moved_to, crowdings[c]);
            hand_begin(&hand, &method_vector_remap, &params, NULL);
            const struct vectors *vectors = hand.worker.own;
            hand_reset(&hand, VECTORS);
            hand_run(&hand, VECTORS);
            for (unsigned n = 0; n < VECTORS; n++) {
                grown += vectors->items[n].now.bytes == 2 * vectors->bytes;
                stayed += vectors->items[n].now.bytes == 2 * vectors->bytes &&
                          vectors->items[n].now.at == vectors->items[n].home;
            }
            hand_end(&hand);
            assert_int_equal(stayed, room);
            assert_int_equal(grown, moved_to == moved_to_nowhere ? room : VECTORS);
            physics_begin(&cell, &params);
            physics_arm(&cell, &method_vector_remap, VECTORS)->params.count_ops = VECTORS;
            physics_measure(&cell, NULL, 1);
            physics_expect_ok(&cell, 0);
            assert_int_equal(physics_count(&cell, 0, COUNTER_occurred), room);
            measure_free(&cell.result);
        }
}

/* What a program sees of it: ENOMEM, and the vector as before. */
static void a_neighbour_in_the_way_is_enomem(void **state)
{
    size_t page = physics_page_bytes();
    struct paged_vector vector;
    (void)state;
    assert_int_equal(paged_vector_make(&vector, 3 * page), 0);
    assert_int_equal(munmap(vector.at + page, page), 0); /* one page, a hole of one, and a neighbour */
    vector.bytes = page;
    vector.at[0] = 42;
    assert_int_equal(paged_vector_grow_in_place(&vector, 3 * page), -ENOMEM);
    assert_int_equal(vector.bytes, page);
    assert_int_equal(paged_vector_grow_in_place(&vector, 2 * page), 0); /* into the hole, no further */
    assert_int_equal(vector.at[0], 42);
    assert_int_equal(vector.at[page], 0);
    unsigned char *neighbour = vector.at + 2 * page;
    assert_int_equal(paged_vector_grow(&vector, 3 * page), 0);
    assert_true(vector.at + 2 * page != neighbour);
    assert_int_equal(vector.at[0], 42);
    assert_int_equal(neighbour[0], 0);                                                    /* still mapped */
    assert_int_equal(paged_vector_grow_to(&vector, vector.at + page, 4 * page), -EINVAL); /* they overlap */
    munmap(neighbour, page);
    paged_vector_free(&vector);
    assert_null(vector.at);
}

static uint64_t faults_of(const struct method *method, const struct params *params, uint64_t count)
{
    struct physics_cell cell;
    physics_begin(&cell, params);
    physics_arm(&cell, method, count)->params.count_ops = count;
    physics_measure(&cell, NULL, 1);
    physics_expect_ok(&cell, 0);
    uint64_t faults = physics_count(&cell, 0, COUNTER_minor_faults);
    measure_free(&cell.result);
    return faults;
}

static void only_a_copy_to_fresh_memory_faults(void **state)
{
    struct params params = vector_params(PAGES * physics_page_bytes());
    (void)state;
    physics_need_exact_counts();
    for (unsigned moved_to = 0; moved_to < moved_to_count; moved_to++) {
        set_arm(&params, moved_to, 0);
        assert_int_equal(faults_of(&method_vector_remap, &params, VECTORS), 0);
    }
    set_arm(&params, moved_to_anywhere, 1);
    assert_int_equal(faults_of(&method_vector_remap, &params, VECTORS), 0);
    assert_int_equal(faults_of(&method_vector_copy, &params, VECTORS), 0);
    params.buffer = buffer_fresh;
    assert_int_equal(faults_of(&method_vector_copy, &params, VECTORS), VECTORS * PAGES);
    params.range_bytes = 4 * MIB; /* far above the threshold of malloc: it moves pages and does not copy */
    assert_int_equal(faults_of(&method_vector_realloc, &params, 2), 0);
}

/* Moved to where a huge page can begin it stays one. */
static void a_huge_page_is_moved_whole(void **state)
{
    uint64_t huge = huge_page_bytes();
    struct smaps found;
    struct hand hand;
    (void)state;
    if (huge > 8 * MIB)
        physics_skip("a huge page of %llu MiB", (unsigned long long)(huge / MIB));
    struct params params = vector_params(2 * huge);
    params.pages = pages_thp;
    set_arm(&params, moved_to_aligned, 0);
    hand_begin(&hand, &method_vector_remap, &params, NULL);
    const struct vector *vector = ((const struct vectors *)hand.worker.own)->items;
    hand_reset(&hand, 1);
    hand_run(&hand, 1);
    if (!smaps_read(vector->now.at, vector->now.bytes, &found)) {
        hand_end(&hand);
        physics_skip("there is no /proc/self/smaps");
    }
    assert_int_equal(found.huge, 2 * huge);
    hand_end(&hand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contents_stay_however_often_a_vector_grows),
        cmocka_unit_test(contents_stay_beside_a_running_thread),
        cmocka_unit_test(vectors_go_where_they_are_sent),
        cmocka_unit_test(a_vector_grows_in_place_where_there_is_room),
        cmocka_unit_test(a_neighbour_in_the_way_is_enomem),
        cmocka_unit_test(only_a_copy_to_fresh_memory_faults),
        cmocka_unit_test(a_huge_page_is_moved_whole),
    };
    return physics_run(tests);
}
