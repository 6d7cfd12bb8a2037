/* SPDX-License-Identifier: MIT */
/* Rings of bytes: messages are whole wherever they begin, sums notice one that is not, and each view has its faults. */
#define _GNU_SOURCE
#include "hand.h"
#include "ring.h"

#include <linux/magic.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <sys/wait.h>

extern const struct method method_ring, method_ring_setup, method_ring_soak, method_ring_touch_first,
    method_ring_touch_second;

/* Where rings lie that are files. */
static const struct target folder = {.fd = -1, .directory = "/var/tmp"};

static const char *name_of(enum wrap wrap)
{
    return field_table[FIELD_wrap].options[wrap].spelling;
}

/* Whether a ring of one page can be had with it. */
static bool is_possible(enum wrap wrap)
{
    return wrap != wrap_mirrored_way || mirror_way_exists(physics_page_bytes(), physics_page_bytes());
}

static struct params ring_params(enum wrap wrap, uint64_t ring_bytes, uint64_t payload_bytes)
{
    struct params params = physics_params(physics_page_bytes(), recipe_write_4KiB, cache_as_found);
    params.backing = backing_memfd;
    params.wrap = wrap;
    params.ring_bytes = ring_bytes;
    params.payload_bytes = payload_bytes;
    params.consumer = consumer_none;
    return params;
}

/* False where this machine, or the filesystem of the folder, has no such memory. */
static bool has(enum ring_of of)
{
    struct params params = ring_params(wrap_mirrored, physics_page_bytes(), 64);
    struct worker worker = {.params = &params, .target = &folder, .fd = -1};
    struct ring_wish wish;
    struct mirror mirror = {0};
    struct err err = {0};
    params.ring_of = of;
    int rc = ring_wish(&wish, &worker, &err);
    if (rc == 0)
        rc = ring_mirror(&wish, &mirror, &err);
    mirror_free(&mirror);
    if (rc && rc != -EOPNOTSUPP)
        fail_msg("%s", err.text);
    if (rc)
        print_message("%s left out: %s\n", field_table[FIELD_ring_of].options[of].spelling, err.text);
    return rc == 0;
}

/* ---- every place ---- */

static void put(struct ring ring, uint64_t at, const unsigned char *message, uint64_t bytes, enum wrap wrap)
{
    switch (wrap) {
    case wrap_split:
        ring_put(ring, at, message, bytes, wrap_split);
        break;
    case wrap_mask:
        ring_put(ring, at, message, bytes, wrap_mask);
        break;
    case wrap_modulo:
        ring_put(ring, at, message, bytes, wrap_modulo);
        break;
    default:
        ring_put(ring, at, message, bytes, wrap_mirrored);
    }
    __asm__ volatile("" ::: "memory"); /* the compiler takes two views for two memories */
}

static void take(struct ring ring, uint64_t at, unsigned char *message, uint64_t bytes, enum wrap wrap)
{
    switch (wrap) {
    case wrap_split:
        ring_take(ring, at, message, bytes, wrap_split);
        break;
    case wrap_mask:
        ring_take(ring, at, message, bytes, wrap_mask);
        break;
    case wrap_modulo:
        ring_take(ring, at, message, bytes, wrap_modulo);
        break;
    default:
        ring_take(ring, at, message, bytes, wrap_mirrored);
    }
}

/* A message of so many bytes from each place on: those bytes of the ring are its, all others are as before. */
static void expect_whole(struct ring ring, uint64_t bytes, enum wrap wrap)
{
    unsigned char *message = malloc(3 * ring.bytes), *found = message + ring.bytes, *model = found + ring.bytes;
    assert_non_null(message);
    ring_fill(ring.base, ring.bytes, 1);
    memcpy(model, ring.base, ring.bytes);
    for (uint64_t at = 0; at < ring.bytes; at++) {
        ring_fill(message, bytes, 2 + at);
        put(ring, at, message, bytes, wrap);
        for (uint64_t i = 0; i < bytes; i++)
            model[at + i < ring.bytes ? at + i : at + i - ring.bytes] = message[i];
        if (memcmp(model, ring.base, ring.bytes) != 0)
            fail_msg("%s: %" PRIu64 " bytes from %" PRIu64 " on are not all there", name_of(wrap), bytes, at);
        memset(found, 0, bytes);
        take(ring, at, found, bytes, wrap);
        if (memcmp(found, message, bytes) != 0)
            fail_msg("%s: %" PRIu64 " bytes from %" PRIu64 " on come out otherwise", name_of(wrap), bytes, at);
    }
    free(message);
}

