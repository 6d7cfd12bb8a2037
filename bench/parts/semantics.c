/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "semantics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cachestat.h"
#include "elsewhere.h"
#include "forked.h"
#include "guarded.h"
#include "pagemap_entry.h"
#include "sysfile.h"

#ifndef PR_SET_MDWE /* Linux 6.3 */
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif
#ifndef MADV_PAGEOUT /* Linux 5.4 */
#define MADV_PAGEOUT 21
#endif

/* Variants. What a function does not ask for means nothing to it. */
enum {
    PRIVATE = 1, /* the mapping; else it is shared */
    LOADED = 2,
    STORED = 4,
    BEHIND = 8,
    SYNCED = 2,
    UNSTORED = 2,
    LIVING = 4,
    MDWE = 1,
    AT_ONCE = 2,
};
enum ending { NOTHING, CLOSE, UNLINK, CUT };
enum taking { CUT_BEFORE = 2, CUT_BEHIND = 4, PUNCH = 8 };
enum leaving { RECLAIM = 2, DISCARD = 4 };
enum charge { PRIVATE_WRITABLE, PRIVATE_READ_ONLY, MADE_WRITABLE, SHARED_WRITABLE };
enum placing { ODD_OFFSET, ODD_ADDRESS, ODD_MOVE, ODD_LENGTH, PAGE_MOVE };
enum writer { BY_NOTHING, BY_ASYNC_SYNC, BY_RANGE_WRITE };
enum libc_has { MEMFD_CREATE, MREMAP, FUTEX };

/* ---- the file and its mappings ---- */

static off_t at_of(const struct semantics *own)
{
    return (off_t)(SEMANTICS_AT * own->page_bytes);
}

/* Where the page that is looked at lies in a new mapping of the whole file; NULL and errno. */
static unsigned char *map_file(const struct semantics *own, int fd, int protection, unsigned how)
{
    int flags = how & PRIVATE ? MAP_PRIVATE : MAP_SHARED;
    unsigned char *base = mmap(NULL, SEMANTICS_PAGES * own->page_bytes, protection, flags, fd, 0);
    return base == MAP_FAILED ? NULL : base + at_of(own);
}

static unsigned char *map_own(const struct semantics *own, unsigned how)
{
    return map_file(own, own->fd, PROT_READ | PROT_WRITE, how);
}

static void unmap(const struct semantics *own, const unsigned char *page)
{
    munmap((unsigned char *)page - at_of(own), SEMANTICS_PAGES * own->page_bytes);
}

static int fill_file(const struct semantics *own, int fd)
{
    unsigned char bytes[512];
    size_t all = SEMANTICS_PAGES * own->page_bytes;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 37 + 11);
    if (ftruncate(fd, (off_t)all))
        return -errno;
    for (size_t at = 0; at < all; at += sizeof bytes)
        if (pwrite(fd, bytes, sizeof bytes, (off_t)at) != (ssize_t)sizeof bytes)
            return errno ? -errno : -EIO;
    return 0;
}

