/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cachestat.h"
#include "hugepage.h"
#include "random.h"
#include "sysfile.h"

#ifndef MFD_HUGETLB
#define MFD_HUGETLB 4U
#endif

enum {
    CHUNK_MAX = 2 * 1024 * 1024,        /* of the largest recipe */
    SIGNATURE_BYTES = 64 * 1024 * 1024, /* a few milliseconds of faults at most */
    SPACE_MARGIN = 16 * 1024 * 1024,    /* metadata, and what others write meanwhile */
};

static uint64_t recipe_chunk(enum recipe recipe)
{
    switch (recipe) {
    case recipe_write_4KiB:
        return 4 * KIB;
    case recipe_write_64KiB:
        return 64 * KIB;
    case recipe_write_2MiB:
        return 2 * MIB;
    default:
        return MIB;
    }
}

static int check_space(const struct target *target, uint64_t bytes, struct err *err)
{
    struct statvfs space;
    if (fstatvfs(target->fd, &space))
        return err_sys(err, "statvfs %s", target->directory);
    uint64_t free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
    if (free_bytes < bytes + SPACE_MARGIN)
        return err_set(err, ENOSPC, "%s: needs %" PRIu64 " MiB, %" PRIu64 " MiB are free", target->directory,
                       (bytes + SPACE_MARGIN) / MIB, free_bytes / MIB);
    return 0;
}

