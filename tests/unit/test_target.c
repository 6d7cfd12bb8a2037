/* SPDX-License-Identifier: MIT */
/* The file under test: made by every recipe, the same by its seed, removed early; and the user's own, only ever read.
 */
#include "unit.h"

#include "fnv.h"
#include "target.h"

enum { FILE_BYTES = 3 * 1024 * 1024 + 12345 }; /* no whole number of anything */

static struct params params;
static struct target target;
static struct target_request request;
static struct err err;
static char folder[UNIT_PATH_SIZE], given[UNIT_PATH_SIZE];

static int begin_in(const char *parent)
{
    int rc = unit_begin_in(parent);
    err = (struct err){0};
    target = (struct target){.fd = -1};
    params_default(&params);
    params.file_bytes = FILE_BYTES;
    params.cache = cache_as_found;
    snprintf(folder, sizeof folder, "%s", unit_folder);
    snprintf(given, sizeof given, "%s/given", unit_folder);
    request = (struct target_request){
        .params = &params, .directory = folder, .name = "target", .given_path = "", .seed = 42};
    return rc;
}

static int begin(void **state)
{
    (void)state;
    return begin_in("/var/tmp"); /* mostly a real disk, where files can be evicted */
}

static int end(void **state)
{
    target_close(&target);
    return unit_end(state);
}

static void open_target(void)
{
    if (target_open(&target, &request, &err))
        fail_msg("%s", err.text);
}

static uint64_t contents_of(int fd)
{
    static unsigned char bytes[FILE_BYTES];
    assert_int_equal(pread(fd, bytes, sizeof bytes, 0), sizeof bytes);
    return fnv_add(FNV_START, bytes, sizeof bytes);
}

/* Opens by a recipe and returns its contents' hash; 0 when this filesystem cannot do it, with the reason printed. */
static uint64_t contents_by(uint64_t recipe, uint64_t seed)
{
    struct stat status;
    params.recipe = recipe;
    request.seed = seed;
    int rc = target_open(&target, &request, &err);
    if (rc == -EOPNOTSUPP) {
        assert_true(strlen(err.text) > 0);
        print_message("not here: %s\n", err.text);
        target_close(&target);
        return 0;
    }
    if (rc)
        fail_msg("%s", err.text);
    assert_int_equal(target.file_bytes, FILE_BYTES);
    assert_int_equal(fstat(target.fd, &status), 0);
    assert_int_equal(status.st_size, FILE_BYTES);
    assert_true((uint64_t)status.st_blocks * 512 >= FILE_BYTES); /* blocks allocated: no holes, no compression */
    uint64_t hash = contents_of(target.fd);
    target_close(&target);
    return hash;
}

static void every_recipe_makes_the_same_file(void **state)
{
    (void)state;
    uint64_t expected = contents_by(recipe_write_1MiB, 42);
    assert_true(expected != 0);
    for (uint64_t recipe = 0; recipe < recipe_count; recipe++) {
        if (recipe == recipe_hole) /* which has no contents */
            continue;
        uint64_t found = contents_by(recipe, 42);
        if (found)
            assert_true(found == expected);
        assert_int_equal(unit_count_entries(unit_folder), 0);
    }
}

static void a_hole_reads_as_zeros_and_has_no_blocks(void **state)
{
    static const unsigned char zeros[FILE_BYTES];
    struct stat status;
    (void)state;
    params.recipe = recipe_hole;
    int rc = target_open(&target, &request, &err);
    if (rc == -EOPNOTSUPP)
        skip();
    assert_int_equal(rc, 0);
    assert_int_equal(pwrite(target.fd, "filled", 6, FILE_BYTES / 2), 6);
    assert_int_equal(target_hollow(&target, &err), 0);
    assert_true(contents_of(target.fd) == fnv_add(FNV_START, zeros, sizeof zeros));
    assert_int_equal(fstat(target.fd, &status), 0);
    assert_int_equal(status.st_size, FILE_BYTES);
    assert_int_equal(status.st_blocks, 0);
}

static void another_seed_makes_another_file(void **state)
{
    (void)state;
    uint64_t first = contents_by(recipe_write_1MiB, 1), second = contents_by(recipe_write_1MiB, 2);
    assert_true(first != second);
    assert_true(first == contents_by(recipe_write_4KiB, 1));
}

