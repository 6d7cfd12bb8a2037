/* SPDX-License-Identifier: MIT */
#include "yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <libfyaml.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct reader {
    const char *path;
    struct fy_parser *parser;
    struct fy_diag *diag;
    unsigned node_count;
    struct err *err;
};

/* Bytes of the UTF-8 sequence at `text` and its code point; 0 when it is not one (overlong and surrogates included). */
static size_t utf8_decode(const unsigned char *text, size_t left, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = text[0] < 0x80 ? 1 : text[0] >> 5 == 6 ? 2 : text[0] >> 4 == 14 ? 3 : text[0] >> 3 == 30 ? 4 : 0;
    if (length == 0 || length > left)
        return 0;
    *code = length == 1 ? text[0] : text[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if (text[i] >> 6 != 2)
            return 0;
        *code = *code << 6 | (text[i] & 0x3f);
    }
    bool surrogate = *code >= 0xd800 && *code < 0xe000;
    return *code < least[length] || *code > 0x10ffff || surrogate ? 0 : length;
}

/* C0, DEL, C1 and the two separators that some readers take for a line break. */
static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029;
}

/* Before the parser sees it, so that the parser is given nothing but printable text. */
static int check_bytes(const char *path, const char *text, size_t size, struct err *err)
{
    struct place_in_file at = {1, 1};
    for (size_t i = 0; i < size;) {
        uint32_t code = 0;
        size_t length = utf8_decode((const unsigned char *)text + i, size - i, &code);
        if (length == 0)
            err_set(err, EINVAL, "this is not UTF-8 (byte 0x%02x)", (unsigned char)text[i]);
        else if (is_control(code) && code != '\n' && code != '\r' && code != '\t')
            err_set(err, EINVAL, "control character U+%04X", (unsigned)code);
        if (err->code)
            return err_place(err, path, at);
        at.column = code == '\n' ? 1 : at.column + 1;
        at.line += code == '\n';
        i += length;
    }
    return 0;
}

static int check_text(struct reader *reader, const struct yaml *node, size_t size)
{
    for (size_t i = 0; i < size;) {
        uint32_t code = 0;
        size_t length = utf8_decode((const unsigned char *)node->text + i, size - i, &code);
        if (length == 0 || is_control(code)) {
            err_set(reader->err, EINVAL, "control character U+%04X in a text: write it on one line, without escapes",
                    (unsigned)code);
            return err_place(reader->err, reader->path, node->at);
        }
        i += length;
    }
    return 0;
}

/* The parser's marks stand behind quotes, & and *: `signs` columns are taken back. */
static struct place_in_file mark_place(const struct fy_mark *mark, int signs)
{
    if (!mark)
        return (struct place_in_file){1, 1};
    int column = mark->column > signs ? mark->column - signs : 0;
    return (struct place_in_file){(unsigned)mark->line + 1, (unsigned)column + 1};
}

static struct place_in_file event_place(struct fy_event *event)
{
    enum fy_node_style style = event->type == FYET_SCALAR ? fy_event_get_node_style(event) : FYNS_ANY;
    bool signs = event->type == FYET_ALIAS || style == FYNS_SINGLE_QUOTED || style == FYNS_DOUBLE_QUOTED;
    struct fy_token *anchor = NULL, *tag = NULL;
    if (event->type != FYET_ALIAS) { /* an anchor and a tag come before what they belong to */
        anchor = fy_event_get_anchor_token(event);
        tag = fy_event_get_tag_token(event);
    }
    if (anchor || tag)
        return mark_place(fy_token_start_mark(anchor ? anchor : tag), anchor != NULL);
    return mark_place(fy_event_start_mark(event), signs);
}

static int refuse_event(struct reader *reader, struct fy_event *event, const char *what)
{
    err_set(reader->err, EINVAL, "%s", what);
    return err_place(reader->err, reader->path, event_place(event));
}

/* What the parser itself has to say: its first message. */
static int refuse_syntax(struct reader *reader)
{
    void *iterator = NULL;
    const struct fy_diag_error *first = fy_diag_errors_iterate(reader->diag, &iterator);
    struct place_in_file at = {1, 1};
    if (first && first->line > 0)
        at = (struct place_in_file){(unsigned)first->line, first->column > 0 ? (unsigned)first->column : 1};
    err_set(reader->err, EINVAL, "not YAML: %s", first && first->msg ? first->msg : "the parser gave up");
    return err_place(reader->err, reader->path, at);
}

