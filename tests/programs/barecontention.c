/* SPDX-License-Identifier: MIT */
/*
 * What two workers do to each other through a shared page, in the plainest loops one would write by hand: the other
 * side of the methods of faultline in which workers meet. It shares no line with them: what the two agree on is what is
 * stored where, who is timed, the clock and how turns are passed.
 *
 *   barecontention KERNEL --cpu0 N --cpu1 N [--ops N] [--rounds N] [--threads 1] [--alias 1] [--apart N] [--adds 1]
 *                  [--payload N] [--ring N] [--in-place 1] [--pause NS] [--fresh 1|2] [--own-file 1]
 *                  [--read-fd N --write-fd N [--starts 1]]
 *
 * KERNEL: see `kernels`. Its operations are those of each worker that is timed. Two workers, processes or threads, each
 * bound to its CPU, have a memfd mapped at the same place or, with --alias, at two. What they have left behind is
 * looked at after each batch: a hand-over, an addition or a message that is missing ends the program. Prints one line
 * of JSON with the nanoseconds of each batch, from the first begin to the last end of those that are timed. Status 0,
 * or 1 with a message.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE = 256, /* further apart than any processor fetches together */
    HALF = 256 << 10,
    AREA_BYTES = 2 *
                 HALF, /* what is met on; other words, payloads, rings and the second worker's lie in the half behind */
    FAULT_PAGES = 512,
    WARM_BATCHES = 5,
    WARM_NS = 20000000,
    PATIENCE_MS = 30000,
};

struct settings {
    uint64_t cpu0, cpu1, ops, rounds, threads, alias, apart, adds, payload, ring, in_place, pause, fresh, own_file;
    int64_t read_fd, write_fd, starts;
};

/* What one worker tells the other and the program that waits for both. */
struct told {
    uint64_t begin_ns, end_ns, done, amount, step, fault;
    char rest[LINE - 6 * sizeof(uint64_t)];
};

struct common {
    struct told told[2];
    uint64_t come, rest[LINE / 8 - 1]; /* to the start, in all batches */
    uint64_t ready;                    /* workers that are through with a batch */
};

struct bare {
    const struct kernel *kernel;
    struct settings settings;
    int area_fd, file_fd; /* what is met on; pages to fault in */
    int order_pipe[2][2], answer_pipe[2], data_pipe[2][2];
    unsigned char *area;
    struct common *common;
};

struct worker {
    struct bare *bare;
    unsigned me;
    unsigned char *area;
    unsigned char *pages; /* to be faulted in */
    uint64_t meetings;
    uint64_t *out, *in; /* payloads in memory of its own */
    bool wrong;         /* something that cannot be was seen */
};

