/* SPDX-License-Identifier: MIT */
/*
 * What every method's loop does besides its operation: find the next offset, find the next destination, consume a
 * block. The state is a local copy, so that the compiler keeps it in registers although the loop writes through char
 * pointers.
 */
#ifndef FAULTLINE_WALK_H
#define FAULTLINE_WALK_H

#include <stdbool.h>
#include <string.h>

#include "method.h"

/*
 * Before a loop that is written once and compiled anew for each set of constants it is called with. A flag that is left
 * to run time may become a conditional move, which chains loads that are to overlap: a random 64 B load then takes a
 * whole memory latency.
 */
#define WALK_SPECIALISED static inline __attribute__((always_inline))

struct walk {
    const uint64_t *offsets;
    uint64_t count, cursor, sum;
    uint64_t chain; /* 0, but the compiler does not know: all-zero mask that makes an address depend on `sum` */
    unsigned char *buffer;
    size_t buffer_step, buffer_bytes, buffer_next;
    uint64_t block_bytes;
    bool adds;
};

/* A value the compiler must take as unknown. */
static inline uint64_t walk_opaque(uint64_t value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

static inline struct walk walk_begin(const struct worker *worker)
{
    return (struct walk){
        .offsets = worker->offsets,
        .count = worker->offset_count,
        .cursor = worker->cursor,
        .sum = worker->sum,
        .chain = walk_opaque(0),
        .buffer = worker->buffer,
        .buffer_step = worker->buffer_step,
        .buffer_bytes = worker->buffer_bytes,
        .buffer_next = worker->buffer_next,
        .block_bytes = worker->params->block_bytes,
        .adds = worker->consumer == consumer_sum,
    };
}

static inline void walk_end(struct worker *worker, const struct walk *walk)
{
    worker->cursor = walk->cursor;
    worker->sum = walk->sum;
    worker->buffer_next = walk->buffer_next;
}

/* The next offset. With `chained` its address depends on the bytes consumed before, so that loads cannot overlap. */
static inline uint64_t walk_next(struct walk *walk, bool chained)
{
    uint64_t index = walk->cursor;
    if (chained)
        index += walk->sum & walk->chain;
    if (__builtin_expect(++walk->cursor == walk->count, 0)) {
        walk->cursor = 0;
        __asm__ volatile(""); /* so that it stays a branch: a conditional move would cost every operation 3 cycles */
    }
    return walk->offsets[index];
}

/* The next offsets of the list that stand behind each other: at most `blocks`, how many is in *count. */
static inline const uint64_t *walk_stretch(struct walk *walk, uint64_t blocks, uint64_t *count)
{
    const uint64_t *first = walk->offsets + walk->cursor;
    uint64_t left = walk->count - walk->cursor;
    *count = blocks < left ? blocks : left;
    walk->cursor = *count == left ? 0 : walk->cursor + *count;
    return first;
}

/* The next destination block. */
static inline unsigned char *walk_destination(struct walk *walk)
{
    unsigned char *to = walk->buffer + walk->buffer_next;
    walk->buffer_next += walk->buffer_step;
    if (walk->buffer_next == walk->buffer_bytes)
        walk->buffer_next = 0;
    return to;
}

typedef uint64_t walk_words __attribute__((vector_size(16), aligned(1), may_alias));

/* Sum of the block's 64-bit words and of the bytes left over: 64 bytes a step, so that a cached block costs little. */
static inline uint64_t walk_sum(const unsigned char *from, uint64_t bytes)
{
    walk_words a = {0}, b = {0}, c = {0}, d = {0};
    for (; bytes >= 64; from += 64, bytes -= 64) {
        const walk_words *words = (const walk_words *)(const void *)from;
        a += words[0];
        b += words[1];
        c += words[2];
        d += words[3];
    }
    a += b + c + d;
    uint64_t sum = a[0] + a[1];
    for (; bytes >= 8; from += 8, bytes -= 8) {
        uint64_t word;
        memcpy(&word, from, sizeof word);
        sum += word;
    }
    for (; bytes; from++, bytes--)
        sum += *from;
    return sum;
}

/* Consumes a block that has been copied to `from`, or only keeps the copy from being optimised away. */
static inline void walk_consume(struct walk *walk, const unsigned char *from)
{
    if (walk->adds) /* a cache line is summed without the loop, in every method alike */
        walk->sum += walk->block_bytes == 64 ? walk_sum(from, 64) : walk_sum(from, walk->block_bytes);
    else
        __asm__ volatile("" : : "r"(from) : "memory");
}

#endif
