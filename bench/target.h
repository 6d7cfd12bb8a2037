/* SPDX-License-Identifier: MIT */
/* The file under test: made by a recipe, brought into a state of the page cache, and that state proven. */
#ifndef FAULTLINE_TARGET_H
#define FAULTLINE_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "params.h"

struct target {
    int fd;                 /* open for reading, for writing too when the file is ours; -1: none */
    char path[4096];        /* of the file; unlinked already when !named; what it is where it never had a name */
    char reopen_path[4096]; /* by which another descriptor can be had: the path, or /proc/self/fd/N */
    char directory[4096];
    uint64_t file_bytes; /* as the file is, at least params->file_bytes */
    uint64_t page_bytes;
    bool ours, named;
    bool may_evict;
    bool cachestat; /* cachestat(2) is there and shows this file; else mincore(2) is asked */
    dev_t device;   /* whose reads and writes are this file's */
    const struct params *params;
    /* [other_count] files of further workers (worker_file: own), or NULL. What is asked, restored and proven of the
     * page cache is that of all of them together. */
    const struct target *others;
    unsigned other_count;
};

/* The file of worker `index`: this one unless each has its own. */
static inline const struct target *target_of_worker(const struct target *target, unsigned index)
{
    return target && target->others && index > 0 && index <= target->other_count ? &target->others[index - 1] : target;
}

struct target_request {
    const struct params *params; /* borrowed for the life of the target */
    const char *directory;       /* a folder of this run, on the filesystem under test */
    const char *name;            /* file name in it */
    const char *given_path;      /* the user's file: the target itself, or what a private copy is made from; or "" */
    uint64_t seed;               /* of the contents */
    bool keep_name;              /* a method opens the file by name; otherwise it is unlinked at once */
    bool allow_evict;            /* the user's own file may be evicted from the page cache */
    dev_t device;                /* the one below the filesystem where stat does not tell; 0: it does */
};

/*
 * Makes the file as params->recipe says (incompressible seeded contents, blocks allocated, synced), or opens the user's
 * own, and brings it into the state params->cache. The caller ends it with target_close, also after a failure.
 * -ENOSPC before anything is written when the space is not there; -EOPNOTSUPP when the filesystem cannot do it.
 */
int target_open(struct target *target, const struct target_request *request, struct err *err);

/* Closes and removes the file. */
void target_close(struct target *target);

/* A new descriptor of the file, by its name when it has one. `flags`: O_RDONLY or O_RDWR, with O_DIRECT and the like.
 * -errno. */
int target_reopen(const struct target *target, int flags);

/* Writes back what is dirty (fsync). */
int target_settle(const struct target *target, struct err *err);

/* Makes every page of the leading `bytes` dirty without changing its contents: its first byte is written again. */
int target_dirty(const struct target *target, uint64_t bytes, struct err *err);

/* Writes zeros to a range of a file of ours; on hugetlbfs, which has no write(), through a mapping. 0 or -errno. */
int target_zero(const struct target *target, uint64_t offset, uint64_t bytes);

/*
 * Gives a file of ours other pages, all zeros, which the calling thread is the first to touch: they lie on the memory
 * node of its CPU. Where the filesystem punches no holes it keeps its pages. -errno with text.
 */
int target_renew(const struct target *target, struct err *err);

/*
 * Makes a file of ours one hole again: all its blocks are given back (proven by st_blocks), its cached pages dropped
 * and, where cache: warm, read in again as zeros. -EOPNOTSUPP where the filesystem allocates what nobody has written.
 */
int target_hollow(const struct target *target, struct err *err);

/*
 * On which memory nodes the leading `bytes` lie, as the kernel tells (move_pages(2)): adds up pages by node in
 * pages[node_count], by the nodes' OS indices; those of nodes beyond, and those that are not there, in *others. -errno
 * with text.
 */
int target_homes(const struct target *target, uint64_t bytes, uint64_t *pages, unsigned node_count, uint64_t *others,
                 struct err *err);

struct page_state { /* in pages; UINT64_MAX: this machine cannot tell */
    uint64_t pages; /* in the range asked for */
    uint64_t resident, dirty, writeback;
};

/* State of the leading `bytes` of the file by cachestat(2) (Linux 6.5), or mincore(2) where that is not to be had; of
 * hugetlbfs, by what is allocated. */
int target_state(const struct target *target, uint64_t bytes, struct page_state *state, struct err *err);

/* By what target_state tells: "cachestat", "mincore" or "allocation". */
const char *target_witness(const struct target *target);

/* NULL when the state is what `cache` demands, else what is wrong. Static text. */
const char *target_state_fault(const struct page_state *state, enum cache cache);

/* The same of residency alone, for after a batch that writes. */
const char *target_residency_fault(const struct page_state *state, enum cache cache);

/* fsync and POSIX_FADV_DONTNEED. It must not be mapped anywhere. The caller proves the outcome by target_state. */
int target_evict(const struct target *target, struct err *err);

/* Reads what is missing of the leading `bytes` back into the page cache. */
int target_warm(const struct target *target, uint64_t bytes, struct err *err);

/*
 * The recipe's signature: minor faults taken when a fresh mapping of the leading `bytes` (at most 64 MiB) is read once
 * a page, front to back (filemap_map_pages maps what the folios and fault-around allow). All of it must be resident.
 */
int target_signature(const struct target *target, uint64_t bytes, uint64_t *pages, uint64_t *faults, struct err *err);

/*
 * By how much two signatures of an unchanged file may differ: the folio at the end of a file is mapped whole by one
 * fault or in windows of 64 KiB (the default of fault-around), now one and now the other, on Linux 6.18.
 */
uint64_t target_signature_slack(const struct target *target);

struct device_bytes { /* since the machine started, for whomever; UINT64_MAX: unknown */
    uint64_t read, written;
};

/* What the lowest block device that is visible below the file has moved; both unknown when there is none. */
struct device_bytes target_device_bytes(const struct target *target);

/* Its reads alone. */
uint64_t target_device_read_bytes(const struct target *target);

#endif
