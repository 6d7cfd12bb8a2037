/* SPDX-License-Identifier: MIT */
/* What many unit tests need: cmocka with its headers, a folder of their own, a count of open descriptors. */
#ifndef FAULTLINE_UNIT_H
#define FAULTLINE_UNIT_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LENGTH_OF(array) (sizeof(array) / sizeof *(array))

enum { UNIT_PATH_SIZE = 512 };

static char unit_folder[64]; /* the test's own, made by unit_begin */

/* Setup of a test: a new folder below `parent`. */
static inline int unit_begin_in(const char *parent)
{
    snprintf(unit_folder, sizeof unit_folder, "%s/faultline-unit-XXXXXX", parent);
    return mkdtemp(unit_folder) ? 0 : -1;
}

static inline int unit_begin(void **state)
{
    (void)state;
    return unit_begin_in("/tmp");
}

static inline int unit_remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

/* Teardown of a test: the folder with all that is in it. */
static inline int unit_end(void **state)
{
    (void)state;
    return nftw(unit_folder, unit_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* A path in the folder; good for the next three calls. */
static inline const char *unit_path(const char *name)
{
    static char paths[4][UNIT_PATH_SIZE];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, UNIT_PATH_SIZE, "%s/%s", unit_folder, name);
    return path;
}

static inline bool unit_exists(const char *name)
{
    struct stat status;
    return lstat(unit_path(name), &status) == 0;
}

static inline void unit_write(const char *name, const void *bytes, size_t size)
{
    FILE *file = fopen(unit_path(name), "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* The contents with a terminator; free() it. *size may be NULL. */
static inline char *unit_read(const char *path, size_t *size)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    char *bytes = malloc((size_t)status.st_size + 1);
    assert_non_null(bytes);
    for (off_t have = 0; have < status.st_size;) {
        ssize_t done = read(fd, bytes + have, (size_t)(status.st_size - have));
        assert_true(done > 0);
        have += done;
    }
    close(fd);
    bytes[status.st_size] = '\0';
    if (size)
        *size = (size_t)status.st_size;
    return bytes;
}

static inline unsigned unit_count_entries(const char *path)
{
    unsigned count = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(folder);
    return count;
}

/* Open descriptors of this process, the one that counts them included. */
static inline unsigned unit_count_descriptors(void)
{
    return unit_count_entries("/proc/self/fd");
}

static inline void unit_assert_text(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not say '%s'", text, part);
}

#endif
