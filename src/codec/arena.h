/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_CODEC_ARENA_H
#define NXI_CODEC_ARENA_H
/* Memory for one run of a library that does not look whether its allocator
 * returned NULL, as yajl. A failed allocation here does not return: it leaves
 * that library by longjmp to `out`, and the arena frees what was allocated.
 * Most runs need only `first`, on the caller's stack. */
#include <setjmp.h>
#include <stdalign.h>
#include <stddef.h>

struct nxi_arena_block;

struct nxi_arena {
    jmp_buf                 out; /* set by the caller before the first allocation */
    struct nxi_arena_block *blocks;
    size_t                  used;
    alignas(max_align_t) unsigned char first[4096];
};

void nxi_arena_init(struct nxi_arena *a);
void nxi_arena_free(struct nxi_arena *a);

/* In the shape of yajl_alloc_funcs; ctx is the arena. */
void *nxi_arena_malloc(void *ctx, size_t size);
void *nxi_arena_realloc(void *ctx, void *ptr, size_t size);
void  nxi_arena_release(void *ctx, void *ptr); /* does nothing: nxi_arena_free() does */

#endif