static int write_all(int fd, const unsigned char *from, uint64_t bytes, uint64_t offset)
{
    while (bytes) {
        ssize_t done = pwrite(fd, from, bytes, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -EIO;
        from += done;
        bytes -= (uint64_t)done;
        offset += (uint64_t)done;
    }
    return 0;
}

/* Fills a chunk with incompressible words, or from the file a private copy is made of. */
static int fill_chunk(unsigned char *chunk, uint64_t bytes, int source, uint64_t offset, struct random *random)
{
    if (source < 0) {
        for (uint64_t i = 0; i < bytes; i += sizeof(uint64_t)) {
            uint64_t word = random_next(random);
            memcpy(chunk + i, &word, bytes - i < sizeof word ? bytes - i : sizeof word);
        }
        return 0;
    }
    for (uint64_t have = 0; have < bytes;) {
        ssize_t done = pread(source, chunk + have, bytes - have, (off_t)(offset + have));
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -ENODATA;
        have += (uint64_t)done;
    }
    return 0;
}

/*
 * Under a memory limit, writes back each quarter of it: dirty pages cannot be reclaimed, and where they fill a control
 * group of version 2 faster than its writer is throttled, the group is out of memory.
 */
static int write_back_limited(const struct target *target, uint64_t offset, uint64_t bytes)
{
    uint64_t quarter = target->params->memory_limit / 4;
    bool due = quarter && (offset + bytes) / quarter != offset / quarter;
    return due && fdatasync(target->fd) ? -errno : 0;
}

static int write_contents(struct target *target, int source, uint64_t seed, struct err *err)
{
    uint64_t chunk_bytes = recipe_chunk((enum recipe)target->params->recipe);
    unsigned char *chunk = malloc(CHUNK_MAX);
    if (!chunk)
        return err_set(err, ENOMEM, "no memory to write %s", target->path);
    struct random random = {seed};
    int rc = 0;
    for (uint64_t offset = 0; offset < target->file_bytes && rc == 0; offset += chunk_bytes) {
        uint64_t rest = target->file_bytes - offset, bytes = rest < chunk_bytes ? rest : chunk_bytes;
        rc = fill_chunk(chunk, bytes, source, offset, &random);
        if (rc == 0)
            rc = write_all(target->fd, chunk, bytes, offset);
        if (rc == 0)
            rc = write_back_limited(target, offset, bytes);
    }
    free(chunk);
    if (rc)
        return err_set(err, -rc, "write %s: %s", target->path, strerror(-rc));
    return fsync(target->fd) ? err_sys(err, "fsync %s", target->path) : 0;
}

static int read_through(const struct target *target, uint64_t bytes, uint64_t chunk_bytes, struct err *err)
{
    unsigned char *chunk = malloc(chunk_bytes);
    if (!chunk)
        return err_set(err, ENOMEM, "no memory to read %s", target->path);
    int rc = 0;
    for (uint64_t offset = 0; offset < bytes && rc == 0;) {
        ssize_t done = pread(target->fd, chunk, chunk_bytes, (off_t)offset);
        if (done < 0 && errno != EINTR)
            rc = err_sys(err, "read %s", target->path);
        else if (done == 0)
            rc = err_set(err, EIO, "%s is shorter than %" PRIu64 " bytes", target->path, bytes);
        else if (done > 0)
            offset += (uint64_t)done;
    }
    free(chunk);
    return rc;
}

/* Without the address sanitizer, whose shadow of the mapping would take faults of its own. */
__attribute__((no_sanitize("address"))) static void touch_pages(const unsigned char *base, uint64_t bytes,
                                                                uint64_t page_bytes)
{
    for (uint64_t offset = 0; offset < bytes; offset += page_bytes)
        (void)*(const volatile unsigned char *)(base + offset);
}

static int map_through(const struct target *target, bool huge, struct err *err)
{
    unsigned char *base = mmap(NULL, target->file_bytes, PROT_READ, MAP_SHARED, target->fd, 0);
    if (base == MAP_FAILED)
        return err_sys(err, "mmap %s", target->path);
    int rc = 0;
    if (huge && madvise(base, target->file_bytes, MADV_HUGEPAGE))
        rc = err_set(err, EOPNOTSUPP, "MADV_HUGEPAGE on %s: %s", target->path, strerror(errno));
    else
        touch_pages(base, target->file_bytes, target->page_bytes);
    munmap(base, target->file_bytes);
    return rc;
}

static int evict_proven(const struct target *target, struct err *err)
{
    struct page_state state;
    int rc = target_evict(target, err);
    if (rc == 0)
        rc = target_state(target, target->file_bytes, &state, err);
    if (rc == 0 && state.resident != 0)
        rc = err_set(err, EOPNOTSUPP, "%s cannot be evicted: %" PRIu64 " of %" PRIu64 " pages stay resident",
                     target->path, state.resident, state.pages);
    return rc;
}

int target_hollow(const struct target *target, struct err *err)
{
    struct stat status;
    if (ftruncate(target->fd, 0) || ftruncate(target->fd, (off_t)target->file_bytes) || fstat(target->fd, &status))
        return err_sys(err, "set the size of %s", target->path);
    if (status.st_blocks)
        return err_set(err, EOPNOTSUPP, "%s cannot be a hole: the filesystem gives it %jd KiB at once", target->path,
                       (intmax_t)status.st_blocks / 2);
    return target->params->cache == cache_warm ? read_through(target, target->file_bytes, MIB, err) : 0;
}

/* After the contents are written: evict and read back the way the recipe says. */
static int apply_refill(const struct target *target, struct err *err)
{
    enum recipe recipe = (enum recipe)target->params->recipe;
    if (recipe != recipe_refill_read && recipe != recipe_refill_map && recipe != recipe_refill_hugepage)
        return 0;
    int rc = evict_proven(target, err);
    if (rc)
        return rc;
    if (recipe == recipe_refill_read)
        return read_through(target, target->file_bytes, 4 * KIB, err);
    return map_through(target, recipe == recipe_refill_hugepage, err);
}

/* Huge pages that nobody has reserved, of the default size. */
static uint64_t free_huge_pages(void)
{
    struct err ignored;
    int64_t count = 0, reserved = 0;
    unsigned long kib = (unsigned long)(hugetlb_page_bytes() / KIB);
    sysfile_number(&count, &ignored, "/sys/kernel/mm/hugepages/hugepages-%lukB/free_hugepages", kib);
    sysfile_number(&reserved, &ignored, "/sys/kernel/mm/hugepages/hugepages-%lukB/resv_hugepages", kib);
    return count > reserved ? (uint64_t)(count - reserved) : 0;
}

/* hugetlbfs has no write(): its pages are filled where they are mapped, which reserves them. */
static int fill_mapped(const struct target *target, int source, uint64_t seed, struct err *err)
{
    struct random random = {seed};
    int rc = 0;
    unsigned char *base = mmap(NULL, target->file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, target->fd, 0);
    if (base == MAP_FAILED && errno == ENOMEM)
        return err_set(err, EOPNOTSUPP,
                       "hugetlbfs: %" PRIu64 " free huge pages of %" PRIu64 " MiB are needed, there are %" PRIu64
                       " (vm.nr_hugepages)",
                       target->file_bytes / hugetlb_page_bytes(), hugetlb_page_bytes() / MIB, free_huge_pages());
    if (base == MAP_FAILED)
        return err_sys(err, "mmap %s", target->path);
    for (uint64_t offset = 0; offset < target->file_bytes && rc == 0; offset += MIB) {
        uint64_t rest = target->file_bytes - offset;
        rc = fill_chunk(base + offset, rest < MIB ? rest : MIB, source, offset, &random);
    }
    munmap(base, target->file_bytes);
    return rc ? err_set(err, -rc, "fill %s: %s", target->path, strerror(-rc)) : 0;
}

static int make_memory_file(struct target *target, bool huge, struct err *err)
{
    snprintf(target->path, sizeof target->path, huge ? "hugetlbfs (memfd)" : "memfd");
    target->fd = memfd_create("faultline-target", huge ? MFD_CLOEXEC | MFD_HUGETLB : MFD_CLOEXEC);
    if (target->fd < 0 && (errno == ENOSYS || errno == EINVAL || errno == ENODEV || errno == ENOENT))
        return err_set(err, EOPNOTSUPP, "%s: this kernel has none: %s", target->path, strerror(errno));
    if (target->fd < 0 || ftruncate(target->fd, (off_t)target->params->file_bytes))
        return err_sys(err, "make %s", target->path);
    return 0;
}

static int make_named_file(struct target *target, const struct target_request *request, struct err *err)
{
    snprintf(target->directory, sizeof target->directory, "%s", request->directory);
    int length = snprintf(target->path, sizeof target->path, "%s/%s", request->directory, request->name);
    if (length < 0 || (size_t)length >= sizeof target->path)
        return err_set(err, ENAMETOOLONG, "%s", request->directory);
    target->fd = open(target->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (target->fd < 0)
        return err_sys(err, "create %s", target->path);
    target->named = true;
    if (!request->keep_name) {
        if (unlink(target->path))
            return err_sys(err, "unlink %s", target->path);
        target->named = false;
    }
    return check_space(target, request->params->file_bytes, err);
}

static int fill(struct target *target, int source, uint64_t seed, struct err *err)
{
    if (target->params->recipe == recipe_hole)
        return target_hollow(target, err);
    return target->params->backing == backing_hugetlbfs ? fill_mapped(target, source, seed, err)
                                                        : write_contents(target, source, seed, err);
}

static int make_file(struct target *target, const struct target_request *request, struct err *err)
{
    bool huge = request->params->backing == backing_hugetlbfs;
    bool in_memory = huge || request->params->backing == backing_memfd;
    int source = -1;
    target->ours = true;
    int rc = in_memory ? make_memory_file(target, huge, err) : make_named_file(target, request, err);
    target->file_bytes = request->params->file_bytes;
    if (rc == 0 && request->given_path[0]) {
        source = open(request->given_path, O_RDONLY | O_CLOEXEC);
        if (source < 0)
            rc = err_sys(err, "open %s", request->given_path);
    }
    if (rc == 0)
        rc = fill(target, source, request->seed, err);
    if (source >= 0)
        close(source);
    return rc ? rc : apply_refill(target, err);
}

static int open_given(struct target *target, const struct target_request *request, struct err *err)
{
    struct stat status;
    snprintf(target->path, sizeof target->path, "%s", request->given_path);
    snprintf(target->directory, sizeof target->directory, "%s", request->given_path);
    target->named = true;
    target->may_evict = request->allow_evict;
    target->fd = open(target->path, O_RDONLY | O_CLOEXEC);
    if (target->fd < 0 || fstat(target->fd, &status))
        return err_sys(err, "open %s", target->path);
    target->file_bytes = (uint64_t)status.st_size;
    if (target->file_bytes < request->params->file_bytes)
        return err_set(err, EIO, "%s has shrunk to %" PRIu64 " bytes", target->path, target->file_bytes);
    return 0;
}

/* Stacked filesystems (overlayfs) let cachestat succeed and show nothing: it is believed once it has seen a page just
 * read. */
static bool cachestat_tells(const struct target *target)
{
    char byte;
    struct cachestat_pages found = {0};
    return pread(target->fd, &byte, 1, 0) == 1 && cachestat_look(target->fd, 0, 1, &found) == 0 && found.cache == 1;
}

static int reach_state(const struct target *target, struct err *err)
{
    switch ((enum cache)target->params->cache) {
    case cache_cold:
        return evict_proven(target, err);
    case cache_warm: /* of the user's own file no more is read than a cell visits: the cell asks for it */
    case cache_dirty:
        return target->ours ? target_warm(target, target->file_bytes, err) : target_settle(target, err);
    case cache_clean: /* what somebody has just written to the user's file is written back; that changes nothing of it
                       */
        return target->ours ? 0 : target_settle(target, err);
    default:
        return 0;
    }
}

int target_open(struct target *target, const struct target_request *request, struct err *err)
{
    struct stat status;
    *target = (struct target){.fd = -1, .params = request->params, .may_evict = true};
    target->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    int rc = request->params->backing == backing_given ? open_given(target, request, err)
                                                       : make_file(target, request, err);
    if (target->named)
        memcpy(target->reopen_path, target->path, sizeof target->reopen_path);
    else
        snprintf(target->reopen_path, sizeof target->reopen_path, "/proc/self/fd/%d", target->fd);
    if (rc == 0) {
        target->cachestat = cachestat_tells(target);
        rc = reach_state(target, err);
    }
    if (rc == 0 && fstat(target->fd, &status))
        rc = err_sys(err, "stat %s", target->path);
    if (rc == 0)
        target->device = request->device ? request->device : status.st_dev;
    return rc;
}

void target_close(struct target *target)
{
    if (target->fd < 0)
        return;
    close(target->fd);
    if (target->ours && target->named)
        unlink(target->path);
    target->fd = -1;
}

int target_reopen(const struct target *target, int flags)
{
    int fd = open(target->reopen_path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int target_settle(const struct target *target, struct err *err)
{
    for (unsigned i = 0; i <= target->other_count; i++)
        if (fsync(target_of_worker(target, i)->fd))
            return err_sys(err, "fsync %s", target->path);
    return 0;
}

static int dirty_one(const struct target *target, uint64_t bytes, struct err *err)
{
    unsigned char byte;
    for (uint64_t offset = 0; offset < bytes; offset += target->page_bytes)
        if (pread(target->fd, &byte, 1, (off_t)offset) != 1 || pwrite(target->fd, &byte, 1, (off_t)offset) != 1)
            return err_sys(err, "dirty %s", target->path);
    return 0;
}

int target_dirty(const struct target *target, uint64_t bytes, struct err *err)
{
    int rc = 0;
    for (unsigned i = 0; i <= target->other_count && rc == 0; i++)
        rc = dirty_one(target_of_worker(target, i), bytes, err);
    return rc;
}

/* A page of hugetlbfs is resident from when it is allocated until the file is gone; nothing is ever written back, and
 * of dirt nothing is known. (mincore looks at the page table of the mapping it is asked about, which may be empty.) */
static int state_by_allocation(const struct target *target, struct page_state *state, struct err *err)
{
    struct stat status;
    if (fstat(target->fd, &status))
        return err_sys(err, "stat %s", target->path);
    uint64_t allocated = (uint64_t)status.st_blocks * 512 / target->page_bytes;
    state->resident = allocated < state->pages ? allocated : state->pages;
    state->dirty = state->writeback = UINT64_MAX;
    return 0;
}

const char *target_witness(const struct target *target)
{
    if (target->params->backing == backing_hugetlbfs)
        return "allocation";
    return target->cachestat ? "cachestat" : "mincore";
}

static int zero_mapped(const struct target *target, uint64_t offset, uint64_t bytes)
{
    uint64_t page = hugetlb_page_bytes(), start = offset / page * page;
    uint64_t span = (offset + bytes - start + page - 1) / page * page;
    unsigned char *base = mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_SHARED, target->fd, (off_t)start);
    if (base == MAP_FAILED)
        return -errno;
    memset(base + (offset - start), 0, bytes);
    return munmap(base, span) ? -errno : 0;
}

int target_zero(const struct target *target, uint64_t offset, uint64_t bytes)
{
    if (target->params->backing == backing_hugetlbfs)
        return zero_mapped(target, offset, bytes);
    unsigned char *zeros = calloc(1, bytes);
    int rc = zeros ? write_all(target->fd, zeros, bytes, offset) : -ENOMEM;
    free(zeros);
    return rc;
}

int target_renew(const struct target *target, struct err *err)
{
    int rc = fallocate(target->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)target->params->file_bytes)
                 ? -errno
                 : 0;
    if (rc == -EOPNOTSUPP) /* then the same pages get the zeros */
        rc = 0;
    if (rc == 0)
        rc = target_zero(target, 0, target->params->file_bytes);
    return rc ? err_set(err, -rc, "make %s anew: %s", target->path, strerror(-rc)) : 0;
}

/* Each page is touched, so that it is mapped, and asked about. */
static int ask_homes(unsigned char *base, uint64_t pages, uint64_t page_bytes, void **addresses, int *nodes)
{
    for (uint64_t i = 0; i < pages; i++) {
        addresses[i] = base + i * page_bytes;
        (void)*(const volatile unsigned char *)addresses[i];
    }
    return syscall(SYS_move_pages, 0, (unsigned long)pages, addresses, NULL, nodes, 0) ? -errno : 0;
}

int target_homes(const struct target *target, uint64_t bytes, uint64_t *pages, unsigned node_count, uint64_t *others,
                 struct err *err)
{
    uint64_t count = (bytes + target->page_bytes - 1) / target->page_bytes;
    unsigned char *base = mmap(NULL, bytes, PROT_READ, MAP_SHARED, target->fd, 0);
    void **addresses = calloc(count + 1, sizeof *addresses);
    int *nodes = calloc(count + 1, sizeof *nodes);
    int rc = base == MAP_FAILED ? err_sys(err, "mmap %s", target->path) : 0;
    if (rc == 0 && (!addresses || !nodes))
        rc = err_set(err, ENOMEM, "no memory for a list of pages");
    if (rc == 0)
        rc = ask_homes(base, count, target->page_bytes, addresses, nodes);
    if (rc && !err->code)
        err_set(err, -rc, "move_pages of %s: %s", target->path, strerror(-rc));
    for (uint64_t i = 0; rc == 0 && i < count; i++)
        if (nodes[i] >= 0 && (unsigned)nodes[i] < node_count)
            pages[nodes[i]]++;
        else
            (*others)++;
    free(nodes);
    free(addresses);
    if (base != MAP_FAILED)
        munmap(base, bytes);
    return rc;
}

/* mincore shows only the owner of a file, or who may write it, what is resident (mm/mincore.c can_do_mincore). */
static bool mincore_tells(const struct target *target)
{
    struct stat status;
    return fstat(target->fd, &status) == 0 && (status.st_uid == geteuid() || geteuid() == 0 || target->ours);
}

static int state_by_mincore(const struct target *target, uint64_t bytes, struct page_state *state, struct err *err)
{
    int rc = 0;
    state->dirty = state->writeback = state->resident = UINT64_MAX;
    if (!mincore_tells(target))
        return 0;
    unsigned char *vector = malloc(state->pages);
    void *base = mmap(NULL, bytes, PROT_READ, MAP_SHARED, target->fd, 0);
    if (!vector || base == MAP_FAILED || mincore(base, bytes, vector))
        rc = err_sys(err, "mincore %s", target->path);
    state->resident = 0;
    for (uint64_t i = 0; rc == 0 && i < state->pages; i++)
        state->resident += vector[i] & 1;
    if (base != MAP_FAILED)
        munmap(base, bytes);
    free(vector);
    return rc;
}

static int state_of_one(const struct target *target, uint64_t bytes, struct page_state *state, struct err *err)
{
    struct cachestat_pages found;
    *state = (struct page_state){.pages = (bytes + target->page_bytes - 1) / target->page_bytes};
    if (target->params->backing == backing_hugetlbfs)
        return state_by_allocation(target, state, err);
    if (!target->cachestat || cachestat_look(target->fd, 0, bytes, &found))
        return state_by_mincore(target, bytes, state, err);
    state->resident = found.cache;
    state->dirty = found.dirty;
    state->writeback = found.writeback;
    return 0;
}

/* Sum of two counts; unknown where either is. */
static uint64_t known_sum(uint64_t a, uint64_t b)
{
    return a == UINT64_MAX || b == UINT64_MAX ? UINT64_MAX : a + b;
}

int target_state(const struct target *target, uint64_t bytes, struct page_state *state, struct err *err)
{
    int rc = state_of_one(target, bytes, state, err);
    for (unsigned i = 1; i <= target->other_count && rc == 0; i++) {
        struct page_state one;
        rc = state_of_one(target_of_worker(target, i), bytes, &one, err);
        state->pages += one.pages;
        state->resident = known_sum(state->resident, one.resident);
        state->dirty = known_sum(state->dirty, one.dirty);
        state->writeback = known_sum(state->writeback, one.writeback);
    }
    return rc;
}

static bool is_known(const struct page_state *state)
{
    return state->dirty != UINT64_MAX && state->writeback != UINT64_MAX;
}

const char *target_state_fault(const struct page_state *state, enum cache cache)
{
    bool settled = is_known(state) ? state->dirty == 0 && state->writeback == 0 : true;
    if (cache != cache_as_found && state->resident == UINT64_MAX)
        return "this machine does not show what of the file is resident";
    switch (cache) {
    case cache_cold:
        return state->resident == 0 ? NULL : "not cold: pages are resident";
    case cache_warm: /* where dirtiness cannot be seen (no cachestat) it is recorded as unknown */
        if (state->resident < state->pages)
            return "not warm: pages are missing";
        return settled ? NULL : "not warm and clean: pages are dirty or under writeback";
    case cache_clean:
        if (!is_known(state))
            return "this machine does not show which pages are dirty";
        return settled ? NULL : "not clean: pages are dirty or under writeback";
    case cache_dirty:
        if (!is_known(state))
            return "this machine does not show which pages are dirty";
        return state->dirty == state->pages ? NULL : "not dirty: pages have been written back or are missing";
    default:
        return NULL;
    }
}

const char *target_residency_fault(const struct page_state *state, enum cache cache)
{
    if (cache != cache_warm && cache != cache_dirty)
        return NULL;
    return state->resident < state->pages ? "pages went missing" : NULL;
}

int target_evict(const struct target *target, struct err *err)
{
    if (!target->may_evict)
        return err_set(err, EPERM, "%s is yours: --allow-evict lets its page cache be emptied", target->path);
    if (target->ours && target_settle(target, err))
        return -err->code;
    int code = 0;
    for (unsigned i = 0; i <= target->other_count && code == 0; i++)
        code = posix_fadvise(target_of_worker(target, i)->fd, 0, 0, POSIX_FADV_DONTNEED);
    return code ? err_set(err, code, "evict %s: %s", target->path, strerror(code)) : 0;
}

int target_warm(const struct target *target, uint64_t bytes, struct err *err)
{
    struct page_state state;
    int rc = target_state(target, bytes, &state, err);
    if (rc || state.resident == state.pages)
        return rc;
    for (unsigned i = 0; i <= target->other_count && rc == 0; i++)
        rc = read_through(target_of_worker(target, i), bytes, MIB, err);
    return rc;
}

/* Where a mapping of any kind of file may begin. */
static uint64_t signature_alignment(void)
{
    uint64_t transparent = huge_page_bytes(), reserved = hugetlb_page_bytes();
    return transparent > reserved ? transparent : reserved;
}

/*
 * Fault-around windows are aligned in the address space, not in the file (mm/memory.c do_fault_around): only mappings
 * that begin at equal places within such a window take equal numbers of faults. The reservation is one huge page
 * larger than `bytes`.
 */
static unsigned char *map_aligned(const struct target *target, uint64_t bytes, unsigned char **reservation)
{
    uint64_t alignment = signature_alignment();
    *reservation = mmap(NULL, bytes + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (*reservation == MAP_FAILED)
        return MAP_FAILED;
    uint64_t start = (uint64_t)(uintptr_t)*reservation;
    uint64_t aligned = (start + alignment - 1) / alignment * alignment;
    return mmap(*reservation + (aligned - start), bytes, PROT_READ, MAP_SHARED | MAP_FIXED, target->fd, 0);
}

/* Minor faults of touching a fresh mapping of `bytes` once a page. */
static int count_touch_faults(const struct target *target, uint64_t bytes, uint64_t *faults, struct err *err)
{
    struct rusage before, after;
    unsigned char *reservation;
    unsigned char *base = map_aligned(target, bytes, &reservation);
    int rc = base == MAP_FAILED ? err_sys(err, "mmap %s", target->path) : 0;
    if (rc == 0) {
        getrusage(RUSAGE_THREAD, &before);
        touch_pages(base, bytes, target->page_bytes);
        getrusage(RUSAGE_THREAD, &after);
        *faults = (uint64_t)(after.ru_minflt - before.ru_minflt);
    }
    if (reservation != MAP_FAILED)
        munmap(reservation, bytes + signature_alignment());
    return rc;
}

int target_signature(const struct target *target, uint64_t bytes, uint64_t *pages, uint64_t *faults, struct err *err)
{
    enum { PASSES_MAX = 8 };
    uint64_t previous = UINT64_MAX;
    bytes = bytes < target->file_bytes ? bytes : target->file_bytes;
    bytes = bytes < SIGNATURE_BYTES ? bytes : SIGNATURE_BYTES;
    if (target->params->backing == backing_hugetlbfs) /* mapped by whole huge pages, of which the file consists */
        bytes = (bytes + hugetlb_page_bytes() - 1) / hugetlb_page_bytes() * hugetlb_page_bytes();
    *pages = (bytes + target->page_bytes - 1) / target->page_bytes;
    int rc = count_touch_faults(target, bytes, faults, err);
    /* Fault-around passes over a folio that is marked for readahead; its own fault then maps it whole, and clears the
     * mark (mm/filemap.c next_uptodate_folio, mm/memory.c finish_fault). Passes are repeated until two of them agree.
     */
    for (unsigned i = 1; rc == 0 && i < PASSES_MAX && *faults != previous; i++) {
        previous = *faults;
        rc = count_touch_faults(target, bytes, faults, err);
    }
    return rc;
}

uint64_t target_signature_slack(const struct target *target)
{
    enum recipe recipe = (enum recipe)target->params->recipe;
    bool largest = recipe == recipe_write_2MiB || recipe == recipe_refill_hugepage || recipe == recipe_as_found;
    uint64_t folio = largest ? 2 * MIB : recipe_chunk(recipe);
    return folio / (64 * KIB);
}

/* Replaces `path` by the first device below it, as long as there is one (a slave of a device-mapper or md device). */
static bool descend(char *path, size_t size)
{
    char below[600];
    snprintf(below, sizeof below, "%s/slaves", path);
    DIR *folder = opendir(below);
    struct dirent *entry = NULL;
    while (folder && (entry = readdir(folder)) && entry->d_name[0] == '.')
        ;
    if (entry)
        snprintf(path, size, "/sys/class/block/%.200s", entry->d_name);
    if (folder)
        closedir(folder);
    return entry != NULL;
}

struct device_bytes target_device_bytes(const struct target *target)
{
    const uint64_t sector_bytes = 512; /* the block layer's, whatever the disk's are */
    char path[512], stat_path[600];
    uint64_t read = 0, written = 0;
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(target->device), minor(target->device));
    while (descend(path, sizeof path))
        ;
    snprintf(stat_path, sizeof stat_path, "%s/stat", path);
    FILE *file = fopen(stat_path, "re");
    int found = file ? fscanf(file, "%*u %*u %" SCNu64 " %*u %*u %*u %" SCNu64, &read, &written) : 0;
    if (file)
        fclose(file);
    if (found != 2)
        return (struct device_bytes){UINT64_MAX, UINT64_MAX};
    return (struct device_bytes){read * sector_bytes, written * sector_bytes};
}

uint64_t target_device_read_bytes(const struct target *target)
{
    return target_device_bytes(target).read;
}
