/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "matrix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

enum {
    PER_CLASS = 3, /* pairs that stand for a class at first … */
    PER_UNLIKE = 8 /* … and where these differ */
};
static const double unlike = 1.1;

static int no_memory(struct err *err)
{
    return err_set(err, ENOMEM, "no memory for pairs of CPUs");
}

/* ---- which pairs ---- */

static int add_pair(struct pair_list *list, const struct pairs *pairs, unsigned a, unsigned b, struct err *err)
{
    struct pair pair = {a < b ? a : b, a < b ? b : a, pairs_class(pairs, a, b)};
    return pair_list_add(list, pair) ? no_memory(err) : 0;
}

static int compare_pairs(const void *a, const void *b)
{
    const struct pair *one = a, *other = b;
    if (one->a != other->a)
        return one->a < other->a ? -1 : 1;
    return one->b < other->b ? -1 : one->b > other->b;
}

static void list_make_unique(struct pair_list *list)
{
    unsigned kept = 0;
    if (list->count)
        qsort(list->items, list->count, sizeof *list->items, compare_pairs);
    for (unsigned i = 0; i < list->count; i++)
        if (kept == 0 || compare_pairs(&list->items[kept - 1], &list->items[i]) != 0)
            list->items[kept++] = list->items[i];
    list->count = kept;
}

static bool is_same_core(const struct pairs *pairs, unsigned a, unsigned b)
{
    return pairs->cpus[a].core >= 0 && pairs->cpus[a].core == pairs->cpus[b].core;
}

/* Neighbours of the packed order: a CPU that is slow is then slow among pairs that are near each other. */
static int add_coverage(struct pair_list *list, const struct pairs *pairs, struct err *err)
{
    unsigned count = pairs->cpu_count, *order = calloc(count, sizeof *order);
    int rc = order ? pairs_order(pairs, place_pack, order, err) : no_memory(err);
    for (unsigned i = 0; rc == 0 && i + 1 < count; i += 2)
        rc = add_pair(list, pairs, order[i], order[i + 1], err);
    if (rc == 0 && count % 2)
        rc = add_pair(list, pairs, order[count - 2], order[count - 1], err);
    free(order);
    return rc;
}

static int add_of_classes(struct pair_list *list, const struct pairs *pairs, const enum matrix_width *widths,
                          uint64_t seed, enum matrix_width width, struct err *err)
{
    struct pair *items = NULL;
    unsigned count = 0;
    int rc = pairs_choose(pairs, width == WIDTH_FEW ? PER_CLASS : PER_UNLIKE, seed, &items, &count, err);
    for (unsigned i = 0; rc == 0 && i < count; i++)
        if (width == WIDTH_FEW || widths[items[i].class] >= width)
            rc = add_pair(list, pairs, items[i].a, items[i].b, err);
    free(items);
    return rc;
}

/* The pair that stands for two L3 caches: a fair draw, of pairs without CPU 0 where there are any. */
struct drawn {
    unsigned a, b;
    uint64_t seen;
    bool has_zero;
};

static void draw(struct drawn *drawn, const struct pairs *pairs, unsigned a, unsigned b, struct random *random)
{
    bool zero = pairs_has_cpu_zero(pairs, a, b);
    if (drawn->seen && zero && !drawn->has_zero)
        return;
    if (drawn->seen && !zero && drawn->has_zero)
        drawn->seen = 0;
    if (random_below(random, ++drawn->seen) == 0) {
        drawn->a = a;
        drawn->b = b;
        drawn->has_zero = zero;
    }
}

/* Caches by their number: one more than the highest. 0: none is told. */
static unsigned l3_count(const struct pairs *pairs)
{
    int most = -1;
    for (unsigned i = 0; i < pairs->cpu_count; i++)
        most = pairs->cpus[i].l3 > most ? pairs->cpus[i].l3 : most;
    return (unsigned)(most + 1);
}

static void draw_of_caches(struct drawn *drawn, unsigned caches, const struct pairs *pairs, uint64_t seed)
{
    struct random random = {random_derive(seed, 'c')};
    for (unsigned a = 0; a < pairs->cpu_count; a++)
        for (unsigned b = a + 1; b < pairs->cpu_count; b++) {
            int one = pairs->cpus[a].l3, other = pairs->cpus[b].l3;
            if (one < 0 || other < 0 || is_same_core(pairs, a, b))
                continue;
            unsigned low = (unsigned)(one < other ? one : other), high = (unsigned)(one < other ? other : one);
            draw(&drawn[(size_t)low * caches + high], pairs, a, b, &random);
        }
}

