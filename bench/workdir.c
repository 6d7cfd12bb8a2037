/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "workdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char PREFIX[] = "faultline-run-";
static const char LOCK[] = "lock";
static const char MARK[] = "faultline working folder\n"; /* contents of the lock: only a folder with it is emptied */
enum {
    SUFFIX_LENGTH = 6,
    UNMARKED_AGE_S = 60 /* a folder without a mark that is younger may be one that is being made */
};

/* Removes the plain files of an open folder (it never holds folders), the lock last: what is killed meanwhile is swept.
 */
static void empty_folder(int folder_fd)
{
    DIR *folder = fdopendir(dup(folder_fd));
    struct dirent *entry;
    while (folder && (entry = readdir(folder)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && strcmp(entry->d_name, LOCK) != 0)
            unlinkat(folder_fd, entry->d_name, 0);
    unlinkat(folder_fd, LOCK, 0);
    if (folder)
        closedir(folder);
}

/* Ours, and its run is dead: the lock bears our mark and nobody holds it. */
static bool is_abandoned(int folder_fd)
{
    char mark[sizeof MARK] = "";
    int lock = openat(folder_fd, LOCK, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (lock < 0)
        return false;
    bool marked = read(lock, mark, sizeof MARK - 1) == sizeof MARK - 1 && strcmp(mark, MARK) == 0;
    bool abandoned = marked && flock(lock, LOCK_EX | LOCK_NB) == 0;
    close(lock);
    return abandoned;
}

/* Its run was killed before it wrote the mark, or after it removed it: there is at most an empty lock in it. */
static bool is_bare(int folder_fd, const struct stat *folder)
{
    struct stat lock;
    if (time(NULL) - folder->st_mtime < UNMARKED_AGE_S)
        return false;
    return fstatat(folder_fd, LOCK, &lock, AT_SYMLINK_NOFOLLOW) ? errno == ENOENT
                                                                : S_ISREG(lock.st_mode) && lock.st_size == 0;
}

static void sweep_one(int parent_fd, const char *name)
{
    struct stat status;
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool ours = fd >= 0 && fstat(fd, &status) == 0 && status.st_uid == geteuid();
    bool abandoned = ours && is_abandoned(fd), bare = ours && !abandoned && is_bare(fd, &status);
    if (abandoned)
        empty_folder(fd);
    if (bare)
        unlinkat(fd, LOCK, 0);
    if (abandoned || bare)
        unlinkat(parent_fd, name, AT_REMOVEDIR); /* which fails when there is something in it after all */
    if (fd >= 0)
        close(fd);
}

static void sweep(const char *parent)
{
    DIR *folder = opendir(parent);
    struct dirent *entry;
    while (folder && (entry = readdir(folder)))
        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) == 0 &&
            strlen(entry->d_name) == sizeof PREFIX - 1 + SUFFIX_LENGTH)
            sweep_one(dirfd(folder), entry->d_name);
    if (folder)
        closedir(folder);
}

int workdir_make(struct workdir *workdir, const char *parent, struct err *err)
{
    char lock[sizeof workdir->path + 8];
    *workdir = (struct workdir){.lock_fd = -1};
    sweep(parent);
    int length = snprintf(workdir->path, sizeof workdir->path, "%s/%sXXXXXX", parent, PREFIX);
    errno = ENAMETOOLONG; /* mkdtemp, when it is reached, knows better */
    if (length < 0 || (size_t)length >= sizeof workdir->path || !mkdtemp(workdir->path)) {
        workdir->path[0] = '\0';
        return err_sys(err, "make a folder in %s", parent);
    }
    snprintf(lock, sizeof lock, "%s/%s", workdir->path, LOCK);
    workdir->lock_fd = open(lock, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    /* The mark is written after the lock is held: nobody sweeps a folder that is being made. */
    if (workdir->lock_fd < 0 || flock(workdir->lock_fd, LOCK_EX | LOCK_NB) ||
        write(workdir->lock_fd, MARK, sizeof MARK - 1) != sizeof MARK - 1)
        return err_sys(err, "lock %s", lock);
    return 0;
}

void workdir_remove(struct workdir *workdir)
{
    if (!workdir->path[0])
        return;
    int fd = open(workdir->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        empty_folder(fd);
        close(fd);
    }
    rmdir(workdir->path);
    if (workdir->lock_fd >= 0)
        close(workdir->lock_fd);
    workdir->path[0] = '\0';
}
