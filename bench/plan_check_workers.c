/* SPDX-License-Identifier: MIT */
/* How many workers, where they run, where their memory lies, and who keeps one company. */
#include "matrix.h"
#include "pairs.h"
#include "plan_site.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAPPERS_MAX = 256 }; /* each is a process */

int check_workers(struct site *site)
{
    unsigned cpus = site->draft->options->cpu_count ? site->draft->options->cpu_count : 1;
    uint64_t busy = site->params->workers + site->params->siblings;
    if (busy <= cpus)
        return 0;
    return refuse(site, site->params->workers > cpus ? FIELD_workers : FIELD_siblings,
                  "%" PRIu64 " spinning workers need %" PRIu64 " CPUs, this machine has %u", busy, busy, cpus);
}

int check_crowd(struct site *site)
{
    const char *name = site->arm->method->name;
    if (needs(site, NEEDS_PAIR) && site->params->workers != 2)
        return refuse(site, FIELD_workers, "%s is what two workers do to each other: workers has to be 2", name);
    if (needs(site, NEEDS_CROWD) && site->params->workers < 2)
        return refuse(site, FIELD_workers, "%s is what workers do to each other: workers has to be 2 or more", name);
    return 0;
}

static bool is_pair(uint64_t place)
{
    return place != place_any && place != place_pack && place != place_spread && place < place_cpu;
}

int check_place_of_pair(struct site *site)
{
    if (!is_pair(site->params->place) || site->params->workers == 2)
        return 0;
    return refuse(site, FIELD_place, "place: %s is for two workers, here are %" PRIu64,
                  field_table[FIELD_place].options[site->params->place].spelling, site->params->workers);
}

/* One worker on a CPU by its number, which has to be one of those that may be used. */
int check_place_of_cpu(struct site *site)
{
    const struct params *params = site->params;
    if (params->place >= place_cpu && params->workers != 1)
        return refuse(site, FIELD_place, "place: %s is for one worker, here are %" PRIu64,
                      size_text(params, FIELD_place), params->workers);
    return 0;
}

int check_place_is_here(struct site *site)
{
    const struct pairs *pairs = site->draft->options->pairs;
    unsigned cpu;
    struct err why = {0};
    if (!pairs || site->arm_index > 0 || site->params->place < place_cpu)
        return 0;
    return pairs_place(pairs, site->params->place, 0, &cpu, 1, &why) ? refuse(site, FIELD_place, "%s", why.text) : 0;
}

/* Pages whose home can be asked for: those of the file, which stay. */
int check_memory_of_file(struct site *site)
{
    const struct params *params = site->params;
    if (params->memory_node == memory_node_any)
        return 0;
    if (!method_needs_file(site->arm->method, params))
        return refuse(site, FIELD_memory_node, "memory_node is about the pages of a file");
    if (params->cache == cache_cold)
        return refuse(site, FIELD_memory_node, "pages that are fetched anew for each batch have no home yet");
    return params->worker_file == worker_file_own
               ? refuse(site, FIELD_worker_file, "memory_node is about the pages of one file")
               : 0;
}

int check_memory_node(struct site *site)
{
    const struct plan_options *options = site->draft->options;
    uint64_t wanted = site->params->memory_node;
    if (!options->pairs || site->arm_index > 0 || wanted == memory_node_any || wanted == memory_node_local)
        return 0;
    unsigned nodes = options->memory_nodes;
    return nodes < 2 ? refuse(site, FIELD_memory_node, "memory_node: %s needs two memory nodes, there %s %u",
                              size_text(site->params, FIELD_memory_node), nodes == 1 ? "is" : "are", nodes)
                     : 0;
}

int check_place(struct site *site)
{
    const struct pairs *pairs = site->draft->options->pairs;
    unsigned cpus[2];
    struct err why = {0};
    if (!pairs || site->arm_index > 0 || !is_pair(site->params->place)) /* arms have it in common */
        return 0;
    int rc = pairs_place(pairs, (enum place)site->params->place, 0, cpus, 2, &why);
    return rc == -ENXIO ? refuse(site, FIELD_place, "%s", why.text) : 0;
}

/* Whether the scenario varies to that place too. */
static bool varies_to(const struct draft *draft, enum place place)
{
    const struct variation *places = draft->varied[FIELD_place];
    for (unsigned i = 0; places && i < places->text_count; i++)
        if (strcmp(places->texts[i], field_table[FIELD_place].options[place].spelling) == 0)
            return true;
    return false;
}

