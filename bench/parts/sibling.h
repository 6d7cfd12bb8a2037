/* SPDX-License-Identifier: MIT */
/*
 * Threads of the same process that run on CPUs of their own while a batch is timed. What they hold in their TLBs must
 * be shot down when the worker takes pages away, which is why they have to run: the kernel leaves a sleeping thread's
 * CPU alone. Between batches they sleep, so that they are not in the way of other arms.
 */
#ifndef FAULTLINE_SIBLING_H
#define FAULTLINE_SIBLING_H

#include "method.h"

struct siblings;

/*
 * Starts params->siblings threads that do params->storm, or without one params->sibling_work, and leaves them asleep.
 * Each is bound to another of the CPUs this process was started with, none to the worker's. *out is NULL where none are
 * asked for; every function here takes that as nothing to do. -EOPNOTSUPP with text when there are too few CPUs. End
 * with siblings_stop, also after a failure. One thread only may use them: the worker.
 */
int siblings_start(struct siblings **out, const struct params *params, struct err *err);

/* The same with siblings that do turn(context) without end, all of them with one context; -errno from it ends one. */
int siblings_start_turns(struct siblings **out, const struct params *params, int (*turn)(void *), void *context,
                         struct err *err);
void siblings_stop(struct siblings *siblings);

/*
 * For a method's reset: wakes them and returns when each is at work. -ETIMEDOUT with text when one is not within ten
 * seconds, or the error that one met.
 */
int siblings_resume(struct siblings *siblings, struct err *err);

/*
 * Around the work of a method's run: siblings_end sends them back to sleep without waiting for it, and returns why the
 * batch does not count (static text) when one of them, another each time, stood still meanwhile; else NULL. Batches too
 * short to tell are not judged.
 */
void siblings_begin(struct siblings *siblings);
const char *siblings_end(struct siblings *siblings);

/* How often the n-th has gone round so far; its CPU. */
uint64_t siblings_beats(const struct siblings *siblings, unsigned n);
unsigned siblings_cpu(const struct siblings *siblings, unsigned n);

#endif
