/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/loop.h>

#ifndef LOOP_CONFIGURE /* Linux 5.8; absent from older headers */
#define LOOP_CONFIGURE 0x4C0A
struct loop_config {
    __u32 fd, block_size;
    struct loop_info64 info;
    __u64 reserved[8];
};
#endif

enum { ATTEMPTS_MAX = 16 }; /* others may take the free device first */

/* A sparse file without a name. Its descriptor, or -errno with text. */
static int make_image(const char *directory, uint64_t bytes, struct err *err)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/image-XXXXXX", directory) >= (int)sizeof path)
        return err_set(err, ENAMETOOLONG, "%s", directory);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "make %s", path);
    if (unlink(path) || ftruncate(fd, (off_t)bytes)) {
        int rc = err_sys(err, "make %s", path);
        close(fd);
        return rc;
    }
    /* A loop device takes over the sector size of the disk below only from a file opened for direct I/O. */
    (void)!fcntl(fd, F_SETFL, O_DIRECT);
    return fd;
}

/* Opens the loop device of that number and puts the image behind it. */
static int configure(struct loop *loop, int number, int image_fd, struct err *err)
{
    struct loop_config config = {
        .fd = (unsigned)image_fd,
        .info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
    };
    struct loop_info64 info;
    struct stat status;
    snprintf(loop->path, sizeof loop->path, "/dev/loop%d", number);
    loop->fd = open(loop->path, O_RDWR | O_CLOEXEC);
    if (loop->fd < 0)
        return err_sys(err, "open %s", loop->path);
    if (ioctl(loop->fd, LOOP_CONFIGURE, &config) || ioctl(loop->fd, LOOP_GET_STATUS64, &info) ||
        fstat(loop->fd, &status)) {
        int rc = err_sys(err, "configure %s", loop->path);
        loop_release(loop);
        return rc;
    }
    loop->device = status.st_rdev;
    loop->direct = (info.lo_flags & LO_FLAGS_DIRECT_IO) != 0;
    return 0;
}

int loop_make(struct loop *loop, const char *directory, uint64_t bytes, struct err *err)
{
    *loop = (struct loop){.fd = -1};
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0)
        return err_sys(err, "open /dev/loop-control");
    int image = make_image(directory, bytes, err), rc = image < 0 ? image : -EBUSY;
    for (int i = 0; i < ATTEMPTS_MAX && rc == -EBUSY; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        rc = number < 0 ? err_sys(err, "a free loop device") : configure(loop, number, image, err);
    }
    if (image >= 0)
        close(image);
    close(control);
    return rc;
}

void loop_release(struct loop *loop)
{
    if (loop->fd >= 0)
        close(loop->fd);
    loop->fd = -1;
}
