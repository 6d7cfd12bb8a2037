/* SPDX-License-Identifier: MIT */
/* Values the kernel shows as small text files under /proc and /sys. */
#ifndef FAULTLINE_SYSFILE_H
#define FAULTLINE_SYSFILE_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "err.h"

enum { SYSFILE_PATH_SIZE = 4096 };

/* First line of the file at the formatted path, spaces at its end removed; cut at size - 1 bytes. -errno with text. */
int sysfile_line(char *text, size_t size, struct err *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A whole number, decimal or 0x-hexadecimal. -EINVAL when the file holds something else. */
int sysfile_number(int64_t *value, struct err *err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The text as JSON. New reference; NULL with text when it is not UTF-8. */
json_t *sysfile_text(const char *text, struct err *err);

/*
 * What a line says: a decimal number as integer, the bracketed word of "always [madvise] never", else the text.
 * New reference; NULL with text when it is not UTF-8.
 */
json_t *sysfile_value(const char *line, struct err *err);

/* sysfile_value of the file's first line. New reference or NULL with text. */
json_t *sysfile_json(const char *path, struct err *err);

/*
 * One member for each file that matches the pattern, which has a star in one component: that component is the key.
 * Unreadable files are null. NULL with text when nothing matches.
 */
json_t *sysfile_glob(const char *pattern, struct err *err);

/* The next range of a list such as "0-3,8", from *at on, which moves behind it: 1; 0 at the end; -EINVAL: it is none.
 */
int sysfile_list_next(const char **at, unsigned *first, unsigned *last);

/* How many numbers a list such as "0-3,8" names; -EINVAL when it is none. */
int sysfile_list_count(const char *list, unsigned *count, struct err *err);

#endif
