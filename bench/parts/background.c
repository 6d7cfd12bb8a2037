/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "background.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "shared.h"
#include "walk.h"

#define CHUNK_BYTES (64 * KIB) /* between two looks at the others: some microseconds */
#define JUDGED_NS (200 * US)   /* whoever runs at all moves on several times in this, also where memory is contended */
enum { TIMED = 2 };

static bool is_idle(const struct worker *worker)
{
    return worker->params->background == background_none;
}

int background_setup(struct worker *worker, struct err *err)
{
    if (is_idle(worker))
        return 0;
    void *memory = mmap(NULL, BACKGROUND_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1,
                        0);
    if (memory == MAP_FAILED)
        return err_set(err, ENOMEM, "no memory for the background");
    memset(memory, 1, BACKGROUND_BYTES);
    worker->own = memory;
    return 0;
}

void background_teardown(struct worker *worker)
{
    if (worker->own)
        munmap(worker->own, BACKGROUND_BYTES);
    worker->own = NULL;
}

static void use(struct worker *worker, uint64_t at)
{
    unsigned char *chunk = (unsigned char *)worker->own + at;
    if (worker->params->background == background_write)
        memset(chunk, (int)(at / CHUNK_BYTES), CHUNK_BYTES);
    else
        worker->sum += walk_sum(chunk, CHUNK_BYTES);
    __asm__ volatile("" : : "r"(chunk) : "memory");
}

/* That the two get on shows in their words, whatever they hand over. */
static uint64_t progress(const struct worker *worker)
{
    return atomic_load_explicit(shared_word(worker, 0), memory_order_relaxed);
}

int background_run(struct worker *worker)
{
    struct shared_slot *slot = shared_slot(worker, worker->index);
    uint64_t seen = progress(worker), limit_ns = clock_now_ns() + SHARED_PATIENCE_NS + worker->params->pause;
    for (uint64_t at = 0; !is_idle(worker) && !shared_are_done(worker, 0, TIMED);
         at = (at + CHUNK_BYTES) % BACKGROUND_BYTES) {
        use(worker, at);
        atomic_fetch_add_explicit(&slot->steps, 1, memory_order_relaxed);
        if (clock_now_ns() < limit_ns)
            continue;
        if (progress(worker) == seen)
            return -ETIMEDOUT;
        seen = progress(worker);
        limit_ns = clock_now_ns() + SHARED_PATIENCE_NS;
    }
    return 0;
}

/* What each had done is kept where nobody else needs it: the amounts of those that are not timed. */
void background_begin(struct worker *worker)
{
    for (unsigned i = TIMED; worker->index == 0 && i < worker->count; i++) {
        struct shared_slot *slot = shared_slot(worker, i);
        atomic_store_explicit(&slot->amount, atomic_load(&slot->steps), memory_order_relaxed);
    }
    if (worker->begun_ns == 0)
        worker->begun_ns = clock_now_ns();
}

const char *background_fault(const struct worker *worker)
{
    bool judged = !is_idle(worker) && worker->done_ns - worker->begun_ns >= JUDGED_NS;
    for (unsigned i = TIMED; judged && i < worker->count; i++) {
        const struct shared_slot *slot = shared_slot(worker, i);
        if (atomic_load(&slot->steps) == atomic_load(&slot->amount))
            return "a worker of the background did not run during the batch";
    }
    return NULL;
}
