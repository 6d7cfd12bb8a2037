/* SPDX-License-Identifier: MIT */
/* What filesystems a plan asks for and how large they come out, and what is said of those that are not there. */
#include "unit.h"

#include "filesystem.h"

static struct params params_on(enum backing backing, uint64_t file_bytes)
{
    struct params params;
    params_default(&params);
    params.backing = backing;
    params.file_bytes = params.working_set_bytes = file_bytes;
    return params;
}

static uint64_t disk_for(enum backing backing, uint64_t file_bytes)
{
    struct filesystem_wishes wishes = {0};
    struct params params = params_on(backing, file_bytes);
    filesystem_want(&wishes, &params, 0);
    return filesystem_disk_bytes(&wishes);
}

static void only_what_is_made_takes_room(void **state)
{
    (void)state;
    for (unsigned b = 0; b < backing_count; b++) {
        bool made = b == backing_ext4 || b == backing_xfs || b == backing_btrfs || b == backing_overlay ||
                    b == backing_fuse;
        assert_int_equal(filesystem_is_made((enum backing)b), made);
        assert_int_equal(filesystem_has_read_ahead((enum backing)b), made && b != backing_fuse);
        assert_int_equal(disk_for((enum backing)b, MIB) > 0, made);
    }
}

/* Removed files give their blocks back late, so there is room for two, and for what the filesystem itself needs. */
static void images_hold_two_files(void **state)
{
    (void)state;
    for (uint64_t bytes = MIB; bytes <= 1024 * MIB; bytes *= 32) {
        assert_in_range(disk_for(backing_ext4, bytes), 2 * bytes + 16 * MIB, 2 * bytes + 256 * MIB);
        assert_in_range(disk_for(backing_xfs, bytes), 2 * bytes + 64 * MIB, 2 * bytes + 320 * MIB);
        assert_true(disk_for(backing_xfs, bytes) >= 300 * MIB);   /* mkfs.xfs refuses less */
        assert_true(disk_for(backing_btrfs, bytes) >= 109 * MIB); /* mkfs.btrfs too */
    }
}

static void the_largest_cell_decides(void **state)
{
    (void)state;
    struct filesystem_wishes wishes = {0};
    struct params small = params_on(backing_ext4, MIB), large = params_on(backing_ext4, 64 * MIB);
    filesystem_want(&wishes, &small, 0);
    filesystem_want(&wishes, &large, 0);
    filesystem_want(&wishes, &small, 0);
    assert_int_equal(filesystem_disk_bytes(&wishes), disk_for(backing_ext4, 64 * MIB));
    large.workers = 4;
    large.worker_file = worker_file_own;
    filesystem_want(&wishes, &large, 0);
    assert_int_equal(filesystem_disk_bytes(&wishes), disk_for(backing_ext4, 4 * 64 * MIB));
}

/* What lies on an ext4 shares its image. */
static void one_image_serves_what_is_stacked(void **state)
{
    (void)state;
    struct filesystem_wishes wishes = {0};
    static const enum backing stacked[] = {backing_ext4, backing_overlay, backing_fuse};
    for (size_t i = 0; i < 3; i++) {
        struct params params = params_on(stacked[i], (i + 1) * 32 * MIB);
        filesystem_want(&wishes, &params, 0);
    }
    assert_int_equal(filesystem_disk_bytes(&wishes), disk_for(backing_ext4, 96 * MIB));
}

static void none_is_made_unasked(void **state)
{
    (void)state;
    static struct filesystems none;
    const struct filesystem_wishes nothing = {0};
    struct err err = {0};
    filesystem_make(&none, &nothing, "/nonexistent", "/nonexistent");
    assert_string_equal(none.root, "");
    struct params file = params_on(backing_file, MIB), ext4 = params_on(backing_ext4, MIB);
    assert_null(filesystem_fault(&none, &file));
    unit_assert_text(filesystem_fault(&none, &ext4), "--make-filesystems");
    json_t *json = filesystem_describe(&none, backing_ext4);
    assert_true(json_is_null(json));
    json_decref(json);
    assert_int_equal(filesystem_set_read_ahead(&none, backing_file, read_ahead_as_found, &err), 0);
    assert_int_equal(filesystem_set_read_ahead(&none, backing_file, read_ahead_none, &err), -EOPNOTSUPP);
    unit_assert_text(err.text, "made for the run");
    filesystem_remove(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_made_takes_room), cmocka_unit_test(images_hold_two_files),
        cmocka_unit_test(the_largest_cell_decides),     cmocka_unit_test(one_image_serves_what_is_stacked),
        cmocka_unit_test(none_is_made_unasked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
