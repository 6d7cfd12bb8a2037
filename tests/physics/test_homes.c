/* SPDX-License-Identifier: MIT */
/* Where workers run, and on which memory node their pages lie: asked of the kernel itself, beside what is recorded. */
#include "physics.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>

#include "place.h"

extern const struct method method_ping_pong;

enum { PAGES = 8 };

static cpu_set_t all_cpus;

static int remember_cpus(void **state)
{
    (void)state;
    return sched_getaffinity(0, sizeof all_cpus, &all_cpus);
}

/* A skipped test leaves by a jump: the binding is taken back here. */
static int restore(void **state)
{
    (void)state;
    return sched_setaffinity(0, sizeof all_cpus, &all_cpus);
}

/* ---- CPUs ---- */

struct sitter {
    pthread_t thread;
    pthread_barrier_t *all_sit;
    unsigned cpu, sits_on;
    int rc;
    char allowed[64];
    struct err err;
};

/* What the kernel shows of the calling thread: "3" of one that may run on CPU 3 alone. */
static void read_allowed(char *text, size_t size)
{
    char line[1024];
    FILE *file = fopen("/proc/thread-self/status", "re");
    text[0] = '\0';
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "Cpus_allowed_list:\t", 19) == 0)
            snprintf(text, size, "%.*s", (int)strcspn(line + 19, "\n"), line + 19);
    if (file)
        fclose(file);
}

/* The system call, not the C library's short cut; looked at while all other threads sit, too. */
static void *sit(void *argument)
{
    struct sitter *sitter = argument;
    sitter->rc = place_bind(sitter->cpu, &sitter->err);
    pthread_barrier_wait(sitter->all_sit);
    if (syscall(SYS_getcpu, &sitter->sits_on, NULL, NULL))
        sitter->sits_on = UINT32_MAX;
    read_allowed(sitter->allowed, sizeof sitter->allowed);
    pthread_barrier_wait(sitter->all_sit);
    return NULL;
}

static void every_cpu_takes_the_thread_that_is_bound_to_it(void **state)
{
    static struct sitter sitters[CPU_SETSIZE];
    pthread_barrier_t all_sit;
    unsigned count = 0;
    char expected[16];
    (void)state;
    assert_int_equal(pthread_barrier_init(&all_sit, NULL, (unsigned)CPU_COUNT(&all_cpus)), 0);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all_cpus)) {
            sitters[count] = (struct sitter){.all_sit = &all_sit, .cpu = cpu};
            assert_int_equal(pthread_create(&sitters[count].thread, NULL, sit, &sitters[count]), 0);
            count++;
        }
    for (unsigned i = 0; i < count; i++)
        pthread_join(sitters[i].thread, NULL);
    pthread_barrier_destroy(&all_sit);
    for (unsigned i = 0; i < count; i++) {
        if (sitters[i].rc)
            fail_msg("%s", sitters[i].err.text);
        snprintf(expected, sizeof expected, "%u", sitters[i].cpu);
        assert_int_equal(sitters[i].sits_on, sitters[i].cpu);
        assert_string_equal(sitters[i].allowed, expected);
    }
}

/* ---- memory ---- */

struct home_case {
    unsigned cpu, node; /* of a CPU and the node it belongs to */
};

/* The node by /sys; -1: none is told, or it has no memory. */
static int node_of_cpu(unsigned cpu)
{
    char path[128];
    int node = -1;
    unsigned long kilobytes = 0;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u", cpu);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder)) && node < 0;)
        if (sscanf(entry->d_name, "node%d", &node) != 1)
            node = -1;
    if (folder)
        closedir(folder);
    snprintf(path, sizeof path, "/sys/devices/system/node/node%d/meminfo", node);
    FILE *file = node < 0 ? NULL : fopen(path, "re");
    if (!file || fscanf(file, "Node %*u MemTotal: %lu", &kilobytes) != 1 || kilobytes == 0)
        node = -1;
    if (file)
        fclose(file);
    return node;
}

