/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "probe_table.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "build.h"
#include "cachestat.h"
#include "cgroup.h"
#include "perf.h"
#include "sysfile.h"

/* What older headers lack. System calls from 424 on have one number on every architecture that Linux 6 runs on but
 * Alpha. */
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef UFFD_FEATURE_MOVE
#define UFFD_FEATURE_MOVE (1 << 16)
#endif

enum {
    HUGE_BYTES_MAX = 64 * 1024 * 1024, /* larger huge pages (512 MiB on some arm64) are not spent on a question */
};

static void *map_anonymous(size_t bytes, struct err *why)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        err_sys(why, "mmap");
        return NULL;
    }
    memset(base, 1, bytes);
    return base;
}

static unsigned char *map_file(const struct probe_ground *ground, int flags, struct err *why)
{
    void *base = mmap(NULL, ground->file_bytes, PROT_READ | PROT_WRITE, flags, ground->fd, 0);
    if (base != MAP_FAILED)
        return base;
    err_sys(why, "mmap");
    return NULL;
}

static uint64_t faults_taken(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}

/* Faults that reading one byte of each page takes. A sanitizer's own look at its shadow memory would fault too. */
__attribute__((no_sanitize("address", "thread", "undefined"))) static uint64_t
faults_of_touching(const unsigned char *base, const struct probe_ground *ground)
{
    faults_taken(); /* the first call itself may fault */
    uint64_t before = faults_taken();
    for (size_t at = 0; at < ground->file_bytes; at += ground->page)
        (void)*(const volatile unsigned char *)(base + at);
    return faults_taken() - before;
}

static int resident_pages(unsigned char *base, const struct probe_ground *ground, size_t *pages, struct err *why)
{
    unsigned char resident[FILE_PAGES];
    *pages = 0;
    if (mincore(base, ground->file_bytes, resident))
        return err_sys(why, "mincore");
    for (size_t i = 0; i < FILE_PAGES; i++)
        *pages += resident[i] & 1;
    return 0;
}

static int try_cachestat(const struct probe_ground *ground, struct err *why)
{
    struct cachestat_pages state = {0};
    if (cachestat_look(ground->fd, 0, ground->file_bytes, &state))
        return err_sys(why, "cachestat");
    return state.cache == FILE_PAGES
               ? 0
               : err_set(why, ENOTSUP, "says that %" PRIu64 " of %d pages just written are cached", state.cache,
                         FILE_PAGES);
}

static int try_mincore(const struct probe_ground *ground, struct err *why)
{
    size_t pages = 0;
    unsigned char *base = map_file(ground, MAP_SHARED, why);
    int rc = base ? resident_pages(base, ground, &pages, why) : -why->code;
    if (rc)
        return rc;
    return pages == FILE_PAGES
               ? 0
               : err_set(why, ENOTSUP, "says that %zu of %d pages just written are cached", pages, FILE_PAGES);
}

static int check_populated(const unsigned char *base, const struct probe_ground *ground, struct err *why)
{
    uint64_t faults = faults_of_touching(base, ground);
    return faults == 0 ? 0
                       : err_set(why, ENOTSUP, "touching the populated pages still took %" PRIu64 " faults", faults);
}

static int try_map_populate(const struct probe_ground *ground, struct err *why)
{
    unsigned char *base = map_file(ground, MAP_SHARED | MAP_POPULATE, why);
    return base ? check_populated(base, ground, why) : -why->code;
}

static int try_populate(const struct probe_ground *ground, int advice, struct err *why)
{
    unsigned char *base = map_file(ground, MAP_SHARED, why);
    if (!base)
        return -why->code;
    if (madvise(base, ground->file_bytes, advice))
        return err_sys(why, "madvise");
    return check_populated(base, ground, why);
}

static int try_populate_read(const struct probe_ground *ground, struct err *why)
{
    return try_populate(ground, MADV_POPULATE_READ, why);
}

static int try_populate_write(const struct probe_ground *ground, struct err *why)
{
    return try_populate(ground, MADV_POPULATE_WRITE, why);
}

