/* SPDX-License-Identifier: MIT */
/*
 * The same work as three methods of faultline and its empty one, in the plainest loops one would write by hand. It
 * shares no line with the engine: what the two agree on is the file, the operations, the clock and how turns are
 * passed.
 *
 *   bareloop LOOP FILE [--file-bytes N] [--ops N] [--rounds N] [--seed N] [--cpu N] [--read-fd N --write-fd N [--starts
 * 1]]
 *
 * LOOP: pread    4 KiB at random offsets into one buffer, and the sum of it
 *       mapped   64 bytes at random offsets of a mapping made once, and the sum of them
 *       touch    64 bytes of each page, in order, of a mapping made anew before each batch, and the sum of them
 *       empty    nothing at random offsets
 * FILE is made of random bytes (written by 1 MiB, synced) when it is not there.
 * Prints one line of JSON with the nanoseconds of each batch. Status 0, or 1 with a message.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_BYTES = 4096,
    LOAD_BYTES = 64,
    PAGE_BYTES_MAX = 65536,
    WRITE_BYTES = 1 << 20,
    WARM_BATCHES = 5,
    WARM_NS = 20000000,
    PATIENCE_MS = 30000,
};

struct settings {
    uint64_t file_bytes, ops, rounds, seed;
    int64_t cpu, read_fd, write_fd, starts;
};

struct bare {
    const struct loop *loop;
    int fd;
    uint64_t file_bytes, page_bytes, count, next, sum;
    uint64_t *offsets; /* [count] */
    const unsigned char *map;
    unsigned char *buffer; /* [READ_BYTES] aligned, which the compiler does not know: nor does a reader of files */
};

struct loop {
    const char *name;
    uint64_t block_bytes;
    bool in_order, maps_anew, maps_once;
    int (*run)(struct bare *, const uint64_t *offsets, uint64_t ops);
};

typedef uint64_t two_words __attribute__((vector_size(16), aligned(1), may_alias));

/* Four chains of additions, so that they wait for loads and not for each other. */
static inline uint64_t sum_of(const unsigned char *block, unsigned bytes)
{
    two_words first = {0}, second = {0}, third = {0}, fourth = {0};
    for (const unsigned char *end = block + bytes; block < end; block += 4 * sizeof first) {
        const two_words *words = (const two_words *)(const void *)block;
        first += words[0];
        second += words[1];
        third += words[2];
        fourth += words[3];
    }
    two_words all = (first + second) + (third + fourth);
    return all[0] + all[1];
}

static int run_pread(struct bare *bare, const uint64_t *offsets, uint64_t ops)
{
    unsigned char *buffer = bare->buffer;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < ops; i++) {
        if (pread(bare->fd, buffer, READ_BYTES, (off_t)offsets[i]) != READ_BYTES)
            return -EIO;
        sum += sum_of(buffer, READ_BYTES);
    }
    bare->sum += sum;
    return 0;
}

static int run_loads(struct bare *bare, const uint64_t *offsets, uint64_t ops)
{
    const unsigned char *map = bare->map;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < ops; i++)
        sum += sum_of(map + offsets[i], LOAD_BYTES);
    bare->sum += sum;
    return 0;
}

static int run_empty(struct bare *bare, const uint64_t *offsets, uint64_t ops)
{
    (void)bare;
    for (uint64_t i = 0; i < ops; i++)
        __asm__ volatile("" : : "r"(offsets[i]));
    return 0;
}

