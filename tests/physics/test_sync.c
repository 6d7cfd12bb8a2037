/* SPDX-License-Identifier: MIT */
/*
 * What each call that makes stores durable leaves behind: pages dirty or clean (cachestat), words on the device (read
 * from the disk itself below the filesystem, where that is allowed), bytes written to it.
 */
#include "physics.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "dirty.h"
#include "made.h"
#include "sync.h"
#include "work.h"

enum { FILE_BYTES = 4 * 1024 * 1024, RANGE_BYTES = 1024 * 1024, FOLIO_MOST = 2 * 1024 * 1024, ATTEMPTS = 50 };
enum { UNDISTURBED = 5 /* attempts of which one must be free of others' writeback */ };

extern const struct method method_sync;

/* One worker with one arm, driven order by order. */
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

static void order(struct scene *scene, enum work_verb verb)
{
    struct work_order one = {.verb = verb, .blocks = 1};
    work_do(scene->work, &one, &scene->answer);
    if (scene->answer.rc == -EOPNOTSUPP)
        physics_skip("%s", scene->answer.err.text);
    if (scene->answer.rc)
        fail_msg("%s", scene->answer.err.text);
}

static struct params sync_params(enum recipe recipe, enum sync sync, double share, enum dirty_order dirty_order)
{
    struct params params = physics_params(FILE_BYTES, recipe, cache_warm);
    params.range_bytes = RANGE_BYTES;
    params.sync = sync;
    params.dirty_share = share;
    params.dirty_order = dirty_order;
    params.touches = 1; /* a call is an operation */
    params.count_ops = 1;
    return params;
}

static void need_cachestat(const struct target *target)
{
    struct physics_cachestat found;
    if (!physics_cachestat(target->fd, FILE_BYTES, &found))
        physics_skip("cachestat: %s: dirty pages cannot be seen here", strerror(errno));
}

static void begin(struct scene *scene, const struct params *params)
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
    need_cachestat(&scene->target);
    physics_begin(&scene->cell, &scene->params);
    physics_arm(&scene->cell, &method_sync, 1);
    assert_int_equal(offsets_make(&scene->offsets, &scene->params, 42, &err), 0);
    scene->work_cell = (struct work_cell){
        .cell = &scene->cell.cell, .target = &scene->target, .offsets = {&scene->offsets}, .worker_count = 1};
    assert_int_equal(work_begin(&scene->work, &scene->work_cell, 0, &err), 0);
    order(scene, WORK_SETUP);
}

static void end(struct scene *scene)
{
    work_end(scene->work);
    offsets_free(&scene->offsets);
    target_close(&scene->target);
    if (scene->is_made)
        made_close(&scene->made);
}

static struct physics_cachestat look(const struct scene *scene)
{
    struct physics_cachestat found;
    assert_true(physics_cachestat(scene->target.fd, FILE_BYTES, &found));
    return found;
}

static const enum sync syncs[] = {sync_msync,     sync_msync_async, sync_msync_invalidate,
                                  sync_fdatasync, sync_fsync,       sync_sync_file_range};
enum { SYNCS = sizeof syncs / sizeof *syncs };

/* False: somebody else (sync(2), the flusher) has written the pages back meanwhile, which MS_ASYNC is not to blame for.
 */
static bool call_cleans_or_leaves(const struct params *params)
{
    struct scene scene;
    bool leaves = params->sync == sync_msync_async;
    begin(&scene, params);
    order(&scene, WORK_RESET);
    struct physics_cachestat before = look(&scene);
    uint64_t stored = dirty_pages(params), most = stored ? (RANGE_BYTES + FOLIO_MOST) / physics_page_bytes() : 0;
    bool single = params->recipe == recipe_write_4KiB && physics_page_bytes() == 4 * KIB;
    order(&scene, WORK_RUN);
    struct physics_cachestat after = look(&scene);
    end(&scene);
    bool disturbed = before.writeback || before.dirty < stored || (leaves && after.dirty < before.dirty);
    if (disturbed)
        return false;
    assert_in_range(before.dirty, stored, single ? stored : most);
    assert_int_equal(after.dirty, leaves ? before.dirty : 0);
    assert_int_equal(after.writeback, 0); /* MS_ASYNC has started nothing */
    return true;
}

