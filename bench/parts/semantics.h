/* SPDX-License-Identifier: MIT */
/*
 * Experiments on what mapping a file means. Each is a row of a table: a function that looks and says yes or no, and
 * which of its variants is meant, so that one function has to give both answers. A new one is an option of `whether`
 * in fields.def and a row here, with a function where none of those that are there will do.
 *
 * They work on files of their own of a few pages, beside the target and on the same filesystem, which stays as it was.
 * These have no name, so that nothing is left behind; only where it is the name that goes it is there for a moment.
 */
#ifndef FAULTLINE_SEMANTICS_H
#define FAULTLINE_SEMANTICS_H

#include <sys/types.h>

#include "err.h"
#include "params.h"
#include "target.h"

struct semantics {
    int fd;                /* the own file, of SEMANTICS_PAGES */
    const char *directory; /* for further files; NULL: files are memory (memfd_create) */
    size_t page_bytes;
    pid_t other; /* another process, which has the file mapped shared; 0: none */
    int socket;  /* asks it for the byte that is looked at; -1 */
};

enum {
    SEMANTICS_PAGES = 3,
    SEMANTICS_AT = 1, /* the page that is looked at: the file goes on behind it */
};

struct semantics_check {
    int (*look)(const struct semantics *semantics, unsigned how); /* 1: it is so; 0: it is not; -errno */
    unsigned how;                                                 /* which variant */
    bool other;                                                   /* needs the other process */
    bool syncs;                                                   /* waits for storage */
    uint64_t ns;                                                  /* about, beside that */
};

extern const struct semantics_check semantics_checks[whether_count];

/*
 * Makes the file, and starts the other process where the check needs it. -EOPNOTSUPP with text beside a file of the
 * user's. End with semantics_end, also after a failure.
 */
int semantics_begin(struct semantics *semantics, const struct target *target, const struct semantics_check *check,
                    struct err *err);
void semantics_end(struct semantics *semantics);

#endif
