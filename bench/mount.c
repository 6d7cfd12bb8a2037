/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "mount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "sysfile.h"

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        if (*from == '\\' && strspn(from + 1, "01234567") >= 3) {
            *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* "36 35 98:0 /root /point options optional… - type source super"; false when the line is not of that form. */
static bool mount_parse(struct mount *mount, char *line)
{
    char *field[6], *save = NULL;
    line[strcspn(line, "\n")] = '\0';
    for (int i = 0; i < 6; i++)
        if (!(field[i] = strtok_r(i ? NULL : line, " ", &save)))
            return false;
    if (sscanf(field[2], "%u:%u", &mount->major, &mount->minor) != 2)
        return false;
    char *word;
    do
        word = strtok_r(NULL, " ", &save);
    while (word && strcmp(word, "-") != 0);
    mount->id = atoi(field[0]);
    mount->root = field[3];
    mount->point = field[4];
    mount->options = field[5];
    mount->type = strtok_r(NULL, " ", &save);
    mount->source = strtok_r(NULL, " ", &save);
    mount->super = strtok_r(NULL, " ", &save);
    if (!mount->type || !mount->source)
        return false;
    if (!mount->super) /* a source that is the empty string leaves one word less */
        mount->super = mount->source;
    unescape(mount->root);
    unescape(mount->point);
    unescape(mount->source);
    mount->line = line;
    return true;
}

void mount_free(struct mount *mount)
{
    free(mount->line);
    *mount = (struct mount){0};
}

int mount_select(const char *mountinfo, mount_match *match, const void *argument, struct mount *mount, struct err *err)
{
    *mount = (struct mount){0};
    FILE *file = fopen(mountinfo, "re");
    if (!file)
        return err_sys(err, "%s", mountinfo);
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, file) > 0) {
        struct mount candidate = {0};
        if (!mount_parse(&candidate, line) || !match(&candidate, mount, argument))
            continue;
        mount_free(mount);
        *mount = candidate;
        line = NULL;
        size = 0;
    }
    free(line);
    fclose(file);
    return mount->line ? 0 : err_set(err, ENOENT, "%s: no such mount", mountinfo);
}

struct place_in_tree {
    const char *path; /* absolute, without links */
    int id;           /* -1: the kernel does not tell */
};

static bool mount_is_above(const char *point, const char *path)
{
    size_t length = strlen(point);
    return strcmp(point, "/") == 0 ||
           (strncmp(point, path, length) == 0 && (path[length] == '/' || path[length] == '\0'));
}

/* A later mount on the same point covers the earlier one. */
static bool match_directory(const struct mount *candidate, const struct mount *best, const void *argument)
{
    const struct place_in_tree *place = argument;
    if (best->line && best->id == place->id)
        return false;
    if (candidate->id == place->id)
        return true;
    return mount_is_above(candidate->point, place->path) &&
           (!best->line || strlen(candidate->point) >= strlen(best->point));
}

static int mount_id(const char *path)
{
#ifdef STATX_MNT_ID
    struct statx status;
    if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &status) == 0 && status.stx_mask & STATX_MNT_ID)
        return (int)status.stx_mnt_id;
#else
    (void)path;
#endif
    return -1;
}

int mount_find(const char *mountinfo, const char *directory, struct mount *mount, struct err *err)
{
    *mount = (struct mount){0};
    char path[PATH_MAX];
    if (!realpath(directory, path))
        return err_sys(err, "%s", directory);
    struct place_in_tree place = {.path = path, .id = mount_id(path)};
    return mount_select(mountinfo, match_directory, &place, mount, err);
}

/* Names of options whose values identify a place, a person or a disk. Paths are recognised by themselves. */
static bool option_is_private(const char *name, size_t length)
{
    static const char *const names[] = {"addr",   "clientaddr", "mountaddr", "ip",       "user",      "username",
                                        "domain", "name",       "uuid",      "fsid",     "unc",       "mon_addr",
                                        "secret", "password",   "source",    "context",  "fscontext", "rootcontext",
                                        "uid",    "gid",        "user_id",   "group_id", "resuid",    "resgid",
                                        "cruid",  "lowerdir",   "upperdir",  "workdir"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0)
            return true;
    return false;
}

