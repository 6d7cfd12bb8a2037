/* SPDX-License-Identifier: MIT */
/*
 * Measures:         nothing by its time: each operation is one whole experiment, and what matters is how often what it
 *                   looks for was found to be so, the counter `occurred`: never, or every time.
 * Does not measure: the target, which stays as it was: each arm has a small file of its own beside it.
 * Expect:           0 or 1 an operation, exactly; docs/claims.md says which and why.
 * Source:           named there for each claim.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "counter.h"
#include "method.h"
#include "semantics.h"
#include "storage.h"

static const struct semantics_check *check_of(const struct params *params)
{
    return &semantics_checks[params->whether];
}

static int run(struct worker *worker, uint64_t blocks)
{
    const struct semantics_check *check = check_of(worker->params);
    for (uint64_t i = 0; i < blocks; i++) {
        int seen = check->look(worker->own, check->how);
        if (seen < 0)
            return seen;
        counter_method.occurred += (uint64_t)seen;
    }
    return 0;
}

/* Tries it once: what this machine or filesystem does not have is known before anything is timed. */
static int setup(struct worker *worker, struct err *err)
{
    const struct semantics_check *check = check_of(worker->params);
    struct semantics *own = worker->own = calloc(1, sizeof *own);
    if (!own)
        return err_set(err, ENOMEM, "no memory for an experiment");
    int rc = semantics_begin(own, worker->target, check, err);
    int seen = rc ? 0 : check->look(own, check->how);
    if (seen < 0)
        rc = err_set(err, -seen, "whether %s cannot be found out here: %s",
                     field_table[FIELD_whether].options[worker->params->whether].spelling, strerror(-seen));
    return rc;
}

static void teardown(struct worker *worker)
{
    if (worker->own)
        semantics_end(worker->own);
    free(worker->own);
    worker->own = NULL;
}

static uint64_t block_ns(const struct params *params)
{
    const struct semantics_check *check = check_of(params);
    return check->ns + (check->syncs ? (uint64_t)storage_write_back_ns(params, 1, false) : 0);
}

const struct method method_semantics = {
    .name = "semantics",
    .measures = "no time: how often an experiment on a mapping finds what it looks for (whether)",
    .version = 1,
    .needs = NEEDS_FILE | FORKS,
    .uses = FIELD_BIT(whether),
    .memory = method_no_memory,
    .tells = COUNTER_BIT(occurred),
    .block_ns = block_ns,
    .setup = setup,
    .run = run,
    .teardown = teardown,
};
