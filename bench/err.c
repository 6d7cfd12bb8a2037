/* SPDX-License-Identifier: MIT */
#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef err_set /* the analyser's macros */
#undef err_sys
#undef err_prefix

int err_set(struct err *err, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err->code = code;
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return -code;
}

int err_sys(struct err *err, const char *format, ...)
{
    int code = errno;
    va_list args;
    va_start(args, format);
    err->code = code;
    int used = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof err->text)
        snprintf(err->text + used, sizeof err->text - (size_t)used, ": %s", strerror(code));
    return -code;
}

int err_prefix(struct err *err, const char *format, ...)
{
    char old[sizeof err->text];
    memcpy(old, err->text, sizeof old);
    va_list args;
    va_start(args, format);
    int used = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (used < 0 || (size_t)used >= sizeof err->text)
        return -err->code;
    if (snprintf(err->text + used, sizeof err->text - (size_t)used, ": %s", old) < 0) /* a text cut short is fine */
        err->text[used] = '\0';
    return -err->code;
}
