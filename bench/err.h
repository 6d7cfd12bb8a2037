/* SPDX-License-Identifier: MIT */
/* One error context: the function that knows what went wrong fills it once, every caller passes it up. */
#ifndef FAULTLINE_ERR_H
#define FAULTLINE_ERR_H

struct err {
    int code;       /* errno-like, 0 while nothing is wrong */
    char text[512]; /* one line for the user, no trailing newline */
};

/* Fills `err` with `code` and the formatted text; returns -code. `code` > 0. */
int err_set(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Fills `err` from errno: "<formatted text>: <strerror>"; returns -errno. */
int err_sys(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "<formatted text>: " in front of the text already there (used only at file boundaries); returns -err->code. */
int err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__ /* tells the analyser, which sees one file at a time, that none of them returns 0 */
#define err_set(...) (err_set(__VA_ARGS__) | -1)
#define err_sys(...) (err_sys(__VA_ARGS__) | -1)
#define err_prefix(...) (err_prefix(__VA_ARGS__) | -1)
#endif

#endif
