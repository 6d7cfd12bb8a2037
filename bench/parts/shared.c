/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "shared.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "descriptor.h"
#include "target.h"

int shared_setup(struct worker *worker, struct err *err)
{
    int rc = descriptor_open_plain(worker);
    if (rc)
        return err_set(err, -rc, "open %s: %s", worker->target->path, strerror(-rc));
    worker->base_bytes = worker->params->working_set_bytes;
    worker->base = mmap(NULL, worker->base_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, worker->fd, 0);
    if (worker->base == MAP_FAILED) {
        worker->base = NULL;
        return err_sys(err, "mmap %s", worker->target->path);
    }
    for (uint64_t at = 0; at < worker->base_bytes; at += worker->target->page_bytes)
        atomic_fetch_add(shared_word(worker, at), 0); /* a store, and nothing changed: the peer may be at work */
    return 0;
}

void shared_teardown(struct worker *worker)
{
    if (worker->base)
        munmap(worker->base, worker->base_bytes);
    worker->base = NULL;
    descriptor_close(worker);
}
