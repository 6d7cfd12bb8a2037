/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "elsewhere.h"

#include <sched.h>

#include "mask.h"
#include "place.h"

/* What this process may use: to be read before the worker binds itself to one of them, for a binding hides the rest. */
static struct cpu_mask started_with;

static void __attribute__((constructor)) remember_cpus(void)
{
    cpu_mask_read(&started_with); /* none, where it cannot be asked: there is nowhere else then */
}

unsigned elsewhere_cpu(unsigned n)
{
    unsigned own = (unsigned)sched_getcpu();
    for (unsigned cpu = CPUS_MAX; cpu-- > 0;)
        if (cpu != own && cpu_mask_has(&started_with, cpu) && n-- == 0)
            return cpu;
    return CPUS_MAX;
}

unsigned elsewhere_cpu_of_many(unsigned n)
{
    unsigned count = cpu_mask_count(&started_with);
    count -= cpu_mask_has(&started_with, (unsigned)sched_getcpu());
    return count ? elsewhere_cpu(n % count) : CPUS_MAX;
}

int elsewhere_go(unsigned cpu, struct err *err)
{
    return cpu == CPUS_MAX ? 0 : place_bind(cpu, err);
}
