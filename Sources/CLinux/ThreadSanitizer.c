/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells ThreadSanitizer of the locks of Swift's Synchronization.Mutex; empty in any other build.
 *
 * An uncontended Mutex is locked and unlocked by atomic operations that are compiled into the caller, which
 * ThreadSanitizer sees. A contended one is so by futex(2) within libswiftSynchronization, which is not instrumented
 * (stdlib/public/Synchronization/Mutex/LinuxImpl.swift): without this the two threads seem to have nothing to do with each
 * other, and whatever the Mutex guards is reported. The functions here have the names of that library's, come before it
 * in the order of search, and call it.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define _GNU_SOURCE
#include <dlfcn.h>
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

SWIFT void clinux_mutex_lock(uint32_t thread, MUTEX) __asm__(LOCK);
SWIFT void clinux_mutex_unlock(MUTEX) __asm__(UNLOCK);
SWIFT _Bool clinux_mutex_try_lock(MUTEX) __asm__(TRY_LOCK);

static SWIFT void (*next_lock)(uint32_t, MUTEX);
static SWIFT void (*next_unlock)(MUTEX);
static SWIFT _Bool (*next_try_lock)(MUTEX);

static void *next(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) {
        fprintf(stderr, "%s is missing: this Swift has another Mutex than ThreadSanitizer.c\n", name);
        abort();
    }
    return function;
}

/* Before there are threads. */
__attribute__((constructor)) static void find(void) {
    next_lock = next(LOCK);
    next_unlock = next(UNLOCK);
    next_try_lock = next(TRY_LOCK);
}

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
#endif
#endif
