/* SPDX-License-Identifier: MIT */
/*
 * What the techniques cost by the plainest loops one would write by hand: the second way to figures of
 * docs/scenarios/techniques-*.md. It shares no line with the engine.
 *
 *   bare_techniques ring      a message in and out of a ring: mirrored, two copies, by mask, by remainder;
 *                             making a ring that is mapped twice, and the first stores to it
 *   bare_techniques growth    doubling vectors by memcpy to touched memory, mremap that has to move, realloc
 *   bare_techniques reserve   1000 stores to a reservation of 1 TiB: memory, page tables and time of each
 *   bare_techniques objects   a byte written, after a fork, to objects of malloc and to objects with a page each
 *   bare_techniques alias     loads that wait for each other: by one view of a page, by two in turns, of two pages
 *   bare_techniques merge     the steps of merging a span into another, and copying both to one
 *   bare_techniques files     making a file that holds memory, in four ways, and the first stores to it
 *
 * Prints "what: figure unit" a line, the median of some rounds. Status 0, or 1 with a message: where a page has
 * not 4 KiB, and where anything comes out as other bytes than went in.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A round is short, so that most have the CPU to themselves; where it cannot be, there are few. */
enum { ROUNDS = 101, FEW = 15, PAGE = 4096 };
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static void die(const char *what)
{
    fprintf(stderr, "bare_techniques: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void need(bool met, const char *what)
{
    if (!met)
        die(what);
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

/* Private memory in small pages, or addresses alone with PROT_NONE. */
static unsigned char *map_memory(uint64_t bytes, int protection)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    unsigned char *at = mmap(NULL, bytes, protection, flags, -1, 0);
    need(at != MAP_FAILED, "mmap");
    if (protection != PROT_NONE)
        madvise(at, bytes, MADV_NOHUGEPAGE); /* kernels without huge pages refuse it */
    return at;
}

static int memory_file(uint64_t bytes)
{
    int fd = memfd_create("bare_techniques", MFD_CLOEXEC);
    need(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0, "memfd_create");
    return fd;
}

static void map_file_over(unsigned char *at, uint64_t bytes, int fd, uint64_t offset)
{
    int flags = MAP_SHARED | MAP_FIXED;
    need(mmap(at, bytes, PROT_READ | PROT_WRITE, flags, fd, (off_t)offset) == at, "mmap of a file");
}

/* ---- ring ---- */

enum { MESSAGES = 200 };

struct ring {
    unsigned char *at;
    uint64_t bytes, place;
};

static void mirrored(struct ring *ring, unsigned char *message, uint64_t bytes, bool in)
{
    unsigned char *at = ring->at + ring->place;
    memcpy(in ? at : message, in ? message : at, bytes);
}

static void split(struct ring *ring, unsigned char *message, uint64_t bytes, bool in)
{
    uint64_t first = ring->bytes - ring->place < bytes ? ring->bytes - ring->place : bytes;
    unsigned char *at = ring->at + ring->place;
    memcpy(in ? at : message, in ? message : at, first);
    if (first < bytes)
        memcpy(in ? ring->at : message + first, in ? message + first : ring->at, bytes - first);
}

/* What a store of a byte might change for all that the compiler knows is held in variables. */
static void by_mask(struct ring *ring, unsigned char *message, uint64_t bytes, bool in)
{
    unsigned char *at = ring->at;
    uint64_t place = ring->place, mask = ring->bytes - 1;
    for (uint64_t i = 0; in && i < bytes; i++)
        at[(place + i) & mask] = message[i];
    for (uint64_t i = 0; !in && i < bytes; i++)
        message[i] = at[(place + i) & mask];
}

static void by_remainder(struct ring *ring, unsigned char *message, uint64_t bytes, bool in)
{
    unsigned char *at = ring->at;
    uint64_t place = ring->place, size = ring->bytes;
    for (uint64_t i = 0; in && i < bytes; i++)
        at[(place + i) % size] = message[i];
    for (uint64_t i = 0; !in && i < bytes; i++)
        message[i] = at[(place + i) % size];
}

static const struct {
    const char *name;
    void (*move)(struct ring *, unsigned char *, uint64_t, bool in);
} wraps[] = {{"mirrored", mirrored}, {"split", split}, {"mask", by_mask}, {"modulo", by_remainder}};
enum { WRAPS = sizeof wraps / sizeof *wraps };

static void map_twice(unsigned char *at, uint64_t bytes, int fd)
{
    map_file_over(at, bytes, fd, 0);
    map_file_over(at + bytes, bytes, fd, 0);
}

static void ring_make(struct ring *ring, uint64_t bytes)
{
    volatile uint64_t hidden = bytes; /* the compiler is not to know it */
    int fd = memory_file(bytes);
    *ring = (struct ring){map_memory(2 * bytes, PROT_NONE), hidden, 0};
    map_twice(ring->at, bytes, fd);
    close(fd);
}

/* Of messages that are all alike the next would not miss what one has lost: this one lies over the end, in a ring and
 * comes to a place that hold other bytes. */
static void ring_check(unsigned wrap, struct ring ring, const unsigned char *message, uint64_t bytes)
{
    unsigned char in[1024], out[1024] = {0};
    memcpy(in, message, bytes);
    ring.place = ring.bytes - bytes / 2;
    memset(ring.at + ring.place, 0, bytes / 2);
    memset(ring.at, 0, bytes - bytes / 2);
    __asm__ volatile("" ::: "memory"); /* the compiler takes two views for two memories */
    wraps[wrap].move(&ring, in, bytes, true);
    __asm__ volatile("" ::: "memory");
    need(memcmp(ring.at, in + bytes / 2, bytes - bytes / 2) == 0, "a message that does not go on at the beginning");
    wraps[wrap].move(&ring, out, bytes, false);
    need(memcmp(message, out, bytes) == 0, "a message over the end came out as another");
}

/* ns of a message, and whether one over the end, and the last one, came out as they went in. */
static double ring_round(unsigned wrap, struct ring *ring, uint64_t bytes)
{
    unsigned char in[1024], out[1024] = {0};
    for (uint64_t i = 0; i < bytes; i++)
        in[i] = (unsigned char)(i * 7 + 1);
    errno = EPROTO;
    ring_check(wrap, *ring, in, bytes);
    double start = now_ns();
    for (unsigned n = 0; n < MESSAGES; n++) {
        wraps[wrap].move(ring, in, bytes, true);
        wraps[wrap].move(ring, out, bytes, false);
        ring->place += bytes;
        ring->place -= ring->place >= ring->bytes ? ring->bytes : 0;
    }
    double ns = (now_ns() - start) / MESSAGES;
    errno = EPROTO;
    need(memcmp(in, out, bytes) == 0, "a message came out as another");
    return ns;
}

/* Each way has a ring of its own: the second over one ring would find in the cache what the first has fetched. */
static void ring_move(uint64_t ring_bytes)
{
    static const uint64_t sizes[] = {16, 24, 1000};
    struct ring rings[WRAPS];
    for (unsigned w = 0; w < WRAPS; w++) {
        ring_make(&rings[w], ring_bytes);
        memset(rings[w].at, 1, 2 * ring_bytes); /* all of it is there in either view */
    }
    for (unsigned s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        double ns[WRAPS][ROUNDS];
        for (unsigned r = 0; r < ROUNDS; r++)
            for (unsigned w = 0; w < WRAPS; w++)
                ns[w][r] = ring_round(w, &rings[w], sizes[s]);
        for (unsigned w = 0; w < WRAPS; w++)
            printf("ring of %" PRIu64 " KiB, %" PRIu64 " bytes, %s: %.1f ns\n", ring_bytes / KIB, sizes[s],
                   wraps[w].name, median(ns[w], ROUNDS));
    }
    for (unsigned w = 0; w < WRAPS; w++)
        munmap(rings[w].at, 2 * ring_bytes);
}

static unsigned char *ring_of_memfd(uint64_t bytes)
{
    struct ring ring;
    ring_make(&ring, bytes);
    return ring.at;
}

/* An old size of 0 maps shared memory a second time. */
static unsigned char *ring_of_mremap(uint64_t bytes)
{
    unsigned char *at = map_memory(2 * bytes, PROT_NONE);
    int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED;
    need(mmap(at, bytes, PROT_READ | PROT_WRITE, flags, -1, 0) == at, "mmap of shared memory");
    need(mremap(at, 0, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at + bytes) == at + bytes, "mremap");
    return at;
}

/* ns of a page. */
static double store_each(unsigned char *at, uint64_t bytes)
{
    double start = now_ns();
    for (uint64_t page = 0; page < bytes; page += PAGE)
        *(volatile unsigned char *)(at + page) = 1;
    return (now_ns() - start) / (double)(bytes / PAGE);
}

static void ring_setup(const char *name, unsigned char *(*make)(uint64_t))
{
    double ns[3][ROUNDS];
    for (unsigned r = 0; r < ROUNDS; r++) {
        double start = now_ns();
        munmap(make(MIB), 2 * MIB);
        ns[0][r] = now_ns() - start;
        unsigned char *at = make(MIB);
        ns[1][r] = store_each(at, MIB);
        ns[2][r] = store_each(at + MIB, MIB);
        munmap(at, 2 * MIB);
    }
    printf("%s: made and removed %.1f us, a page stored to first %.2f us, through the second view %.2f us\n", name,
           median(ns[0], ROUNDS) / 1e3, median(ns[1], ROUNDS) / 1e3, median(ns[2], ROUNDS) / 1e3);
}

static void do_ring(void)
{
    ring_move(16 * KIB);
    ring_move(16 * MIB);
    ring_setup("memfd", ring_of_memfd);
    ring_setup("mremap", ring_of_mremap);
}

/* ---- growth ---- */

enum { VECTORS_MAX = 64 };

struct vectors {
    unsigned char *items[VECTORS_MAX];
    uint64_t count, bytes;
};

static double copy_round(const struct vectors *vectors)
{
    unsigned char *to[VECTORS_MAX];
    for (uint64_t n = 0; n < vectors->count; n++)
        memset(to[n] = map_memory(2 * vectors->bytes, PROT_READ | PROT_WRITE), 2, vectors->bytes);
    for (uint64_t n = 0; n < vectors->count; n++) /* the sources are what was used last */
        memset(vectors->items[n], 1, vectors->bytes);
    double start = now_ns();
    for (uint64_t n = 0; n < vectors->count; n++)
        memcpy(to[n], vectors->items[n], vectors->bytes);
    double ns = now_ns() - start;
    for (uint64_t n = 0; n < vectors->count; n++)
        munmap(to[n], 2 * vectors->bytes);
    return ns / (double)vectors->count;
}

/* A page right behind each, so that it has to move. Where a page table begins, which is moved whole then. */
static double move_round(const struct vectors *vectors)
{
    uint64_t table = 2 * MIB, room = vectors->bytes + PAGE + table;
    unsigned char *items[VECTORS_MAX], *rooms[VECTORS_MAX];
    for (uint64_t n = 0; n < vectors->count; n++) {
        rooms[n] = map_memory(room, PROT_READ | PROT_WRITE);
        items[n] = rooms[n] + (table - (uint64_t)(uintptr_t)rooms[n] % table) % table;
        need(mprotect(items[n] + vectors->bytes, PAGE, PROT_NONE) == 0, "mprotect");
        memset(items[n], 1, vectors->bytes);
    }
    double start = now_ns();
    for (uint64_t n = 0; n < vectors->count; n++) {
        items[n] = mremap(items[n], vectors->bytes, 2 * vectors->bytes, MREMAP_MAYMOVE);
        need(items[n] != MAP_FAILED, "mremap");
    }
    double ns = now_ns() - start;
    for (uint64_t n = 0; n < vectors->count; n++) {
        need(items[n][vectors->bytes - 1] == 1 && items[n][vectors->bytes] == 0, "what mremap moved");
        munmap(items[n], 2 * vectors->bytes);
    }
    for (uint64_t n = 0; n < vectors->count; n++)
        munmap(rooms[n], room);
    return ns / (double)vectors->count;
}

static double realloc_round(const struct vectors *vectors)
{
    unsigned char *items[VECTORS_MAX];
    for (uint64_t n = 0; n < vectors->count; n++) {
        need((items[n] = malloc(vectors->bytes)) != NULL, "malloc");
        memset(items[n], 1, vectors->bytes);
    }
    double start = now_ns();
    for (uint64_t n = 0; n < vectors->count; n++)
        need((items[n] = realloc(items[n], 2 * vectors->bytes)) != NULL, "realloc");
    double ns = now_ns() - start;
    for (uint64_t n = 0; n < vectors->count; n++)
        free(items[n]);
    return ns / (double)vectors->count;
}

static void do_growth(void)
{
    static const uint64_t sizes[] = {4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 16 * MIB, 64 * MIB};
    static double (*const ways[])(const struct vectors *) = {copy_round, move_round, realloc_round};
    static const char *const names[] = {"memcpy to touched memory", "mremap", "realloc"};
    need(mallopt(M_MMAP_THRESHOLD, 128 * 1024) && mallopt(M_TRIM_THRESHOLD, INT_MAX), "mallopt");
    for (unsigned s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        malloc_trim(0); /* else what is larger than the threshold would lie where smaller ones have been */
        uint64_t fit = 16 * MIB / sizes[s];
        struct vectors vectors = {.count = fit < 1 ? 1 : fit < VECTORS_MAX ? fit : VECTORS_MAX, .bytes = sizes[s]};
        for (uint64_t n = 0; n < vectors.count; n++)
            vectors.items[n] = map_memory(vectors.bytes, PROT_READ | PROT_WRITE);
        for (unsigned w = 0; w < sizeof ways / sizeof *ways; w++) {
            double ns[FEW];
            for (unsigned r = 0; r < FEW; r++)
                ns[r] = ways[w](&vectors);
            printf("%" PRIu64 " KiB, %s: %.2f us\n", sizes[s] / KIB, names[w], median(ns, FEW) / 1e3);
        }
        for (uint64_t n = 0; n < vectors.count; n++)
            munmap(vectors.items[n], vectors.bytes);
    }
}

/* ---- reserve ---- */

static uint64_t status_kib(const char *key)
{
    char line[256];
    uint64_t kib = 0;
    size_t length = strlen(key);
    FILE *file = fopen("/proc/self/status", "re");
    need(file != NULL, "/proc/self/status");
    while (fgets(line, sizeof line, file))
        if (strncmp(line, key, length) == 0 && line[length] == ':')
            kib = strtoull(line + length + 1, NULL, 10);
    fclose(file);
    return kib;
}

static void do_reserve(void)
{
    enum { TOUCHES = 1000 };
    static const uint64_t distances[] = {4 * KIB, 64 * KIB, 2 * MIB, 32 * MIB, GIB};
    for (unsigned d = 0; d < sizeof distances / sizeof *distances; d++) {
        double ns[FEW];
        uint64_t memory = 0, tables = 0;
        for (unsigned r = 0; r < FEW; r++) {
            unsigned char *at = map_memory(1024 * GIB, PROT_READ | PROT_WRITE);
            status_kib("VmPTE"); /* its own memory comes before */
            memory = status_kib("RssAnon");
            tables = status_kib("VmPTE");
            double start = now_ns();
            for (uint64_t n = 0; n < TOUCHES; n++)
                *(volatile unsigned char *)(at + n * distances[d]) = 1;
            ns[r] = (now_ns() - start) / TOUCHES;
            memory = status_kib("RssAnon") - memory;
            tables = status_kib("VmPTE") - tables;
            munmap(at, 1024 * GIB);
        }
        printf("%" PRIu64 " KiB apart: %" PRIu64 " KiB of memory, %" PRIu64 " KiB of page tables, %.0f ns a touch\n",
               distances[d] / KIB, memory, tables, median(ns, FEW));
    }
}

/* ---- objects ---- */

enum { OBJECTS = 512, OBJECT_BYTES = 64 };

/* ns of a byte written to each object while a child shares them, and the faults of all. */
static double write_objects(unsigned char *const *objects, uint64_t *faults)
{
    struct rusage before, after;
    int end[2];
    char byte;
    need(pipe(end) == 0, "pipe");
    pid_t child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        close(end[1]);
        _exit(read(end[0], &byte, 1) != 0); /* until the parent has done */
    }
    getrusage(RUSAGE_SELF, &before);
    getrusage(RUSAGE_SELF, &before);
    double start = now_ns();
    for (unsigned n = 0; n < OBJECTS; n++)
        *(volatile unsigned char *)objects[n] = 2;
    double ns = (now_ns() - start) / OBJECTS;
    getrusage(RUSAGE_SELF, &after);
    *faults = (uint64_t)(after.ru_minflt - before.ru_minflt);
    close(end[1]);
    close(end[0]);
    int status;
    need(waitpid(child, &status, 0) == child && status == 0, "a child");
    return ns;
}

static void do_objects(void)
{
    static unsigned char *packed[OBJECTS], *spread[OBJECTS];
    unsigned char *pages = map_memory(OBJECTS * PAGE, PROT_READ | PROT_WRITE);
    double ns[2][ROUNDS];
    uint64_t faults[2];
    for (unsigned n = 0; n < OBJECTS; n++) {
        need((packed[n] = malloc(OBJECT_BYTES)) != NULL, "malloc");
        memset(packed[n], 1, OBJECT_BYTES);
        *(spread[n] = pages + n * PAGE) = 1;
    }
    for (unsigned r = 0; r < ROUNDS; r++) {
        ns[0][r] = write_objects(packed, &faults[0]);
        ns[1][r] = write_objects(spread, &faults[1]);
    }
    printf("malloc, %td bytes from one to the next: %.0f ns, %" PRIu64 " faults\n",
           packed[OBJECTS - 1] - packed[OBJECTS - 2], median(ns[0], ROUNDS), faults[0]);
    printf("a page each: %.0f ns, %" PRIu64 " faults\n", median(ns[1], ROUNDS), faults[1]);
    for (unsigned n = 0; n < OBJECTS; n++)
        free(packed[n]);
}

/* ---- alias ---- */

/* ns of a load: two words of a line hold each other's address, the second as seen through `other`. */
static double chase(unsigned char *one, unsigned char *other)
{
    enum { LOADS = 50000 };
    unsigned char *first = one, *second = other + sizeof(void *);
    double ns[ROUNDS];
    memcpy(first, &second, sizeof second);
    memcpy(second, &first, sizeof first);
    for (unsigned r = 0; r < ROUNDS; r++) {
        void *volatile *at = (void *volatile *)(void *)first;
        double start = now_ns();
        for (unsigned n = 0; n < LOADS; n++)
            at = *at;
        ns[r] = (now_ns() - start) / LOADS;
        need((void *)at == (void *)first, "a chain that leads elsewhere");
    }
    return median(ns, ROUNDS);
}

static void do_alias(void)
{
    static const uint64_t distances[] = {4 * KIB, MIB, 128 * MIB, 256 * MIB, GIB};
    int fd = memory_file(2 * PAGE);
    for (unsigned d = 0; d < sizeof distances / sizeof *distances; d++) {
        uint64_t bytes = distances[d] + PAGE;
        unsigned char *at = map_memory(bytes, PROT_NONE);
        map_file_over(at, PAGE, fd, 0);
        map_file_over(at + distances[d], PAGE, fd, 0);
        double same = chase(at, at), other = chase(at, at + distances[d]);
        map_file_over(at + distances[d], PAGE, fd, PAGE);
        double pages = chase(at, at + distances[d]);
        printf("%" PRIu64 " KiB apart: %.2f ns through one view, %.2f ns in turns, %.2f ns of two pages\n",
               distances[d] / KIB, same, other, pages);
        munmap(at, bytes);
    }
    close(fd);
}

/* ---- merge ---- */

enum { STEPS = 4, OBJECT = 64 };

/* Of two spans side by side in one file the second is merged into the first; objects lie in turns. */
static void merge_once(int fd, unsigned char *at, uint64_t bytes, double *ns)
{
    double times[STEPS + 1];
    map_file_over(at, 2 * bytes, fd, 0);
    memset(at, 1, bytes);
    memset(at + bytes, 2, bytes);
    times[0] = now_ns();
    need(mprotect(at + bytes, bytes, PROT_READ) == 0, "mprotect");
    times[1] = now_ns();
    for (uint64_t i = OBJECT; i < bytes; i += 2 * OBJECT)
        memcpy(at + i, at + bytes + i, OBJECT);
    times[2] = now_ns();
    map_file_over(at + bytes, bytes, fd, 0);
    times[3] = now_ns();
    need(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)bytes, (off_t)bytes) == 0, "fallocate");
    times[4] = now_ns();
    need(at[bytes] == 1 && at[bytes + OBJECT] == 2 && at[OBJECT] == 2, "what was merged");
    for (unsigned step = 0; step < STEPS; step++)
        ns[step] = times[step + 1] - times[step];
}

