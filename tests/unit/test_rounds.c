/* SPDX-License-Identifier: MIT */
/* The order of arms: Latin squares, balanced to first order, seeded. */
#include "unit.h"

#include "rounds.h"

enum { ARMS = 16, BLOCKS = 12 };

/* Every arm once in every slot of one block, hence once in every round. */
static void is_a_latin_square(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= ARMS; count++) {
        struct rounds rounds;
        rounds_begin(&rounds, count, 99 + count);
        for (unsigned block = 0; block < BLOCKS; block++) {
            unsigned order[ARMS], slots_of[ARMS] = {0};
            for (unsigned round = 0; round < count; round++) {
                unsigned arms = 0;
                rounds_next(&rounds, order);
                for (unsigned slot = 0; slot < count; slot++) {
                    assert_in_range(order[slot], 0, count - 1);
                    arms |= 1U << order[slot];
                    slots_of[order[slot]] |= 1U << slot;
                }
                assert_int_equal(arms, (1U << count) - 1);
            }
            for (unsigned arm = 0; arm < count; arm++)
                assert_int_equal(slots_of[arm], (1U << count) - 1);
        }
    }
}

/* Within a round each arm follows each other equally often: once over a block, twice over two when the number is odd.
 */
static void is_balanced_to_first_order(void **state)
{
    (void)state;
    for (unsigned count = 2; count <= ARMS; count++) {
        struct rounds rounds;
        unsigned blocks = count % 2 ? 2 : 1;
        rounds_begin(&rounds, count, 7 + count);
        for (unsigned repeat = 0; repeat < BLOCKS; repeat++) {
            unsigned order[ARMS], follows[ARMS][ARMS] = {{0}};
            for (unsigned round = 0; round < blocks * count; round++) {
                rounds_next(&rounds, order);
                for (unsigned slot = 1; slot < count; slot++)
                    follows[order[slot - 1]][order[slot]]++;
            }
            for (unsigned a = 0; a < count; a++)
                for (unsigned b = 0; b < count; b++)
                    assert_int_equal(follows[a][b], a == b ? 0 : blocks);
        }
    }
}

/* The orders of BLOCKS * 8 blocks, one after the other. */
static unsigned *orders_of(unsigned count, uint64_t seed)
{
    struct rounds rounds;
    unsigned *orders = calloc((size_t)BLOCKS * 8 * count * count, sizeof *orders);
    assert_non_null(orders);
    rounds_begin(&rounds, count, seed);
    for (unsigned round = 0; round < BLOCKS * 8 * count; round++)
        rounds_next(&rounds, orders + (size_t)round * count);
    return orders;
}

static void repeats_by_its_seed_alone(void **state)
{
    (void)state;
    for (unsigned count = 2; count <= ARMS; count++) {
        size_t bytes = (size_t)BLOCKS * 8 * count * count * sizeof(unsigned);
        unsigned *first = orders_of(count, 5), *same = orders_of(count, 5), *other = orders_of(count, 6);
        assert_memory_equal(first, same, bytes);
        assert_int_not_equal(memcmp(first, other, bytes), 0);
        free(first);
        free(same);
        free(other);
    }
}

/* Who begins is not always the same arm: over many blocks each begins the first round of some block. */
static void relabels_every_block(void **state)
{
    (void)state;
    for (unsigned count = 2; count <= 4; count++) {
        unsigned *orders = orders_of(count, 1), begins = 0;
        for (unsigned block = 0; block < BLOCKS * 8; block++)
            begins |= 1U << orders[(size_t)block * count * count];
        assert_int_equal(begins, (1U << count) - 1);
        free(orders);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_a_latin_square),
        cmocka_unit_test(is_balanced_to_first_order),
        cmocka_unit_test(repeats_by_its_seed_alone),
        cmocka_unit_test(relabels_every_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
