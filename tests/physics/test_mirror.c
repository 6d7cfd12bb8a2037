/* SPDX-License-Identifier: MIT */
/* Mirrored mappings: one memory at two places, of every kind; what is refused; and nothing left, wherever it fails. */
#include "physics.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/wait.h>

/* Of the calls that make a mirror the `failing`-th fails, as if memory had run out; 0: none does. */
static unsigned failing, calls;

static bool fails_now(void)
{
    errno = ENOMEM;
    return ++calls == failing;
}

#define mmap(...) (fails_now() ? MAP_FAILED : mmap(__VA_ARGS__))
#define mremap(...) (fails_now() ? MAP_FAILED : mremap(__VA_ARGS__))
#define shmget(...) (fails_now() ? -1 : shmget(__VA_ARGS__))
#define shmat(...) (fails_now() ? (void *)-1 : shmat(__VA_ARGS__))
#define memfd_create(...) (fails_now() ? -1 : memfd_create(__VA_ARGS__))
#define shm_open(...) (fails_now() ? -1 : shm_open(__VA_ARGS__))
#define open(...) (fails_now() ? -1 : open(__VA_ARGS__))
#define ftruncate(...) (fails_now() ? -1 : ftruncate(__VA_ARGS__))
#define posix_fallocate(...) (fails_now() ? ENOMEM : posix_fallocate(__VA_ARGS__))
// NOLINTBEGIN(bugprone-suspicious-include): their calls are to fail one by one
#include "../../bench/techniques/memory_file.c"
#include "../../bench/techniques/mirror.c"
// NOLINTEND(bugprone-suspicious-include)
#undef mmap
#undef mremap
#undef shmget
#undef shmat
#undef memfd_create
#undef shm_open
#undef open
#undef ftruncate
#undef posix_fallocate

static const char *const names[MIRROR_OF_COUNT] = {"memfd", "shm", "tmpfs", "file", "sysv", "mremap"};

#define PREFIX "mirror-test-"

static const char *place_for(enum mirror_of of)
{
    static char name[MEMORY_FILE_NAME_BYTES];
    if (!*name)
        memory_file_name(name, PREFIX);
    return of == MIRROR_SHM ? name : of == MIRROR_FILE ? "/var/tmp" : NULL;
}

static struct mirror_wish wish_of(enum mirror_of of, size_t pages)
{
    size_t unit = of == MIRROR_SYSV ? (size_t)SHMLBA : physics_page_bytes();
    return (struct mirror_wish){.of = of, .bytes = pages * unit, .place = place_for(of)};
}

/* False where this machine, or the filesystem of /var/tmp, has no such memory. */
static bool make(struct mirror *mirror, const struct mirror_wish *wish)
{
    int rc = mirror_make(mirror, wish);
    if (memory_file_is_unsupported(rc)) {
        print_message("%s left out: %s: %s\n", names[wish->of], mirror->why, strerror(-rc));
        return false;
    }
    if (rc)
        fail_msg("%s: %s: %s", names[wish->of], mirror->why, strerror(-rc));
    return rc == 0 && mirror->base;
}

/* ---- one memory ---- */

