/* SPDX-License-Identifier: MIT */
/*
 * Measures:         a payload of payload_bytes that one worker hands to the other, which sums it and hands one back; an
 *                   operation is one of the two: from a buffer of the sender's into a buffer of the receiver's, or with
 *                   consume: in_place into its hands where it lies in the mapping.
 * Does not measure: filling the sender's buffer, of which only a number changes from one to the next.
 * Expect:           0.1-0.3 us for 64 bytes where the receiver spins; where it sleeps, waking it: 1-10 us, and tens
 *                   in a virtual machine whose idle CPU gives itself up to the host. Who is handed the next payload
 *                   before he sleeps is not woken: some batches are then far cheaper than others.
 * Source:           fs/pipe.c pipe_write, net/unix/af_unix.c unix_stream_sendmsg, fs/eventfd.c eventfd_write,
 *                   kernel/futex/waitwake.c futex_wake; kernel/sched/core.c try_to_wake_up for all that sleep.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "channel.h"
#include "shared.h"
#include "target.h"
#include "walk.h"

struct own {
    uint64_t sum; /* of a payload without its number: the same on both sides */
    char rest[SHARED_LINE - sizeof(uint64_t)];
    uint64_t words[]; /* [2][payload]: what is sent, and where what comes is put; on whole lines */
};

/* The word by which worker `from` tells that its payload of that number is there. */
static _Atomic uint32_t *flag_of(const struct worker *worker, unsigned from)
{
    return (_Atomic uint32_t *)(void *)(worker->base + (size_t)from * SHARED_LINE);
}

/* Where in the file and its mapping the payload of worker `from` lies. */
static uint64_t place_of(const struct worker *worker, unsigned from)
{
    return worker->base_bytes / 4 / SHARED_LINE * SHARED_LINE * (1 + from);
}

static uint64_t *outgoing(const struct worker *worker)
{
    return ((struct own *)worker->own)->words;
}

static uint64_t *incoming(const struct worker *worker)
{
    return outgoing(worker) + worker->params->payload_bytes / sizeof(uint64_t);
}

static int wake_futex(_Atomic uint32_t *flag)
{
    return syscall(SYS_futex, flag, FUTEX_WAKE, 1, NULL, NULL, 0) < 0 ? -errno : 0;
}

static int wait_spinning(_Atomic uint32_t *flag, uint32_t number)
{
    struct shared_wait wait = {0};
    while (atomic_load_explicit(flag, memory_order_acquire) != number)
        if (shared_is_late(&wait))
            return -ETIMEDOUT;
    return 0;
}

static int wait_futex(_Atomic uint32_t *flag, uint32_t number)
{
    const struct timespec patience = {SHARED_PATIENCE_NS / (1000 * MS), 0};
    uint32_t seen;
    while ((seen = atomic_load_explicit(flag, memory_order_acquire)) != number)
        if (syscall(SYS_futex, flag, FUTEX_WAIT, seen, &patience, NULL, 0) && errno != EAGAIN && errno != EINTR)
            return -errno;
    return 0;
}

WALK_SPECIALISED int send_payload(const struct worker *worker, enum via via, uint32_t number)
{
    const uint64_t *from = outgoing(worker), one = 1;
    uint64_t bytes = worker->params->payload_bytes;
    unsigned me = worker->index;
    _Atomic uint32_t *flag = flag_of(worker, me);
    if (via == via_pipe)
        return channel_write(worker->channel->pipe_write[me], from, bytes);
    if (via == via_socketpair)
        return channel_write(worker->channel->socket[me], from, bytes);
    if (via != via_file_spin)
        memcpy(worker->base + place_of(worker, me), from, bytes);
    else if (pwrite(worker->fd, from, bytes, (off_t)place_of(worker, me)) != (ssize_t)bytes)
        return -EIO;
    atomic_store_explicit(flag, number, memory_order_release);
    if (via == via_mapped_eventfd)
        return channel_write(worker->channel->event[me], &one, sizeof one);
    return via == via_mapped_futex ? wake_futex(flag) : 0;
}

/* Waits until the payload of that number is there, and for those that go through the kernel until it has come. */
WALK_SPECIALISED int await_payload(const struct worker *worker, enum via via, uint32_t number)
{
    uint64_t bytes = worker->params->payload_bytes, events;
    unsigned from = !worker->index;
    switch (via) {
    case via_pipe:
        return channel_read(worker->channel->pipe_read[from], incoming(worker), bytes);
    case via_socketpair:
        return channel_read(worker->channel->socket[worker->index], incoming(worker), bytes);
    case via_mapped_eventfd:
        return channel_read(worker->channel->event[from], &events, sizeof events);
    case via_mapped_futex:
        return wait_futex(flag_of(worker, from), number);
    default:
        return wait_spinning(flag_of(worker, from), number);
    }
}

/* Brings it into the receiver's buffer where it is not there yet, and says where to read it; NULL when that failed. */
WALK_SPECIALISED const uint64_t *take_payload(const struct worker *worker, enum via via)
{
    uint64_t bytes = worker->params->payload_bytes, place = place_of(worker, !worker->index);
    bool mapped = via == via_mapped_spin || via == via_mapped_futex || via == via_mapped_eventfd;
    if (mapped && worker->params->consume == consume_in_place)
        return (const uint64_t *)(const void *)(worker->base + place);
    if (mapped)
        memcpy(incoming(worker), worker->base + place, bytes);
    else if (via == via_file_spin && pread(worker->fd, incoming(worker), bytes, (off_t)place) != (ssize_t)bytes)
        return NULL;
    return incoming(worker);
}

