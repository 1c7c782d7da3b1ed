/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <string.h>

static _Thread_local unsigned fail_in;
static _Thread_local bool     fail_again;

void nxi_mem_fail(unsigned nth, bool again)
{
    fail_in = nth;
    fail_again = again;
}

static bool must_fail(void)
{
    if (__builtin_expect(fail_in == 0, 1))
        return false;
    if (fail_in > 1) {
        fail_in--;
        return false;
    }
    fail_in = fail_again ? 1 : 0;
    return true;
}

void *nxi_malloc(size_t size)
{
    return must_fail() ? NULL : malloc(size);
}

void *nxi_calloc(size_t n, size_t size)
{
    size_t total;
    if (!nxi_mul(n, size, &total) || must_fail())
        return NULL;
    /* glibc's calloc passes by the thread's cache, which malloc uses; for what
     * an operation allocates, malloc and memset take a third of the time. */
    if (total > 4096)
        return calloc(n, size);
    void *ptr = malloc(total);
    __asm__("" : "+r"(ptr)); /* else the compiler makes a calloc of the two */
    return ptr ? memset(ptr, 0, total) : NULL;
}

void *nxi_realloc(void *ptr, size_t size)
{
    return must_fail() ? NULL : realloc(ptr, size);
}

char *nxi_dup(const char *text)
{
    size_t size = strlen(text) + 1;
    char  *copy = nxi_malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}