static int try_cold(const struct probe_ground *ground, struct err *why)
{
    void *base = map_anonymous(ground->page, why);
    if (!base)
        return -why->code;
    return madvise(base, ground->page, MADV_COLD) ? err_sys(why, "madvise") : 0;
}

/*
 * A page waits in a list of the CPU that brought it in before it can be reclaimed, and the advice drains only the list
 * of the CPU it runs on: so the pages are brought in anew right before, and a move to another CPU is forgiven.
 */
static int try_pageout(const struct probe_ground *ground, struct err *why)
{
    enum { ATTEMPTS = 5 };
    size_t pages = FILE_PAGES;
    if (fsync(ground->fd)) /* a dirty page cannot go */
        return err_sys(why, "fsync");
    for (int i = 0; i < ATTEMPTS && pages == FILE_PAGES; i++) {
        posix_fadvise(ground->fd, 0, 0, POSIX_FADV_DONTNEED);
        unsigned char *base = map_file(ground, MAP_SHARED, why);
        if (!base)
            return -why->code;
        faults_of_touching(base, ground);
        if (madvise(base, ground->file_bytes, MADV_PAGEOUT))
            return err_sys(why, "madvise");
        if (resident_pages(base, ground, &pages, why))
            return -why->code;
        munmap(base, ground->file_bytes);
    }
    return pages < FILE_PAGES ? 0 : err_set(why, ENOTSUP, "accepted, but no page of the clean file went");
}

/* An aligned untouched stretch of one huge page; NULL with the reason when this kernel has none to try. */
static unsigned char *map_huge_place(size_t *huge, struct err *why)
{
    int64_t bytes;
    if (sysfile_number(&bytes, why, "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"))
        return NULL;
    if (bytes <= 0 || bytes > HUGE_BYTES_MAX) {
        err_set(why, ENOTSUP, "a huge page of %" PRId64 " MiB is not tried", bytes >> 20);
        return NULL;
    }
    *huge = (size_t)bytes;
    void *base = mmap(NULL, 2 * *huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        err_sys(why, "mmap");
        return NULL;
    }
    return (unsigned char *)base + (*huge - (uintptr_t)base % *huge) % *huge;
}

/* Whether smaps shows the mapping at `base` to be of huge pages. */
static int check_huge(const unsigned char *base, struct err *why)
{
    char line[512];
    uintptr_t first, last;
    unsigned long kb = 0;
    bool here = false;
    FILE *file = fopen("/proc/self/smaps", "re");
    if (!file)
        return err_sys(why, "/proc/self/smaps");
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &first, &last) == 2)
            here = (uintptr_t)base >= first && (uintptr_t)base < last;
        else if (here && sscanf(line, "AnonHugePages: %lu kB", &kb) == 1)
            break;
    }
    fclose(file);
    return kb ? 0 : err_set(why, ENOTSUP, "accepted, but smaps shows no huge page");
}

static int try_hugepage(const struct probe_ground *ground, struct err *why)
{
    size_t huge;
    unsigned char *base = map_huge_place(&huge, why);
    (void)ground;
    if (!base)
        return -why->code;
    if (madvise(base, huge, MADV_HUGEPAGE))
        return err_sys(why, "madvise");
    memset(base, 1, huge);
    return check_huge(base, why);
}

static int try_collapse(const struct probe_ground *ground, struct err *why)
{
    size_t huge;
    unsigned char *base = map_huge_place(&huge, why);
    (void)ground;
    if (!base)
        return -why->code;
    if (madvise(base, huge, MADV_NOHUGEPAGE)) /* so that the touch gives small pages to collapse */
        return err_sys(why, "madvise");
    memset(base, 1, huge);
    if (madvise(base, huge, MADV_HUGEPAGE) || madvise(base, huge, MADV_COLLAPSE))
        return err_sys(why, "madvise");
    return check_huge(base, why);
}

static int try_process_madvise(const struct probe_ground *ground, struct err *why)
{
    void *base = map_anonymous(ground->page, why);
    if (!base)
        return -why->code;
    struct iovec range = {base, ground->page};
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (pidfd < 0)
        return err_sys(why, "pidfd_open");
    return syscall(SYS_process_madvise, pidfd, &range, 1, MADV_COLD, 0) < 0 ? err_sys(why, "process_madvise") : 0;
}

