/* SPDX-License-Identifier: MIT */
/* One worker with one arm, given its orders one by one, so that a test can look around between them. */
#ifndef FAULTLINE_CREW_OF_ONE_H
#define FAULTLINE_CREW_OF_ONE_H

#include "physics.h"
#include "work.h"

struct crew_of_one {
    struct params params; /* the cell's and the arm's; set before crew_begin */
    struct target target;
    struct physics_cell cell;
    struct offsets offsets;
    struct work_cell work_cell;
    struct work *work;
};

static struct work_answer crew_answer_of_one; /* large: not to be faulted in on the stack while faults are counted */

/* Ends the test as skipped when the method says that this machine cannot do it. */
static inline void crew_order(struct crew_of_one *crew, enum work_verb verb, uint64_t blocks)
{
    struct work_order order = {.verb = verb, .blocks = blocks};
    work_do(crew->work, &order, &crew_answer_of_one);
    if (crew_answer_of_one.rc == -EOPNOTSUPP)
        physics_skip("%s", crew_answer_of_one.err.text);
    if (crew_answer_of_one.rc)
        fail_msg("%s", crew_answer_of_one.err.text);
}

/* Makes the target and the list of blocks, and sets the arm up. */
static inline void crew_begin(struct crew_of_one *crew, const struct method *method)
{
    struct err err = {0};
    physics_open(&crew->target, &crew->params);
    physics_begin(&crew->cell, &crew->params);
    physics_arm(&crew->cell, method, 1);
    assert_int_equal(offsets_make(&crew->offsets, &crew->params, 42, &err), 0);
    crew->work_cell = (struct work_cell){
        .cell = &crew->cell.cell, .target = &crew->target, .offsets = {&crew->offsets}, .worker_count = 1};
    assert_int_equal(work_begin(&crew->work, &crew->work_cell, 0, &err), 0);
    crew_order(crew, WORK_SETUP, 0);
}

static inline void crew_end(struct crew_of_one *crew)
{
    work_end(crew->work);
    offsets_free(&crew->offsets);
    target_close(&crew->target);
}

#endif
