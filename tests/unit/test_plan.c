/* SPDX-License-Identifier: MIT */
/* From scenarios to cells and arms: precedence, automatic values, refusals, the user's own file, hashes. */
#include <math.h>

#include "scenario_files.h"

#include <errno.h>
#include <glob.h>

#include "plan_parts.h"
#include "scenario.h"

static struct scenario *loaded[16];
static unsigned loaded_count;
static struct err err;

static void unload(void)
{
    while (loaded_count)
        scenario_free(loaded[--loaded_count]);
}

static void load_file(const char *path)
{
    if (scenario_load(path, &loaded[loaded_count], &err))
        fail_msg("%s", err.text);
    loaded_count++;
}

static void load_text(const char *text)
{
    unload();
    load_file(files_write("test.yaml", text, strlen(text)));
}

static int make(struct plan *plan, struct plan_options options)
{
    options.cpu_count = options.cpu_count ? options.cpu_count : 2;
    options.directory = options.directory ? options.directory : "/var/tmp";
    err = (struct err){0};
    return plan_make(plan, loaded, loaded_count, &options, &err);
}

static struct plan make_good(const char *text, struct plan_options options)
{
    struct plan plan;
    load_text(text);
    if (make(&plan, options))
        fail_msg("%s", err.text);
    unload();
    return plan;
}

#define HEAD "question: q\nop: o\n"
#define ARM "arms: [{name: a, method: pread}]\n"

static void test_precedence(void **state)
{
    (void)state;
    static const char text[] = HEAD
        "common: {file_bytes: 1MiB, count_ops: 10, latency_ops: 10, batch_time: 1ms, buffer: touched}\n"
        "vary: {block_bytes: [64, 128]}\n"
        "arms: [{name: a, method: pread}, {name: b, method: pread, buffer: huge}]\n"
        "profiles: {thorough: {count_ops: 20, latency_ops: 20, vary: {block_bytes: [256]}}}\n";
    const char *sets[] = {"latency_ops=30"};
    struct plan plan = make_good(text, (struct plan_options){.profile = "thorough", .sets = sets, .set_count = 1});
    assert_int_equal(plan.cell_count, 1);
    const struct cell *cell = &plan.cells[0];
    assert_int_equal(cell->params.workers, 1);               /* the table */
    assert_int_equal(cell->params.file_bytes, MIB);          /* common */
    assert_int_equal(cell->params.count_ops, 20);            /* the profile before common */
    assert_int_equal(cell->params.latency_ops, 30);          /* --set before the profile */
    assert_int_equal(cell->arms[0].params.block_bytes, 256); /* what varies, and there the profile's list */
    assert_int_equal(cell->arms[0].params.buffer, buffer_touched);
    assert_int_equal(cell->arms[1].params.buffer, buffer_huge); /* the arm before common */
    plan_free(&plan);
}

static void test_cells_in_table_order(void **state)
{
    (void)state;
    struct plan plan = make_good(
        HEAD "vary: {block_bytes: [4096, 64], pattern: [random, sequential], file_bytes: [1MiB]}\n" ARM,
        (struct plan_options){0});
    assert_int_equal(plan.cell_count, 4);
    assert_string_equal(plan.cells[0].id, "file_bytes=1MiB,pattern=random,block_bytes=4KiB");
    assert_string_equal(plan.cells[1].id, "file_bytes=1MiB,pattern=random,block_bytes=64");
    assert_string_equal(plan.cells[3].id, "file_bytes=1MiB,pattern=sequential,block_bytes=64");
    plan_free(&plan);
    plan = make_good(HEAD ARM, (struct plan_options){0});
    assert_string_equal(plan.cells[0].id, "all");
    plan_free(&plan);
}

/* More workers than this machine may have CPUs for: what they need is reckoned all the same. */
static void test_crowds(void **state)
{
    (void)state;
    static const struct {
        const char *workers, *arm, *message; /* NULL: it is fine */
    } crowds[] = {
        {"7", "method: write_write", NULL},
        {"8", "method: write_write", ":4:8: 8 workers need 4608 bytes to meet on"},
        {"6", "method: write_write, apart_bytes: 408", NULL},
        {"6", "method: write_write, apart_bytes: 416", ": words 416 apart do not lie in half of a working set"},
        {"6", "method: reader_writer, apart_bytes: 416", NULL},
        {"3", "method: false_sharing", ": false_sharing is what two workers do to each other"},
        {"3", "method: ping_pong", ": no arm has work for the workers beyond two"},
        {"3", "method: ping_pong, background: write", NULL},
    };
    for (size_t i = 0; i < sizeof crowds / sizeof *crowds; i++) {
        char text[400];
        struct plan plan;
        snprintf(text, sizeof text,
                 HEAD "common: {backing: memfd, file_bytes: 4KiB, cache: as-found, latency: none, workers: %s}\n"
                      "arms: [{name: a, %s}]\n",
                 crowds[i].workers, crowds[i].arm);
        load_text(text);
        int rc = make(&plan, (struct plan_options){.cpu_count = 32});
        if (crowds[i].message && (rc == 0 || !strstr(err.text, crowds[i].message)))
            fail_msg("%s %s: %s", crowds[i].workers, crowds[i].arm, err.text);
        if (!crowds[i].message && rc)
            fail_msg("%s", err.text);
        plan_free(&plan);
    }
    unload();
}

/* With fewer CPUs than it takes the cell is left out, and the run goes on with the others. */
static void test_crowds_need_cpus(void **state)
{
    (void)state;
    struct plan plan = make_good(HEAD "common: {backing: memfd, file_bytes: 64KiB, cache: as-found, latency: none}\n"
                                      "vary: {workers: [2, 4]}\narms: [{name: a, method: write_write}]\n",
                                 (struct plan_options){.cpu_count = 2});
    assert_int_equal(plan.cell_count, 1);
    assert_int_equal(plan.refused_count, 1);
    assert_string_equal(plan.refused[0].cell, "workers=4");
    assert_non_null(strstr(plan.refused[0].reason, "4 spinning workers need 4 CPUs, this machine has 2"));
    plan_free(&plan);
}

static void test_excluded_cells_are_told(void **state)
{
    (void)state;
    struct plan plan = make_good(HEAD "vary: {block_bytes: [64KiB, 64], working_set_bytes: [4096, 64KiB]}\n"
                                      "exclude:\n  - {block_bytes: 65536, working_set_bytes: 4KiB}\n" ARM,
                                 (struct plan_options){0});
    assert_int_equal(plan.cell_count, 3);
    assert_int_equal(plan.refused_count, 1);
    assert_string_equal(plan.refused[0].cell, "working_set_bytes=4KiB,block_bytes=64KiB");
    assert_string_equal(plan.refused[0].reason, "excluded by line 5 of the scenario");
    plan_free(&plan);
}

