/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "vectors.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hugepage.h"
#include "random.h"
#include "smaps.h"

#define VECTORS_BYTES (16 * MIB)

uint64_t vectors_limit(const struct params *params)
{
    uint64_t fit = VECTORS_BYTES / params->range_bytes;
    return fit < 1 ? 1 : fit < VECTORS_MAX ? fit : VECTORS_MAX;
}

uint64_t vectors_reset_ns(const struct params *params, uint64_t count)
{
    const uint64_t map_ns = 16000, look_ns = 3000; /* three faults on zeros */
    return count * (map_ns + look_ns) + (params->siblings ? 20 * US : 0);
}

/* To a place that is made for it before the batch. */
static bool has_place(const struct vectors *vectors, const struct params *params)
{
    bool named = params->moved_to == moved_to_aligned || params->moved_to == moved_to_misaligned;
    return vectors->way == VECTORS_COPIED_TOUCHED || (vectors->way == VECTORS_REMAPPED && named);
}

/* The n-th has something right behind it: spread evenly. 1e-6: a decimal share is seldom exact in binary. */
static bool is_crowded(const struct params *params, uint64_t n)
{
    return (uint64_t)((double)(n + 1) * params->crowding + 1e-6) > (uint64_t)((double)n * params->crowding + 1e-6);
}

int vectors_advise(const struct params *params, unsigned char *at, size_t bytes)
{
    bool huge = params->pages == pages_thp;
    if (madvise(at, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) == 0)
        return 0;
    return errno == EINVAL && !huge ? 0 : -errno; /* EINVAL: a kernel without huge pages */
}

/* ---- what they hold ---- */

static bool hold(const struct vectors_look *look, uint64_t n, const unsigned char *at, size_t bytes, bool zeros)
{
    const uint64_t *words = (const uint64_t *)(const void *)at;
    uint64_t count = bytes / sizeof *words;
    if (count == 0)
        return true;
    const uint64_t places[] = {0, random_derive(look->drawn, n) % count, count - 1};
    bool whole = n >= look->whole, are_there = true;
    for (uint64_t i = 0; i < (whole ? count : sizeof places / sizeof *places); i++) {
        uint64_t place = whole ? i : places[i];
        are_there &= words[place] == (zeros ? 0 : vectors_word(n, place));
    }
    return are_there;
}

/* The new half holds zeros where the kernel has just made it; memory that was used before holds whatever it held. */
int vectors_look(struct vectors *vectors, struct err *err)
{
    struct vectors_look *look = &vectors->look;
    bool fresh = vectors->way == VECTORS_REMAPPED || vectors->way == VECTORS_COPIED_FRESH, kept = true;
    for (uint64_t n = 0; n < look->grown; n++) {
        const struct paged_vector *now = &vectors->items[n].now;
        kept &= hold(look, n, now->at, vectors->bytes, false);
        if (fresh && now->bytes > vectors->bytes)
            kept &= hold(look, n, now->at + vectors->bytes, vectors->bytes, true);
    }
    look->whole = look->grown > look->whole ? look->grown : look->whole;
    look->grown = 0;
    look->drawn++;
    return kept ? 0 : err_set(err, EPROTO, "a vector that has grown holds other bytes than before");
}

/* ---- address space ---- */

/*
 * Addresses of so many bytes without access, at which nothing else is mapped, beginning `lead` bytes behind a multiple
 * of a huge page. NULL with errno.
 */
static unsigned char *reserve(size_t bytes, size_t lead)
{
    uint64_t huge = huge_page_bytes();
    size_t room = bytes + 2 * huge;
    unsigned char *base = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    size_t before = (huge - (uint64_t)(uintptr_t)base % huge) % huge + lead;
    if (before)
        munmap(base, before);
    munmap(base + before + bytes, room - before - bytes);
    return base + before;
}

/* In place of what is mapped there, which is ours. */
static int map_over(unsigned char *at, size_t bytes, int protection)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (protection == PROT_NONE ? MAP_NORESERVE : 0);
    return mmap(at, bytes, protection, flags, -1, 0) == MAP_FAILED ? -errno : 0;
}

