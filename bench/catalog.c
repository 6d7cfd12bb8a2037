/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "catalog.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build.h"

enum { DEPTH_MAX = 8 };

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

void catalog_root(char *path, unsigned long size)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    const char *slash = length > 0 ? memrchr(self, '/', (size_t)length) : NULL;
    if (slash) {
        snprintf(path, size, "%.*s/../share/faultline/scenarios", (int)(slash - self), self);
        if (is_folder(path))
            return;
    }
    snprintf(path, size, "%s/scenarios", FAULTLINE_SOURCE_DIR);
}

static int add_path(struct catalog *catalog, const char *path, struct err *err)
{
    char **larger = realloc(catalog->paths, (catalog->count + 1) * sizeof *larger);
    char *copy = strdup(path);
    if (larger)
        catalog->paths = larger;
    if (!larger || !copy) {
        free(copy);
        return err_set(err, ENOMEM, "no memory for the scenarios");
    }
    catalog->paths[catalog->count++] = copy;
    return 0;
}

static bool is_yaml(const char *name)
{
    size_t length = strlen(name);
    return length > 5 && strcmp(name + length - 5, ".yaml") == 0;
}

static int add_folder(struct catalog *catalog, const char *folder, unsigned depth, struct err *err)
{
    struct dirent **entries = NULL;
    char path[PATH_MAX];
    int count = scandir(folder, &entries, NULL, alphasort), rc = 0;
    if (count < 0)
        return err_sys(err, "%s", folder);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        int length = snprintf(path, sizeof path, "%s/%s", folder, name);
        if (rc == 0 && name[0] != '.' && length > 0 && (size_t)length < sizeof path) {
            if (is_folder(path) && depth < DEPTH_MAX)
                rc = add_folder(catalog, path, depth + 1, err);
            else if (is_yaml(name))
                rc = add_path(catalog, path, err);
        }
        free(entries[i]);
    }
    free(entries);
    return rc;
}

/* -ENOENT without text when there is neither. */
static int add_file_or_folder(struct catalog *catalog, const char *path, struct err *err)
{
    unsigned before = catalog->count;
    if (is_folder(path)) {
        int rc = add_folder(catalog, path, 0, err);
        return rc ? rc : catalog->count > before ? 0 : err_set(err, ENOENT, "%s: no scenario in it", path);
    }
    return access(path, F_OK) == 0 ? add_path(catalog, path, err) : -ENOENT;
}

int catalog_add(struct catalog *catalog, const char *word, struct err *err)
{
    char root[PATH_MAX], path[PATH_MAX * 2];
    err->code = 0;
    int rc = add_file_or_folder(catalog, word, err);
    if (rc == 0 || err->code)
        return rc;
    catalog_root(root, sizeof root);
    snprintf(path, sizeof path, "%s/%s.yaml", root, word);
    rc = add_file_or_folder(catalog, path, err);
    if (rc == -ENOENT && !err->code && *word) { /* an unset variable is not the whole catalogue */
        snprintf(path, sizeof path, "%s/%s", root, word);
        rc = add_file_or_folder(catalog, path, err);
    }
    if (rc == -ENOENT && !err->code)
        return err_set(err, ENOENT, "'%s' is neither a file nor a scenario: see 'faultline list scenarios'", word);
    return rc;
}

void catalog_free(struct catalog *catalog)
{
    for (unsigned i = 0; i < catalog->count; i++)
        free(catalog->paths[i]);
    free(catalog->paths);
    *catalog = (struct catalog){0};
}
