/* SPDX-License-Identifier: MIT */
/*
 * What arms that write leave behind, counted by cachestat(2) and read back past the page cache: which pages are dirty
 * after stores and after pwrite, which still are after each sync, what is then on the disk, and that the checksum of a
 * cell tells an arm that wrote something else, or nothing.
 */
#include "physics.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "crew_of_one.h"
#include "sync.h"

enum { FILE_BYTES = 2 * 1024 * 1024, BLOCKS = 24 };

extern const struct method method_mmap, method_pwrite, method_pread;

static struct params write_params(enum recipe recipe, enum cache cache)
{
    struct params params = physics_params(FILE_BYTES, recipe, cache);
    params.pattern = pattern_random;
    params.touches = BLOCKS;
    return params;
}

static uint64_t dirty_pages(const struct target *target)
{
    struct physics_cachestat found;
    if (!physics_cachestat(target->fd, target->file_bytes, &found))
        physics_skip("cachestat(2): not in this kernel (Linux 6.5), or not for this filesystem");
    return found.dirty + found.writeback;
}

static void settle(const struct target *target)
{
    assert_int_equal(fsync(target->fd), 0);
    assert_int_equal(dirty_pages(target), 0);
}

/* Pages that become dirty with one byte of a folio: its size, if the file was written in folios of one size. */
static uint64_t folio_pages(const struct target *target)
{
    unsigned char byte;
    settle(target);
    assert_int_equal(pread(target->fd, &byte, 1, 0), 1);
    assert_int_equal(pwrite(target->fd, &byte, 1, 0), 1);
    uint64_t pages = dirty_pages(target);
    settle(target);
    return pages;
}

/* Folios that the first `blocks` places of the list fall into. */
static uint64_t distinct_folios(const struct crew_of_one *crew, uint64_t blocks, uint64_t folio_bytes)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < blocks; i++) {
        bool again = false;
        for (uint64_t j = 0; j < i; j++)
            again = again || crew->offsets.items[i] / folio_bytes == crew->offsets.items[j] / folio_bytes;
        count += !again;
    }
    return count;
}

struct way {
    const char *name;
    const struct method *method;
    enum lifetime lifetime;
    enum sharing sharing;
};

static const struct way ways[] = {
    {"pwrite", &method_pwrite, lifetime_kept, sharing_shared},
    {"shared mapping, kept", &method_mmap, lifetime_kept, sharing_shared},
    {"shared mapping, per pass", &method_mmap, lifetime_per_pass, sharing_shared},
};
enum { WAYS = sizeof ways / sizeof *ways };

static void begin(struct crew_of_one *crew, const struct way *way, enum recipe recipe, enum sync sync)
{
    crew->params = write_params(recipe, cache_warm);
    crew->params.sync = sync;
    crew->params.lifetime = way->lifetime;
    crew->params.sharing = way->sharing;
    crew->params.access = way->method == &method_mmap ? access_store : access_load;
    crew_begin(crew, way->method);
}

/* One page per block with folios of one page; else the whole folio that a block lies in. Exactly. */
static void dirty_pages_follow_from_the_recipe(void **state)
{
    static const enum recipe recipes[] = {recipe_write_4KiB, recipe_write_64KiB};
    (void)state;
    for (unsigned r = 0; r < sizeof recipes / sizeof *recipes; r++)
        for (unsigned w = 0; w < WAYS; w++) {
            struct crew_of_one crew;
            begin(&crew, &ways[w], recipes[r], sync_none);
            uint64_t folio = folio_pages(&crew.target), page_bytes = physics_page_bytes();
            if (recipes[r] == recipe_write_4KiB)
                assert_int_equal(folio, 1);
            uint64_t expected = distinct_folios(&crew, BLOCKS, folio * page_bytes) * folio;
            crew_order(&crew, WORK_RESET, BLOCKS);
            crew_order(&crew, WORK_RUN, BLOCKS);
            if (dirty_pages(&crew.target) != expected)
                fail_msg("%s: %llu pages are dirty, not %llu", ways[w].name,
                         (unsigned long long)dirty_pages(&crew.target), (unsigned long long)expected);
            crew_end(&crew);
        }
}