static void release_behind(struct vector *vector)
{
    if (vector->behind)
        munmap(vector->behind, vector->behind_bytes);
    vector->behind = NULL;
}

static void put_behind(struct vector *vector, unsigned char *at, size_t bytes)
{
    vector->behind = at;
    vector->behind_bytes = bytes;
}

/* ---- before a batch ---- */

/* The half that a vector has grown by goes, and what is to lie behind it takes its place. */
static int shrink(const struct worker *worker, uint64_t n)
{
    const struct vectors *vectors = worker->own;
    struct vector *vector = &vectors->items[n];
    unsigned char *half = vector->now.at + vectors->bytes;
    size_t kept = vectors->way != VECTORS_REMAPPED     ? 0
                  : has_place(vectors, worker->params) ? vectors->bytes
                  : is_crowded(worker->params, n)      ? vectors->page_bytes
                                                       : 0;
    int rc = 0;
    vector->now.bytes = vectors->bytes;
    if (vector->now.at != vector->home)
        release_behind(vector);
    vector->home = vector->now.at;
    if (vectors->way == VECTORS_COPIED_TOUCHED) /* its two places stay mapped as they are */
        return 0;
    if (kept) {
        rc = map_over(half, kept, PROT_NONE);
        put_behind(vector, half, kept);
    }
    if (rc == 0 && kept < vectors->bytes)
        rc = munmap(half + kept, vectors->bytes - kept) ? -errno : 0;
    return rc;
}

/* Touched as far as a copy will write to it. */
static int touch_place(const struct worker *worker, struct vector *vector)
{
    const struct vectors *vectors = worker->own;
    int rc = map_over(vector->to, 2 * vectors->bytes, PROT_READ | PROT_WRITE);
    if (rc == 0)
        rc = vectors_advise(worker->params, vector->to, 2 * vectors->bytes);
    for (size_t at = 0; rc == 0 && at < vectors->bytes; at += vectors->page_bytes)
        *(volatile unsigned char *)(vector->to + at) = 1;
    return rc;
}

/* What begins at the same place in its huge page as before is moved by whole page tables: misaligned is one page off.
 */
static int make_place(const struct worker *worker, struct vector *vector)
{
    const struct vectors *vectors = worker->own;
    bool aside = vectors->way == VECTORS_REMAPPED && worker->params->moved_to == moved_to_misaligned &&
                 (uint64_t)(uintptr_t)vector->now.at % huge_page_bytes() == 0;
    if (vector->to || !has_place(vectors, worker->params))
        return 0;
    vector->to = reserve(2 * vectors->bytes, aside ? vectors->page_bytes : 0);
    if (!vector->to)
        return -errno;
    return vectors->way == VECTORS_COPIED_TOUCHED ? touch_place(worker, vector) : 0;
}

/* All of them, twice: as they were made, and after the first have grown. */
static int prove_pages(const struct worker *worker, struct err *err)
{
    struct vectors *vectors = worker->own;
    struct smaps_range ranges[VECTORS_MAX];
    struct smaps found;
    for (uint64_t n = 0; n < vectors->count; n++)
        ranges[n] = (struct smaps_range){vectors->items[n].now.at, vectors->bytes};
    if (vectors->proofs >= 2 || !smaps_read_ranges(ranges, vectors->count, &found))
        return 0; /* no smaps here: the advice stands unproven, as it does for every other program */
    vectors->proofs++;
    uint64_t wanted = worker->params->pages == pages_thp ? found.anonymous : 0;
    if (found.huge == wanted)
        return 0;
    return err_set(err, EOPNOTSUPP,
                   "of %" PRIu64 " KiB of vectors the kernel gave %" PRIu64 " in huge pages, not %" PRIu64,
                   found.anonymous / KIB, found.huge / KIB, wanted / KIB);
}

/* Holes behind vectors are made last: nothing is mapped anywhere between that and the batch. */
int vectors_reset(struct worker *worker, uint64_t count, struct err *err)
{
    struct vectors *vectors = worker->own;
    int rc = prove_pages(worker, err);
    if (rc == 0)
        rc = vectors_look(vectors, err);
    if (rc)
        return rc;
    for (uint64_t i = 0; i < count && rc == 0; i++)
        rc = make_place(worker, &vectors->items[i]);
    for (uint64_t i = 0; i < count && rc == 0; i++)
        if (vectors->items[i].now.bytes > vectors->bytes)
            rc = shrink(worker, i);
    return rc ? err_set(err, -rc, "make room for a vector: %s", strerror(-rc))
              : siblings_resume(vectors->siblings, err);
}

