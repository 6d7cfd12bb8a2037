/* SPDX-License-Identifier: MIT */
/* What kind of processor this is, and whether it is a virtual one. New references; NULL with the reason in `why`. */
#ifndef FAULTLINE_CPU_H
#define FAULTLINE_CPU_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "err.h"

/* Value of the first "name : value" line of /proc/cpuinfo, cut at size - 1 bytes. -ENOENT when there is none. */
int cpu_line(const char *name, char *value, size_t size, struct err *why);

/* The model in words, with the numbers that tell it apart. */
json_t *cpu_model(struct err *why);

/* Name of the hypervisor this system runs on, with " (emulated)" behind that of an emulator; "none" on bare metal. */
json_t *cpu_virtualisation(struct err *why);

/* Whether every instruction is carried out in software, as far as that can be told: on x86 and on POWER. */
bool cpu_is_emulated(void);

/* Two-dimensional page tables as far as they can be seen from here. */
json_t *cpu_nested_paging(struct err *why);

#endif
