/* SPDX-License-Identifier: MIT */
#include "plan_site.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int refuse(struct site *site, enum field_index blame, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(site->text, sizeof site->text, format, args);
    va_end(args);
    site->blame = blame;
    return -EINVAL;
}

const char *size_text(const struct params *params, enum field_index field)
{
    static _Thread_local char texts[4][TEXT_SIZE];
    static _Thread_local unsigned next;
    char *text = texts[next++ % 4];
    field_format(&field_table[field], params, text, TEXT_SIZE);
    return text;
}