/* A descriptor past the page cache. Reading through it writes back what is dirty: look at that before. */
static int open_direct(const struct target *target)
{
    int fd = target_reopen(target, O_RDONLY | O_DIRECT);
    if (fd == -EINVAL || fd == -EOPNOTSUPP)
        physics_skip("O_DIRECT: not on this filesystem");
    assert_true(fd >= 0);
    return fd;
}

/* The file as it is on the disk. Free it. */
static unsigned char *read_disk(const struct target *target)
{
    int fd = open_direct(target);
    unsigned char *bytes = aligned_alloc(FILE_BYTES, FILE_BYTES);
    assert_non_null(bytes);
    assert_int_equal(pread(fd, bytes, FILE_BYTES, 0), FILE_BYTES);
    close(fd);
    return bytes;
}

/* What the file has to be: as before, and the buffer's bytes (ones) in the blocks that were visited. */
static void expect_contents(const struct crew_of_one *crew, const unsigned char *before, const char *name)
{
    uint64_t block_bytes = crew->params.block_bytes;
    unsigned char *expected = malloc(FILE_BYTES), *found = read_disk(&crew->target);
    assert_non_null(expected);
    memcpy(expected, before, FILE_BYTES);
    for (uint64_t i = 0; i < BLOCKS; i++)
        memset(expected + crew->offsets.items[i], 1, block_bytes);
    if (memcmp(expected, found, FILE_BYTES) != 0)
        fail_msg("%s: what is on the disk is not what was written", name);
    free(expected);
    free(found);
}

/* Every sync but MS_ASYNC leaves nothing dirty and everything on the disk; MS_ASYNC leaves all of it dirty. */
static void syncs_do_what_they_say(void **state)
{
    (void)state;
    for (unsigned w = 0; w < WAYS; w++)
        for (enum sync sync = sync_none; sync < sync_count; sync++) {
            struct crew_of_one crew;
            char name[128];
            if (sync_needs_mapping(sync) && ways[w].method != &method_mmap)
                continue;
            begin(&crew, &ways[w], recipe_write_4KiB, sync);
            snprintf(name, sizeof name, "%s, %s", ways[w].name, field_table[FIELD_sync].options[sync].spelling);
            settle(&crew.target);
            unsigned char *before = read_disk(&crew.target);
            bool lazy = sync == sync_none || sync == sync_msync_async;
            crew_order(&crew, WORK_RESET, BLOCKS);
            crew_order(&crew, WORK_RUN, BLOCKS);
            uint64_t dirty = dirty_pages(&crew.target);
            if (dirty != (lazy ? BLOCKS : 0))
                fail_msg("%s: %llu pages are dirty", name, (unsigned long long)dirty);
            expect_contents(&crew, before, name);
            free(before);
            crew_end(&crew);
        }
}

/* Stores to a private mapping: nothing gets dirty, nothing gets into the file, whatever is synced afterwards. */
static void private_stores_never_reach_the_file(void **state)
{
    static const struct way private_ways[] = {
        {"private mapping, kept", &method_mmap, lifetime_kept, sharing_private},
        {"private mapping, per pass", &method_mmap, lifetime_per_pass, sharing_private},
    };
    (void)state;
    for (unsigned w = 0; w < 2; w++) {
        struct crew_of_one crew;
        struct stat old, new;
        begin(&crew, &private_ways[w], recipe_write_4KiB, sync_none);
        settle(&crew.target);
        unsigned char *before = read_disk(&crew.target);
        assert_int_equal(fstat(crew.target.fd, &old), 0);
        crew_order(&crew, WORK_RESET, BLOCKS);
        crew_order(&crew, WORK_RUN, BLOCKS);
        assert_int_equal(dirty_pages(&crew.target), 0);
        assert_int_equal(fsync(crew.target.fd), 0);
        unsigned char *after = read_disk(&crew.target);
        assert_memory_equal(before, after, FILE_BYTES);
        assert_int_equal(fstat(crew.target.fd, &new), 0);
        assert_memory_equal(&old.st_mtim, &new.st_mtim, sizeof old.st_mtim);
        free(before);
        free(after);
        crew_end(&crew);
    }
}

