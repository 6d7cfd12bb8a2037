/* SPDX-License-Identifier: MIT */
/*
 * Another process changes the file's pages in the middle of measuring. The batches in which it happens are void, with
 * the reason; nothing passes in silence. The moment is exact: the method under test asks the other process itself.
 */
#include "physics.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "record.h"

enum { FILE_BYTES = 8 * 1024 * 1024, ROUNDS = 64, BLOCKS = 32 };

extern const struct method method_pread, method_first_touch;

/* What the other process does at each request. */
enum deed { EVICT_PAGE, DIRTY_PAGE, REFILL_ALL };

static struct {
    int ask, answer; /* our ends of two pipes */
    unsigned period; /* it is asked in every so manieth batch; 0: never */
    unsigned batches;
} meddler;

static void do_deed(int fd, enum deed deed, uint64_t page_bytes)
{
    unsigned char page[65536];
    int failed = 0;
    if (deed == EVICT_PAGE) {
        failed = posix_fadvise(fd, (off_t)(3 * page_bytes), (off_t)page_bytes, POSIX_FADV_DONTNEED);
    } else if (deed == DIRTY_PAGE) {
        failed = pread(fd, page, page_bytes, 0) != (ssize_t)page_bytes ||
                 pwrite(fd, page, page_bytes, 0) != (ssize_t)page_bytes;
    } else {
        failed = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        for (off_t at = 0; at < FILE_BYTES; at += (off_t)sizeof page)
            failed |= pread(fd, page, sizeof page, at) != (ssize_t)sizeof page;
    }
    if (failed)
        _exit(1);
}

/* Each request is the number of the measured file's descriptor in the other process. */
static void serve(int requests, int answers, enum deed deed)
{
    int number;
    char path[64];
    while (read(requests, &number, sizeof number) == (ssize_t)sizeof number) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", getppid(), number);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        do_deed(fd, deed, physics_page_bytes());
        close(fd);
        if (write(answers, "", 1) != 1)
            break;
    }
    _exit(0);
}

/*
 * Start it before the file is made: after a fork every page of this process faults once more when it is next written,
 * the one to which the kernel writes its restartable sequences at the next switch too. That must not be counted.
 */
static pid_t meddler_start(enum deed deed, unsigned period)
{
    int requests[2], answers[2];
    assert_int_equal(pipe(requests), 0);
    assert_int_equal(pipe(answers), 0);
    pid_t pid = fork();
    assert_int_not_equal(pid, -1);
    if (pid == 0) {
        close(requests[1]);
        close(answers[0]);
        serve(requests[0], answers[1], deed);
    }
    close(requests[0]);
    close(answers[1]);
    meddler.ask = requests[1];
    meddler.answer = answers[0];
    meddler.period = period;
    meddler.batches = 0;
    return pid;
}

