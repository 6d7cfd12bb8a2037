/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz targets share. A target is one file fuzz_NAME.c that defines LLVMFuzzerTestOneInput; its inputs are
 * kept in corpus/NAME. In the preset `fuzz` libFuzzer drives it, elsewhere replay.c runs what is kept.
 */
#ifndef FAULTLINE_FUZZ_H
#define FAULTLINE_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process, as a finding, where something that must hold does not. */
#define HOLDS(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                             \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A descriptor of a file with this content, the same one each time. */
static inline int fuzz_file(const void *data, size_t size)
{
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("fuzz", MFD_CLOEXEC);
    HOLDS(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    return fd;
}

/* The path of a file with this content; static text. */
static inline const char *fuzz_path(const void *data, size_t size)
{
    static char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fuzz_file(data, size));
    return path;
}

/* The input as text that ends with a NUL; free() it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    HOLDS(text);
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* Where what is printed goes. */
static inline FILE *fuzz_sink(void)
{
    static FILE *sink;
    if (!sink)
        sink = fopen("/dev/null", "we");
    HOLDS(sink);
    return sink;
}

#endif
