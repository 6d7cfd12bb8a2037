/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sysfile.h"

#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int line_read(const char *path, char *text, size_t size, struct err *err)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return err_sys(err, "%s", path);
    int rc = 0;
    text[0] = '\0';
    if (!fgets(text, (int)size, file) && ferror(file))
        rc = err_sys(err, "%s", path);
    fclose(file);
    size_t length = strcspn(text, "\n");
    while (length && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    text[length] = '\0';
    return rc;
}

int sysfile_line(char *text, size_t size, struct err *err, const char *format, ...)
{
    char path[SYSFILE_PATH_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(path, sizeof path, format, args);
    va_end(args);
    return line_read(path, text, size, err);
}

int sysfile_number(int64_t *value, struct err *err, const char *format, ...)
{
    char path[SYSFILE_PATH_SIZE], text[64], *end;
    va_list args;
    va_start(args, format);
    vsnprintf(path, sizeof path, format, args);
    va_end(args);
    int rc = line_read(path, text, sizeof text, err);
    if (rc)
        return rc;
    errno = 0;
    *value = strtoll(text, &end, 0);
    if (errno || end == text || *end)
        return err_set(err, EINVAL, "%s: '%s' is not a number", path, text);
    return 0;
}

json_t *sysfile_text(const char *text, struct err *why)
{
    json_t *value = json_string(text);
    if (!value)
        err_set(why, EILSEQ, "not UTF-8");
    return value;
}

json_t *sysfile_value(const char *line, struct err *err)
{
    char *end;
    errno = 0;
    long long number = strtoll(line, &end, 10);
    if (end != line && !*end && !errno)
        return json_integer(number);
    const char *open = strchr(line, '['), *close = open ? strchr(open, ']') : NULL;
    json_t *value = close ? json_stringn(open + 1, (size_t)(close - open - 1)) : json_string(line);
    if (!value)
        err_set(err, EILSEQ, "not UTF-8");
    return value;
}

json_t *sysfile_json(const char *path, struct err *err)
{
    char line[4096];
    return line_read(path, line, sizeof line, err) ? NULL : sysfile_value(line, err);
}

/* The component of `path` that stands where `pattern` has its star. */
static size_t starred_component(const char *pattern, const char *path, const char **start)
{
    const char *slash = pattern;
    for (const char *at = pattern; *at && *at != '*'; at++)
        if (*at == '/')
            slash = at + 1;
    *start = path + (slash - pattern);
    return strcspn(*start, "/");
}

json_t *sysfile_glob(const char *pattern, struct err *err)
{
    glob_t found;
    int rc = glob(pattern, 0, NULL, &found);
    if (rc) {
        err_set(err, ENOENT, "%s: %s", pattern, rc == GLOB_NOMATCH ? "there is none" : "cannot be read");
        return NULL;
    }
    json_t *object = json_object();
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *start;
        size_t length = starred_component(pattern, found.gl_pathv[i], &start);
        char key[256];
        snprintf(key, sizeof key, "%.*s", (int)length, start);
        json_t *value = sysfile_json(found.gl_pathv[i], err);
        json_object_set_new(object, key, value ? value : json_null());
    }
    globfree(&found);
    return object;
}

int sysfile_list_next(const char **at, unsigned *first, unsigned *last)
{
    int used = 0;
    if (!**at)
        return 0;
    if (sscanf(*at, "%u-%u%n", first, last, &used) < 2 || !used) {
        if (sscanf(*at, "%u%n", first, &used) < 1)
            return -EINVAL;
        *last = *first;
    }
    *at += used;
    *at += **at == ',';
    return *last < *first ? -EINVAL : 1;
}

int sysfile_list_count(const char *list, unsigned *count, struct err *err)
{
    unsigned first, last;
    int more;
    *count = 0;
    for (const char *at = list; (more = sysfile_list_next(&at, &first, &last)) > 0;)
        *count += last - first + 1;
    return more ? err_set(err, EINVAL, "'%s' is not a list of numbers", list) : 0;
}
