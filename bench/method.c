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

uint64_t params_granule(const struct params *params)
{
    bool whole_passes = params->per == per_pass || params->lifetime == lifetime_per_pass ||
                        params->descriptor == descriptor_per_pass;
    return whole_passes ? params->touches : 1;
}

uint64_t params_blocks_per_op(const struct params *params)
{
    return params->per == per_pass ? params->touches : 1;
}
