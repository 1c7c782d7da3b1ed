/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXC_TESTS_INTEROP_BLOCKS_H
#define NXC_TESTS_INTEROP_BLOCKS_H
/* The memory of an operation on our side: one block per descriptor, with gaps that
 * nobody may write between them. serve.py makes the same bytes from the same seed. */
#include <nxconnect/nxconnect.h>
#include <stdbool.h>

enum { BLOCKS_MAX = 100 };

struct blocks {
    size_t          n;
    struct nxc_desc descs[BLOCKS_MAX];
    uint8_t        *memory;
    size_t          mapped, used;
};

void      blocks_make(struct blocks *b, const size_t *sizes, size_t n); /* poisoned */
/* The same memory, laid out anew; what it needs must fit in what was mapped. */
void      blocks_again(struct blocks *b, const size_t *sizes, size_t n);
void      blocks_free(struct blocks *b);
void      blocks_fill(struct blocks *b, unsigned seed);
void      blocks_poison(struct blocks *b);
/* Where the first wrong byte is (gaps count), or -1. */
long long blocks_wrong(const struct blocks *b, unsigned seed);
bool      blocks_poisoned(const struct blocks *b);
/* "[1,4096]"; the caller frees it. */
char     *blocks_json(const struct blocks *b);

#endif
