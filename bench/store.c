/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "record.h"

enum { LOCK_TRIES = 20, LOCK_PAUSE_US = 25000 };

static const char RECORDS[] = "trials.jsonl";

/* Writes DIRECTORY/NAME; -ENAMETOOLONG. */
static int path_of(const struct store *store, const char *name, char *path, size_t size, struct err *err)
{
    int length = snprintf(path, size, "%s/%s", store->directory, name);
    return length < 0 || (size_t)length >= size ? err_set(err, ENAMETOOLONG, "%s", store->directory) : 0;
}

/* 1 when it is an empty folder, 0 when it is a folder with something in it, -errno otherwise. */
static int is_empty(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    int empty = 1;
    if (!folder)
        return -errno;
    while (empty && (entry = readdir(folder)))
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(folder);
    return empty;
}

static void run_name(char *name, size_t size, const char *host)
{
    struct tm utc;
    time_t now = time(NULL);
    uint32_t random = 0;
    char stamp[32], safe[40];
    size_t used = 0;
    (void)!getrandom(&random, sizeof random, 0);
    gmtime_r(&now, &utc);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
    for (const char *at = host; *at && used < sizeof safe - 1; at++)
        safe[used++] = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') ? *at
                                                                                                              : '-';
    safe[used] = '\0';
    snprintf(name, size, "%s-%s-%06" PRIx32, stamp, used ? safe : "host", random & 0xffffff);
}

/* Makes the folder and those above it that are missing. */
static int make_folders(const char *path, struct err *err)
{
    char part[sizeof((struct store *)0)->directory];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = part + 1; *slash; slash++)
        if (*slash == '/') {
            *slash = '\0';
            if (mkdir(part, 0777) && errno != EEXIST)
                return err_sys(err, "make %s", part);
            *slash = '/';
        }
    return mkdir(part, 0777) && errno != EEXIST ? err_sys(err, "make %s", part) : 0;
}

/* The children of a run that was just killed die with it, but a moment later: they have its lock until then. */
static int lock_records(int fd)
{
    for (unsigned tries = 0; flock(fd, LOCK_EX | LOCK_NB); tries++) {
        if (tries == LOCK_TRIES)
            return -EBUSY;
        usleep(LOCK_PAUSE_US);
    }
    return 0;
}

static int open_records(struct store *store, int flags, struct err *err)
{
    char path[sizeof store->directory + 32];
    int rc = path_of(store, RECORDS, path, sizeof path, err);
    if (rc)
        return rc;
    store->records_fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC | flags, 0666);
    if (store->records_fd < 0)
        return err_sys(err, "open %s", path);
    if (lock_records(store->records_fd))
        return err_set(err, EBUSY, "%s is being written by another run", store->directory);
    return 0;
}

int store_make(struct store *store, const char *out, const char *parent, const char *host, struct err *err)
{
    char name[96];
    *store = (struct store){.records_fd = -1};
    run_name(name, sizeof name, host);
    if (out && !*out)
        return err_set(err, ENOENT, "--out: an empty name is no directory");
    int empty = out ? is_empty(out) : 0;
    if (out && empty < 0 && empty != -ENOENT)
        return err_set(err, -empty, "--out %s: %s", out, strerror(-empty));
    int length = out && empty != 0
                     ? snprintf(store->directory, sizeof store->directory, "%s", out)
                     : snprintf(store->directory, sizeof store->directory, "%s/%s", out ? out : parent, name);
    if (length < 0 || (size_t)length >= sizeof store->directory)
        return err_set(err, ENAMETOOLONG, "--out %s", out ? out : parent);
    int rc = make_folders(store->directory, err);
    return rc ? rc : open_records(store, O_CREAT | O_EXCL, err);
}

