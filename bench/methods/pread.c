/* SPDX-License-Identifier: MIT */
/*
 * Measures:         pread of a block at an offset into the destination buffer, and what the consumer does with it
 *                   there; with descriptor: per_pass also open and close of each pass.
 * Does not measure: finding the offset (computed before), making the buffer (except buffer: fresh).
 * Expect:           0.5-1 us for 4 KiB warm; a fresh destination 3-5 times a reused one; by O_DIRECT what the storage
 *                   takes, however warm the file is.
 * Source:           fs/read_write.c ksys_pread64, mm/filemap.c filemap_read; fs/iomap/direct-io.c iomap_dio_rw.
 */
#define _GNU_SOURCE
#include <unistd.h>

#include "descriptor.h"
#include "transfer.h"

static inline ssize_t call(const struct transfer *transfer, unsigned char *to, uint64_t bytes, uint64_t offset)
{
    return pread(transfer->fd, to, bytes, (off_t)offset);
}

static int pass(struct worker *worker, uint64_t blocks)
{
    return transfer_blocks(worker, blocks, (struct transfer){.fd = worker->fd}, call);
}

static int run(struct worker *worker, uint64_t blocks)
{
    return descriptor_passes(worker, blocks, pass);
}

const struct method method_pread = {
    .name = "pread",
    .measures = "pread of one block at an offset",
    .version = 1,
    .needs = NEEDS_FILE | NEEDS_BUFFER | NEEDS_NAME,
    .uses = USES_WORK | FIELD_BIT(buffer) | FIELD_BIT(descriptor) | FIELD_BIT(advice) | FIELD_BIT(open_as) |
            FIELD_BIT(descriptor_of) | FIELD_BIT(stalls),
    .setup = descriptor_setup,
    .run = run,
    .teardown = descriptor_teardown,
};
