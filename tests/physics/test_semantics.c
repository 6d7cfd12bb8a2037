/* SPDX-License-Identifier: MIT */
/*
 * What each experiment on the meaning of a mapping finds, by the kernel's source, on every kind of file: exactly as
 * often as it is made, or never. Each looks by the code of another one that has to find the opposite: what always said
 * the same would be seen here.
 */
#define _GNU_SOURCE
#include "physics.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "bare_worker.h"
#include "filesystem.h"
#include "mask.h"
#include "semantics.h"

enum { FILE_BYTES = 256 * 1024, TIMES = 3, TRIES = 5 };

extern const struct method method_semantics;

/* What a file or machine may be without. */
enum lack { NEVER, WITHOUT_NAME, WITHOUT_STORAGE, WITHOUT_HOLES, WITHOUT_MDWE, WITHOUT_LIMIT };

static const struct {
    int occurs; /* 0: never; 1: each time */
    enum lack lack;
} wanted[whether_count] = {
    [whether_mapping_works] = {.occurs = 1},
    [whether_mapping_survives_close] = {.occurs = 1},
    [whether_mapping_survives_unlink] = {.occurs = 1, .lack = WITHOUT_NAME},
    [whether_mapping_survives_truncation] = {.occurs = 0},
    [whether_private_shows_later_write] = {.occurs = 1},
    [whether_loaded_private_shows_later_write] = {.occurs = 1},
    [whether_stored_private_shows_later_write] = {.occurs = 0},
    [whether_shared_shows_later_write] = {.occurs = 1},
    [whether_private_copy_survives_truncation] = {.occurs = 0},
    [whether_private_copy_survives_later_end] = {.occurs = 1},
    [whether_private_copy_survives_hole] = {.occurs = 1, .lack = WITHOUT_HOLES},
    [whether_shared_store_survives_truncation] = {.occurs = 0},
    [whether_shared_store_survives_hole] = {.occurs = 0, .lack = WITHOUT_HOLES},
    [whether_read_shows_private_store] = {.occurs = 0},
    [whether_read_shows_shared_store] = {.occurs = 1},
    [whether_synced_private_store_reaches_file] = {.occurs = 0},
    [whether_synced_shared_store_reaches_file] = {.occurs = 1},
    [whether_loaded_private_page_is_own] = {.occurs = 0},
    [whether_stored_private_page_is_own] = {.occurs = 1},
    [whether_store_makes_neighbours_own] = {.occurs = 0},
    [whether_store_behind_makes_neighbours_own] = {.occurs = 1},
    [whether_shared_store_makes_neighbours_own] = {.occurs = 0},
    [whether_stored_shared_page_is_own] = {.occurs = 0},
    [whether_store_is_written_at_once] = {.occurs = 0, .lack = WITHOUT_STORAGE},
    [whether_async_sync_starts_writing] = {.occurs = 0, .lack = WITHOUT_STORAGE},
    [whether_range_write_starts_writing] = {.occurs = 1, .lack = WITHOUT_STORAGE},
    [whether_other_mapper_sees_private_store] = {.occurs = 0},
    [whether_other_mapper_sees_shared_store] = {.occurs = 1},
    [whether_other_mapper_sees_synced_store] = {.occurs = 1},
    [whether_child_sees_private_store] = {.occurs = 0},
    [whether_child_sees_shared_store] = {.occurs = 1},
    [whether_child_sees_no_store] = {.occurs = 0},
    [whether_parent_sees_private_store] = {.occurs = 0},
    [whether_parent_sees_shared_store] = {.occurs = 1},
    [whether_parent_sees_no_store] = {.occurs = 0},
    [whether_parent_sees_store_of_living_child] = {.occurs = 1},
    [whether_reclaim_keeps_contents] = {.occurs = 1, .lack = WITHOUT_STORAGE},
    [whether_discard_keeps_shared_contents] = {.occurs = 1},
    [whether_discard_keeps_private_contents] = {.occurs = 0},
    [whether_write_only_can_be_read] = {.occurs = 1},
    [whether_read_only_can_be_read] = {.occurs = 1},
    [whether_no_access_can_be_read] = {.occurs = 0},
    [whether_exec_gain_refused] = {.occurs = 0},
    [whether_mdwe_exec_gain_refused] = {.occurs = 1, .lack = WITHOUT_MDWE},
    [whether_mdwe_write_and_exec_refused] = {.occurs = 1, .lack = WITHOUT_MDWE},
    [whether_private_writable_is_charged] = {.occurs = 1, .lack = WITHOUT_LIMIT},
    [whether_private_read_only_is_charged] = {.occurs = 0, .lack = WITHOUT_LIMIT},
    [whether_made_writable_is_charged] = {.occurs = 1, .lack = WITHOUT_LIMIT},
    [whether_shared_writable_is_charged] = {.occurs = 0, .lack = WITHOUT_LIMIT},
    [whether_odd_offset_refused] = {.occurs = 1},
    [whether_odd_address_refused] = {.occurs = 1},
    [whether_odd_move_refused] = {.occurs = 1},
    [whether_odd_length_refused] = {.occurs = 0},
    [whether_page_move_refused] = {.occurs = 0},
    [whether_memfd_create_in_libc] = {.occurs = 1},
    [whether_mremap_in_libc] = {.occurs = 1},
    [whether_futex_in_libc] = {.occurs = 0},
};

