/* SPDX-License-Identifier: MIT */
/*
 * Measures:         lseek to an offset, then read of a block into the destination buffer, and its consumption.
 * Does not measure: finding the offset, making the buffer (except buffer: fresh).
 * Expect:           pread and one system call more.
 * Source:           fs/read_write.c ksys_lseek, ksys_read (fdget_pos).
 */
#define _GNU_SOURCE
#include <unistd.h>

#include "descriptor.h"
#include "transfer.h"

static inline ssize_t call(const struct transfer *transfer, unsigned char *to, uint64_t bytes, uint64_t offset)
{
    if (__builtin_expect(lseek(transfer->fd, (off_t)offset, SEEK_SET) < 0, 0))
        return -1;
    return read(transfer->fd, to, bytes);
}

static int pass(struct worker *worker, uint64_t blocks)
{
    return transfer_blocks(worker, blocks, (struct transfer){.fd = worker->fd}, call);
}

static int run(struct worker *worker, uint64_t blocks)
{
    return descriptor_passes(worker, blocks, pass);
}

const struct method method_lseek_read = {
    .name = "lseek_read",
    .measures = "lseek to an offset and read of one block",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | NEEDS_NAME,
    .uses = USES_WORK | FIELD_BIT(buffer) | FIELD_BIT(descriptor) | FIELD_BIT(advice) | FIELD_BIT(open_as),
    .setup = descriptor_setup,
    .run = run,
    .teardown = descriptor_teardown,
};
