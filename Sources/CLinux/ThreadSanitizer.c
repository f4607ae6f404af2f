/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells ThreadSanitizer how Swift's libraries, which are not instrumented, synchronize threads; empty in other builds.
 *
 * The functions here have the same names as those of the libraries, are found before them, and call them.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* compiler-rt, include/sanitizer/tsan_interface.h */
void __tsan_acquire(void *address);
void __tsan_release(void *address);

#define SWIFT __attribute__((swiftcall))
#define MUTEX __attribute__((swift_context)) void *mutex
/* _MutexHandle._lockSlow(UInt32), _MutexHandle._unlockSlow() and _MutexHandle._tryLockSlow() -> Bool */
#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"
#define TRY_LOCK "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"

static SWIFT void (*next_lock)(uint32_t, MUTEX);
static SWIFT void (*next_unlock)(MUTEX);
static SWIFT _Bool (*next_try_lock)(MUTEX);
static void (*next_release)(void *);
static void (*next_release_n)(void *, uint32_t);
static void (*next_bridge_release)(void *);
static void (*next_bridge_release_n)(void *, uint32_t);
static _Bool (*next_is_unique)(const void *);
static _Bool (*next_is_unique_or_null)(const void *);
static void (*next_deallocate)(void *, size_t, size_t);

static void *next(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) {
        fprintf(stderr, "%s is missing: this Swift is another one than ThreadSanitizer.c was written for\n", name);
        abort();
    }
    return function;
}

/* Runs before all other constructors and before there are threads. */
__attribute__((constructor(101))) static void find(void) {
    next_lock = next(LOCK);
    next_unlock = next(UNLOCK);
    next_try_lock = next(TRY_LOCK);
    next_release_n = next("swift_release_n");
    next_bridge_release = next("swift_bridgeObjectRelease");
    next_bridge_release_n = next("swift_bridgeObjectRelease_n");
    next_is_unique = next("swift_isUniquelyReferenced_nonNull_native");
    next_is_unique_or_null = next("swift_isUniquelyReferenced_native");
    next_deallocate = next("swift_deallocClassInstance");
    next_release = next("swift_release");
}

/* Constructors of the libraries run even earlier. */
static void find_first(void) {
    if (!next_release) find();
}

/*
 * Mutex: without contention it is locked and unlocked by atomic operations that are compiled into the caller, and that
 * ThreadSanitizer sees. Otherwise futex(2) is called within libswiftSynchronization (Mutex/LinuxImpl.swift in the
 * standard library), and without this, everything guarded by the Mutex would be reported.
 */

SWIFT void clinux_mutex_lock(uint32_t thread, MUTEX) __asm__(LOCK);
SWIFT void clinux_mutex_unlock(MUTEX) __asm__(UNLOCK);
SWIFT _Bool clinux_mutex_try_lock(MUTEX) __asm__(TRY_LOCK);

SWIFT void clinux_mutex_lock(uint32_t thread, MUTEX) {
    next_lock(thread, mutex);
    __tsan_acquire(mutex);
}

SWIFT void clinux_mutex_unlock(MUTEX) {
    __tsan_release(mutex);
    next_unlock(mutex);
}

SWIFT _Bool clinux_mutex_try_lock(MUTEX) {
    _Bool is_locked = next_try_lock(mutex);
    if (is_locked) __tsan_acquire(mutex);
    return is_locked;
}

/*
 * References: a thread that has read an array releases it; only then does another thread find itself the only owner,
 * and write to the array in place or free it. The counting is done within libswiftCore (HeapObject.cpp,
 * SwiftObject.mm), which instrumented code calls through these functions.
 */

static void let_go(void *reference) {
    /* Literals have the highest bit set and no counter; strings and dictionaries use the other bits cut off here. */
    const intptr_t address = 0x0ffffffffffffff8;
    if ((intptr_t)reference > 0) __tsan_release((void *)((intptr_t)reference & address));
}

void swift_release(void *object) {
    find_first();
    let_go(object);
    next_release(object);
}

void swift_release_n(void *object, uint32_t count) {
    find_first();
    let_go(object);
    next_release_n(object, count);
}

void swift_bridgeObjectRelease(void *reference) {
    find_first();
    let_go(reference);
    next_bridge_release(reference);
}

void swift_bridgeObjectRelease_n(void *reference, uint32_t count) {
    find_first();
    let_go(reference);
    next_bridge_release_n(reference, count);
}

_Bool swift_isUniquelyReferenced_nonNull_native(const void *object) {
    find_first();
    _Bool is_unique = next_is_unique(object);
    if (is_unique) __tsan_acquire((void *)object);
    return is_unique;
}

_Bool swift_isUniquelyReferenced_native(const void *object) {
    find_first();
    _Bool is_unique = next_is_unique_or_null(object);
    if (is_unique) __tsan_acquire((void *)object);
    return is_unique;
}

void swift_deallocClassInstance(void *object, size_t size, size_t alignment_mask) {
    find_first();
    __tsan_acquire(object);
    next_deallocate(object, size, alignment_mask);
}
#endif
#endif