/* Every batch of a cell that writes starts from the state that the cell names: clean, or dirty to the last page. */
static void batches_start_from_the_state_of_the_cell(void **state)
{
    static const enum cache caches[] = {cache_warm, cache_dirty, cache_clean, cache_cold};
    (void)state;
    for (unsigned c = 0; c < sizeof caches / sizeof *caches; c++) {
        struct params params = write_params(recipe_write_4KiB, caches[c]);
        struct physics_cell cell;
        struct target target;
        physics_open(&target, &params);
        if (!target.cachestat)
            physics_skip("cachestat(2): not in this kernel (Linux 6.5), or not for this filesystem");
        physics_begin(&cell, &params);
        physics_arm(&cell, &method_pwrite, BLOCKS);
        physics_arm(&cell, &method_mmap, BLOCKS)->params.access = access_store;
        physics_arm(&cell, &method_pread, BLOCKS);
        physics_measure(&cell, &target, 12);
        for (unsigned a = 0; a < cell.cell.arm_count; a++) {
            const struct arm_result *arm = &cell.result.arms[a];
            physics_expect_ok(&cell, a);
            assert_int_equal(arm->before.dirty, caches[c] == cache_dirty ? arm->before.pages : 0);
            assert_int_equal(arm->before.resident, caches[c] == cache_cold ? 0 : arm->before.pages);
        }
        measure_free(&cell.result);
        target_close(&target);
    }
}

/* Cells that demand a dirty file get one although no arm of theirs writes. */
static void readers_find_a_dirty_file_too(void **state)
{
    (void)state;
    struct params params = write_params(recipe_write_4KiB, cache_dirty);
    struct physics_cell cell;
    struct target target;
    physics_open(&target, &params);
    if (!target.cachestat)
        physics_skip("cachestat(2): not in this kernel (Linux 6.5), or not for this filesystem");
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_pread, BLOCKS);
    physics_arm(&cell, &method_mmap, BLOCKS);
    physics_measure(&cell, &target, 6);
    for (unsigned a = 0; a < cell.cell.arm_count; a++) {
        physics_expect_ok(&cell, a);
        assert_int_equal(cell.result.arms[a].before.dirty, cell.result.arms[a].before.pages);
    }
    assert_int_equal(cell.result.arms[0].sum, cell.result.arms[1].sum);
    measure_free(&cell.result);
    target_close(&target);
}

/* ---- arms that do not do their work ---- */

static int write_nothing(struct worker *worker, uint64_t blocks)
{
    worker->cursor = (worker->cursor + blocks) % worker->offset_count;
    return 0;
}

/* Every block a page further on; the last would end behind the file. */
static int write_elsewhere(struct worker *worker, uint64_t blocks)
{
    for (; blocks; blocks--) {
        uint64_t offset = (worker->offsets[worker->cursor] + physics_page_bytes()) % FILE_BYTES;
        if (pwrite(worker->fd, worker->buffer, worker->params->block_bytes, (off_t)offset) < 0)
            return -errno;
        worker->cursor = (worker->cursor + 1) % worker->offset_count;
    }
    return 0;
}

static int write_less(struct worker *worker, uint64_t blocks)
{
    for (; blocks; blocks--) {
        uint64_t offset = worker->offsets[worker->cursor], bytes = worker->params->block_bytes - 1;
        if (pwrite(worker->fd, worker->buffer, bytes, (off_t)offset) < 0)
            return -errno;
        worker->cursor = (worker->cursor + 1) % worker->offset_count;
    }
    return 0;
}

static int write_all_but_one(struct worker *worker, uint64_t blocks)
{
    return blocks > 1 ? method_pwrite.run(worker, blocks - 1) : 0;
}

