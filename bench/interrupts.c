/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "interrupts.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* Where a reader is who sees one character after the other. */
enum place { LABEL, OTHER_ROW, NUMBERS, DONE };

struct reader {
    const char *label;
    size_t matched; /* characters of the label */
    enum place place;
    uint64_t number, sum;
};

static void read_label(struct reader *reader, char c)
{
    if (c == '\n')
        reader->matched = 0;
    else if (c == ' ' && reader->matched == 0)
        return;
    else if (reader->label[reader->matched] == '\0')
        reader->place = c == ':' ? NUMBERS : OTHER_ROW;
    else if (c == reader->label[reader->matched])
        reader->matched++;
    else
        reader->place = OTHER_ROW;
}

static void read_character(struct reader *reader, char c)
{
    if (reader->place == LABEL) {
        read_label(reader, c);
    } else if (reader->place == OTHER_ROW && c == '\n') {
        reader->place = LABEL;
        reader->matched = 0;
    } else if (reader->place == NUMBERS && isdigit((unsigned char)c)) {
        reader->number = reader->number * 10 + (uint64_t)(c - '0');
    } else if (reader->place == NUMBERS) {
        reader->sum += reader->number;
        reader->number = 0;
        if (c != ' ') /* the words behind the numbers */
            reader->place = DONE;
    }
}

uint64_t interrupts_sum(int fd, const char *label)
{
    struct reader reader = {.label = label};
    char text[4096];
    off_t at = 0;
    ssize_t count;
    while (reader.place != DONE && (count = pread(fd, text, sizeof text, at)) > 0) {
        for (ssize_t i = 0; i < count && reader.place != DONE; i++)
            read_character(&reader, text[i]);
        at += count;
    }
    return reader.place == DONE ? reader.sum : UINT64_MAX;
}