/* A payload that is not the one that is due, or not whole, ends the arm. */
WALK_SPECIALISED int receive_payload(struct worker *worker, enum via via, uint32_t number)
{
    const struct own *own = worker->own;
    int rc = await_payload(worker, via, number);
    const uint64_t *payload = rc ? NULL : take_payload(worker, via);
    if (!payload)
        return rc ? rc : -EIO;
    uint64_t sum = walk_sum((const unsigned char *)payload, worker->params->payload_bytes);
    if (payload[0] == number && sum == own->sum + number)
        return 0;
    if (payload[0] == 0)
        return -ECANCELED;
    worker->fault = "a payload came that was not due, or not whole";
    return -EPROTO;
}

/* No payload has the number 0: who sleeps until one comes learns from it that none will. */
static void call_off(const struct worker *worker, enum via via)
{
    outgoing(worker)[0] = 0;
    send_payload(worker, via, 0);
}

/* One of each worker's: the first sends and awaits the answer, the other waits and answers. */
WALK_SPECIALISED int exchange(struct worker *worker, enum via via, uint32_t number)
{
    outgoing(worker)[0] = number;
    int rc = worker->index == 0 ? send_payload(worker, via, number) : 0;
    if (rc == 0)
        rc = receive_payload(worker, via, number);
    if (rc == 0 && worker->index)
        rc = send_payload(worker, via, number);
    return rc;
}

static int exchange_in_laps(struct worker *worker, enum via via, uint32_t hops, struct laps *laps)
{
    int rc = 0;
    for (uint32_t i = 0; i < hops && rc == 0; i++) {
        uint64_t begin = clock_now_ns();
        rc = exchange(worker, via, i + 1);
        if (rc == 0 && worker->index == 0)
            laps->keep(laps, begin, clock_now_ns(), 2);
    }
    return rc;
}

WALK_SPECIALISED int exchange_all(struct worker *worker, enum via via, uint32_t hops)
{
    int rc = 0;
    for (uint32_t i = 0; i < hops && rc == 0; i++)
        rc = exchange(worker, via, i + 1);
    return rc;
}

/* Where no call is made, to ask for the way at each step would be a twentieth of it. */
static int exchange_by(struct worker *worker, enum via via, uint32_t hops)
{
    return via == via_mapped_spin ? exchange_all(worker, via_mapped_spin, hops) : exchange_all(worker, via, hops);
}

static int play(struct worker *worker, uint64_t hops, struct laps *laps)
{
    enum via via = (enum via)worker->params->via;
    uint32_t count = (uint32_t)hops;
    int rc = laps ? exchange_in_laps(worker, via, count, laps) : exchange_by(worker, via, count);
    if (rc && rc != -ETIMEDOUT && rc != -ECANCELED)
        call_off(worker, via);
    return rc;
}

static int run(struct worker *worker, uint64_t hops)
{
    return play(worker, hops, NULL);
}

/* Numbers begin anew with each batch; pipes, sockets and counters are empty, for all that was sent has been received.
 */
static int reset(struct worker *worker, uint64_t hops, struct err *err)
{
    (void)hops;
    (void)err;
    atomic_store(flag_of(worker, worker->index), 0);
    return 0;
}

static uint64_t limit(const struct params *params)
{
    (void)params;
    return UINT32_MAX - 1;
}

static int setup(struct worker *worker, struct err *err)
{
    uint64_t bytes = worker->params->payload_bytes, words = bytes / sizeof(uint64_t);
    int rc = shared_setup(worker, err);
    if (rc)
        return rc;
    uint64_t page_bytes = worker->target->page_bytes;
    uint64_t whole = (sizeof(struct own) + 2 * bytes + page_bytes - 1) / page_bytes * page_bytes;
    struct own *own = worker->own = aligned_alloc(page_bytes, whole);
    if (!own)
        return err_set(err, ENOMEM, "no memory for payloads of %llu bytes", (unsigned long long)bytes);
    memset(own, 0, whole);
    for (uint64_t i = 1; i < words; i++)
        own->words[i] = i * UINT64_C(0x9e3779b97f4a7c15);
    own->sum = walk_sum((const unsigned char *)own->words, bytes);
    atomic_store(flag_of(worker, worker->index), 0);
    return 0;
}

static void teardown(struct worker *worker)
{
    free(worker->own);
    worker->own = NULL;
    shared_teardown(worker);
}

static uint64_t block_ns(const struct params *params)
{
    const uint64_t line_ns = 85, calls_ns = 1500, sleep_ns = 38 * US;
    uint64_t way = params->via == via_mapped_spin ? line_ns : params->via == via_file_spin ? calls_ns : sleep_ns;
    return way + params->payload_bytes / 10;
}

const struct method method_hand_off = {
    .name = "hand_off",
    .measures = "a payload handed from one worker to the other, through a mapping, a file, a pipe or a socket",
    .version = 2,
    .needs = NEEDS_FILE | NEEDS_WRITE | NEEDS_PAIR | NEEDS_CHANNEL,
    .uses = USES_SHARED | FIELD_BIT(via) | FIELD_BIT(payload_bytes) | FIELD_BIT(consume),
    .limit = limit,
    .block_ns = block_ns,
    .setup = setup,
    .reset = reset,
    .run = run,
    .laps = play,
    .teardown = teardown,
};
