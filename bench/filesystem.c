/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "filesystem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/btrfs.h>
#include <linux/magic.h>

#include "loop.h"
#include "mount.h"
#include "sysfile.h"

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

enum {
    WORDS_MAX = 16,
    NOT_FOUND = 127,     /* exit status of a child whose program is not there, as of a shell */
    COPIES = 2,          /* removed files give their blocks back late: the next one is written meanwhile */
    FUSE_WAIT_MS = 5000, /* until it serves */
    BUSY_WAIT_MS = 2000, /* until a filesystem is no longer in use */
};

struct kind {
    const char *package;
    const char *format[WORDS_MAX]; /* the program that formats a device, which is its last word */
    uint64_t extra;                /* beside the files: metadata, journal */
    uint64_t least;                /* what the program or the kernel wants at least */
};

/* ext4: small ones would get 1 KiB blocks; what is put off to later would be written while something is measured. */
static const struct kind kinds[backing_count] = {
    [backing_ext4] = {"e2fsprogs",
                      {"mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-E",
                       "lazy_itable_init=0,lazy_journal_init=0,nodiscard"},
                      64 * MIB,
                      64 * MIB},
    [backing_xfs] = {"xfsprogs", {"mkfs.xfs", "-q", "-f", "-K"}, 128 * MIB, 320 * MIB},
    [backing_btrfs] = {"btrfs-progs", {"mkfs.btrfs", "-q", "-f", "-K"}, 256 * MIB, 256 * MIB},
};

static const char *name_of(enum backing backing)
{
    return field_table[FIELD_backing].options[backing].spelling;
}

/* The filesystem that holds the blocks: those of overlay and fuse lie on an ext4. */
static enum backing base_of(enum backing backing)
{
    return backing == backing_overlay || backing == backing_fuse ? backing_ext4 : backing;
}

bool filesystem_is_made(enum backing backing)
{
    return kinds[base_of(backing)].package != NULL;
}

bool filesystem_has_read_ahead(enum backing backing)
{
    return filesystem_is_made(backing) && backing != backing_fuse;
}

/* ---- sizes ---- */

void filesystem_want(struct filesystem_wishes *wishes, const struct params *params, uint64_t beside)
{
    uint64_t files = params->worker_file == worker_file_own ? params->workers : 1;
    uint64_t bytes = params->file_bytes * files + beside, *wished = &wishes->bytes[params->backing];
    if (filesystem_is_made((enum backing)params->backing) && bytes > *wished)
        *wished = bytes;
}

/* Of the image of one that is none of overlay and fuse; 0: it is not needed. */
static uint64_t image_bytes(const struct filesystem_wishes *wishes, enum backing backing)
{
    uint64_t files = 0;
    for (unsigned b = 0; b < backing_count; b++)
        if (base_of((enum backing)b) == backing && wishes->bytes[b] > files)
            files = wishes->bytes[b];
    uint64_t bytes = (COPIES * files + kinds[backing].extra + MIB - 1) / MIB * MIB;
    if (files == 0 || !kinds[backing].package)
        return 0;
    return bytes < kinds[backing].least ? kinds[backing].least : bytes;
}

uint64_t filesystem_disk_bytes(const struct filesystem_wishes *wishes)
{
    uint64_t sum = 0;
    for (unsigned b = 0; b < backing_count; b++)
        sum += image_bytes(wishes, (enum backing)b);
    return sum;
}

double filesystem_seconds(const struct filesystem_wishes *wishes)
{
    const double each_s = 0.2;
    double sum = 0;
    for (unsigned b = 0; b < backing_count; b++)
        sum += image_bytes(wishes, (enum backing)b) ? each_s : 0;
    return sum;
}

/* ---- programs ---- */

