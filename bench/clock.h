/* SPDX-License-Identifier: MIT */
/* Monotonic nanoseconds. CLOCK_MONOTONIC_RAW: neither stepped nor slewed while a batch runs. */
#ifndef FAULTLINE_CLOCK_H
#define FAULTLINE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

struct clock_quality {
    uint64_t cost_ns; /* of one reading, rounded to the nearest */
    uint64_t grid_ns; /* what readings are multiples of, to the nearest ns */
};

enum { CLOCK_CHUNKS = 40, CLOCK_CHUNK = 500, CLOCK_STEP_MAX = 256, CLOCK_SEEN = 3 };

/*
 * The grid from how often each step between two readings was seen. Steps are multiples of the grid, rounded down to ns:
 * a coarse clock shows short runs of neighbouring values (20, 21, 30, 31: a grid of 10), a fine one a long run.
 */
static inline uint64_t clock_grid(const unsigned *seen)
{
    uint64_t first = 0, last = 0, grid = UINT64_MAX;
    for (uint64_t step = 1, length = 0; step < CLOCK_STEP_MAX; step++) {
        length = seen[step] >= CLOCK_SEEN ? length + 1 : 0;
        if (length > 2)
            return 1;
        if (length != 1)
            continue;
        first = first ? first : step;
        if (last && step - last < grid)
            grid = step - last;
        last = step;
    }
    return grid == UINT64_MAX ? (first ? first : 1) : grid;
}

/* From one movement of the clock to the next: the grid of a clock coarser than any step that is counted. */
static inline uint64_t clock_next_step(void)
{
    uint64_t begin = clock_now_ns(), from, to;
    while ((from = clock_now_ns()) == begin)
        ;
    while ((to = clock_now_ns()) == from)
        ;
    return to - from;
}

/* Measures both over about half a millisecond. */
static inline struct clock_quality clock_measure(void)
{
    unsigned seen[CLOCK_STEP_MAX] = {0}, fine_steps = 0;
    uint64_t fastest = UINT64_MAX; /* chunk of readings: an interruption makes others slow, none makes one fast */
    for (int chunk = 0; chunk < CLOCK_CHUNKS; chunk++) {
        uint64_t first = clock_now_ns(), previous = first;
        for (int i = 0; i < CLOCK_CHUNK; i++) {
            uint64_t now = clock_now_ns(), step = now - previous;
            if (step && step < CLOCK_STEP_MAX) {
                seen[step]++;
                fine_steps++;
            }
            previous = now;
        }
        fastest = previous - first < fastest ? previous - first : fastest;
    }
    return (struct clock_quality){
        .cost_ns = (fastest + CLOCK_CHUNK / 2) / CLOCK_CHUNK,
        .grid_ns = fine_steps ? clock_grid(seen) : clock_next_step(),
    };
}

#endif
