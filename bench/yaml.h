/* SPDX-License-Identifier: MIT */
/* A YAML file as a tree in which every node knows its place. libfyaml is used only in yaml.c. */
#ifndef FAULTLINE_YAML_H
#define FAULTLINE_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

struct place_in_file { /* both from 1; {0, 0} is no place */
    unsigned line, column;
};

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_MAPPING };

enum {
    YAML_BYTES_MAX = 1 << 20, /* a scenario is a page of text: a larger file is not one */
    YAML_NODES_MAX = 20000,
    YAML_DEPTH_MAX = 16,
};

struct yaml {
    enum yaml_kind kind;
    struct place_in_file at;
    char *text;          /* YAML_TEXT: UTF-8 without control characters; else NULL */
    bool plain;          /* YAML_TEXT: written without quotes */
    struct yaml **items; /* [count] YAML_LIST: elements; YAML_MAPPING: key, value, key, value … (keys are YAML_TEXT) */
    unsigned count;
};

/*
 * Reads the one document of a file. Refused, so that no reader of the tree has to think of them: more than 1 MiB, other
 * encodings than UTF-8, control characters (escaped ones too), aliases, anchors, tags, keys that are not text, keys
 * given twice, several documents, none, nesting deeper than YAML_DEPTH_MAX. -EINVAL with "path:line:column: message";
 * -errno with "path: message" when the file cannot be read. *root is NULL then. The caller frees with yaml_free.
 */
int yaml_load(const char *path, struct yaml **root, struct err *err);

/* The same from memory; `path` is for messages only. */
int yaml_parse(const char *path, const char *text, size_t size, struct yaml **root, struct err *err);

void yaml_free(struct yaml *node);

/* The value of a key of a mapping, or NULL. */
const struct yaml *yaml_find(const struct yaml *mapping, const char *key);

/* Puts "path:line:column: " in front of the text already in err; returns -err->code. */
static inline int err_place(struct err *err, const char *path, struct place_in_file at)
{
    return err_prefix(err, "%s:%u:%u", path, at.line, at.column);
}

#endif