/* A new file. Its descriptor, and its name where it has one; -errno. */
static int make_file(const struct semantics *own, char *path, size_t size)
{
    path[0] = '\0';
    if (own->directory && snprintf(path, size, "%s/looked-XXXXXX", own->directory) >= (int)size)
        return -ENAMETOOLONG;
    int fd = own->directory ? mkostemp(path, O_CLOEXEC) : memfd_create("faultline-looked", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = fill_file(own, fd);
    if (rc == 0)
        return fd;
    close(fd);
    if (path[0])
        unlink(path);
    return rc;
}

/* The byte that is looked at, as read() has it; -errno. */
static int byte_of_file(const struct semantics *own)
{
    unsigned char byte;
    ssize_t done = pread(own->fd, &byte, 1, at_of(own));
    return done == 1 ? byte : done < 0 ? -errno : -EIO;
}

/* Another byte than the file has there, and not what a hole has either; -errno. */
static int other_byte(const struct semantics *own)
{
    int now = byte_of_file(own);
    return now < 0 ? now : now % 255 + 1;
}

/* ---- what is in a mapping, when something happens to its file ---- */

static int write_later(const struct semantics *own, unsigned how)
{
    int later = other_byte(own);
    unsigned char *page = later < 0 ? NULL : map_own(own, how), byte = (unsigned char)later;
    if (!page)
        return later < 0 ? later : -errno;
    if (how & LOADED)
        (void)*(volatile unsigned char *)page;
    if (how & STORED)
        ((volatile unsigned char *)page)[1] ^= 1; /* the page, but not the byte that is looked at */
    int rc = pwrite(own->fd, &byte, 1, at_of(own)) == 1 ? 0 : -errno;
    int seen = *(volatile unsigned char *)page == byte;
    unmap(own, page);
    return rc ? rc : seen;
}

static int take(const struct semantics *own, enum taking what)
{
    int rc = what == PUNCH
                 ? fallocate(own->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at_of(own), (off_t)own->page_bytes)
                 : ftruncate(own->fd, at_of(own) + (what == CUT_BEHIND ? (off_t)own->page_bytes : 0));
    return rc ? -errno : 0;
}

/* Of a page that is a copy already, where it is private. */
static int store_survives(const struct semantics *own, unsigned how)
{
    int mine = other_byte(own);
    unsigned char *page = mine < 0 ? NULL : map_own(own, how), byte = 0;
    if (!page)
        return mine < 0 ? mine : -errno;
    *page = (unsigned char)mine;
    int rc = take(own, (enum taking)(how & ~(unsigned)PRIVATE));
    int seen = guarded_load(page, &byte) == 0 && byte == mine;
    unmap(own, page);
    int filled = fill_file(own, own->fd);
    return rc ? rc : filled ? filled : seen;
}

/* The first load, a store, and its being there; of a page of which nobody has loaded yet. */
static bool works(unsigned char *page, unsigned char wanted)
{
    unsigned char byte = 0, other = (unsigned char)~wanted;
    return guarded_load(page, &byte) == 0 && byte == wanted && guarded_store(page, other) == 0 &&
           guarded_load(page, &byte) == 0 && byte == other;
}

/* Ends what the mapping is said to depend on, and looks whether it has ended. */
static int bring_to_end(enum ending what, int fd, const char *path)
{
    struct stat status;
    switch (what) {
    case NOTHING:
        return 0;
    case CLOSE:
        return close(fd) ? -errno : fcntl(fd, F_GETFD) < 0 && errno == EBADF ? 0 : -EBUSY;
    case UNLINK:
        return unlink(path) ? -errno : access(path, F_OK) && errno == ENOENT ? 0 : -EBUSY;
    case CUT:
        return ftruncate(fd, 0) || fstat(fd, &status) ? -errno : status.st_size == 0 ? 0 : -EBUSY;
    }
    return -EINVAL;
}

/* A file by itself each time. Only where its name is what goes does it have one for longer than that takes. */
static int survives(const struct semantics *own, unsigned what)
{
    char path[4096];
    int wanted = byte_of_file(own), rc = 0;
    int fd = wanted < 0 ? wanted : make_file(own, path, sizeof path);
    if (fd < 0)
        return fd;
    if (what != UNLINK && path[0] && unlink(path))
        rc = -errno;
    unsigned char *page = rc ? NULL : map_file(own, fd, PROT_READ | PROT_WRITE, 0);
    if (!page)
        rc = rc ? rc : -errno;
    int ended = bring_to_end((enum ending)what, fd, path);
    rc = rc ? rc : ended;
    int seen = rc == 0 && works(page, (unsigned char)wanted);
    if (page)
        unmap(own, page);
    if (what != CLOSE)
        close(fd);
    return rc ? rc : seen;
}

/* ---- who sees a store, and when ---- */

static int read_shows_store(const struct semantics *own, unsigned how)
{
    int stored = other_byte(own), rc = 0;
    unsigned char *page = stored < 0 ? NULL : map_own(own, how);
    if (!page)
        return stored < 0 ? stored : -errno;
    *(volatile unsigned char *)page = (unsigned char)stored;
    if (how & SYNCED && msync(page - at_of(own), SEMANTICS_PAGES * own->page_bytes, MS_SYNC))
        rc = -errno;
    int before = byte_of_file(own); /* while it is mapped */
    unmap(own, page);
    int after = how & SYNCED ? byte_of_file(own) : before;
    return rc ? rc : after < 0 ? after : after == stored;
}

/* The other process: tells the byte as its own mapping has it, whenever it is asked. */
static void be_the_other(const struct semantics *own, int socket)
{
    unsigned char *page = map_own(own, 0), asked;
    while (page && forked_receive(socket, &asked) == 0 &&
           forked_send(socket, *(volatile unsigned char *)page) == 0) { /* until nobody asks any more */
    }
}

static int ask_the_other(const struct semantics *own)
{
    unsigned char byte;
    return forked_send(own->socket, 0) || forked_receive(own->socket, &byte) ? -ECHILD : byte;
}

static int other_mapper_sees(const struct semantics *own, unsigned how)
{
    int stored = other_byte(own), before = ask_the_other(own); /* which has the page in its page table from here on */
    unsigned char *page = stored < 0 || before < 0 ? NULL : map_own(own, how);
    if (!page)
        return stored < 0 ? stored : before < 0 ? before : -errno;
    *(volatile unsigned char *)page = (unsigned char)stored;
    int rc = how & SYNCED && msync(page, own->page_bytes, MS_SYNC) ? -errno : 0;
    int told = ask_the_other(own);
    unmap(own, page);
    return rc ? rc : before == stored || told < 0 ? -ECHILD : told == stored;
}

/* ---- children ---- */

struct task {
    const struct semantics *own;
    unsigned how;
    unsigned char *page, byte;
    int socket; /* on which the child hears from its parent, and tells it */
    pid_t child;
};

/* What a child finds, told by how it ends: 0, 1, or an error. */
enum { ERROR_BASE = 16 };

static pid_t start_child(int (*find)(const struct task *), const struct task *task)
{
    pid_t parent = getpid(), child = fork();
    if (child != 0)
        return child < 0 ? -errno : child;
    forked_follow(parent);
    int found = find(task);
    _exit(found < 0 ? ERROR_BASE - found : found);
}

static int child_found(pid_t child)
{
    int status, rc = forked_wait(child, &status);
    if (rc)
        return rc;
    if (!WIFEXITED(status))
        return -ECHILD;
    return WEXITSTATUS(status) >= ERROR_BASE ? ERROR_BASE - WEXITSTATUS(status) : WEXITSTATUS(status);
}

/* And ends then, or not before it is told to. */
static int child_stores(const struct task *task)
{
    unsigned char go;
    if (!(task->how & UNSTORED))
        *(volatile unsigned char *)task->page = task->byte;
    if (!(task->how & LIVING))
        return 0;
    int rc = forked_send(task->socket, 0);
    return rc ? rc : forked_receive(task->socket, &go);
}

static int child_loads(const struct task *task)
{
    unsigned char begin;
    int rc = forked_receive(task->socket, &begin);
    return rc ? rc : *(volatile unsigned char *)task->page == task->byte;
}

/* The parent's end of a socket; the page is its process's copy already, where it is private, so that what is looked at
 * is the fork's doing. */
static int start_crossing(int (*find)(const struct task *), struct task *task)
{
    int ends[2], now = byte_of_file(task->own);
    task->page = now < 0 ? NULL : map_own(task->own, task->how);
    if (!task->page)
        return now < 0 ? now : -errno;
    *(volatile unsigned char *)task->page = (unsigned char)(now + 1);
    task->byte = (unsigned char)(now + 2);
    int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) ? -errno : 0;
    if (rc == 0) {
        task->socket = ends[1];
        task->child = start_child(find, task);
        rc = task->child < 0 ? task->child : ends[0];
        close(ends[1]);
        if (rc < 0)
            close(ends[0]);
    }
    if (rc < 0)
        unmap(task->own, task->page);
    return rc;
}

