/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What is freed is wiped. cygnetctl reads files with secrets; libyaml, jansson, OpenSSL and libvici make copies of
 * what they are given, and free them as they are. This free() takes the place of the C library's in the whole program.
 */

/* AddressSanitizer has an allocator of its own; clang says in another way than gcc that it is there. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OTHER_ALLOCATOR
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define OTHER_ALLOCATOR
#endif

#ifndef OTHER_ALLOCATOR

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void *__libc_malloc(size_t size);
void __libc_free(void *p);

void
free(void *p)
{
	if (p == NULL)
		return;
	explicit_bzero(p, malloc_usable_size(p));
	__libc_free(p);
}

/* Never in place: the C library's would leave the old block as it is when it moves. */
void *
realloc(void *p, size_t size)
{
	size_t old = p != NULL ? malloc_usable_size(p) : 0;
	void *moved;

	if (size == 0 && p != NULL) {
		free(p);
		return NULL;
	}
	moved = __libc_malloc(size);
	if (moved != NULL && p != NULL) {
		memcpy(moved, p, old < size ? old : size);
		free(p);
	}
	return moved;
}

#endif
