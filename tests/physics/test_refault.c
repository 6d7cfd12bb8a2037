/* SPDX-License-Identifier: MIT */
/*
 * Write-notify faults: how many stores fault again after their pages were written back. Every page on a filesystem that
 * writes back, or every huge page where the page table holds such; none in memory, in a private mapping, after
 * MS_ASYNC, or when nothing was synced.
 */
#include "physics.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "hugepage.h"
#include "made.h"
#include "work.h"

enum { FILE_BYTES = 4 * 1024 * 1024 };

extern const struct method method_resync, method_soak;

struct scene {
    struct params params;
    struct target target;
    struct made made;
    bool is_made;
    struct physics_cell cell;
    struct offsets offsets;
    struct work_cell work_cell;
    struct work *work;
    struct work_answer answer;
};

static uint64_t pages(void)
{
    return FILE_BYTES / physics_page_bytes();
}

static struct params refault_params(enum backing backing, enum recipe recipe, enum sync sync)
{
    struct params params = physics_params(FILE_BYTES, recipe, cache_warm);
    params.backing = backing;
    params.pattern = pattern_stride;
    params.block_bytes = 8;
    params.access = access_store;
    params.sync = sync;
    params.touches = 1;
    params.count_ops = pages();
    return params;
}

static void order(struct scene *scene, enum work_verb verb, uint64_t blocks)
{
    struct work_order one = {.verb = verb, .blocks = blocks};
    work_do(scene->work, &one, &scene->answer);
    if (scene->answer.rc == -EOPNOTSUPP)
        physics_skip("%s", scene->answer.err.text);
    if (scene->answer.rc)
        fail_msg("%s", scene->answer.err.text);
}

static void begin(struct scene *scene, const struct params *params, const struct method *method)
{
    struct err err = {0};
    memset(scene, 0, sizeof *scene);
    physics_need_calm();
    scene->params = *params;
    scene->is_made = filesystem_is_made((enum backing)params->backing);
    if (scene->is_made)
        made_open(&scene->made, &scene->target, &scene->params);
    else
        physics_open(&scene->target, &scene->params);
    physics_begin(&scene->cell, &scene->params);
    physics_arm(&scene->cell, method, pages());
    assert_int_equal(offsets_make(&scene->offsets, &scene->params, 42, &err), 0);
    scene->work_cell = (struct work_cell){
        .cell = &scene->cell.cell, .target = &scene->target, .offsets = {&scene->offsets}, .worker_count = 1};
    assert_int_equal(work_begin(&scene->work, &scene->work_cell, 0, &err), 0);
    order(scene, WORK_SETUP, 0);
}

static void end(struct scene *scene)
{
    work_end(scene->work);
    offsets_free(&scene->offsets);
    target_close(&scene->target);
    if (scene->is_made)
        made_close(&scene->made);
}

/* Bytes of the target's mapping that lie in entries of a huge page, from smaps. */
static uint64_t huge_mapped_bytes(const struct target *target)
{
    char line[512];
    struct stat status;
    uint64_t kib, found = 0;
    unsigned long inode = 0;
    FILE *smaps = fopen("/proc/self/smaps", "re");
    assert_non_null(smaps);
    assert_int_equal(fstat(target->fd, &status), 0);
    while (fgets(line, sizeof line, smaps)) {
        unsigned long now;
        if (sscanf(line, "%*x-%*x %*s %*x %*x:%*x %lu", &now) == 1)
            inode = now;
        else if (inode == status.st_ino && sscanf(line, "FilePmdMapped: %" SCNu64, &kib) == 1)
            found += kib * KIB;
    }
    fclose(smaps);
    return found;
}

