/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/arena.h"

#include "base/mem.h"

#include <stdint.h>
#include <string.h>

/* Before each piece of memory, so that realloc knows how much to copy. */
struct head {
    alignas(max_align_t) size_t size;
};

struct nxi_arena_block {
    struct nxi_arena_block *next;
    struct head             head;
};

void nxi_arena_init(struct nxi_arena *a)
{
    a->blocks = NULL;
    a->used = 0;
}

void nxi_arena_free(struct nxi_arena *a)
{
    while (a->blocks) {
        struct nxi_arena_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
}

static struct head *take_first(struct nxi_arena *a, size_t size)
{
    size_t left = sizeof a->first - a->used;
    size_t need = sizeof(struct head) + (size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    if (size > left || need > left)
        return NULL;
    struct head *h = (struct head *)(a->first + a->used);
    a->used += need;
    return h;
}

static struct head *take_block(struct nxi_arena *a, size_t size)
{
    struct nxi_arena_block *b = size < SIZE_MAX / 2 ? nxi_malloc(sizeof *b + size) : NULL;
    if (!b)
        longjmp(a->out, 1);
    b->next = a->blocks;
    a->blocks = b;
    return &b->head;
}

void *nxi_arena_malloc(void *ctx, size_t size)
{
    struct head *h = take_first(ctx, size);
    if (!h)
        h = take_block(ctx, size);
    h->size = size;
    return h + 1;
}

void *nxi_arena_realloc(void *ctx, void *ptr, size_t size)
{
    size_t old = ptr ? ((struct head *)ptr - 1)->size : 0;
    if (ptr && size <= old)
        return ptr;
    void *p = nxi_arena_malloc(ctx, size);
    return old ? memcpy(p, ptr, old) : p;
}

void nxi_arena_release(void *ctx, void *ptr)
{
    (void)ctx;
    (void)ptr;
}