static void meddler_stop(pid_t pid)
{
    int status;
    close(meddler.ask);
    close(meddler.answer);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int meddled_run(struct worker *worker, uint64_t blocks)
{
    char byte;
    int number = worker->target->fd, rc = method_pread.run(worker, blocks);
    if (rc || !meddler.period || ++meddler.batches % meddler.period)
        return rc;
    bool done = write(meddler.ask, &number, sizeof number) == (ssize_t)sizeof number &&
                read(meddler.answer, &byte, 1) == 1;
    return done ? 0 : -EPIPE;
}

/* pread, with somebody at work behind its back. */
static struct method meddled(void)
{
    struct method method = method_pread;
    method.name = "meddled";
    method.run = meddled_run;
    return method;
}

struct scene {
    struct params params;
    struct target target;
    struct physics_cell cell;
    struct method method;
};

/* Two arms, of which the second is meddled with in every `period`th batch. */
static void play(struct scene *scene, enum recipe recipe, enum deed deed, unsigned period)
{
    pid_t pid = meddler_start(deed, period);
    scene->params = physics_params(FILE_BYTES, recipe, cache_warm);
    scene->method = meddled();
    physics_open(&scene->target, &scene->params);
    struct physics_cachestat found;
    if (deed == DIRTY_PAGE && !physics_cachestat(scene->target.fd, FILE_BYTES, &found))
        physics_skip("cachestat: %s: dirty pages cannot be seen here", strerror(errno));
    physics_begin(&scene->cell, &scene->params);
    physics_arm(&scene->cell, &method_pread, BLOCKS);
    physics_arm(&scene->cell, &scene->method, BLOCKS);
    physics_measure(&scene->cell, &scene->target, ROUNDS);
    meddler_stop(pid);
}

static void leave(struct scene *scene)
{
    measure_free(&scene->cell.result);
    target_close(&scene->target);
}

static unsigned voided_count(const struct cell_result *result)
{
    unsigned count = 0;
    for (unsigned r = 0; r < result->rounds; r++)
        count += result->voided[r] != NULL;
    return count;
}

static void nobody_meddles_nothing_is_void(void **state)
{
    struct scene scene;
    (void)state;
    play(&scene, recipe_write_4KiB, EVICT_PAGE, 0);
    physics_expect_ok(&scene.cell, 0);
    physics_expect_ok(&scene.cell, 1);
    assert_int_equal(voided_count(&scene.cell.result), 0);
    leave(&scene);
}

/* In the record a void round is null in every arm, the innocent one too, and says why. */
static void expect_nulls(const struct scene *scene)
{
    const struct cell_result *result = &scene->cell.result;
    struct record_context context = {
        .plan = &scene->cell.plan, .cell = &scene->cell.cell, .machine = "0", .boot_id = "0"};
    json_t *record = record_make(&context, result), *arm;
    size_t a;
    assert_non_null(record);
    json_array_foreach(json_object_get(record, "arms"), a, arm)
    {
        const json_t *batches = json_object_get(arm, "batch_ns"), *voided = json_object_get(arm, "voided");
        assert_int_equal(json_array_size(batches), result->rounds);
        assert_int_equal(json_array_size(voided), voided_count(result));
        for (unsigned r = 0; r < result->rounds; r++)
            assert_int_equal(json_is_null(json_array_get(batches, r)), result->voided[r] != NULL);
        for (size_t i = 0; i < json_array_size(voided); i++)
            assert_non_null(strstr(json_string_value(json_object_get(json_array_get(voided, i), "reason")), "meddled"));
    }
    json_decref(record);
}

static void an_evicted_page_voids_its_round(void **state)
{
    enum { PERIOD = 16 };
    struct scene scene;
    (void)state;
    play(&scene, recipe_write_4KiB, EVICT_PAGE, PERIOD);
    const struct cell_result *result = &scene.cell.result;
    physics_expect_ok(&scene.cell, 0);
    physics_expect_ok(&scene.cell, 1);
    /* Reclaim by the kernel can only add to them. */
    assert_in_range(voided_count(result), ROUNDS / PERIOD, ROUNDS / 10);
    for (unsigned r = 0; r < result->rounds; r++)
        if (result->voided[r])
            assert_non_null(strstr(result->voided[r], "not warm"));
    expect_nulls(&scene);
    leave(&scene);
}

static void too_many_of_them_fail_the_arm(void **state)
{
    struct scene scene;
    (void)state;
    play(&scene, recipe_write_4KiB, EVICT_PAGE, 3);
    physics_expect_ok(&scene.cell, 0);
    assert_int_equal(scene.cell.result.arms[1].status, ARM_FAILED);
    assert_non_null(strstr(scene.cell.result.arms[1].reason, "rounds are void"));
    assert_non_null(strstr(scene.cell.result.arms[1].reason, "not warm"));
    leave(&scene);
}

static void a_dirtied_page_does_not_pass(void **state)
{
    struct scene scene;
    (void)state;
    play(&scene, recipe_write_4KiB, DIRTY_PAGE, 16);
    const struct cell_result *result = &scene.cell.result;
    assert_in_range(voided_count(result), ROUNDS / 16, ROUNDS);
    unsigned dirty = 0;
    for (unsigned r = 0; r < result->rounds; r++)
        dirty += result->voided[r] && strstr(result->voided[r], "dirty");
    assert_in_range(dirty, 1, ROUNDS);
    if (voided_count(result) * 10 > 2 * ROUNDS) /* more than a tenth of the rounds by one of the two arms */
        assert_true(result->arms[0].status == ARM_FAILED || result->arms[1].status == ARM_FAILED);
    leave(&scene);
}

/* The bytes are the same and all are there, but they came by another road: the recipe no longer shows. */
static void a_changed_recipe_does_not_pass(void **state)
{
    struct scene scene;
    uint64_t pages, before, after;
    struct err err = {0};
    (void)state;
    play(&scene, recipe_write_4KiB, REFILL_ALL, 40);
    assert_int_equal(target_signature(&scene.target, UINT64_MAX, &pages, &after, &err), 0);
    before = scene.cell.result.signature_faults;
    if (before == after) {
        leave(&scene);
        physics_skip("reading a file back makes the same folios here as writing it by 4 KiB");
    }
    for (unsigned a = 0; a < 2; a++) {
        assert_int_not_equal(scene.cell.result.arms[a].status, ARM_OK);
        assert_non_null(strstr(scene.cell.result.arms[a].reason, "the recipe no longer shows"));
    }
    leave(&scene);
}

static struct {
    uint64_t blocks;        /* of the counting pass, and of no other batch */
    unsigned passes, loses; /* so many there were, and the first of them find a page gone */
} counting;

/* Nothing is mapped yet, so that the page can be taken. */
static int touch_what_is_left(struct worker *worker, uint64_t blocks)
{
    off_t page = (off_t)physics_page_bytes();
    if (blocks == counting.blocks && counting.passes++ < counting.loses)
        assert_int_equal(posix_fadvise(worker->target->fd, 3 * page, page, POSIX_FADV_DONTNEED), 0);
    return method_first_touch.run(worker, blocks);
}

static uint64_t major_faults_when(unsigned loses)
{
    struct params params = physics_params(FILE_BYTES, recipe_write_4KiB, cache_warm);
    struct method method = method_first_touch;
    struct physics_cell cell;
    struct target target;
    method.run = touch_what_is_left;
    counting.blocks = params.count_ops;
    counting.passes = 0;
    counting.loses = loses;
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    physics_arm(&cell, &method, params.touches / 2)->params.advice = advice_random;
    physics_measure(&cell, &target, 1);
    physics_expect_ok(&cell, 0);
    uint64_t faults = physics_count(&cell, 0, COUNTER_major_faults);
    measure_free(&cell.result);
    target_close(&target);
    return faults;
}

/* Once more, and no oftener: an operation that causes its own is not to be counted for ever. */
static void a_counting_pass_that_lost_a_page_is_made_again(void **state)
{
    (void)state;
    assert_int_equal(major_faults_when(0), 0);
    assert_int_equal(counting.passes, 1);
    assert_int_equal(major_faults_when(1), 0);
    assert_int_equal(counting.passes, 2);
    assert_int_equal(major_faults_when(2), 1);
    assert_int_equal(counting.passes, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_meddles_nothing_is_void),
        cmocka_unit_test(an_evicted_page_voids_its_round),
        cmocka_unit_test(too_many_of_them_fail_the_arm),
        cmocka_unit_test(a_dirtied_page_does_not_pass),
        cmocka_unit_test(a_changed_recipe_does_not_pass),
        cmocka_unit_test(a_counting_pass_that_lost_a_page_is_made_again),
    };
    return physics_run(tests);
}