/* Faults of one store to each page after a reset; *entries: how many entries of the page table map the file. */
static uint64_t count_refaults(const struct params *params, uint64_t *entries)
{
    struct scene scene;
    begin(&scene, params, &method_resync);
    order(&scene, WORK_COUNT, pages()); /* whatever is touched for the first time */
    order(&scene, WORK_RESET, pages());
    uint64_t huge = huge_mapped_bytes(&scene.target);
    order(&scene, WORK_COUNT, pages());
    uint64_t faults = scene.answer.counts.values[COUNTER_minor_faults];
    *entries = (FILE_BYTES - huge) / physics_page_bytes() + huge / huge_page_bytes();
    end(&scene);
    return faults;
}

static const enum sync cleaning[] = {sync_msync, sync_sync_file_range, sync_msync_invalidate, sync_fdatasync,
                                     sync_fsync};
enum { CLEANING = sizeof cleaning / sizeof *cleaning, CLEANING_FEW = 2 /* where a filesystem is made for each */ };

static const enum recipe recipes[] = {recipe_write_4KiB, recipe_write_64KiB, recipe_write_1MiB, recipe_write_2MiB};
enum { RECIPES = sizeof recipes / sizeof *recipes };

static void expect_all_fault_again(enum backing backing, unsigned calls)
{
    for (unsigned i = 0; i < calls * RECIPES; i++) {
        uint64_t entries;
        struct params params = refault_params(backing, recipes[i / calls], cleaning[i % calls]);
        uint64_t faults = count_refaults(&params, &entries);
        if (recipes[i / calls] == recipe_write_4KiB)
            assert_int_equal(entries, pages());
        assert_int_equal(faults, entries);
    }
}

static void every_page_faults_again_after_a_sync(void **state)
{
    (void)state;
    physics_need_exact_counts();
    expect_all_fault_again(backing_file, CLEANING);
}

static void every_page_faults_again_on_ext4(void **state)
{
    (void)state;
    physics_need_exact_counts();
    expect_all_fault_again(backing_ext4, CLEANING_FEW);
}

static void every_page_faults_again_on_xfs(void **state)
{
    (void)state;
    physics_need_exact_counts();
    expect_all_fault_again(backing_xfs, CLEANING_FEW);
}

static void nothing_faults_that_was_not_written_back(void **state)
{
    static const enum sync leaving[] = {sync_none, sync_msync_async};
    (void)state;
    physics_need_exact_counts();
    for (unsigned i = 0; i < 2 * RECIPES; i++) {
        uint64_t entries;
        struct params params = refault_params(backing_file, recipes[i / 2], leaving[i % 2]);
        assert_int_equal(count_refaults(&params, &entries), 0);
    }
}

static void nothing_faults_again_in_memory(void **state)
{
    (void)state;
    physics_need_exact_counts();
    for (unsigned i = 0; i < CLEANING; i++) {
        uint64_t entries;
        struct params params = refault_params(backing_tmpfs, recipe_write_4KiB, cleaning[i]);
        assert_int_equal(count_refaults(&params, &entries), 0);
    }
}

static void nothing_faults_again_in_a_private_mapping(void **state)
{
    (void)state;
    physics_need_exact_counts();
    for (unsigned i = 0; i < CLEANING; i++) {
        uint64_t entries;
        struct params params = refault_params(backing_file, recipe_write_4KiB, cleaning[i]);
        params.sharing = sharing_private;
        assert_int_equal(count_refaults(&params, &entries), 0);
    }
}

/* The arms beside each other, as a user gets them: counts, proof of what was dirty, equal checksums. */
static void the_engine_counts_the_same(void **state)
{
    struct params params = refault_params(backing_file, recipe_write_4KiB, sync_none);
    struct target target;
    struct physics_cell cell;
    struct physics_cachestat found;
    (void)state;
    physics_need_exact_counts();
    physics_open(&target, &params);
    if (!physics_cachestat(target.fd, FILE_BYTES, &found))
        physics_skip("cachestat: %s: dirty pages cannot be seen here", strerror(errno));
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_resync, pages());
    physics_arm(&cell, &method_resync, pages())->params.sync = sync_msync;
    physics_measure(&cell, &target, 4);
    physics_expect_ok(&cell, 0);
    physics_expect_ok(&cell, 1);
    assert_int_equal(physics_count(&cell, 0, COUNTER_minor_faults), 0);
    assert_int_equal(physics_count(&cell, 1, COUNTER_minor_faults), pages());
    assert_int_equal(cell.result.arms[0].before.dirty, pages());
    assert_int_equal(cell.result.arms[1].before.dirty, 0);
    assert_true(cell.result.arms[0].has_sum && cell.result.arms[1].has_sum);
    assert_int_equal(cell.result.arms[0].sum, cell.result.arms[1].sum);
    measure_free(&cell.result);
    target_close(&target);
}

