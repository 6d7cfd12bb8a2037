/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "subcommand.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_word(const char *name)
{
    return *name >= 'a' && *name <= 'z' && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name);
}

static bool try_folder(const char *folder, int folder_length, const char *name, char *path, unsigned long size)
{
    int length = snprintf(path, size, "%.*s/faultline-%s", folder_length, folder, name);
    return length > 0 && (unsigned long)length < size && access(path, X_OK) == 0;
}

bool subcommand_find(const char *name, char *path, unsigned long path_size)
{
    char self[PATH_MAX];
    if (!is_word(name))
        return false;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    const char *slash = length > 0 ? memrchr(self, '/', (size_t)length) : NULL;
    if (slash && try_folder(self, (int)(slash - self), name, path, path_size))
        return true;
    for (const char *folder = getenv("PATH"); folder && *folder;) {
        size_t span = strcspn(folder, ":");
        if (span && try_folder(folder, (int)span, name, path, path_size))
            return true;
        folder += span + (folder[span] == ':');
    }
    return false;
}

int subcommand_exec(const char *name, char **argv, struct err *err)
{
    char path[PATH_MAX];
    if (!subcommand_find(name, path, sizeof path))
        return err_set(err, ENOENT, "'%s' is no command of faultline", name);
    argv[0] = path;
    signal(SIGPIPE, SIG_DFL); /* what is ignored stays so over exec, and other programs rely on it */
    execv(path, argv);
    return err_sys(err, "run %s", path);
}

int subcommand_run(const char *name, char **argv, int *status, struct err *err)
{
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        return err_sys(err, "fork");
    if (child == 0) {
        subcommand_exec(name, argv, err);
        _exit(127);
    }
    int result;
    while (waitpid(child, &result, 0) < 0) {
        if (errno != EINTR)
            return err_sys(err, "wait for %s", name);
        kill(child, SIGTERM); /* a signal that the caller catches is meant for what it waits for too */
    }
    *status = WIFEXITED(result) ? WEXITSTATUS(result) : 128 + WTERMSIG(result);
    return 0;
}
