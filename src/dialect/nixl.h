/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_DIALECT_NIXL_H
#define NXI_DIALECT_NIXL_H
/*
 * Inside the dialect: operations with workers that speak NIXL. The active side
 * reaches into the passive one's memory (fabric/onesided.h), flushes what it
 * wrote, and then sends a notification with the ticket's key; that is all that the
 * passive side ever hears. Nothing tells it that somebody has begun, gave up or died,
 * and nothing can take a key back: docs/reliability.md says what follows from it.
 *
 *   nixl.c       an active transfer from start to end; notifications to our offers
 *   nixl_peer.c  the workers that we reach into, found by their address
 */
#include "dialect/channel.h"
#include "fabric/onesided.h"

enum {
    NXI_NIXL_WINDOW = 8,          /* requests of one transfer under way, at most */
    NXI_NIXL_PIECE = 1 << 20,     /* bytes of one request, at most */
    NXI_NIXL_TURN = 4,            /* requests that one turn makes, at most: some copy at once */
    NXI_NIXL_LOOKS = 8,           /* so often a peer is looked at in the time that it may be silent */
    NXI_NIXL_IDLE_S = 30,         /* a peer that nobody needs is let go after so long */
    NXI_NIXL_GRACE_MS = 200,      /* when all that is under way is to end: so long may it take by itself */
};

struct nxi_nixl_job;

/* A request's token. */
struct nxi_nixl_slot {
    struct nxi_nixl_job *job;
    uint64_t             len; /* payload bytes */
    bool                 busy;
};

/* What an active transfer has while it runs. */
struct nxi_nixl_job {
    struct nxi_xfer      *x;
    struct nxi_nixl_peer *peer;
    enum { NXI_NIXL_MOVING, NXI_NIXL_FLUSHING, NXI_NIXL_NOTIFYING } stage;
    bool                  ending; /* it ends so as soon as nothing is under way */
    struct nxi_end        end;
    char                  text[128]; /* that end.text may point to */
    size_t                at;  /* the descriptor that is moved next, and */
    uint64_t              off; /* from where in it */
    struct nxi_nixl_slot  slots[NXI_NIXL_WINDOW];
    unsigned              under_way;
    bool                  in_run; /* among those that want a turn */
    uint8_t              *note;   /* the notification */
    size_t                note_len;
    struct nxi_nixl_job  *prev, *next;         /* of the peer */
    struct nxi_nixl_job  *run_prev, *run_next; /* of those that want a turn */
    size_t                rkey_of; /* the descriptor that the last key was made for */
    size_t                n_rkeys;
    struct nxi_rkey      *rkeys[]; /* at most one for each descriptor: neighbours may share one */
};

struct nxi_nixl_peer {
    struct nxi_native   *native;
    struct nxi_remote   *remote; /* NULL: closed */
    bool                 reached; /* some request has succeeded */
    bool                 lost;
    struct nxi_nixl_job *jobs;
    unsigned             under_way; /* requests of all jobs */
    uint64_t             silence;   /* ns in which some were under way and none was over, */
    uint64_t             counted;   /* until then */
    struct nxi_timer     timer;     /* counts the silence, at the time `look`; when idle, lets the peer go */
    uint64_t             look;
    struct nxi_nixl_peer *prev, *next; /* of those that are lost and still have jobs */
    UT_hash_handle       hh;
    size_t               len;
    uint8_t              address[]; /* len bytes, and padding for UCX */
};

/* nixl.c; for native.c */
void nxi_nixl_init(struct nxi_native *n);
void nxi_nixl_start(struct nxi_native *n, struct nxi_xfer *x, uint64_t now);
/* x ends so, soon: as soon as no request of its touches memory. But for one whose
 * notification is out and that its user cancels: it completes. */
void nxi_nixl_end(struct nxi_xfer *x, const struct nxi_end *end, uint64_t now);
/* All end so. */
void nxi_nixl_stop(struct nxi_native *n, const struct nxi_end *end, uint64_t now);
int  nxi_nixl_poll(struct nxi_native *n, uint64_t now);
/* Ends what is left without waiting; peers and jobs are gone after it. */
void nxi_nixl_free(struct nxi_native *n);

/* nixl.c; for nixl_peer.c */
/* How it ends, unless that is clear already; and the end itself, once nothing is under way. */
void nxi_nixl_job_end(struct nxi_nixl_job *job, const struct nxi_end *end);
void nxi_nixl_job_settle(struct nxi_nixl_job *job, uint64_t now);

/* nixl_peer.c */
int  nxi_nixl_peer_get(struct nxi_native *n, const struct nxi_span *address, struct nxi_nixl_peer **ret_p);
void nxi_nixl_peer_join(struct nxi_nixl_peer *p, struct nxi_nixl_job *job, uint64_t now);
/* p may be gone afterwards. */
void nxi_nixl_peer_leave(struct nxi_nixl_peer *p, struct nxi_nixl_job *job, uint64_t now);
/* A request to it is under way now; one is over. */
void nxi_nixl_peer_made(struct nxi_nixl_peer *p, uint64_t now);
void nxi_nixl_peer_finished(struct nxi_nixl_peer *p, int code, uint64_t now);
/* A job of its was told to end: it is looked at sooner, perhaps. */
void nxi_nixl_peer_hurry(struct nxi_nixl_peer *p, uint64_t now);
/* The peer is given up: its requests and all that need them end. p may be gone afterwards. */
void nxi_nixl_peer_lose(struct nxi_nixl_peer *p, const char *text, uint64_t now);
/* All its jobs end so; p may be gone afterwards. */
void nxi_nixl_peer_end_jobs(struct nxi_nixl_peer *p, const struct nxi_end *end, uint64_t now);
void nxi_nixl_peer_free(struct nxi_nixl_peer *p); /* without jobs */

#endif