static void messages_are_whole_from_every_place_on(void **state)
{
    const uint64_t page = physics_page_bytes(), bytes[] = {1, 24, 1001, page - 1, page};
    (void)state;
    for (enum wrap wrap = wrap_mirrored; wrap < wrap_count; wrap++) {
        struct mirror mirror;
        struct mirror_wish wish = {.of = MIRROR_MEMFD, .bytes = page, .same_way = wrap == wrap_mirrored_way};
        if (!is_possible(wrap))
            continue;
        assert_int_equal(mirror_make(&mirror, &wish), 0);
        for (unsigned i = 0; i < sizeof bytes / sizeof *bytes && (i < 3 || page == 4 * KIB); i++)
            expect_whole((struct ring){mirror.base, page}, bytes[i], wrap);
        mirror_free(&mirror);
    }
}

/* ---- sums ---- */

static uint64_t sum_of(struct hand *hand, uint64_t count)
{
    hand->worker.consumer = consumer_sum;
    hand->worker.cursor = hand->worker.sum = 0;
    hand_run(hand, count);
    return hand->worker.sum;
}

/* The bytes of messages `count` from the first on, added up as they were made; a consumer's lie where they lie. */
static uint64_t sum_expected(const struct params *params, uint64_t count)
{
    uint64_t bytes = params->payload_bytes, sum = 0, at = params->ring_bytes - (bytes / 2 & ~UINT64_C(7));
    unsigned char *message = malloc(bytes), *ring = malloc(params->ring_bytes);
    assert_true(message && ring);
    ring_fill(ring, params->ring_bytes, 0);
    for (uint64_t number = 0; number < count; number++, at = (at + bytes) % params->ring_bytes) {
        ring_fill(message, bytes, number);
        for (uint64_t i = 0; i < bytes && params->ring_side == ring_side_consumer; i++)
            message[i] = ring[(at + i) % params->ring_bytes];
        sum += walk_sum(message, bytes);
    }
    free(message);
    free(ring);
    return sum;
}

static void sums_are_those_of_the_messages(void **state)
{
    (void)state;
    for (enum ring_of of = 0; of < ring_of_count; of++)
        for (enum wrap wrap = has(of) ? wrap_mirrored : wrap_count; wrap < wrap_count; wrap++)
            for (enum ring_side side = 0; side < ring_side_count && is_possible(wrap); side++) {
                struct params params = ring_params(wrap, physics_page_bytes(), 1000);
                struct hand hand;
                params.ring_side = side;
                params.ring_of = of;
                hand_begin(&hand, &method_ring, &params, &folder);
                assert_int_equal(sum_of(&hand, 20), sum_expected(&params, 20));
                hand_end(&hand);
            }
}