static void option_hide(char *option)
{
    char *value = strchr(option, '=');
    if (value && (option_is_private(option, (size_t)(value - option)) || strpbrk(value, "/@\\")))
        memcpy(value + 1, "*", value[1] ? 2 : 0);
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Splits at commas into words; those beyond `room` stay part of the last one. */
static size_t split(char *text, char **words, size_t room)
{
    size_t count = 0;
    char *save = NULL;
    for (char *word = strtok_r(text, ",", &save); word && count < room; word = strtok_r(NULL, ",", &save))
        words[count++] = word;
    return count;
}

char *mount_options(const struct mount *mount)
{
    enum { WORDS_MAX = 256 };
    char *words[WORDS_MAX], *all = NULL, *joined = NULL;
    if (asprintf(&all, "%s,%s", mount->options, mount->super) < 0)
        return NULL;
    size_t count = split(all, words, WORDS_MAX), used = 0,
           room = strlen(all) + strlen(mount->options) + strlen(mount->super) + 2;
    for (size_t i = 0; i < count; i++)
        option_hide(words[i]);
    qsort(words, count, sizeof *words, compare_text);
    joined = calloc(1, room);
    for (size_t i = 0; joined && i < count; i++)
        if (i == 0 || strcmp(words[i], words[i - 1]) != 0)
            used += (size_t)snprintf(joined + used, room - used, "%s%s", used ? "," : "", words[i]);
    free(all);
    return joined;
}

/* The whole disk of a block device number: a partition's folder lies in its disk's. */
static int disk_name(unsigned major, unsigned minor, char *name, struct err *err)
{
    char link[64], path[PATH_MAX], part[PATH_MAX + 16];
    snprintf(link, sizeof link, "/sys/dev/block/%u:%u", major, minor);
    if (!realpath(link, path))
        return err_sys(err, "%s", link);
    snprintf(part, sizeof part, "%s/partition", path);
    struct stat status;
    if (stat(part, &status) == 0)
        *strrchr(path, '/') = '\0';
    snprintf(name, DISK_NAME_SIZE, "%.*s", DISK_NAME_SIZE - 1, strrchr(path, '/') + 1);
    return 0;
}

/* Device number of the filesystem; btrfs hides it behind a number of its own, its source tells. */
static int mount_device(const struct mount *mount, unsigned *major, unsigned *minor, struct err *err)
{
    struct stat status;
    *major = mount->major;
    *minor = mount->minor;
    if (*major)
        return 0;
    if (strncmp(mount->source, "/dev/", 5) != 0 || stat(mount->source, &status) || !S_ISBLK(status.st_mode))
        return err_set(err, ENODEV, "%s has no block device that can be seen from here", mount->type);
    *major = major(status.st_rdev);
    *minor = minor(status.st_rdev);
    return 0;
}

static int filter_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* First member of a stacked device (dm, md), as a device number. */
static bool disk_member(const char *name, unsigned *major, unsigned *minor)
{
    char path[PATH_MAX], line[32];
    struct dirent **members = NULL;
    struct err err;
    snprintf(path, sizeof path, "/sys/block/%s/slaves", name);
    int count = scandir(path, &members, filter_visible, alphasort);
    bool found = count > 0 && sysfile_line(line, sizeof line, &err, "%s/%s/dev", path, members[0]->d_name) == 0 &&
                 sscanf(line, "%u:%u", major, minor) == 2;
    for (int i = 0; i < count; i++)
        free(members[i]);
    free(members);
    return found;
}

/* Device number of the filesystem that holds a loop device's file. */
static bool disk_backing(const char *name, unsigned *major, unsigned *minor)
{
    char path[PATH_MAX];
    struct err err;
    struct mount mount = {0};
    bool found = sysfile_line(path, sizeof path, &err, "/sys/block/%s/loop/backing_file", name) == 0 &&
                 mount_find("/proc/self/mountinfo", path, &mount, &err) == 0 &&
                 mount_device(&mount, major, minor, &err) == 0;
    mount_free(&mount);
    return found;
}

int mount_disks(const struct mount *mount, struct disk_stack *stack, struct err *err)
{
    unsigned major, minor;
    *stack = (struct disk_stack){0};
    int rc = mount_device(mount, &major, &minor, err);
    if (rc)
        return rc;
    do {
        rc = disk_name(major, minor, stack->name[stack->count], err);
        if (rc)
            return stack->count ? 0 : rc;
        stack->count++;
    } while (stack->count < DISK_STACK_MAX && (disk_member(stack->name[stack->count - 1], &major, &minor) ||
                                               disk_backing(stack->name[stack->count - 1], &major, &minor)));
    return 0;
}

int mount_read_ahead_kb(const struct mount *mount, const struct disk_stack *stack, int64_t *kb, struct err *err)
{
    struct err unused;
    if (sysfile_number(kb, &unused, "/sys/class/bdi/%u:%u/read_ahead_kb", mount->major, mount->minor) == 0)
        return 0;
    if (stack->count == 0)
        return err_set(err, ENODEV, "%s has no backing device that shows its readahead", mount->type);
    return sysfile_number(kb, err, "/sys/block/%s/queue/read_ahead_kb", stack->name[0]);
}
