/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counts what a thread takes from the heap, by standing in front of glibc's allocator.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/** Says whether allocations are counted; not under a sanitizer, which has an allocator of its own. */
bool allocation_counter_works(void);

/** How many allocations the calling thread has made so far. */
size_t allocation_counter_value(void);

/**
 * Takes off the hooks of the Swift runtime that a test library sets to look at each error that is thrown: they allocate.
 * For a process that runs one test only.
 */
void allocation_counter_forget_throw_hooks(void);
