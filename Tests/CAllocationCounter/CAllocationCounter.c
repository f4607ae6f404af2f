/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "CAllocationCounter.h"

#include <errno.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_OTHER_ALLOCATOR 1
#endif
#endif
#ifndef __GLIBC__
#define HAS_OTHER_ALLOCATOR 1
#endif

#ifdef HAS_OTHER_ALLOCATOR

bool allocation_counter_works(void) { return false; }
size_t allocation_counter_value(void) { return 0; }

#else

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

/* The local-exec model needs no allocation of its own at the first access of a thread. */
static __thread size_t allocations __attribute__((tls_model("local-exec")));

void *malloc(size_t size) {
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
    allocations++;
    return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
    allocations++;
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    allocations++;
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) return EINVAL;
    allocations++;
    void *result = __libc_memalign(alignment, size);
    if (result == NULL) return ENOMEM;
    *memory = result;
    return 0;
}

bool allocation_counter_works(void) { return true; }
size_t allocation_counter_value(void) { return allocations; }

#endif

/* Variables of libswiftCore (WillThrow.cpp). */
extern _Atomic(void *) _swift_willThrow __attribute__((weak));
extern _Atomic(void *) _swift_willThrowTypedImpl __attribute__((weak));

void allocation_counter_forget_throw_hooks(void) {
    if (&_swift_willThrow != NULL) _swift_willThrow = NULL;
    if (&_swift_willThrowTypedImpl != NULL) _swift_willThrowTypedImpl = NULL;
}