static int read_with(int fd, int flags, size_t bytes, struct err *why)
{
    void *buffer = map_anonymous(bytes, why);
    if (!buffer)
        return -why->code;
    struct iovec range = {buffer, bytes};
    ssize_t got = preadv2(fd, &range, 1, 0, flags);
    if (got < 0)
        return err_sys(why, "read");
    return (size_t)got == bytes ? 0 : err_set(why, EIO, "read %zd of %zu bytes", got, bytes);
}

static int try_preadv2(const struct probe_ground *ground, struct err *why)
{
    return read_with(ground->fd, 0, ground->page, why);
}

static int try_nowait(const struct probe_ground *ground, struct err *why)
{
    int rc = read_with(ground->fd, 0, ground->page, why); /* what is not cached may be refused */
    return rc ? rc : read_with(ground->fd, RWF_NOWAIT, ground->page, why);
}

static int try_dontcache(const struct probe_ground *ground, struct err *why)
{
    return read_with(ground->fd, RWF_DONTCACHE, ground->page, why);
}

/* A nameless file is opened a second time, with other flags, through its descriptor. */
static int reopen(const struct probe_ground *ground, int flags, struct err *why)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", ground->fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    return fd < 0 ? err_sys(why, "open %s", path) : fd;
}

static int try_direct(const struct probe_ground *ground, struct err *why)
{
    int fd = reopen(ground, O_DIRECT, why);
    /* The whole file: a multiple of every alignment there is. */
    return fd < 0 ? fd : read_with(fd, 0, ground->file_bytes, why);
}

static int try_noatime(const struct probe_ground *ground, struct err *why)
{
    int fd = reopen(ground, O_NOATIME, why);
    return fd < 0 ? fd : 0;
}

static int try_io_uring(const struct probe_ground *ground, struct err *why)
{
    struct io_uring_params params = {0};
    int64_t disabled;
    struct err unused;
    (void)ground;
    if (syscall(SYS_io_uring_setup, 2, &params) >= 0)
        return 0;
    if (errno == EPERM && sysfile_number(&disabled, &unused, "/proc/sys/kernel/io_uring_disabled") == 0 && disabled)
        return err_set(why, EPERM, "kernel.io_uring_disabled is %" PRId64, disabled);
    return err_sys(why, "io_uring_setup");
}

static int try_memfd(const struct probe_ground *ground, struct err *why)
{
    (void)ground;
    return memfd_create("faultline-probe", MFD_CLOEXEC) < 0 ? err_sys(why, "memfd_create") : 0;
}

static int try_hugetlb(const struct probe_ground *ground, struct err *why)
{
    (void)ground;
    /* The kernel rounds the length up to its default huge page, and reserves it. */
    void *base = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (base != MAP_FAILED)
        return 0;
    return errno == ENOMEM ? err_set(why, ENOMEM, "no huge page of the default size is free") : err_sys(why, "mmap");
}

static int try_map_sync(const struct probe_ground *ground, struct err *why)
{
    return map_file(ground, MAP_SHARED_VALIDATE | MAP_SYNC, why) ? 0 : -why->code;
}

static int try_mseal(const struct probe_ground *ground, struct err *why)
{
    void *base = map_anonymous(ground->page, why);
    if (!base)
        return -why->code;
    if (syscall(SYS_mseal, base, ground->page, 0))
        return err_sys(why, "mseal");
    return munmap(base, ground->page) ? 0 : err_set(why, ENOTSUP, "accepted, but the mapping could be removed");
}

static int try_guard(const struct probe_ground *ground, struct err *why)
{
    void *base = map_anonymous(ground->page, why);
    if (!base)
        return -why->code;
    if (madvise(base, ground->page, MADV_GUARD_INSTALL))
        return err_sys(why, "madvise");
    /* The kernel's own copy into the page fails where a store would be a signal. */
    int ends[2];
    if (pipe(ends) || write(ends[1], "", 1) != 1)
        return err_sys(why, "pipe");
    return read(ends[0], base, 1) < 0 && errno == EFAULT
               ? 0
               : err_set(why, ENOTSUP, "accepted, but the page can be written");
}

