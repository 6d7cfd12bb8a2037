/* SPDX-License-Identifier: MIT */
/* A method run by hand, step by step, so that a test can look in between. */
#ifndef FAULTLINE_BARE_WORKER_H
#define FAULTLINE_BARE_WORKER_H

#include "physics.h"

struct bare_worker {
    struct params params;
    const struct method *method;
    struct worker worker;
};

/* Parameters of ranges of so many pages, as many as the file has room for when there is one. */
static inline struct params bare_params(enum sharing sharing, uint64_t range_pages, enum prior prior)
{
    struct params params = physics_params(4 * MIB, recipe_write_4KiB, cache_warm);
    params.range_bytes = range_pages * physics_page_bytes();
    if (params.working_set_bytes < params.range_bytes)
        params.file_bytes = params.working_set_bytes = params.range_bytes;
    params.sharing = sharing;
    params.prior = prior;
    return params;
}

/* Sets it up; what this machine does not have ends the test as skipped. */
static inline void bare_setup(struct bare_worker *bare, const struct method *method, const struct params *params,
                              const struct target *target)
{
    struct err err = {0};
    bare->params = *params;
    bare->method = method;
    bare->worker = (struct worker){.params = &bare->params,
                                   .target = target,
                                   .consumer = consumer_none,
                                   .writes = method_writes(method, &bare->params),
                                   .fd = -1};
    int rc = method->setup(&bare->worker, &err);
    if (rc == -EOPNOTSUPP) {
        method->teardown(&bare->worker);
        physics_skip("%s", err.text);
    }
    if (rc)
        fail_msg("%s: %s", method->name, err.text);
}

static inline void bare_reset(struct bare_worker *bare, uint64_t count)
{
    struct err err = {0};
    int rc = bare->method->reset(&bare->worker, count, &err);
    if (rc == -EOPNOTSUPP) {
        bare->method->teardown(&bare->worker);
        physics_skip("%s", err.text);
    }
    if (rc)
        fail_msg("%s: %s", bare->method->name, err.text);
}

static inline void bare_run(struct bare_worker *bare, uint64_t count)
{
    int rc = bare->method->run(&bare->worker, count);
    if (rc)
        fail_msg("%s: %s", bare->method->name, strerror(-rc));
}

static inline void bare_teardown(struct bare_worker *bare)
{
    bare->method->teardown(&bare->worker);
}

#endif
