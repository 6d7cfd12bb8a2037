/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "covariate.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static uint64_t read_steal_ms(void)
{
    uint64_t ticks;
    FILE *file = fopen("/proc/stat", "re");
    if (!file)
        return UINT64_MAX;
    int found = fscanf(file, "cpu %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &ticks);
    fclose(file);
    return found == 1 ? ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK) : UINT64_MAX;
}

static uint64_t read_pressure_us(const char *path)
{
    uint64_t total;
    FILE *file = fopen(path, "re");
    if (!file)
        return UINT64_MAX;
    int found = fscanf(file, "some avg10=%*f avg60=%*f avg300=%*f total=%" SCNu64, &total);
    fclose(file);
    return found == 1 ? total : UINT64_MAX;
}

void covariates_read(const struct counter_sources *sources, struct covariates *covariates)
{
    counter_read_before(sources, &covariates->counts);
    covariates->steal_ms = read_steal_ms();
    covariates->psi_cpu_us = read_pressure_us("/proc/pressure/cpu");
    covariates->psi_memory_us = read_pressure_us("/proc/pressure/memory");
    covariates->psi_io_us = read_pressure_us("/proc/pressure/io");
}

static void subtract(uint64_t *after, uint64_t before)
{
    *after = *after == UINT64_MAX || before == UINT64_MAX ? UINT64_MAX : *after - before;
}

void covariates_subtract(struct covariates *after, const struct covariates *before)
{
    counter_subtract(&after->counts, &before->counts);
    subtract(&after->steal_ms, before->steal_ms);
    subtract(&after->psi_cpu_us, before->psi_cpu_us);
    subtract(&after->psi_memory_us, before->psi_memory_us);
    subtract(&after->psi_io_us, before->psi_io_us);
}

static void set(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, value == UINT64_MAX ? json_null() : json_integer((json_int_t)value));
}

json_t *covariates_json(const struct covariates *covariates)
{
    json_t *object = json_object();
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        if (!counter_is_device(i))
            set(object, counter_table[i].name, covariates->counts.values[i]);
    set(object, "steal_ms", covariates->steal_ms);
    set(object, "psi_cpu_us", covariates->psi_cpu_us);
    set(object, "psi_memory_us", covariates->psi_memory_us);
    set(object, "psi_io_us", covariates->psi_io_us);
    return object;
}