/* The second view is put over other memory: what runs over the end is lost, and the sum is another. */
static void a_broken_mirror_is_noticed(void **state)
{
    struct params params = ring_params(wrap_mirrored, physics_page_bytes(), 1000);
    (void)state;
    for (enum ring_side side = 0; side < ring_side_count; side++) {
        struct hand hand;
        params.ring_side = side;
        hand_begin(&hand, &method_ring, &params, NULL);
        const struct ring_room *room = hand.worker.own;
        void *second = room->mirror.base + room->mirror.bytes;
        assert_ptr_equal(
            mmap(second, room->mirror.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
            second);
        bool comes_back = side == ring_side_both; /* what is lost there is found there */
        assert_int_equal(sum_of(&hand, 1) == sum_expected(&params, 1), comes_back);
        hand_end(&hand);
    }
}

/* As the engine does it: all arms have a sum, the same, and take no faults. */
static void arms_are_compared_by_their_sums(void **state)
{
    struct params params = ring_params(wrap_mirrored, 4 * physics_page_bytes(), 1000);
    struct physics_cell cell;
    struct target target;
    (void)state;
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_ring, 100);
    physics_arm(&cell, &method_ring, 100)->params.wrap = wrap_split;
    physics_arm(&cell, &method_ring, 100)->params.wrap = wrap_mask;
    physics_arm(&cell, &method_ring, 10)->params.wrap = wrap_modulo;
    physics_measure(&cell, &target, 4);
    for (unsigned a = 0; a < 4; a++) {
        physics_expect_ok(&cell, a);
        assert_true(cell.result.arms[a].has_sum);
        assert_true(cell.result.arms[a].sum == cell.result.arms[0].sum);
#ifndef PHYSICS_SANITIZED
        assert_int_equal(physics_count(&cell, a, COUNTER_minor_faults), 0);
#endif
    }
    measure_free(&cell.result);
    target_close(&target);
}

/* ---- faults ---- */

/* Of one operation. */
static uint64_t faults_of_run(struct hand *hand)
{
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    getrusage(RUSAGE_THREAD, &before);
    hand_run(hand, 1);
    getrusage(RUSAGE_THREAD, &after);
    return (uint64_t)(after.ru_minflt - before.ru_minflt + after.ru_majflt - before.ru_majflt);
}

static uint64_t faults_of(const struct method *method, const struct params *params)
{
    struct hand hand;
    hand_begin(&hand, method, params, &folder);
    hand_reset(&hand, 1);
    uint64_t faults = faults_of_run(&hand);
    hand_end(&hand);
    return faults;
}

static void first_touches_fault_once_a_page(void **state)
{
    enum { PAGES = 32 };
    (void)state;
    physics_need_exact_counts();
    physics_need_small_memory();
    for (enum ring_of of = 0; of < ring_of_count; of++) {
        struct params params = ring_params(wrap_mirrored, PAGES * physics_page_bytes(), 64);
        if (!has(of))
            continue;
        params.ring_of = of;
        params.access = access_store;
        (void)faults_of(&method_ring_touch_first, &params); /* whose code faults, too */
        assert_int_equal(faults_of(&method_ring_touch_first, &params), PAGES);
        assert_int_equal(faults_of(&method_ring_touch_second, &params), PAGES);
        params.access = access_load;
        uint64_t loads = faults_of(&method_ring_touch_second, &params);
        if (of == ring_of_sysv) /* whose faults map nothing around */
            assert_int_equal(loads, PAGES);
        else
            assert_in_range(loads, 1, PAGES);
    }
}

static bool is_in_memory(const char *directory)
{
    struct statfs status;
    return statfs(directory, &status) == 0 && status.f_type == TMPFS_MAGIC;
}

/*
 * What the flusher does after half a minute, done at once: pages that are written back lose the right to be stored to,
 * in both views. A lap stores to each page through the first, and over its end to the first page of the second.
 */
static void expect_soaked(enum ring_of of, uint64_t pages, uint64_t faults)
{
    struct params params = ring_params(wrap_mirrored, pages * physics_page_bytes(), 1000);
    struct hand hand;
    params.ring_of = of;
    hand_begin(&hand, &method_ring_soak, &params, &folder);
    const struct ring_room *room = hand.worker.own;
    (void)faults_of_run(&hand); /* whose code faults, too */
    assert_int_equal(faults_of_run(&hand), 0);
    assert_int_equal(msync(room->mirror.base, room->mirror.bytes, MS_SYNC), 0);
    assert_int_equal(faults_of_run(&hand), faults);
    hand_end(&hand);
}

