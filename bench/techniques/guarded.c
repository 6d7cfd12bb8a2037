/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "guarded.h"

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

static const int numbers[] = {SIGBUS, SIGSEGV};
enum { COUNT = sizeof numbers / sizeof *numbers };

static sigjmp_buf way_back;
static volatile sig_atomic_t raised; /* by the access; 0: it went well */
static uintptr_t guarded_page;       /* as a page number: some architectures do not tell the byte */
static struct sigaction before[COUNT];

static uintptr_t page_of(const void *at)
{
    return (uintptr_t)at / (uintptr_t)sysconf(_SC_PAGESIZE);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    bool sent = info->si_code <= 0; /* by a process: there is no address */
    (void)context;
    if (!sent && page_of(info->si_addr) == guarded_page) {
        raised = number;
        siglongjmp(way_back, 1);
    }
    sigaction(number, &before[number == SIGSEGV], NULL); /* not ours: a fault is repeated, and meets what was there … */
    if (sent)
        raise(number); /* … as does what was sent, when this handler returns */
}

static void begin(const void *at)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    guarded_page = page_of(at);
    raised = 0;
    for (int i = 0; i < COUNT; i++)
        sigaction(numbers[i], NULL, &before[i]); /* first: the C library tells of it when on_fault may have run … */
    for (int i = 0; i < COUNT; i++)
        sigaction(numbers[i], &action, NULL); /* … for a signal that comes as soon as it is there */
}

static void end(void)
{
    for (int i = 0; i < COUNT; i++)
        sigaction(numbers[i], &before[i], NULL);
}

int guarded_load(const unsigned char *at, unsigned char *byte)
{
    begin(at);
    if (sigsetjmp(way_back, 1) == 0) /* with the mask, or the signal would stay blocked */
        *byte = *(const volatile unsigned char *)at;
    end();
    return (int)raised;
}

int guarded_store(unsigned char *at, unsigned char byte)
{
    begin(at);
    if (sigsetjmp(way_back, 1) == 0)
        *(volatile unsigned char *)at = byte;
    end();
    return (int)raised;
}
