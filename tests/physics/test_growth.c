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
        now->at[now->bytes - 1] = 0; /* as the next reset wants to find it */
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

static void contents_stay_when_realloc_grows_a_vector(void **state)
{
    static const uint64_t sizes[] = {4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 2 * MIB};
    (void)state;
    for (unsigned s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct params params = vector_params(sizes[s]);
        struct hand hand;
        hand_begin(&hand, &method_vector_realloc, &params, NULL);
        for (unsigned round = 0; round < 3; round++) {
            hand_reset(&hand, VECTORS);
            hand_run(&hand, VECTORS);
            expect_contents(hand.worker.own, VECTORS, false);
        }
        hand_end(&hand);
    }
}

struct spoiling {
    const struct method *method;
    unsigned buffer;
    bool zeros; /* whether the new half has to hold them */
};

/* What the reset after a batch says where one word of a vector is not what it was: `half` of it, the `word`-th. */
static int reset_of_spoilt(const struct spoiling *way, unsigned before, unsigned half, bool is_last)
{
    struct params params = vector_params(PAGES * physics_page_bytes());
    struct err err = {0};
    struct hand hand;
    params.buffer = way->buffer;
    hand_begin(&hand, way->method, &params, NULL);
    for (unsigned round = 0; round < before; round++) {
        hand_reset(&hand, VECTORS);
        hand_run(&hand, VECTORS);
    }
    hand_reset(&hand, VECTORS);
    hand_run(&hand, VECTORS);
    struct vectors *vectors = hand.worker.own;
    uint64_t words = vectors->bytes / sizeof(uint64_t), word = before == 0 ? words / 3 : is_last ? words - 1 : 0;
    ((uint64_t *)(void *)vectors->items[VECTORS - 1].now.at)[half * words + word] ^= 1;
    int rc = way->method->reset(&hand.worker, VECTORS, &err);
    hand_end(&hand);
    return rc;
}

/* Any word after the first batch, the first and the last after later ones; of the new half where it has to be zeros. */
static void a_run_finds_a_word_that_was_lost(void **state)
{
    static const struct spoiling ways[] = {
        {&method_vector_remap, buffer_reused, true},
        {&method_vector_copy, buffer_fresh, true},
        {&method_vector_copy, buffer_touched, false},
        {&method_vector_realloc, buffer_reused, false},
    };
    (void)state;
    for (unsigned w = 0; w < sizeof ways / sizeof *ways; w++)
        for (unsigned before = 0; before < 2; before++)
            for (unsigned half = 0; half < 2; half++)
                for (unsigned is_last = 0; is_last < 2; is_last++)
                    assert_int_equal(reset_of_spoilt(&ways[w], before, half, is_last),
                                     half == 0 || ways[w].zeros ? -EPROTO : 0);
}

/* Whether the VMA at an address is one without huge pages: "nh" among its flags (Linux 3.8). */
static bool has_no_huge_pages(const unsigned char *at)
{
    uint64_t start, end, place = (uint64_t)(uintptr_t)at;
    bool inside = false, advised = false;
    char line[512];
    FILE *file = fopen("/proc/self/smaps", "re");
    if (!file)
        physics_skip("there is no /proc/self/smaps");
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &start, &end) == 2)
            inside = start <= place && place < end;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            advised = strstr(line, " nh") != NULL;
    }
    fclose(file);
    return advised;
}

/* Vectors that are smaller than a huge page, too: side by side they are one VMA, in which one may lie. */
static void small_pages_are_asked_for_whatever_the_size(void **state)
{
    static const struct spoiling ways[] = {
        {&method_vector_remap, buffer_reused, true},
        {&method_vector_copy, buffer_fresh, true},
        {&method_vector_copy, buffer_touched, false},
        {&method_vector_realloc, buffer_reused, false},
    };
    (void)state;
    if (access("/sys/kernel/mm/transparent_hugepage", F_OK))
        physics_skip("this kernel has no transparent huge pages");
    for (unsigned w = 0; w < sizeof ways / sizeof *ways; w++) {
        struct params params = vector_params(2 * physics_page_bytes());
        struct hand hand;
        params.buffer = ways[w].buffer;
        hand_begin(&hand, ways[w].method, &params, NULL);
        const struct vectors *vectors = hand.worker.own;
        hand_reset(&hand, VECTORS);
        for (unsigned n = 0; n < VECTORS; n++)
            assert_true(has_no_huge_pages(vectors->items[n].now.at));
        hand_run(&hand, VECTORS);
        for (unsigned n = 0; n < VECTORS; n++)
            assert_true(has_no_huge_pages(vectors->items[n].now.at));
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
}

/*
 * Below the threshold of malloc there is a warm heap to copy to, above it pages are moved: neither takes a fault. Where
 * a vector grows past it, some are copied to fresh memory: a fault a page that is stored to, one more as it begins
 * within a page.
 */
static void realloc_faults_only_where_it_leaves_the_heap(void **state)
{
    static const uint64_t free_of_faults[] = {4 * KIB, 16 * KIB, 32 * KIB, 256 * KIB, 4 * MIB};
    struct params params = vector_params(64 * KIB);
    (void)state;
    physics_need_exact_counts();
#ifndef __GLIBC__
    physics_skip("this malloc is not glibc's");
#endif
    if (physics_page_bytes() != 4 * KIB)
        physics_skip("a page of %llu bytes", (unsigned long long)physics_page_bytes());
    physics_need_small_anonymous();
    for (unsigned s = 0; s < sizeof free_of_faults / sizeof *free_of_faults; s++) {
        params.range_bytes = free_of_faults[s];
        assert_int_equal(faults_of(&method_vector_realloc, &params, 2), 0);
    }
    params.range_bytes = 64 * KIB;
    uint64_t faults = faults_of(&method_vector_realloc, &params, VECTORS);
    print_message("%u vectors of 64 KiB: %llu faults\n", VECTORS, (unsigned long long)faults);
    assert_in_range(faults, 17, VECTORS * 17); /* what lies in the heap is the allocator's choice */
    assert_int_equal(faults % 17, 0);
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
        cmocka_unit_test(contents_stay_when_realloc_grows_a_vector),
        cmocka_unit_test(contents_stay_beside_a_running_thread),
        cmocka_unit_test(a_run_finds_a_word_that_was_lost),
        cmocka_unit_test(small_pages_are_asked_for_whatever_the_size),
        cmocka_unit_test(vectors_go_where_they_are_sent),
        cmocka_unit_test(a_vector_grows_in_place_where_there_is_room),
        cmocka_unit_test(a_neighbour_in_the_way_is_enomem),
        cmocka_unit_test(only_a_copy_to_fresh_memory_faults),
        cmocka_unit_test(realloc_faults_only_where_it_leaves_the_heap),
        cmocka_unit_test(a_huge_page_is_moved_whole),
    };
    return physics_run(tests);
}
