/* SPDX-License-Identifier: MIT */
/* A topology to plan for (--topology): XML or a description, read by hwloc, then sorted into classes of pairs. */
#include "fuzz.h"

#include "matrix.h"
#include "place.h"

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhwloc.so\n"; /* of what it refuses it keeps some bytes */
}

static void pairs_hold(const struct topology *place)
{
    const struct pairs *pairs = place_pairs(place);
    for (enum matrix matrix = matrix_class; matrix < matrix_count; matrix++) {
        enum matrix_width widths[PAIR_CLASSES_MAX] = {WIDTH_FEW};
        struct pair *items = NULL;
        struct err err = {0};
        unsigned count = 0;
        if (matrix_pairs(pairs, matrix, widths, 1, &items, &count, &err) == 0)
            HOLDS(count > 0);
        free(items);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || data[0] == '\0' || data[0] == '/') /* names that hwloc takes for this machine: see main.c */
        return 0;
    char *text = fuzz_text(data, size);
    struct topology *place = NULL;
    struct err err = {0};
    bool is_xml = text[0] == '<';
    unsetenv(is_xml ? "HWLOC_SYNTHETIC" : "HWLOC_XMLFILE");
    HOLDS(setenv(is_xml ? "HWLOC_XMLFILE" : "HWLOC_SYNTHETIC", is_xml ? fuzz_path(data, size) : text, 1) == 0);
    if (place_load(&place, &err) == 0) {
        json_t *json = place_json(place);
        HOLDS(json && place_cpu_count(place) > 0 && !place_is_this_machine(place));
        json_decref(json);
        pairs_hold(place);
    } else
        HOLDS(err.text[0]);
    place_free(place);
    free(text);
    return 0;
}
