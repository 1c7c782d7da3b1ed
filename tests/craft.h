/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXC_TESTS_CRAFT_H
#define NXC_TESTS_CRAFT_H
/* Tickets as nobody should get them: a real one, changed inside, printed again. */
#include "codec/ticket.h"

/* What of a ticket may be changed. */
struct craft {
    struct nxi_key    *key;
    struct nxi_entry  *entry;
    struct nxc_ticket *ticket; /* its kind and descriptors */
};
typedef void craft_fn(struct craft *c);

/* The ticket json, changed by fn; the caller's to free(). Aborts when it can't. */
char *craft(const char *json, craft_fn *fn);

craft_fn forge_secret;   /* another secret, the same operation */
craft_fn forge_op;       /* an operation that never was */
craft_fn forge_kind;     /* the other kind */
craft_fn forge_size;     /* of the first descriptor: a byte more */
craft_fn forge_instance; /* nobody has that instance: a worker long dead */
craft_fn forge_link_key; /* what both sides prove in the greeting */
craft_fn forge_version;  /* protocol 7 to 9 */
craft_fn without_addrs;

/* tcp only: this port of 127.0.0.1 is all that remains. */
extern uint16_t craft_port_number;
craft_fn        craft_port;

#endif
