/* SPDX-License-Identifier: MIT */
#include "turn.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

enum { WAIT_S = 30, WAIT_S_MOST = INT_MAX / 1000 };

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
    unsigned wait_s = turn->wait_s ? turn->wait_s : WAIT_S;
    int rc, wait_ms = 1000 * (int)(wait_s < WAIT_S_MOST ? wait_s : WAIT_S_MOST);
    do
        rc = poll(&readable, 1, wait_ms);
    while (rc < 0 && errno == EINTR);
    if (rc == 0)
        return err_set(err, ETIMEDOUT, "the other side did not pass the turn within %u s", wait_s);
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
