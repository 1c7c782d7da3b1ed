/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_DIALECT_NATIVE_H
#define NXI_DIALECT_NATIVE_H
/*
 * The native dialect: how two nxconnect workers agree on a transfer and on its
 * end (docs/design.md has the promises, docs/wire.md the messages). A state
 * machine without threads, locks or clock: its caller feeds it with calls and
 * with the fabrics' events, each with the time `now`, and gets the ends of
 * transfers through one function. The connector drives it over real fabrics,
 * the simulation over a virtual one.
 *
 * The worker that owns a buffer moves that buffer's bytes, so each transfer has a
 * source and a receiver on either side of a link:
 *
 *              passive, gave the ticket     active, uses it
 *   NXC_READ   source                       receiver
 *   NXC_WRITE  receiver                     source
 */
#include "base/cursor.h"
#include "base/idmap.h"
#include "base/table.h"
#include "base/timers.h"
#include "codec/ticket.h"
#include "fabric/fabric.h"
#include "fabric/onesided.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { NXI_FABRICS_MAX = 4 };

/* Where a transfer stands. Only nxi_native_* and native*.c change it. */
enum nxi_phase {
    NXI_XFER_NEW = 0, /* not started */
    NXI_XFER_ONESIDED, /* active, with a NIXL worker: its job knows more. The others are the native dialect's */
    NXI_XFER_OFFERED, /* passive, nobody has begun it */
    NXI_XFER_CONNECTING, /* active, waits for a link */
    NXI_XFER_STARTING,   /* active, BEGIN not yet sent */
    NXI_XFER_SENDING,    /* source: bytes are going out */
    NXI_XFER_PULLED,     /* source: the peer pulls */
    NXI_XFER_VOTED,      /* source: all sent, nothing taken back; waits for DONE or END */
    NXI_XFER_RECEIVING,  /* receiver: bytes come in */
    NXI_XFER_PULLING,    /* receiver: we pull */
    NXI_XFER_AWAIT_VOTE, /* receiver: has pulled all, waits for the source's vote */
    NXI_XFER_ENDED,
};

struct nxi_peer;
struct nxi_channel;
struct nxi_native;
struct nxi_nixl_job;

/* What an active transfer with a NIXL worker needs to know of it. */
struct nxi_nixl_target {
    const struct nxi_agent             *agent; /* has a connection for UCX */
    const char                         *key_text;
    const struct nxc_desc              *descs;  /* the worker's, as many as ours and of the same sizes */
    const struct nxi_agent_desc *const *covers; /* which registration of the worker's each lies in; */
    struct nxi_mem *const              *mems;   /* and ours. Both NULL where there are no bytes */
};

/* One transfer; embedded in the operation, which owns it and what it points to.
 * It may be given back once it has ended. */
struct nxi_xfer {
    /* set by the owner before start */
    enum nxc_kind           kind;
    bool                    active;
    uint64_t                id; /* never reused within this worker; passive: the number in the ticket's key */
    const struct nxc_desc  *descs;
    size_t                  n;
    uint64_t                total;    /* bytes of all descs */
    uint64_t                deadline; /* ns, NXI_NEVER: none */
    struct nxi_key          key;      /* passive: ours; active: the ticket's */
    const struct nxi_entry *to;       /* active: the ticket's entry; must live until start returns */
    const struct nxi_nixl_target *nixl; /* active: instead of `to`; must live until the end */
    /* any thread may read */
    _Atomic uint64_t     done;      /* bytes that have moved */
    _Atomic(const char *) transport; /* a static text, NULL while unknown */
    /* private to the dialect */
    struct nxi_native  *native;
    enum nxi_phase      phase;
    struct nxi_channel *channel;
    struct nxi_peer    *peer; /* while CONNECTING */
    uint64_t            wire_id;
    struct nxi_cursor   cursor;
    struct nxi_timer    timer; /* the deadline */
    bool                has_timer, impatient; /* impatient: cancelled after its vote */
    bool                lent;    /* a fabric may be reading our memory: lent_len bytes of it */
    uint64_t            lent_len;
    bool                no_pull; /* the receiver has declined to pull */
    bool                streams; /* source: the bytes go out piece by piece */
    bool                on_wire; /* among those begun on its channel */
    bool                in_run, in_pulls; /* on its channel's queues */
    uint64_t            turn_left; /* bytes until the others have their turn */
    struct nxi_xfer    *prev, *next; /* of the run queue, or the peer's waiting list */
    struct iovec       *pull_iov;    /* receiver: what is still to be pulled */
    size_t              pull_n, pull_at;
    struct nxi_id_node  by_offer, by_wire;
    struct nxi_nixl_job *job; /* while ONESIDED */
};

