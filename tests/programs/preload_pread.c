/* SPDX-License-Identifier: MIT */
/*
 * A library to preload: each pread takes a known while longer. FAULTLINE_TEST_SPIN is the number of steps that it spins
 * before the call, about a cycle each; 0 or nothing: none, and the way to the call is the same. How long a step really
 * takes, pread_spin_ns() says.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>

typedef ssize_t pread_function(int fd, void *buffer, size_t size, off_t offset);

static pread_function *next;
static uint64_t steps;

ssize_t pread(int fd, void *buffer, size_t size, off_t offset);
ssize_t pread64(int fd, void *buffer, size_t size, off_t offset);
double pread_spin_ns(uint64_t count);

static void spin(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        __asm__ volatile("" : "+r"(i));
}

__attribute__((constructor)) static void prepare(void)
{
    const char *text = getenv("FAULTLINE_TEST_SPIN");
    next = (pread_function *)dlsym(RTLD_NEXT, "pread64");
    steps = text ? strtoull(text, NULL, 10) : 0;
}

ssize_t pread(int fd, void *buffer, size_t size, off_t offset)
{
    spin(steps);
    return next(fd, buffer, size, offset);
}

ssize_t pread64(int fd, void *buffer, size_t size, off_t offset)
{
    return pread(fd, buffer, size, offset);
}

/* ns of so many steps: the least of some thousand times, as nothing but the steps takes it. */
double pread_spin_ns(uint64_t count)
{
    enum { TIMES = 2000, SPINS = 100 };
    double least = 1e18;
    for (unsigned t = 0; t < TIMES; t++) {
        struct timespec begin, end;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        for (unsigned i = 0; i < SPINS; i++)
            spin(count);
        clock_gettime(CLOCK_MONOTONIC, &end);
        double ns = (double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec);
        least = ns < least ? ns : least;
    }
    return least / SPINS;
}
