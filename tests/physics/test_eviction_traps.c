/* SPDX-License-Identifier: MIT */
/* Ways to empty the page cache that do not, and that the engine is taken in by none of them. */
#include "physics.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

enum { FILE_BYTES = 8 * 1024 * 1024, DIRTY_BYTES = 64 * 1024 * 1024 };

extern const struct method method_pread;

static unsigned char *map_and_touch(const struct target *target)
{
    unsigned char *base = mmap(NULL, target->file_bytes, PROT_READ, MAP_SHARED, target->fd, 0);
    assert_ptr_not_equal(base, MAP_FAILED);
    for (uint64_t offset = 0; offset < target->file_bytes; offset += target->page_bytes)
        (void)*(const volatile unsigned char *)(base + offset);
    return base;
}

/* A file of the user's, as the engine sees it: opened by its name, evicted by leave. */
static int open_as_given(struct target *given, const struct target *target, const struct params *params,
                         struct err *err)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", target->fd);
    struct target_request request = {
        .params = params, .directory = "/nowhere", .name = "", .given_path = path, .allow_evict = true};
    return target_open(given, &request, err);
}

static void advice_that_evicts_nothing(void **state)
{
    struct params params = physics_params(FILE_BYTES, recipe_write_1MiB, cache_warm);
    struct target target;
    (void)state;
    physics_open(&target, &params);
    uint64_t pages = FILE_BYTES / target.page_bytes;
    unsigned char *base = map_and_touch(&target);
    assert_int_equal(posix_madvise(base, FILE_BYTES, POSIX_MADV_DONTNEED), 0);
    assert_int_equal(msync(base, FILE_BYTES, MS_SYNC | MS_INVALIDATE), 0);
    assert_int_equal(physics_mincore(target.fd, FILE_BYTES), pages);
    assert_int_equal(madvise(base, FILE_BYTES, MADV_DONTNEED), 0); /* drops the mapping's pages, not the cache's */
    assert_int_equal(physics_mincore(target.fd, FILE_BYTES), pages);
    munmap(base, FILE_BYTES);
    target_close(&target);
}

static void mapped_pages_stay_and_are_refused(void **state)
{
    struct params params = physics_params(FILE_BYTES, recipe_write_1MiB, cache_warm), cold = params;
    struct target target, given;
    struct err err = {0};
    (void)state;
    physics_open(&target, &params);
    unsigned char *base = map_and_touch(&target);
    assert_int_equal(target_evict(&target, &err), 0); /* the kernel reports success */
    assert_int_equal(physics_mincore(target.fd, FILE_BYTES), FILE_BYTES / target.page_bytes);
    cold.backing = backing_given;
    cold.cache = cache_cold;
    assert_int_equal(open_as_given(&given, &target, &cold, &err), -EOPNOTSUPP);
    assert_non_null(strstr(err.text, "cannot be evicted"));
    target_close(&given);
    munmap(base, FILE_BYTES);
    assert_int_equal(open_as_given(&given, &target, &cold, &err), 0); /* the control: unmapped, it goes */
    assert_int_equal(physics_mincore(target.fd, FILE_BYTES), 0);
    target_close(&given);
    target_close(&target);
}

/* A mapping made by another after the file was prepared: every cold batch is void, so the arm has failed. */
static void mapped_while_measured_fails_the_arm(void **state)
{
    struct params params = physics_params(FILE_BYTES, recipe_write_1MiB, cache_cold);
    struct physics_cell cell;
    struct target target;
    (void)state;
    physics_open(&target, &params);
    unsigned char *base = map_and_touch(&target);
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_pread, 1);
    physics_measure(&cell, &target, 1);
    assert_int_equal(cell.result.arms[0].status, ARM_FAILED);
    assert_non_null(strstr(cell.result.arms[0].reason, "not cold"));
    measure_free(&cell.result);
    munmap(base, FILE_BYTES);
    target_close(&target);
}

/* The user's file is not synced by the engine: dirty pages stay, and then it must not be called cold. */
static void dirty_pages_are_never_called_cold(void **state)
{
    struct params params = physics_params(DIRTY_BYTES, recipe_write_1MiB, cache_warm), cold = params;
    struct target target, given;
    struct err err = {0};
    (void)state;
    physics_open(&target, &params);
    unsigned char *text = calloc(1, DIRTY_BYTES);
    assert_non_null(text);
    assert_int_equal(pwrite(target.fd, text, DIRTY_BYTES, 0), DIRTY_BYTES);
    free(text);
    cold.backing = backing_given;
    cold.cache = cache_cold;
    int rc = open_as_given(&given, &target, &cold, &err);
    print_message("dirty file asked to be cold: %s\n", rc ? err.text : "written back in time, and empty");
    if (rc == 0)
        assert_int_equal(physics_mincore(target.fd, DIRTY_BYTES), 0);
    else
        assert_non_null(strstr(err.text, "cannot be evicted"));
    target_close(&given);
    target_close(&target);
}

static void evicting_a_given_file_needs_leave(void **state)
{
    struct params params = physics_params(FILE_BYTES, recipe_write_1MiB, cache_warm), cold = params;
    struct target target, given;
    struct err err = {0};
    char path[64];
    (void)state;
    physics_open(&target, &params);
    snprintf(path, sizeof path, "/proc/self/fd/%d", target.fd);
    cold.backing = backing_given;
    cold.cache = cache_cold;
    struct target_request request = {.params = &cold, .directory = "/nowhere", .name = "", .given_path = path};
    assert_int_equal(target_open(&given, &request, &err), -EPERM);
    assert_int_equal(physics_mincore(target.fd, FILE_BYTES), FILE_BYTES / target.page_bytes);
    target_close(&given);
    target_close(&target);
}

static void tmpfs_cannot_be_cold(void **state)
{
    struct params params = physics_params(FILE_BYTES, recipe_write_1MiB, cache_warm), cold = params;
    struct statfs filesystem;
    struct target target, given;
    struct err err = {0};
    (void)state;
    if (statfs("/dev/shm", &filesystem) || filesystem.f_type != TMPFS_MAGIC)
        physics_skip("/dev/shm is no tmpfs here");
    params.backing = backing_tmpfs;
    physics_open(&target, &params);
    assert_int_equal(target_evict(&target, &err), 0);
    assert_int_equal(physics_mincore(target.fd, FILE_BYTES), FILE_BYTES / target.page_bytes);
    cold.backing = backing_given;
    cold.cache = cache_cold;
    assert_int_equal(open_as_given(&given, &target, &cold, &err), -EOPNOTSUPP);
    assert_non_null(strstr(err.text, "cannot be evicted"));
    target_close(&given);
    target_close(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(advice_that_evicts_nothing),          cmocka_unit_test(mapped_pages_stay_and_are_refused),
        cmocka_unit_test(mapped_while_measured_fails_the_arm), cmocka_unit_test(dirty_pages_are_never_called_cold),
        cmocka_unit_test(evicting_a_given_file_needs_leave),   cmocka_unit_test(tmpfs_cannot_be_cold),
    };
    return physics_run(tests);
}
