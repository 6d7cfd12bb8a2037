/* SPDX-License-Identifier: MIT */
/* The fingerprint of where it ran. No serial numbers, no MAC addresses, no user names. */
#ifndef FAULTLINE_MACHINE_H
#define FAULTLINE_MACHINE_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#include "place.h"

struct machine_options {
    const char *directory; /* where target files are made: its filesystem and device are part of the fingerprint */
    const char *name;      /* --machine-name, or NULL for the host name */
    bool counters;         /* open every counter of events.def once, too: some 20 ms */
};

/*
 * Schema faultline.machine/1:
 *   {"schema","name","hash","boot_id","blocking":{…},"informational":{…},"topology":{…},
 *    "available":{feature: true | "why not"},"unknown":{key: "why"},"counters": event_probe_all's, where asked for}
 * A value that cannot be read is null, and its key ("thp.enabled" for a nested one) is in "unknown" with the reason.
 * "hash" is over "blocking" alone, 16 hexadecimal digits. Call it before binding: the CPUs allowed are part of it.
 * New reference; NULL with text on failure.
 */
json_t *machine_fingerprint(const struct topology *place, const struct machine_options *options, struct err *err);

/* Prints it for a person. */
void machine_print(const json_t *machine, FILE *out);

#endif
