/* SPDX-License-Identifier: MIT */
/*
 * What the techniques cost by the plainest loops one would write by hand: the second way to figures of
 * docs/scenarios/techniques-*.md. It shares no line with the engine.
 *
 *   bare_techniques ring      a message in and out of a ring of 16 KiB: mirrored, two copies, by mask, by remainder
 *   bare_techniques growth    doubling vectors by memcpy to touched memory, by mremap that has to move, by realloc
 *   bare_techniques reserve   1000 pages stored to in a reservation of 1 TiB: memory, page tables and time of each
 *   bare_techniques alias     loads that wait for each other, through one view of a page and through two in turns
 *   bare_techniques merge     the steps of merging a span of 16 and of 64 KiB into another
 *   bare_techniques files     making a file that holds memory, in four ways
 *
 * Prints "what: figure unit" a line, the median of some rounds. Status 0, or 1 with a message.
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
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 15, PAGE = 4096 };
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

enum { RING_BYTES = 16384, MESSAGES = 4000 };

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

static void ring_make(struct ring *ring)
{
    volatile uint64_t bytes = RING_BYTES; /* which the compiler is not to know */
    int fd = memory_file(RING_BYTES);
    *ring = (struct ring){map_memory(2 * RING_BYTES, PROT_NONE), bytes, 0};
    map_file_over(ring->at, RING_BYTES, fd, 0);
    map_file_over(ring->at + RING_BYTES, RING_BYTES, fd, 0);
    close(fd);
}

/* ns of a message, and whether the last one came out as it went in. */
static double ring_round(unsigned wrap, struct ring *ring, uint64_t bytes)
{
    unsigned char in[1024], out[1024] = {0};
    for (uint64_t i = 0; i < bytes; i++)
        in[i] = (unsigned char)(i * 7 + 1);
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

static void do_ring(void)
{
    static const uint64_t sizes[] = {24, 1000};
    struct ring rings[WRAPS];
    for (unsigned w = 0; w < WRAPS; w++)
        ring_make(&rings[w]);
    for (unsigned s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        double ns[WRAPS][ROUNDS];
        for (unsigned r = 0; r < ROUNDS; r++)
            for (unsigned w = 0; w < WRAPS; w++)
                ns[w][r] = ring_round(w, &rings[w], sizes[s]);
        for (unsigned w = 0; w < WRAPS; w++)
            printf("%" PRIu64 " bytes, %s: %.1f ns\n", sizes[s], wraps[w].name, median(ns[w], ROUNDS));
    }
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
            double ns[ROUNDS];
            for (unsigned r = 0; r < ROUNDS; r++)
                ns[r] = ways[w](&vectors);
            printf("%" PRIu64 " KiB, %s: %.2f us\n", sizes[s] / KIB, names[w], median(ns, ROUNDS) / 1e3);
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
        double ns[ROUNDS];
        uint64_t memory = 0, tables = 0;
        for (unsigned r = 0; r < ROUNDS; r++) {
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
               distances[d] / KIB, memory, tables, median(ns, ROUNDS));
    }
}

/* ---- alias ---- */

/* ns of a load: two words of a line hold each other's address, the second as seen through `other`. */
static double chase(unsigned char *one, unsigned char *other)
{
    enum { LOADS = 200000 };
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
    int fd = memory_file(PAGE);
    for (unsigned d = 0; d < sizeof distances / sizeof *distances; d++) {
        uint64_t bytes = distances[d] + PAGE;
        unsigned char *at = map_memory(bytes, PROT_NONE);
        map_file_over(at, PAGE, fd, 0);
        map_file_over(at + distances[d], PAGE, fd, 0);
        double same = chase(at, at), other = chase(at, at + distances[d]);
        printf("%" PRIu64 " KiB apart: %.2f ns through one view, %.2f ns in turns\n", distances[d] / KIB, same, other);
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

static void do_merge(void)
{
    static const char *const names[STEPS] = {"protect", "copy", "remap", "punch"};
    static const uint64_t sizes[] = {16 * KIB, 64 * KIB};
    for (unsigned s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        double all[STEPS][ROUNDS * ROUNDS];
        int fd = memory_file(2 * sizes[s]);
        unsigned char *at = map_memory(2 * sizes[s], PROT_NONE);
        for (unsigned r = 0; r < ROUNDS * ROUNDS; r++) {
            double ns[STEPS];
            merge_once(fd, at, sizes[s], ns);
            for (unsigned step = 0; step < STEPS; step++)
                all[step][r] = ns[step];
        }
        for (unsigned step = 0; step < STEPS; step++)
            printf("%" PRIu64 " KiB, %s: %.2f us\n", sizes[s] / KIB, names[step],
                   median(all[step], ROUNDS * ROUNDS) / 1e3);
        munmap(at, 2 * sizes[s]);
        close(fd);
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

static void do_files(void)
{
    static const struct {
        const char *name;
        int (*open)(const char *);
    } ways[] = {{"memfd_create", by_memfd}, {"shm_open", by_shm}, {"o_tmpfile", by_tmpfile}, {"o_creat", by_name}};
    enum { FILES = 300 };
    char name[32];
    snprintf(name, sizeof name, "/bare_techniques.%d", (int)getpid());
    for (unsigned w = 0; w < sizeof ways / sizeof *ways; w++) {
        double ns[ROUNDS];
        for (unsigned r = 0; r < ROUNDS; r++) {
            double start = now_ns();
            for (unsigned n = 0; n < FILES; n++) {
                int fd = ways[w].open(name);
                need(fd >= 0 && ftruncate(fd, (off_t)MIB) == 0, ways[w].name);
                void *at = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
                need(at != MAP_FAILED && munmap(at, MIB) == 0 && close(fd) == 0, ways[w].name);
            }
            ns[r] = (now_ns() - start) / FILES;
        }
        printf("%s: %.1f us\n", ways[w].name, median(ns, ROUNDS) / 1e3);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } commands[] = {{"ring", do_ring},   {"growth", do_growth}, {"reserve", do_reserve},
                    {"alias", do_alias}, {"merge", do_merge},   {"files", do_files}};
    for (unsigned i = 0; argc == 2 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0) {
            commands[i].run();
            return 0;
        }
    fprintf(stderr, "usage: bare_techniques ring|growth|reserve|alias|merge|files\n");
    return 1;
}