static int next_event(struct reader *reader, struct fy_event **event)
{
    *event = fy_parser_parse(reader->parser);
    return *event ? 0 : refuse_syntax(reader);
}

static int node_append(struct yaml *node, struct err *err)
{
    bool full = (node->count & (node->count - 1)) == 0; /* room doubles at every power of two */
    if (full) {
        struct yaml **items = reallocarray(node->items, node->count ? 2 * (size_t)node->count : 1, sizeof *items);
        if (!items)
            return err_set(err, ENOMEM, "out of memory");
        node->items = items;
    }
    node->items[node->count++] = NULL;
    return 0;
}

static int take_text(struct reader *reader, struct fy_event *event, struct yaml *node)
{
    size_t size = 0;
    const char *text = fy_token_get_text(fy_event_get_token(event), &size);
    if (!text)
        return refuse_event(reader, event, "a text without text");
    /* A block scalar ends in a line break that is not part of what was said. */
    size -= size > 0 && text[size - 1] == '\n';
    node->text = malloc(size + 1);
    if (!node->text)
        return err_set(reader->err, ENOMEM, "%s: out of memory", reader->path);
    memcpy(node->text, text, size);
    node->text[size] = '\0';
    node->plain = fy_event_get_node_style(event) == FYNS_PLAIN;
    return check_text(reader, node, size);
}

static int check_key(struct reader *reader, const struct yaml *mapping)
{
    const struct yaml *key = mapping->items[mapping->count - 1];
    if (key->kind != YAML_TEXT) {
        err_set(reader->err, EINVAL, "a key must be text");
        return err_place(reader->err, reader->path, key->at);
    }
    for (unsigned i = 0; i + 1 < mapping->count; i += 2) {
        const struct yaml *earlier = mapping->items[i];
        if (strcmp(earlier->text, key->text) != 0)
            continue;
        err_set(reader->err, EINVAL, "'%.60s' is given twice; the first is on line %u", key->text, earlier->at.line);
        return err_place(reader->err, reader->path, key->at);
    }
    return 0;
}

static int read_node(struct reader *reader, struct fy_event *event, unsigned depth, struct yaml **slot);

static int read_items(struct reader *reader, unsigned depth, struct yaml *node)
{
    enum fy_event_type end = node->kind == YAML_LIST ? FYET_SEQUENCE_END : FYET_MAPPING_END;
    for (;;) {
        struct fy_event *event;
        int rc = next_event(reader, &event);
        if (rc)
            return rc;
        bool done = event->type == end;
        if (!done)
            rc = node_append(node, reader->err);
        if (!done && !rc)
            rc = read_node(reader, event, depth + 1, &node->items[node->count - 1]);
        fy_parser_event_free(reader->parser, event);
        if (!done && !rc && node->kind == YAML_MAPPING && node->count % 2 == 1)
            rc = check_key(reader, node);
        if (done || rc)
            return rc;
    }
}

static const char *forbidden(struct reader *reader, struct fy_event *event, unsigned depth)
{
    if (event->type == FYET_ALIAS)
        return "aliases are not allowed here: write the value out";
    if (event->type != FYET_SCALAR && event->type != FYET_SEQUENCE_START && event->type != FYET_MAPPING_START)
        return "a value is missing";
    if (fy_event_get_anchor_token(event))
        return "anchors are not allowed here: write the value out";
    if (fy_event_get_tag_token(event))
        return "tags are not allowed here";
    if (depth > YAML_DEPTH_MAX)
        return "nested too deeply";
    return ++reader->node_count > YAML_NODES_MAX ? "too many values" : NULL;
}

static int read_node(struct reader *reader, struct fy_event *event, unsigned depth, struct yaml **slot)
{
    const char *what = forbidden(reader, event, depth);
    if (what)
        return refuse_event(reader, event, what);
    struct yaml *node = *slot = calloc(1, sizeof *node);
    if (!node)
        return err_set(reader->err, ENOMEM, "%s: out of memory", reader->path);
    node->at = event_place(event);
    node->kind = event->type == FYET_SCALAR ? YAML_TEXT : event->type == FYET_SEQUENCE_START ? YAML_LIST : YAML_MAPPING;
    return node->kind == YAML_TEXT ? take_text(reader, event, node) : read_items(reader, depth, node);
}