static const struct loop loops[] = {
    {.name = "pread", .block_bytes = READ_BYTES, .run = run_pread},
    {.name = "mapped", .block_bytes = LOAD_BYTES, .maps_once = true, .run = run_loads},
    {.name = "touch", .block_bytes = LOAD_BYTES, .in_order = true, .maps_anew = true, .run = run_loads},
    {.name = "empty", .block_bytes = LOAD_BYTES, .run = run_empty},
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Xorshift (Marsaglia 2003). */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int make_file(const char *path, uint64_t bytes, uint64_t seed)
{
    static uint64_t block[WRITE_BYTES / sizeof(uint64_t)];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? 0 : -errno;
    for (uint64_t done = 0; done < bytes; done += WRITE_BYTES) {
        for (unsigned i = 0; i < sizeof block / sizeof *block; i++)
            block[i] = next_random(&seed);
        if (write(fd, block, WRITE_BYTES) != WRITE_BYTES)
            return -EIO;
    }
    int rc = fsync(fd) ? -errno : 0;
    close(fd);
    return rc;
}

static void shuffle(uint64_t *items, uint64_t count, uint64_t seed)
{
    for (uint64_t i = count; i > 1; i--) {
        uint64_t j = next_random(&seed) % i, swap = items[i - 1];
        items[i - 1] = items[j];
        items[j] = swap;
    }
}

/*
 * All blocks once, shuffled. Or pass by pass one block of every page, in order; which block is shuffled over the
 * passes: two sides that went through them in the same order, one a little behind the other, would find in the cache
 * what the other had fetched, always the same one of the two.
 */
static void fill_offsets(struct bare *bare, uint64_t seed)
{
    uint64_t nth[PAGE_BYTES_MAX / LOAD_BYTES], bytes = bare->loop->block_bytes, page = bare->page_bytes;
    uint64_t pages = bare->file_bytes / page;
    for (uint64_t i = 0; i < page / LOAD_BYTES; i++)
        nth[i] = i;
    shuffle(nth, page / LOAD_BYTES, seed);
    for (uint64_t i = 0; i < bare->count; i++)
        bare->offsets[i] = bare->loop->in_order ? i % pages * page + nth[i / pages] * bytes : i * bytes;
    if (!bare->loop->in_order)
        shuffle(bare->offsets, bare->count, seed);
}

static int map_file(struct bare *bare)
{
    void *map = mmap(NULL, bare->file_bytes, PROT_READ, MAP_SHARED, bare->fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    bare->map = map;
    return 0;
}

static int unmap_file(struct bare *bare)
{
    return munmap((void *)(uintptr_t)bare->map, bare->file_bytes) ? -errno : 0;
}

static int begin(struct bare *bare, const char *path, const struct settings *settings)
{
    struct stat status;
    int rc = make_file(path, settings->file_bytes, settings->seed);
    if (rc)
        return rc;
    bare->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (bare->fd < 0 || fstat(bare->fd, &status))
        return -errno;
    bare->file_bytes = (uint64_t)status.st_size;
    bare->count = bare->file_bytes / bare->loop->block_bytes;
    bare->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    if (bare->page_bytes > PAGE_BYTES_MAX || bare->file_bytes % bare->page_bytes || bare->count == 0 ||
        settings->ops == 0 || bare->count % settings->ops)
        return -EINVAL; /* batches are whole slices of the list */
    bare->offsets = malloc(bare->count * sizeof *bare->offsets);
    bare->buffer = aligned_alloc(READ_BYTES, READ_BYTES);
    if (!bare->offsets || !bare->buffer)
        return -ENOMEM;
    fill_offsets(bare, settings->seed);
    memset(bare->buffer, 1, READ_BYTES);
    for (uint64_t at = 0; at < bare->file_bytes; at += READ_BYTES)
        if (pread(bare->fd, bare->buffer, READ_BYTES, (off_t)at) != READ_BYTES)
            return -EIO;
    return bare->loop->maps_once ? map_file(bare) : 0;
}

/* The last mapping goes right before the next is made, as in the engine: page tables that were just given back are
 * still in the caches when they are wanted again, and turn-passing in between made this side 0.6 % slower. */
static int run_batch(struct bare *bare, uint64_t ops, uint64_t *ns)
{
    const uint64_t *slice = bare->offsets + bare->next;
    int rc = bare->loop->maps_anew && bare->map ? unmap_file(bare) : 0;
    if (rc == 0 && bare->loop->maps_anew)
        rc = map_file(bare);
    if (rc)
        return rc;
    uint64_t start = now_ns();
    rc = bare->loop->run(bare, slice, ops);
    *ns = now_ns() - start;
    bare->next = (bare->next + ops) % bare->count;
    return rc;
}

/* Waits for a byte; the side that starts does not wait before its first round. */
static int take_turn(const struct settings *settings, uint64_t round)
{
    struct pollfd readable = {.fd = (int)settings->read_fd, .events = POLLIN};
    char byte;
    if (settings->read_fd < 0 || (settings->starts && round == 0))
        return 0;
    int rc = poll(&readable, 1, PATIENCE_MS);
    if (rc <= 0)
        return rc ? -errno : -ETIMEDOUT;
    return read((int)settings->read_fd, &byte, 1) == 1 ? 0 : -EPIPE;
}

static int give_turn(const struct settings *settings, bool last)
{
    if (settings->write_fd < 0 || write((int)settings->write_fd, "t", 1) == 1)
        return 0;
    return last ? 0 : -errno; /* the other side may have ended after its own last round */
}

static int run_rounds(struct bare *bare, const struct settings *settings, uint64_t *batch_ns)
{
    uint64_t begun = now_ns(), unkept;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && (i < WARM_BATCHES || now_ns() - begun < WARM_NS); i++)
        rc = run_batch(bare, settings->ops, &unkept);
    for (uint64_t round = 0; round < settings->rounds && rc == 0; round++) {
        rc = take_turn(settings, round);
        if (rc == 0 && settings->read_fd >= 0) /* the other side has had the caches */
            rc = run_batch(bare, settings->ops, &unkept);
        if (rc == 0)
            rc = run_batch(bare, settings->ops, &batch_ns[round]);
        if (rc == 0)
            rc = give_turn(settings, round + 1 == settings->rounds);
    }
    return rc;
}

static void print_result(const struct bare *bare, const struct settings *settings, const uint64_t *batch_ns)
{
    printf("{\"loop\":\"%s\",\"ops\":%" PRIu64 ",\"cpu\":%d,\"sum\":\"%016" PRIx64 "\",\"batch_ns\":[",
           bare->loop->name, settings->ops, sched_getcpu(), bare->sum);
    for (uint64_t round = 0; round < settings->rounds; round++)
        printf("%s%" PRIu64, round ? "," : "", batch_ns[round]);
    puts("]}");
}

static int pin(int64_t cpu)
{
    cpu_set_t set;
    if (cpu < 0)
        return 0;
    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) ? -errno : 0;
}

