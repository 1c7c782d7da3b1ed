/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_DIALECT_CHANNEL_H
#define NXI_DIALECT_CHANNEL_H
/* Inside the native dialect: what its files share. A channel is the dialect's
 * half of a fabric's link; a peer is a worker that we opened a link to. */
#include "dialect/native.h"
#include "dialect/wire.h"

enum {
    NXI_IDLE_OPENER_S = 30,   /* a link without a transfer is closed after so long by who opened it, */
    NXI_IDLE_ACCEPTOR_S = 45, /* and later by the other, so that no BEGIN meets a closed link */
};

/* What the payload under way on a channel is. */
enum nxi_incoming { NXI_IN_NOTHING, NXI_IN_DATA, NXI_IN_STRETCHES };

struct nxi_channel {
    struct nxi_native *native;
    struct nxi_link   *link;
    struct nxi_peer   *peer; /* of a link opened here, else NULL */
    bool               up;
    bool               counted; /* among native->config.links */
    bool               blocked; /* the link had no room; writable or sent will say when */
    const char        *name, *pull_name;
    struct nxi_id_map  begun;   /* transfers on it, by wire id */
    struct nxi_xfer   *run;     /* sources with something to send, in turn */
    struct nxi_xfer   *pulls;   /* receivers that pull, in turn */
    uint64_t           busy_since, idle_since;
    struct nxi_timer   beat; /* always set while up */
    /* the payload under way */
    enum nxi_incoming incoming;
    struct nxi_xfer  *incoming_x; /* NULL once it has ended: the rest is scrap */
    uint64_t          incoming_len;
    bool              incoming_vote;
    uint8_t           stretches[NXI_PULL_IOV * NXI_MSG_STRETCH_LEN];
    struct nxc_desc   stretches_desc;

    struct nxi_channel *prev, *next; /* of native->channels */
};

struct nxi_peer {
    struct nxi_native  *native;
    struct nxi_entry    entry; /* key: instance and link_key, which lie together */
    struct nxi_channel *channel;
    size_t              fabric; /* the one in use or being tried */
    uint64_t            until;  /* when to give up connecting */
    struct nxi_xfer    *waiting;
    UT_hash_handle      hh;
};

struct nxi_native {
    struct nxi_native_config config;
    struct nxi_id_map        offers; /* by id */
    struct nxi_channel      *channels;
    struct nxi_peer         *peers, *last_peer;
    size_t                   n_xfers;
    struct nxi_nixl_peer    *nixl_peers; /* by address, */
    struct nxi_nixl_peer    *nixl_lost;  /* those that were given up and still have requests under way, */
    struct nxi_nixl_job     *nixl_run;   /* and transfers that want a turn */
};

static inline struct nxi_xfer *nxi_xfer_by_offer(struct nxi_id_node *node)
{
    return node ? (struct nxi_xfer *)(void *)((char *)node - offsetof(struct nxi_xfer, by_offer)) : NULL;
}

static inline struct nxi_xfer *nxi_xfer_by_wire(struct nxi_id_node *node)
{
    return node ? (struct nxi_xfer *)(void *)((char *)node - offsetof(struct nxi_xfer, by_wire)) : NULL;
}

/* How a transfer ends, for the user here and for the peer. */
struct nxi_end {
    enum nxc_status status;
    int             error;
    uint16_t        reason; /* enum nxi_end_reason to tell the peer, 0: nothing to tell */
    const char     *text;
};

/* native.c: the one place where transfers end. */
void nxi_xfer_end(struct nxi_native *n, struct nxi_xfer *x, const struct nxi_end *end, uint64_t now);
void nxi_xfer_fail(struct nxi_native *n, struct nxi_xfer *x, int code, const char *text, uint64_t now);

/* The peer's END. */
void nxi_xfer_end_as_told(struct nxi_native *n, struct nxi_xfer *x, const struct nxi_msg *m, uint64_t now);

