/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "memory_file.h"
#include "way_hash.h"

static size_t own_page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static int failed(struct mirror *mirror, int code, const char *why)
{
    mirror->why = why;
    return -code;
}

/* ---- where ---- */

/* No processor with that predictor has pages of another size than 4 KiB: with those any place will do. */
static bool has_same_way(uintptr_t base, size_t bytes, size_t page_bytes)
{
    if (page_bytes != 4096)
        return true;
    for (size_t at = 0; at < bytes && at < WAY_HASH_SPAN; at += 4096)
        if (way_hash(base + at) != way_hash(base + bytes + at))
            return false;
    return true;
}

/* The first place from `from` on where views of that size have it, or 0. */
static uintptr_t find_same_way(uintptr_t from, size_t bytes, size_t step, size_t page_bytes)
{
    for (size_t at = 0; at < WAY_HASH_SPAN; at += step)
        if (has_same_way(from + at, bytes, page_bytes))
            return from + at;
    return 0;
}

bool mirror_way_exists(size_t bytes, size_t page_bytes)
{
    return bytes && bytes % page_bytes == 0 && find_same_way(WAY_HASH_SPAN, bytes, page_bytes, page_bytes) != 0;
}

static const char no_same_way[] = "two views of that size in a row cannot have the same way";

static int check(struct mirror *mirror, const struct mirror_wish *wish, size_t step)
{
    if (wish->bytes == 0)
        return failed(mirror, EINVAL, "a mirror of no bytes");
    if (wish->bytes % step)
        return failed(mirror, EINVAL, "the size of a mirror has to be whole pages (SHMLBA with System V)");
    if (wish->bytes > (SIZE_MAX - 2 * WAY_HASH_SPAN) / 2)
        return failed(mirror, EOVERFLOW, "twice the size is more than there are addresses");
    if (wish->same_way && !mirror_way_exists(wish->bytes, own_page_bytes()))
        return failed(mirror, ENOTSUP, no_same_way);
    return 0;
}

/*
 * Takes the addresses for both views and their guards: mapped without access, without memory. More than is needed is
 * taken where the place matters, and given back: nobody else can come in between.
 */
static int reserve(struct mirror *mirror, const struct mirror_wish *wish, size_t step)
{
    size_t guard = wish->guards ? own_page_bytes() : 0,
           spare = wish->same_way ? WAY_HASH_SPAN : step - own_page_bytes();
    size_t need = 2 * wish->bytes + 2 * guard, all = need + spare;
    unsigned char *room = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return failed(mirror, errno, "reserve addresses for both views");
    uintptr_t first = (uintptr_t)room + guard, at = (first + step - 1) / step * step;
    if (wish->same_way)
        at = find_same_way(at, wish->bytes, step, own_page_bytes());
    if (at == 0) {
        munmap(room, all);
        return failed(mirror, ENOTSUP, no_same_way);
    }
    size_t lead = at - first;
    if (lead)
        munmap(room, lead);
    if (lead < spare)
        munmap(room + lead + need, spare - lead);
    mirror->reserved = room + lead;
    mirror->reserved_bytes = need;
    mirror->base = mirror->reserved + guard;
    mirror->bytes = wish->bytes;
    return 0;
}

/* ---- the two views ---- */

static int map_views(struct mirror *mirror, int fd, off_t offset)
{
    for (unsigned i = 0; i < 2; i++)
        if (mmap(mirror->base + i * mirror->bytes, mirror->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                 offset) == MAP_FAILED)
            return failed(mirror, errno, i ? "map the second view" : "map the first view");
    return 0;
}

static const char *place_of(const struct mirror_wish *wish)
{
    switch (wish->of) {
    case MIRROR_MEMFD:
        return wish->place ? wish->place : "mirror";
    case MIRROR_TMPFS:
        return "/dev/shm";
    default:
        return wish->place;
    }
}

static int open_memory(struct mirror *mirror, const struct mirror_wish *wish)
{
    static const enum memory_file kinds[MIRROR_OF_COUNT] = {
        [MIRROR_MEMFD] = MEMORY_FILE_MEMFD,
        [MIRROR_SHM] = MEMORY_FILE_SHM,
        [MIRROR_TMPFS] = MEMORY_FILE_UNNAMED,
        [MIRROR_FILE] = MEMORY_FILE_UNNAMED,
    };
    const char *place = place_of(wish);
    if (!place)
        return failed(mirror, EINVAL, wish->of == MIRROR_SHM ? "shm_open needs a name" : "a file needs a directory");
    int fd = memory_file_open(kinds[wish->of], place);
    return fd < 0 ? failed(mirror, -fd, "make the memory") : fd;
}