/* One of every two L3 caches; with `widths`, only those of classes that are that wide. */
static int add_of_caches(struct pair_list *list, const struct pairs *pairs, const enum matrix_width *widths,
                         uint64_t seed, struct err *err)
{
    unsigned caches = l3_count(pairs);
    struct drawn *drawn = calloc((size_t)caches * caches + 1, sizeof *drawn);
    int rc = drawn ? 0 : no_memory(err);
    if (rc == 0)
        draw_of_caches(drawn, caches, pairs, seed);
    for (size_t i = 0; rc == 0 && i < (size_t)caches * caches; i++)
        if (drawn[i].seen && (!widths || widths[pairs_class(pairs, drawn[i].a, drawn[i].b)] >= WIDTH_CACHES))
            rc = add_pair(list, pairs, drawn[i].a, drawn[i].b, err);
    free(drawn);
    return rc;
}

static int add_class_matrix(struct pair_list *list, const struct pairs *pairs, const enum matrix_width *widths,
                            uint64_t seed, struct err *err)
{
    int rc = add_coverage(list, pairs, err);
    if (rc == 0)
        rc = add_of_classes(list, pairs, widths, seed, WIDTH_FEW, err);
    if (rc == 0 && widths)
        rc = add_of_classes(list, pairs, widths, seed, WIDTH_MORE, err);
    if (rc == 0 && widths)
        rc = add_of_caches(list, pairs, widths, seed, err);
    return rc;
}

/* How many CPUs of its core come before it. */
static unsigned rank_in_core(const struct pairs *pairs, unsigned cpu)
{
    unsigned rank = 0;
    for (unsigned i = 0; i < cpu; i++)
        rank += is_same_core(pairs, i, cpu);
    return rank;
}

static int add_of_cores(struct pair_list *list, const struct pairs *pairs, struct err *err)
{
    unsigned *ranks = calloc(pairs->cpu_count, sizeof *ranks);
    int rc = ranks ? 0 : no_memory(err);
    for (unsigned i = 0; rc == 0 && i < pairs->cpu_count; i++)
        ranks[i] = rank_in_core(pairs, i);
    for (unsigned a = 0; rc == 0 && a < pairs->cpu_count; a++)
        for (unsigned b = a + 1; rc == 0 && b < pairs->cpu_count; b++)
            if (is_same_core(pairs, a, b) ? ranks[a] == 0 && ranks[b] == 1 : ranks[a] == 0 && ranks[b] == 0)
                rc = add_pair(list, pairs, a, b, err);
    free(ranks);
    return rc;
}

static int add_all(struct pair_list *list, const struct pairs *pairs, struct err *err)
{
    int rc = 0;
    for (unsigned a = 0; rc == 0 && a < pairs->cpu_count; a++)
        for (unsigned b = a + 1; rc == 0 && b < pairs->cpu_count; b++)
            rc = add_pair(list, pairs, a, b, err);
    return rc;
}

static int add_matrix(struct pair_list *list, const struct pairs *pairs, enum matrix matrix,
                      const enum matrix_width *widths, uint64_t seed, struct err *err)
{
    switch (matrix) {
    case matrix_class:
        return add_class_matrix(list, pairs, widths, seed, err);
    case matrix_l3:
        return l3_count(pairs) ? add_of_caches(list, pairs, NULL, seed, err)
                               : err_set(err, ENXIO, "this machine tells of no L3 cache");
    case matrix_core:
        return add_of_cores(list, pairs, err);
    case matrix_pu:
        return add_all(list, pairs, err);
    default:
        return 0;
    }
}

int matrix_pairs(const struct pairs *pairs, enum matrix matrix, const enum matrix_width *widths, uint64_t seed,
                 struct pair **items, unsigned *count, struct err *err)
{
    struct pair_list list = {0};
    int rc = pairs->cpu_count < 2 ? err_set(err, ENXIO, "a pair needs two CPUs, there is %u", pairs->cpu_count) : 0;
    if (rc == 0)
        rc = add_matrix(&list, pairs, matrix, widths, seed, err);
    list_make_unique(&list);
    if (rc == 0 && list.count == 0)
        rc = err_set(err, ENXIO, "no two CPUs make a pair of this matrix here");
    if (rc)
        free(list.items);
    *items = rc ? NULL : list.items;
    *count = rc ? 0 : list.count;
    return rc;
}

/* ---- what a trial visits ---- */

unsigned matrix_share(unsigned count, unsigned trials)
{
    unsigned least = (count + trials - 1) / (trials ? trials : 1),
             usual = count < MATRIX_VISITS ? count : MATRIX_VISITS;
    return least > usual ? least : usual;
}

