/* SPDX-License-Identifier: MIT */
/* What the methods that fork share: children that end with their parent, and memory that only some forks copy. */
#ifndef FAULTLINE_FORKED_H
#define FAULTLINE_FORKED_H

#include <stdatomic.h>
#include <sys/types.h>

#include "method.h"

/* First in a child: it ends when the thread that forked it does, also where that is killed. `parent`: from before. */
void forked_follow(pid_t parent);

/* In a child: waits for ever, without using a CPU. */
void forked_wait_for_end(void) __attribute__((noreturn));

/* Ends a child that forked_wait_for_end, and takes its remains. 0 for `child`: nothing. */
void forked_end(pid_t child);

/* waitpid for a child, whatever signals come meanwhile. 0 or -errno. */
int forked_wait(pid_t child, int *status);

/* A byte to the other end of a stream socket or from it, whatever signals come meanwhile. 0; -errno, -EPIPE where the
 * other end is closed. Nothing but system calls: also for a child that was forked from among threads. */
int forked_send(int socket, unsigned char byte);
int forked_receive(int socket, unsigned char *byte);

/* Takes the remains of a child that ends by itself; 0, -errno, or -ECHILD when it did not end well. */
int forked_reap(pid_t child);

/*
 * Lets the kernel write what it writes when a thread gets its CPU back (restartable sequences): after a fork the page
 * of it faults once more, and that is not to happen while something is counted.
 */
void forked_rest(void);

/* Minor faults of the calling thread so far. */
uint64_t forked_faults(void);

/* One page shared with children; NULL when there is no memory. Give it back with forked_unshare. */
void *forked_share(size_t bytes);
void forked_unshare(void *shared, size_t bytes);

/*
 * Makes `base` the only memory among what was ever named here that the calling thread's forks copy: every arm's memory
 * lies in one process, and a fork of one arm is not to copy another's. -errno.
 */
int forked_copy_only(unsigned char *base, size_t bytes);

/* Leaves memory out of every fork. -errno. */
int forked_leave_out(unsigned char *base, size_t bytes);

/*
 * The methods that time a fork: memory mapped as the arm says and brought into the state `prior` in setup, pages stored
 * to brought back into it before each fork. worker->own is a struct forking.
 */
struct forking {
    pid_t parent; /* asked for before the clock starts */
    pid_t child;  /* of the last fork, when it still waits; else 0 */
};

#define FORKED_USES (FIELD_BIT(sharing) | FIELD_BIT(pages) | FIELD_BIT(prior))
int forked_setup(struct worker *worker, struct err *err);
int forked_reset(struct worker *worker, uint64_t blocks, struct err *err);
void forked_teardown(struct worker *worker);
uint64_t forked_limit(const struct params *params);
uint64_t forked_reset_ns(const struct params *params, uint64_t blocks);

/* Whether it is the child whose stores are measured, by `breaker`. */
bool forked_child_breaks(const struct params *params);

/* Page-table entries that a fork copies. */
uint64_t forked_copied_entries(const struct params *params);

#endif
