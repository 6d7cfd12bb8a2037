/* SPDX-License-Identifier: MIT */
/* Plans for the fuzz targets: of a scenario, and what must hold of every plan that was accepted. */
#ifndef FAULTLINE_FUZZ_PLANS_H
#define FAULTLINE_FUZZ_PLANS_H

#include "fuzz.h"

#include "plan.h"
#include "scenario.h"
#include "wire.h"

/* One scenario with two cells. */
static const char fuzz_scenario[] = "question: which is faster?\n"
                                    "op: block read\n"
                                    "common: {backing: file, file_bytes: 1MiB, cache: warm}\n"
                                    "vary: {block_bytes: [64, 4KiB]}\n"
                                    "arms:\n"
                                    "- {name: pread, method: pread}\n"
                                    "- {name: mapped, method: mmap, sharing: shared, consume: copy, lifetime: kept}\n";

/* What a plan is made for: nothing of it is asked of this machine but where its files would lie. */
static inline struct plan_options fuzz_options(void)
{
    return (struct plan_options){
        .profile = "quick", .has_seed = true, .seed = 1, .directory = "/tmp", .page_bytes = 4096, .cpu_count = 8};
}

/* A plan that was accepted can be printed, and is read back as it was written. */
static inline void fuzz_plan_holds(const struct plan *plan)
{
    struct plan again = {0};
    struct err err = {0};
    plan_print(plan, fuzz_sink());
    json_t *json = wire_plan(plan);
    HOLDS(json);
    int rc = wire_plan_read(json, &again, &err);
    if (rc)
        fprintf(stderr, "%s\n", err.text);
    HOLDS(rc == 0);
    json_t *twice = wire_plan(&again);
    HOLDS(twice && json_equal(json, twice));
    json_decref(twice);
    json_decref(json);
    plan_free(&again);
}

/* The plan of a scenario's text with these options; -errno with text. Free with plan_free. */
static inline int fuzz_plan(struct plan *plan, const void *text, size_t size, const struct plan_options *options,
                            struct err *err)
{
    struct scenario *scenario = NULL;
    int rc = scenario_load(fuzz_path(text, size), &scenario, err);
    HOLDS(rc == 0 ? scenario != NULL : err->text[0] != '\0');
    if (rc == 0)
        rc = plan_make(plan, &scenario, 1, options, err);
    HOLDS(rc == 0 || err->text[0] != '\0');
    scenario_free(scenario);
    return rc;
}

#endif