/* A killed run may leave half a line: what follows the last newline is cut off. */
static int cut_torn_tail(const struct store *store, struct err *err)
{
    char block[4096];
    off_t end = lseek(store->records_fd, 0, SEEK_END), keep = 0;
    for (off_t at = end; at > 0 && keep == 0;) {
        off_t start = at > (off_t)sizeof block ? at - (off_t)sizeof block : 0;
        ssize_t done = pread(store->records_fd, block, (size_t)(at - start), start);
        if (done != at - start)
            return err_sys(err, "read %s/%s", store->directory, RECORDS);
        const char *newline = memrchr(block, '\n', (size_t)done);
        keep = newline ? start + (newline - block) + 1 : 0;
        at = start;
    }
    return keep < end && ftruncate(store->records_fd, keep) ? err_sys(err, "truncate %s/%s", store->directory, RECORDS)
                                                            : 0;
}

int store_open(struct store *store, const char *directory, struct err *err)
{
    *store = (struct store){.records_fd = -1};
    if (strlen(directory) >= sizeof store->directory)
        return err_set(err, ENAMETOOLONG, "%s", directory);
    strcpy(store->directory, directory);
    int rc = open_records(store, 0, err);
    return rc ? rc : cut_torn_tail(store, err);
}

void store_close(struct store *store)
{
    if (store->records_fd >= 0)
        close(store->records_fd);
    store->records_fd = -1;
}

int store_read(const struct store *store, int (*visit)(void *context, const json_t *record), void *context,
               struct err *err)
{
    char path[sizeof store->directory + 32], *line = NULL;
    size_t size = 0;
    int rc = path_of(store, RECORDS, path, sizeof path, err);
    FILE *file = rc ? NULL : fopen(path, "re");
    if (!file)
        return rc ? rc : err_sys(err, "open %s", path);
    for (ssize_t length; rc == 0 && (length = getline(&line, &size, file)) > 0;) {
        if (line[length - 1] != '\n')
            break; /* torn: it was never finished */
        json_t *record = record_parse(line, (size_t)length - 1);
        rc = visit(context, record);
        json_decref(record);
    }
    free(line);
    fclose(file);
    return rc;
}

int store_append(const struct store *store, const char *line, unsigned long length, struct err *err)
{
    off_t before = lseek(store->records_fd, 0, SEEK_END);
    ssize_t done = write(store->records_fd, line, length);
    if (done == (ssize_t)length)
        return 0;
    int rc = done < 0 ? err_sys(err, "write %s/%s", store->directory, RECORDS)
                      : err_set(err, ENOSPC, "write %s/%s: no space left", store->directory, RECORDS);
    if (done > 0 && ftruncate(store->records_fd, before))
        return err_sys(err, "truncate %s/%s", store->directory, RECORDS);
    return rc;
}

int store_put_json(const struct store *store, const char *name, const json_t *json, struct err *err)
{
    char path[sizeof store->directory + 64], temporary[sizeof path + 8];
    int rc = path_of(store, name, path, sizeof path, err);
    if (rc)
        return rc;
    char *text = json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    if (!text)
        return err_set(err, EINVAL, "%s: its contents are no JSON (text that is not UTF-8?)", path);
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        free(text);
        return err_sys(err, "create %s", temporary);
    }
    FILE *file = fdopen(fd, "w");
    if (!file || fputs(text, file) < 0 || fputc('\n', file) < 0 || fflush(file) || fsync(fd))
        rc = err_sys(err, "write %s", temporary);
    if (file ? fclose(file) : close(fd))
        rc = rc ? rc : err_sys(err, "write %s", temporary);
    free(text);
    if (rc == 0 && rename(temporary, path))
        rc = err_sys(err, "rename %s", temporary);
    if (rc)
        unlink(temporary);
    return rc;
}

json_t *store_get_json(const struct store *store, const char *name, struct err *err)
{
    char path[sizeof store->directory + 64];
    json_error_t where;
    if (path_of(store, name, path, sizeof path, err))
        return NULL;
    json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
    if (!json)
        err_set(err, EBADMSG, "%s:%d:%d: %s", path, where.line, where.column, where.text);
    return json;
}
