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

#include "hugepage.h"
#include "random.h"

#ifndef SYS_cachestat
#define SYS_cachestat 451 /* the same on every architecture */
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
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

static int make_file(struct target *target, const struct target_request *request, struct err *err)
{
    int source = -1, rc = 0;
    target->ours = true;
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
    target->file_bytes = request->params->file_bytes;
    rc = check_space(target, target->file_bytes, err);
    if (rc == 0 && request->given_path[0]) {
        source = open(request->given_path, O_RDONLY | O_CLOEXEC);
        if (source < 0)
            rc = err_sys(err, "open %s", request->given_path);
    }
    if (rc == 0)
        rc = write_contents(target, source, request->seed, err);
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

/* Lets the kernel write back what somebody has just written to the user's file; that changes nothing of it. */
static int settle_given(const struct target *target, struct err *err)
{
    return fsync(target->fd) ? err_sys(err, "fsync %s", target->path) : 0;
}

/* struct cachestat_range and struct cachestat of linux/mman.h, absent from older headers. */
struct cache_range {
    uint64_t offset, length;
};
struct cache_found {
    uint64_t cache, dirty, writeback, evicted, recently_evicted;
};

static bool look_by_cachestat(int fd, uint64_t bytes, struct cache_found *found)
{
    struct cache_range range = {0, bytes};
    return syscall(SYS_cachestat, fd, &range, found, 0) == 0;
}

/* Stacked filesystems (overlayfs) let cachestat succeed and show nothing: it is believed once it has seen a page just
 * read. */
static bool cachestat_tells(const struct target *target)
{
    char byte;
    struct cache_found found = {0};
    return pread(target->fd, &byte, 1, 0) == 1 && look_by_cachestat(target->fd, 1, &found) && found.cache == 1;
}

static int reach_state(const struct target *target, struct err *err)
{
    switch ((enum cache)target->params->cache) {
    case cache_cold:
        return evict_proven(target, err);
    case cache_warm: /* of the user's own file no more is read than a cell visits: the cell asks for it */
        return target->ours ? target_warm(target, target->file_bytes, err) : settle_given(target, err);
    case cache_clean:
        return target->ours ? 0 : settle_given(target, err);
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
        target->device = status.st_dev;
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

int target_reopen(const struct target *target)
{
    int fd = open(target->reopen_path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
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

int target_state(const struct target *target, uint64_t bytes, struct page_state *state, struct err *err)
{
    struct cache_found found;
    *state = (struct page_state){.pages = (bytes + target->page_bytes - 1) / target->page_bytes};
    if (!target->cachestat || !look_by_cachestat(target->fd, bytes, &found))
        return state_by_mincore(target, bytes, state, err);
    state->resident = found.cache;
    state->dirty = found.dirty;
    state->writeback = found.writeback;
    return 0;
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
    default:
        return NULL;
    }
}

int target_evict(const struct target *target, struct err *err)
{
    if (!target->may_evict)
        return err_set(err, EPERM, "%s is yours: --allow-evict lets its page cache be emptied", target->path);
    if (target->ours && fsync(target->fd))
        return err_sys(err, "fsync %s", target->path);
    int code = posix_fadvise(target->fd, 0, 0, POSIX_FADV_DONTNEED);
    return code ? err_set(err, code, "evict %s: %s", target->path, strerror(code)) : 0;
}

int target_warm(const struct target *target, uint64_t bytes, struct err *err)
{
    struct page_state state;
    int rc = target_state(target, bytes, &state, err);
    if (rc || state.resident == state.pages)
        return rc;
    return read_through(target, bytes, MIB, err);
}

/*
 * Fault-around windows are aligned in the address space, not in the file (mm/memory.c do_fault_around): only mappings
 * that begin at equal places within such a window take equal numbers of faults. The reservation is one huge page
 * larger than `bytes`.
 */
static unsigned char *map_aligned(const struct target *target, uint64_t bytes, unsigned char **reservation)
{
    uint64_t alignment = huge_page_bytes();
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
        munmap(reservation, bytes + huge_page_bytes());
    return rc;
}

int target_signature(const struct target *target, uint64_t bytes, uint64_t *pages, uint64_t *faults, struct err *err)
{
    enum { PASSES_MAX = 8 };
    uint64_t previous = UINT64_MAX;
    bytes = bytes < target->file_bytes ? bytes : target->file_bytes;
    bytes = bytes < SIGNATURE_BYTES ? bytes : SIGNATURE_BYTES;
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

uint64_t target_device_read_bytes(const struct target *target)
{
    char path[512], stat_path[600];
    uint64_t sectors = 0;
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(target->device), minor(target->device));
    while (descend(path, sizeof path))
        ;
    snprintf(stat_path, sizeof stat_path, "%s/stat", path);
    FILE *file = fopen(stat_path, "re");
    if (!file)
        return UINT64_MAX;
    int found = fscanf(file, "%*u %*u %" SCNu64, &sectors);
    fclose(file);
    return found == 1 ? sectors * 512
                      : UINT64_MAX; /* the block layer's sectors are 512 bytes, whatever the disk's are */
}