/* As in linux/fs.h from Linux 6.7 on. */
struct scan_region {
    uint64_t start, end, categories;
};
struct scan_request {
    uint64_t size, flags, start, end, walk_end, regions, region_count, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

static int try_pagemap_scan(const struct probe_ground *ground, struct err *why)
{
    enum { PRESENT = 1 << 3 };
    void *base = map_anonymous(ground->page, why);
    if (!base)
        return -why->code;
    struct scan_region region = {0};
    struct scan_request request = {.size = sizeof request,
                                   .start = (uintptr_t)base,
                                   .category_mask = PRESENT,
                                   .return_mask = PRESENT,
                                   .end = (uintptr_t)base + ground->page,
                                   .regions = (uintptr_t)&region,
                                   .region_count = 1};
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(why, "/proc/self/pagemap");
    int found = ioctl(fd, _IOWR('f', 16, struct scan_request), &request);
    if (found < 0)
        return err_sys(why, "PAGEMAP_SCAN");
    return found == 1 ? 0 : err_set(why, ENOTSUP, "does not show a page just written");
}

static int userfault_features(uint64_t *features, struct err *why)
{
    struct uffdio_api api = {.api = UFFD_API};
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
    if (fd < 0)
        return err_sys(why, "userfaultfd");
    if (ioctl(fd, UFFDIO_API, &api))
        return err_sys(why, "UFFDIO_API");
    *features = api.features;
    return 0;
}

static int try_userfaultfd(const struct probe_ground *ground, struct err *why)
{
    uint64_t features;
    (void)ground;
    return userfault_features(&features, why);
}

static int try_userfault_move(const struct probe_ground *ground, struct err *why)
{
    uint64_t features;
    (void)ground;
    int rc = userfault_features(&features, why);
    if (rc)
        return rc;
    return (features & UFFD_FEATURE_MOVE) ? 0 : err_set(why, ENOTSUP, "userfaultfd of this kernel does not offer it");
}

static void touch_page(void)
{
    struct err unused;
    map_anonymous((size_t)sysconf(_SC_PAGESIZE), &unused);
}

/* Counts on this thread, kernel included when allowed, while it touches a page, and wants a count. */
static int try_counter(const char *name, struct err *why)
{
    struct perf_counter counter;
    uint64_t count;
    perf_find(&counter, name);
    if (!counter.opened)
        return err_set(why, ENOTSUP, "%s", counter.reason);
    int rc = perf_try(&counter, touch_page, &count, NULL, why);
    return rc || count ? rc : err_set(why, ENOTSUP, "opened, but it does not count");
}

static int try_perf_hardware(const struct probe_ground *ground, struct err *why)
{
    (void)ground;
    return try_counter("hardware:instructions", why);
}

static int try_perf_software(const struct probe_ground *ground, struct err *why)
{
    (void)ground;
    return try_counter("software:page-faults", why);
}

static int try_tracefs(const struct probe_ground *ground, struct err *why)
{
    struct event_code code;
    (void)ground;
    return event_encode("tracepoint:exceptions:page_fault_user", &code, why);
}

static int try_cgroup_memory(const struct probe_ground *ground, struct err *why)
{
    struct cgroup cgroup;
    struct err unused;
    char child[sizeof cgroup.path + 32], file[sizeof child + 32];
    bool old = cgroup_find("", "memory", &cgroup, &unused) == 0;
    (void)ground;
    if (!old && cgroup_find("", NULL, &cgroup, why))
        return -why->code;
    snprintf(child, sizeof child, "%s/faultline-probe-%d", cgroup.path, (int)getpid());
    if (mkdir(child, 0700))
        return err_sys(why, "no group can be made below this one");
    snprintf(file, sizeof file, "%s/%s", child, old ? "memory.limit_in_bytes" : "memory.max");
    int rc = access(file, W_OK) ? err_sys(why, "a group can be made, but not limited") : 0;
    return rmdir(child) && !rc ? err_sys(why, "rmdir %.100s", child) : rc;
}

static int try_loop(const struct probe_ground *ground, struct err *why)
{
    (void)ground;
    return open("/dev/loop-control", O_RDWR | O_CLOEXEC) < 0 ? err_sys(why, "/dev/loop-control") : 0;
}

static int try_realtime(const struct probe_ground *ground, struct err *why)
{
    struct sched_param low = {.sched_priority = 1}, none = {0};
    (void)ground;
    if (sched_setscheduler(0, SCHED_FIFO, &low))
        return err_sys(why, "sched_setscheduler");
    return sched_setscheduler(0, SCHED_OTHER, &none) ? err_sys(why, "sched_setscheduler") : 0;
}

static int try_mlock(const struct probe_ground *ground, struct err *why)
{
    void *base = map_anonymous(ground->page, why);
    if (!base)
        return -why->code;
    return mlock(base, ground->page) ? err_sys(why, "mlock") : 0;
}

static int try_psi(const struct probe_ground *ground, struct err *why)
{
    char line[256];
    (void)ground;
    return sysfile_line(line, sizeof line, why, "/proc/pressure/memory");
}

static int built_with(bool yes, struct err *why)
{
    return yes ? 0 : err_set(why, ENOTSUP, "this program was built without it");
}

static int try_hwloc(const struct probe_ground *ground, struct err *why)
{
    (void)ground;
#ifdef FAULTLINE_MINIMAL
    return built_with(false, why);
#else
    return built_with(true, why);
#endif
}

static int try_libpfm(const struct probe_ground *ground, struct err *why)
{
    (void)ground;
    return built_with(HAVE_LIBPFM, why); /* it is not begun for the question: that takes up to 20 ms */
}

static int try_liburing(const struct probe_ground *ground, struct err *why)
{
    (void)ground;
    return built_with(HAVE_LIBURING, why);
}

const struct probe probe_table[] = {
    {"cachestat", try_cachestat, FILE_NEEDED},
    {"mincore", try_mincore, FILE_NEEDED},
    {"map_populate", try_map_populate, FILE_NEEDED},
    {"madv_populate_read", try_populate_read, FILE_NEEDED},
    {"madv_populate_write", try_populate_write, FILE_NEEDED},
    {"madv_cold", try_cold, NOTHING},
    {"madv_pageout", try_pageout, FILE_NEEDED},
    {"madv_hugepage", try_hugepage, NOTHING},
    {"madv_collapse", try_collapse, NOTHING},
    {"process_madvise", try_process_madvise, NOTHING},
    {"preadv2", try_preadv2, FILE_NEEDED},
    {"rwf_nowait", try_nowait, FILE_NEEDED},
    {"rwf_dontcache", try_dontcache, FILE_NEEDED},
    {"o_direct", try_direct, FILE_NEEDED},
    {"o_noatime", try_noatime, FILE_NEEDED},
    {"io_uring", try_io_uring, NOTHING},
    {"memfd", try_memfd, NOTHING},
    {"hugetlb", try_hugetlb, NOTHING},
    {"map_sync", try_map_sync, FILE_NEEDED},
    {"mlock", try_mlock, NOTHING},
    {"mseal", try_mseal, NOTHING},
    {"guard_regions", try_guard, NOTHING},
    {"pagemap_scan", try_pagemap_scan, NOTHING},
    {"userfaultfd", try_userfaultfd, NOTHING},
    {"userfaultfd_move", try_userfault_move, NOTHING},
    {"perf_hardware", try_perf_hardware, NOTHING},
    {"perf_software", try_perf_software, NOTHING},
    {"tracefs", try_tracefs, NOTHING},
    {"pressure_stall", try_psi, NOTHING},
    {"cgroup_memory", try_cgroup_memory, NOTHING},
    {"loop_device", try_loop, NOTHING},
    {"sched_realtime", try_realtime, NOTHING},
    {"hwloc", try_hwloc, NOTHING},
    {"libpfm4", try_libpfm, NOTHING},
    {"liburing", try_liburing, NOTHING},
};

const size_t probe_count = sizeof probe_table / sizeof *probe_table;