static void test_null_arm_is_the_baseline_again(void **state)
{
    (void)state;
    struct plan plan = make_good(HEAD "arms: [{name: a, method: pread, buffer: huge}, {name: b, method: mmap}]\n",
                                 (struct plan_options){0});
    const struct cell *cell = &plan.cells[0];
    assert_int_equal(cell->arm_count, 3);
    assert_string_equal(cell->arms[2].name, "null");
    assert_true(cell->arms[2].is_null);
    assert_false(cell->arms[0].is_null || cell->arms[1].is_null);
    assert_ptr_equal(cell->arms[2].method, cell->arms[0].method);
    assert_memory_equal(&cell->arms[2].params, &cell->arms[0].params, sizeof cell->arms[0].params);
    plan_free(&plan);
    plan = make_good(HEAD "null_arm: false\n" ARM, (struct plan_options){0});
    assert_int_equal(plan.cells[0].arm_count, 1);
    plan_free(&plan);
}

static const char narrowed_text[] = HEAD "common: {file_bytes: 1MiB}\n"
                                         "vary: {recipe: [write-4KiB, write-1MiB], block_bytes: [64, 4KiB]}\n"
                                         "arms: [{name: a, method: pread, buffer: huge}, {name: b, method: mmap}, "
                                         "{name: c, method: mmap, lifetime: per_pass}]\n";

/* What is kept is what it is in the whole plan, cell by cell and arm by arm; the first arm left is the baseline. */
static void test_narrowed_to_cells_and_arms(void **state)
{
    (void)state;
    struct plan whole = make_good(narrowed_text, (struct plan_options){.profile = "standard"});
    struct plan plan = make_good(narrowed_text, (struct plan_options){.cell = "block_bytes=4096", .arms = "c,b"});
    assert_int_equal(whole.cell_count, 4);
    assert_int_equal(plan.cell_count, 2);
    assert_int_equal(plan.refused_count, 0);
    for (unsigned i = 0; i < 2; i++) {
        const struct cell *cell = &plan.cells[i], *same = &whole.cells[2 * i + 1];
        assert_string_equal(cell->id, same->id);
        assert_memory_equal(&cell->params, &same->params, sizeof cell->params);
        assert_int_equal(cell->arm_count, 3);
        for (unsigned a = 0; a < 2; a++) {
            assert_string_equal(cell->arms[a].name, same->arms[a + 1].name);
            assert_memory_equal(&cell->arms[a].params, &same->arms[a + 1].params, sizeof cell->arms[a].params);
        }
        assert_true(cell->arms[2].is_null);
        assert_ptr_equal(cell->arms[2].method, cell->arms[0].method);
        assert_memory_equal(&cell->arms[2].params, &cell->arms[0].params, sizeof cell->arms[0].params);
    }
    assert_string_not_equal(plan.scenarios[0].hash, whole.scenarios[0].hash);
    plan_free(&plan);
    plan_free(&whole);
    plan = make_good(narrowed_text, (struct plan_options){.cell = "block_bytes=64,recipe=write-1MiB", .arms = "a"});
    assert_int_equal(plan.cell_count, 1);
    assert_string_equal(plan.cells[0].id, "recipe=write-1MiB,block_bytes=64");
    assert_int_equal(plan.cells[0].arm_count, 2);
    plan_free(&plan);
    plan = make_good(HEAD "null_arm: false\narms: [{name: a, method: pread}, {name: b, method: mmap}]\n",
                     (struct plan_options){.arms = "b"});
    assert_int_equal(plan.cells[0].arm_count, 1);
    assert_string_equal(plan.cells[0].arms[0].name, "b");
    plan_free(&plan);
}

/* The ladder of trials is that of the comparisons that are left. */
static void test_narrowed_rungs(void **state)
{
    (void)state;
    static const char text[] = HEAD
        "vary: {block_bytes: [64, 128, 256, 512, 1KiB, 2KiB]}\n"
        "arms: [{name: a, method: pread}, {name: b, method: mmap}, {name: c, method: mmap}]\n";
    struct plan plan = make_good(text, (struct plan_options){0});
    assert_int_equal(plan.scenarios[0].rungs[0], 10); /* 12 comparisons: 2^-8 is not small enough */
    plan_free(&plan);
    plan = make_good(text, (struct plan_options){.arms = "a,b"});
    assert_int_equal(plan.scenarios[0].rungs[0], 8);
    plan_free(&plan);
    plan = make_good(text, (struct plan_options){.cell = "block_bytes=64"});
    assert_int_equal(plan.scenarios[0].rungs[0], 8);
    plan_free(&plan);
}

/* A scenario that has none of the wanted cells or arms is not in the plan: nor are its budget and what it refuses. */
static void test_narrowed_to_scenarios(void **state)
{
    (void)state;
    static const char *const texts[] = {
        HEAD "vary: {block_bytes: [64, 4KiB]}\narms: [{name: a, method: pread}]\nprofiles: {quick: {budget: 3s}}\n",
        HEAD "vary: {block_bytes: [64]}\nexclude: [{block_bytes: 64}]\narms: [{name: b, method: pread}]\n",
        HEAD "vary: {file_bytes: [4KiB]}\narms: [{name: a, method: pread}]\nprofiles: {quick: {budget: 5s}}\n",
        HEAD "common: {block_bytes: 64}\narms: [{name: a, method: pread}]\nprofiles: {quick: {budget: 7s}}\n",
    };
    static const struct {
        const char *cell;
        uint64_t budget_s;
        const char *scenario, *id;
    } cases[] = {{"block_bytes=64", 3, "s0", "block_bytes=64"},
                 {"file_bytes=4096", 5, "s2", "file_bytes=4KiB"},
                 {"all", 7, "s3", "all"}};
    unload();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%zu.yaml", i);
        load_file(files_write(name, texts[i], strlen(texts[i])));
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plan plan;
        if (make(&plan, (struct plan_options){.profile = "quick", .cell = cases[i].cell, .arms = "a"}))
            fail_msg("%s", err.text);
        assert_int_equal(plan.scenario_count, 1);
        assert_string_equal(plan.scenarios[0].name, cases[i].scenario);
        assert_int_equal(plan.cell_count, 1);
        assert_int_equal(plan.cells[0].scenario, 0);
        assert_string_equal(plan.cells[0].id, cases[i].id);
        assert_int_equal(plan.refused_count, 0);
        assert_int_equal(plan.budget_ns, cases[i].budget_s * 1000 * MS);
        plan_free(&plan);
    }
    unload();
}

/* Each name once, up to where the room for them ends. */
static void test_names_there_are(void **state)
{
    (void)state;
    static const char text[] = HEAD "vary: {block_bytes: [64, 128, 1]}\n" ARM;
    char many[1000] = HEAD "vary: {block_bytes: [", expected[400] = "";
    struct plan plan;
    unload();
    for (unsigned i = 0; i < 2; i++)
        load_file(files_write(i ? "y.yaml" : "x.yaml", text, strlen(text)));
    assert_int_equal(make(&plan, (struct plan_options){.cell = "block_bytes=2"}), -EINVAL);
    plan_free(&plan);
    assert_string_equal(err.text, "--cell block_bytes=2: there is no such cell; there are: block_bytes=64, "
                                  "block_bytes=128, block_bytes=1");
    for (unsigned i = 0; i < 20; i++) /* the last would fit where one before it does not */
        snprintf(many + strlen(many), sizeof many - strlen(many), "%u, ", 100000001 + i);
    strcat(many, "1]}\n" ARM);
    load_text(many);
    assert_int_equal(make(&plan, (struct plan_options){.cell = "block_bytes=2"}), -EINVAL);
    plan_free(&plan);
    unload();
    snprintf(expected, sizeof expected, "block_bytes=100000001, block_bytes=100000002, ");
    assert_non_null(strstr(err.text, expected));
    assert_string_equal(err.text + strlen(err.text) - strlen(", …"), ", …");
}

