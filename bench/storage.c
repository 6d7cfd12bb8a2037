/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "storage.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "method.h"
#include "mount.h"
#include "random.h"

#define LOOK_BYTES (4 * MIB)
#define PIECE_BYTES MIB
#define LOOK_LIMIT_NS (100 * MS) /* no further look is begun after that */

static struct storage rates = {
    .sync_ns = 200e3, .write_byte_ns = 1, .fetch_ns = 70e3, .read_byte_ns = 0.7, .ahead_bytes = 128 * KIB};

const struct storage *storage_rates(void)
{
    return &rates;
}

static int nameless_file(const char *directory)
{
    char path[4200];
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    snprintf(path, sizeof path, "%s/faultline-look-XXXXXX", directory);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

/* Its time in ns; 0 when it failed. */
static uint64_t write_all(int fd, const char *piece)
{
    uint64_t begin = clock_now_ns();
    for (uint64_t at = 0; at < LOOK_BYTES; at += PIECE_BYTES)
        if (pwrite(fd, piece, PIECE_BYTES, (off_t)at) != (ssize_t)PIECE_BYTES)
            return 0;
    return fsync(fd) ? 0 : clock_now_ns() - begin;
}

/*
 * Incompressible, as all files under test are. Twice where there is time, for the first writer pays for pages that the
 * host has taken back.
 */
static bool look_at_writing(int fd, char *piece, uint64_t limit_ns)
{
    struct random random = {1};
    for (uint64_t at = 0; at < PIECE_BYTES; at += sizeof(uint64_t)) {
        uint64_t word = random_next(&random);
        memcpy(piece + at, &word, sizeof word);
    }
    uint64_t ns = write_all(fd, piece);
    if (ns && clock_now_ns() < limit_ns)
        ns = ftruncate(fd, 0) ? 0 : write_all(fd, piece);
    if (ns)
        rates.write_byte_ns = (double)ns / (double)LOOK_BYTES;
    return ns > 0;
}

static bool look_at_syncing(int fd, const char *piece, uint64_t limit_ns)
{
    enum { TRIES = 8 };
    uint64_t sum = 0, count = 0;
    for (; count < TRIES && clock_now_ns() < limit_ns; count++) {
        if (pwrite(fd, piece, 1, 0) != 1)
            return false;
        uint64_t begin = clock_now_ns();
        if (fsync(fd))
            return false;
        sum += clock_now_ns() - begin;
    }
    rates.sync_ns = count ? (double)sum / (double)count : rates.sync_ns;
    return true;
}

static void look_at_fetching(int fd, char *piece, uint64_t limit_ns)
{
    enum { TRIES = 8 };
    uint64_t sum = 0, count = 0;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    for (; count < TRIES && clock_now_ns() < limit_ns; count++) {
        uint64_t begin = clock_now_ns(), at = count * 5 % TRIES * (LOOK_BYTES / TRIES);
        if (pread(fd, piece, 1, (off_t)at) != 1)
            return;
        sum += clock_now_ns() - begin;
    }
    rates.fetch_ns = count ? (double)sum / (double)count : rates.fetch_ns;
}

static void look_at_reading(int fd, char *piece)
{
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    uint64_t begin = clock_now_ns();
    for (uint64_t at = 0; at < LOOK_BYTES; at += PIECE_BYTES)
        if (pread(fd, piece, PIECE_BYTES, (off_t)at) != (ssize_t)PIECE_BYTES)
            return;
    rates.read_byte_ns = (double)(clock_now_ns() - begin) / (double)LOOK_BYTES;
}

static void look_at_read_ahead(const char *directory)
{
    struct mount mount = {0};
    struct disk_stack disks;
    struct err ignored = {0};
    int64_t kb;
    if (mount_find("/proc/self/mountinfo", directory, &mount, &ignored) == 0 &&
        mount_disks(&mount, &disks, &ignored) == 0 && mount_read_ahead_kb(&mount, &disks, &kb, &ignored) == 0)
        rates.ahead_bytes = (double)kb * (double)KIB;
    mount_free(&mount);
}

void storage_look(const char *directory)
{
    uint64_t limit = clock_now_ns() + LOOK_LIMIT_NS;
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    char *piece = malloc(PIECE_BYTES);
    int fd = piece ? nameless_file(directory) : -1;
    look_at_read_ahead(directory);
    sigaction(SIGXFSZ, &ignore, &before); /* a limit on the size of files makes the look fail, and no more */
    if (fd >= 0 && look_at_writing(fd, piece, limit) && look_at_syncing(fd, piece, limit)) {
        look_at_fetching(fd, piece, limit);
        if (clock_now_ns() < limit)
            look_at_reading(fd, piece);
    }
    sigaction(SIGXFSZ, &before, NULL);
    if (fd >= 0)
        close(fd);
    free(piece);
}

double storage_ahead_bytes(const struct params *params)
{
    switch (params->read_ahead) {
    case read_ahead_none:
        return 0;
    case read_ahead_128KiB:
        return 128.0 * (double)KIB;
    default:
        return rates.ahead_bytes;
    }
}

uint64_t storage_folio_bytes(const struct params *params)
{
    if (params->backing == backing_hugetlbfs)
        return 2 * MIB;
    if (params_is_memory(params))
        return 4 * KIB;
    switch (params->recipe) {
    case recipe_write_64KiB:
        return 64 * KIB;
    case recipe_write_1MiB:
    case recipe_refill_read:
        return 256 * KIB;
    case recipe_write_2MiB:
    case recipe_refill_hugepage:
        return 2 * MIB;
    default:
        return 4 * KIB;
    }
}

/* A folio is looked up, locked and queued by itself, and written as a whole; those that lie apart are as many requests.
 */
double storage_write_back_ns(const struct params *params, double pages, bool scattered)
{
    const double folio_ns = 2.5e3, request_ns = 6e3, page_bytes = 4096;
    const double overlap = 0.5; /* a sync hands its requests over together; writing also copied them first */
    double folio_pages = (double)storage_folio_bytes(params) / page_bytes;
    double most = (double)params->working_set_bytes / page_bytes / folio_pages;
    if (params_is_memory(params) || pages <= 0)
        return 0;
    double folios = scattered ? pages : pages / folio_pages;
    folios = folios < 1 ? 1 : folios > most && most >= 1 ? most : folios;
    return rates.sync_ns + folios * (folio_ns + (scattered ? request_ns : 0)) +
           folios * folio_pages * page_bytes * rates.write_byte_ns * overlap;
}