/* channel.c */
int  nxi_channel_new(struct nxi_native *n, struct nxi_peer *peer, struct nxi_channel **ret_ch);
void nxi_channel_up(struct nxi_channel *ch, uint64_t now);
/* Takes the channel out and frees it; its link is closed, or gone already. No transfer may be on it. */
void nxi_channel_free(struct nxi_channel *ch);
/* Puts x among those begun on ch. NXC_ENOMEM. */
int  nxi_channel_add(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now);
void nxi_channel_remove(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now);
/* A message as a frame; as the fabric's send. */
int nxi_channel_send(struct nxi_channel *ch, const struct nxi_msg *m, struct nxi_cursor *payload,
                     uint64_t payload_len, enum nxi_send_mode mode, void *token, uint64_t now);
/* A small message to the peer, never refused. */
void nxi_channel_say(struct nxi_channel *ch, const struct nxi_msg *m, uint64_t now);
void nxi_channel_end_message(struct nxi_channel *ch, uint64_t id, uint16_t reason, int code, uint64_t now);
/* Lets transfers send and pull, in turn, a bounded amount. Returns how many frames or pulls it made. */
int nxi_channel_pump(struct nxi_channel *ch, uint64_t now);
/* Queues a source for its turn; starts at once if the link has room. */
void nxi_channel_run(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now);
/* Takes x out of the queues, in whichever it is. */
void nxi_channel_unqueue(struct nxi_channel *ch, struct nxi_xfer *x);
extern const struct nxi_fabric_events nxi_channel_events;

/* begin.c. BEGIN of an active transfer, of either kind; returns as nxi_source_turn. */
int nxi_begin_turn(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now);

/* source.c. One frame of x: 0 it wants another turn, 1 it wants none for now, NXC_EAGAIN no room,
 * another code: x or the link has failed. *ret_moved: payload bytes. */
int nxi_source_turn(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now, uint64_t *ret_moved);
/* The first frame of x, m being prepared: all of it with the vote, or what to pull. Returns
 * as a turn, 0 when x has to go out in pieces: then nothing has been sent. */
int nxi_source_first(struct nxi_channel *ch, struct nxi_xfer *x, struct nxi_msg *m, uint64_t now);
int nxi_source_message(struct nxi_channel *ch, struct nxi_xfer *x, const struct nxi_msg *m, uint64_t now);
void nxi_source_sent(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now);

/* offer.c */
int  nxi_offer_add(struct nxi_native *n, struct nxi_xfer *x); /* NXC_ENOMEM */
void nxi_offer_remove(struct nxi_native *n, struct nxi_xfer *x);
/* A peer begins an offer: accepts or refuses it. Negative: the peer broke the protocol. */
int nxi_offer_begin(struct nxi_channel *ch, const struct nxi_msg *m, uint64_t payload_len, uint64_t now);
/* A NIXL worker says that it has used the offer of this key. false: there is none, or a native peer has begun it. */
bool nxi_offer_notified(struct nxi_native *n, const struct nxi_key *key, uint64_t now);

/* receiver.c */
/* The next payload on ch is x's: DATA into its memory. */
void nxi_receiver_expect(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t payload_len, bool vote);
/* The next payload on ch is the list of stretches for x to pull. Negative: not a list. */
int nxi_receiver_expect_stretches(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t payload_len);
int nxi_receiver_message(struct nxi_channel *ch, struct nxi_xfer *x, const struct nxi_msg *m,
                         uint64_t payload_len, uint64_t now);
int nxi_receiver_payload(struct nxi_channel *ch, uint64_t now);
void nxi_receiver_pull(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now);

/* peer.c */
void nxi_peer_start(struct nxi_native *n, struct nxi_xfer *x, uint64_t now);
void nxi_peer_up(struct nxi_peer *p, uint64_t now);
/* Its link ended before it was up: tries the next fabric, or ends those that wait. */
void nxi_peer_unreached(struct nxi_peer *p, int code, const char *text, uint64_t now);
/* Frees p unless transfers wait for it: then it connects anew. */
void nxi_peer_unlinked(struct nxi_peer *p, uint64_t now);
void nxi_peer_free(struct nxi_peer *p);

static inline bool nxi_xfer_is_source(const struct nxi_xfer *x)
{
    return x->active == (x->kind == NXC_WRITE);
}

#endif
