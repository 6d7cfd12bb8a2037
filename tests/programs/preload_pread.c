/* SPDX-License-Identifier: MIT */
/*
 * A library to preload: each pread takes a known while longer. FAULTLINE_TEST_CHAIN is the number of multiplications,
 * each of the product of the one before, that come before the call; 0 or nothing: none, and the way to the call is the
 * same. It has to be a length of the table below. How long a chain really takes, pread_chain_ns() says.
 *
 * There is no loop: whether the end of a short one is foreseen differs between processes, and is worth as much again.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* Nothing after it is begun before all before it is done: the chain would be carried out beside what surrounds it. */
static void barrier(void)
{
#if defined __x86_64__ || defined __i386__
    __asm__ volatile("lfence" : : : "memory");
#elif defined __aarch64__
    __asm__ volatile("isb" : : : "memory");
#endif
}

#define ONCE                                                                                                           \
    x *= x;                                                                                                            \
    __asm__ volatile("" : "+r"(x));
#define TWICE(what) what what
#define TIMES_2 TWICE(ONCE)
#define TIMES_4 TWICE(TIMES_2)
#define TIMES_8 TWICE(TIMES_4)
#define TIMES_16 TWICE(TIMES_8)
#define TIMES_32 TWICE(TIMES_16)
#define TIMES_64 TWICE(TIMES_32)
#define TIMES_128 TWICE(TIMES_64)
#define TIMES_256 TWICE(TIMES_128)
#define CHAIN(length, body)                                                                                            \
    static uint64_t chain_##length(uint64_t x)                                                                         \
    {                                                                                                                  \
        barrier();                                                                                                     \
        body barrier();                                                                                                \
        return x;                                                                                                      \
    }

typedef ssize_t pread_function(int fd, void *buffer, size_t size, off_t offset);
typedef uint64_t chain_function(uint64_t x);

CHAIN(0, )
CHAIN(4, TIMES_4)
CHAIN(8, TIMES_8)
CHAIN(10, TIMES_8 TIMES_2)
CHAIN(12, TIMES_8 TIMES_4)
CHAIN(14, TIMES_8 TIMES_4 TIMES_2)
CHAIN(16, TIMES_16)
CHAIN(20, TIMES_16 TIMES_4)
CHAIN(24, TIMES_16 TIMES_8)
CHAIN(32, TIMES_32)
CHAIN(40, TIMES_32 TIMES_8)
CHAIN(48, TIMES_32 TIMES_16)
CHAIN(64, TIMES_64)
CHAIN(256, TIMES_256)

static const struct {
    uint64_t length;
    chain_function *run;
} chains[] = {{0, chain_0},   {4, chain_4},   {8, chain_8},   {10, chain_10},  {12, chain_12},
              {14, chain_14}, {16, chain_16}, {20, chain_20}, {24, chain_24},  {32, chain_32},
              {40, chain_40}, {48, chain_48}, {64, chain_64}, {256, chain_256}};

static pread_function *next;
static chain_function *chain;

ssize_t pread(int fd, void *buffer, size_t size, off_t offset);
ssize_t pread64(int fd, void *buffer, size_t size, off_t offset);
double pread_chain_ns(uint64_t length);

static chain_function *find(uint64_t length)
{
    for (unsigned i = 0; i < sizeof chains / sizeof *chains; i++)
        if (chains[i].length == length)
            return chains[i].run;
    return NULL;
}

__attribute__((constructor)) static void prepare(void)
{
    const char *text = getenv("FAULTLINE_TEST_CHAIN");
    next = (pread_function *)dlsym(RTLD_NEXT, "pread64");
    chain = find(text ? strtoull(text, NULL, 10) : 0);
    if (chain)
        return;
    fprintf(stderr, "preload_pread: FAULTLINE_TEST_CHAIN=%s: there is no chain of that length\n", text);
    _exit(2);
}

ssize_t pread(int fd, void *buffer, size_t size, off_t offset)
{
    chain((uint64_t)offset | 1);
    return next(fd, buffer, size, offset);
}

ssize_t pread64(int fd, void *buffer, size_t size, off_t offset)
{
    return pread(fd, buffer, size, offset);
}

/* ns of a run of a chain: the least of some thousand times. */
static double run_ns(chain_function *volatile const *which)
{
    enum { TIMES = 2000, CHAINS = 100 };
    double least = 1e18;
    chain_function *run = *which; /* whatever the compiler knows of it */
    for (unsigned t = 0; t < TIMES; t++) {
        struct timespec begin, end;
        uint64_t x = t | 1;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        for (unsigned i = 0; i < CHAINS; i++)
            x = run(x);
        clock_gettime(CLOCK_MONOTONIC, &end);
        double ns = (double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec);
        least = ns < least ? ns : least;
    }
    return least / CHAINS;
}

/* How much longer a chain of that length takes than none; 0 where there is no such chain. */
double pread_chain_ns(uint64_t length)
{
    chain_function *volatile run = find(length), *volatile none = find(0);
    return run ? run_ns(&run) - run_ns(&none) : 0;
}