/* No faults counted, so that a sanitizer can watch: what the reset leaves, and that the stores make it dirty again. */
static void stores_after_a_sync_make_dirty_again(void **state)
{
    static const enum sync all[] = {sync_none,      sync_msync, sync_msync_async,    sync_msync_invalidate,
                                    sync_fdatasync, sync_fsync, sync_sync_file_range};
    (void)state;
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        struct params params = refault_params(backing_file, recipe_write_64KiB, all[i]);
        bool cleans = all[i] != sync_none && all[i] != sync_msync_async;
        struct physics_cachestat found;
        struct scene scene;
        begin(&scene, &params, &method_resync);
        if (!physics_cachestat(scene.target.fd, FILE_BYTES, &found))
            physics_skip("cachestat: %s: dirty pages cannot be seen here", strerror(errno));
        order(&scene, WORK_RESET, pages());
        assert_true(physics_cachestat(scene.target.fd, FILE_BYTES, &found));
        assert_int_equal(found.dirty, cleans ? 0 : pages());
        order(&scene, WORK_RUN, pages());
        assert_true(physics_cachestat(scene.target.fd, FILE_BYTES, &found));
        assert_int_equal(found.dirty, pages());
        end(&scene);
    }
}

static uint64_t soak_once(struct scene *scene)
{
    order(scene, WORK_COUNT, 1);
    return scene->answer.counts.values[COUNTER_minor_faults];
}

/* What the flusher does is started here by hand (writeback without waiting): the next stores fault, those after do not.
 */
static void writeback_behind_the_back_is_seen(void **state)
{
    struct params params = refault_params(backing_file, recipe_write_4KiB, sync_none);
    struct scene scene;
    (void)state;
    physics_need_exact_counts();
    params.cache = cache_as_found;
    begin(&scene, &params, &method_soak);
    assert_int_equal(soak_once(&scene), 0);
    assert_int_equal(sync_file_range(scene.target.fd, 0, 0, SYNC_FILE_RANGE_WRITE), 0);
    assert_int_equal(soak_once(&scene), pages());
    assert_int_equal(soak_once(&scene), 0);
    end(&scene);
}

/* The control of claims about what nobody syncs: where each beat ends with a sync, each page faults in each beat. */
static void a_soak_that_syncs_faults_every_beat(void **state)
{
    struct params params = refault_params(backing_file, recipe_write_4KiB, sync_msync);
    struct scene scene;
    (void)state;
    physics_need_exact_counts();
    params.cache = cache_as_found;
    begin(&scene, &params, &method_soak);
    soak_once(&scene);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(soak_once(&scene), pages());
    end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_faults_again_after_a_sync),
        cmocka_unit_test(every_page_faults_again_on_ext4),
        cmocka_unit_test(every_page_faults_again_on_xfs),
        cmocka_unit_test(nothing_faults_that_was_not_written_back),
        cmocka_unit_test(nothing_faults_again_in_memory),
        cmocka_unit_test(nothing_faults_again_in_a_private_mapping),
        cmocka_unit_test(the_engine_counts_the_same),
        cmocka_unit_test(stores_after_a_sync_make_dirty_again),
        cmocka_unit_test(writeback_behind_the_back_is_seen),
        cmocka_unit_test(a_soak_that_syncs_faults_every_beat),
    };
    return physics_run_beside(tests, DISTURBED_BY_WRITEBACK);
}
