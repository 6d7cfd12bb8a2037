/* SPDX-License-Identifier: MIT */
/*
 * After a fork a byte written to an object copies a page: one fault for each page that holds any of the objects written
 * to. Packed objects share pages as those of malloc do.
 */
#include "hand.h"

#include <sys/uio.h>
#include <sys/wait.h>

#include "objects.h"

extern const struct method method_object_write;

static struct params object_params(uint64_t object_bytes, double share, enum objects objects)
{
    struct params params = physics_params(64 * KIB, recipe_write_1MiB, cache_as_found);
    params.object_bytes = object_bytes;
    params.written_share = share;
    params.objects = objects;
    params.count_ops = OBJECTS_COUNT;
    return params;
}

/* Pages among so many offsets, which rise. */
static uint64_t pages_of(const struct params *params)
{
    uint64_t page_bytes = physics_page_bytes(), last = UINT64_MAX, count = 0;
    for (uint64_t i = 0; i < objects_written(params); i++) {
        uint64_t page = objects_offset(params, page_bytes, i) / page_bytes;
        count += page != last;
        last = page;
    }
    return count;
}

static void every_page_with_an_object_written_to_is_copied_once(void **state)
{
    static const uint64_t sizes[] = {16, 64, 1000};
    static const double shares[] = {0.02, 0.1, 1};
    (void)state;
    physics_need_exact_counts();
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned s = 0; s < sizeof shares / sizeof *shares; s++)
            for (unsigned objects = 0; objects < objects_count; objects++) {
                struct params params = object_params(sizes[i], shares[s], (enum objects)objects);
                struct physics_cell cell;
                physics_begin(&cell, &params);
                physics_arm(&cell, &method_object_write, 8);
                physics_measure(&cell, NULL, 1);
                physics_expect_ok(&cell, 0);
                uint64_t faults = physics_count(&cell, 0, COUNTER_minor_faults);
                print_message("%4llu bytes, %3.0f %% written, %-11s %4llu faults for %4llu objects\n",
                              (unsigned long long)sizes[i], 100 * shares[s],
                              field_table[FIELD_objects].options[objects].spelling, (unsigned long long)faults,
                              (unsigned long long)cell.result.arms[0].count_ops);
                assert_int_equal(cell.result.arms[0].count_ops, (uint64_t)(shares[s] * OBJECTS_COUNT + 1e-6));
                assert_int_equal(faults, pages_of(&params));
                if (objects == objects_page_spread)
                    assert_int_equal(faults, cell.result.arms[0].count_ops);
                measure_free(&cell.result);
            }
}

/* By figures that follow from nothing but sizes: 51 objects of 80 bytes to a page of 4096. */
static void packed_objects_share_pages(void **state)
{
    struct params params = object_params(64, 1, objects_packed);
    (void)state;
    assert_int_equal(objects_step(&params, 4096), 80);
    if (physics_page_bytes() == 4096)
        assert_int_equal(pages_of(&params), 10); /* 512 x 80 bytes */
    params.object_bytes = 1;
    assert_int_equal(objects_step(&params, 4096), 32);
    params.object_bytes = 24;
    assert_int_equal(objects_step(&params, 4096), 32);
    params.object_bytes = 25;
    assert_int_equal(objects_step(&params, 4096), 48);
    params.written_share = 0.0001;
    assert_int_equal(objects_written(&params), 1);
}

/* The step that is taken for malloc's is malloc's. */
static void malloc_packs_objects_so(void **state)
{
    static const uint64_t sizes[] = {16, 24, 25, 64, 256, 1000};
    (void)state;
#if defined(PHYSICS_SANITIZED) || !defined(__GLIBC__)
    physics_skip("this malloc is not glibc's");
#endif
    if (sizeof(void *) != 8)
        physics_skip("glibc lays objects out otherwise on machines that are not of 64 bits");
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        enum { OBJECTS = 64 };
        struct params params = object_params(sizes[i], 1, objects_packed);
        unsigned char *objects[OBJECTS];
        unsigned apart = 0;
        for (unsigned n = 0; n < OBJECTS; n++) {
            objects[n] = malloc(sizes[i]);
            assert_non_null(objects[n]);
            apart += n > 0 && (uint64_t)(objects[n] - objects[n - 1]) == objects_step(&params, 4096);
        }
        assert_true(apart > OBJECTS / 2); /* the first may come from what was freed before */
        for (unsigned n = 0; n < OBJECTS; n++)
            free(objects[n]);
    }
}

/* The only child of this process; 0 when it has none, -1 where nobody tells. */
static pid_t only_child(void)
{
    char path[64];
    int child = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "re");
    if (!file || fscanf(file, "%d", &child) != 1)
        child = file ? 0 : -1;
    if (file)
        fclose(file);
    return child;
}

static unsigned char byte_of(pid_t process, const unsigned char *at)
{
    unsigned char byte = 0;
    struct iovec here = {&byte, 1}, there = {(void *)(uintptr_t)at, 1};
    if (process_vm_readv(process, &here, 1, &there, 1, 0) != 1)
        physics_skip("a child's memory cannot be read here: %s", strerror(errno));
    return byte;
}

/* What makes the fault a copy: the child, which is there until the method ends, has every byte as it was. */
static void the_child_keeps_what_the_parent_writes_over(void **state)
{
    struct params params = object_params(64, 0.1, objects_packed);
    struct hand hand;
    (void)state;
    hand_begin(&hand, &method_object_write, &params, NULL);
    for (unsigned round = 0; round < 2; round++) {
        hand_reset(&hand, objects_written(&params));
        hand_run(&hand, objects_written(&params));
    }
    pid_t child = only_child();
    assert_int_not_equal(child, 0);
    for (uint64_t at = 0; child > 0 && at < hand.worker.base_bytes; at += physics_page_bytes())
        assert_int_equal(byte_of(child, hand.worker.base + at), 1); /* touched before the fork */
    for (uint64_t i = 0; i < objects_written(&params); i++) {
        const unsigned char *object = hand.worker.base + objects_offset(&params, physics_page_bytes(), i);
        assert_int_equal(*object, 2);
        if (child > 0)
            assert_int_not_equal(byte_of(child, object), 2);
    }
    hand_end(&hand);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child, dead or alive */
    assert_int_equal(errno, ECHILD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_with_an_object_written_to_is_copied_once),
        cmocka_unit_test(packed_objects_share_pages),
        cmocka_unit_test(malloc_packs_objects_so),
        cmocka_unit_test(the_child_keeps_what_the_parent_writes_over),
    };
    return physics_run(tests);
}