static void each_call_cleans_or_leaves(void **state)
{
    const enum recipe recipes[] = {recipe_write_4KiB, recipe_write_1MiB};
    const double shares[] = {0, 0.0001, 0.1, 1, 0.1};
    (void)state;
    for (unsigned i = 0; i < SYNCS * 2 * 5; i++) {
        unsigned share = i / SYNCS / 2, attempt = 1;
        struct params params = sync_params(recipes[i / SYNCS % 2], syncs[i % SYNCS], shares[share],
                                           share == 4 ? dirty_order_scattered : dirty_order_contiguous);
        while (!call_cleans_or_leaves(&params))
            assert_in_range(attempt++, 1, UNDISTURBED); /* never once: then it is the call */
    }
}

/* What a batch before has left, in the range or behind it, is not there when the next one begins. */
static void the_reset_leaves_nothing_else_dirty(void **state)
{
    struct params params = sync_params(recipe_write_4KiB, sync_msync_async, 0.25, dirty_order_contiguous);
    unsigned char byte = 1;
    struct scene scene;
    (void)state;
    begin(&scene, &params);
    need_cachestat(&scene.target);
    assert_int_equal(pwrite(scene.target.fd, &byte, 1, FILE_BYTES - 1), 1);
    order(&scene, WORK_RESET);
    uint64_t dirty = look(&scene).dirty;
    end(&scene);
    assert_int_equal(dirty, dirty_pages(&params));
}

static void share_is_a_number_of_pages(void **state)
{
    struct params params = sync_params(recipe_write_4KiB, sync_msync, 0.1, dirty_order_scattered);
    uint64_t pages = RANGE_BYTES / physics_page_bytes();
    (void)state;
    assert_int_equal(dirty_pages(&params), (uint64_t)(0.1 * (double)pages + 0.5));
    uint64_t apart = pages / dirty_pages(&params);
    for (uint64_t i = 1; i < dirty_pages(&params); i++) {
        assert_in_range(dirty_page(&params, i), dirty_page(&params, i - 1) + 1, pages - 1);
        assert_in_range(dirty_page(&params, i) - dirty_page(&params, i - 1), apart, apart + 1); /* evenly */
    }
    params.dirty_order = dirty_order_contiguous;
    assert_int_equal(dirty_page(&params, 7), 7);
    params.dirty_share = 1e-9;
    assert_int_equal(dirty_pages(&params), 1);
    params.dirty_share = 0;
    assert_int_equal(dirty_pages(&params), 0);
    params.dirty_share = 1;
    assert_int_equal(dirty_pages(&params), pages);
}

/* ---- what is on the device ---- */

/* The disk's own node, past the filesystem and every cache. */
static int open_device(const struct target *target)
{
    char link[64], node[300], name[256];
    snprintf(link, sizeof link, "/sys/dev/block/%u:%u", major(target->device), minor(target->device));
    ssize_t length = readlink(link, name, sizeof name - 1);
    if (length <= 0)
        physics_skip("the filesystem has no block device of its own");
    name[length] = '\0';
    snprintf(node, sizeof node, "/dev/%s", strrchr(name, '/') + 1);
    int fd = open(node, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0)
        physics_skip("%s: %s", node, strerror(errno));
    return fd;
}

/* Where on the disk the byte at `offset` of the file lies. */
static uint64_t place_on_device(int fd, uint64_t offset)
{
    union {
        struct fiemap map;
        char room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
    } ask = {.map = {.fm_start = offset, .fm_length = 1, .fm_extent_count = 1}};
    if (ioctl(fd, FS_IOC_FIEMAP, &ask.map))
        physics_skip("FIEMAP: %s: where the file lies on the disk is not told", strerror(errno));
    const struct fiemap_extent *extent = ask.map.fm_extents;
    if (ask.map.fm_mapped_extents != 1 || extent->fe_flags & (FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_ENCODED))
        physics_skip("the file does not lie plainly on the disk");
    return extent->fe_physical + (offset - extent->fe_logical);
}

