/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "pairs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

static const char *const level_names[PAIR_LEVELS] = {
    [PAIR_CORE] = "core", [PAIR_L2] = "l2",     [PAIR_CLUSTER] = "cluster", [PAIR_L3] = "l3",
    [PAIR_DIE] = "die",   [PAIR_NODE] = "node", [PAIR_PACKAGE] = "package", [PAIR_MACHINE] = "machine",
};

const char *pair_level_name(enum pair_level level)
{
    return level_names[level];
}

static bool same(int a, int b)
{
    return a >= 0 && a == b;
}

/* ---- classes ---- */

static enum pair_level level_of(const struct cpu_row *a, const struct cpu_row *b)
{
    return same(a->core, b->core)         ? PAIR_CORE
           : same(a->l2, b->l2)           ? PAIR_L2
           : same(a->cluster, b->cluster) ? PAIR_CLUSTER
           : same(a->l3, b->l3)           ? PAIR_L3
           : same(a->die, b->die)         ? PAIR_DIE
           : same(a->node, b->node)       ? PAIR_NODE
           : same(a->package, b->package) ? PAIR_PACKAGE
                                          : PAIR_MACHINE;
}

/* A matrix may be asymmetric, a pair is not: the larger of both ways. */
static unsigned distance_of(const struct pairs *pairs, const struct cpu_row *a, const struct cpu_row *b)
{
    unsigned count = pairs->node_count;
    bool known = pairs->distances && a->node >= 0 && b->node >= 0 && (unsigned)a->node < count &&
                 (unsigned)b->node < count;
    if (!known)
        return 0;
    unsigned to = pairs->distances[(unsigned)a->node * count + (unsigned)b->node];
    unsigned back = pairs->distances[(unsigned)b->node * count + (unsigned)a->node];
    return to > back ? to : back;
}

static struct pair_class key_of(const struct pairs *pairs, unsigned a, unsigned b)
{
    const struct cpu_row *one = &pairs->cpus[a], *other = &pairs->cpus[b];
    struct pair_class key = {
        .level = level_of(one, other), .distance = distance_of(pairs, one, other), .kinds = {-1, -1}};
    if (pairs->same_kinds)
        return key;
    bool rising = one->kind <= other->kind;
    key.kinds[0] = rising ? one->kind : other->kind;
    key.kinds[1] = rising ? other->kind : one->kind;
    return key;
}

static int compare_keys(const struct pair_class *a, const struct pair_class *b)
{
    if (a->level != b->level)
        return a->level < b->level ? -1 : 1;
    if (a->distance != b->distance)
        return a->distance < b->distance ? -1 : 1;
    if (a->kinds[0] != b->kinds[0])
        return a->kinds[0] < b->kinds[0] ? -1 : 1;
    return a->kinds[1] < b->kinds[1] ? -1 : a->kinds[1] > b->kinds[1];
}

static int compare_classes(const void *a, const void *b)
{
    return compare_keys(a, b);
}

/* Its index; class_count when there is none. */
static unsigned find_class(const struct pairs *pairs, const struct pair_class *key)
{
    unsigned i = 0;
    while (i < pairs->class_count && compare_keys(&pairs->classes[i], key) != 0)
        i++;
    return i;
}

/* The level's name, and what else tells a class from others of the same level. */
static void name_class(struct pairs *pairs, struct pair_class *class)
{
    bool distances = false, kinds = false;
    for (unsigned i = 0; i < pairs->class_count; i++) {
        const struct pair_class *other = &pairs->classes[i];
        distances |= other->level == class->level && other->distance != class->distance;
        kinds |= other->level == class->level &&
                 (other->kinds[0] != class->kinds[0] || other->kinds[1] != class->kinds[1]);
    }
    int used = snprintf(class->name, sizeof class->name, "%s", level_names[class->level]);
    if (distances)
        used += snprintf(class->name + used, sizeof class->name - (size_t)used, "-distance-%u", class->distance);
    if (kinds)
        snprintf(class->name + used, sizeof class->name - (size_t)used, "-kinds-%d-%d", class->kinds[0],
                 class->kinds[1]);
}

