/* SPDX-License-Identifier: MIT */
#include "method.h"

#include <string.h>

const struct method *method_find(const char *name)
{
    for (const struct method *const *method = method_table; *method; method++)
        if (strcmp((*method)->name, name) == 0)
            return *method;
    return NULL;
}

static bool uses(const struct method *method, enum field_index field)
{
    return (method->uses >> field & 1) != 0;
}

uint64_t method_no_memory(const struct params *params)
{
    (void)params;
    return 0;
}

uint64_t method_range_bytes(const struct params *params)
{
    return params->range_bytes;
}

uint64_t method_op_bytes(const struct method *method, const struct params *params)
{
    bool moves = method->needs & NEEDS_FILE && !(method->needs & MOVES_NOTHING);
    if (method->op_bytes)
        return method->op_bytes(params);
    return uses(method, FIELD_block_bytes) && moves ? params->block_bytes * params_blocks_per_op(params) : 0;
}

bool method_needs_file(const struct method *method, const struct params *params)
{
    return method->needs & NEEDS_FILE && !(uses(method, FIELD_sharing) && params->sharing == sharing_anonymous);
}

bool method_visits(const struct method *method, const struct params *params)
{
    bool partly = uses(method, FIELD_phase); /* a phase is not the whole work: the sums of two differ */
    bool moves = !(method->needs & MOVES_NOTHING);
    return method_needs_file(method, params) && uses(method, FIELD_block_bytes) && moves && !partly;
}

bool method_sums(const struct method *method, const struct params *params)
{
    return method->needs & ADDS_UP || method_visits(method, params);
}

bool method_writes(const struct method *method, const struct params *params)
{
    bool shared = uses(method, FIELD_sharing) && (params->sharing == sharing_shared || params->sharing == sharing_sync);
    bool stores = (uses(method, FIELD_access) && params->access == access_store) ||
                  (uses(method, FIELD_populate) && params->populate == populate_populate_write);
    bool calls = uses(method, FIELD_access) && !uses(method, FIELD_sharing) && params->access == access_store;
    return method->needs & NEEDS_WRITE || calls || (shared && stores);
}

bool method_meets(const struct method *method)
{
    return (method->needs & (NEEDS_PAIR | NEEDS_CROWD)) != 0;
}

uint64_t method_timed_workers(const struct method *method, const struct params *params)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < params->workers; i++)
        count += !method->timed || method->timed(params, i);
    return count;
}

bool params_has_passes(const struct params *params)
{
    return params->per == per_pass || params->lifetime == lifetime_per_pass ||
           params->descriptor == descriptor_per_pass || params->sync != sync_none;
}

uint64_t params_granule(const struct params *params)
{
    return params_has_passes(params) ? params->touches : 1;
}

uint64_t params_blocks_per_op(const struct params *params)
{
    return params->per == per_pass ? params->touches : 1;
}

bool params_is_memory(const struct params *params)
{
    return params->backing == backing_tmpfs || params->backing == backing_memfd || params->backing == backing_hugetlbfs;
}
