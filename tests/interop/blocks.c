/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/interop/blocks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { GAP = 24, GAP_BYTE = 0x5A, POISON = 0xA5 };

static uint64_t word_at(unsigned seed, size_t block, size_t word)
{
    uint64_t x = ((uint64_t)(seed * 1000 + block) << 32) + word;
    x *= 0x9E3779B97F4A7C15u;
    return x ^ x >> 32;
}

static uint8_t *at(const struct nxc_desc *d)
{
    return (uint8_t *)(uintptr_t)d->addr;
}

static size_t room(const size_t *sizes, size_t n)
{
    size_t bytes = GAP;
    for (size_t i = 0; i < n; i++)
        bytes += sizes[i] + GAP;
    return bytes;
}

void blocks_make(struct blocks *b, const size_t *sizes, size_t n)
{
    b->mapped = room(sizes, n);
    b->memory = mmap(NULL, b->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(b->memory != MAP_FAILED);
    blocks_again(b, sizes, n);
}

void blocks_again(struct blocks *b, const size_t *sizes, size_t n)
{
    assert_true(n <= BLOCKS_MAX);
    b->n = n;
    b->used = room(sizes, n);
    assert_true(b->used <= b->mapped);
    memset(b->memory, GAP_BYTE, b->used);
    uint8_t *p = b->memory + GAP;
    for (size_t i = 0; i < n; i++) {
        b->descs[i] = nxc_desc_host(p, sizes[i]);
        p += sizes[i] + GAP;
    }
    blocks_poison(b);
}

void blocks_free(struct blocks *b)
{
    if (b->memory)
        munmap(b->memory, b->mapped);
    b->memory = NULL;
}

void blocks_fill(struct blocks *b, unsigned seed)
{
    for (size_t i = 0; i < b->n; i++) {
        uint8_t *p = at(&b->descs[i]);
        for (size_t j = 0; j < b->descs[i].len; j += 8) {
            uint64_t word = word_at(seed, i, j / 8);
            size_t   left = b->descs[i].len - j;
            memcpy(p + j, &word, left < 8 ? left : 8);
        }
    }
}

void blocks_poison(struct blocks *b)
{
    for (size_t i = 0; i < b->n; i++)
        memset(at(&b->descs[i]), POISON, b->descs[i].len);
}

/* The gap before block i, or behind the last. */
static bool gap_is_whole(const struct blocks *b, size_t i)
{
    const uint8_t *gap = i < b->n ? at(&b->descs[i]) - GAP : at(&b->descs[i - 1]) + b->descs[i - 1].len;
    for (size_t j = 0; j < GAP; j++)
        if (gap[j] != GAP_BYTE)
            return false;
    return true;
}

static bool word_is(const uint8_t *p, uint64_t word, size_t left)
{
    return !memcmp(p, &word, left < 8 ? left : 8);
}

/* The words of block i are the seed's, or, for the poison, seed is NULL. */
static long long wrong(const struct blocks *b, const unsigned *seed)
{
    uint64_t poison;
    memset(&poison, POISON, sizeof poison);
    for (size_t i = 0; i <= b->n; i++) {
        if (!gap_is_whole(b, i))
            return i < b->n ? (long long)(b->descs[i].addr - (uintptr_t)b->memory) - GAP : (long long)b->used - GAP;
        for (size_t j = 0; i < b->n && j < b->descs[i].len; j += 8) {
            const uint8_t *p = at(&b->descs[i]) + j;
            if (!word_is(p, seed ? word_at(*seed, i, j / 8) : poison, b->descs[i].len - j))
                return p - b->memory;
        }
    }
    return -1;
}

long long blocks_wrong(const struct blocks *b, unsigned seed)
{
    return wrong(b, &seed);
}

bool blocks_poisoned(const struct blocks *b)
{
    return wrong(b, NULL) < 0;
}

char *blocks_json(const struct blocks *b)
{
    char  *text = NULL;
    size_t len;
    FILE  *f = open_memstream(&text, &len);
    assert_non_null(f);
    for (size_t i = 0; i < b->n; i++)
        fprintf(f, "%c%llu", i ? ',' : '[', (unsigned long long)b->descs[i].len);
    fputc(']', f);
    fclose(f);
    return text;
}