/* ---- files on filesystems of their own ---- */

static struct filesystems made;
static char why_not[512]; /* why nothing could be made */

static int make_all(void **state)
{
    static const enum backing backings[] = {backing_ext4, backing_xfs, backing_btrfs};
    struct filesystem_wishes wishes = {0};
    struct params params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_as_found);
    (void)state;
    for (size_t i = 0; i < sizeof backings / sizeof *backings; i++) {
        params.backing = backings[i];
        filesystem_want(&wishes, &params, 0);
    }
    if (geteuid() != 0 || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) ||
        mount("faultline", "/mnt", "tmpfs", 0, "mode=0700,size=8m") || mkdir("/mnt/made", 0700)) {
        snprintf(why_not, sizeof why_not, "mounts of its own: %s", geteuid() ? "needs root" : strerror(errno));
        return 0;
    }
    filesystem_make(&made, &wishes, "/var/tmp", "/mnt/made");
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    filesystem_remove(&made);
    return 0;
}

static const char *folder_of(enum backing backing)
{
    if (!filesystem_is_made(backing))
        return backing == backing_tmpfs ? "/dev/shm" : "/var/tmp";
    if (why_not[0] || !made.each[backing].path[0])
        physics_skip("%s", why_not[0] ? why_not : made.each[backing].reason);
    return made.each[backing].path;
}

static void open_on(enum backing backing, struct params *params, struct target *target)
{
    struct err err = {0};
    const char *folder = folder_of(backing);
    *params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_as_found);
    params->backing = backing;
    struct target_request request = {.params = params,
                                     .directory = folder,
                                     .name = "faultline-physics-semantics",
                                     .given_path = "",
                                     .seed = 42,
                                     .device = made.each[backing].device};
    if (backing != backing_memfd && access(folder, W_OK))
        physics_skip("%s: %s", folder, strerror(errno));
    int rc = target_open(target, &request, &err);
    if (rc == -EOPNOTSUPP || rc == -ENOSPC)
        physics_skip("%s", err.text);
    if (rc)
        fail_msg("%s", err.text);
}

static uint64_t sum_of(const struct target *target)
{
    static unsigned char bytes[FILE_BYTES];
    uint64_t sum = 0;
    assert_int_equal(pread(target->fd, bytes, FILE_BYTES, 0), FILE_BYTES);
    for (size_t i = 0; i < FILE_BYTES; i++)
        sum = sum * 31 + bytes[i];
    return sum;
}

/* ---- tests ---- */

static bool may_lack(enum lack lack, enum backing backing)
{
    /* What lies under a folder of the test's may be memory, too. */
    bool memory = backing == backing_memfd || backing == backing_tmpfs || backing == backing_file;
    return lack == WITHOUT_MDWE || lack == WITHOUT_LIMIT || (lack == WITHOUT_NAME && backing == backing_memfd) ||
           (lack == WITHOUT_STORAGE && memory) || (lack == WITHOUT_HOLES && backing == backing_file);
}