/* ---- setup ---- */

void vectors_fill(const struct vectors *vectors, uint64_t n)
{
    uint64_t *words = (uint64_t *)(void *)vectors->items[n].now.at;
    for (uint64_t i = 0; i < vectors->bytes / sizeof *words; i++)
        words[i] = vectors_word(n, i);
}

/* As one that has grown, but for the access to its second half: the first reset makes it small. */
static int make_vector(const struct worker *worker, uint64_t n)
{
    const struct vectors *vectors = worker->own;
    struct vector *vector = &vectors->items[n];
    size_t twice = 2 * vectors->bytes, usable = vectors->way == VECTORS_COPIED_TOUCHED ? twice : vectors->bytes;
    unsigned char *at = reserve(twice + vectors->page_bytes, 0);
    if (!at)
        return -errno;
    vector->now = (struct paged_vector){at, twice};
    vector->home = at;
    put_behind(vector, at + twice, vectors->page_bytes);
    int rc = map_over(at, usable, PROT_READ | PROT_WRITE);
    if (rc == 0)
        rc = vectors_advise(worker->params, at, usable);
    if (rc == 0)
        vectors_fill(vectors, n);
    return rc;
}

static int make_vectors(const struct worker *worker, struct err *err)
{
    const struct vectors *vectors = worker->own;
    int rc = 0;
    if (worker->params->pages == pages_thp && vectors->bytes % huge_page_bytes())
        return err_set(err, EOPNOTSUPP, "a vector of %zu bytes is no whole number of huge pages of %" PRIu64,
                       vectors->bytes, huge_page_bytes());
    for (uint64_t n = 0; n < vectors->count && rc == 0; n++)
        rc = make_vector(worker, n);
    return rc ? err_set(err, -rc, "make a vector of %zu bytes: %s", vectors->bytes, strerror(-rc)) : 0;
}

static int make_list(struct worker *worker, enum vectors_way way, struct err *err)
{
    struct vectors *vectors = worker->own = calloc(1, sizeof *vectors);
    if (!vectors)
        return err_set(err, ENOMEM, "no memory for the vectors");
    vectors->way = way;
    vectors->bytes = worker->params->range_bytes;
    vectors->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    vectors->items = calloc(vectors_limit(worker->params), sizeof *vectors->items);
    if (!vectors->items)
        return err_set(err, ENOMEM, "no memory for the vectors");
    vectors->count = vectors_limit(worker->params);
    return 0;
}

static int start_siblings(const struct worker *worker, struct err *err)
{
    struct vectors *vectors = worker->own;
    return siblings_start(&vectors->siblings, worker->params, err);
}

int vectors_setup(struct worker *worker, enum vectors_way way, struct err *err)
{
    int rc = make_list(worker, way, err);
    if (rc == 0)
        rc = make_vectors(worker, err);
    return rc ? rc : start_siblings(worker, err);
}

int vectors_setup_empty(struct worker *worker, struct err *err)
{
    int rc = make_list(worker, VECTORS_REALLOCATED, err);
    return rc ? rc : start_siblings(worker, err);
}

void vectors_forget(struct worker *worker)
{
    struct vectors *vectors = worker->own;
    siblings_stop(vectors->siblings);
    free(vectors->items);
    free(vectors);
    worker->own = NULL;
}

void vectors_teardown(struct worker *worker)
{
    struct vectors *vectors = worker->own;
    if (!vectors)
        return;
    for (uint64_t i = 0; i < vectors->count; i++) {
        struct vector *vector = &vectors->items[i];
        if (vectors->way == VECTORS_COPIED_TOUCHED)
            vector->now.bytes = 2 * vectors->bytes;
        paged_vector_free(&vector->now);
        release_behind(vector);
        if (vector->to)
            munmap(vector->to, 2 * vectors->bytes);
    }
    vectors_forget(worker);
}
