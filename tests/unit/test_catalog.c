/* SPDX-License-Identifier: MIT */
/* Which files a word means: paths, folders, names of the catalogue, and what is none of these. */
#include "unit.h"

#include <limits.h>

#include "catalog.h"

static struct catalog catalog;
static struct err err;
static char before[PATH_MAX];

static int begin(void **state)
{
    catalog = (struct catalog){0};
    err = (struct err){0};
    return getcwd(before, sizeof before) ? unit_begin(state) : -1;
}

static int end(void **state)
{
    catalog_free(&catalog);
    return chdir(before) ? -1 : unit_end(state);
}

static void check_ends(unsigned index, const char *tail)
{
    assert_true(index < catalog.count);
    size_t length = strlen(catalog.paths[index]);
    if (length < strlen(tail) || strcmp(catalog.paths[index] + length - strlen(tail), tail) != 0)
        fail_msg("%s does not end in %s", catalog.paths[index], tail);
}

static void add(const char *word)
{
    if (catalog_add(&catalog, word, &err))
        fail_msg("%s", err.text);
}

static void a_file_is_itself(void **state)
{
    (void)state;
    unit_write("a.yaml", "", 0);
    unit_write("b.txt", "", 0); /* whoever names it means it */
    add(unit_path("a.yaml"));
    add(unit_path("b.txt"));
    assert_int_equal(catalog.count, 2);
    assert_string_equal(catalog.paths[0], unit_path("a.yaml"));
    assert_string_equal(catalog.paths[1], unit_path("b.txt"));
}

static void a_folder_is_every_scenario_below_it(void **state)
{
    (void)state;
    static const char *const files[] = {"b.yaml",       "a.yaml",      "sub/d.yaml", "sub/c.yaml", "note.txt",
                                        ".hidden.yaml", ".git/e.yaml", ".yaml",      "yaml"};
    assert_int_equal(mkdir(unit_path("sub"), 0700), 0);
    assert_int_equal(mkdir(unit_path(".git"), 0700), 0);
    for (size_t i = 0; i < LENGTH_OF(files); i++)
        unit_write(files[i], "", 0);
    add(unit_folder);
    assert_int_equal(catalog.count, 4);
    check_ends(0, "/a.yaml");
    check_ends(1, "/b.yaml");
    check_ends(2, "/sub/c.yaml");
    check_ends(3, "/sub/d.yaml");
}

static void a_circle_of_links_ends(void **state)
{
    (void)state;
    unit_write("a.yaml", "", 0);
    assert_int_equal(symlink(".", unit_path("loop")), 0);
    add(unit_folder);
    assert_in_range(catalog.count, 1, 100);
}

static void a_name_is_of_the_catalogue(void **state)
{
    (void)state;
    char root[PATH_MAX];
    assert_int_equal(chdir(unit_folder), 0); /* whatever the working directory */
    catalog_root(root, sizeof root);
    assert_int_equal(root[0], '/');
    add("access/read-or-map");
    assert_int_equal(catalog.count, 1);
    check_ends(0, "scenarios/access/read-or-map.yaml");
    assert_int_equal(strncmp(catalog.paths[0], root, strlen(root)), 0);
    assert_int_equal(access(catalog.paths[0], R_OK), 0);
    add("access/read-or-map.yaml");
    assert_int_equal(catalog.count, 2);
    assert_string_equal(catalog.paths[0], catalog.paths[1]);
}

static void a_name_may_be_a_folder_of_the_catalogue(void **state)
{
    (void)state;
    assert_int_equal(chdir(unit_folder), 0);
    add("floor");
    assert_true(catalog.count >= 2);
    for (unsigned i = 0; i < catalog.count; i++)
        unit_assert_text(catalog.paths[i], "/scenarios/floor/");
}

static void what_lies_here_goes_before_the_catalogue(void **state)
{
    (void)state;
    assert_int_equal(chdir(unit_folder), 0);
    assert_int_equal(mkdir("floor", 0700), 0);
    unit_write("floor/mine.yaml", "", 0);
    add("floor");
    assert_int_equal(catalog.count, 1);
    assert_string_equal(catalog.paths[0], "floor/mine.yaml");
}

static void says_what_is_missing(void **state)
{
    (void)state;
    assert_int_equal(chdir(unit_folder), 0);
    assert_int_equal(mkdir("bare", 0700), 0);
    assert_int_equal(catalog_add(&catalog, "access/none", &err), -ENOENT);
    assert_string_equal(err.text, "'access/none' is neither a file nor a scenario: see 'faultline list scenarios'");
    assert_int_equal(catalog_add(&catalog, "bare", &err), -ENOENT);
    assert_string_equal(err.text, "bare: no scenario in it");
    assert_int_equal(catalog_add(&catalog, "none.yaml", &err), -ENOENT);
    unit_assert_text(err.text, "'none.yaml' is neither");
    assert_int_equal(catalog_add(&catalog, "", &err), -ENOENT); /* an unset variable is not the whole catalogue */
    unit_assert_text(err.text, "'' is neither");
    assert_int_equal(catalog.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_itself, begin, end),
        cmocka_unit_test_setup_teardown(a_folder_is_every_scenario_below_it, begin, end),
        cmocka_unit_test_setup_teardown(a_circle_of_links_ends, begin, end),
        cmocka_unit_test_setup_teardown(a_name_is_of_the_catalogue, begin, end),
        cmocka_unit_test_setup_teardown(a_name_may_be_a_folder_of_the_catalogue, begin, end),
        cmocka_unit_test_setup_teardown(what_lies_here_goes_before_the_catalogue, begin, end),
        cmocka_unit_test_setup_teardown(says_what_is_missing, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
