/* SPDX-License-Identifier: MIT */
/* Which scenario files a word on the command line means. */
#ifndef FAULTLINE_CATALOG_H
#define FAULTLINE_CATALOG_H

#include "err.h"

struct catalog {
    char **paths; /* [count] */
    unsigned count;
};

/* The folder of the scenarios that come with faultline: share/faultline beside an installed program, else the source
 * tree's. */
void catalog_root(char *path, unsigned long size);

/*
 * Adds what `word` means: a file, a folder (every *.yaml below it, sorted), or the name of either within the catalogue
 * ("access/read-or-map", "access"). -ENOENT with text. End with catalog_free.
 */
int catalog_add(struct catalog *catalog, const char *word, struct err *err);

void catalog_free(struct catalog *catalog);

#endif
