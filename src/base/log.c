/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static pthread_rwlock_t hook_lock = PTHREAD_RWLOCK_INITIALIZER;
static nxc_log_fn       hook;
static void            *hook_arg;
static atomic_int       hook_level = -1; /* a cheap look before the lock */

void nxc_log_set(nxc_log_fn fn, void *arg, int max_level)
{
    /* The write lock waits for calls under way: after this returns, the old
     * hook and its arg are no longer used. */
    pthread_rwlock_wrlock(&hook_lock);
    hook = fn;
    hook_arg = arg;
    atomic_store_explicit(&hook_level, fn ? max_level : -1, memory_order_relaxed);
    pthread_rwlock_unlock(&hook_lock);
}

void nxi_log(int level, const char *format, ...)
{
    if (level > atomic_load_explicit(&hook_level, memory_order_relaxed))
        return;
    char    text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pthread_rwlock_rdlock(&hook_lock);
    if (hook)
        hook(level, text, hook_arg);
    pthread_rwlock_unlock(&hook_lock);
}
