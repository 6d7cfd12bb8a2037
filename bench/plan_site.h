/* SPDX-License-Identifier: MIT */
/* What the checks of the plan share: the arm that one looks at, what that arm uses, and how it is refused. */
#ifndef FAULTLINE_PLAN_SITE_H
#define FAULTLINE_PLAN_SITE_H

#include "plan_parts.h"

enum { VMAS_MAX = 60000 }; /* vm.max_map_count is 65530 unless somebody raised it */

/* An arm of a cell, and the field to blame when a check refuses. */
struct site {
    const struct draft *draft;
    const struct cell *cell;
    const struct arm *arm;
    const struct params *params; /* the arm's */
    unsigned arm_index;
    enum field_index blame;
    char text[300];
};

/* The checks, by the rows of plan_check.def. All return 0, or what refuse returned. */
#define CHECK(name, about) int check_##name(struct site *site);
#include "plan_check.def"
#undef CHECK

/* The field is blamed: its position is where the message points. Returns -EINVAL. */
int refuse(struct site *site, enum field_index blame, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The text form of a size, in one of a few buffers, so that one message can hold several. */
const char *size_text(const struct params *params, enum field_index field);

static inline bool uses(const struct site *site, enum field_index field)
{
    return method_uses(site->arm->method, &field_table[field]);
}

static inline bool needs(const struct site *site, unsigned need)
{
    return (site->arm->method->needs & need) != 0;
}

static inline bool maps(const struct site *site)
{
    return uses(site, FIELD_sharing);
}

/* Whether blocks are written: to the file, or to a private mapping of it. */
static inline bool stores(const struct site *site)
{
    return needs(site, NEEDS_WRITE) || (uses(site, FIELD_access) && site->params->access == access_store);
}

static inline bool is_own(const struct site *site, enum field_index field)
{
    return settings_find(&site->draft->scenario->arms[site->arm_index].settings, &field_table[field]) != NULL;
}

#endif