static int child_sees(const struct semantics *own, unsigned how)
{
    struct task task = {.own = own, .how = how};
    int socket = start_crossing(child_loads, &task);
    if (socket < 0)
        return socket;
    if (!(how & UNSTORED))
        *(volatile unsigned char *)task.page = task.byte;
    int rc = forked_send(socket, 0);
    int found = child_found(task.child);
    close(socket);
    unmap(own, task.page);
    return rc ? rc : found;
}

/* When the child has ended, or while it lives. */
static int parent_sees(const struct semantics *own, unsigned how)
{
    struct task task = {.own = own, .how = how};
    unsigned char told;
    int socket = start_crossing(child_stores, &task);
    if (socket < 0)
        return socket;
    int rc = how & LIVING ? forked_receive(socket, &told) : child_found(task.child);
    int seen = *(volatile unsigned char *)task.page == task.byte;
    if (how & LIVING) {
        rc = rc ? rc : forked_send(socket, 0);
        int found = child_found(task.child);
        rc = rc ? rc : found;
    }
    close(socket);
    unmap(own, task.page);
    return rc ? rc : seen;
}

/* Memory without a file: one on a filesystem mounted noexec may not be executed either way. */
static int child_gains_exec(const struct task *task)
{
    size_t bytes = task->own->page_bytes;
    int first = PROT_READ | PROT_WRITE | (task->how & AT_ONCE ? PROT_EXEC : 0);
    if (task->how & MDWE && prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0))
        return errno == EINVAL ? -EOPNOTSUPP : -errno;
    void *page = mmap(NULL, bytes, first, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return task->how & AT_ONCE && errno == EACCES ? 1 : -errno;
    if (task->how & AT_ONCE || mprotect(page, bytes, PROT_READ | PROT_EXEC) == 0)
        return 0;
    return errno == EACCES ? 1 : -errno;
}