/* A value that an arm sets itself is refused where that arm is wanted. */
static void test_set_of_an_arm_that_is_left_out(void **state)
{
    (void)state;
    static const char *const sets[] = {"buffer=touched"};
    static const char text[] = HEAD "arms: [{name: a, method: pread, buffer: huge}, {name: b, method: pread}]\n";
    struct plan plan = make_good(text, (struct plan_options){.arms = "b", .sets = sets, .set_count = 1});
    assert_int_equal(plan.cells[0].arms[0].params.buffer, buffer_touched);
    plan_free(&plan);
    load_text(text);
    assert_int_equal(make(&plan, (struct plan_options){.arms = "a,b", .sets = sets, .set_count = 1}), -EINVAL);
    plan_free(&plan);
    unload();
    assert_non_null(strstr(err.text, "--set buffer=touched: the arm 'a' of test sets buffer itself"));
}

#define SIXTY_FOUR "a234567890123456789012345678901234567890123456789012345678901234"

static void test_bad_narrowing(void **state)
{
    (void)state;
    static const char *const sets[] = {"sharing=private"};
    static const struct {
        struct plan_options options;
        const char *expected;
    } cases[] = {
        {{.cell = ""}, "--cell: an item of the list is empty"},
        {{.cell = "block_bytes=64,"}, "--cell: an item of the list is empty"},
        {{.cell = ",block_bytes=64"}, "--cell: an item of the list is empty"},
        {{.cell = "recipe=write-4KiB,,block_bytes=64"}, "--cell: an item of the list is empty"},
        {{.cell = "block_bytes=" SIXTY_FOUR SIXTY_FOUR},
         "--cell block_bytes=a23456789012345678901234567890123456789012"
         "345678…: no item of the list has more than 127 bytes"},
        {{.cell = "recipe"}, "--cell recipe: write key=value"},
        {{.cell = "all,block_bytes=64"}, "--cell all: write key=value"},
        {{.cell = "colour=red"}, "--cell colour=red: unknown key"},
        {{.cell = "block_bytes=4k"}, "--cell block_bytes=4k: '4k' is not a size"},
        {{.cell = "block_bytes=64,block_bytes=64"}, "--cell block_bytes=64: block_bytes is asked for twice"},
        {{.cell = "block_bytes=65"},
         "--cell block_bytes=65: there is no such cell; there are: recipe=write-4KiB,block_bytes=64, "},
        {{.cell = "all"}, "--cell all: there is no such cell; there are: recipe=write-4KiB,block_bytes=64, "},
        {{.cell = "cache=warm"}, "--cell cache=warm: there is no such cell; there are: "}, /* it does not vary */
        {{.arms = ""}, "--arms: an item of the list is empty"},
        {{.arms = "a,"}, "--arms: an item of the list is empty"},
        {{.arms = ",a"}, "--arms: an item of the list is empty"},
        {{.arms = "a,,b"}, "--arms: an item of the list is empty"},
        {{.arms = "a,b,a"}, "--arms: a is asked for twice"},
        {{.arms = "b," SIXTY_FOUR},
         "--arms a23456789012345678901234567890123456789012345678901234567890…: no item of "
         "the list has more than 63 bytes"},
        {{.arms = "a,null"}, "--arms: there is no arm 'null'; there are: a, b, c"},
        {{.arms = "a", .sets = sets, .set_count = 1}, "--set sharing=private: no arm heeds sharing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plan plan;
        load_text(narrowed_text);
        assert_int_equal(make(&plan, cases[i].options), -EINVAL);
        plan_free(&plan);
        if (strncmp(err.text, cases[i].expected, strlen(cases[i].expected)) != 0)
            fail_msg("'%s' does not begin with '%s'", err.text, cases[i].expected);
    }
    unload();
}

static void test_automatic_values(void **state)
{
    (void)state;
    struct plan plan = make_good(HEAD "common: {file_bytes: 1MiB, block_bytes: auto, per: pass}\n" ARM,
                                 (struct plan_options){0});
    const struct params *params = &plan.cells[0].arms[0].params;
    assert_int_equal(params->working_set_bytes, MIB);
    assert_int_equal(params->block_bytes, 128 * KIB);
    assert_int_equal(params->touches, 8);
    assert_int_equal(params->stride_bytes, (uint64_t)sysconf(_SC_PAGESIZE));
    plan_free(&plan);
    plan = make_good(HEAD "common: {file_bytes: 5000, block_bytes: auto}\n" ARM, (struct plan_options){0});
    assert_int_equal(plan.cells[0].arms[0].params.block_bytes, 5000);
    assert_int_equal(plan.cells[0].arms[0].params.touches, 1);
    plan_free(&plan);
}

static void test_arms_know_only_what_they_use(void **state)
{
    (void)state;
    struct plan plan = make_good(HEAD "common: {lifetime: per_pass, touches: 7}\n"
                                      "arms: [{name: a, method: pread}, {name: b, method: mmap}]\n",
                                 (struct plan_options){0});
    assert_int_equal(plan.cells[0].arms[0].params.lifetime, lifetime_kept);
    assert_int_equal(params_granule(&plan.cells[0].arms[0].params), 1);
    assert_int_equal(params_granule(&plan.cells[0].arms[1].params), 7);
    plan_free(&plan);
}

static void check_bad(const char *path, const char *expected)
{
    struct plan plan;
    unload();
    load_file(path);
    assert_int_equal(make(&plan, (struct plan_options){0}), -EINVAL);
    assert_int_equal(err.code, EINVAL);
    assert_string_equal(err.text, expected);
    plan_free(&plan);
    unload();
}

static void test_bad_files(void **state)
{
    (void)state;
    assert_true(files_each_bad("plan-", check_bad) >= 38);
}

static void check_set(const char *text, const char *const *sets, unsigned count, const char *expected)
{
    struct plan plan;
    load_text(text);
    assert_int_equal(make(&plan, (struct plan_options){.sets = sets, .set_count = count}), -EINVAL);
    if (!strstr(err.text, expected))
        fail_msg("'%s' is not in '%s'", expected, err.text);
    plan_free(&plan);
    unload();
}

static void test_bad_sets(void **state)
{
    (void)state;
    static const char text[] = HEAD "vary: {cache: [warm, clean]}\narms: [{name: a, method: pread, buffer: huge}]\n";
    static const char *const cases[][2] = {
        {"cache=warm", "--set cache=warm: test varies cache"},
        {"buffer=fresh", "--set buffer=fresh: the arm 'a' of test sets buffer itself"},
        {"sharing=shared", "--set sharing=shared: no arm heeds sharing"},
        {"colour=red", "--set colour=red: unknown key"},
        {"pattern", "--set pattern: write key=value"},
        {"=random", "--set =random: write key=value"},
        {"pattern=fast", "--set pattern=fast: 'fast' is not a pattern"},
        {"file_bytes=4k", "--set file_bytes=4k: '4k' is not a size"},
        {"backing=given", "--set backing=given: --file PATH says which file"},
        {"workers=64", "--set workers=64: 64 spinning workers need 64 CPUs, this machine has 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_set(text, &cases[i][0], 1, cases[i][1]);
    static const char *const twice[] = {"workers=1", "workers=1"};
    check_set(text, twice, 2, "--set workers=1: workers is set twice");
}

/* A key one scenario varies is not silently set in the others. */
static void test_set_of_several_scenarios(void **state)
{
    (void)state;
    struct plan plan;
    static const char first[] = HEAD ARM, second[] = HEAD "vary: {block_bytes: [64, 128]}\n" ARM;
    const char *sets[] = {"block_bytes=256"};
    unload();
    load_file(files_write("first.yaml", first, sizeof first - 1));
    load_file(files_write("second.yaml", second, sizeof second - 1));
    assert_int_equal(make(&plan, (struct plan_options){.sets = sets, .set_count = 1}), -EINVAL);
    assert_string_equal(err.text, "--set block_bytes=256: second varies block_bytes");
    plan_free(&plan);
    unload();
}

static void test_same_scenario_twice(void **state)
{
    (void)state;
    struct plan plan;
    load_text(HEAD ARM);
    load_file(files_write("test.yaml", HEAD ARM, strlen(HEAD ARM)));
    assert_int_equal(make(&plan, (struct plan_options){0}), -EINVAL);
    assert_non_null(strstr(err.text, "the scenario test is already in the plan"));
    plan_free(&plan);
    unload();
}

static void test_bad_options(void **state)
{
    (void)state;
    static const struct {
        struct plan_options options;
        int rc;
        const char *message;
    } cases[] = {
        {{.profile = "fast"}, -EINVAL, "--profile fast: one of quick, standard, thorough"},
        {{.has_seed = true, .seed = UINT64_C(1) << 53}, -EINVAL, "--seed 9007199254740992: must be below 2^53"},
        {{.directory = "/nonexistent"}, -ENOENT, "--directory /nonexistent: No such file or directory"},
        {{.given_path = "/nonexistent"}, -ENOENT, "--file /nonexistent: No such file or directory"},
        {{.given_path = "/tmp"}, -EISDIR, "--file /tmp: this is a directory"},
        {{.given_path = "/dev/null"}, -EINVAL, "--file /dev/null: not a regular file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plan plan;
        load_text(HEAD ARM);
        assert_int_equal(make(&plan, cases[i].options), cases[i].rc);
        assert_string_equal(err.text, cases[i].message);
        plan_free(&plan);
        unload();
    }
}

static void test_cold_needs_a_disk(void **state)
{
    (void)state;
    struct plan plan;
    load_text(HEAD "common: {cache: cold}\n" ARM);
    assert_int_equal(make(&plan, (struct plan_options){.directory = "/dev/shm"}), -EINVAL);
    assert_non_null(strstr(err.text, ":3:10: no file can be cold in this directory, which lies on tmpfs"));
    plan_free(&plan);
    unload();
}

/* Whose CPUs do not matter: one node that has CPUs, and what memory there is. */
static void test_memory_nodes(void **state)
{
    (void)state;
    static const char *const refused[] = {[memory_node_remote] = "remote", [memory_node_interleave] = "interleave"};
    static const struct cpu_row rows[] = {{.os_index = 0, .core = 0}, {.os_index = 1, .core = 1}};
    struct pairs pairs;
    pairs_classify(&pairs, rows, 2, NULL, 1);
    for (enum memory_node where = memory_node_any; where < memory_node_count; where++)
        for (unsigned nodes = 0; nodes < 4; nodes++) {
            struct plan plan;
            char text[200], wanted[100];
            snprintf(text, sizeof text,
                     HEAD "common: {backing: memfd, file_bytes: 64KiB, cache: as-found, memory_node: %s}\n" ARM,
                     field_table[FIELD_memory_node].options[where].spelling);
            load_text(text);
            int rc = make(&plan, (struct plan_options){.pairs = &pairs, .memory_nodes = nodes});
            snprintf(wanted, sizeof wanted, "memory_node: %s needs two memory nodes, there %s %u",
                     refused[where] ? refused[where] : "", nodes == 1 ? "is" : "are", nodes);
            assert_int_equal(rc, refused[where] && nodes < 2 ? -EINVAL : 0);
            assert_true(rc == 0 || strstr(err.text, wanted));
            plan_free(&plan);
            unload();
        }
}

static double measure_seconds(const char *text)
{
    struct plan plan = make_good(text, (struct plan_options){.profile = "quick"});
    double seconds = plan.estimate_measure_s;
    plan_free(&plan);
    return seconds;
}

/* What is asked for besides is in the estimate, and what an arm does not do is not. */
static void test_parts_of_the_estimate(void **state)
{
    (void)state;
    double none = measure_seconds(HEAD "common: {latency: none}\n" ARM);
    double one = measure_seconds(HEAD "common: {latency: closed, latency_ops: 1000000, latency_time: 100ms}\n" ARM);
    double two = measure_seconds(HEAD "common: {latency: closed, latency_ops: 1000000, latency_time: 200ms}\n" ARM);
    assert_true(fabs((two - none) / (one - none) - 2) < 1e-3);
    double few = measure_seconds(HEAD "common: {latency: none}\nprofiles: {quick: {trials: 8}}\n" ARM);
    double many = measure_seconds(HEAD "common: {latency: none}\nprofiles: {quick: {trials: 16}}\n" ARM);
    assert_true(few < many); /* the first two rungs, as far as they go */
}

/* A group's files are the most that any of its cells has, whichever comes first. */
static void test_preparing_a_group(void **state)
{
    (void)state;
    static const char *const orders[] = {"[1, 2]", "[2, 1]"};
    double seconds[2];
    for (unsigned i = 0; i < 2; i++) {
        char text[400];
        snprintf(text, sizeof text,
                 HEAD "common: {file_bytes: 1MiB, cache: warm, worker_file: own, worker_kind: process}\n"
                      "vary: {workers: %s}\n" ARM,
                 orders[i]);
        struct plan plan = make_good(text, (struct plan_options){0});
        assert_int_equal(plan.group_count, 1);
        assert_true(plan.disk_bytes >= 4 * MIB);
        seconds[i] = plan.estimate_prepare_s;
        plan_free(&plan);
    }
    assert_true(fabs(seconds[0] - seconds[1]) < 0.5 * seconds[0]); /* each looks at the storage anew */
}

/* The refused cells of two places on one package of two CPUs, or on two of them. */
static unsigned refused_places(const char *places, unsigned packages, char reason[static 200])
{
    static const struct cpu_row rows[] = {{.os_index = 0, .core = 0, .package = 0},
                                          {.os_index = 1, .core = 1, .package = 0},
                                          {.os_index = 2, .core = 2, .package = 1},
                                          {.os_index = 3, .core = 3, .package = 1}};
    struct pairs pairs;
    struct plan plan;
    char text[400];
    snprintf(
        text, sizeof text,
        HEAD
        "common: {backing: memfd, file_bytes: 64KiB, cache: as-found, workers: 2, latency: none}\nvary: {place: [%s]}\n"
        "arms: [{name: a, method: write_write}]\n",
        places);
    load_text(text);
    pairs_classify(&pairs, rows, 2 * packages, NULL, 1);
    assert_int_equal(make(&plan, (struct plan_options){.pairs = &pairs, .memory_nodes = 1}), 0);
    unsigned count = plan.refused_count;
    snprintf(reason, 200, "%s", count ? plan.refused[0].reason : "");
    assert_int_equal(plan.cell_count + count, strchr(places, ',') ? 2 : 1);
    plan_free(&plan);
    unload();
    return count;
}

static void test_packed_and_spread_are_not_measured_twice(void **state)
{
    (void)state;
    char reason[200];
    assert_int_equal(refused_places("pack, spread", 1, reason), 1);
    assert_non_null(strstr(reason, "2 workers that are spread are on the same CPUs here as packed ones"));
    assert_int_equal(refused_places("spread", 1, reason), 0);
    assert_int_equal(refused_places("pack, spread", 2, reason), 0);
}

static char hash_text[65];

static const char *hash_of(const char *text)
{
    struct plan plan = make_good(text, (struct plan_options){0});
    memcpy(hash_text, plan.scenarios[0].hash, sizeof hash_text);
    plan_free(&plan);
    return hash_text;
}

static void test_hash_covers_meaning_only(void **state)
{
    (void)state;
    char hash[65];
    snprintf(
        hash, sizeof hash, "%s",
        hash_of(HEAD "common: {file_bytes: 1MiB, cache: warm}\nvary: {block_bytes: [64], pattern: [random]}\n" ARM));
    assert_int_equal(strlen(hash), 32);
    assert_int_equal(strspn(hash, "0123456789abcdef"), 32);
    static const char *const same[] = {
        "# other words\nop: o\nquestion: other\nvary: {pattern: [random], block_bytes: [64]}\n"
        "common:\n  cache: warm\n  file_bytes: 1048576\narms: [{method: pread, name: a}]\n",
        HEAD "common: {file_bytes: 1MiB}\nvary: {block_bytes: [64], pattern: [random]}\n" ARM
             "null_arm: true\ndelta: 1%\n",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_string_equal(hash_of(same[i]), hash);
    static const char *const different[] = {
        HEAD "common: {file_bytes: 2MiB}\nvary: {block_bytes: [64], pattern: [random]}\n" ARM,
        HEAD "common: {file_bytes: 1MiB}\nvary: {block_bytes: [64, 128], pattern: [random]}\n" ARM,
        HEAD
        "common: {file_bytes: 1MiB}\nvary: {block_bytes: [64], pattern: [random]}\narms: [{name: b, method: pread}]\n",
        HEAD "common: {file_bytes: 1MiB}\nvary: {block_bytes: [64], pattern: [random]}\narms: [{name: a, method: "
             "lseek_read}]\n",
        HEAD "common: {file_bytes: 1MiB}\nvary: {block_bytes: [64], pattern: [random]}\n" ARM "delta: 2%\n",
        HEAD "common: {file_bytes: 1MiB}\nvary: {block_bytes: [64], pattern: [random]}\n" ARM "null_arm: false\n",
        ("question: q\nop: p\ncommon: {file_bytes: 1MiB}\nvary: {block_bytes: [64], pattern: [random]}\n" ARM),
    };
    for (size_t i = 0; i < sizeof different / sizeof *different; i++)
        assert_string_not_equal(hash_of(different[i]), hash);
}

/* Vary 1 to `cells` with one comparison each; returns the rungs of the profile as text. */
static const char *rungs_of(unsigned cells, const char *profile)
{
    static char text[64];
    char yaml[8192];
    size_t used = (size_t)snprintf(yaml, sizeof yaml,
                                   HEAD "arms: [{name: a, method: pread}, {name: b, method: mmap}]\n"
                                        "profiles: {quick: {trials: 10}, thorough: {trials: 12}}\n"
                                        "vary: {count_ops: [1");
    for (unsigned i = 2; i <= cells; i++)
        used += (size_t)snprintf(yaml + used, sizeof yaml - used, ", %u", i);
    snprintf(yaml + used, sizeof yaml - used, "]}\n");
    struct plan plan = make_good(yaml, (struct plan_options){.profile = profile});
    text[0] = '\0';
    for (unsigned i = 0; plan.scenarios[0].rungs[i]; i++) {
        size_t length = strlen(text);
        snprintf(text + length, sizeof text - length, "%s%u", i ? " " : "", plan.scenarios[0].rungs[i]);
    }
    plan_free(&plan);
    return text;
}

/* ceil(log2(2m/0.05)): 6 for m = 1, 8 for 6, 9 for 7 and 12, 10 for 13, 11 for 26. */
static void test_rungs(void **state)
{
    (void)state;
    assert_string_equal(rungs_of(1, "standard"), "8 10 15 20 30");
    assert_string_equal(rungs_of(6, "standard"), "8 10 15 20 30");
    assert_string_equal(rungs_of(7, "standard"), "10 15 20 30");
    assert_string_equal(rungs_of(25, "standard"), "10 15 20 30");
    assert_string_equal(rungs_of(26, "standard"), "15 20 30");
    assert_string_equal(rungs_of(1, "quick"), "8 10");
    assert_string_equal(rungs_of(7, "quick"), "10");
    assert_string_equal(rungs_of(26, "quick"), "10");
    assert_string_equal(rungs_of(1, "thorough"), "8 10 12");
}

static void test_precision_and_budget(void **state)
{
    (void)state;
    static const char text[] = HEAD ARM "delta: 1%\nprofiles: {quick: {budget: 5s}, thorough: {precision: 0.1%}}\n";
    struct plan plan = make_good(text, (struct plan_options){.profile = "quick"});
    assert_float_equal(plan.scenarios[0].precision, 0.02, 1e-12);
    assert_int_equal(plan.scenarios[0].budget_ns, 5000 * MS);
    assert_int_equal(plan.budget_ns, 5000 * MS);
    plan_free(&plan);
    plan = make_good(text, (struct plan_options){.budget_ns = 7});
    assert_float_equal(plan.scenarios[0].precision, 0.01, 1e-12);
    assert_int_equal(plan.scenarios[0].budget_ns, 0);
    assert_int_equal(plan.budget_ns, 7);
    plan_free(&plan);
    plan = make_good(text, (struct plan_options){.profile = "thorough"}); /* never finer than half of delta */
    assert_float_equal(plan.scenarios[0].precision, 0.005, 1e-12);
    assert_int_equal(plan.budget_ns, 0);
    plan_free(&plan);
}

/* Under such a profile no cell is measured, and each says which profiles measure it. */
static void test_left_out_of_profiles(void **state)
{
    (void)state;
    static const struct {
        const char *text, *profile, *reason;
    } cases[] = {
        {HEAD ARM "profiles: {quick: {left_out: true}}\n", "quick", ": only with --profile standard or thorough"},
        {HEAD ARM "profiles: {quick: {left_out: true}}\n", "standard", NULL},
        {HEAD ARM "profiles: {quick: {left_out: true}, standard: {left_out: true}}\n", "standard",
         ": only with --profile thorough"},
        {HEAD ARM "profiles: {quick: {left_out: true}, standard: {left_out: true}}\n", "thorough", NULL},
        {HEAD ARM "profiles: {quick: {left_out: false}}\n", "quick", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plan plan;
        load_text(cases[i].text);
        int rc = make(&plan, (struct plan_options){.profile = cases[i].profile});
        assert_int_equal(rc, cases[i].reason ? -EINVAL : 0);
        assert_true(rc == 0 ? plan.cell_count == 1 : strstr(err.text, cases[i].reason) != NULL);
        plan_free(&plan);
        unload();
    }
}

static void test_groups_share_the_file(void **state)
{
    (void)state;
    struct plan plan = make_good(HEAD "vary: {file_bytes: [1MiB, 2MiB], block_bytes: [64, 128]}\n" ARM,
                                 (struct plan_options){0});
    assert_int_equal(plan.group_count, 2);
    assert_int_equal(plan.cells[0].group, plan.cells[1].group);
    assert_int_equal(plan.cells[2].group, plan.cells[3].group);
    assert_int_not_equal(plan.cells[0].group, plan.cells[2].group);
    assert_true(plan.disk_bytes >= 2 * MIB && plan.disk_bytes < 4 * MIB);
    assert_true(plan.estimate_measure_s > 0 && plan.estimate_prepare_s > 0);
    assert_in_range(plan.memory_bytes, 2 * MIB, 2 * MIB + 4 * KIB); /* the larger file: there is one at a time */
    plan_free(&plan);
}

/* A number, and of the size that somebody would wait for. */
static void check_estimate(const struct plan *plan)
{
    assert_true(isfinite(plan->estimate_measure_s) && isfinite(plan->estimate_reset_s));
    assert_true(plan->estimate_measure_s > 0 && plan->estimate_reset_s >= 0 && plan->estimate_prepare_s > 0);
    assert_true(plan_seconds(plan) < 7200);
    assert_int_equal(plan->memory_bytes, plan_memory(plan));
}

/* Files, destinations of more than a block, and memory without a file, of all arms of a cell at a time. */
static void test_memory(void **state)
{
    (void)state;
    struct plan plan = make_good(HEAD "common: {file_bytes: 8MiB}\narms:\n"
                                      "  - {name: reused, method: pread, buffer: reused}\n"
                                      "  - {name: touched, method: pread, buffer: touched}\n",
                                 (struct plan_options){0});
    assert_int_equal(plan.memory_bytes, (8 + 64) * MIB + 2 * 4 * KIB); /* the null arm has a buffer of its own */
    plan_free(&plan);
    plan = make_good(HEAD "common: {file_bytes: 8MiB, workers: 2, worker_file: own}\narms:\n"
                          "  - {name: touched, method: pread, buffer: touched}\n",
                     (struct plan_options){.cpu_count = 2});
    assert_int_equal(plan.memory_bytes, (2 * 8 + 2 * 2 * 64) * MIB);
    plan_free(&plan);
    plan = make_good(HEAD "common: {file_bytes: 8MiB, pattern: stride, block_bytes: 64}\narms:\n"
                          "  - {name: file, method: first_touch}\n"
                          "  - {name: none, method: first_touch, sharing: anonymous}\n",
                     (struct plan_options){0});
    assert_in_range(plan.memory_bytes, (8 + 8) * MIB, (8 + 8) * MIB + 4 * KIB); /* and what is stored */
    plan_free(&plan);
}

/* The cheapest steps there are: no cost may come out as nothing, for costs are divided by each other. */
static void test_tiny_steps(void **state)
{
    (void)state;
    struct plan plan = make_good(HEAD "common: {file_bytes: 1MiB, block_bytes: 1, pattern: sequential, cache: cold}\n"
                                      "arms:\n  - {name: mapped, method: mmap}\n  - {name: read, method: pread}\n",
                                 (struct plan_options){0});
    check_estimate(&plan);
    plan_free(&plan);
    plan = make_good(HEAD "common: {file_bytes: 1MiB, block_bytes: 64}\n"
                          "arms:\n  - {name: touch, method: first_touch}\n",
                     (struct plan_options){0});
    check_estimate(&plan);
    plan_free(&plan);
}

/* What a run takes is the sum of the parts, or the budget where that is less. */
static void test_seconds(void **state)
{
    struct plan plan = {.estimate_prepare_s = 1, .estimate_reset_s = 2, .estimate_measure_s = 3}, nothing = {0};
    (void)state;
    assert_float_equal(plan_seconds(&plan), 6, 1e-9);
    plan.budget_ns = 60000 * MS;
    assert_float_equal(plan_seconds(&plan), 6, 1e-9);
    assert_false(plan_is_cut(&plan));
    plan.budget_ns = 2000 * MS;
    plan_estimate(&nothing);
    assert_true(nothing.estimate_prepare_s > 0); /* to look at the machine: the budget begins after that */
    assert_true(fabs(plan_seconds(&plan) - 2 - nothing.estimate_prepare_s) < 1e-9);
    assert_true(plan_is_cut(&plan));
}

static void test_seed(void **state)
{
    (void)state;
    struct plan a = make_good(HEAD ARM, (struct plan_options){.has_seed = true, .seed = 42});
    struct plan b = make_good(HEAD ARM, (struct plan_options){0}), c = make_good(HEAD ARM, (struct plan_options){0});
    assert_int_equal(a.seed, 42);
    assert_int_not_equal(b.seed, c.seed);
    assert_true(b.seed < UINT64_C(1) << 53);
    plan_free(&a);
    plan_free(&b);
    plan_free(&c);
}

/* ---- the user's own file ---- */

static char own_path[FILES_PATH_SIZE];

static struct plan make_with_file(const char *text, size_t bytes, bool allow_evict)
{
    char *content = calloc(bytes + 1, 1);
    assert_non_null(content);
    snprintf(own_path, sizeof own_path, "%s", files_write("own.bin", content, bytes));
    free(content);
    return make_good(text, (struct plan_options){.given_path = own_path, .allow_evict = allow_evict});
}

static void test_given_file_is_taken_as_found(void **state)
{
    (void)state;
    struct plan plan = make_with_file(HEAD "common: {file_bytes: 64MiB, recipe: write-4KiB, cache: warm}\n" ARM,
                                      1000000, false);
    const struct params *params = &plan.cells[0].arms[0].params;
    assert_string_equal(plan.given_path, own_path);
    assert_int_equal(params->backing, backing_given);
    assert_int_equal(params->recipe, recipe_as_found);
    assert_int_equal(params->file_bytes, 1000000);
    assert_int_equal(params->working_set_bytes, 1000000 / 4096 * 4096);
    assert_int_equal(plan.cells[0].params.working_set_bytes, params->working_set_bytes);
    assert_int_equal(plan.disk_bytes, 0);
    plan_free(&plan);
}

static void test_a_file_that_no_arm_works_on_takes_no_room(void **state)
{
    (void)state;
    struct plan none = make_good(HEAD
                                 "common: {file_bytes: 64MiB, cache: as-found}\narms: [{name: a, method: \"null\"}]\n",
                                 (struct plan_options){0});
    struct plan some = make_good(HEAD "common: {file_bytes: 64MiB, cache: as-found}\n" ARM, (struct plan_options){0});
    assert_int_equal(none.disk_bytes, 0);
    assert_int_equal(none.memory_bytes, 0);
    assert_true(some.disk_bytes > 64 * MIB);
    assert_true(some.estimate_prepare_s > none.estimate_prepare_s);
    plan_free(&none);
    plan_free(&some);
}

static void test_given_file_is_rounded_for_every_arm(void **state)
{
    (void)state;
    struct plan plan = make_with_file(HEAD "common: {per: pass, working_set_bytes: 100000}\n"
                                           "arms: [{name: a, method: pread, block_bytes: 3000, touches: 4},"
                                           " {name: b, method: pread, block_bytes: 4000, touches: 3}]\n",
                                      1000000, false);
    assert_int_equal(plan.cells[0].params.working_set_bytes, 96000);
    plan_free(&plan);
}

static void test_given_file_refuses_what_does_not_fit(void **state)
{
    (void)state;
    struct plan plan = make_with_file(HEAD "vary: {block_bytes: [4KiB, 64KiB], working_set_bytes: [8KiB, 64MiB]}\n"
                                           "exclude: [{block_bytes: 64KiB, working_set_bytes: 64MiB}]\n" ARM,
                                      10000, false);
    assert_int_equal(plan.cell_count, 1);
    assert_string_equal(plan.cells[0].id, "working_set_bytes=8KiB,block_bytes=4KiB");
    assert_int_equal(plan.refused_count, 3);
    assert_string_equal(plan.refused[0].reason, "a block of 65536 bytes does not fit into the 8192 bytes of the file");
    assert_string_equal(plan.refused[1].reason, "visits 67108864 bytes, the file has 10000");
    plan_free(&plan);
}

static void test_given_file_is_not_evicted_unasked(void **state)
{
    (void)state;
    static const char text[] = HEAD "vary: {cache: [warm, cold]}\n" ARM;
    struct plan plan = make_with_file(text, 100000, false);
    assert_int_equal(plan.cell_count, 1);
    assert_string_equal(plan.refused[0].cell, "cache=cold");
    assert_non_null(strstr(plan.refused[0].reason, "--allow-evict"));
    plan_free(&plan);
    plan = make_with_file(text, 100000, true);
    assert_int_equal(plan.cell_count, 2);
    assert_true(plan.allow_evict);
    plan_free(&plan);
}

static void test_given_file_is_copied_for_recipes(void **state)
{
    (void)state;
    struct plan plan = make_with_file(HEAD "vary: {recipe: [write-4KiB, write-1MiB]}\n" ARM, 100000, false);
    assert_int_equal(plan.cell_count, 2);
    assert_int_equal(plan.cells[1].params.backing, backing_file);
    assert_int_equal(plan.cells[1].params.recipe, recipe_write_1MiB);
    assert_int_equal(plan.cells[1].params.file_bytes, 100000);
    assert_true(plan.disk_bytes >= 100000);
    assert_string_equal(plan.given_path, own_path);
    plan_free(&plan);
    plan = make_with_file(HEAD "vary: {file_bytes: [64KiB, 1MiB]}\n" ARM, 100000, false);
    assert_int_equal(plan.cell_count, 1);
    assert_int_equal(plan.cells[0].params.backing, backing_file);
    assert_string_equal(plan.refused[0].reason, "needs 1048576 bytes, the file given with --file has 100000");
    plan_free(&plan);
}

/* The conditions of a cell are those of all its arms, also where the one that writes is left out. */
static void test_given_file_is_copied_for_arms_left_out(void **state)
{
    (void)state;
    struct plan plan = make_good(HEAD "arms: [{name: a, method: pread}, {name: b, method: pwrite}]\n",
                                 (struct plan_options){.given_path = own_path, .arms = "a"});
    assert_int_equal(plan.cells[0].arm_count, 2);
    assert_int_equal(plan.cells[0].params.backing, backing_file);
    plan_free(&plan);
}

static void test_given_file_too_small(void **state)
{
    (void)state;
    struct plan plan;
    const char *path = files_write("tiny.bin", "x", 1);
    char expected[2 * FILES_PATH_SIZE];
    snprintf(expected, sizeof expected, "--file %s: 1 bytes are too few to measure", path);
    struct plan_options options = {.given_path = strdup(path)};
    load_text(HEAD ARM);
    assert_int_equal(make(&plan, options), -EINVAL);
    assert_int_equal(strncmp(err.text, expected, strlen(expected)), 0);
    free((char *)(uintptr_t)options.given_path);
    plan_free(&plan);
    unload();
}

static void test_given_file_leaves_nothing(void **state)
{
    (void)state;
    struct plan plan;
    char *path = strdup(files_write("own.bin", "0123456789", 10));
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), 8192), 0);
    fclose(file);
    load_text(HEAD "common: {cache: cold}\n" ARM);
    assert_int_equal(make(&plan, (struct plan_options){.given_path = path}), -EINVAL);
    assert_non_null(strstr(err.text, "no cell is left to measure; test, cell all: a cold cache needs --allow-evict"));
    free(path);
    plan_free(&plan);
    unload();
}

/* ---- what is shipped ---- */

static const char *shipped_profile;
static unsigned access_cells;

static void check_resolved(const struct params *params)
{
    for (size_t i = 0; i < FIELD_COUNT; i++)
        assert_false(field_is_auto(&field_table[i], params));
    assert_true(params->working_set_bytes <= params->file_bytes);
}

/* Some are left out of a profile as a whole, which says which one measures them. */
static bool is_left_out(const char *profile)
{
    return strcmp(profile, "thorough") != 0 && strstr(err.text, ": only with --profile thorough");
}

static void check_shipped(const char *path)
{
    struct plan plan;
    unload();
    load_file(path);
    int rc = make(&plan, (struct plan_options){.profile = shipped_profile});
    if (rc && is_left_out(shipped_profile)) {
        unload();
        return;
    }
    if (rc)
        fail_msg("%s", err.text);
    assert_true(plan.cell_count > 0);
    check_estimate(&plan);
    for (unsigned i = 0; i < plan.cell_count; i++) {
        check_resolved(&plan.cells[i].params);
        for (unsigned j = 0; j < plan.cells[i].arm_count; j++)
            check_resolved(&plan.cells[i].arms[j].params);
    }
    if (strcmp(shipped_profile, "quick") == 0) {
        assert_true(plan.cell_count <= 12);
        for (unsigned i = 0; i < plan.cell_count; i++)
            assert_true(plan.cells[i].params.file_bytes <= 64 * MIB);
        access_cells += strstr(path, "/access/") ? plan.cell_count : 0;
    }
    plan_free(&plan);
    unload();
}

static void test_shipped_scenarios_plan(void **state)
{
    (void)state;
    static const char *const profiles[] = {"quick", "standard", "thorough"};
    for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++) {
        shipped_profile = profiles[i];
        assert_true(files_each_shipped(check_shipped) >= 11);
    }
    assert_in_range(access_cells, 60, 160);
}

static void check_other_pages(const char *path, const char *profile, uint64_t page_bytes)
{
    struct plan plan;
    struct plan_options options = {.profile = profile,
                                   .page_bytes = page_bytes,
                                   .directory = "/var/tmp",
                                   .make_filesystems = true,
                                   .cpu_count = 32}; /* so that no cell is left out for want of CPUs */
    unload();
    load_file(path);
    err = (struct err){0};
    if (plan_make(&plan, loaded, loaded_count, &options, &err)) {
        if (!strstr(err.text, "needs root") && !is_left_out(profile))
            fail_msg("%s, %s, pages of %llu KiB: %s", path, profile, (unsigned long long)(page_bytes / KIB), err.text);
    } else {
        assert_true(plan.cell_count > 0);
        for (unsigned i = 0; i < plan.cell_count; i++)
            check_resolved(&plan.cells[i].params);
    }
    plan_free(&plan);
    unload();
}

/* Whatever a page holds: what cannot be had with such pages is left out with its reason, and something remains. */
static void test_shipped_scenarios_plan_for_other_pages(void **state)
{
    (void)state;
    static const char *const profiles[] = {"quick", "standard", "thorough"};
    glob_t found;
    assert_int_equal(glob(TESTS_DIR "/../scenarios/*/*.yaml", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 40);
    for (size_t i = 0; i < found.gl_pathc; i++)
        for (size_t p = 0; p < sizeof profiles / sizeof *profiles; p++)
            for (uint64_t page_bytes = 16 * KIB; page_bytes <= 64 * KIB; page_bytes *= 4)
                check_other_pages(found.gl_pathv[i], profiles[p], page_bytes);
    globfree(&found);
}

/* A page is what --page-bytes says where the plan asks for one. */
static void test_pages_of_the_machine_planned_for(void **state)
{
    (void)state;
    struct plan plan = make_good(HEAD "common: {file_bytes: 1MiB, pattern: stride}\n" ARM,
                                 (struct plan_options){.page_bytes = 64 * KIB});
    assert_int_equal(plan.cells[0].arms[0].params.stride_bytes, 64 * KIB);
    plan_free(&plan);
    plan = make_good(HEAD "common: {file_bytes: 1MiB, pattern: stride, block_bytes: 64}\n"
                          "vary: {stride_bytes: [4KiB, 16KiB]}\narms: [{name: a, method: first_touch}]\n",
                     (struct plan_options){.page_bytes = 16 * KIB});
    assert_int_equal(plan.cell_count, 1);
    assert_int_equal(plan.refused_count, 1);
    assert_string_equal(plan.refused[0].cell, "stride_bytes=4KiB");
    assert_non_null(strstr(plan.refused[0].reason, "comes by each page once, and pages have 16 KiB: no step of 4KiB"));
    plan_free(&plan);
}

static void check_shipped_given(const char *path)
{
    struct plan plan;
    unload();
    load_file(path);
    if (make(&plan, (struct plan_options){.profile = "quick", .given_path = own_path, .allow_evict = true}))
        assert_non_null(strstr(err.text, "no cell is left to measure")); /* never an error of the scenario */
    plan_free(&plan);
    unload();
}

/* A file of an odd size takes every scenario: cells fit or are refused with a reason. */
static void test_shipped_scenarios_take_a_file(void **state)
{
    (void)state;
    static const size_t sizes[] = {4096, 4097, 70001, 3000017};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *content = calloc(sizes[i], 1);
        assert_non_null(content);
        snprintf(own_path, sizeof own_path, "%s", files_write("own.bin", content, sizes[i]));
        free(content);
        files_each_shipped(check_shipped_given);
    }
}

static void test_print(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    struct plan plan = make_good(HEAD "vary: {block_bytes: [64, 128]}\nexclude: [{block_bytes: 64}]\n"
                                      "arms: [{name: a, method: pread}, {name: b, method: mmap, sharing: private}]\n",
                                 (struct plan_options){.has_seed = true, .seed = 7});
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    plan_print(&plan, out);
    fclose(out);
    static const char *const parts[] = {
        "test: q\n",
        "one operation: o\n",
        "trials: 8 to 30",
        "1 cell\n    block_bytes=128\n",
        "mmap sharing=private",
        "the baseline again",
        "test block_bytes=64: excluded by line 4 of the scenario",
        "profile standard, seed 7: 1 cell ",
        " in /var/tmp, 64.0 MiB of memory\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(text, parts[i]))
            fail_msg("'%s' is not in:\n%s", parts[i], text);
    free(text);
    plan_free(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_cells_in_table_order),
        cmocka_unit_test(test_excluded_cells_are_told),
        cmocka_unit_test(test_null_arm_is_the_baseline_again),
        cmocka_unit_test(test_narrowed_to_cells_and_arms),
        cmocka_unit_test(test_narrowed_rungs),
        cmocka_unit_test(test_narrowed_to_scenarios),
        cmocka_unit_test(test_names_there_are),
        cmocka_unit_test(test_set_of_an_arm_that_is_left_out),
        cmocka_unit_test(test_bad_narrowing),
        cmocka_unit_test(test_automatic_values),
        cmocka_unit_test(test_arms_know_only_what_they_use),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_bad_sets),
        cmocka_unit_test(test_set_of_several_scenarios),
        cmocka_unit_test(test_same_scenario_twice),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_cold_needs_a_disk),
        cmocka_unit_test(test_memory_nodes),
        cmocka_unit_test(test_packed_and_spread_are_not_measured_twice),
        cmocka_unit_test(test_parts_of_the_estimate),
        cmocka_unit_test(test_preparing_a_group),
        cmocka_unit_test(test_hash_covers_meaning_only),
        cmocka_unit_test(test_rungs),
        cmocka_unit_test(test_precision_and_budget),
        cmocka_unit_test(test_left_out_of_profiles),
        cmocka_unit_test(test_groups_share_the_file),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_tiny_steps),
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_seed),
        cmocka_unit_test(test_given_file_is_taken_as_found),
        cmocka_unit_test(test_a_file_that_no_arm_works_on_takes_no_room),
        cmocka_unit_test(test_given_file_is_rounded_for_every_arm),
        cmocka_unit_test(test_given_file_refuses_what_does_not_fit),
        cmocka_unit_test(test_given_file_is_not_evicted_unasked),
        cmocka_unit_test(test_given_file_is_copied_for_recipes),
        cmocka_unit_test(test_given_file_is_copied_for_arms_left_out),
        cmocka_unit_test(test_given_file_too_small),
        cmocka_unit_test(test_given_file_leaves_nothing),
        cmocka_unit_test(test_shipped_scenarios_plan),
        cmocka_unit_test(test_shipped_scenarios_plan_for_other_pages),
        cmocka_unit_test(test_pages_of_the_machine_planned_for),
        cmocka_unit_test(test_shipped_scenarios_take_a_file),
        cmocka_unit_test(test_crowds),
        cmocka_unit_test(test_crowds_need_cpus),
        cmocka_unit_test(test_print),
    };
    return cmocka_run_group_tests(tests, files_begin, files_end);
}