/* Pages that wait in a list of the CPU that brought them in are reclaimed from there alone, and a trial is bound too.
 */
static void stay_here(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)sched_getcpu(), &set);
    assert_int_equal(sched_setaffinity(0, sizeof set, &set), 0);
}

/* Times that a check occurred in TIMES; -1 where it cannot be made here. */
static int occurred(enum whether whether, struct params *params, const struct target *target)
{
    struct err err = {0};
    params->whether = whether;
    struct worker worker = {.params = params, .target = target, .fd = -1};
    int rc = method_semantics.setup(&worker, &err);
    uint64_t before = counter_method.occurred;
    if (rc == 0)
        rc = method_semantics.run(&worker, TIMES);
    method_semantics.teardown(&worker);
    if (rc == -EOPNOTSUPP)
        return -1;
    if (rc)
        fail_msg("%s: %s, %s", field_table[FIELD_whether].options[whether].spelling, strerror(-rc), err.text);
    return (int)(counter_method.occurred - before);
}

static void each_finds_what_it_must(void **state)
{
    const enum backing backing = *(const enum backing *)*state;
    const char *name = field_table[FIELD_backing].options[backing].spelling;
    struct params params;
    struct target target;
    stay_here();
    open_on(backing, &params, &target);
    uint64_t sum = sum_of(&target);
    for (unsigned i = 0; i < whether_count; i++) {
        const char *what = field_table[FIELD_whether].options[i].spelling;
        if (backing == backing_memfd && i == whether_mapping_survives_unlink)
            continue; /* refused by the plan */
        int found = occurred((enum whether)i, &params, &target);
        for (unsigned tries = 1; found < 0 && !may_lack(wanted[i].lack, backing) && tries < TRIES; tries++)
            found = occurred((enum whether)i, &params, &target); /* a page that somebody holds is not reclaimed */
        if (found < 0 && !may_lack(wanted[i].lack, backing))
            fail_msg("%s: %s cannot be had", name, what);
        if (found < 0)
            print_message("%s: %s cannot be had here\n", name, what);
        else if (found != TIMES * wanted[i].occurs)
            fail_msg("%s: %s occurred %d times in %d", name, what, found, TIMES);
    }
    assert_true(sum_of(&target) == sum);
    target_close(&target);
}

/* The same code finds the opposite somewhere. */
static void none_is_constant(void **state)
{
    (void)state;
    for (unsigned i = 0; i < whether_count; i++) {
        bool opposite = false;
        assert_non_null(semantics_checks[i].look);
        for (unsigned j = 0; j < whether_count; j++)
            opposite |= semantics_checks[j].look == semantics_checks[i].look && wanted[j].occurs != wanted[i].occurs;
        if (!opposite)
            fail_msg("nothing shows that %s can come out otherwise", field_table[FIELD_whether].options[i].spelling);
    }
}

/* Through the harness: per operation, and known where the method tells it alone. */
static void counted_per_operation(void **state)
{
    static const enum whether looked_for[] = {whether_mapping_works, whether_mapping_survives_truncation,
                                              whether_child_sees_private_store, whether_child_sees_shared_store};
    enum { ARMS = sizeof looked_for / sizeof *looked_for };
    struct params params;
    struct target target;
    struct physics_cell cell;
    (void)state;
    open_on(backing_file, &params, &target);
    params.count_ops = 7;
    physics_begin(&cell, &params);
    for (unsigned i = 0; i < ARMS; i++)
        physics_arm(&cell, &method_semantics, 1)->params.whether = looked_for[i];
    physics_measure(&cell, &target, 4);
    for (unsigned i = 0; i < ARMS; i++) {
        physics_expect_ok(&cell, i);
        assert_int_equal(physics_count(&cell, i, COUNTER_occurred), 7 * (uint64_t)wanted[looked_for[i]].occurs);
        assert_int_equal(physics_count(&cell, i, COUNTER_given_back_bytes), UINT64_MAX);
    }
    measure_free(&cell.result);
    target_close(&target);
}