/* There is no way back from PR_SET_MDWE. */
static int exec_refused(const struct semantics *own, unsigned how)
{
    struct task task = {.own = own, .how = how};
    pid_t child = start_child(child_gains_exec, &task);
    return child < 0 ? child : child_found(child);
}

/* ---- rights, contents, memory, places ---- */

static int can_be_read(const struct semantics *own, unsigned protection)
{
    unsigned char byte, *page = map_file(own, own->fd, (int)protection, 0);
    if (!page)
        return -errno;
    int seen = guarded_load(page, &byte) == 0;
    unmap(own, page);
    return seen;
}

/*
 * Takes the pages out of the page table and the page cache. Reclaim leaves dirty pages to whoever writes them back, and
 * for a while those alone that wait in a list of another CPU. -EOPNOTSUPP when they stay: in memory without swap, and
 * on overlayfs, where what is open is not the file that is mapped.
 */
static int reclaim(const struct semantics *own, unsigned char *base)
{
    enum { TRIES = 50 };
    const unsigned flags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    size_t bytes = SEMANTICS_PAGES * own->page_bytes;
    unsigned char resident[SEMANTICS_PAGES] = {0};
    for (unsigned i = 0; i < TRIES; i++) {
        if (sync_file_range(own->fd, 0, 0, flags) || madvise(base, bytes, MADV_PAGEOUT) ||
            mincore(base, bytes, resident))
            return errno == EINVAL ? -EOPNOTSUPP : -errno;
        if (!(resident[SEMANTICS_AT] & 1))
            return 0;
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    return -EOPNOTSUPP;
}

static int keeps_contents(const struct semantics *own, unsigned how)
{
    int mark = other_byte(own), rc;
    unsigned char *page = mark < 0 ? NULL : map_own(own, how);
    bool same = true;
    if (!page)
        return mark < 0 ? mark : -errno;
    for (size_t i = 0; i < own->page_bytes; i++)
        page[i] = (unsigned char)((size_t)mark + i);
    unsigned char *base = page - at_of(own);
    if (how & RECLAIM)
        rc = reclaim(own, base);
    else
        rc = madvise(base, SEMANTICS_PAGES * own->page_bytes, MADV_DONTNEED) ? -errno : 0;
    for (size_t i = 0; i < own->page_bytes; i++)
        same &= ((volatile unsigned char *)page)[i] == (unsigned char)((size_t)mark + i);
    unmap(own, page);
    return rc ? rc : same;
}

/*
 * More than can be committed, whichever of its ways of counting the kernel goes (vm.overcommit_memory): what is charged
 * is then refused with ENOMEM, what is not is mapped, and nothing of it is touched. -EOPNOTSUPP where nothing is ever
 * refused, or something else would refuse it.
 */
static int uncommittable(const struct semantics *own, size_t *bytes)
{
    struct err err;
    struct sysinfo info;
    struct rlimit limit;
    int64_t mode, ratio, kib;
    if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur != RLIM_INFINITY || getrlimit(RLIMIT_DATA, &limit) ||
        limit.rlim_cur != RLIM_INFINITY || sysinfo(&info) ||
        sysfile_number(&mode, &err, "/proc/sys/vm/overcommit_memory") ||
        sysfile_number(&ratio, &err, "/proc/sys/vm/overcommit_ratio") ||
        sysfile_number(&kib, &err, "/proc/sys/vm/overcommit_kbytes") || mode == 1)
        return -EOPNOTSUPP;
    size_t all = ((size_t)info.totalram + info.totalswap) * info.mem_unit;
    all = all + all / 100 * (size_t)ratio + (size_t)kib * KIB; /* at least what any of the three ways allows */
    *bytes = 2 * all / own->page_bytes * own->page_bytes;
    return 0;
}

