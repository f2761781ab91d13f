/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_FIB_CHANGES_H
#define CYGNET_FIB_CHANGES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A lookup that reads more than one word sees, of one change, what was before or what comes after. Of two it could see
 * half of each: the next hop of a shorter prefix that went first, and no longer that of one which went next, though
 * both were never away together. It counts the changes that it meets, and after two it is done again.
 */
typedef _Atomic uint32_t fib_changes; /* odd while one is made */

/* Often enough for a lcore that keeps its cpu. */
#define FIB_TRIES 4

/* Control thread. */
static inline void
fib_change_begins(fib_changes *c)
{
	atomic_store_explicit(c, *c + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

static inline void
fib_change_ends(fib_changes *c)
{
	atomic_store_explicit(c, *c + 1, memory_order_release);
}

/* Lcores: before a lookup, and after it, whether two changes were made since. */
static inline uint32_t
fib_changes_now(const fib_changes *c)
{
	return atomic_load_explicit(c, memory_order_acquire);
}

static inline bool
fib_changed_twice(const fib_changes *c, uint32_t begin)
{
	uint32_t end;

	atomic_thread_fence(memory_order_acquire);
	end = atomic_load_explicit(c, memory_order_relaxed);
	return __builtin_expect(end != begin, 0) && (end + 1) / 2 - begin / 2 > 1;
}

#endif
