/* SPDX-License-Identifier: MIT */
/*
 * A payload under a sequence lock: who reads it tries again where the sequence was odd or has changed meanwhile. Words
 * are stored with release and loaded with acquire (Boehm, "Can seqlocks get along with programming language memory
 * models?", 2012): on x86 these are plain moves. Each payload carries its number in every word, so that one that was
 * put together from two is known by its contents, whatever the sequence says.
 */
#ifndef FAULTLINE_SEQUENCE_H
#define FAULTLINE_SEQUENCE_H

#include "shared.h"

struct sequence {
    _Atomic uint64_t value; /* twice the number of the payload; odd while it is written */
    char rest[SHARED_LINE - sizeof(uint64_t)];
    _Atomic uint64_t words[];
};

static inline uint64_t sequence_word(uint64_t number, uint64_t i)
{
    return (number + i) * UINT64_C(0x9e3779b97f4a7c15); /* odd: no two numbers share a word */
}

/* Words [from, until) of payload `number`: a test stops in between. */
static inline void sequence_store(struct sequence *sequence, uint64_t number, uint64_t from, uint64_t until)
{
    for (uint64_t i = from; i < until; i++)
        atomic_store_explicit(&sequence->words[i], sequence_word(number, i), memory_order_release);
}

static inline void sequence_write(struct sequence *sequence, uint64_t number, uint64_t count)
{
    atomic_store_explicit(&sequence->value, 2 * number - 1, memory_order_relaxed);
    sequence_store(sequence, number, 0, count);
    atomic_store_explicit(&sequence->value, 2 * number, memory_order_release);
}

/* Of the payload that is there: twice its number, or odd. */
static inline uint64_t sequence_value(const struct sequence *sequence)
{
    return atomic_load_explicit(&sequence->value, memory_order_acquire);
}

/* Copies the payload that was there when the sequence had that value. Whether it was, and still is, whole. */
static inline bool sequence_copy(const struct sequence *sequence, uint64_t value, uint64_t *copy, uint64_t count)
{
    if (value % 2)
        return false;
    for (uint64_t i = 0; i < count; i++)
        copy[i] = atomic_load_explicit(&sequence->words[i], memory_order_acquire);
    return atomic_load_explicit(&sequence->value, memory_order_relaxed) == value;
}

/* Whether a copy is not the payload of that number, as a whole. */
static inline bool sequence_is_torn(const uint64_t *copy, uint64_t count, uint64_t number)
{
    uint64_t differences = 0;
    for (uint64_t i = 0; i < count; i++)
        differences |= copy[i] ^ sequence_word(number, i);
    return differences != 0;
}

#endif