static void checksum_tells_an_arm_that_writes_something_else(void **state)
{
    static int (*const broken_runs[])(struct worker *, uint64_t) = {write_nothing, write_elsewhere, write_less,
                                                                    write_all_but_one};
    (void)state;
    struct params params = write_params(recipe_write_4KiB, cache_warm);
    for (unsigned i = 0; i < sizeof broken_runs / sizeof *broken_runs; i++) {
        struct method broken = method_pwrite;
        struct physics_cell cell;
        struct target target;
        broken.run = broken_runs[i];
        physics_open(&target, &params);
        physics_begin(&cell, &params);
        physics_arm(&cell, &method_pwrite, BLOCKS);
        physics_arm(&cell, &broken, BLOCKS);
        physics_arm(&cell, &method_mmap, BLOCKS)->params.access = access_store;
        physics_measure(&cell, &target, 6);
        for (unsigned a = 0; a < cell.cell.arm_count; a++) {
            physics_expect_ok(&cell, a);
            assert_true(cell.result.arms[a].has_sum);
        }
        assert_int_equal(cell.result.arms[0].sum, cell.result.arms[2].sum);
        if (cell.result.arms[0].sum == cell.result.arms[1].sum)
            fail_msg("broken arm %u has the right checksum", i);
        measure_free(&cell.result);
        target_close(&target);
    }
}

/* All ways of writing have one checksum; a private mapping that is gone has none to show. */
static void checksums_of_all_ways_agree(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct params params = write_params(recipe_write_4KiB, cache_warm);
        struct physics_cell cell;
        struct target target;
        params.workers = workers;
        physics_open(&target, &params);
        physics_begin(&cell, &params);
        physics_arm(&cell, &method_pwrite, BLOCKS);
        physics_arm(&cell, &method_mmap, BLOCKS)->params.access = access_store;
        struct arm *kept = physics_arm(&cell, &method_mmap, BLOCKS);
        struct arm *gone = physics_arm(&cell, &method_mmap, BLOCKS);
        kept->params.access = gone->params.access = access_store;
        kept->params.sharing = gone->params.sharing = sharing_private;
        gone->params.lifetime = lifetime_per_pass;
        physics_measure(&cell, &target, 4);
        for (unsigned a = 0; a < cell.cell.arm_count; a++) {
            physics_expect_ok(&cell, a);
            assert_int_equal(cell.result.arms[a].has_sum, a < 3);
            if (a < 3)
                assert_int_equal(cell.result.arms[a].sum, cell.result.arms[0].sum);
        }
        measure_free(&cell.result);
        target_close(&target);
    }
}

/* The counting pass starts from the state of the cell too: every first store to a clean page faults, whoever was
 * counted before. */
static void counts_start_from_a_clean_file(void **state)
{
    (void)state;
    physics_need_exact_counts();
    struct params params = write_params(recipe_write_4KiB, cache_warm);
    struct physics_cell cell;
    struct target target;
    params.count_ops = BLOCKS;
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_pwrite, BLOCKS);
    physics_arm(&cell, &method_mmap, BLOCKS)->params.access = access_store;
    physics_arm(&cell, &method_mmap, BLOCKS)->params.access = access_store;
    physics_measure(&cell, &target, 6);
    for (unsigned a = 0; a < cell.cell.arm_count; a++) {
        physics_expect_ok(&cell, a);
        assert_int_equal(physics_count(&cell, a, COUNTER_minor_faults), a == 0 ? 0 : BLOCKS);
    }
    measure_free(&cell.result);
    target_close(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dirty_pages_follow_from_the_recipe),
        cmocka_unit_test(syncs_do_what_they_say),
        cmocka_unit_test(private_stores_never_reach_the_file),
        cmocka_unit_test(batches_start_from_the_state_of_the_cell),
        cmocka_unit_test(readers_find_a_dirty_file_too),
        cmocka_unit_test(checksum_tells_an_arm_that_writes_something_else),
        cmocka_unit_test(checksums_of_all_ways_agree),
        cmocka_unit_test(counts_start_from_a_clean_file),
    };
    return physics_run_beside(tests, DISTURBED_BY_WRITEBACK);
}
