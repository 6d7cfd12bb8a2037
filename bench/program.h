/* SPDX-License-Identifier: MIT */
/* The code of the program itself, whose page faults are not to be taken for those of what is counted. */
#ifndef FAULTLINE_PROGRAM_H
#define FAULTLINE_PROGRAM_H

/*
 * Maps all code and constants of the program and its libraries for the calling process. A fork leaves the page tables
 * of files behind (mm/memory.c vma_needs_copy), which windows of code a process has mapped depends on where they were
 * loaded, and reclaim unmaps what it finds idle: code that runs seldom, as waiting long does, may fault at any time.
 */
void program_map(void);

#endif
