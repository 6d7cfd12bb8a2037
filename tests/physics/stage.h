/* SPDX-License-Identifier: MIT */
/* A method alone on a stage: one worker, driven call by call, so that a test can look around between the calls. */
#ifndef FAULTLINE_STAGE_H
#define FAULTLINE_STAGE_H

#include "physics.h"

#include <sys/resource.h>

#include "program.h"
#include "region.h"
#include "smaps.h"

struct stage {
    const struct method *method;
    struct params params;
    struct worker worker;
    uint64_t *offsets;
};

static inline uint64_t stage_minor_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (uint64_t)usage.ru_minflt;
}

/* One cache line a page, or every `stride_bytes`, front to back, over params->working_set_bytes. */
static inline void stage_begin(struct stage *stage, const struct method *method, const struct params *params,
                               const struct target *target)
{
    struct err err = {0};
    memset(stage, 0, sizeof *stage);
    stage->method = method;
    stage->params = *params;
    stage->params.pattern = pattern_stride;
    uint64_t count = params->working_set_bytes / params->stride_bytes;
    stage->offsets = malloc(count * sizeof *stage->offsets);
    assert_non_null(stage->offsets);
    for (uint64_t i = 0; i < count; i++)
        stage->offsets[i] = i * params->stride_bytes;
    stage->worker = (struct worker){
        .params = &stage->params,
        .target = target,
        .offsets = stage->offsets,
        .offset_count = count,
        .consumer = consumer_sum,
        .writes = method_writes(method, &stage->params),
        .fd = -1,
    };
    if (method->needs & NEEDS_BUFFER && region_make(&stage->worker, &err))
        fail_msg("%s", err.text);
    if (method->setup && method->setup(&stage->worker, &err))
        fail_msg("%s", err.text);
}

static inline void stage_end(struct stage *stage)
{
    if (stage->method->teardown)
        stage->method->teardown(&stage->worker);
    region_remove(&stage->worker);
    free(stage->offsets);
}

/* Ends the test as skipped when the method says that this machine cannot do it. */
static inline void stage_reset(struct stage *stage, uint64_t blocks)
{
    struct err err = {0};
    int rc = stage->method->reset ? stage->method->reset(&stage->worker, blocks, &err) : 0;
    stage->worker.cursor = 0;
    if (rc == -EOPNOTSUPP) {
        stage_end(stage);
        physics_skip("%s", err.text);
    }
    if (rc)
        fail_msg("%s", err.text);
}

/* Minor faults of the next `blocks` blocks. */
static inline uint64_t stage_run(struct stage *stage, uint64_t blocks)
{
    program_map();              /* whose first call may fall in a window of fault-around that is not mapped */
    (void)stage_minor_faults(); /* the call may itself fault, once */
    uint64_t before = stage_minor_faults();
    int rc = stage->method->run(&stage->worker, blocks);
    uint64_t faults = stage_minor_faults() - before;
    assert_int_equal(rc, 0);
    return faults;
}

/* What smaps shows of the method's mapping; ends the test where there is no smaps. */
static inline struct smaps stage_smaps(const struct stage *stage)
{
    struct smaps found;
    if (!smaps_read(stage->worker.base, stage->worker.base_bytes, &found))
        physics_skip("/proc/self/smaps: %s", strerror(errno));
    return found;
}

/* Bytes of this process's page tables. */
static inline uint64_t stage_table_bytes(void)
{
    char line[256];
    uint64_t kib = UINT64_MAX;
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof line, status) && sscanf(line, "VmPTE: %" SCNu64, &kib) != 1)
        ;
    if (status)
        fclose(status);
    if (kib == UINT64_MAX)
        physics_skip("/proc/self/status has no VmPTE");
    return kib * KIB;
}

#endif