static int is_charged(const struct semantics *own, unsigned what)
{
    size_t bytes;
    int rc = uncommittable(own, &bytes);
    bool writable = what == PRIVATE_WRITABLE || what == SHARED_WRITABLE;
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    if (rc)
        return rc;
    void *base = mmap(NULL, bytes, protection, what == SHARED_WRITABLE ? MAP_SHARED : MAP_PRIVATE, own->fd, 0);
    if (base == MAP_FAILED)
        return errno == ENOMEM && what != MADE_WRITABLE ? 1 : -errno;
    int seen = what == MADE_WRITABLE && mprotect(base, bytes, PROT_READ | PROT_WRITE);
    rc = seen && errno != ENOMEM ? -errno : 0;
    munmap(base, bytes);
    return rc ? rc : seen;
}

/* One of the calls; MAP_FAILED and errno. `spot` is three pages without rights, of which the second is free to use. */
static void *place(const struct semantics *own, enum placing what, char *spot, char *page)
{
    size_t bytes = own->page_bytes;
    switch (what) {
    case ODD_OFFSET:
        return mmap(NULL, bytes, PROT_READ, MAP_SHARED, own->fd, at_of(own) + 1);
    case ODD_ADDRESS:
        return mmap(spot + bytes + 1, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, own->fd, 0);
    case ODD_LENGTH:
        return mmap(spot + bytes, bytes - 1, PROT_READ, MAP_SHARED | MAP_FIXED, own->fd, 0);
    case ODD_MOVE:
        return mremap(page + 1, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, spot + bytes);
    case PAGE_MOVE:
        return mremap(page, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, spot + bytes);
    }
    errno = EINVAL;
    return MAP_FAILED;
}