/* What a program said: its last line, cut to `size`. */
static void last_words(int fd, char *text, size_t size)
{
    char all[2048];
    ssize_t length = pread(fd, all, sizeof all - 1, 0);
    all[length > 0 ? length : 0] = '\0';
    while (length > 0 && (all[length - 1] == '\n' || all[length - 1] == ' '))
        all[--length] = '\0';
    char *line = strrchr(all, '\n');
    snprintf(text, size, "%.*s", (int)size - 1, line ? line + 1 : all);
}

/* Becomes a program that ends with us; what it says goes to `says`. Programs for the administrator are found too. */
static void become(const char *const *words, int says, pid_t parent)
{
    char path[4096];
    const char *given = getenv("PATH");
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0); /* an interrupt from the terminal is for us to heed, and this one to be ended after the trials */
    if (getppid() != parent || dup2(nothing, 0) < 0 || dup2(says, 1) < 0 || dup2(says, 2) < 0)
        _exit(126);
    snprintf(path, sizeof path, "%s%s/usr/sbin:/sbin:/usr/bin:/bin", given ? given : "", given ? ":" : "");
    setenv("PATH", path, 1);
    execvp(words[0], (char *const *)(uintptr_t)words);
    _exit(NOT_FOUND);
}

/* Starts a program. Its process, or -errno with text; *says receives a file of what it says. */
static pid_t start(const char *const *words, int *says, struct err *err)
{
    *says = memfd_create("faultline-says", MFD_CLOEXEC);
    pid_t parent = getpid(), process = *says < 0 ? -1 : fork();
    if (process == 0)
        become(words, *says, parent);
    return process < 0 ? err_sys(err, "start %s", words[0]) : process;
}

/* Why a program failed. */
static int tool_failure(const char *name, const char *package, int status, int says, struct err *err)
{
    char text[200];
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_FOUND)
        return err_set(err, ENOENT, "%s is not here (package %s)", name, package);
    last_words(says, text, sizeof text);
    return err_set(err, EIO, "%s failed: %s", name, text);
}

