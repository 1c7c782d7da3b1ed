/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_REGION_H
#define NXI_REGION_H
/* Registered memory, for connectors that admit NIXL workers. Elsewhere nothing
 * needs to be registered, and a region only holds its place. Any thread. */
#include "fabric/onesided.h"

#include <nxconnect/nxconnect.h>

/* Counted: a region's user and each operation in it hold one. */
struct nxi_registration {
    unsigned        refs; /* under c->regions_lock */
    struct nxc_desc desc;
    struct nxi_mem *mem; /* NULL when the connector was freed */
    bool            constant; /* its key is the same as everybody else's */
    size_t          rkey_len;
    uint8_t         rkey[]; /* packed, as it goes into a ticket */
};

/* Sorted by address. */
struct nxi_regions {
    struct nxi_registration **list;
    size_t                    n, cap;
    uint64_t                  longest; /* of those that are or were there */
};

/* A registration that covers d: a region's, else a new one. NXC_EREGISTER, NXC_ENOMEM. */
int  nxi_region_hold(struct nxc_connector *c, const struct nxc_desc *d, struct nxi_registration **ret_g);
void nxi_region_release(struct nxc_connector *c, struct nxi_registration *g); /* takes NULL */
/* The connector goes away: what its user still has is not registered any more. */
void nxi_regions_close(struct nxc_connector *c);
void nxi_regions_free(struct nxi_regions *r);

#endif
