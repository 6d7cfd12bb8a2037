/* SPDX-License-Identifier: MIT */
/* The user's own file (--file): what it changes in a cell, and which cells it is too small for. */
#include "plan_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    COPY_MIB_MAX = 256, /* of a private copy whose size nobody asked for: the default footprint of everything */
    MEMORY_PERCENT = 80 /* of available memory that a warm file may fill: the rest is for everybody else */
};

static int check_kind(const char *path, const struct stat *status, uint64_t page_bytes, struct err *err)
{
    if (S_ISDIR(status->st_mode))
        return err_set(err, EISDIR, "--file %.300s: this is a directory", path);
    if (!S_ISREG(status->st_mode))
        return err_set(err, EINVAL, "--file %.300s: not a regular file", path);
    if ((uint64_t)status->st_size < page_bytes)
        return err_set(err, EINVAL, "--file %.300s: %jd bytes are too few to measure: one page has %" PRIu64, path,
                       (intmax_t)status->st_size, page_bytes);
    return 0;
}

int given_open(struct draft *draft)
{
    const char *path = draft->options->given_path;
    struct stat status;
    struct statfs filesystem;
    if (!path)
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a named pipe must not make us wait */
    if (fd < 0)
        return err_sys(draft->err, "--file %.300s", path);
    int rc = fstat(fd, &status) || fstatfs(fd, &filesystem) ? err_sys(draft->err, "--file %.300s", path) : 0;
    close(fd);
    if (!rc)
        rc = check_kind(path, &status, draft->page_bytes, draft->err);
    /* Trial processes may run elsewhere than here: they get the whole path. */
    char *whole = rc ? NULL : realpath(path, NULL);
    if (!rc && !whole)
        rc = err_sys(draft->err, "--file %.300s", path);
    if (!rc) {
        snprintf(draft->plan->given_path, sizeof draft->plan->given_path, "%s", whole);
        draft->given = (struct given_file){true, filesystem.f_type == TMPFS_MAGIC, (uint64_t)status.st_size};
    }
    free(whole);
    return rc;
}

static bool is_asked_for(const struct draft *draft, enum field_index field)
{
    const struct place_in_file *at = &draft->common_origins.at[field];
    bool set = at->line == 0 && at->column > 0;
    return draft->varied[field] || set;
}

/* Whether any cell or arm has this option of a field: set, varied, or its own. */
static bool any_has(const struct draft *draft, enum field_index field, uint64_t option)
{
    const char *spelling = field_table[field].options[option].spelling;
    const struct variation *varied = draft->varied[field];
    char common[TEXT_SIZE];
    field_format(&field_table[field], &draft->common, common, sizeof common);
    bool has = strcmp(common, spelling) == 0;
    for (unsigned i = 0; varied && i < varied->text_count; i++)
        has = has || strcmp(varied->texts[i], spelling) == 0;
    for (unsigned i = 0; i < draft->scenario->arm_count; i++) {
        const struct setting *own = settings_find(&draft->scenario->arms[i].settings, &field_table[field]);
        has = has || (own && strcmp(own->text, spelling) == 0);
    }
    return has;
}

/* Whether any arm might write, to the file or to a mapping of it: the user's file is never written to. */
static bool any_writes(const struct draft *draft)
{
    bool writes = any_has(draft, FIELD_access, access_store) || any_has(draft, FIELD_cache, cache_dirty) ||
                  any_has(draft, FIELD_populate, populate_populate_write) || any_has(draft, FIELD_prior, prior_stored);
    for (unsigned i = 0; i < draft->scenario->arm_count; i++)
        writes = writes || draft->scenario->arms[i].method->needs & NEEDS_WRITE;
    return writes;
}

bool given_is_copied(const struct draft *draft)
{
    return draft->given.present &&
           (is_asked_for(draft, FIELD_recipe) || is_asked_for(draft, FIELD_file_bytes) || any_writes(draft));
}

