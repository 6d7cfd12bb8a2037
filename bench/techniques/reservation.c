/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "reservation.h"

#include <errno.h>
#include <sys/mman.h>

int reservation_make_at(struct reserved_range *reservation, unsigned char *place, size_t bytes,
                        enum reservation_way way)
{
    int protection = way == RESERVATION_PROT_NONE ? PROT_NONE : PROT_READ | PROT_WRITE;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | (way == RESERVATION_NORESERVE ? MAP_NORESERVE : 0);
    void *at = mmap(place, bytes, protection, flags | (place ? MAP_FIXED : 0), -1, 0);
    reservation->at = at == MAP_FAILED ? NULL : at;
    reservation->bytes = at == MAP_FAILED ? 0 : bytes;
    return at == MAP_FAILED ? -errno : 0;
}

int reservation_make(struct reserved_range *reservation, size_t bytes, enum reservation_way way)
{
    return reservation_make_at(reservation, NULL, bytes, way);
}

void reservation_remove(struct reserved_range *reservation)
{
    if (reservation->at)
        munmap(reservation->at, reservation->bytes);
    *reservation = (struct reserved_range){0};
}

int reservation_commit(void *at, size_t bytes)
{
    return mprotect(at, bytes, PROT_READ | PROT_WRITE) ? -errno : 0;
}
