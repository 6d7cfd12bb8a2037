/* SPDX-License-Identifier: MIT */
/*
 * One byte of memory that may not be there, or may not be allowed: a file that somebody cuts short while it is mapped
 * answers a load with SIGBUS, a page without the right to it with SIGSEGV. Here it is a result instead of the end.
 *
 * For the time of the one access SIGBUS and SIGSEGV have a handler that jumps back; afterwards they have the one that
 * they had before, and a fault elsewhere meanwhile, or a signal that somebody sends, goes to that one too; an access
 * that has not been made by then is without a guard. Handlers belong to the whole process: one thread at a time may do
 * this. Not for a loop over many bytes, at eight system calls each.
 *
 * Source: mm/filemap.c filemap_fault (VM_FAULT_SIGBUS beyond the end of the file), arch/x86/mm/fault.c access_error.
 */
#ifndef FAULTLINE_GUARDED_H
#define FAULTLINE_GUARDED_H

/* Loads a byte into *byte, which is left alone when it cannot be: 0, or the signal that it raised. */
int guarded_load(const unsigned char *at, unsigned char *byte);

/* Stores a byte: 0, or the signal that it raised. */
int guarded_store(unsigned char *at, unsigned char byte);

#endif