/* One CPU of each node that has memory; two nodes at least, or the test is skipped. */
static unsigned find_homes(struct home_case *homes, unsigned room)
{
    unsigned count = 0;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && count < room; cpu++) {
        int node = CPU_ISSET(cpu, &all_cpus) ? node_of_cpu(cpu) : -1;
        bool known = node < 0;
        for (unsigned i = 0; i < count; i++)
            known |= homes[i].node == (unsigned)node;
        if (!known)
            homes[count++] = (struct home_case){cpu, (unsigned)node};
    }
    if (count < 2)
        physics_skip("this machine has %u memory nodes with CPUs: every page lies at home", count);
    return count;
}

/*
 * All pages of a file by move_pages(2), which tells where a page lies when it is not asked to move it. A page has to be
 * in the page table of whoever asks: the last byte of each is read.
 */
static void expect_home(int fd, uint64_t bytes, unsigned node)
{
    uint64_t page_bytes = physics_page_bytes(), count = bytes / page_bytes;
    void *pages[PAGES];
    int status[PAGES];
    assert_true(count > 0 && count <= PAGES);
    volatile unsigned char *base = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(base, MAP_FAILED);
    for (uint64_t i = 0; i < count; i++) {
        (void)base[(i + 1) * page_bytes - 1];
        pages[i] = (void *)(uintptr_t)&base[i * page_bytes];
        status[i] = -EFAULT;
    }
    long rc = syscall(SYS_move_pages, 0, count, pages, NULL, status, 0);
    int error = errno;
    munmap((void *)(uintptr_t)base, bytes);
    if (rc < 0 && (error == ENOSYS || error == EPERM))
        physics_skip("move_pages: %s", strerror(error));
    assert_int_equal(rc, 0);
    for (uint64_t i = 0; i < count; i++)
        assert_int_equal(status[i], node);
}

static void bind_to(unsigned cpu)
{
    struct err err = {0};
    if (place_bind(cpu, &err))
        fail_msg("%s", err.text);
}

static struct params home_params(void)
{
    struct params params = physics_params(PAGES * physics_page_bytes(), recipe_write_4KiB, cache_as_found);
    params.backing = backing_memfd;
    params.workers = 2;
    params.access = access_load;
    return params;
}

/* Made and made anew on one node each, looked at from another one. */
static void pages_lie_where_they_were_made(void **state)
{
    struct home_case homes[64];
    struct params params = home_params();
    struct target target;
    struct err err = {0};
    (void)state;
    unsigned count = find_homes(homes, sizeof homes / sizeof *homes);
    for (unsigned i = 0; i < count; i++) {
        const struct home_case *first = &homes[i], *next = &homes[(i + 1) % count];
        bind_to(first->cpu);
        physics_open(&target, &params);
        bind_to(next->cpu);
        expect_home(target.fd, params.file_bytes, first->node);
        assert_int_equal(target_renew(&target, &err), 0);
        bind_to(first->cpu);
        expect_home(target.fd, params.file_bytes, next->node);
        target_close(&target);
    }
}

/* What two workers contend for after they went from pair to pair lies on `node`; they began on `cpus`, or anywhere. */
static void measure_visits(enum worker_kind kind, struct visit *visits, unsigned count, const unsigned *cpus,
                           unsigned node)
{
    struct params params = home_params();
    struct physics_cell cell;
    struct target target;
    struct err err = {0};
    params.worker_kind = kind;
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    for (unsigned a = 0; a < hand_over_count; a++)
        physics_arm(&cell, &method_ping_pong, 2)->params.hand_over = a;
    struct measure_request request = physics_request(&cell, &target);
    request.cpus = cpus;
    request.visits = visits;
    request.visit_count = count;
    request.visit_rounds = 1;
    if (measure_cell(&request, &cell.result, &err))
        fail_msg("%s", err.text);
    for (unsigned a = 0; a < hand_over_count; a++)
        physics_expect_ok(&cell, a);
    for (unsigned r = 0; r < cell.result.rounds; r++)
        assert_null(cell.result.voided[r]);
    expect_home(target.fd, params.file_bytes, node);
    measure_free(&cell.result);
    target_close(&target);
}