/* The first words of all pages of the range, as the device holds them. */
static void read_device(const struct target *target, int device, uint64_t *words)
{
    uint64_t page_bytes = physics_page_bytes(), *page = NULL;
    assert_int_equal(posix_memalign((void **)&page, page_bytes, page_bytes), 0);
    for (uint64_t i = 0; i < RANGE_BYTES / page_bytes; i++) {
        uint64_t place = place_on_device(target->fd, i * page_bytes);
        if (pread(device, page, page_bytes, (off_t)place) != (ssize_t)page_bytes)
            fail_msg("read the device: %s", strerror(errno));
        words[i] = *page;
    }
    free(page);
}

static bool is_stored(const struct params *params, uint64_t page)
{
    for (uint64_t i = 0; i < dirty_pages(params); i++)
        if (dirty_page(params, i) == page)
            return true;
    return false;
}

/*
 * Each stored word is 1 larger on the device after the call, all others are as they were. MS_ASYNC: none is, or else
 * (false) the pages are no longer dirty: somebody else has written them back.
 */
static bool device_holds_what_was_stored(const struct params *params)
{
    enum { PAGES_MOST = RANGE_BYTES / 4096 };
    static uint64_t before[PAGES_MOST], after[PAGES_MOST];
    struct scene scene;
    bool leaves = params->sync == sync_msync_async;
    begin(&scene, params);
    int device = open_device(&scene.target);
    assert_int_equal(fsync(scene.target.fd), 0);
    read_device(&scene.target, device, before);
    order(&scene, WORK_RESET);
    order(&scene, WORK_RUN);
    read_device(&scene.target, device, after);
    bool undisturbed = !leaves || look(&scene).dirty >= dirty_pages(params);
    for (uint64_t p = 0; undisturbed && p < RANGE_BYTES / physics_page_bytes(); p++)
        assert_int_equal(after[p] - before[p], is_stored(params, p) && !leaves);
    close(device);
    end(&scene);
    return undisturbed;
}

static void expect_on_device(enum backing backing, enum recipe recipe)
{
    for (unsigned i = 0; i < SYNCS; i++) {
        struct params params = sync_params(recipe, syncs[i], 0.1, dirty_order_scattered);
        unsigned attempt = 1;
        params.backing = backing;
        while (!device_holds_what_was_stored(&params))
            assert_in_range(attempt++, 1, UNDISTURBED);
    }
}

static void the_device_of_ext4_holds_what_was_stored(void **state)
{
    (void)state;
    expect_on_device(backing_ext4, recipe_write_4KiB);
    expect_on_device(backing_ext4, recipe_write_1MiB);
}

static void the_device_of_xfs_holds_what_was_stored(void **state)
{
    (void)state;
    expect_on_device(backing_xfs, recipe_write_4KiB);
    expect_on_device(backing_xfs, recipe_write_1MiB);
}

/* The same seen through the filesystem: a direct read of clean pages comes from the device. */
static void a_direct_read_finds_what_was_stored(void **state)
{
    struct scene scene;
    uint64_t page_bytes = physics_page_bytes(), *page = NULL, *cached = NULL;
    (void)state;
    assert_int_equal(posix_memalign((void **)&page, page_bytes, page_bytes), 0);
    assert_int_equal(posix_memalign((void **)&cached, page_bytes, page_bytes), 0);
    for (unsigned i = 0; i < SYNCS; i++) {
        if (syncs[i] == sync_msync_async)
            continue; /* a direct read would write the dirty pages back itself */
        struct params params = sync_params(recipe_write_1MiB, syncs[i], 0.1, dirty_order_scattered);
        begin(&scene, &params);
        order(&scene, WORK_RESET);
        order(&scene, WORK_RUN);
        assert_int_equal(look(&scene).dirty, 0);
        int direct = target_reopen(&scene.target, O_RDONLY | O_DIRECT);
        if (direct < 0)
            physics_skip("O_DIRECT: %s", strerror(-direct));
        for (uint64_t d = 0; d < dirty_pages(&params); d++) {
            off_t at = (off_t)(dirty_page(&params, d) * page_bytes);
            assert_int_equal(pread(direct, page, page_bytes, at), page_bytes);
            assert_int_equal(pread(scene.target.fd, cached, page_bytes, at), page_bytes);
            assert_memory_equal(page, cached, page_bytes);
        }
        close(direct);
        end(&scene);
    }
    free(page);
    free(cached);
}