/* A page that was reclaimed is fetched from storage: it was gone indeed. */
static void reclaimed_pages_are_fetched(void **state)
{
    struct params params;
    struct target target;
    struct err err = {0};
    struct counts before, after;
    struct counter_sources sources;
    stay_here();
    open_on(*(const enum backing *)*state, &params, &target);
    params.whether = whether_reclaim_keeps_contents;
    struct worker worker = {.params = &params, .target = &target, .fd = -1};
    if (method_semantics.setup(&worker, &err)) {
        method_semantics.teardown(&worker);
        target_close(&target);
        physics_skip("%s", err.text);
    }
    counter_open(&sources, &target);
    counter_read_before(&sources, &before);
    int rc = method_semantics.run(&worker, TIMES);
    for (unsigned tries = 1; rc == -EOPNOTSUPP && tries < TRIES; tries++)
        rc = method_semantics.run(&worker, TIMES); /* a page that somebody holds is not reclaimed just now */
    assert_int_equal(rc, 0);
    counter_read_after(&sources, &after);
    counter_subtract(&after, &before);
    counter_close(&sources);
    assert_true(after.values[COUNTER_major_faults] >= TIMES);
    method_semantics.teardown(&worker);
    target_close(&target);
}

static struct cpu_mask allowed; /* when the program began */

/* Where there is a second CPU, the process that is asked is on it. */
static void the_other_is_elsewhere(void **state)
{
    struct params params;
    struct target target;
    struct semantics semantics;
    struct cpu_mask mask = {0};
    struct err err = {0};
    (void)state;
    if (cpu_mask_count(&allowed) < 2)
        physics_skip("this process may use one CPU: nowhere is elsewhere");
    stay_here();
    unsigned own = (unsigned)sched_getcpu();
    open_on(backing_memfd, &params, &target);
    assert_int_equal(
        semantics_begin(&semantics, &target, &semantics_checks[whether_other_mapper_sees_shared_store], &err), 0);
    assert_int_equal(semantics_checks[whether_other_mapper_sees_shared_store].look(&semantics, 0),
                     1); /* it has begun */
    assert_int_equal(sched_getaffinity(semantics.other, sizeof mask, mask.part), 0);
    assert_int_equal(cpu_mask_count(&mask), 1);
    assert_false(cpu_mask_has(&mask, own));
    semantics_end(&semantics);
    target_close(&target);
}

int main(void)
{
    static const enum backing backings[] = {backing_file, backing_tmpfs, backing_memfd,
                                            backing_ext4, backing_xfs,   backing_btrfs};
    if (cpu_mask_read(&allowed))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_other_is_elsewhere),
        cmocka_unit_test(none_is_constant),
        cmocka_unit_test(counted_per_operation),
        {"file: reclaimed", reclaimed_pages_are_fetched, NULL, NULL, (void *)&backings[0]},
        {"ext4: reclaimed", reclaimed_pages_are_fetched, NULL, NULL, (void *)&backings[3]},
        {"xfs: reclaimed", reclaimed_pages_are_fetched, NULL, NULL, (void *)&backings[4]},
        {"btrfs: reclaimed", reclaimed_pages_are_fetched, NULL, NULL, (void *)&backings[5]},
        {"file", each_finds_what_it_must, NULL, NULL, (void *)&backings[0]},
        {"tmpfs", each_finds_what_it_must, NULL, NULL, (void *)&backings[1]},
        {"memfd", each_finds_what_it_must, NULL, NULL, (void *)&backings[2]},
        {"ext4", each_finds_what_it_must, NULL, NULL, (void *)&backings[3]},
        {"xfs", each_finds_what_it_must, NULL, NULL, (void *)&backings[4]},
        {"btrfs", each_finds_what_it_must, NULL, NULL, (void *)&backings[5]},
    };
    return physics_run_group(tests, sizeof tests / sizeof *tests, DISTURBED_BY_WRITEBACK, make_all, remove_all);
}
