/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "move.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "anonymous.h"

int move_begin(struct worker *worker, struct err *err)
{
    struct move *move = worker->own = calloc(1, sizeof *move);
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    if (!move)
        return err_set(err, ENOMEM, "no memory for two places");
    move->bytes = (worker->params->range_bytes + page_bytes - 1) / page_bytes * page_bytes;
    int rc = anonymous_make(&move->places[0], move->bytes, false, err);
    if (rc == 0)
        rc = anonymous_make(&move->places[1], move->bytes, false, err);
    if (rc == 0)
        anonymous_touch(move->places[0], move->bytes);
    return rc;
}

void move_end(struct worker *worker)
{
    struct move *move = worker->own;
    for (unsigned i = 0; move && i < 2; i++)
        anonymous_remove(move->places[i], move->bytes);
    free(move);
    worker->own = NULL;
}

int move_each(struct worker *worker, uint64_t blocks,
              int (*once)(struct worker *, unsigned char *to, unsigned char *from, uint64_t bytes))
{
    struct move *move = worker->own;
    int rc = 0;
    for (uint64_t i = 0; i < blocks && rc == 0; i++) {
        rc = once(worker, move->places[!move->at], move->places[move->at], move->bytes);
        move->at = !move->at;
    }
    return rc;
}