static void pages_of_a_pair_lie_with_its_first_worker(void **state)
{
    struct home_case homes[64];
    (void)state;
    unsigned count = find_homes(homes, sizeof homes / sizeof *homes);
    for (enum worker_kind kind = 0; kind < worker_kind_count; kind++)
        for (unsigned i = 0; i < count; i++) {
            const struct home_case *first = &homes[i], *second = &homes[(i + 1) % count];
            struct visit visits[] = {{.cpus = {first->cpu, second->cpu}}, {.cpus = {second->cpu, first->cpu}}};
            measure_visits(kind, visits, 1, NULL, first->node);
            measure_visits(kind, visits, 2, NULL, second->node);
            measure_visits(kind, visits, 2, visits[0].cpus, first->node);          /* they go back */
            assert_int_equal(sched_setaffinity(0, sizeof all_cpus, &all_cpus), 0); /* the coordinator went along */
        }
}

/* A working set may be less than a page; its page has a home all the same. */
static void a_part_of_a_page_has_a_home(void **state)
{
    struct params params = home_params();
    struct target target;
    struct err err = {0};
    uint64_t pages[NODES_MAX] = {0}, others = 0, sum = 0;
    (void)state;
    physics_open(&target, &params);
    int rc = target_homes(&target, 1, pages, NODES_MAX, &others, &err);
    target_close(&target);
    if (rc == -ENOSYS || rc == -EPERM)
        physics_skip("%s", err.text);
    for (unsigned node = 0; node < NODES_MAX; node++)
        sum += pages[node];
    assert_int_equal(rc, 0);
    assert_int_equal(sum, 1);
    assert_int_equal(others, 0);
}

/* A policy of the process sends the pages of the second visit elsewhere: that visit is void, and the first one is not.
 */
static void a_visit_whose_pages_lie_elsewhere_is_void(void **state)
{
    struct home_case homes[64];
    struct params params = home_params();
    struct physics_cell cell;
    struct target target;
    struct node_mask mask = {{0}};
    struct err err = {0};
    (void)state;
    find_homes(homes, sizeof homes / sizeof *homes);
    struct visit visits[] = {{.cpus = {homes[0].cpu, homes[1].cpu}}, {.cpus = {homes[1].cpu, homes[0].cpu}}};
    physics_open(&target, &params);
    physics_begin(&cell, &params);
    physics_arm(&cell, &method_ping_pong, 2);
    struct measure_request request = physics_request(&cell, &target);
    request.cpus = visits[0].cpus;
    request.visits = visits;
    request.visit_count = 2;
    request.visit_rounds = 1;
    node_mask_add(&mask, homes[0].node);
    assert_int_equal(syscall(SYS_set_mempolicy, MPOL_BIND, mask.part, (unsigned long)NODE_MASK_BITS), 0);
    int rc = measure_cell(&request, &cell.result, &err);
    assert_int_equal(syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0UL), 0);
    assert_int_equal(rc, 0);
    assert_null(cell.result.voided[0]);
    assert_non_null(cell.result.voided[1]);
    assert_non_null(strstr(cell.result.voided[1], "memory node"));
    measure_free(&cell.result);
    target_close(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_cpu_takes_the_thread_that_is_bound_to_it, remember_cpus, restore),
        cmocka_unit_test_setup_teardown(pages_lie_where_they_were_made, remember_cpus, restore),
        cmocka_unit_test_setup_teardown(pages_of_a_pair_lie_with_its_first_worker, remember_cpus, restore),
        cmocka_unit_test_setup_teardown(a_visit_whose_pages_lie_elsewhere_is_void, remember_cpus, restore),
        cmocka_unit_test(a_part_of_a_page_has_a_home),
    };
    return physics_run(tests);
}