unsigned matrix_visit_count(unsigned share)
{
    return share < 2 ? share : share + 2 + (share - 1) / MATRIX_BETWEEN;
}

unsigned matrix_rounds(unsigned visit_count)
{
    unsigned each = visit_count ? (MATRIX_ROUNDS_ALL + visit_count - 1) / visit_count : 0;
    return each < MATRIX_ROUNDS ? MATRIX_ROUNDS : each;
}

static int compare_best(const void *a, const void *b)
{
    const struct matrix_best *one = a, *other = b;
    if (one->a != other->a)
        return one->a < other->a ? -1 : 1;
    return one->b < other->b ? -1 : one->b > other->b;
}

static struct matrix_best *find_best(const struct matrix_seen *seen, unsigned a, unsigned b)
{
    struct matrix_best key = {.a = a < b ? a : b, .b = a < b ? b : a};
    return seen->count ? bsearch(&key, seen->items, seen->count, sizeof key, compare_best) : NULL;
}

struct visit matrix_stay(const struct pairs *pairs, unsigned a, unsigned b)
{
    struct visit visit = {.cpus = {a, b}};
    int rows[2] = {-1, -1};
    for (unsigned i = 0; pairs && i < pairs->cpu_count; i++)
        for (unsigned side = 0; side < 2; side++)
            rows[side] = pairs->cpus[i].os_index == visit.cpus[side] ? (int)i : rows[side];
    if (rows[0] >= 0 && rows[1] >= 0 && a != b)
        memcpy(visit.class, pairs->classes[pairs_class(pairs, (unsigned)rows[0], (unsigned)rows[1])].name,
               sizeof visit.class);
    return visit;
}

/* The CPUs of a pair change places with each visit. */
static struct visit visit_of(const struct pairs *pairs, struct pair pair, unsigned visits)
{
    bool swapped = visits % 2;
    struct visit visit = {
        .cpus = {pairs->cpus[swapped ? pair.b : pair.a].os_index, pairs->cpus[swapped ? pair.a : pair.b].os_index}};
    memcpy(visit.class, pairs->classes[pair.class].name, sizeof visit.class);
    return visit;
}

struct turn_of_pair {
    unsigned visits, lot, item; /* so far; drawn; index of the pair */
};

static int compare_turns(const void *a, const void *b)
{
    const struct turn_of_pair *one = a, *other = b;
    if (one->visits != other->visits)
        return one->visits < other->visits ? -1 : 1;
    return one->lot < other->lot ? -1 : one->lot > other->lot;
}

static int compare_lots(const void *a, const void *b)
{
    const struct turn_of_pair *one = a, *other = b;
    return one->lot < other->lot ? -1 : one->lot > other->lot;
}

/* The `share` of them whose turn it is come first, in drawn order. */
static void draw_turns(struct turn_of_pair *turns, const struct pairs *pairs, const struct pair *items, unsigned count,
                       const struct matrix_seen *seen, unsigned share, uint64_t seed)
{
    struct random random = {random_derive(seed, 'v')};
    for (unsigned i = 0; i < count; i++) {
        const struct matrix_best *best = find_best(seen, pairs->cpus[items[i].a].os_index,
                                                   pairs->cpus[items[i].b].os_index);
        turns[i] = (struct turn_of_pair){best ? best->visits : 0, (unsigned)(random_next(&random) >> 32), i};
    }
    qsort(turns, count, sizeof *turns, compare_turns);
    qsort(turns, share, sizeof *turns, compare_lots);
}

/*
 * The nearest class's first pair: what of it changes is the machine, not the distance. Without CPU 0, where interrupts
 * tend to go, as far as there is a choice.
 */
static struct visit canary_of(const struct pairs *pairs, const struct pair *items, unsigned count)
{
    const struct pair *nearest = items;
    for (unsigned i = 1; i < count; i++)
        if (items[i].class < nearest->class ||
            (items[i].class == nearest->class && pairs_has_cpu_zero(pairs, nearest->a, nearest->b) &&
             !pairs_has_cpu_zero(pairs, items[i].a, items[i].b)))
            nearest = &items[i];
    struct visit visit = visit_of(pairs, *nearest, 0);
    visit.canary = true;
    return visit;
}