static int refuse_copy(const struct draft *draft, struct params *params, char *reason, size_t size)
{
    uint64_t most = COPY_MIB_MAX * MIB;
    params->backing = backing_file;
    if (!is_asked_for(draft, FIELD_file_bytes))
        params->file_bytes = draft->given.bytes < most ? draft->given.bytes : most;
    if (params->file_bytes <= draft->given.bytes)
        return 0;
    snprintf(reason, size, "needs %" PRIu64 " bytes, the file given with --file has %" PRIu64, params->file_bytes,
             draft->given.bytes);
    return 1;
}

int given_apply(const struct draft *draft, struct params *params, char *reason, size_t size)
{
    if (!draft->given.present)
        return 0;
    if (params->backing != backing_file) {
        snprintf(reason, size, "the file given with --file lies where it lies, not on %s",
                 field_table[FIELD_backing].options[params->backing].spelling);
        return 1;
    }
    if (given_is_copied(draft))
        return refuse_copy(draft, params, reason, size);
    params->backing = backing_given;
    params->recipe = recipe_as_found;
    params->file_bytes = draft->given.bytes;
    if (params->cache == cache_cold && !draft->options->allow_evict)
        snprintf(reason, size, "a cold cache needs --allow-evict: it empties the page cache of your file for everyone");
    else if ((params->cache == cache_cold || params->cache == cache_clean) && draft->given.on_tmpfs)
        snprintf(reason, size, "your file lies on tmpfs, where nothing is ever evicted or written back");
    else
        return 0;
    return 1;
}

static uint64_t divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The least common multiple; above `most` when there is none up to it. */
static uint64_t multiple(uint64_t a, uint64_t b, uint64_t most)
{
    uint64_t common;
    return __builtin_mul_overflow(a, b / divisor(a, b), &common) ? most + 1 : common;
}

/* The least number of bytes that is whole blocks for every arm, and whole pages where each page is a VMA. */
static uint64_t common_block(const struct cell *cell, uint64_t page_bytes, uint64_t most)
{
    uint64_t common = 1;
    for (unsigned i = 0; i < cell->arm_count && common <= most; i++) {
        const struct arm *arm = &cell->arms[i];
        uint64_t block = arm->params.block_bytes;
        if (!(arm->method->needs & NEEDS_FILE) || block == 0 || block == FIELD_AUTO)
            continue;
        common = multiple(common, block, most);
        if (common <= most && method_uses(arm->method, &field_table[FIELD_vma]) && arm->params.vma == vma_page)
            common = multiple(common, page_bytes, most);
    }
    return common;
}

static void spread_working_set(struct cell *cell, uint64_t bytes)
{
    cell->params.working_set_bytes = bytes;
    for (unsigned i = 0; i < cell->arm_count; i++)
        cell->arms[i].params.working_set_bytes = bytes;
}

int given_fit(const struct draft *draft, struct cell *cell, char *reason, size_t size)
{
    uint64_t file = cell->params.file_bytes, bytes = cell->params.working_set_bytes;
    if (bytes == FIELD_AUTO) {
        uint64_t most = draft->available_bytes / 100 * MEMORY_PERCENT;
        bytes = file;
        if (cell->params.backing == backing_given && bytes > most)
            bytes = most;
        spread_working_set(cell, bytes);
    }
    if (!draft->given.present)
        return 0;
    if (bytes > file) {
        snprintf(reason, size, "visits %" PRIu64 " bytes, the file has %" PRIu64, bytes, file);
        return 1;
    }
    for (unsigned i = 0; i < cell->arm_count; i++) {
        uint64_t *block = &cell->arms[i].params.block_bytes;
        if (*block == FIELD_AUTO)
            *block = bytes < 128 * KIB ? bytes : 128 * KIB;
    }
    uint64_t whole = common_block(cell, draft->page_bytes, bytes);
    if (whole > bytes) {
        snprintf(reason, size, "a block of %" PRIu64 " bytes does not fit into the %" PRIu64 " bytes of the file",
                 whole, bytes);
        return 1;
    }
    spread_working_set(cell, bytes - bytes % whole);
    return 0;
}
