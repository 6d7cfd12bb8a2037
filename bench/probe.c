/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe_table.h"

enum { DEADLINE_S = 10 }; /* of one probe; each takes microseconds */

struct answer {
    bool given, works;
    char reason[REASON_SIZE];
};

static void answer_probe(const struct probe_ground *ground, size_t i, struct answer *answer)
{
    struct err why = {0};
    if (probe_table[i].needs == FILE_NEEDED && ground->fd < 0)
        err_set(&why, ENOENT, "%s", ground->file_reason);
    else
        answer->works = probe_table[i].function(ground, &why) == 0;
    snprintf(answer->reason, sizeof answer->reason, "%.*s", REASON_SIZE - 1, why.text);
    answer->given = true;
}

/* In the child: signals as in a new program, whatever the parent or a sanitizer made of them. */
static void default_signals(void)
{
    static const int signals[] = {SIGALRM, SIGSYS, SIGSEGV, SIGBUS, SIGTERM, SIGINT};
    sigset_t none;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * Each in a process of its own: what one leaves behind (a sealed or a second mapping of the file) would be in the way
 * of the next, and one that is killed gets its signal as the answer.
 */
static int ask_in_child(const struct probe_ground *ground, size_t i, struct answer *answer, struct err *err)
{
    int status;
    pid_t child = fork();
    if (child < 0)
        return err_sys(err, "fork");
    if (child == 0) {
        default_signals();
        alarm(DEADLINE_S);
        answer_probe(ground, i, answer);
        _exit(0); /* the program's own way out would write its buffers twice */
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return err_sys(err, "waitpid");
    if (!answer->given)
        snprintf(answer->reason, REASON_SIZE, "trying it ended the process: %s",
                 WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it exited");
    return 0;
}

int probe_file(const char *directory, struct err *err)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    char path[4096 + 32];
    snprintf(path, sizeof path, "%s/.faultline-probe-XXXXXX", directory);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "no file can be made in %s", directory);
    unlink(path);
    return fd;
}

static void ground_open(struct probe_ground *ground, const char *directory)
{
    struct err err = {0};
    *ground = (struct probe_ground){.fd = probe_file(directory, &err), .page = (size_t)sysconf(_SC_PAGESIZE)};
    ground->file_bytes = FILE_PAGES * ground->page;
    char *content = calloc(1, ground->file_bytes);
    if (ground->fd >= 0 &&
        (!content || pwrite(ground->fd, content, ground->file_bytes, 0) != (ssize_t)ground->file_bytes)) {
        err_sys(&err, "the test file in %s cannot be written", directory);
        close(ground->fd);
        ground->fd = -1;
    }
    free(content);
    snprintf(ground->file_reason, sizeof ground->file_reason, "%.*s", REASON_SIZE - 1, err.text);
}

static json_t *answers_json(const struct answer *answers)
{
    json_t *available = json_object();
    for (size_t i = 0; i < probe_count; i++)
        json_object_set_new(available, probe_table[i].name,
                            answers[i].works ? json_true() : json_string(answers[i].reason));
    return available;
}

json_t *probe_all(const char *directory, struct err *err)
{
    struct probe_ground ground;
    json_t *available = NULL;
    size_t bytes = probe_count * sizeof(struct answer);
    struct answer *answers = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (answers == MAP_FAILED) {
        err_sys(err, "mmap");
        return NULL;
    }
    ground_open(&ground, directory);
    for (size_t i = 0; i < probe_count; i++)
        if (ask_in_child(&ground, i, &answers[i], err))
            goto out;
    available = answers_json(answers);
out:
    if (ground.fd >= 0)
        close(ground.fd);
    munmap(answers, bytes);
    return available;
}