/* ns of copying the objects of both side by side to a fresh span, and unmapping the two. */
static double compact_once(uint64_t bytes)
{
    unsigned char *from = map_memory(2 * bytes, PROT_READ | PROT_WRITE);
    memset(from, 1, bytes);
    memset(from + bytes, 2, bytes);
    double start = now_ns();
    unsigned char *into = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(into != MAP_FAILED, "mmap");
    for (uint64_t i = 0, to = 0; to < bytes; i++, to += OBJECT)
        memcpy(into + to, from + (i % 2) * bytes + i * OBJECT, OBJECT);
    munmap(from, 2 * bytes);
    double ns = now_ns() - start;
    need(into[0] == 1 && into[OBJECT] == 2, "what was copied");
    munmap(into, bytes);
    return ns;
}

static void do_merge(void)
{
    static const char *const names[STEPS] = {"protect", "copy", "remap", "punch"};
    static const uint64_t sizes[] = {16 * KIB, 64 * KIB};
    for (unsigned s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        double all[STEPS][ROUNDS];
        int fd = memory_file(2 * sizes[s]);
        unsigned char *at = map_memory(2 * sizes[s], PROT_NONE);
        for (unsigned r = 0; r < ROUNDS; r++) {
            double ns[STEPS];
            merge_once(fd, at, sizes[s], ns);
            for (unsigned step = 0; step < STEPS; step++)
                all[step][r] = ns[step];
        }
        for (unsigned step = 0; step < STEPS; step++)
            printf("%" PRIu64 " KiB, %s: %.2f us\n", sizes[s] / KIB, names[step], median(all[step], ROUNDS) / 1e3);
        munmap(at, 2 * sizes[s]);
        close(fd);
        double compact[ROUNDS];
        for (unsigned r = 0; r < ROUNDS; r++)
            compact[r] = compact_once(sizes[s]);
        printf("%" PRIu64 " KiB, copied to one: %.2f us\n", sizes[s] / KIB, median(compact, ROUNDS) / 1e3);
    }
}