static int placing_refused(const struct semantics *own, unsigned what)
{
    size_t bytes = own->page_bytes;
    char *spot = mmap(NULL, 3 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *page = mmap(NULL, bytes, PROT_READ, MAP_SHARED, own->fd, 0);
    int rc = spot == MAP_FAILED || page == MAP_FAILED ? -errno : 0;
    void *placed = rc ? NULL : place(own, (enum placing)what, spot, page);
    int refused = placed == MAP_FAILED ? errno : 0;
    if (placed && !refused && what == ODD_OFFSET)
        munmap(placed, bytes);
    if (spot != MAP_FAILED)
        munmap(spot, 3 * bytes); /* with what was placed there */
    if (page != MAP_FAILED && !(what == PAGE_MOVE && refused == 0))
        munmap(page, bytes);
    return rc ? rc : refused && refused != EINVAL ? -refused : refused == EINVAL;
}

/* Whether the library's memfd_create makes what the system call does; that there is one was settled by linking this. */
static int library_makes_memory(void)
{
    struct stat by_name = {0}, by_number = {0};
    int name = memfd_create("faultline-looked", MFD_CLOEXEC);
    int number = (int)syscall(SYS_memfd_create, "faultline-looked", MFD_CLOEXEC);
    int rc = number < 0 || fstat(number, &by_number) ? -errno : 0;
    bool made = name >= 0 && fstat(name, &by_name) == 0 && by_name.st_nlink == 0;
    if (name >= 0)
        close(name);
    if (number >= 0)
        close(number);
    return rc ? rc : made && by_name.st_dev == by_number.st_dev && by_name.st_mode == by_number.st_mode;
}

/* Weak: what the C library does not have is no address, and the program is linked all the same. */
extern void libc_mremap(void) __asm__("mremap") __attribute__((weak));
extern void libc_futex(void) __asm__("futex") __attribute__((weak));

static int is_in_libc(const struct semantics *own, unsigned which)
{
    (void)own;
    switch ((enum libc_has)which) {
    case MEMFD_CREATE:
        return library_makes_memory();
    case MREMAP:
        return libc_mremap != NULL;
    case FUTEX:
        return libc_futex != NULL;
    }
    return -EINVAL;
}

/* ---- whose memory a page is ---- */

/* Whether a page that is mapped is anonymous and not the file's. 0, 1; -errno. */
static int is_anonymous(int pagemap, const unsigned char *page)
{
    uint64_t entry;
    int rc = pagemap_entry(pagemap, page, &entry);
    return rc ? rc : !(entry & PAGEMAP_PRESENT) ? -ENODATA : !(entry & PAGEMAP_OF_FILE);
}

/* Whether one of these pages is. */
static int any_is_anonymous(const unsigned char *const pages[], unsigned count)
{
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), seen = 0;
    if (pagemap < 0)
        return -EOPNOTSUPP;
    for (unsigned i = 0; i < count && seen == 0; i++)
        seen = is_anonymous(pagemap, pages[i]);
    close(pagemap);
    return seen;
}

static int is_own(const struct semantics *own, unsigned how)
{
    unsigned char *page = map_own(own, how);
    if (!page)
        return -errno;
    if (how & LOADED)
        (void)*(volatile unsigned char *)page;
    if (how & STORED)
        *(volatile unsigned char *)page ^= 1;
    int seen = any_is_anonymous((const unsigned char *[]){page}, 1);
    unmap(own, page);
    return seen;
}

/* The pages on both sides of one that is stored to, all three of them loaded from. */
static int neighbours_are_own(const struct semantics *own, unsigned how)
{
    unsigned char *page = map_own(own, how);
    if (!page)
        return -errno;
    unsigned char *before = page - own->page_bytes, *behind = page + own->page_bytes;
    for (unsigned char *at = before; at <= behind; at += own->page_bytes)
        (void)*(volatile unsigned char *)at;
    *(volatile unsigned char *)page ^= 1;
    if (how & BEHIND)
        *(volatile unsigned char *)behind ^= 1;
    int seen = any_is_anonymous((const unsigned char *[]){before, behind}, 2);
    unmap(own, page);
    return seen;
}

/* ---- what is written back, and when ---- */

/* Dirty pages among the one that is looked at, by cachestat(2): 0 or 1; -errno. */
static int dirty_pages_of(const struct semantics *own)
{
    struct cachestat_pages found = {0};
    int rc = cachestat_look(own->fd, (uint64_t)at_of(own), own->page_bytes, &found);
    return rc ? rc : (int)found.dirty;
}

static int write_back(const struct semantics *own, unsigned char *page, enum writer by)
{
    int rc = 0;
    if (by == BY_ASYNC_SYNC)
        rc = msync(page, own->page_bytes, MS_ASYNC);
    if (by == BY_RANGE_WRITE)
        rc = sync_file_range(own->fd, at_of(own), (off_t)own->page_bytes, SYNC_FILE_RANGE_WRITE);
    return rc ? -errno : 0;
}

/* Where a store does not make a page dirty, as in memory, or nobody tells, there is nothing to look at. */
static int starts_writing(const struct semantics *own, unsigned by)
{
    unsigned char *page = map_own(own, 0);
    if (!page)
        return -errno;
    int rc = fsync(own->fd) ? -errno : 0;
    *(volatile unsigned char *)page ^= 1;
    int before = dirty_pages_of(own);
    if (rc == 0)
        rc = before > 0 ? write_back(own, page, (enum writer)by) : -EOPNOTSUPP;
    int after = dirty_pages_of(own);
    unmap(own, page);
    return rc ? rc : after < 0 ? after : after == 0;
}

