/* SPDX-License-Identifier: MIT */
/* The measured process: started by fork and exec, it prepares a file, measures the cells it is given and ends. */
#ifndef FAULTLINE_TRIAL_H
#define FAULTLINE_TRIAL_H

#include <stdint.h>

#include <jansson.h>

#include "err.h"

/* Shared with the runner, so that it can say what a process was doing when it died. */
struct trial_status {
    volatile uint32_t cell; /* index into the job's cells; UINT32_MAX while the file is prepared */
    volatile uint32_t arm;
    volatile int32_t signal_code; /* si_code of a SIGBUS */
};

/*
 * Carries out a job: {"plan": faultline.plan/1 with the cells of one group, "cells":[{"trial","seed","ops":[…]|null,
 * "rounds"}],
 * "process","seed","directory","name","cpus":[…],"machine","boot_id","instance","status_fd","environment_bytes",
 * "turn":null|{"read_fd","write_fd","starts","wait_s"}} and writes a record line to out_fd as each cell ends. What a
 * cell suffers is in its record; an error is returned when the job itself is unusable or a record cannot be written.
 */
int trial_run(const json_t *job, int out_fd, struct err *err);

#endif
