/* SPDX-License-Identifier: MIT */
/* What went on around the timed rounds: recorded beside them, never used to drop data. */
#ifndef FAULTLINE_COVARIATE_H
#define FAULTLINE_COVARIATE_H

#include <stdint.h>

#include <jansson.h>

#include "counter.h"

/* Cumulative readings; UINT64_MAX: unknown here. */
struct covariates {
    struct counts counts;                          /* of the coordinating thread */
    uint64_t steal_ms;                             /* of all CPUs: time the hypervisor ran others (/proc/stat) */
    uint64_t psi_cpu_us, psi_memory_us, psi_io_us; /* "some" totals of /proc/pressure */
};

void covariates_read(const struct counter_sources *sources, struct covariates *covariates);

/* after - before, into `after`. */
void covariates_subtract(struct covariates *after, const struct covariates *before);

/* {"involuntary_switches":…,"run_delay_ns":…,"steal_ms":…, …}, null where unknown. New reference. */
json_t *covariates_json(const struct covariates *covariates);

#endif