struct kernel {
    const char *name;
    void (*work)(struct worker *, uint64_t ops);
    bool (*holds)(struct bare *, uint64_t ops); /* whether what is left behind is what has to be there */
    unsigned timed;                             /* bit k: worker k */
    bool faults;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t *word_at(const unsigned char *area, uint64_t offset)
{
    return (uint64_t *)(void *)(uintptr_t)(area + offset);
}

static struct told *own(struct worker *w)
{
    return &w->bare->common->told[w->me];
}

static struct told *other(struct worker *w)
{
    return &w->bare->common->told[!w->me];
}

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void store(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static void end_of_work(struct worker *w)
{
    own(w)->end_ns = now_ns();
    store(&own(w)->done, 1);
}

static bool other_works(struct worker *w)
{
    return !load(&other(w)->done);
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __asm__ volatile("pause");
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Spins until both have come, for as many times as it was called. */
static void meet(struct worker *w)
{
    uint64_t *come = &w->bare->common->come;
    w->meetings += 2;
    __atomic_fetch_add(come, 1, __ATOMIC_SEQ_CST);
    while (load(come) < w->meetings)
        ;
}

/* ---- hand-overs ---- */

static void hand_over_by_cas(struct worker *w, uint64_t ops)
{
    uint64_t *word = word_at(w->area, 0);
    for (uint64_t turn = w->me; turn < 2 * ops; turn += 2) {
        uint64_t seen = turn;
        while (!__atomic_compare_exchange_n(word, &seen, turn + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            seen = turn;
    }
    end_of_work(w);
}

static void hand_over_by_store(struct worker *w, uint64_t ops)
{
    uint64_t *word = word_at(w->area, 0);
    for (uint64_t turn = w->me; turn < 2 * ops; turn += 2) {
        while (load(word) != turn)
            ;
        store(word, turn + 1);
    }
    end_of_work(w);
}

static void hand_over_by_two_lines(struct worker *w, uint64_t ops)
{
    uint64_t *first = word_at(w->area, 0), *second = word_at(w->area, LINE);
    for (uint64_t i = 1; i <= ops && w->me == 0; i++) {
        store(first, i);
        while (load(second) != i)
            ;
    }
    for (uint64_t i = 1; i <= ops && w->me == 1; i++) {
        while (load(first) != i)
            ;
        store(second, i);
    }
    end_of_work(w);
}

static bool holds_hand_overs(struct bare *bare, uint64_t ops)
{
    uint64_t second = *word_at(bare->area, LINE);
    return *word_at(bare->area, 0) + second == 2 * ops && (second == 0 || second == ops);
}

/* ---- additions ---- */

static void add(struct worker *w, uint64_t ops)
{
    uint64_t *word = word_at(w->area, w->me * w->bare->settings.apart), done = 0;
    for (; done < ops; done++)
        __atomic_fetch_add(word, 1, __ATOMIC_RELAXED);
    end_of_work(w);
    for (; other_works(w); done += 16)
        for (int i = 0; i < 16; i++)
            __atomic_fetch_add(word, 1, __ATOMIC_RELAXED);
    own(w)->amount = done;
}

static void add_by_cas_once(uint64_t *word)
{
    uint64_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(word, &seen, seen + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static void add_by_cas(struct worker *w, uint64_t ops)
{
    uint64_t *word = word_at(w->area, w->me * w->bare->settings.apart), done = 0;
    for (; done < ops; done++)
        add_by_cas_once(word);
    end_of_work(w);
    for (; other_works(w); done += 16)
        for (int i = 0; i < 16; i++)
            add_by_cas_once(word);
    own(w)->amount = done;
}

static bool holds_sums(struct bare *bare, uint64_t ops)
{
    const struct told *told = bare->common->told;
    uint64_t sum = *word_at(bare->area, 0) + (bare->settings.apart ? *word_at(bare->area, bare->settings.apart) : 0);
    return sum == told[0].amount + told[1].amount && told[0].amount >= ops && told[1].amount >= ops;
}

/* ---- one writes, the other loads ---- */

static uint64_t write_numbers(struct worker *w, uint64_t last, uint64_t count)
{
    uint64_t *word = word_at(w->area, 0), end = last + count;
    if (w->bare->settings.adds)
        for (; last < end; last++)
            __atomic_fetch_add(word, 1, __ATOMIC_RELAXED);
    else
        while (last < end)
            __atomic_store_n(word, ++last, __ATOMIC_RELAXED);
    return last;
}

/* Each load waits for the one before. */
static uint64_t load_numbers(struct worker *w, uint64_t last, uint64_t count)
{
    const uint64_t *word = word_at(w->area, w->bare->settings.apart);
    uint64_t zero = 0;
    __asm__ volatile("" : "+r"(zero), "+r"(word)); /* or how `word` came about is calculated anew for each load */
    for (uint64_t i = 0; i < count; i++)
        last = __atomic_load_n(word + (last & zero), __ATOMIC_RELAXED);
    return last;
}

static void load_while_written(struct worker *w, uint64_t ops)
{
    uint64_t last = 0;
    if (w->me == 1) {
        last = load_numbers(w, 0, ops);
        end_of_work(w);
    } else {
        while (other_works(w))
            last = write_numbers(w, last, 16);
    }
    own(w)->amount = last;
}

static void write_while_loaded(struct worker *w, uint64_t ops)
{
    uint64_t last = 0;
    if (w->me == 0) {
        last = write_numbers(w, 0, ops);
        end_of_work(w);
    } else {
        while (other_works(w))
            last = load_numbers(w, last, 16);
    }
    own(w)->amount = last;
}

/* The writer's next number waits for the answer to the last. */
static void write_and_be_answered(struct worker *w, uint64_t ops)
{
    const uint64_t *word = word_at(w->area, 0);
    uint64_t *answer = &w->bare->common->told[1].step, last = 0;
    while (w->me == 0 && last < ops) {
        last = write_numbers(w, last, 1);
        while (load(answer) != last)
            ;
    }
    while (w->me == 1 && last < ops) {
        last++;
        while (load(word) != last)
            ;
        store(answer, last);
    }
    end_of_work(w);
    own(w)->amount = last;
}

static bool holds_numbers(struct bare *bare, uint64_t ops)
{
    uint64_t written = bare->common->told[0].amount, seen = bare->common->told[1].amount;
    (void)ops;
    return *word_at(bare->area, 0) == written && seen <= (bare->settings.apart ? 0 : written);
}

/* ---- sequence lock ---- */

static uint64_t payload_word(uint64_t number, uint64_t place)
{
    return (number + place) * 0x9e3779b97f4a7c15u;
}

static void sequence_store_at(struct worker *w, uint64_t offset, uint64_t number)
{
    uint64_t *sequence = word_at(w->area, offset), *payload = sequence + LINE / 8;
    uint64_t count = w->bare->settings.payload / 8;
    __atomic_store_n(sequence, 2 * number - 1, __ATOMIC_RELAXED);
    for (uint64_t i = 0; i < count; i++)
        store(&payload[i], payload_word(number, i));
    store(sequence, 2 * number);
}

static void sequence_store(struct worker *w, uint64_t number)
{
    sequence_store_at(w, w->bare->settings.apart, number);
}

/* Whether it has a whole copy; that one which the sequence calls whole is not is kept in mind. */
static bool sequence_load(struct worker *w, uint64_t *value)
{
    const uint64_t *sequence = word_at(w->area, 0), *payload = sequence + LINE / 8;
    uint64_t *copy = w->in, count = w->bare->settings.payload / 8, before = load(sequence), wrong = 0;
    if (before & 1)
        return false;
    for (uint64_t i = 0; i < count; i++)
        copy[i] = load(&payload[i]);
    if (load(sequence) != before)
        return false;
    for (uint64_t i = 0; i < count; i++)
        wrong |= copy[i] ^ payload_word(before / 2, i);
    w->wrong |= wrong != 0;
    *value = before;
    return true;
}

/* Each copy is of a payload that was not copied before, unless another is written; the next is written after it. */
static void copy_under_sequence(struct worker *w, uint64_t ops)
{
    const uint64_t *sequence = word_at(w->area, 0);
    uint64_t number = 1, copies = 0, last = 0;
    bool together = w->bare->settings.apart == 0;
    while (w->me == 1 && copies < ops) {
        if ((!together || load(sequence) != last) && sequence_load(w, &last))
            store(&own(w)->step, ++copies);
        else
            relax();
    }
    if (w->me == 1) {
        end_of_work(w);
        return;
    }
    while (other_works(w)) {
        sequence_store(w, ++number);
        while (load(&other(w)->step) == copies && other_works(w))
            ;
        copies = load(&other(w)->step);
    }
    own(w)->amount = number;
}

static void write_under_sequence(struct worker *w, uint64_t ops)
{
    uint64_t value;
    if (w->me == 1) {
        while (other_works(w))
            sequence_load(w, &value);
        return;
    }
    for (uint64_t number = 2; number <= ops + 1; number++)
        sequence_store(w, number);
    end_of_work(w);
    own(w)->amount = ops + 1;
}

static bool holds_sequence(struct bare *bare, uint64_t ops)
{
    bool anew = bare->settings.apart == 0 && bare->kernel->work == copy_under_sequence;
    return (!anew || bare->common->told[0].amount >= ops) &&
           *word_at(bare->area, bare->settings.apart) == 2 * bare->common->told[0].amount;
}

/* ---- payloads handed over ---- */

typedef uint64_t two_words __attribute__((vector_size(16), aligned(8), may_alias));

/* Four chains of additions, so that they wait for loads and not for each other. Whole lines of 64 bytes. */
static inline uint64_t sum_of(const uint64_t *words, uint64_t bytes)
{
    two_words first = {0}, second = {0}, third = {0}, fourth = {0};
    for (const uint64_t *end = words + bytes / 8; words < end; words += 8) {
        const two_words *pairs = (const two_words *)(const void *)words;
        first += pairs[0];
        second += pairs[1];
        third += pairs[2];
        fourth += pairs[3];
    }
    two_words all = (first + second) + (third + fourth);
    return all[0] + all[1];
}

/* Whether it is not the payload that is due: the worker's own with that number. */
static inline bool is_wrong(const uint64_t *payload, uint64_t bytes, uint64_t number, uint64_t filling)
{
    return payload[0] != number || sum_of(payload, bytes) != filling + number;
}

static uint64_t filling_of(struct worker *w)
{
    w->out[0] = 0;
    return sum_of(w->out, w->bare->settings.payload);
}

static uint64_t *mapped_payload(struct worker *w, unsigned from)
{
    return word_at(w->area, HALF + from * (uint64_t)HALF / 2);
}

static void send_mapped(struct worker *w, uint64_t number, bool wakes)
{
    uint32_t *flag = (uint32_t *)(void *)word_at(w->area, w->me * (uint64_t)LINE);
    memcpy(mapped_payload(w, w->me), w->out, w->bare->settings.payload);
    __atomic_store_n(flag, (uint32_t)number, __ATOMIC_RELEASE);
    if (wakes)
        syscall(SYS_futex, flag, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static const uint64_t *receive_mapped(struct worker *w, uint64_t number, bool sleeps)
{
    uint32_t *flag = (uint32_t *)(void *)word_at(w->area, !w->me * (uint64_t)LINE), seen;
    while ((seen = __atomic_load_n(flag, __ATOMIC_ACQUIRE)) != (uint32_t)number)
        if (sleeps)
            syscall(SYS_futex, flag, FUTEX_WAIT, seen, NULL, NULL, 0);
    if (w->bare->settings.in_place)
        return mapped_payload(w, !w->me);
    return memcpy(w->in, mapped_payload(w, !w->me), w->bare->settings.payload);
}

static void hand_off_mapped(struct worker *w, uint64_t ops, bool sleeps)
{
    uint64_t filling = filling_of(w), bytes = w->bare->settings.payload;
    bool wrong = false;
    for (uint64_t number = 1; number <= ops; number++) {
        w->out[0] = number;
        if (w->me == 0)
            send_mapped(w, number, sleeps);
        wrong |= is_wrong(receive_mapped(w, number, sleeps), bytes, number, filling);
        if (w->me == 1)
            send_mapped(w, number, sleeps);
    }
    end_of_work(w);
    w->wrong |= wrong;
}

static void hand_off_spinning(struct worker *w, uint64_t ops)
{
    hand_off_mapped(w, ops, false);
}

static void hand_off_by_futex(struct worker *w, uint64_t ops)
{
    hand_off_mapped(w, ops, true);
}

static void hand_off_by_pipe(struct worker *w, uint64_t ops)
{
    uint64_t filling = filling_of(w), bytes = w->bare->settings.payload;
    int to = w->bare->data_pipe[w->me][1], from = w->bare->data_pipe[!w->me][0];
    bool wrong = false;
    for (uint64_t number = 1; number <= ops; number++) {
        w->out[0] = number;
        if (w->me == 0)
            wrong |= write(to, w->out, bytes) != (ssize_t)bytes;
        wrong |= read(from, w->in, bytes) != (ssize_t)bytes; /* no more than a page: whole */
        wrong |= is_wrong(w->in, bytes, number, filling);
        if (w->me == 1)
            wrong |= write(to, w->out, bytes) != (ssize_t)bytes;
    }
    end_of_work(w);
    w->wrong |= wrong;
}

/* ---- ring: worker 0 puts in, worker 1 takes out ---- */

static void put_in(struct worker *w, uint64_t ops, uint64_t slots)
{
    uint64_t *put = word_at(w->area, 0), *taken = word_at(w->area, LINE), bytes = w->bare->settings.payload;
    uint64_t slot = 0, known = 0;
    for (uint64_t number = 1; number <= ops; number++) {
        while (number - known > slots)
            known = load(taken);
        w->out[0] = number;
        memcpy(w->area + HALF + slot * bytes, w->out, bytes);
        store(put, number);
        slot = slot + 1 < slots ? slot + 1 : 0;
    }
    end_of_work(w);
}

static void take_out(struct worker *w, uint64_t ops, uint64_t slots)
{
    uint64_t *put = word_at(w->area, 0), *taken = word_at(w->area, LINE), bytes = w->bare->settings.payload;
    uint64_t slot = 0, known = 0, filling = filling_of(w);
    bool wrong = false, in_place = w->bare->settings.in_place;
    for (uint64_t number = 1; number <= ops; number++) {
        const uint64_t *message = word_at(w->area, HALF + slot * bytes);
        while (known < number)
            known = load(put);
        if (!in_place)
            message = memcpy(w->in, message, bytes);
        wrong |= is_wrong(message, bytes, number, filling);
        store(taken, number);
        slot = slot + 1 < slots ? slot + 1 : 0;
    }
    end_of_work(w);
    w->wrong |= wrong;
}

static void ring(struct worker *w, uint64_t ops)
{
    uint64_t slots = w->bare->settings.ring / w->bare->settings.payload;
    if (w->me == 0)
        put_in(w, ops, slots);
    else
        take_out(w, ops, slots);
}

static bool holds_ring(struct bare *bare, uint64_t ops)
{
    return *word_at(bare->area, 0) == ops && *word_at(bare->area, LINE) == ops;
}

static bool holds_flags(struct bare *bare, uint64_t ops)
{
    uint64_t flag = bare->kernel->work == hand_off_by_pipe ? 0 : ops;
    return *word_at(bare->area, 0) == flag && *word_at(bare->area, LINE) == flag;
}

/* ---- faults ---- */

/* Before each page they wait for each other. */
static void fault_in(struct worker *w, uint64_t ops)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    volatile uint64_t *word = word_at(w->pages, w->me * 64);
    for (uint64_t i = 1; i <= ops; i++, word += page / 8) {
        store(&own(w)->step, i);
        while (load(&other(w)->step) < i)
            ;
        *word = i;
    }
    end_of_work(w);
    w->wrong |= *word_at(w->pages, w->me * 64 + (ops - 1) * page) != ops;
}

static bool holds_always(struct bare *bare, uint64_t ops)
{
    (void)bare;
    (void)ops;
    return true;
}

static int file_of_pages(void)
{
    static const unsigned char zeros[4096];
    uint64_t bytes = 2 * FAULT_PAGES * (uint64_t)sysconf(_SC_PAGESIZE);
    int fd = memfd_create("barecontention", MFD_CLOEXEC);
    for (uint64_t at = 0; fd >= 0 && at < bytes; at += sizeof zeros)
        if (pwrite(fd, zeros, sizeof zeros, (off_t)at) != (ssize_t)sizeof zeros)
            return -1;
    return fd;
}

/* Of a file of its own, or of the common one: the same pages as the other worker, or with `apart` others. */
static int map_pages(struct worker *w)
{
    uint64_t bytes = FAULT_PAGES * (uint64_t)sysconf(_SC_PAGESIZE);
    int fd = w->bare->settings.own_file ? file_of_pages() : w->bare->file_fd;
    uint64_t offset = w->me && w->bare->settings.apart ? bytes : 0;
    w->pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
    int rc = w->pages == MAP_FAILED ? -errno : 0;
    if (w->bare->settings.own_file && fd >= 0)
        close(fd);
    return rc;
}

/* ---- workers ---- */

static const struct kernel kernels[] = {
    {"cas", hand_over_by_cas, holds_hand_overs, 3, false},
    {"store", hand_over_by_store, holds_hand_overs, 3, false},
    {"two-lines", hand_over_by_two_lines, holds_hand_overs, 3, false},
    {"add", add, holds_sums, 3, false},
    {"add-by-cas", add_by_cas, holds_sums, 3, false},
    {"load", load_while_written, holds_numbers, 2, false},
    {"write", write_while_loaded, holds_numbers, 1, false},
    {"answer", write_and_be_answered, holds_numbers, 1, false},
    {"copy", copy_under_sequence, holds_sequence, 2, false},
    {"rewrite", write_under_sequence, holds_sequence, 1, false},
    {"ring", ring, holds_ring, 2, false},
    {"spin", hand_off_spinning, holds_flags, 3, false},
    {"futex", hand_off_by_futex, holds_flags, 3, false},
    {"pipe", hand_off_by_pipe, holds_flags, 3, false},
    {"fault", fault_in, holds_always, 3, true},
};

static int bind_to(uint64_t cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) ? -errno : 0;
}

static void *map_area(const struct bare *bare)
{
    void *area = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, bare->area_fd, 0);
    return area == MAP_FAILED ? NULL : area;
}

static int begin_worker(struct worker *w)
{
    const struct settings *settings = &w->bare->settings;
    uint64_t words = settings->payload / 8;
    int rc = bind_to(w->me ? settings->cpu1 : settings->cpu0);
    w->area = w->me && settings->alias ? map_area(w->bare) : w->bare->area;
    w->out = aligned_alloc(4096, (2 * settings->payload + 4095) / 4096 * 4096); /* not where the heap has room */
    w->in = w->out + words;
    if (!w->area || !w->out)
        return -ENOMEM;
    for (uint64_t i = 0; i < words; i++)
        w->out[i] = w->in[i] = payload_word(0, i);
    for (uint64_t at = 0; at < AREA_BYTES; at += 4096)
        __atomic_fetch_add(word_at(w->area, at), 0, __ATOMIC_SEQ_CST);
    return rc || !w->bare->kernel->faults ? rc : map_pages(w);
}

/* A page that one of the two has touched before the other. */
static void renew_page(struct worker *w)
{
    if (w->me == w->bare->settings.fresh - 1) {
        w->wrong |= fallocate(w->bare->area_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) != 0;
        __atomic_fetch_add(word_at(w->area, 0), 0, __ATOMIC_SEQ_CST);
    }
    meet(w);
    __atomic_fetch_add(word_at(w->area, 0), 0, __ATOMIC_SEQ_CST);
}

/* Everything is as before the first batch. */
static void prepare(struct worker *w)
{
    *own(w) = (struct told){0};
    if (w->bare->settings.fresh)
        renew_page(w);
    if (w->bare->kernel->faults)
        w->wrong |= madvise(w->pages, FAULT_PAGES * (uint64_t)sysconf(_SC_PAGESIZE), MADV_DONTNEED) != 0;
    if (w->me)
        return;
    store(word_at(w->area, 0), 0);
    store(word_at(w->area, LINE), 0);
    store(word_at(w->area, w->bare->settings.apart), 0);
    if (w->bare->kernel->holds == holds_sequence) {
        sequence_store_at(w, 0, 1);
        sequence_store(w, 1);
    }
}

static void run_batch(struct worker *w, uint64_t ops)
{
    uint64_t pause = w->bare->settings.pause;
    prepare(w);
    if (pause)
        nanosleep(&(struct timespec){(time_t)(pause / 1000000000), (long)(pause % 1000000000)}, NULL);
    meet(w);
    own(w)->begin_ns = now_ns();
    w->bare->kernel->work(w, ops);
    own(w)->fault = w->wrong;
    if (__atomic_add_fetch(&w->bare->common->ready, 1, __ATOMIC_SEQ_CST) % 2 == 0) /* woken once, after both */
        (void)!write(w->bare->answer_pipe[1], "d", 1);
}

static void *work(void *argument)
{
    struct worker *w = argument;
    uint64_t ops = 0;
    if (begin_worker(w)) {
        own(w)->fault = 1;
        (void)!write(w->bare->answer_pipe[1], "f", 1);
        return NULL;
    }
    while (read(w->bare->order_pipe[w->me][0], &ops, sizeof ops) == sizeof ops)
        run_batch(w, ops);
    return NULL;
}

static int start_worker(struct bare *bare, unsigned me)
{
    static struct worker workers[2];
    struct worker *w = &workers[me];
    pthread_t thread;
    *w = (struct worker){.bare = bare, .me = me};
    if (bare->settings.threads)
        return -pthread_create(&thread, NULL, work, w); /* ends with the program */
    pid_t process = fork();
    if (process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        work(w);
        _exit(0);
    }
    return process < 0 ? -errno : 0;
}

/* ---- the program ---- */

static int begin(struct bare *bare)
{
    bare->area_fd = memfd_create("barecontention", MFD_CLOEXEC);
    if (bare->area_fd < 0 || ftruncate(bare->area_fd, AREA_BYTES))
        return -errno;
    bare->file_fd = bare->kernel->faults && !bare->settings.own_file ? file_of_pages() : -1;
    bare->area = map_area(bare);
    bare->common = mmap(NULL, sizeof *bare->common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!bare->area || bare->common == MAP_FAILED)
        return -ENOMEM;
    for (unsigned i = 0; i < 2; i++)
        if (pipe2(bare->order_pipe[i], O_CLOEXEC) || pipe2(bare->data_pipe[i], O_CLOEXEC))
            return -errno;
    if (pipe2(bare->answer_pipe, O_CLOEXEC))
        return -errno;
    int rc = bind_to(bare->settings.cpu0);
    for (unsigned me = 0; me < 2 && rc == 0; me++)
        rc = start_worker(bare, me);
    return rc;
}

static int wait_for_byte(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    char byte;
    int rc = poll(&readable, 1, PATIENCE_MS);
    if (rc <= 0)
        return rc ? -errno : -ETIMEDOUT;
    return read(fd, &byte, 1) == 1 ? 0 : -EPIPE;
}

static int measure(struct bare *bare, uint64_t *ns)
{
    const struct told *told = bare->common->told;
    uint64_t ops = bare->settings.ops, begin = UINT64_MAX, end = 0;
    for (unsigned i = 0; i < 2; i++)
        if (write(bare->order_pipe[i][1], &ops, sizeof ops) != sizeof ops)
            return -errno;
    int rc = wait_for_byte(bare->answer_pipe[0]);
    if (rc)
        return rc;
    for (unsigned i = 0; i < 2; i++) {
        bool timed = bare->kernel->timed >> i & 1;
        begin = timed && told[i].begin_ns < begin ? told[i].begin_ns : begin;
        end = timed && told[i].end_ns > end ? told[i].end_ns : end;
    }
    *ns = end - begin;
    return told[0].fault || told[1].fault || !bare->kernel->holds(bare, ops) ? -EPROTO : 0;
}

/* The side that starts does not wait before its first round. */
static int take_turn(const struct settings *settings, uint64_t round)
{
    return settings->read_fd < 0 || (settings->starts && round == 0) ? 0 : wait_for_byte((int)settings->read_fd);
}

static int give_turn(const struct settings *settings, bool last)
{
    if (settings->write_fd < 0 || write((int)settings->write_fd, "t", 1) == 1)
        return 0;
    return last ? 0 : -errno; /* the other side may have ended after its own last round */
}

static int run_rounds(struct bare *bare, uint64_t *batch_ns)
{
    const struct settings *settings = &bare->settings;
    uint64_t begun = now_ns(), unkept;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && (i < WARM_BATCHES || now_ns() - begun < WARM_NS); i++)
        rc = measure(bare, &unkept);
    for (uint64_t round = 0; round < settings->rounds && rc == 0; round++) {
        rc = take_turn(settings, round);
        if (rc == 0 && settings->read_fd >= 0) /* the other side has had the caches */
            rc = measure(bare, &unkept);
        if (rc == 0)
            rc = measure(bare, &batch_ns[round]);
        if (rc == 0)
            rc = give_turn(settings, round + 1 == settings->rounds);
    }
    return rc;
}

static void print_result(const struct bare *bare, const uint64_t *batch_ns)
{
    uint64_t timed = bare->kernel->timed == 3 ? 2 : 1;
    printf("{\"kernel\":\"%s\",\"ops\":%" PRIu64 ",\"batch_ns\":[", bare->kernel->name, timed * bare->settings.ops);
    for (uint64_t round = 0; round < bare->settings.rounds; round++)
        printf("%s%" PRIu64, round ? "," : "", batch_ns[round]);
    puts("]}");
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
        {"--cpu0", &settings->cpu0},         {"--cpu1", &settings->cpu1},         {"--ops", &settings->ops},
        {"--rounds", &settings->rounds},     {"--threads", &settings->threads},   {"--alias", &settings->alias},
        {"--apart", &settings->apart},       {"--adds", &settings->adds},         {"--payload", &settings->payload},
        {"--ring", &settings->ring},         {"--in-place", &settings->in_place}, {"--pause", &settings->pause},
        {"--fresh", &settings->fresh},       {"--own-file", &settings->own_file}, {"--read-fd", &settings->read_fd},
        {"--write-fd", &settings->write_fd}, {"--starts", &settings->starts},
    };
    for (int i = 2; i < argc; i += 2) {
        int rc = -EINVAL;
        for (unsigned k = 0; k < sizeof options / sizeof *options && i + 1 < argc; k++)
            if (strcmp(argv[i], options[k].name) == 0)
                rc = read_number(argv[i + 1], options[k].number);
        if (rc)
            return rc;
    }
    return 0;
}

/* What does not fit, or could never end. */
static int check_settings(const struct bare *bare)
{
    const struct settings *settings = &bare->settings;
    bool fits = settings->payload && settings->payload % 64 == 0 && settings->payload <= 4096 &&
                settings->ring >= settings->payload && settings->ring <= HALF && settings->apart <= HALF &&
                settings->apart % 8 == 0 && settings->fresh <= 2;
    bool counts = settings->ops && settings->rounds && settings->rounds <= 1 << 20 &&
                  (!bare->kernel->faults || settings->ops <= FAULT_PAGES);
    return fits && counts && settings->cpu0 != settings->cpu1 && settings->cpu0 < CPU_SETSIZE &&
                   settings->cpu1 < CPU_SETSIZE
               ? 0
               : -EINVAL;
}

static const struct kernel *find_kernel(const char *name)
{
    for (unsigned i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (strcmp(name, kernels[i].name) == 0)
            return &kernels[i];
    return NULL;
}

int main(int argc, char **argv)
{
    static struct bare bare = {
        .settings = {.cpu1 = 1, .ops = 64, .rounds = 200, .payload = 64, .ring = 4096, .read_fd = -1, .write_fd = -1},
    };
    uint64_t *batch_ns = NULL;
    signal(SIGPIPE, SIG_IGN);
    bare.kernel = argc > 1 ? find_kernel(argv[1]) : NULL;
    int rc = bare.kernel ? read_settings(argc, argv, &bare.settings) : -EINVAL;
    if (rc == 0)
        rc = check_settings(&bare);
    if (rc == 0)
        rc = begin(&bare);
    if (rc == 0 && !(batch_ns = calloc(bare.settings.rounds, sizeof *batch_ns)))
        rc = -ENOMEM;
    if (rc == 0)
        rc = run_rounds(&bare, batch_ns);
    if (rc == 0)
        print_result(&bare, batch_ns);
    else
        fprintf(stderr, "barecontention: %s\n", strerror(-rc));
    free(batch_ns);
    return rc || fflush(stdout) ? 1 : 0; /* workers go with it */
}
