/* SPDX-License-Identifier: MIT */
/*
 * io_uring reads the blocks that pread reads, whatever is registered and however deep the queue; a short read and a
 * refusal are told as what they are.
 */
#include "hand.h"
#include "witness.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { BLOCKS = 128, MANY = 16 };

extern const struct method method_pread, method_uring;

static struct params uring_params(enum cache cache, uint64_t queue_depth)
{
    struct params params = physics_params(BLOCKS * physics_page_bytes(), recipe_write_1MiB, cache);
    params.pattern = pattern_random;
    params.advice = advice_random;
    params.queue_depth = queue_depth;
    return params;
}

static void check_sums(struct params params, enum submission submission, enum open_as open_as)
{
    struct physics_cell cell;
    struct target target;
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_pread, BLOCKS);
    for (unsigned kind = registered_none; kind <= registered_both; kind += registered_both) {
        struct params *own = &physics_arm(&cell, &method_uring, BLOCKS)->params;
        own->registered = kind;
        own->submission = submission;
        own->open_as = open_as;
    }
    physics_measure(&cell, &target, 3);
    for (unsigned a = 0; a < cell.cell.arm_count; a++) {
        physics_expect_ok(&cell, a);
        assert_true(cell.result.arms[a].has_sum);
        assert_int_equal(cell.result.arms[a].sum, cell.result.arms[0].sum);
    }
    measure_free(&cell.result);
    target_close(&target);
}

static void sums_at_every_depth(void **state)
{
    static const uint64_t depths[] = {1, 3, 64, 2 * BLOCKS};
    (void)state;
    for (unsigned i = 0; i < sizeof depths / sizeof *depths; i++) {
        check_sums(uring_params(cache_warm, depths[i]), submission_enter, open_as_plain);
        check_sums(uring_params(cache_cold, depths[i]), submission_enter, open_as_plain);
    }
}

/* Requests that wait for the storage complete in any order, and no two may be under way to one buffer. */
static void sums_past_the_cache(void **state)
{
    struct params params = uring_params(cache_cold, 64);
    (void)state;
    params.file_bytes = params.working_set_bytes = MANY * BLOCKS * physics_page_bytes();
    check_sums(params, submission_enter, open_as_direct);
}

/* As many requests are under way as the queue is deep: each has read into a block of its own. */
static void every_place_of_the_queue_is_used(void **state)
{
    enum { DEPTH = 8 };
    struct params params = uring_params(cache_warm, DEPTH);
    uint64_t bytes = params.block_bytes, used = 0;
    unsigned char *filled = malloc(bytes);
    struct target target;
    struct hand hand;
    (void)state;
    assert_non_null(filled);
    memset(filled, 1, bytes); /* what a buffer holds before anything is read into it */
    physics_open(&target, &params);
    hand_begin(&hand, &method_uring, &params, &target);
    hand_run(&hand, DEPTH);
    for (unsigned i = 0; i < DEPTH; i++)
        used += memcmp(hand.worker.buffer + i * bytes, filled, bytes) != 0;
    hand_end(&hand);
    target_close(&target);
    free(filled);
    assert_int_equal(used, DEPTH);
}

static void sums_polled(void **state)
{
    (void)state;
    check_sums(uring_params(cache_warm, 16), submission_sqpoll, open_as_plain);
    check_sums(uring_params(cache_cold, 3), submission_sqpoll, open_as_plain);
}

/* A file that ends too early: the reads under way are waited for, and the arm has failed. */
static void short_read_fails(void **state)
{
    struct crew_of_one crew = {.params = uring_params(cache_warm, 16)};
    (void)state;
    crew_begin(&crew, &method_uring);
    crew_order(&crew, WORK_RESET, BLOCKS);
    assert_int_equal(ftruncate(crew.target.fd, (off_t)(BLOCKS / 2 * physics_page_bytes())), 0);
    work_do(crew.work, &(struct work_order){.verb = WORK_RUN, .blocks = BLOCKS}, &crew_answer_of_one);
    assert_int_equal(crew_answer_of_one.rc, -ENODATA);
    crew_end(&crew);
}

/* Every system call named io_uring_setup is refused from here on, as in most containers. */
static bool forbid_io_uring(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 425, 0, 1), /* io_uring_setup, the same on every architecture */
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof rules / sizeof *rules, .filter = rules};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* In a process of its own: what is forbidden stays so. 0: unsupported, with the reason. */
static int measure_forbidden(void)
{
    struct params params = uring_params(cache_warm, 4);
    struct physics_cell cell;
    struct target target;
    if (!forbid_io_uring())
        return 77;
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_pread, BLOCKS);
    physics_arm(&cell, &method_uring, BLOCKS);
    physics_measure(&cell, &target, 2);
    const struct arm_result *refused = &cell.result.arms[1];
    bool told = cell.result.arms[0].status == ARM_OK && refused->status == ARM_UNSUPPORTED &&
                (strstr(refused->reason, "not permitted") || strstr(refused->reason, "without liburing"));
    print_message("%s\n", refused->reason);
    measure_free(&cell.result);
    target_close(&target);
    return told ? 0 : 1;
}

static void refusal_is_told(void **state)
{
    int status;
    (void)state;
    pid_t pid = fork();
    assert_int_not_equal(pid, -1);
    if (pid == 0)
        _exit(measure_forbidden());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        physics_skip("seccomp: no filter can be set here");
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_at_every_depth), cmocka_unit_test(sums_past_the_cache),
        cmocka_unit_test(sums_polled),         cmocka_unit_test(every_place_of_the_queue_is_used),
        cmocka_unit_test(short_read_fails),    cmocka_unit_test(refusal_is_told),
    };
    return physics_run(tests);
}