/* Incompressible: each of the 256 values about equally often. 4 sigma of 3e6 draws over 256 is 3.7 %. */
static void its_bytes_are_even(void **state)
{
    (void)state;
    static unsigned char bytes[FILE_BYTES];
    unsigned count[256] = {0};
    open_target();
    assert_int_equal(pread(target.fd, bytes, sizeof bytes, 0), sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        count[bytes[i]]++;
    for (int value = 0; value < 256; value++)
        assert_in_range(count[value], FILE_BYTES / 256 * 94 / 100, FILE_BYTES / 256 * 106 / 100);
}

static void its_name_is_gone_at_once(void **state)
{
    (void)state;
    struct stat status;
    open_target();
    assert_false(target.named);
    assert_int_equal(unit_count_entries(unit_folder), 0);
    assert_int_equal(fstat(target.fd, &status), 0);
    assert_int_equal(status.st_nlink, 0);
    int again = target_reopen(&target, O_RDONLY); /* a descriptor can be had all the same, for reading only */
    assert_true(again >= 0);
    assert_true(contents_of(again) == contents_of(target.fd));
    assert_int_equal(pwrite(again, "x", 1, 0), -1);
    close(again);
}

static void its_name_stays_when_it_is_needed(void **state)
{
    (void)state;
    struct stat status;
    request.keep_name = true;
    open_target();
    assert_true(target.named);
    assert_string_equal(target.path, unit_path("target"));
    assert_int_equal(stat(target.path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    int again = target_reopen(&target, O_RDONLY);
    assert_true(again >= 0);
    close(again);
    target_close(&target);
    assert_int_equal(unit_count_entries(unit_folder), 0);
    target_close(&target); /* twice is harmless */
}

static void somebody_elses_file_is_left_alone(void **state)
{
    (void)state;
    unit_write("target", "precious", 8);
    assert_int_equal(target_open(&target, &request, &err), -EEXIST);
    unit_assert_text(err.text, "target");
    target_close(&target);
    char *bytes = unit_read(unit_path("target"), NULL);
    assert_string_equal(bytes, "precious");
    free(bytes);
    assert_int_equal(unlink(unit_path("target")), 0);
    unit_write("elsewhere", "precious", 8);
    assert_int_equal(symlink(unit_path("elsewhere"), unit_path("target")), 0);
    assert_true(target_open(&target, &request, &err) < 0);
    target_close(&target);
    assert_true(unit_exists("target"));
    bytes = unit_read(unit_path("elsewhere"), NULL);
    assert_string_equal(bytes, "precious");
    free(bytes);
}

static void too_little_space_is_said_before_writing(void **state)
{
    (void)state;
    char needs[64];
    params.file_bytes = UINT64_C(1) << 60;
    assert_int_equal(target_open(&target, &request, &err), -ENOSPC);
    snprintf(needs, sizeof needs, "needs %llu MiB, ", (unsigned long long)((params.file_bytes + 16 * MIB) / MIB));
    unit_assert_text(err.text, unit_folder);
    unit_assert_text(err.text, needs);
    unit_assert_text(err.text, "MiB are free");
    target_close(&target);
    assert_int_equal(unit_count_entries(unit_folder), 0);
}

static void a_directory_that_is_not_there_is_named(void **state)
{
    (void)state;
    request.directory = "/nonexistent";
    assert_int_equal(target_open(&target, &request, &err), -ENOENT);
    unit_assert_text(err.text, "/nonexistent/target");
}

/* ---- the state of the page cache ---- */

static void warm_is_proven(void **state)
{
    (void)state;
    struct page_state found;
    params.cache = cache_warm;
    open_target();
    assert_int_equal(target_state(&target, FILE_BYTES, &found, &err), 0);
    assert_int_equal(found.pages, (FILE_BYTES + target.page_bytes - 1) / target.page_bytes);
    assert_int_equal(found.resident, found.pages);
    assert_null(target_state_fault(&found, cache_warm));
    assert_non_null(target_state_fault(&found, cache_cold));
    assert_int_equal(target_state(&target, 1, &found, &err), 0);
    assert_int_equal(found.pages, 1);
    assert_int_equal(found.resident, 1);
}

static void cold_is_proven_or_refused(void **state)
{
    (void)state;
    struct page_state found;
    params.cache = cache_cold;
    int rc = target_open(&target, &request, &err);
    if (rc == -EOPNOTSUPP) {
        unit_assert_text(err.text, "cannot be evicted");
        print_message("SKIP: %s\n", err.text);
        skip();
    }
    assert_int_equal(rc, 0);
    assert_int_equal(target_state(&target, FILE_BYTES, &found, &err), 0);
    assert_int_equal(found.resident, 0);
    assert_null(target_state_fault(&found, cache_cold));
    assert_non_null(target_state_fault(&found, cache_warm));
    assert_int_equal(target_warm(&target, FILE_BYTES, &err), 0);
    assert_int_equal(target_state(&target, FILE_BYTES, &found, &err), 0);
    assert_null(target_state_fault(&found, cache_warm));
}

static int begin_in_memory(void **state)
{
    (void)state;
    return begin_in("/dev/shm");
}

static void memory_cannot_be_evicted(void **state)
{
    (void)state;
    params.cache = cache_cold;
    assert_int_equal(target_open(&target, &request, &err), -EOPNOTSUPP);
    unit_assert_text(err.text, "cannot be evicted");
    unit_assert_text(err.text, "pages stay resident");
}

static void check_fault(uint64_t resident, uint64_t dirty, uint64_t writeback, const char *good)
{
    static const char *const names[] = {"warm", "cold", "clean", "as-found"};
    static const enum cache caches[] = {cache_warm, cache_cold, cache_clean, cache_as_found};
    struct page_state found = {.pages = 10, .resident = resident, .dirty = dirty, .writeback = writeback};
    for (size_t i = 0; i < LENGTH_OF(caches); i++)
        if ((target_state_fault(&found, caches[i]) == NULL) != (strstr(good, names[i]) != NULL))
            fail_msg("%d resident, %d dirty, %d under writeback: is it %s?", (int)resident, (int)dirty, (int)writeback,
                     names[i]);
}

static void each_state_demands_its_own(void **state)
{
    (void)state;
    check_fault(10, 0, 0, "warm clean as-found");
    check_fault(9, 0, 0, "clean as-found");
    check_fault(0, 0, 0, "cold clean as-found");
    check_fault(1, 0, 0, "clean as-found");
    check_fault(10, 1, 0, "as-found");
    check_fault(10, 0, 1, "as-found");
    check_fault(10, UINT64_MAX, UINT64_MAX, "warm as-found"); /* mincore cannot tell: recorded as unknown */
    check_fault(0, UINT64_MAX, UINT64_MAX, "cold as-found");
    check_fault(UINT64_MAX, UINT64_MAX, UINT64_MAX, "as-found"); /* nothing can be told */
}

static void a_signature_counts_its_pages(void **state)
{
    (void)state;
    uint64_t pages, faults;
    params.cache = cache_warm;
    open_target();
    assert_int_equal(target_signature(&target, UINT64_MAX, &pages, &faults, &err), 0);
    assert_int_equal(pages, (FILE_BYTES + target.page_bytes - 1) / target.page_bytes);
    assert_in_range(faults, 1, pages);
}

/* ---- the user's own file ---- */

static void make_given(uint64_t bytes)
{
    struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    unsigned char *contents = malloc(bytes);
    assert_non_null(contents);
    for (uint64_t i = 0; i < bytes; i++)
        contents[i] = (unsigned char)(i * 7 + i / 251);
    unit_write("given", contents, bytes);
    free(contents);
    assert_int_equal(chmod(given, 0400), 0);
    assert_int_equal(utimensat(AT_FDCWD, given, old, 0), 0);
    request.given_path = given;
}

static struct stat status_of_given(void)
{
    struct stat status;
    assert_int_equal(stat(given, &status), 0);
    return status;
}

static void check_untouched(const struct stat *before, uint64_t contents)
{
    struct stat now = status_of_given();
    assert_int_equal(now.st_ino, before->st_ino);
    assert_int_equal(now.st_size, before->st_size);
    assert_int_equal(now.st_mode, before->st_mode);
    assert_memory_equal(&now.st_mtim, &before->st_mtim, sizeof now.st_mtim);
    assert_memory_equal(&now.st_ctim, &before->st_ctim, sizeof now.st_ctim);
    int fd = open(given, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(contents_of(fd) == contents);
    close(fd);
}

static uint64_t contents_of_given(void)
{
    int fd = open(given, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    uint64_t hash = contents_of(fd);
    close(fd);
    return hash;
}

static void the_users_file_is_only_read(void **state)
{
    (void)state;
    make_given(FILE_BYTES + 1000);
    struct stat before = status_of_given();
    uint64_t contents = contents_of_given(), pages, faults;
    static const uint64_t caches[] = {cache_as_found, cache_warm, cache_clean, cache_cold};
    params.backing = backing_given;
    for (size_t i = 0; i < LENGTH_OF(caches); i++) {
        params.cache = caches[i];
        request.allow_evict = caches[i] == cache_cold;
        int rc = target_open(&target, &request, &err);
        if (rc != 0 && !(rc == -EOPNOTSUPP && caches[i] == cache_cold))
            fail_msg("%s", err.text);
        assert_string_equal(target.path, given);
        assert_int_equal(target.file_bytes, FILE_BYTES + 1000);
        assert_int_equal(fcntl(target.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        assert_int_equal(target_warm(&target, FILE_BYTES, &err), 0);
        assert_int_equal(target_signature(&target, UINT64_MAX, &pages, &faults, &err), 0);
        int again = target_reopen(&target, O_RDONLY);
        assert_true(again >= 0);
        close(again);
        target_close(&target);
        check_untouched(&before, contents);
    }
    assert_int_equal(unit_count_entries(unit_folder), 1);
}

static void the_users_cache_is_not_emptied_unasked(void **state)
{
    (void)state;
    make_given(FILE_BYTES);
    params.backing = backing_given;
    open_target();
    assert_int_equal(target_evict(&target, &err), -EPERM);
    unit_assert_text(err.text, "--allow-evict");
    unit_assert_text(err.text, given);
    target_close(&target);
    params.cache = cache_cold;
    assert_int_equal(target_open(&target, &request, &err), -EPERM);
    target_close(&target);
    request.allow_evict = true;
    params.cache = cache_as_found;
    open_target();
    assert_int_equal(target_evict(&target, &err), 0);
}

static void a_file_that_shrank_is_said_to(void **state)
{
    (void)state;
    make_given(FILE_BYTES - 1);
    params.backing = backing_given;
    assert_int_equal(target_open(&target, &request, &err), -EIO);
    unit_assert_text(err.text, "has shrunk");
    target_close(&target);
    request.given_path = "/nonexistent";
    assert_int_equal(target_open(&target, &request, &err), -ENOENT);
    unit_assert_text(err.text, "/nonexistent");
}

static void a_private_copy_holds_the_users_bytes(void **state)
{
    (void)state;
    make_given(FILE_BYTES);
    struct stat before = status_of_given();
    uint64_t contents = contents_of_given();
    for (uint64_t recipe = recipe_write_4KiB; recipe <= recipe_write_2MiB; recipe++)
        assert_true(contents_by(recipe, 1) == contents);
    check_untouched(&before, contents);
    params.file_bytes = FILE_BYTES + 1; /* more than there is */
    assert_int_equal(target_open(&target, &request, &err), -ENODATA);
    unit_assert_text(err.text, "target");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_recipe_makes_the_same_file, begin, end),
        cmocka_unit_test_setup_teardown(a_hole_reads_as_zeros_and_has_no_blocks, begin, end),
        cmocka_unit_test_setup_teardown(another_seed_makes_another_file, begin, end),
        cmocka_unit_test_setup_teardown(its_bytes_are_even, begin, end),
        cmocka_unit_test_setup_teardown(its_name_is_gone_at_once, begin, end),
        cmocka_unit_test_setup_teardown(its_name_stays_when_it_is_needed, begin, end),
        cmocka_unit_test_setup_teardown(somebody_elses_file_is_left_alone, begin, end),
        cmocka_unit_test_setup_teardown(too_little_space_is_said_before_writing, begin, end),
        cmocka_unit_test_setup_teardown(a_directory_that_is_not_there_is_named, begin, end),
        cmocka_unit_test_setup_teardown(warm_is_proven, begin, end),
        cmocka_unit_test_setup_teardown(cold_is_proven_or_refused, begin, end),
        cmocka_unit_test_setup_teardown(memory_cannot_be_evicted, begin_in_memory, end),
        cmocka_unit_test(each_state_demands_its_own),
        cmocka_unit_test_setup_teardown(a_signature_counts_its_pages, begin, end),
        cmocka_unit_test_setup_teardown(the_users_file_is_only_read, begin, end),
        cmocka_unit_test_setup_teardown(the_users_cache_is_not_emptied_unasked, begin, end),
        cmocka_unit_test_setup_teardown(a_file_that_shrank_is_said_to, begin, end),
        cmocka_unit_test_setup_teardown(a_private_copy_holds_the_users_bytes, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