/* The stream: one document and nothing after it. */
static int read_stream(struct reader *reader, struct yaml **root)
{
    for (;;) {
        struct fy_event *event;
        int rc = next_event(reader, &event);
        if (rc)
            return rc;
        bool done = event->type == FYET_STREAM_END;
        if (event->type == FYET_DOCUMENT_START && *root)
            rc = refuse_event(reader, event, "a second document: a file holds one scenario");
        else if (!done && event->type != FYET_STREAM_START && event->type != FYET_DOCUMENT_START &&
                 event->type != FYET_DOCUMENT_END)
            rc = read_node(reader, event, 1, root);
        if (done && !*root)
            rc = refuse_event(reader, event, "the file is empty");
        fy_parser_event_free(reader->parser, event);
        if (done || rc)
            return rc;
    }
}

/* The parser prints what it has to say unless it is given somewhere else to put it. */
static struct fy_diag *quiet_diag(void)
{
    struct fy_diag_cfg config;
    fy_diag_cfg_default(&config);
    config.fp = NULL;
    config.level = FYET_ERROR;
    struct fy_diag *diag = fy_diag_create(&config);
    if (diag)
        fy_diag_set_collect_errors(diag, true);
    return diag;
}

static int start_parser(struct reader *reader, const char *text, size_t size)
{
    struct fy_parse_cfg config = {
        .search_path = "",
        .flags = FYPCF_DISABLE_MMAP_OPT | FYPCF_JSON_NONE | FYPCF_DEFAULT_VERSION_AUTO,
    };
    config.diag = reader->diag = quiet_diag();
    reader->parser = reader->diag ? fy_parser_create(&config) : NULL;
    if (!reader->parser || fy_parser_set_string(reader->parser, text, size))
        return err_set(reader->err, ENOMEM, "%s: the YAML parser did not start", reader->path);
    return 0;
}

int yaml_parse(const char *path, const char *text, size_t size, struct yaml **root, struct err *err)
{
    struct reader reader = {.path = path, .err = err};
    *root = NULL;
    *err = (struct err){0};
    int rc = check_bytes(path, text, size, err);
    if (rc)
        return rc;
    rc = start_parser(&reader, text, size);
    if (!rc)
        rc = read_stream(&reader, root);
    fy_parser_destroy(reader.parser);
    fy_diag_destroy(reader.diag);
    if (rc) {
        yaml_free(*root);
        *root = NULL;
    }
    return rc;
}

static int read_all(int fd, const char *path, char *text, size_t room, size_t *size, struct err *err)
{
    *size = 0;
    while (*size < room) {
        ssize_t got = read(fd, text + *size, room - *size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, "%s", path);
        if (got == 0)
            break;
        *size += (size_t)got;
    }
    return 0;
}

int yaml_load(const char *path, struct yaml **root, struct err *err)
{
    char *text = NULL;
    size_t size = 0;
    struct stat status;
    *root = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a named pipe must not make us wait */
    int rc = fd < 0 || fstat(fd, &status) ? err_sys(err, "%s", path) : 0;
    if (!rc && !S_ISREG(status.st_mode))
        rc = err_set(err, EINVAL, "%s: not a regular file", path);
    if (!rc && !(text = malloc(YAML_BYTES_MAX + 1)))
        rc = err_set(err, ENOMEM, "%s: out of memory", path);
    if (!rc)
        rc = read_all(fd, path, text, YAML_BYTES_MAX + 1, &size, err);
    if (!rc && size > YAML_BYTES_MAX)
        rc = err_set(err, EINVAL, "%s:1:1: larger than 1 MiB: this is not a scenario", path);
    if (!rc)
        rc = yaml_parse(path, text, size, root, err);
    free(text);
    if (fd >= 0)
        close(fd);
    return rc;
}

void yaml_free(struct yaml *node)
{
    if (!node)
        return;
    for (unsigned i = 0; i < node->count; i++)
        yaml_free(node->items[i]);
    free(node->items);
    free(node->text);
    free(node);
}

const struct yaml *yaml_find(const struct yaml *mapping, const char *key)
{
    for (unsigned i = 0; i + 1 < mapping->count; i += 2)
        if (strcmp(mapping->items[i]->text, key) == 0)
            return mapping->items[i + 1];
    return NULL;
}
