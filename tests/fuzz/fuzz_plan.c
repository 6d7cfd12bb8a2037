/* SPDX-License-Identifier: MIT */
/* A plan resolved elsewhere (--plan), or within the manifest of a run that is to go on (--resume). */
#include "fuzz_plans.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plan plan = {0};
    struct err err = {0};
    json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *within = json_object_get(json, "plan");
    int rc = json ? wire_plan_read(within ? within : json, &plan, &err) : 0;
    HOLDS(rc == 0 || err.text[0] != '\0');
    if (json && rc == 0)
        fuzz_plan_holds(&plan);
    plan_free(&plan);
    json_decref(json);
    return 0;
}