static void what_was_written_back_faults_again(void **state)
{
    enum { PAGES = 32 };
    (void)state;
    physics_need_exact_counts();
    expect_soaked(ring_of_memfd, PAGES, 0);
    if (is_in_memory(folder.directory))
        print_message("file left out: %s is memory\n", folder.directory);
    else if (has(ring_of_file))
        expect_soaked(ring_of_file, PAGES, PAGES + 1);
}

/* A ring that cannot be had is said to be so when the arm is set up, and leaves nothing. */
static void what_cannot_be_made_is_said(void **state)
{
    struct params params = ring_params(wrap_mirrored, UINT64_C(1) << 47, 64);
    struct worker worker = {.params = &params, .fd = -1};
    struct err err = {0};
    (void)state;
    params.ring_of = ring_of_tmpfs;
    if (has(ring_of_tmpfs)) {
        assert_int_equal(method_ring.setup(&worker, &err), -EOPNOTSUPP);
        assert_non_null(strstr(err.text, "/dev/shm has room for "));
        assert_non_null(strstr(err.text, ", and 137438953472 KiB are to be stored there"));
        method_ring.teardown(&worker);
    }
    params.ring_of = ring_of_memfd;
    assert_int_equal(method_ring_setup.setup(&worker, &err), -ENOMEM);
    assert_string_equal(err.text, "a mirrored ring: reserve addresses for both views: Cannot allocate memory");
    assert_int_equal(method_ring_setup.run(&worker, 1), -ENOMEM);
    method_ring_setup.teardown(&worker);
    assert_int_equal(method_ring.setup(&worker, &err), -ENOMEM);
    method_ring.teardown(&worker);
    assert_null(worker.own);
}

/* ---- limits of System V segments, in a namespace where they are nobody else's ---- */

static bool set_limit(const char *name, const char *value)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/sys/kernel/%s", name);
    FILE *file = fopen(path, "we");
    bool set = file && fputs(value, file) >= 0;
    return file && fclose(file) == 0 && set;
}

enum { IS_REFUSED, IS_OTHERWISE, NO_NAMESPACE };

static int set_up_beyond(const char *limit, const char *value, const char *says)
{
    struct params params = ring_params(wrap_mirrored, 16 * physics_page_bytes(), 64);
    struct worker worker = {.params = &params, .target = &folder, .fd = -1};
    struct err err = {0};
    params.ring_of = ring_of_sysv;
    if (unshare(CLONE_NEWIPC) || !set_limit(limit, value))
        return NO_NAMESPACE;
    int rc = method_ring_setup.setup(&worker, &err);
    method_ring_setup.teardown(&worker);
    if (rc == -EOPNOTSUPP && strcmp(err.text, says) == 0)
        return IS_REFUSED;
    print_message("%s %s: %d, %s\n", limit, value, rc, err.text);
    return IS_OTHERWISE;
}

static void segments_beyond_a_limit_are_unsupported(void **state)
{
    static const struct {
        const char *limit, *value, *says;
    } limits[] = {
        {"shmmax", "4096", "a mirrored ring: shmget: Invalid argument"},
        {"shmall", "1", "a mirrored ring: shmget: No space left on device"},
        {"shmmni", "0", "a mirrored ring: shmget: No space left on device"},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++) {
        int status;
        fflush(NULL);
        pid_t child = fork(); /* whose namespace goes with it */
        if (child == 0)
            _exit(set_up_beyond(limits[i].limit, limits[i].value, limits[i].says));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == NO_NAMESPACE)
            physics_skip("this process may not have a namespace for segments with limits of its own");
        assert_int_equal(WEXITSTATUS(status), IS_REFUSED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_whole_from_every_place_on),
        cmocka_unit_test(sums_are_those_of_the_messages),
        cmocka_unit_test(a_broken_mirror_is_noticed),
        cmocka_unit_test(arms_are_compared_by_their_sums),
        cmocka_unit_test(first_touches_fault_once_a_page),
        cmocka_unit_test(what_was_written_back_faults_again),
        cmocka_unit_test(what_cannot_be_made_is_said),
        cmocka_unit_test(segments_beyond_a_limit_are_unsupported),
    };
    return physics_run(tests);
}
