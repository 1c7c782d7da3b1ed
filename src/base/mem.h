/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_BASE_MEM_H
#define NXI_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

/* All allocation of the library goes through these, so that tests can make the
 * nth one fail. What they return is given back with free(). */
void *nxi_malloc(size_t size);          /* NULL when out of memory */
void *nxi_calloc(size_t n, size_t size); /* zeroed; NULL when out of memory or n * size wraps */
void *nxi_realloc(void *ptr, size_t size);
char *nxi_dup(const char *text); /* NULL when out of memory */

/* false when a * b wraps; *ret untouched then. */
static inline bool nxi_mul(size_t a, size_t b, size_t *ret)
{
    return !__builtin_mul_overflow(a, b, ret);
}

/* Tests: the nth allocation from now on fails (1 is the next one), and with
 * again set all after it too. 0 switches off. Of this thread only. */
void nxi_mem_fail(unsigned nth, bool again);

#endif
