/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_FABRIC_ONESIDED_H
#define NXI_FABRIC_ONESIDED_H
/*
 * The second, optional table of a fabric: one-sided access, for the NIXL dialect
 * (dialect/nixl.h). Memory is registered and its key packed; who has a worker's
 * address and such a key reaches that memory without its owner's help, and then
 * tells it so by a notification. A fabric that has this table need have no links.
 *
 * The rules of fabric.h hold: calls never block, one caller at a time unless a
 * member says otherwise, and events are given out only from inside poll().
 */
#include "codec/notif.h"
#include "fabric/fabric.h"

enum { NXI_RKEY_MAX = 1024 }; /* bytes of a packed key, at most */

struct nxi_mem;    /* registered memory of ours */
struct nxi_remote; /* a peer that we reach into; the peer knows nothing of it */
struct nxi_rkey;   /* a peer's packed key, made ready for one remote */

/* One piece of memory here, and one of the peer's. */
struct nxi_access {
    bool             write; /* to the peer; else from it */
    void            *here;
    size_t           len; /* not 0 */
    struct nxi_mem  *mem; /* that `here` lies in */
    uint64_t         there;
    struct nxi_rkey *rkey;
};

struct nxi_onesided_events {
    /* A request that was under way is over: 0, or why it failed. Exactly once for
     * each token, whatever became of its remote: its memory is free from here on. */
    void (*finished)(void *arg, void *token, int code, uint64_t now);
    /* A peer, which nobody has proven, says this, at most NXI_NOTIF_MAX bytes: longer ones are
     * dropped unseen. Valid during the call only. */
    void (*notified)(void *arg, const uint8_t *payload, size_t len, uint64_t now);
    /* The peer of a remote has gone, or was never reached. At most once; the remote
     * stays until it is closed, and its requests finish with a code. */
    void (*lost)(void *arg, void *owner, const char *text, uint64_t now);
};

/* Requests return 1: done already, 0: under way, finished comes with the token; or
 * NXC_EPEER, NXC_ENOMEM: it was not made, no event comes. */
struct nxi_onesided_ops {
    /* What a peer needs to reach this worker; the same until free. */
    const uint8_t *(*address)(struct nxi_fabric *f, size_t *ret_len);
    /* Any thread may call these three. reg may take as long as pinning the memory takes;
     * NXC_EREGISTER. pack writes at most NXI_RKEY_MAX bytes and returns how many, or a code. */
    int (*reg)(struct nxi_fabric *f, const struct nxc_desc *d, struct nxi_mem **ret_mem);
    void (*dereg)(struct nxi_fabric *f, struct nxi_mem *mem); /* no request may use it */
    int (*pack)(struct nxi_fabric *f, struct nxi_mem *mem, uint8_t ret_rkey[NXI_RKEY_MAX]);
    /* The caller has checked address in full. The peer need not be there: lost tells. */
    int (*connect)(struct nxi_fabric *f, const uint8_t *address, size_t len, void *owner, struct nxi_remote **ret_r);
    /* Ends all that is under way and the remote; the owner hears no more of it, but
     * finished still comes for each token. Its keys may be forgotten later. */
    void (*close)(struct nxi_remote *r);
    /* The caller has checked the packed key in full. */
    int (*unpack)(struct nxi_remote *r, const uint8_t *packed, struct nxi_rkey **ret_k);
    void (*forget)(struct nxi_rkey *k); /* no request may use it */
    int (*move)(struct nxi_remote *r, const struct nxi_access *a, void *token);
    /* Over when all that was moved before is where it should be. */
    int (*flush)(struct nxi_remote *r, void *token);
    /* Over when it is on its way; payload is copied or free again by then. */
    int (*notify)(struct nxi_remote *r, const uint8_t *payload, size_t len, void *token);
};

#endif