/* False when there are too many. */
static bool collect(struct pairs *pairs)
{
    pairs->class_count = 0;
    for (unsigned a = 0; a < pairs->cpu_count; a++)
        for (unsigned b = a + 1; b < pairs->cpu_count; b++) {
            struct pair_class key = key_of(pairs, a, b);
            unsigned i = find_class(pairs, &key);
            if (i == PAIR_CLASSES_MAX)
                return false;
            if (i == pairs->class_count)
                pairs->classes[pairs->class_count++] = key;
            pairs->classes[i].count++;
        }
    return true;
}

void pairs_classify(struct pairs *pairs, const struct cpu_row *cpus, unsigned cpu_count, const unsigned *distances,
                    unsigned node_count)
{
    *pairs = (struct pairs){.cpus = cpus, .cpu_count = cpu_count, .distances = distances, .node_count = node_count};
    if (!collect(pairs)) {
        pairs->same_kinds = true;
        if (!collect(pairs)) {
            pairs->distances = NULL;
            collect(pairs); /* levels alone: never too many */
        }
    }
    qsort(pairs->classes, pairs->class_count, sizeof *pairs->classes, compare_classes);
    for (unsigned i = 0; i < pairs->class_count; i++)
        name_class(pairs, &pairs->classes[i]);
}

unsigned pairs_class(const struct pairs *pairs, unsigned a, unsigned b)
{
    struct pair_class key = key_of(pairs, a, b);
    return find_class(pairs, &key);
}

/* ---- which of them ---- */

