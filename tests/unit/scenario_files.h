/* SPDX-License-Identifier: MIT */
/* Scenario files for tests: written to a temporary folder, or found under tests/data/bad. */
#ifndef FAULTLINE_SCENARIO_FILES_H
#define FAULTLINE_SCENARIO_FILES_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { FILES_PATH_SIZE = 600 };

static char files_folder[64];

static inline int files_begin(void **state)
{
    (void)state;
    snprintf(files_folder, sizeof files_folder, "/tmp/faultline-scenario-XXXXXX");
    return mkdtemp(files_folder) ? 0 : -1;
}

static inline int files_end(void **state)
{
    (void)state;
    DIR *folder = opendir(files_folder);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
    return rmdir(files_folder);
}

/* Writes a file of the temporary folder; returns its path, valid until the next call. */
static inline const char *files_write(const char *name, const void *bytes, size_t size)
{
    static char path[FILES_PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", files_folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* Calls `check` for each file of tests/data/bad whose name starts with `prefix`; `expected` is the message its first
 * line announces. */
static inline unsigned files_each_bad(const char *prefix, void (*check)(const char *path, const char *expected))
{
    static const char mark[] = "# expect: ";
    unsigned count = 0;
    DIR *folder = opendir(TESTS_DIR "/data/bad");
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[FILES_PATH_SIZE], line[FILES_PATH_SIZE], expected[2 * FILES_PATH_SIZE];
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        snprintf(path, sizeof path, TESTS_DIR "/data/bad/%s", entry->d_name);
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        assert_non_null(fgets(line, sizeof line, file));
        fclose(file);
        assert_int_equal(strncmp(line, mark, sizeof mark - 1), 0);
        line[strcspn(line, "\n")] = '\0';
        const char *text = line + sizeof mark - 1;
        bool placed = *text >= '0' && *text <= '9';
        snprintf(expected, sizeof expected, "%s%s%s", placed ? path : "", placed ? ":" : "", text);
        check(path, expected);
        count++;
    }
    closedir(folder);
    return count;
}

/* Calls `check` for each scenario of the tree. */
static inline unsigned files_each_shipped(void (*check)(const char *path))
{
    static const char *const folders[] = {"access", "floor", "selfbench"};
    unsigned count = 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char name[FILES_PATH_SIZE];
        snprintf(name, sizeof name, TESTS_DIR "/../scenarios/%s", folders[i]);
        DIR *folder = opendir(name);
        assert_non_null(folder);
        for (struct dirent *entry; (entry = readdir(folder));) {
            char path[2 * FILES_PATH_SIZE];
            size_t length = strlen(entry->d_name);
            if (length < 5 || strcmp(entry->d_name + length - 5, ".yaml") != 0)
                continue;
            snprintf(path, sizeof path, "%s/%s", name, entry->d_name);
            check(path);
            count++;
        }
        closedir(folder);
    }
    return count;
}

#endif
