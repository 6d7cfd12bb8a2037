/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "life.h"

#include <string.h>
#include <unistd.h>

#include "descriptor.h"
#include "mapping.h"

static bool is_done(const struct life *life, const struct params *params, enum phase phase)
{
    bool writes = phase == phase_write || phase == phase_sync;
    return life->phases[phase] && (!writes || params->access == access_store);
}

/*
 * [from, to). Each pass over the blocks begins where the one before it did, in the file and in memory: what is touched
 * a second time is what was touched first, and it is read to where it was read before.
 */
static int go_through(const struct life *life, struct worker *worker, uint64_t blocks, unsigned from, unsigned to)
{
    uint64_t start = worker->cursor;
    int rc = 0;
    for (unsigned phase = from; phase < to && rc == 0; phase++) {
        worker->cursor = start;
        worker->buffer_next = 0;
        if (is_done(life, worker->params, (enum phase)phase))
            rc = life->phases[phase](worker, blocks);
    }
    return rc;
}

void life_teardown(struct worker *worker)
{
    mapping_remove(worker);
    descriptor_close(worker);
}

int life_reset(const struct life *life, struct worker *worker, uint64_t blocks, struct err *err)
{
    unsigned timed = worker->params->phase == phase_whole ? phase_open : (unsigned)worker->params->phase;
    uint64_t start = worker->cursor;
    life_teardown(worker);
    int rc = go_through(life, worker, blocks, phase_open, timed);
    worker->cursor = start;
    return rc ? err_set(err, -rc, "before the phase %s: %s", field_table[FIELD_phase].options[timed].spelling,
                        strerror(-rc))
              : 0;
}

int life_run(const struct life *life, struct worker *worker, uint64_t blocks)
{
    unsigned phase = (unsigned)worker->params->phase;
    uint64_t next = (worker->cursor + blocks) % worker->offset_count;
    int rc = phase == phase_whole ? go_through(life, worker, blocks, phase_open, phase_count)
                                  : go_through(life, worker, blocks, phase, phase + 1);
    worker->cursor = next;
    return rc;
}

uint64_t life_limit(const struct params *params)
{
    return params->touches;
}

uint64_t life_dirties(const struct params *params)
{
    uint64_t bytes = params->touches * params->block_bytes;
    bytes = bytes < params->working_set_bytes ? bytes : params->working_set_bytes;
    return params->phase == phase_sync ? bytes / (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static uint64_t phases_ns(const struct life *life, const struct params *params, unsigned from, unsigned to)
{
    uint64_t sum = 0;
    for (unsigned phase = from; phase < to; phase++)
        sum += is_done(life, params, (enum phase)phase) ? life->phase_ns[phase] : 0;
    return sum;
}

uint64_t life_block_ns(const struct life *life, const struct params *params)
{
    unsigned phase = (unsigned)params->phase;
    return phase == phase_whole ? phases_ns(life, params, phase_open, phase_count)
                                : phases_ns(life, params, phase, phase + 1);
}

uint64_t life_reset_ns(const struct life *life, const struct params *params, uint64_t blocks)
{
    unsigned phase = params->phase == phase_whole ? phase_open : (unsigned)params->phase;
    return blocks * phases_ns(life, params, phase_open, phase);
}