/* ---- the table ---- */

#define CHECK(option, ...) [whether_##option] = {__VA_ARGS__}
const struct semantics_check semantics_checks[whether_count] = {
    CHECK(mapping_works, survives, NOTHING, .ns = 100 * US),
    CHECK(mapping_survives_close, survives, CLOSE, .ns = 100 * US),
    CHECK(mapping_survives_unlink, survives, UNLINK, .ns = 100 * US),
    CHECK(mapping_survives_truncation, survives, CUT, .ns = 100 * US),
    CHECK(private_shows_later_write, write_later, PRIVATE, .ns = 10 * US),
    CHECK(loaded_private_shows_later_write, write_later, PRIVATE | LOADED, .ns = 10 * US),
    CHECK(stored_private_shows_later_write, write_later, PRIVATE | STORED, .ns = 14 * US),
    CHECK(shared_shows_later_write, write_later, 0, .ns = 10 * US),
    CHECK(private_copy_survives_truncation, store_survives, PRIVATE | CUT_BEFORE, .ns = 55 * US),
    CHECK(private_copy_survives_later_end, store_survives, PRIVATE | CUT_BEHIND, .ns = 55 * US),
    CHECK(private_copy_survives_hole, store_survives, PRIVATE | PUNCH, .ns = 55 * US),
    CHECK(shared_store_survives_truncation, store_survives, CUT_BEFORE, .ns = 55 * US),
    CHECK(shared_store_survives_hole, store_survives, PUNCH, .ns = 55 * US),
    CHECK(read_shows_private_store, read_shows_store, PRIVATE, .ns = 10 * US),
    CHECK(read_shows_shared_store, read_shows_store, 0, .ns = 10 * US),
    CHECK(synced_private_store_reaches_file, read_shows_store, PRIVATE | SYNCED, .ns = 10 * US),
    CHECK(synced_shared_store_reaches_file, read_shows_store, SYNCED, .syncs = true, .ns = 10 * US),
    CHECK(loaded_private_page_is_own, is_own, PRIVATE | LOADED, .ns = 20 * US),
    CHECK(stored_private_page_is_own, is_own, PRIVATE | STORED, .ns = 24 * US),
    CHECK(store_makes_neighbours_own, neighbours_are_own, PRIVATE, .ns = 26 * US),
    CHECK(store_behind_makes_neighbours_own, neighbours_are_own, PRIVATE | BEHIND, .ns = 30 * US),
    CHECK(shared_store_makes_neighbours_own, neighbours_are_own, 0, .ns = 26 * US),
    CHECK(stored_shared_page_is_own, is_own, STORED, .ns = 22 * US),
    CHECK(store_is_written_at_once, starts_writing, BY_NOTHING, .syncs = true, .ns = 10 * US),
    CHECK(async_sync_starts_writing, starts_writing, BY_ASYNC_SYNC, .syncs = true, .ns = 10 * US),
    CHECK(range_write_starts_writing, starts_writing, BY_RANGE_WRITE, .syncs = true, .ns = 30 * US),
    CHECK(other_mapper_sees_private_store, other_mapper_sees, PRIVATE, .other = true, .ns = 38 * US),
    CHECK(other_mapper_sees_shared_store, other_mapper_sees, 0, .other = true, .ns = 38 * US),
    CHECK(other_mapper_sees_synced_store, other_mapper_sees, SYNCED, .other = true, .syncs = true, .ns = 38 * US),
    CHECK(child_sees_private_store, child_sees, PRIVATE, .ns = 300 * US),
    CHECK(child_sees_shared_store, child_sees, 0, .ns = 300 * US),
    CHECK(child_sees_no_store, child_sees, UNSTORED, .ns = 300 * US),
    CHECK(parent_sees_private_store, parent_sees, PRIVATE, .ns = 300 * US),
    CHECK(parent_sees_shared_store, parent_sees, 0, .ns = 300 * US),
    CHECK(parent_sees_no_store, parent_sees, UNSTORED, .ns = 300 * US),
    CHECK(parent_sees_store_of_living_child, parent_sees, LIVING, .ns = 300 * US),
    CHECK(reclaim_keeps_contents, keeps_contents, RECLAIM, .ns = 170 * US),
    CHECK(discard_keeps_shared_contents, keeps_contents, DISCARD, .ns = 18 * US),
    CHECK(discard_keeps_private_contents, keeps_contents, DISCARD | PRIVATE, .ns = 18 * US),
    CHECK(write_only_can_be_read, can_be_read, PROT_WRITE, .ns = 9 * US),
    CHECK(read_only_can_be_read, can_be_read, PROT_READ, .ns = 9 * US),
    CHECK(no_access_can_be_read, can_be_read, PROT_NONE, .ns = 9 * US),
    CHECK(exec_gain_refused, exec_refused, 0, .ns = 270 * US),
    CHECK(mdwe_exec_gain_refused, exec_refused, MDWE, .ns = 270 * US),
    CHECK(mdwe_write_and_exec_refused, exec_refused, MDWE | AT_ONCE, .ns = 270 * US),
    CHECK(private_writable_is_charged, is_charged, PRIVATE_WRITABLE, .ns = 29 * US),
    CHECK(private_read_only_is_charged, is_charged, PRIVATE_READ_ONLY, .ns = 29 * US),
    CHECK(made_writable_is_charged, is_charged, MADE_WRITABLE, .ns = 29 * US),
    CHECK(shared_writable_is_charged, is_charged, SHARED_WRITABLE, .ns = 29 * US),
    CHECK(odd_offset_refused, placing_refused, ODD_OFFSET, .ns = 8 * US),
    CHECK(odd_address_refused, placing_refused, ODD_ADDRESS, .ns = 8 * US),
    CHECK(odd_move_refused, placing_refused, ODD_MOVE, .ns = 8 * US),
    CHECK(odd_length_refused, placing_refused, ODD_LENGTH, .ns = 14 * US),
    CHECK(page_move_refused, placing_refused, PAGE_MOVE, .ns = 14 * US),
    CHECK(memfd_create_in_libc, is_in_libc, MEMFD_CREATE, .ns = 12 * US),
    CHECK(mremap_in_libc, is_in_libc, MREMAP, .ns = 2),
    CHECK(futex_in_libc, is_in_libc, FUTEX, .ns = 2),
};

