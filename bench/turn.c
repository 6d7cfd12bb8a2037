/* SPDX-License-Identifier: MIT */
#include "turn.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { WAIT_MS = 30000 };

int turn_take(struct turn *turn, struct err *err)
{
    char byte;
    struct pollfd readable = {.fd = turn->read_fd, .events = POLLIN};
    if (turn->read_fd < 0)
        return 0;
    if (turn->starts) {
        turn->starts = false;
        return 0;
    }
    int rc;
    do
        rc = poll(&readable, 1, WAIT_MS);
    while (rc < 0 && errno == EINTR);
    if (rc == 0)
        return err_set(err, ETIMEDOUT, "the other side did not pass the turn within %d s", WAIT_MS / 1000);
    if (rc < 0 || read(turn->read_fd, &byte, 1) != 1)
        return err_set(err, EPIPE, "the other side has gone");
    return 0;
}

int turn_give(const struct turn *turn, struct err *err)
{
    if (turn->write_fd < 0)
        return 0;
    return write(turn->write_fd, "t", 1) == 1 ? 0 : err_set(err, EPIPE, "the other side has gone");
}
