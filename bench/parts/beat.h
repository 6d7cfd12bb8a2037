/* SPDX-License-Identifier: MIT */
/* Work that is done again and again at a fixed pace, while one looks at what the kernel does to it by itself. */
#ifndef FAULTLINE_BEAT_H
#define FAULTLINE_BEAT_H

#include <errno.h>
#include <time.h>

#include "clock.h"
#include "method.h"

/* Short beside the seconds in which the flusher acts, long beside the work. */
#define BEAT_NS (100 * MS)

static inline void beat_rest(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / (1000 * MS)), .tv_nsec = (long)(ns % (1000 * MS))};
    while (nanosleep(&left, &left) && errno == EINTR)
        ;
}

/* Works once a beat, and rests until it is over. 0, or the -errno with which the work ended. */
static inline int beat_each(struct worker *worker, uint64_t beats, int (*work)(struct worker *))
{
    int rc = 0;
    for (uint64_t i = 0; i < beats && rc == 0; i++) {
        uint64_t begin = clock_now_ns();
        rc = work(worker);
        uint64_t spent = clock_now_ns() - begin;
        if (rc == 0 && spent < BEAT_NS)
            beat_rest(BEAT_NS - spent);
    }
    return rc;
}

/* The block_ns of such a method. */
static inline uint64_t beat_ns(const struct params *params)
{
    (void)params;
    return BEAT_NS;
}

#endif
