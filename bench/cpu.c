/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cpu.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "sysfile.h"

/* Value of the first "name : value" line of /proc/cpuinfo; "" when there is none. */
int cpu_line(const char *name, char *value, size_t size, struct err *why)
{
    char *line = NULL;
    size_t room = 0, length = strlen(name);
    FILE *file = fopen("/proc/cpuinfo", "re");
    value[0] = '\0';
    if (!file)
        return err_sys(why, "/proc/cpuinfo");
    while (!value[0] && getline(&line, &room, file) > 0) {
        char *colon = strchr(line, ':');
        size_t end = strcspn(line, "\t:");
        if (colon && end == length && memcmp(line, name, length) == 0) {
            colon += 1 + strspn(colon + 1, " ");
            snprintf(value, size, "%.*s", (int)strcspn(colon, "\n"), colon);
        }
    }
    free(line);
    fclose(file);
    return value[0] ? 0 : err_set(why, ENOENT, "/proc/cpuinfo has no line '%s'", name);
}

/* Adds "name a/b/c" of those lines that /proc/cpuinfo has; false when the first is missing. */
static bool cpuinfo_join(char *text, size_t size, const char *before, const char *const names[], const char *after)
{
    char value[128];
    struct err unused;
    size_t used = strlen(text);
    for (size_t i = 0; names[i]; i++) {
        if (cpu_line(names[i], value, sizeof value, &unused)) {
            if (i == 0)
                return false;
            continue;
        }
        used += (size_t)snprintf(text + used, used < size ? size - used : 0, "%s%s", i ? "/" : before, value);
        if (used >= size)
            return true;
    }
    snprintf(text + used, size - used, "%s", after);
    return true;
}

/* x86 names its models, often too coarsely, so family, model and stepping follow; arm64 has numbers only; others "cpu".
 */
json_t *cpu_model(struct err *why)
{
    static const char *const x86_name[] = {"model name", NULL}, *const x86_vendor[] = {"vendor_id", NULL},
                             *const x86_numbers[] = {"cpu family", "model", "stepping", NULL},
                             *const arm[] = {"CPU implementer", "CPU part", "CPU variant", "CPU revision", NULL},
                             *const other[] = {"cpu", "revision", NULL}, *const riscv[] = {"uarch", "isa", NULL};
    char text[512] = "";
    if (access("/proc/cpuinfo", R_OK)) {
        err_sys(why, "/proc/cpuinfo");
        return NULL;
    }
    if (cpuinfo_join(text, sizeof text, "", x86_name, "")) {
        cpuinfo_join(text, sizeof text, " (", x86_vendor, "");
        cpuinfo_join(text, sizeof text, " ", x86_numbers, ")");
    } else if (!cpuinfo_join(text, sizeof text, "arm ", arm, "") && !cpuinfo_join(text, sizeof text, "", other, "") &&
               !cpuinfo_join(text, sizeof text, "", riscv, "")) {
        err_set(why, ENOENT, "/proc/cpuinfo names no model");
        return NULL;
    }
    return sysfile_text(text, why);
}

#define EMULATED " (emulated)" /* behind the name of what carries out every instruction in software */

#ifdef __x86_64__
/* What QEMU calls itself where it carries out every instruction in software (target/i386/cpu.c). */
static const char emulator[] = "TCGTCGTCGTCG";
#endif

/* By the processor itself on x86, elsewhere by what the kernel or the firmware says. */
json_t *cpu_virtualisation(struct err *why)
{
    char text[128];
#ifdef __x86_64__
    enum { HYPERVISOR_PRESENT = 1U << 31, VENDOR_LEAF = 0x40000000 };
    unsigned a, b, c, d, vendor[4] = {0};
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & HYPERVISOR_PRESENT))
        return json_string("none");
    __cpuid(VENDOR_LEAF, a, vendor[0], vendor[1], vendor[2]);
    memcpy(text, vendor, sizeof vendor);
    text[sizeof vendor] = '\0';
    if (strcmp(text, emulator) == 0)
        strcat(text, EMULATED);
    return sysfile_text(text[0] ? text : "unnamed", why);
#else
    if (sysfile_line(text, sizeof text, why, "/sys/hypervisor/type") == 0 ||
        sysfile_line(text, sizeof text, why, "/proc/device-tree/hypervisor/compatible") == 0)
        return sysfile_text(text, why);
    /* QEMU's pseries; with KVM it has a node of the hypervisor, too (hw/ppc/spapr.c). */
    if (sysfile_line(text, sizeof text, why, "/proc/device-tree/model") == 0 && strstr(text, "emulated by qemu"))
        return json_string("QEMU" EMULATED);
    if (sysfile_line(text, sizeof text, why, "/sys/class/dmi/id/sys_vendor") == 0)
        return sysfile_text(text, why);
    err_set(why, ENOENT, "neither the kernel nor the firmware says");
    return NULL;
#endif
}

bool cpu_is_emulated(void)
{
    struct err unused;
    json_t *name = cpu_virtualisation(&unused);
    bool is = name && strstr(json_string_value(name), EMULATED);
    json_decref(name);
    return is;
}

/* Two-dimensional page tables: what the host's module says, or what a guest's flags let it offer to guests of its own.
 */
json_t *cpu_nested_paging(struct err *why)
{
    char flags[4096];
    struct err unused;
    if (sysfile_line(flags, sizeof flags, &unused, "/sys/module/kvm_intel/parameters/ept") == 0 ||
        sysfile_line(flags, sizeof flags, &unused, "/sys/module/kvm_amd/parameters/npt") == 0)
        return sysfile_text(flags, why);
    if (cpu_line("flags", flags, sizeof flags, why))
        return NULL;
    for (char *save = NULL, *word = strtok_r(flags, " ", &save); word; word = strtok_r(NULL, " ", &save))
        if (strcmp(word, "npt") == 0 || strcmp(word, "ept") == 0)
            return json_string(word);
    err_set(why, ENOENT, "the processor flags visible here show neither ept nor npt");
    return NULL;
}