struct nxi_native_config {
    struct nxi_timers *timers;
    struct nxi_fabric *fabrics[NXI_FABRICS_MAX]; /* best first */
    size_t             n_fabrics;
    struct nxi_fabric *require; /* links are opened on this one only; NULL: on the best that reaches the peer */
    struct nxi_fabric *onesided; /* for NIXL workers; NULL: they are not spoken with */
    const char        *agent_name; /* what we are called by those */
    uint32_t           connect_ms; /* until a peer is up, whatever number of fabrics is tried */
    uint32_t           keepalive_ms; /* a NIXL worker that lets nothing move for so long is lost */
    uint32_t           turn_bytes; /* longest turn of one transfer on a shared link */
    _Atomic uint64_t  *links;      /* kept at the number of links that are up, in either direction */
    void              *arg;
    /* A peer has begun the offer x. */
    void (*begun)(void *arg, struct nxi_xfer *x);
    /* x has ended and is the owner's again; called from inside start and cancel
     * too. Must not call the dialect. status is NXC_COMPLETE, NXC_CANCELLED or NXC_ERRORED, error 0
     * or the code, text (borrowed) what happened, "" when complete. */
    void (*ended)(void *arg, struct nxi_xfer *x, enum nxc_status status, int error, const char *text);
    /* A peer names an offer that is not known: the owner may start what other
     * threads have queued. NULL: nothing to do. */
    void (*refill)(void *arg, uint64_t now);
};

/* Sets the fabrics' events to itself. */
int nxi_native_new(const struct nxi_native_config *config, struct nxi_native **ret_n);
/* All transfers must have ended (nxi_native_stop and the drive after it see to
 * that; what is left is ended here as after a lost peer). The fabrics may be freed after it, not before. */
void nxi_native_free(struct nxi_native *n);

/* Offers a passive transfer, begins an active one. Failures come by ended. */
void nxi_native_start(struct nxi_native *n, struct nxi_xfer *x, uint64_t now);
/* The user's cancel: the end comes at once, but for a source that has voted,
 * which waits for the receiver's word. */
void nxi_native_cancel(struct nxi_native *n, struct nxi_xfer *x, uint64_t now);
/* Whether x may only be ended by its peer now (a source that has voted). */
static inline bool nxi_xfer_voted(const struct nxi_xfer *x)
{
    return x->phase == NXI_XFER_VOTED;
}

/* The connector goes away: cancels all, telling the peers that we are gone. */
void nxi_native_stop(struct nxi_native *n, uint64_t now);
/* After stop: true when nothing is left to wait for: no transfer runs and all is flushed. */
bool nxi_native_stopped(const struct nxi_native *n);

/* Work of the dialect's own that waits for no event: pulls, turns of transfers.
 * Returns how much it did; the driver calls it beside the fabrics' poll. */
int nxi_native_poll(struct nxi_native *n, uint64_t now);
/* We were stopped for a while: the peers' silence counts from now on, since what they
 * said meanwhile may bear the time before. */
void nxi_native_away(struct nxi_native *n, uint64_t now);
/* true when poll would find work. */
bool nxi_native_busy(const struct nxi_native *n);
/* Transfers started and not ended. */
size_t nxi_native_unfinished(const struct nxi_native *n);

#endif