int matrix_visits(const struct pairs *pairs, const struct pair *items, unsigned count, const struct matrix_seen *seen,
                  unsigned trials, uint64_t seed, struct visit **visits, unsigned *visit_count, struct err *err)
{
    unsigned share = matrix_share(count, trials), total = matrix_visit_count(share), at = 0;
    struct turn_of_pair *turns = calloc(count, sizeof *turns);
    struct visit *list = calloc(total + 1, sizeof *list), canary = canary_of(pairs, items, count);
    *visits = list;
    *visit_count = total;
    if (!turns || !list) {
        free(turns);
        free(list);
        *visits = NULL;
        return no_memory(err);
    }
    draw_turns(turns, pairs, items, count, seen, share, seed);
    for (unsigned i = 0; i < share; i++) {
        if (share > 1 && i % MATRIX_BETWEEN == 0)
            list[at++] = canary;
        list[at++] = visit_of(pairs, items[turns[i].item], turns[i].visits);
    }
    if (share > 1)
        list[at++] = canary;
    free(turns);
    return 0;
}

/* ---- what has been seen ---- */

static unsigned class_named(const struct pairs *pairs, const char *name)
{
    unsigned class = 0;
    while (class < pairs->class_count && strcmp(pairs->classes[class].name, name) != 0)
        class ++;
    return class;
}

/* Least time of an operation in some rounds; 0: none counts. */
static double least_ns(const json_t *arm, size_t first, size_t count)
{
    const json_t *batches = json_object_get(arm, "batch_ns");
    double ops = json_number_value(json_object_get(arm, "ops_per_batch")), least = 0;
    size_t there = json_array_size(batches), rest = first < there ? there - first : 0;
    for (size_t r = first; ops > 0 && r - first < (count < rest ? count : rest); r++) {
        double ns = json_number_value(json_array_get(batches, r)) / ops;
        least = ns > 0 && (least == 0 || ns < least) ? ns : least;
    }
    return least;
}

/* Entries of one pair become one. */
static void merge(struct matrix_seen *seen)
{
    unsigned kept = 0;
    if (seen->count)
        qsort(seen->items, seen->count, sizeof *seen->items, compare_best);
    for (unsigned i = 0; i < seen->count; i++) {
        struct matrix_best *into = kept ? &seen->items[kept - 1] : NULL, one = seen->items[i];
        if (!into || compare_best(into, &one) != 0) {
            seen->items[kept++] = one;
            continue;
        }
        into->visits += one.visits;
        into->ns = into->ns == 0 || (one.ns > 0 && one.ns < into->ns) ? one.ns : into->ns;
    }
    seen->count = kept;
}

static void widen(struct matrix_seen *seen, const struct pairs *pairs, unsigned class)
{
    double least = 0, most = 0;
    unsigned count = 0;
    for (unsigned i = 0; i < seen->count; i++) {
        const struct matrix_best *best = &seen->items[i];
        if (best->class != class || best->ns == 0)
            continue;
        least = count == 0 || best->ns < least ? best->ns : least;
        most = best->ns > most ? best->ns : most;
        count++;
    }
    bool all = count >= PER_UNLIKE || count >= pairs->classes[class].count;
    if (most <= unlike * least)
        return;
    if (seen->widths[class] == WIDTH_FEW)
        seen->widths[class] = WIDTH_MORE;
    else if (seen->widths[class] == WIDTH_MORE && all)
        seen->widths[class] = WIDTH_CACHES;
}

int matrix_learn(struct matrix_seen *seen, const struct pairs *pairs, const json_t *record, struct err *err)
{
    const json_t *list = json_object_get(record, "pairs"), *base = json_array_get(json_object_get(record, "arms"), 0);
    const json_t *pair;
    size_t index, round = 0, count = json_array_size(list);
    struct matrix_best *items = realloc(seen->items, (seen->count + count + 1) * sizeof *items);
    if (!items)
        return no_memory(err);
    seen->items = items;
    json_array_foreach((json_t *)list, index, pair)
    {
        const char *name = json_string_value(json_object_get(pair, "class"));
        unsigned a = (unsigned)json_integer_value(json_object_get(pair, "a"));
        unsigned b = (unsigned)json_integer_value(json_object_get(pair, "b"));
        size_t rounds = (size_t)json_integer_value(json_object_get(pair, "rounds"));
        seen->items[seen->count++] = (struct matrix_best){
            .a = a < b ? a : b,
            .b = a < b ? b : a,
            .class = class_named(pairs, name ? name : ""),
            .ns = least_ns(base, round, rounds),
        };
        struct matrix_best *added = &seen->items[seen->count - 1];
        added->visits = added->ns > 0 &&
                        !json_is_true(json_object_get(pair, "canary")); /* void: it is still to be seen */
        round += rounds;
    }
    merge(seen);
    for (unsigned class = 0; class < pairs->class_count; class ++)
        widen(seen, pairs, class);
    return 0;
}

void matrix_forget(struct matrix_seen *seen)
{
    free(seen->items);
    *seen = (struct matrix_seen){0};
}