/* ---- files ---- */

static int by_memfd(const char *name)
{
    return memfd_create(name + 1, MFD_CLOEXEC);
}

static int by_shm(const char *name)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd < 0 || shm_unlink(name) == 0, "shm_unlink");
    return fd;
}

static int by_tmpfile(const char *name)
{
    (void)name;
    return open("/dev/shm", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
}

static int by_name(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/dev/shm%s", name);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    need(fd < 0 || unlink(path) == 0, "unlink");
    return fd;
}

/* ns of the first store to a page of a fresh file, which is closed. */
static double stores_to(int fd)
{
    unsigned char *at = map_memory(MIB, PROT_NONE);
    need(fd >= 0 && ftruncate(fd, (off_t)MIB) == 0, "a file");
    map_file_over(at, MIB, fd, 0);
    double ns = store_each(at, MIB);
    munmap(at, MIB);
    close(fd);
    return ns;
}

static void do_files(void)
{
    static const struct {
        const char *name;
        int (*open)(const char *);
    } ways[] = {{"memfd_create", by_memfd}, {"shm_open", by_shm}, {"o_tmpfile", by_tmpfile}, {"o_creat", by_name}};
    enum { FILES = 20 };
    char name[32];
    snprintf(name, sizeof name, "/bare_techniques.%d", (int)getpid());
    for (unsigned w = 0; w < sizeof ways / sizeof *ways; w++) {
        double ns[ROUNDS], stores[ROUNDS];
        for (unsigned r = 0; r < ROUNDS; r++) {
            double start = now_ns();
            for (unsigned n = 0; n < FILES; n++) {
                int fd = ways[w].open(name);
                need(fd >= 0 && ftruncate(fd, (off_t)MIB) == 0, ways[w].name);
                void *at = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
                need(at != MAP_FAILED && munmap(at, MIB) == 0 && close(fd) == 0, ways[w].name);
            }
            ns[r] = (now_ns() - start) / FILES;
            stores[r] = stores_to(ways[w].open(name));
        }
        printf("%s: made %.1f us, a page stored to first %.2f us\n", ways[w].name, median(ns, ROUNDS) / 1e3,
               median(stores, ROUNDS) / 1e3);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } commands[] = {{"ring", do_ring},   {"growth", do_growth}, {"reserve", do_reserve}, {"objects", do_objects},
                    {"alias", do_alias}, {"merge", do_merge},   {"files", do_files}};
    errno = EOPNOTSUPP;
    need(sysconf(_SC_PAGESIZE) == PAGE, "pages of another size than 4 KiB");
    for (unsigned i = 0; argc == 2 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0) {
            commands[i].run();
            return 0;
        }
    fprintf(stderr, "usage: bare_techniques ring|growth|reserve|objects|alias|merge|files\n");
    return 1;
}