int pair_list_add(struct pair_list *list, struct pair pair)
{
    if (list->count == list->room) {
        unsigned room = list->room ? 2 * list->room : 64;
        struct pair *items = realloc(list->items, room * sizeof *items);
        if (!items)
            return -ENOMEM;
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = pair;
    return 0;
}

/* What is kept of a class while its pairs go by: the first, the last, and a fair draw of those between. */
struct sample {
    struct pair first, last;
    struct pair drawn[16];
    uint64_t seen;
    unsigned room; /* of those in drawn */
};

enum { DRAWN_MAX = sizeof((struct sample *)0)->drawn / sizeof(struct pair) };

/* Every pair but the first goes by as the last until the next one comes, and may then be drawn (Vitter 1985, R). */
static void sample_add(struct sample *sample, struct pair pair, struct random *random)
{
    if (sample->seen == 0) {
        sample->first = sample->last = pair;
        sample->seen = 1;
        return;
    }
    if (sample->seen > 1) {
        uint64_t between = sample->seen - 1,
                 place = between <= sample->room ? between - 1 : random_below(random, between);
        if (place < sample->room)
            sample->drawn[place] = sample->last;
    }
    sample->last = pair;
    sample->seen++;
}

bool pairs_has_cpu_zero(const struct pairs *pairs, unsigned a, unsigned b)
{
    return pairs->cpus[a].os_index == 0 || pairs->cpus[b].os_index == 0;
}

static int sample_give(const struct sample *sample, unsigned most, struct pair_list *list)
{
    uint64_t between = sample->seen > 2 ? sample->seen - 2 : 0;
    int rc = sample->seen && most ? pair_list_add(list, sample->first) : 0;
    if (rc == 0 && sample->seen > 1 && most > 1)
        rc = pair_list_add(list, sample->last);
    for (unsigned i = 0; rc == 0 && i < between && i < sample->room; i++)
        rc = pair_list_add(list, sample->drawn[i]);
    return rc;
}

/* Classes that have no pair without CPU 0 are sampled with it. */
static int choose_of_classes(const struct pairs *pairs, unsigned per_class, uint64_t seed, struct pair_list *list)
{
    struct random random = {seed};
    size_t sample_count = 2 * (size_t)pairs->class_count; /* of each class those without CPU 0, and those with it */
    struct sample *samples = calloc(sample_count + 1, sizeof *samples);
    int rc = samples ? 0 : -ENOMEM;
    unsigned room = per_class < 2 ? 0 : per_class - 2 < DRAWN_MAX ? per_class - 2 : DRAWN_MAX;
    for (size_t i = 0; rc == 0 && i < sample_count; i++)
        samples[i].room = room;
    for (unsigned a = 0; rc == 0 && a < pairs->cpu_count; a++)
        for (unsigned b = a + 1; b < pairs->cpu_count; b++) {
            struct pair pair = {a, b, pairs_class(pairs, a, b)};
            sample_add(&samples[2 * (size_t)pair.class + pairs_has_cpu_zero(pairs, a, b)], pair, &random);
        }
    for (size_t i = 0; rc == 0 && i < sample_count; i += 2)
        rc = sample_give(&samples[i + (samples[i].seen == 0)], per_class, list);
    free(samples);
    return rc;
}

int pairs_choose(const struct pairs *pairs, unsigned per_class, uint64_t seed, struct pair **items, unsigned *count,
                 struct err *err)
{
    struct pair_list list = {0};
    int rc = choose_of_classes(pairs, per_class, seed, &list);
    *items = rc ? NULL : list.items;
    *count = rc ? 0 : list.count;
    if (rc == 0)
        return 0;
    free(list.items);
    return err_set(err, -rc, "no memory for pairs of CPUs");
}

/* ---- orders of all CPUs ---- */

struct rank {
    int key[6];
    unsigned cpu;
};

static int compare_ranks(const void *a, const void *b)
{
    const struct rank *one = a, *other = b;
    for (unsigned i = 0; i < sizeof one->key / sizeof *one->key; i++)
        if (one->key[i] != other->key[i])
            return one->key[i] < other->key[i] ? -1 : 1;
    return one->cpu < other->cpu ? -1 : one->cpu > other->cpu;
}

/* How many CPUs of the same L3 cache and SMT rank come before: its turn when caches take turns. */
static int turn_of_core(const struct pairs *pairs, unsigned cpu)
{
    const struct cpu_row *row = &pairs->cpus[cpu];
    int turn = 0;
    for (unsigned i = 0; i < cpu; i++)
        turn += pairs->cpus[i].l3 == row->l3 && pairs->cpus[i].package == row->package &&
                pairs->cpus[i].smt == row->smt;
    return turn;
}

/* Nodes are numbered package by package, and L3 caches node by node: ranks are what is above the lowest. */
static int node_rank(const struct pairs *pairs, const struct cpu_row *row)
{
    int first = row->node;
    for (unsigned i = 0; i < pairs->cpu_count; i++)
        if (pairs->cpus[i].package == row->package && pairs->cpus[i].node < first)
            first = pairs->cpus[i].node;
    return row->node - first;
}

static int l3_rank(const struct pairs *pairs, const struct cpu_row *row)
{
    int first = row->l3;
    for (unsigned i = 0; i < pairs->cpu_count; i++)
        if (pairs->cpus[i].package == row->package && pairs->cpus[i].node == row->node && pairs->cpus[i].l3 < first)
            first = pairs->cpus[i].l3;
    return row->l3 - first;
}

/* Packed: one CPU of each core of an L3 cache, then their siblings, then the next cache. */
static struct rank rank_packed(const struct pairs *pairs, unsigned cpu)
{
    const struct cpu_row *row = &pairs->cpus[cpu];
    return (struct rank){{row->package, row->node, row->l3, row->smt, row->core}, cpu};
}

/* Spread: packages take turns, within a package nodes, within a node L3 caches; siblings come last. */
static struct rank rank_spread(const struct pairs *pairs, unsigned cpu)
{
    const struct cpu_row *row = &pairs->cpus[cpu];
    return (struct rank){{row->smt, turn_of_core(pairs, cpu), l3_rank(pairs, row), node_rank(pairs, row), row->package},
                         cpu};
}

/* ---- where workers are put ---- */

enum { PAIRS_PER_CLASS = 3 }; /* that take turns: the first, the last and one drawn, always the same */

static bool is_other_l3(const struct cpu_row *a, const struct cpu_row *b)
{
    return a->node == b->node && a->package == b->package && a->l3 >= 0 && b->l3 >= 0 && a->l3 != b->l3;
}

static bool is_of_place(const struct pairs *pairs, struct pair pair, enum place place)
{
    enum pair_level level = pairs->classes[pair.class].level;
    switch (place) {
    case place_same_core:
        return level == PAIR_CORE;
    case place_same_l2:
        return level == PAIR_L2 || level == PAIR_CLUSTER;
    case place_same_l3:
        return level == PAIR_L3;
    case place_other_l3:
        return is_other_l3(&pairs->cpus[pair.a], &pairs->cpus[pair.b]);
    case place_other_node:
        return level == PAIR_PACKAGE;
    case place_other_package:
        return level == PAIR_MACHINE && pairs->cpus[pair.a].package != pairs->cpus[pair.b].package;
    default:
        return false;
    }
}

int pairs_of_place(const struct pairs *pairs, enum place place, struct pair **items, unsigned *count, struct err *err)
{
    unsigned kept = 0;
    int rc = pairs_choose(pairs, PAIRS_PER_CLASS, 0, items, count, err);
    for (unsigned i = 0; rc == 0 && i < *count; i++)
        if (is_of_place(pairs, (*items)[i], place))
            (*items)[kept++] = (*items)[i];
    *count = kept;
    return rc;
}

static int place_pair(const struct pairs *pairs, enum place place, unsigned turn, unsigned *cpus, struct err *err)
{
    struct pair *items = NULL;
    unsigned count;
    int rc = pairs_of_place(pairs, place, &items, &count, err);
    if (rc == 0 && count == 0)
        rc = err_set(err, ENXIO, "no two CPUs are placed %s here", field_table[FIELD_place].options[place].spelling);
    if (rc == 0) {
        const struct pair *pair = &items[turn % count];
        bool swapped = turn / count % 2;
        cpus[0] = pairs->cpus[swapped ? pair->b : pair->a].os_index;
        cpus[1] = pairs->cpus[swapped ? pair->a : pair->b].os_index;
    }
    free(items);
    return rc;
}

int pairs_order(const struct pairs *pairs, enum place place, unsigned *rows, struct err *err)
{
    struct rank *ranks = calloc(pairs->cpu_count, sizeof *ranks);
    if (!ranks)
        return err_set(err, ENOMEM, "no memory for an order of CPUs");
    for (unsigned i = 0; i < pairs->cpu_count; i++)
        ranks[i] = place == place_pack ? rank_packed(pairs, i) : rank_spread(pairs, i);
    qsort(ranks, pairs->cpu_count, sizeof *ranks, compare_ranks);
    for (unsigned i = 0; i < pairs->cpu_count; i++)
        rows[i] = ranks[i].cpu;
    free(ranks);
    return 0;
}

static int place_all(const struct pairs *pairs, enum place place, unsigned *cpus, unsigned count, struct err *err)
{
    unsigned *rows = calloc(pairs->cpu_count, sizeof *rows);
    int rc = rows ? pairs_order(pairs, place, rows, err) : err_set(err, ENOMEM, "no memory for an order of CPUs");
    for (unsigned i = 0; rc == 0 && i < count; i++)
        cpus[i] = pairs->cpus[rows[i]].os_index;
    free(rows);
    return rc;
}

static int place_on(const struct pairs *pairs, uint64_t cpu, unsigned *cpus, struct err *err)
{
    for (unsigned i = 0; i < pairs->cpu_count; i++)
        if (pairs->cpus[i].os_index == cpu) {
            *cpus = pairs->cpus[i].os_index;
            return 0;
        }
    return err_set(err, ENXIO, "CPU %" PRIu64 " is not among the %u that may be used", cpu, pairs->cpu_count);
}

int pairs_place(const struct pairs *pairs, uint64_t place, unsigned turn, unsigned *cpus, unsigned count,
                struct err *err)
{
    bool all = place == place_pack || place == place_spread;
    if (count > pairs->cpu_count)
        return err_set(err, ENXIO, "%u workers need as many CPUs, there are %u", count, pairs->cpu_count);
    if (place >= place_cpu && count == 1)
        return place_on(pairs, place - place_cpu, cpus, err);
    if (!all && (count != 2 || place >= place_cpu))
        return err_set(err, EINVAL, "%u workers are no pair", count);
    return all ? place_all(pairs, (enum place)place, cpus, count, err)
               : place_pair(pairs, (enum place)place, turn, cpus, err);
}