/* ---- how much is written ---- */

/* Least that the device is seen to write in one call over several attempts: others write too. UINT64_MAX: unknown. */
static uint64_t least_written(const struct params *params)
{
    struct scene scene;
    uint64_t least = UINT64_MAX;
    begin(&scene, params);
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        order(&scene, WORK_COUNT);
        uint64_t now = scene.answer.counts.values[COUNTER_device_write_bytes];
        least = now < least ? now : least;
    }
    end(&scene);
    if (least == UINT64_MAX)
        physics_skip("the device below /var/tmp does not count its writes");
    return least;
}

static void a_clean_file_writes_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SYNCS; i++) {
        struct params params = sync_params(recipe_write_4KiB, syncs[i], 0, dirty_order_contiguous);
        assert_in_range(least_written(&params), 0, physics_page_bytes());
    }
}

static void small_folios_write_what_was_stored(void **state)
{
    const double shares[] = {0.0001, 0.1, 1};
    (void)state;
    if (physics_page_bytes() != 4 * KIB)
        physics_skip("pages here are larger than the writes that made the file");
    for (unsigned i = 0; i < SYNCS * 3; i++) {
        struct params params = sync_params(recipe_write_4KiB, syncs[i % SYNCS], shares[i / SYNCS],
                                           dirty_order_scattered);
        uint64_t stored = params.sync == sync_msync_async ? 0 : dirty_pages(&params) * physics_page_bytes();
        assert_in_range(least_written(&params), stored, stored + 8 * physics_page_bytes()); /* the journal's */
    }
}

/* One page stored to: the folio around it is dirty, and all of it is written. */
static void a_folio_is_written_whole(void **state)
{
    struct scene scene;
    struct params params = sync_params(recipe_write_1MiB, sync_sync_file_range, 0.0001, dirty_order_contiguous);
    (void)state;
    begin(&scene, &params);
    order(&scene, WORK_RESET);
    uint64_t dirty = look(&scene).dirty;
    end(&scene);
    if (dirty == 1)
        physics_skip("writes of 1 MiB make folios of one page here");
    assert_in_range(least_written(&params), dirty * physics_page_bytes(), (dirty + 8) * physics_page_bytes());
}

/* ---- how far a call reaches ---- */

struct reach_case {
    enum sync sync;
    bool whole_file;
};

/* All of the file dirty, a range in its middle synced: what is left is the rest, less the folios the range begins in.
 */
static void a_range_is_cleaned_and_no_more(void **state)
{
    static const struct reach_case cases[] = {{sync_msync, false},    {sync_msync_invalidate, false},
                                              {sync_fdatasync, true}, {sync_sync_file_range, false},
                                              {sync_fsync, true},     {sync_msync_async, false}};
    const enum recipe recipes[] = {recipe_write_4KiB, recipe_write_1MiB};
    uint64_t page_bytes = physics_page_bytes(), range = 16 * page_bytes, at = FILE_BYTES / 2 - range;
    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        const struct reach_case *reach = &cases[i % 6];
        struct params params = sync_params(recipes[i / 6], reach->sync, 1, dirty_order_contiguous);
        struct target target;
        struct err err = {0};
        struct physics_cachestat found;
        physics_open(&target, &params);
        need_cachestat(&target);
        struct worker worker = {.params = &params, .target = &target, .fd = -1, .writes = true};
        assert_int_equal(dirty_map(&worker, &err), 0);
        params.range_bytes = FILE_BYTES;
        dirty_store(&worker);
        assert_true(physics_cachestat(target.fd, FILE_BYTES, &found));
        assert_int_equal(found.dirty, FILE_BYTES / page_bytes);
        assert_int_equal(sync_apply(&worker, reach->sync, at, range), 0);
        assert_true(physics_cachestat(target.fd, FILE_BYTES, &found));
        uint64_t pages = FILE_BYTES / page_bytes, left = pages - range / page_bytes;
        uint64_t least = params.recipe == recipe_write_4KiB && page_bytes == 4 * KIB ? left
                                                                                     : left - FOLIO_MOST / page_bytes;
        if (reach->whole_file)
            assert_int_equal(found.dirty, 0);
        else if (reach->sync == sync_msync_async)
            assert_int_equal(found.dirty, pages);
        else
            assert_in_range(found.dirty, least, left);
        dirty_unmap(&worker);
        target_close(&target);
    }
}