static unsigned char byte_at(size_t at, unsigned salt)
{
    return (unsigned char)((at + salt) * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

/* What is stored through one view is there in the other, at every offset; and a run over the end is its beginning. */
static void expect_mirrored(const struct mirror *mirror)
{
    size_t bytes = mirror->bytes;
    for (unsigned view = 0; view < 2; view++) {
        unsigned char *to = mirror->base + view * bytes, *from = mirror->base + !view * bytes;
        for (size_t at = 0; at < bytes; at++)
            to[at] = byte_at(at, view);
        __asm__ volatile("" ::: "memory"); /* the compiler takes the views for two memories */
        for (size_t at = 0; at < bytes; at++)
            if (from[at] != byte_at(at, view))
                fail_msg("byte %zu of view %u is another one", at, !view);
    }
    memset(mirror->base + bytes - 5, 'w', 11);
    __asm__ volatile("" ::: "memory");
    assert_memory_equal(mirror->base, "wwwwww", 6);
    assert_int_equal(mirror->base[6], byte_at(6, 1));
}

static void both_views_are_one_memory(void **state)
{
    (void)state;
    for (enum mirror_of of = 0; of < MIRROR_OF_COUNT; of++) {
        struct mirror mirror, other;
        struct mirror_wish wish = wish_of(of, 5);
        if (!make(&mirror, &wish))
            continue;
        assert_int_equal(mirror.bytes, wish.bytes);
        assert_true(make(&other, &wish));
        memset(other.base, 0x55, other.bytes);
        expect_mirrored(&mirror);
        assert_int_equal(other.base[0], 0x55); /* each has memory of its own */
        mirror_free(&other);
        mirror_free(&mirror);
    }
}

static void a_part_of_a_file_is_mirrored(void **state)
{
    struct mirror mirror;
    struct mirror_wish wish = wish_of(MIRROR_MEMFD, 2);
    int fd = memfd_create("test", MFD_CLOEXEC);
    unsigned char found[4];
    (void)state;
    assert_int_equal(ftruncate(fd, (off_t)(2 * wish.bytes)), 0);
    if (mirror_map(&mirror, fd, (off_t)wish.bytes, &wish) || !mirror.base) {
        fail_msg("%s", mirror.why);
        return;
    }
    memcpy(mirror.base + wish.bytes - 2, "abcd", 4);
    assert_int_equal(pread(fd, found, 2, (off_t)wish.bytes), 2);
    assert_int_equal(pread(fd, found + 2, 2, (off_t)(2 * wish.bytes - 2)), 2);
    assert_memory_equal(found, "cdab", 4);
    mirror_free(&mirror);
    assert_int_equal(mirror_map(&mirror, -1, 0, &wish), -EBADF);
    assert_string_equal(mirror.why, "map the first view");
    close(fd);
}

/* ---- faults ---- */

/* Of both kinds: that which brings the head of a file into the page cache is a major one. */
static uint64_t faults_so_far(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (uint64_t)(usage.ru_minflt + usage.ru_majflt);
}

/* Of one store to each page of a view; a first call, whose own faults are none of theirs, comes before. */
static uint64_t faults_of_view(const struct mirror *mirror, unsigned view)
{
    size_t step = physics_page_bytes();
    volatile unsigned char *at = mirror->base + view * mirror->bytes;
    (void)faults_so_far();
    uint64_t before = faults_so_far();
    for (size_t i = 0; i < mirror->bytes; i += step)
        at[i] = 1;
    return faults_so_far() - before;
}

/* Each view has page table entries of its own: memory that is there already still faults once a page. */
static void each_view_faults_once_a_page(void **state)
{
    enum { PAGES = 48 };
    (void)state;
    physics_need_exact_counts();
    physics_need_small_memory();
    for (enum mirror_of of = 0; of < MIRROR_OF_COUNT; of++) {
        struct mirror mirror;
        struct mirror_wish wish = wish_of(of, PAGES);
        uint64_t pages = wish.bytes / physics_page_bytes();
        if (!make(&mirror, &wish))
            continue;
        for (unsigned view = 0; view < 2; view++) {
            assert_int_equal(physics_mapped_pages(mirror.base + view * wish.bytes, wish.bytes), 0);
            uint64_t faults = faults_of_view(&mirror, view);
            if (faults != pages)
                fail_msg("%s: %" PRIu64 " faults of %" PRIu64 " pages of view %u", names[of], faults, pages, view);
            assert_int_equal(physics_mapped_pages(mirror.base + view * wish.bytes, wish.bytes), pages);
            assert_int_equal(faults_of_view(&mirror, view), 0);
        }
        mirror_free(&mirror);
    }
}

/* ---- guards, ways ---- */

static bool is_stopped(volatile unsigned char *at)
{
    pid_t child = fork();
    int status = 0;
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        *at = 1;
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void guards_stop_what_runs_over(void **state)
{
    (void)state;
    for (enum mirror_of of = 0; of < MIRROR_OF_COUNT; of++) {
        struct mirror mirror;
        struct mirror_wish wish = wish_of(of, 2);
        wish.guards = true;
        if (!make(&mirror, &wish))
            continue;
        assert_true(is_stopped(mirror.base - 1));
        assert_true(is_stopped(mirror.base + 2 * mirror.bytes));
        assert_false(is_stopped(mirror.base));
        assert_false(is_stopped(mirror.base + 2 * mirror.bytes - 1));
        expect_mirrored(&mirror);
        mirror_free(&mirror);
    }
}

/* The hash as published, bit by bit. */
static bool same_hash(uintptr_t a, uintptr_t b)
{
    static const unsigned pairs[8][2] = {{12, 27}, {13, 26}, {14, 25}, {15, 20},
                                         {16, 21}, {17, 22}, {18, 23}, {19, 24}};
    for (unsigned i = 0; i < 8; i++)
        if ((((a >> pairs[i][0]) ^ (a >> pairs[i][1])) & 1) != (((b >> pairs[i][0]) ^ (b >> pairs[i][1])) & 1))
            return false;
    return true;
}

static void views_get_the_same_way(void **state)
{
    (void)state;
    if (physics_page_bytes() != 4 * KIB)
        physics_skip("no processor that guesses ways has other pages than of 4 KiB");
    for (enum mirror_of of = 0; of < MIRROR_OF_COUNT; of++)
        for (size_t bytes = physics_page_bytes(); bytes <= 32 * KIB; bytes *= 2) {
            struct mirror mirror;
            struct mirror_wish wish = {.of = of, .bytes = bytes, .place = place_for(of), .same_way = true};
            if ((of == MIRROR_SYSV && bytes % (size_t)SHMLBA) || !make(&mirror, &wish))
                continue;
            for (size_t at = 0; at < bytes; at += 4 * KIB)
                assert_true(same_hash((uintptr_t)mirror.base + at, (uintptr_t)mirror.base + bytes + at));
            expect_mirrored(&mirror);
            mirror_free(&mirror);
        }
}

/* By trying every place there is, in a way of its own. */
static bool way_exists(size_t bytes)
{
    for (uintptr_t base = 0; base < 256 * MIB; base += physics_page_bytes()) {
        bool same = true;
        for (size_t at = 0; at < bytes && same; at += 4 * KIB)
            same = same_hash(base + at, base + bytes + at);
        if (same)
            return true;
    }
    return false;
}

static void the_same_way_exists_for_some_sizes(void **state)
{
    (void)state;
    bool guesses = physics_page_bytes() == 4 * KIB;
    for (size_t bytes = physics_page_bytes(); bytes <= 80 * KIB; bytes += physics_page_bytes())
        assert_int_equal(mirror_way_exists(bytes, physics_page_bytes()), !guesses || way_exists(bytes));
    assert_int_equal(mirror_way_exists(1 * MIB, physics_page_bytes()), !guesses);
    assert_true(mirror_way_exists(256 * MIB, physics_page_bytes()));
    assert_true(mirror_way_exists(1 * MIB, 64 * KIB)); /* of another machine */
    assert_false(mirror_way_exists(1 * MIB, 4 * KIB));
}

/* ---- refused ---- */

static void expect_refused(const struct mirror_wish *wish, int code, const char *why)
{
    struct mirror mirror;
    assert_int_equal(mirror_make(&mirror, wish), -code);
    assert_string_equal(mirror.why, why);
    assert_null(mirror.base);
    mirror_free(&mirror);
}

static void sizes_are_refused_and_never_rounded(void **state)
{
    static const char *const whole = "the size of a mirror has to be whole pages (SHMLBA with System V)";
    (void)state;
    for (enum mirror_of of = 0; of < MIRROR_OF_COUNT; of++) {
        struct mirror_wish wish = wish_of(of, 0);
        expect_refused(&wish, EINVAL, "a mirror of no bytes");
        for (unsigned i = 0; i < 4; i++) {
            size_t bytes[] = {1, physics_page_bytes() - 1, physics_page_bytes() + 1, 3 * physics_page_bytes() / 2};
            wish.bytes = bytes[i];
            expect_refused(&wish, EINVAL, whole);
        }
        wish.bytes = SIZE_MAX - SIZE_MAX % (size_t)SHMLBA;
        expect_refused(&wish, EOVERFLOW, "twice the size is more than there are addresses");
        wish.bytes = SIZE_MAX / 4 + 1; /* which there are twice, but no process has them */
        expect_refused(&wish, ENOMEM, "reserve addresses for both views");
    }
    struct mirror_wish wish = wish_of(MIRROR_FILE, 1);
    wish.place = NULL;
    expect_refused(&wish, EINVAL, "a file needs a directory");
    wish.place = "/nowhere/at/all";
    expect_refused(&wish, ENOENT, "make the memory");
    wish = wish_of(MIRROR_SHM, 1);
    wish.place = NULL;
    expect_refused(&wish, EINVAL, "shm_open needs a name");
    wish = wish_of(MIRROR_MEMFD, 1);
    wish.bytes = 1 * MIB;
    wish.same_way = true;
    if (physics_page_bytes() == 4 * KIB)
        expect_refused(&wish, ENOTSUP, "two views of that size in a row cannot have the same way");
}

/* ---- nothing left ---- */

struct traces {
    unsigned mappings, descriptors, names, segments;
};

static unsigned count_entries(const char *path, const char *with)
{
    unsigned count = 0;
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder && (entry = readdir(folder));)
        count += strstr(entry->d_name, with) != NULL;
    if (folder)
        closedir(folder);
    return count;
}

/* Lines of a file of /proc, or those whose fifth word is this process: of System V segments, who made them. */
static unsigned count_lines(const char *path, bool mine)
{
    char line[4096];
    unsigned count = 0;
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        long maker = 0;
        count += !mine || (sscanf(line, "%*d %*d %*o %*u %ld", &maker) == 1 && maker == getpid());
    }
    if (file)
        fclose(file);
    return count;
}

static struct traces look(void)
{
    char with[32];
    snprintf(with, sizeof with, PREFIX "%x-", (unsigned)getpid());
    return (struct traces){
        .mappings = count_lines("/proc/self/maps", false),
        .descriptors = count_entries("/proc/self/fd", ""),
        .names = count_entries("/dev/shm", with),
        .segments = count_lines("/proc/sysvipc/shm", true),
    };
}

static void expect_no_traces(const struct traces *before, const char *name, unsigned at)
{
    struct traces now = look();
    if (now.mappings != before->mappings)
        fail_msg("%s, failing at %u: %u mappings, before %u", name, at, now.mappings, before->mappings);
    if (now.descriptors != before->descriptors)
        fail_msg("%s, failing at %u: %u descriptors, before %u", name, at, now.descriptors, before->descriptors);
    if (now.names || now.segments)
        fail_msg("%s, failing at %u: %u names and %u segments are left", name, at, now.names, now.segments);
}

/* While it lives there is a removed segment, and no name; afterwards nothing. Then every call fails, one at a time. */
static void nothing_is_left(void **state)
{
    (void)state;
    (void)look(); /* once, for what the C library maps for it */
    for (enum mirror_of of = 0; of < MIRROR_OF_COUNT; of++) {
        struct traces before = look();
        struct mirror mirror;
        struct mirror_wish wish = wish_of(of, 3);
        wish.guards = true;
        calls = failing = 0;
        if (!make(&mirror, &wish))
            continue;
        unsigned needed = calls;
        struct traces living = look();
        assert_int_equal(living.segments, of == MIRROR_SYSV && access("/proc/sysvipc/shm", R_OK) == 0);
        assert_int_equal(living.names, 0);
        assert_int_equal(living.descriptors, before.descriptors);
        assert_true(living.mappings > before.mappings);
        mirror_free(&mirror);
        mirror_free(&mirror); /* and again, which is nothing */
        expect_no_traces(&before, names[of], 0);
        assert_true(needed >= 3);
        for (failing = 1; failing <= needed; failing++) {
            calls = 0;
            assert_int_equal(mirror_make(&mirror, &wish), -ENOMEM);
            assert_null(mirror.base);
            expect_no_traces(&before, names[of], failing);
        }
        failing = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_views_are_one_memory),
        cmocka_unit_test(a_part_of_a_file_is_mirrored),
        cmocka_unit_test(each_view_faults_once_a_page),
        cmocka_unit_test(guards_stop_what_runs_over),
        cmocka_unit_test(views_get_the_same_way),
        cmocka_unit_test(the_same_way_exists_for_some_sizes),
        cmocka_unit_test(sizes_are_refused_and_never_rounded),
        cmocka_unit_test(nothing_is_left),
    };
    return physics_run_beside(tests, DISTURBED_BY_WRITEBACK);
}
