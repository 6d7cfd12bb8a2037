/* SPDX-License-Identifier: MIT */
/* The CPUs beside the one at work: where company runs that is to be somewhere else. */
#ifndef FAULTLINE_ELSEWHERE_H
#define FAULTLINE_ELSEWHERE_H

#include "err.h"

/*
 * The n-th CPU (n from 0) that this process was started with and that the calling thread is not on, from the highest
 * down, for CPU 0 is where interrupts tend to go. CPUS_MAX: there are not so many.
 */
unsigned elsewhere_cpu(unsigned n);

/* The same counted round: the n-th of many shares a CPU with others. CPUS_MAX: there is none but the caller's. */
unsigned elsewhere_cpu_of_many(unsigned n);

/* Binds the calling thread to what one of these gave; on CPUS_MAX it stays where it is. -errno with text. */
int elsewhere_go(unsigned cpu, struct err *err);

#endif