/* ---- the engine ---- */

static void the_engine_proves_the_dirty_pages(void **state)
{
    struct params params = sync_params(recipe_write_4KiB, sync_msync, 0.1, dirty_order_contiguous);
    struct target target;
    struct physics_cell cell;
    (void)state;
    physics_open(&target, &params);
    need_cachestat(&target);
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_sync, 1);
    physics_arm(&cell, &method_sync, 1)->params.sync = sync_msync_async;
    physics_measure(&cell, &target, 8);
    for (unsigned a = 0; a < 2; a++) {
        physics_expect_ok(&cell, a);
        assert_in_range(cell.result.arms[a].before.dirty, dirty_pages(&params), UINT64_MAX - 1);
    }
    for (unsigned r = 0; r < cell.result.rounds; r++)
        assert_null(cell.result.voided[r]);
    measure_free(&cell.result);
    target_close(&target);
}

/* As if the flusher came between the reset and the clock. */
static int flushed_reset(struct worker *worker, uint64_t blocks, struct err *err)
{
    int rc = method_sync.reset(worker, blocks, err);
    return rc ? rc : target_settle(worker->target, err);
}

static void pages_written_back_too_early_void_the_batch(void **state)
{
    struct params params = sync_params(recipe_write_4KiB, sync_msync, 0.1, dirty_order_contiguous);
    struct method flushed = method_sync;
    struct target target;
    struct physics_cell cell;
    (void)state;
    flushed.reset = flushed_reset;
    physics_open(&target, &params);
    need_cachestat(&target);
    physics_begin(&cell, &params);
    physics_arm(&cell, &flushed, 1);
    physics_measure(&cell, &target, 8);
    assert_int_equal(cell.result.arms[0].status, ARM_FAILED);
    assert_non_null(strstr(cell.result.arms[0].reason, "written back before"));
    measure_free(&cell.result);
    target_close(&target);
}

/* A file in memory is never dirty: the call is measured all the same, and what it finds is nothing. */
static void memory_is_never_dirty(void **state)
{
    struct params params = sync_params(recipe_write_4KiB, sync_msync, 1, dirty_order_contiguous);
    struct scene scene;
    (void)state;
    params.backing = backing_tmpfs;
    begin(&scene, &params);
    order(&scene, WORK_RESET);
    assert_int_equal(look(&scene).dirty, 0);
    order(&scene, WORK_RUN);
    assert_int_equal(look(&scene).dirty, 0);
    end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(share_is_a_number_of_pages),
        cmocka_unit_test(each_call_cleans_or_leaves),
        cmocka_unit_test(the_reset_leaves_nothing_else_dirty),
        cmocka_unit_test(the_device_of_ext4_holds_what_was_stored),
        cmocka_unit_test(the_device_of_xfs_holds_what_was_stored),
        cmocka_unit_test(a_direct_read_finds_what_was_stored),
        cmocka_unit_test(a_clean_file_writes_nothing),
        cmocka_unit_test(small_folios_write_what_was_stored),
        cmocka_unit_test(a_folio_is_written_whole),
        cmocka_unit_test(a_range_is_cleaned_and_no_more),
        cmocka_unit_test(the_engine_proves_the_dirty_pages),
        cmocka_unit_test(pages_written_back_too_early_void_the_batch),
        cmocka_unit_test(memory_is_never_dirty),
    };
    return physics_run_beside(tests, DISTURBED_BY_WRITEBACK);
}
