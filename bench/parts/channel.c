/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_direction(struct channel *channel, unsigned direction, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return err_sys(err, "pipe");
    channel->pipe_read[direction] = ends[0];
    channel->pipe_write[direction] = ends[1];
    channel->event[direction] = eventfd(0, EFD_CLOEXEC);
    return channel->event[direction] < 0 ? err_sys(err, "eventfd") : 0;
}

int channel_open(struct channel *channel, struct err *err)
{
    *channel = (struct channel)CHANNEL_NONE;
    int rc = open_direction(channel, 0, err);
    if (rc == 0)
        rc = open_direction(channel, 1, err);
    if (rc == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel->socket))
        rc = err_sys(err, "socketpair");
    return rc;
}

static void close_two(int *fds)
{
    for (unsigned i = 0; i < 2; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

void channel_close(struct channel *channel)
{
    close_two(channel->pipe_read);
    close_two(channel->pipe_write);
    close_two(channel->event);
    close_two(channel->socket);
}

int channel_write(int fd, const void *from, uint64_t bytes)
{
    for (uint64_t done = 0; done < bytes;) {
        ssize_t now = write(fd, (const char *)from + done, bytes - done);
        if (now < 0)
            return -errno;
        done += (uint64_t)now;
    }
    return 0;
}

int channel_read(int fd, void *to, uint64_t bytes)
{
    for (uint64_t done = 0; done < bytes;) {
        ssize_t now = read(fd, (char *)to + done, bytes - done);
        if (now <= 0)
            return now < 0 ? -errno : -EPIPE;
        done += (uint64_t)now;
    }
    return 0;
}
