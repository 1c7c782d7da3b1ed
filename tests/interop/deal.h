/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXC_TESTS_INTEROP_DEAL_H
#define NXC_TESTS_INTEROP_DEAL_H
/* A deal is one transfer between a connector of ours and a Python worker: both
 * operations, the memory of both, and the ticket between them. */
#include "tests/interop/blocks.h"
#include "tests/interop/python.h"

enum pairing { OUR_READABLE, OUR_WRITABLE, THEIR_READABLE, THEIR_WRITABLE, PAIRINGS };

/* No operation here may take longer. */
enum { DEAL_LIMIT_S = 30 };

struct deal {
    enum pairing   pairing;
    nxc_connector *c;
    struct python *p;
    unsigned       number; /* names Python's operation, and seeds the bytes */
    struct blocks  blocks; /* our memory */
    nxc_op        *op;     /* our operation */
};

/* Lays out the memory, nothing else. The second takes memory that is there already. */
void deal_make(struct deal *d, enum pairing pairing, nxc_connector *c, struct python *p, const size_t *sizes, size_t n);
void deal_make_at(struct deal *d, enum pairing pairing, nxc_connector *c, struct python *p, const struct blocks *at);
/* The passive side offers; the caller frees the ticket. opts is for our operation and may be NULL. */
char *deal_offer(struct deal *d, enum nxc_encoding encoding, const struct nxc_op_opts *opts);
/* The active side begins. */
void  deal_use(struct deal *d, const char *ticket);
/* All three in one, with a ticket in base64. */
void  deal_begin(struct deal *d, enum pairing pairing, nxc_connector *c, struct python *p, const size_t *sizes,
                 size_t n);

/* Both are COMPLETE, and each byte has arrived. Our operation is freed, Python's lives on. */
void deal_settle(struct deal *d);
/* Python's operation is over too; the memory is given back. */
void deal_drop(struct deal *d);
void deal_end(struct deal *d); /* both */

/* A whole one of each pairing: shows that the two can still talk. */
void deal_each(nxc_connector *c, struct python *p);

/* Our begin_read or begin_write with a ticket of theirs, as it comes. */
int deal_try(nxc_connector *c, enum nxc_kind kind, const char *ticket, const struct blocks *b, nxc_op **ret_op);

#endif
