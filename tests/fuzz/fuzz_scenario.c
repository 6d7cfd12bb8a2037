/* SPDX-License-Identifier: MIT */
/* A scenario: YAML, its keys and values, and the plan that is made of it. */
#include "fuzz_plans.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plan plan = {0};
    struct err err = {0};
    struct plan_options options = fuzz_options();
    if (fuzz_plan(&plan, data, size, &options, &err) == 0)
        fuzz_plan_holds(&plan);
    plan_free(&plan);
    return 0;
}