/* On a small machine workers that are packed and those that are spread are on the same CPUs: once is enough. */
int check_spread(struct site *site)
{
    const struct pairs *pairs = site->draft->options->pairs;
    unsigned count = (unsigned)site->params->workers;
    struct err why = {0};
    if (!pairs || site->arm_index > 0 || site->params->place != place_spread || !varies_to(site->draft, place_pack))
        return 0;
    unsigned *cpus = calloc(2 * (size_t)count, sizeof *cpus);
    if (!cpus)
        return err_set(site->draft->err, ENOMEM, "no memory for the CPUs of %u workers", count);
    bool same = pairs_place(pairs, place_spread, 0, cpus, count, &why) == 0 &&
                pairs_place(pairs, place_pack, 0, cpus + count, count, &why) == 0 &&
                memcmp(cpus, cpus + count, count * sizeof *cpus) == 0;
    free(cpus);
    return same
               ? refuse(site, FIELD_place, "%u workers that are spread are on the same CPUs here as packed ones", count)
               : 0;
}

int check_visits(struct site *site)
{
    const struct params *params = site->params;
    if (params->matrix == matrix_none)
        return 0;
    if (!method_meets(site->arm->method) || params->workers != 2)
        return refuse(site, FIELD_matrix, "matrix: %s is for what two workers do to each other",
                      field_table[FIELD_matrix].options[params->matrix].spelling);
    if (params->memory_node != memory_node_any)
        return refuse(site, FIELD_memory_node, "pages lie near the first CPU of each pair: memory_node has to be any");
    if (params->place != place_any)
        return refuse(site, FIELD_place, "workers that go from pair to pair are not placed: place has to be any");
    return 0;
}

int check_matrix(struct site *site)
{
    const struct pairs *pairs = site->draft->options->pairs;
    struct pair *items = NULL;
    unsigned count;
    struct err why = {0};
    if (!pairs || site->arm_index > 0 || site->params->matrix == matrix_none)
        return 0;
    int rc = matrix_pairs(pairs, (enum matrix)site->params->matrix, NULL, 0, &items, &count, &why);
    free(items);
    return rc == -ENXIO ? refuse(site, FIELD_matrix, "%s", why.text) : 0;
}

int check_own_files(struct site *site)
{
    const struct params *params = site->params;
    if (params->worker_file == worker_file_own && params->backing == backing_given)
        return refuse(site, FIELD_worker_file, "there is one file of yours: workers cannot each have their own");
    return 0;
}

/* How the work of several workers relates. */
int check_worker_file(struct site *site)
{
    const struct params *params = site->params;
    if (params->worker_file == worker_file_same_page && params->cache == cache_cold)
        return refuse(site, FIELD_worker_file, "only the first worker would find a block of same_page cold");
    return 0;
}

/* Company is one worker's: of several workers each would bring its own. */
int check_company(struct site *site)
{
    const struct params *params = site->params;
    bool siblings = uses(site, FIELD_siblings) && params->siblings > 0;
    bool mappers = uses(site, FIELD_mappers) && params->mappers > 0;
    if (params->workers > 1 && (siblings || mappers))
        return refuse(site, siblings ? FIELD_siblings : FIELD_mappers,
                      "%s are company for one worker, not for %" PRIu64, siblings ? "siblings" : "mappers",
                      params->workers);
    if (uses(site, FIELD_storm) && params->storm != storm_none && params->siblings == 0)
        return refuse(site, FIELD_storm, "a storm needs siblings to make it: write siblings: 1");
    if (uses(site, FIELD_mapper_view) && params->mappers == 0 && params->mapper_view != mapper_view_shared)
        return refuse(site, FIELD_mapper_view, "nobody looks at the file: write mappers: 1");
    if (uses(site, FIELD_mapper_view) && params->mapper_view == mapper_view_cut && params->mappers > 1)
        return refuse(site, FIELD_mappers, "they would cut the file off under each other: write mappers: 1");
    if (mappers && params->mappers > MAPPERS_MAX)
        return refuse(site, FIELD_mappers, "%" PRIu64 " processes that map the file: at most %d", params->mappers,
                      MAPPERS_MAX);
    if (mappers && params->cache == cache_cold)
        return refuse(site, FIELD_mappers, "a file that processes map is not cold");
    if (mappers && uses(site, FIELD_sharing) && params->sharing == sharing_anonymous)
        return refuse(site, FIELD_mappers, "no other process maps anonymous memory");
    if (uses(site, FIELD_vmas) && params->vmas > VMAS_MAX)
        return refuse(site, FIELD_vmas, "%" PRIu64 " VMAs: a process may have about %d", params->vmas, VMAS_MAX);
    return 0;
}