static int wait_for(pid_t process)
{
    int status = 0;
    while (waitpid(process, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static int format(enum backing backing, const char *device, struct err *err)
{
    const char *words[WORDS_MAX];
    int says = -1, count = 0;
    while (kinds[backing].format[count]) {
        words[count] = kinds[backing].format[count];
        count++;
    }
    words[count++] = device;
    words[count] = NULL;
    pid_t process = start(words, &says, err);
    int status = process > 0 ? wait_for(process) : 0, rc = process > 0 ? 0 : (int)process;
    if (status)
        rc = tool_failure(words[0], kinds[backing].package, status, says, err);
    if (says >= 0)
        close(says);
    return rc;
}

/* ---- mounts ---- */

static int refuse(struct filesystem *filesystem, const char *why)
{
    filesystem->path[0] = '\0';
    snprintf(filesystem->reason, sizeof filesystem->reason, "%s", why);
    return -EOPNOTSUPP;
}

/* "<root>/<name><below>". */
static int path_of(const struct filesystems *filesystems, enum backing backing, const char *below, char *path,
                   size_t size, struct err *err)
{
    int length = snprintf(path, size, "%s/%s%s", filesystems->root, name_of(backing), below);
    return length < 0 || (size_t)length >= size ? err_set(err, ENAMETOOLONG, "%s", filesystems->root) : 0;
}

static int make_folder(const struct filesystems *filesystems, enum backing backing, const char *below, struct err *err)
{
    char path[sizeof filesystems->root];
    int rc = path_of(filesystems, backing, below, path, sizeof path, err);
    return rc == 0 && mkdir(path, 0700) ? err_sys(err, "make %s", path) : rc;
}

/* Unmounting elsewhere still takes effect here, so that nobody's disk is kept busy; nothing of ours shows elsewhere. */
static int own_mounts(const char *root, struct err *err)
{
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
        return err_sys(err, "mounts of its own");
    return mount("faultline", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700,size=1m") ? err_sys(err, "mount %s", root)
                                                                                        : 0;
}

/* Where the read-ahead of a mounted filesystem is set: that of btrfs is not its device's. */
static void find_read_ahead(struct filesystem *filesystem)
{
    struct btrfs_ioctl_fs_info_args info = {0};
    struct err ignored;
    int fd = open(filesystem->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const __u8 *id = info.fsid;
    if (fd >= 0 && ioctl(fd, BTRFS_IOC_FS_INFO, &info) == 0)
        snprintf(filesystem->read_ahead, sizeof filesystem->read_ahead,
                 "/sys/fs/btrfs/%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x/bdi/read_ahead_kb",
                 id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7], id[8], id[9], id[10], id[11], id[12], id[13],
                 id[14], id[15]);
    else
        snprintf(filesystem->read_ahead, sizeof filesystem->read_ahead, "/sys/class/bdi/%u:%u/read_ahead_kb",
                 major(filesystem->device), minor(filesystem->device));
    if (fd >= 0)
        close(fd);
    if (sysfile_number(&filesystem->read_ahead_kb, &ignored, "%s", filesystem->read_ahead))
        filesystem->read_ahead_kb = -1;
}

static int mount_image(const struct filesystems *filesystems, enum backing backing, const struct loop *loop,
                       struct err *err)
{
    char point[sizeof filesystems->root];
    int rc = format(backing, loop->path, err);
    if (rc == 0)
        rc = make_folder(filesystems, backing, "", err);
    if (rc == 0)
        rc = path_of(filesystems, backing, "", point, sizeof point, err);
    if (rc == 0 && mount(loop->path, point, name_of(backing), MS_NOSUID | MS_NODEV, NULL))
        rc = err_sys(err, "mount %s%s", name_of(backing), errno == ENODEV ? " (this kernel does not have it)" : "");
    return rc ? rc : make_folder(filesystems, backing, "/files", err);
}

static void make_on_image(struct filesystems *filesystems, enum backing backing, uint64_t bytes, const char *images)
{
    struct filesystem *filesystem = &filesystems->each[backing];
    struct loop loop;
    struct err err = {0};
    int rc = loop_make(&loop, images, bytes, &err);
    if (rc == 0)
        rc = mount_image(filesystems, backing, &loop, &err);
    loop_release(&loop);
    if (rc == 0)
        rc = path_of(filesystems, backing, "/files", filesystem->path, sizeof filesystem->path, &err);
    if (rc) {
        refuse(filesystem, err.text);
        return;
    }
    filesystem->device = loop.device;
    filesystem->direct = loop.direct;
    find_read_ahead(filesystem);
}

/* Words of a mount call in which a path of any kind would have to be quoted: they are relative to the folder. */
static int mount_overlay(const struct filesystems *filesystems, struct err *err)
{
    int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int rc = here < 0 || chdir(filesystems->root) ? err_sys(err, "%s", filesystems->root) : 0;
    if (rc == 0 && mount("faultline", "overlay", "overlay", MS_NOSUID | MS_NODEV,
                         "lowerdir=ext4/lower,upperdir=ext4/upper,workdir=ext4/work"))
        rc = err_sys(err, "mount overlay%s", errno == ENODEV ? " (this kernel does not have it)" : "");
    if (here >= 0 && fchdir(here) && rc == 0)
        rc = err_sys(err, "the current folder");
    if (here >= 0)
        close(here);
    return rc;
}

static int make_overlay(struct filesystems *filesystems, struct err *err)
{
    static const char *const folders[] = {"/lower", "/upper", "/work"};
    int rc = make_folder(filesystems, backing_overlay, "", err);
    for (size_t i = 0; rc == 0 && i < sizeof folders / sizeof *folders; i++)
        rc = make_folder(filesystems, backing_ext4, folders[i], err);
    if (rc == 0)
        rc = mount_overlay(filesystems, err);
    return rc ? rc : make_folder(filesystems, backing_overlay, "/files", err);
}

static bool is_served(const char *point)
{
    struct statfs status;
    return statfs(point, &status) == 0 && status.f_type == FUSE_SUPER_MAGIC;
}

/* Its pages stay in the cache when a file is opened again (kernel_cache): nobody changes them from below. */
static int make_fuse(struct filesystems *filesystems, struct err *err)
{
    char below[sizeof filesystems->root], point[sizeof filesystems->root];
    int says = -1, status = 0;
    int rc = make_folder(filesystems, backing_fuse, "", err);
    if (rc == 0)
        rc = make_folder(filesystems, backing_ext4, "/passed", err);
    if (rc == 0)
        rc = path_of(filesystems, backing_ext4, "/passed", below, sizeof below, err);
    if (rc == 0)
        rc = path_of(filesystems, backing_fuse, "", point, sizeof point, err);
    if (rc)
        return rc;
    const char *words[] = {"bindfs", "-f", "--no-allow-other", "-o", "kernel_cache", below, point, NULL};
    filesystems->passthrough = start(words, &says, err);
    rc = filesystems->passthrough < 0 ? (int)filesystems->passthrough : 0;
    for (int ms = 0; rc == 0 && !is_served(point); ms++) {
        if (waitpid(filesystems->passthrough, &status, WNOHANG) > 0)
            rc = tool_failure("bindfs", "bindfs", status, says, err);
        else if (ms >= FUSE_WAIT_MS)
            rc = err_set(err, ETIMEDOUT, "bindfs does not serve after %d s", FUSE_WAIT_MS / 1000);
        usleep(1000);
    }
    if (rc && rc != -ETIMEDOUT)
        filesystems->passthrough = 0; /* it has ended */
    if (says >= 0)
        close(says);
    return rc ? rc : make_folder(filesystems, backing_fuse, "/files", err);
}

static void make_stacked(struct filesystems *filesystems, enum backing backing)
{
    struct filesystem *filesystem = &filesystems->each[backing];
    const struct filesystem *base = &filesystems->each[backing_ext4];
    struct err err = {0};
    if (!base->path[0]) {
        refuse(filesystem, base->reason);
        return;
    }
    *filesystem = *base;
    int rc = backing == backing_overlay ? make_overlay(filesystems, &err) : make_fuse(filesystems, &err);
    if (rc == 0)
        rc = path_of(filesystems, backing, "/files", filesystem->path, sizeof filesystem->path, &err);
    struct stat status;
    if (rc)
        refuse(filesystem, err.text);
    else if (backing == backing_fuse && stat(filesystem->path, &status) == 0) /* it reads ahead on its own account */
        snprintf(filesystem->read_ahead, sizeof filesystem->read_ahead, "/sys/class/bdi/%u:%u/read_ahead_kb",
                 major(status.st_dev), minor(status.st_dev));
}

void filesystem_make(struct filesystems *filesystems, const struct filesystem_wishes *wishes, const char *images,
                     const char *root)
{
    struct err err = {0};
    *filesystems = (struct filesystems){0};
    if (filesystem_disk_bytes(wishes) == 0)
        return;
    int rc = own_mounts(root, &err);
    for (unsigned b = 0; rc && b < backing_count; b++)
        refuse(&filesystems->each[b], err.text);
    if (rc)
        return;
    snprintf(filesystems->root, sizeof filesystems->root, "%s", root);
    for (unsigned b = 0; b < backing_count; b++)
        if (image_bytes(wishes, (enum backing)b))
            make_on_image(filesystems, (enum backing)b, image_bytes(wishes, (enum backing)b), images);
    for (unsigned b = 0; b < backing_count; b++)
        if (wishes->bytes[b] && base_of((enum backing)b) != b)
            make_stacked(filesystems, (enum backing)b);
}

/* What is still in use, by a process that is just ending, is tried again; in the end it is only hidden. */
static void unmount(const char *path)
{
    int rc = umount2(path, UMOUNT_NOFOLLOW);
    for (int ms = 0; rc && errno == EBUSY && ms < BUSY_WAIT_MS; ms += 10) {
        usleep(10000);
        rc = umount2(path, UMOUNT_NOFOLLOW);
    }
    if (rc && errno == EBUSY)
        umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
}

void filesystem_remove(struct filesystems *filesystems)
{
    char path[sizeof filesystems->root];
    struct err ignored;
    for (unsigned b = backing_count; filesystems->root[0] && b-- > 0;) { /* those that lie on others come last */
        filesystem_set_read_ahead(filesystems, (enum backing)b, read_ahead_as_found, &ignored);
        if (filesystem_is_made((enum backing)b) &&
            path_of(filesystems, (enum backing)b, "", path, sizeof path, &ignored) == 0)
            unmount(path);
    }
    if (filesystems->passthrough > 0) {
        kill(filesystems->passthrough, SIGKILL);
        wait_for(filesystems->passthrough);
    }
    if (filesystems->root[0])
        unmount(filesystems->root);
    *filesystems = (struct filesystems){0};
}

/* ---- read-ahead, and what is there ---- */

int filesystem_set_read_ahead(const struct filesystems *filesystems, enum backing backing, enum read_ahead read_ahead,
                              struct err *err)
{
    static const int64_t wanted[read_ahead_count] = {[read_ahead_128KiB] = 128};
    const struct filesystem *filesystem = &filesystems->each[backing];
    bool as_found = read_ahead == read_ahead_as_found;
    if (!as_found && (!filesystem_has_read_ahead(backing) || filesystem->read_ahead_kb < 0))
        return err_set(err, EOPNOTSUPP, "read-ahead is set only on devices made for the run");
    int64_t kb = as_found ? filesystem->read_ahead_kb : wanted[read_ahead], found = -1;
    if (!filesystem_has_read_ahead(backing) || !filesystem->path[0] || kb < 0)
        return 0;
    FILE *file = fopen(filesystem->read_ahead, "we");
    bool written = file && fprintf(file, "%" PRId64, kb) > 0;
    int rc = !file || fclose(file) || !written ? err_sys(err, "set %s", filesystem->read_ahead) : 0;
    if (rc == 0)
        rc = sysfile_number(&found, err, "%s", filesystem->read_ahead);
    if (rc == 0 && found != kb)
        rc = err_set(err, EIO, "%s stays %" PRId64, filesystem->read_ahead, found);
    if (rc)
        err->code = EOPNOTSUPP;
    return rc ? -EOPNOTSUPP : 0;
}

const char *filesystem_fault(const struct filesystems *filesystems, const struct params *params)
{
    const struct filesystem *filesystem = &filesystems->each[params->backing];
    if (!filesystem_is_made((enum backing)params->backing))
        return NULL;
    if (!filesystem->path[0])
        return filesystem->reason[0] ? filesystem->reason : "the plan was made without --make-filesystems";
    if (params->cache == cache_cold && !filesystem->direct)
        return "the loop device cannot read its image past the page cache: nothing on it would ever be cold";
    return NULL;
}

json_t *filesystem_describe(const struct filesystems *filesystems, enum backing backing)
{
    const struct filesystem *filesystem = &filesystems->each[backing];
    struct mount mount = {0};
    struct statvfs status;
    struct err ignored;
    int64_t kb = -1;
    if (!filesystem_is_made(backing) || !filesystem->path[0] || statvfs(filesystem->path, &status) ||
        mount_find("/proc/self/mountinfo", filesystem->path, &mount, &ignored))
        return json_null();
    char *options = mount_options(&mount);
    sysfile_number(&kb, &ignored, "%s", filesystem->read_ahead);
    json_t *json = json_pack("{s:s, s:s*, s:I, s:o, s:b}", "type", mount.type, "options", options, "block_bytes",
                             (json_int_t)status.f_bsize, "read_ahead_kb",
                             kb < 0 ? json_null() : json_integer((json_int_t)kb), "direct_io", filesystem->direct);
    free(options);
    mount_free(&mount);
    return json;
}