/* A large file's blocks take long enough that a signal may come between: what is allocated by then stays. */
static int allocate(int fd, off_t bytes)
{
    int code;
    do
        code = posix_fallocate(fd, 0, bytes);
    while (code == EINTR);
    return code;
}

static int size_memory(struct mirror *mirror, const struct mirror_wish *wish, int fd)
{
    if (wish->of == MIRROR_FILE) {
        int code = allocate(fd, (off_t)wish->bytes);
        return code ? failed(mirror, code, "allocate the file's blocks") : 0;
    }
    return ftruncate(fd, (off_t)wish->bytes) ? failed(mirror, errno, "give the memory its size") : 0;
}

static int make_of_descriptor(struct mirror *mirror, const struct mirror_wish *wish)
{
    int fd = open_memory(mirror, wish);
    if (fd < 0)
        return fd;
    int rc = size_memory(mirror, wish, fd);
    if (rc == 0)
        rc = map_views(mirror, fd, 0);
    close(fd);
    return rc;
}

/* Once it is removed a segment lives as long as it is attached, and can still be attached by its number. */
static int make_of_segment(struct mirror *mirror, const struct mirror_wish *wish)
{
    int id = shmget(IPC_PRIVATE, wish->bytes, 0600);
    if (id < 0)
        return failed(mirror, errno, "shmget");
    bool attached = shmat(id, mirror->base, SHM_REMAP) != (void *)-1;
    int code = errno;
    shmctl(id, IPC_RMID, NULL);
    if (!attached)
        return failed(mirror, code, "attach the first view");
    return shmat(id, mirror->base + wish->bytes, SHM_REMAP) == (void *)-1
               ? failed(mirror, errno, "attach the second view")
               : 0;
}

static bool is_left_by(const struct shmid_ds *segment, pid_t maker, time_t since)
{
    return segment->shm_perm.__key == IPC_PRIVATE && segment->shm_perm.cuid == geteuid() &&
           segment->shm_cpid == maker && segment->shm_ctime >= since && !(segment->shm_perm.mode & SHM_DEST);
}

int mirror_sweep(pid_t maker, time_t since)
{
    struct shm_info all;
    int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&all), count = 0;
    if (last < 0)
        return -errno;
    for (int i = 0; i <= last; i++) {
        struct shmid_ds segment;
        int id = shmctl(i, SHM_STAT, &segment);
        if (id >= 0 && is_left_by(&segment, maker, since)) /* else there is none, or it is not for this user */
            count += shmctl(id, IPC_RMID, NULL) == 0;
    }
    return count;
}

static int make_of_nothing(struct mirror *mirror, const struct mirror_wish *wish)
{
    unsigned char *second = mirror->base + wish->bytes;
    if (mmap(mirror->base, wish->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
        MAP_FAILED)
        return failed(mirror, errno, "map the first view");
    if (mremap(mirror->base, 0, wish->bytes, MREMAP_MAYMOVE | MREMAP_FIXED, second) == MAP_FAILED)
        return failed(mirror, errno, "map the first view once more");
    return 0;
}

static int map_kind(struct mirror *mirror, const struct mirror_wish *wish)
{
    switch (wish->of) {
    case MIRROR_SYSV:
        return make_of_segment(mirror, wish);
    case MIRROR_MREMAP:
        return make_of_nothing(mirror, wish);
    default:
        return make_of_descriptor(mirror, wish);
    }
}

bool mirror_is_unsupported(enum mirror_of of, int rc)
{
    return memory_file_is_unsupported(rc) || (of == MIRROR_SYSV && (rc == -EINVAL || rc == -ENOSPC));
}

int mirror_make(struct mirror *mirror, const struct mirror_wish *wish)
{
    size_t step = wish->of == MIRROR_SYSV ? (size_t)SHMLBA : own_page_bytes();
    *mirror = (struct mirror){0};
    int rc = check(mirror, wish, step);
    if (rc == 0)
        rc = reserve(mirror, wish, step);
    if (rc == 0)
        rc = map_kind(mirror, wish);
    if (rc)
        mirror_free(mirror);
    return rc;
}

int mirror_map(struct mirror *mirror, int fd, off_t offset, const struct mirror_wish *wish)
{
    *mirror = (struct mirror){0};
    int rc = check(mirror, wish, own_page_bytes());
    if (rc == 0)
        rc = reserve(mirror, wish, own_page_bytes());
    if (rc == 0)
        rc = map_views(mirror, fd, offset);
    if (rc)
        mirror_free(mirror);
    return rc;
}

void mirror_free(struct mirror *mirror)
{
    if (mirror->reserved)
        munmap(mirror->reserved, mirror->reserved_bytes);
    mirror->reserved = mirror->base = NULL;
}
