/* SPDX-License-Identifier: MIT */
/*
 * Vectors of range_bytes that a batch doubles, each once; the reset before it makes them as large as they were, with
 * what they hold. What lies right behind them is under control: whether they can grow where they are is known.
 */
#ifndef FAULTLINE_VECTORS_H
#define FAULTLINE_VECTORS_H

#include "method.h"
#include "paged_vector.h"
#include "sibling.h"

/* How they grow, which decides where there has to be room. */
enum vectors_way {
    VECTORS_REMAPPED,       /* as moved_to and crowding say */
    VECTORS_COPIED_TOUCHED, /* to memory whose pages were touched before: two places take turns */
    VECTORS_COPIED_FRESH,   /* to memory that is mapped for it, the old is unmapped */
    VECTORS_REALLOCATED,    /* as the C library does it, to whatever memory: such vectors are the method's to make */
};

struct vector {
    struct paged_vector now;
    unsigned char *home;   /* where it was before it grew */
    unsigned char *behind; /* [behind_bytes] what is mapped behind it without access; NULL: nothing of ours */
    size_t behind_bytes;
    unsigned char *to; /* a place for twice as much to which it is moved or copied; NULL: none */
};

enum { VECTORS_MAX = 128 }; /* enough for a batch of 250 us of calls of 2 us */

/*
 * What is looked at after a batch, before its vectors are made small again: of each vector every word after the first
 * batch that it was in, and after later ones the first, the last and a drawn word of what it held and of what is new.
 */
struct vectors_look {
    uint64_t grown; /* leading vectors that the last batch was to grow, and nobody has looked at since */
    uint64_t whole; /* leading vectors of which every word has been looked at */
    uint64_t drawn; /* changes from batch to batch */
};

/* worker->own of these methods. */
struct vectors {
    struct vector *items; /* [count] */
    uint64_t count;
    size_t bytes, page_bytes; /* of a vector before it grows; of a page */
    enum vectors_way way;
    struct siblings *siblings;
    unsigned proofs; /* so many times the pages were found to be of the size asked for */
    struct vectors_look look;
};

/* What is stored in word `word` of the n-th vector. */
static inline uint64_t vectors_word(uint64_t n, uint64_t word)
{
    return (n + 1) << 40 | word;
}

/*
 * Makes the vectors, filled with vectors_word, and whatever lies behind them. -errno with text; -EOPNOTSUPP where this
 * machine does not give what is asked for. End with vectors_teardown, also after a failure.
 */
int vectors_setup(struct worker *worker, enum vectors_way way, struct err *err);

/* The same of VECTORS_REALLOCATED, whose vectors are none yet. End with vectors_forget, also after a failure. */
int vectors_setup_empty(struct worker *worker, struct err *err);
void vectors_forget(struct worker *worker);

/* Stores vectors_word to each word of the n-th, which is small. */
void vectors_fill(const struct vectors *vectors, uint64_t n);

/* Looks at what the last batch has grown. -EPROTO with text where one holds other bytes than before. */
int vectors_look(struct vectors *vectors, struct err *err);

void vectors_teardown(struct worker *worker);

/* Looks at those that the last batch has grown; makes the first `count` small again where they have grown, a place to
 * go to for each that needs one, and wakes the siblings. -EPROTO with text where one holds other bytes than before. */
int vectors_reset(struct worker *worker, uint64_t count, struct err *err);

/* Advises [at, bytes), whole pages, to be in base pages or huge ones, as params->pages says, whatever its size: what is
 * mapped side by side becomes one VMA, in which a huge page may lie. 0 or -errno. */
int vectors_advise(const struct params *params, unsigned char *at, size_t bytes);

/* For struct method: most vectors of one batch; rough ns of a reset. */
uint64_t vectors_limit(const struct params *params);
uint64_t vectors_reset_ns(const struct params *params, uint64_t count);

/* What every method that grows vectors understands. */
#define USES_VECTORS (FIELD_BIT(range_bytes) | FIELD_BIT(siblings) | FIELD_BIT(sibling_work) | FIELD_BIT(pages))

/* Around the growing of the first `count`. */
static inline struct vectors *vectors_begin(const struct worker *worker, uint64_t count)
{
    struct vectors *vectors = worker->own;
    vectors->look.grown = count;
    siblings_begin(vectors->siblings);
    return vectors;
}

static inline int vectors_end(struct worker *worker, int rc)
{
    const struct vectors *vectors = worker->own;
    worker->fault = siblings_end(vectors->siblings);
    return rc;
}

#endif