static int read_number(const char *text, void *number)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < 0)
        return -EINVAL;
    memcpy(number, &value, sizeof value);
    return 0;
}

static int read_settings(int argc, char **argv, struct settings *settings)
{
    struct {
        const char *name;
        void *number; /* all are 64 bits wide */
    } options[] = {
        {"--file-bytes", &settings->file_bytes},
        {"--ops", &settings->ops},
        {"--rounds", &settings->rounds},
        {"--seed", &settings->seed},
        {"--cpu", &settings->cpu},
        {"--read-fd", &settings->read_fd},
        {"--write-fd", &settings->write_fd},
        {"--starts", &settings->starts},
    };
    for (int i = 3; i < argc; i += 2) {
        int rc = -EINVAL;
        for (unsigned k = 0; k < sizeof options / sizeof *options && i + 1 < argc; k++)
            if (strcmp(argv[i], options[k].name) == 0)
                rc = read_number(argv[i + 1], options[k].number);
        if (rc)
            return rc;
    }
    return settings->seed && settings->rounds && settings->rounds <= 1 << 20 ? 0 : -EINVAL;
}

static const struct loop *find_loop(const char *name)
{
    for (unsigned i = 0; i < sizeof loops / sizeof *loops; i++)
        if (strcmp(name, loops[i].name) == 0)
            return &loops[i];
    return NULL;
}

int main(int argc, char **argv)
{
    struct settings settings = {
        .file_bytes = 64 << 20, .ops = 256, .rounds = 200, .seed = 1, .cpu = -1, .read_fd = -1, .write_fd = -1};
    struct bare bare = {.fd = -1};
    uint64_t *batch_ns = NULL;
    signal(SIGPIPE, SIG_IGN);
    bare.loop = argc > 2 ? find_loop(argv[1]) : NULL;
    int rc = bare.loop ? read_settings(argc, argv, &settings) : -EINVAL;
    if (rc == 0)
        rc = pin(settings.cpu);
    if (rc == 0)
        rc = begin(&bare, argv[2], &settings);
    if (rc == 0 && !(batch_ns = calloc(settings.rounds, sizeof *batch_ns)))
        rc = -ENOMEM;
    if (rc == 0)
        rc = run_rounds(&bare, &settings, batch_ns);
    if (rc == 0)
        print_result(&bare, &settings, batch_ns);
    else
        fprintf(stderr, "bareloop: %s\n", strerror(-rc));
    free(batch_ns);
    free(bare.offsets);
    free(bare.buffer);
    return rc || fflush(stdout) ? 1 : 0;
}