/* ---- beginning and end ---- */

/* On another CPU, where this process may use one: on the same it would look only after a context switch. */
static int start_other(struct semantics *own, struct err *err)
{
    int ends[2];
    pid_t parent = getpid();
    unsigned cpu = elsewhere_cpu(0);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return err_sys(err, "socketpair");
    own->other = fork();
    if (own->other == 0) {
        forked_follow(parent);
        close(ends[0]);
        if (elsewhere_go(cpu, err) == 0)
            be_the_other(own, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    own->socket = ends[0];
    return own->other > 0 ? 0 : err_sys(err, "fork a process that maps the file");
}

int semantics_begin(struct semantics *own, const struct target *target, const struct semantics_check *check,
                    struct err *err)
{
    char path[sizeof target->directory + sizeof "/looked-XXXXXX"];
    *own = (struct semantics){.fd = -1, .socket = -1, .page_bytes = (size_t)sysconf(_SC_PAGESIZE)};
    if (!target->ours)
        return err_set(err, EOPNOTSUPP, "no file is made beside your own");
    own->directory = target->params->backing == backing_memfd ? NULL : target->directory;
    own->fd = make_file(own, path, sizeof path);
    if (own->fd < 0)
        return err_set(err, -own->fd, "make a file in %s: %s", target->directory, strerror(-own->fd));
    if (path[0] && unlink(path))
        return err_sys(err, "unlink %s", path);
    return check->other ? start_other(own, err) : 0;
}

void semantics_end(struct semantics *own)
{
    forked_end(own->other);
    if (own->socket >= 0)
        close(own->socket);
    if (own->fd >= 0)
        close(own->fd);
}
