/* SPDX-License-Identifier: MIT */
/*
 * The phases of a file's use: what each of them faults adds up to what the whole does, the second touch finds what the
 * first has touched, the sync finds what was written and leaves none of it, and what was written is in the file.
 */
#define _GNU_SOURCE
#include "crew_of_one.h"

#include "life.h"

enum { PAGES = 64 };

extern const struct method method_life_map, method_life_read;

/* A use of the leading `touches` pages of a file. */
static void life_params(struct crew_of_one *crew, enum phase phase, uint64_t touches)
{
    memset(crew, 0, sizeof *crew);
    crew->params = physics_params(PAGES * physics_page_bytes(), recipe_write_4KiB, cache_warm);
    crew->params.per = per_pass;
    crew->params.touches = touches;
    crew->params.count_ops = 1;
    crew->params.access = access_store;
    crew->params.vma = vma_page; /* what a fault maps besides depends on where the mapping happens to lie */
    crew->params.phase = phase;
}

/* Minor faults of one use after one that has touched whatever else is touched for the first time. */
static uint64_t faults_of(const struct method *method, enum phase phase, uint64_t touches)
{
    struct crew_of_one crew;
    struct err err = {0};
    life_params(&crew, phase, touches);
    if (method == &method_life_read)
        crew.params.buffer = buffer_fresh;
    crew_begin(&crew, method);
    crew_order(&crew, WORK_COUNT, touches);
    if (target_settle(&crew.target, &err))
        fail_msg("%s", err.text);
    crew_order(&crew, WORK_COUNT, touches);
    uint64_t faults = crew_answer_of_one.counts.values[COUNTER_minor_faults];
    crew_end(&crew);
    return faults;
}

static uint64_t expect_sum(const struct method *method, uint64_t touches)
{
    uint64_t sum = 0, whole = faults_of(method, phase_whole, touches);
    for (unsigned phase = phase_open; phase < phase_count; phase++)
        sum += faults_of(method, (enum phase)phase, touches);
    print_message("%s of %d pages: %d faults, its phases %d\n", method->name, (int)touches, (int)whole, (int)sum);
    assert_int_equal(sum, whole);
    return whole;
}

static void phases_of_a_mapping_add_up(void **state)
{
    (void)state;
    physics_need_exact_counts();
    for (uint64_t touches = PAGES / 4; touches <= PAGES; touches *= 4) {
        assert_int_equal(expect_sum(&method_life_map, touches), 2 * touches);
        assert_int_equal(faults_of(&method_life_map, phase_first, touches), touches);
        assert_int_equal(faults_of(&method_life_map, phase_second, touches), 0);
        assert_int_equal(faults_of(&method_life_map, phase_write, touches), touches);
    }
}

/* Its faults are those of the memory that the first read goes to. */
static void phases_of_reading_add_up(void **state)
{
    (void)state;
    physics_need_exact_counts();
    for (uint64_t touches = PAGES / 4; touches <= PAGES; touches *= 4) {
        assert_int_equal(expect_sum(&method_life_read, touches), touches);
        assert_int_equal(faults_of(&method_life_read, phase_first, touches), touches);
        assert_int_equal(faults_of(&method_life_read, phase_second, touches), 0);
    }
}

static uint64_t dirty_of(const struct crew_of_one *crew)
{
    struct page_state state;
    struct err err = {0};
    if (target_state(&crew->target, crew->target.file_bytes, &state, &err))
        fail_msg("%s", err.text);
    if (state.dirty == UINT64_MAX)
        physics_skip("this machine does not show which pages are dirty");
    return state.dirty;
}

static void expect_sync(const struct method *method)
{
    struct crew_of_one crew;
    life_params(&crew, phase_sync, PAGES);
    assert_int_equal(life_dirties(&crew.params), PAGES);
    crew_begin(&crew, method);
    crew_order(&crew, WORK_RESET, PAGES);
    uint64_t before = dirty_of(&crew);
    crew_order(&crew, WORK_RUN, PAGES);
    uint64_t after = dirty_of(&crew);
    crew_end(&crew);
    assert_int_equal(before, PAGES);
    assert_int_equal(after, 0);
}

static void the_sync_finds_what_was_written(void **state)
{
    (void)state;
    expect_sync(&method_life_map);
    expect_sync(&method_life_read);
}

/* The block of the file as the disk has it. */
static void read_block(const struct crew_of_one *crew, uint64_t n, unsigned char *block)
{
    uint64_t bytes = crew->params.block_bytes;
    struct err err = {0};
    if (target_evict(&crew->target, &err))
        fail_msg("%s", err.text);
    assert_int_equal(pread(crew->target.fd, block, bytes, (off_t)(n * bytes)), bytes);
}

/* Into one buffer used again and again: what was read last is what is written, everywhere. */
static void expect_written(const struct method *method, bool reads)
{
    struct crew_of_one crew;
    unsigned char *block = malloc(2 * physics_page_bytes()), *wanted = block + physics_page_bytes();
    assert_non_null(block);
    life_params(&crew, phase_whole, PAGES / 2);
    crew_begin(&crew, method);
    memset(wanted, 1, physics_page_bytes()); /* what a buffer is filled with */
    if (reads)
        read_block(&crew, PAGES / 2 - 1, wanted);
    read_block(&crew, 0, block);
    assert_memory_not_equal(block, wanted, physics_page_bytes());
    crew_order(&crew, WORK_RESET, PAGES / 2);
    crew_order(&crew, WORK_RUN, PAGES / 2);
    for (uint64_t n = 0; n < PAGES; n++) {
        read_block(&crew, n, block);
        if (n < PAGES / 2)
            assert_memory_equal(block, wanted, physics_page_bytes());
        else
            assert_memory_not_equal(block, wanted, physics_page_bytes());
    }
    crew_end(&crew);
    free(block);
}

static void what_was_written_is_in_the_file(void **state)
{
    (void)state;
    expect_written(&method_life_map, false);
    expect_written(&method_life_read, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_of_a_mapping_add_up),
        cmocka_unit_test(phases_of_reading_add_up),
        cmocka_unit_test(the_sync_finds_what_was_written),
        cmocka_unit_test(what_was_written_is_in_the_file),
    };
    return physics_run_beside(tests, DISTURBED_BY_WRITEBACK);
}
