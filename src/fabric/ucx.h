/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_FABRIC_UCX_H
#define NXI_FABRIC_UCX_H
/*
 * The inside of the UCX module, shared by its files only:
 *
 *   ucx.c         the fabric: birth and end, poll, notifications, our memory
 *   ucx_config.c  the settings that UCX must have
 *   ucx_lib.c     UCX's functions
 *   ucx_remote.c  peers, and requests to them
 *
 * One worker of UCX, used by one thread at a time, whoever drives the connector.
 * UCX calls back from inside its progress and from inside some of our calls;
 * everything that it says is noted, and given out by poll.
 */
#include "base/log.h"
#include "fabric/onesided.h"
#include "fabric/ucx_lib.h"
#include "fabric/ucx_module.h"

enum {
    NXI_UCX_AM_ID = 0,       /* NIXL's notifications come with this id */
    NXI_UCX_PROGRESS = 16,   /* calls of UCX's progress in one poll, at most */
    NXI_UCX_SAID_MAX = 16 << 20, /* bytes of notifications that wait to be given out, at most */
    NXI_UCX_NAME_MAX = 4096, /* of a list of devices */
};

/* A request of the dialect's, from the call until finished has been given out. */
struct nxi_ucx_request {
    struct nxi_remote      *remote;
    void                   *token;
    int                     code;
    struct nxi_ucx_request *next; /* among those that are over, or free */
};

struct nxi_ucx_said {
    struct nxi_ucx_said *next;
    size_t               len;
    uint8_t              payload[];
};

struct nxi_remote {
    struct nxi_ucx    *ucx;
    void              *owner; /* NULL: closed, it hears no more */
    ucp_ep_h           ep;    /* NULL: UCX was told to close it */
    bool               failed, told; /* UCX has said that the peer is lost; we have passed it on */
    bool               flushing;     /* closed when that is over */
    bool               closing;      /* UCX is about to end ep */
    size_t             requests;     /* not given out yet */
    char               why[96];
    struct nxi_remote *prev, *next;
};

struct nxi_rkey {
    ucp_rkey_h rkey;
};

struct nxi_mem {
    ucp_mem_h memh;
};

struct nxi_ucx {
    struct nxi_fabric            fabric;
    const struct nxi_fabric_env *env;
    ucp_context_h                context;
    ucp_worker_h                 worker;
    ucp_address_t               *address;
    size_t                       address_len;
    struct nxi_watch             watch; /* of UCX's own descriptor */
    struct nxi_remote           *remotes;
    bool                         any_lost; /* some remote has failed and its owner was not told */
    struct nxi_ucx_request      *over, **over_end; /* to be given out, oldest first */
    struct nxi_ucx_request      *spare;
    struct nxi_ucx_said         *said, **said_end;
    size_t                       said_bytes;
};

extern const struct nxi_ucx_core *nxi_core;

/* ---- ucx_config.c: what UCX reads from the environment, with our settings on top. */
int nxi_ucx_config(ucp_config_t **ret_config);

/* ---- ucx_remote.c */
int  nxi_ucx_connect(struct nxi_fabric *f, const uint8_t *address, size_t len, void *owner,
                     struct nxi_remote **ret_r);
void nxi_ucx_close(struct nxi_remote *r);
/* Closes r for good without waiting for the peer. */
void nxi_ucx_cut(struct nxi_remote *r);
int  nxi_ucx_unpack(struct nxi_remote *r, const uint8_t *packed, struct nxi_rkey **ret_k);
void nxi_ucx_forget(struct nxi_rkey *k);
int  nxi_ucx_move(struct nxi_remote *r, const struct nxi_access *a, void *token);
int  nxi_ucx_flush(struct nxi_remote *r, void *token);
int  nxi_ucx_notify(struct nxi_remote *r, const uint8_t *payload, size_t len, void *token);
/* Gives out what is over and who is lost. Returns how many. */
int  nxi_ucx_tell(struct nxi_ucx *u, uint64_t now);
bool nxi_ucx_untold(const struct nxi_ucx *u);

#endif
