/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_FABRIC_H
#define NXI_FABRIC_H
/*
 * A fabric moves bytes between two workers: links, frames (a small header and a
 * payload), pulls. It knows no operations; what sits above it, the dialect,
 * knows no sockets. Calls go down through struct nxi_fabric_ops, results come
 * up through struct nxi_fabric_events.
 *
 * Nothing here has threads or locks: one caller at a time, whoever drives the
 * connector. Time comes in as `now`. No call blocks (a pull takes as long as its copy).
 *
 * Events are given out only from inside poll(), a watch's fn or a timer, never
 * from inside a call that the dialect makes (send, connect, close...): so the
 * dialect is never entered twice.
 */
#include "base/clock.h"
#include "base/cursor.h"
#include "base/timers.h"
#include "codec/entry.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

enum {
    NXI_HEADER_MAX = 64,  /* bytes of a frame's header, 1 at least */
    NXI_PULL_IOV = 64,    /* stretches in one call of pull, at most */
};

struct nxi_fabric;
struct nxi_link;
struct nxi_onesided_ops;
struct nxi_onesided_events;

/* A descriptor that the driver watches with epoll (level-triggered): events
 * are given to fn, which must look at them without blocking. epoll_data.ptr
 * points here. A watch that is removed inside some fn may still be in the batch
 * that epoll gave: its memory must live until the fabric's next poll begins, and
 * its fn must then do nothing. */
struct nxi_watch {
    void (*fn)(struct nxi_watch *w, uint32_t events, uint64_t now);
};

/* What a fabric gets from above, the same for all its calls. */
struct nxi_fabric_env {
    int                epfd;   /* where fabrics with descriptors add their watches; -1 under simulation */
    struct nxi_timers *timers; /* reserve each timer at birth */
    uint8_t            instance[NXI_INSTANCE_LEN]; /* of this connector */
    uint8_t            link_key[NXI_LINK_KEY_LEN];
    uint32_t           keepalive_ms, connect_ms;
    const char        *listen; /* tcp: the option's text, or NULL */
};

/* The frame that goes down with send. */
struct nxi_frame {
    const void        *header;
    size_t             header_len;
    struct nxi_cursor *payload; /* moved on by what was taken; NULL when payload_len is 0 */
    size_t             payload_len;
    void              *token; /* LEND: comes back with sent */
};

enum nxi_send_mode {
    /* Header and payload have been copied or handed to the kernel when send
     * returns 0, all of them, or none and NXC_EAGAIN: writable comes when it may
     * be tried again. payload_len is at most the link's eager_max. */
    NXI_SEND_WHOLE,
    /* As WHOLE, but never NXC_EAGAIN: queued in the fabric when there is no
     * room. For replies, which are small and bounded by what was asked. */
    NXI_SEND_REPLY,
    /* The payload is lent: it may be read until sent comes with its token, or
     * until revoke. send returns 1 when all of it has been taken already (then no
     * sent comes), 0 when it is under way, NXC_EAGAIN when the link has no room.
     * One lent frame at a time on a link: more get NXC_EAGAIN. payload_len at most piece_max. */
    NXI_SEND_LEND,
};

struct nxi_fabric_events {
    /* The link is greeted: both sides have proven the link key. For a link that
     * the peer opened it is the first that the dialect hears of it. */
    void (*up)(void *arg, struct nxi_link *l, uint64_t now);
    /* A frame begins. payload_len bytes will be written to l->sink, which fn
     * sets if payload_len is not 0 (it is scrap when fn is called). A negative
     * code: the peer broke the protocol, the fabric ends the link with it (down
     * follows). */
    int (*header)(void *arg, struct nxi_link *l, const uint8_t *header, size_t header_len,
                  uint64_t payload_len, uint64_t now);
    /* The payload of that frame is complete. Not called when payload_len is 0. May
     * refuse like header. */
    int (*payload)(void *arg, struct nxi_link *l, uint64_t now);
    /* A lent payload is free again. */
    void (*sent)(void *arg, struct nxi_link *l, void *token, uint64_t now);
    /* After a send returned NXC_EAGAIN: worth another try. */
    void (*writable)(void *arg, struct nxi_link *l, uint64_t now);
    /* The link has ended; all that the peer sent before was given up first. Exactly
     * once for every link from connect or up, unless the dialect closed it. The
     * link is gone after this. code: before up NXC_EUNREACH (nobody there, no
     * greeting in time), NXC_EACCESS (link key not proven), NXC_EVERSION or
     * NXC_ENOTSUP (another user's process; try another fabric); after up NXC_EPEER. */
    void (*down)(void *arg, struct nxi_link *l, int code, const char *text, uint64_t now);
};

/* The part of a link that both sides know; each fabric's own link struct starts with it. */
struct nxi_link {
    /* fabric sets, dialect reads */
    struct nxi_fabric *fabric;
    bool               opened_here;  /* we connected; operations begin on this side only */
    bool               copies;       /* WHOLE and LEND copy the payload at once: LEND always returns 1 or NXC_EAGAIN */
    bool               can_pull;     /* pull works from here: the peer's memory is within reach */
    bool               peer_can_pull;/* the peer has said the same of ours */
    size_t             eager_max;    /* payload of a WHOLE frame */
    size_t             piece_max;    /* payload of a LEND frame */
    uint64_t           pull_min, pull_max; /* operations of these sizes are better pulled than sent */
    uint32_t           keepalive_ms; /* the smaller of both sides'; after up */
    uint16_t           version;      /* protocol in use; after up */
    uint64_t           heard;        /* when the last byte came from the peer */
    uint64_t           said;         /* when the last frame was taken */
    char               name[32];     /* "shm", "tcp/eth0" */
    /* dialect sets */
    void              *owner;
    struct nxi_cursor  sink; /* where the payload under way is written; the fabric moves it, so that at
                              * `payload` it stands behind the last byte. The dialect may turn it into
                              * scrap ({0}) at any time: from then on nothing more is written */
};

struct nxi_fabric_ops {
    const char *name; /* "shm", "tcp", "sim" */
    /* Adds this worker's addresses on this fabric to its entry. */
    int (*addrs)(struct nxi_fabric *f, struct nxi_entry *e);
    /* Starts to connect; up or down follows, within connect_ms. NXC_EUNREACH at once
     * when the entry has no address of this fabric or nobody is there. owner goes into the link. */
    int (*connect)(struct nxi_fabric *f, const struct nxi_entry *to, void *owner, uint64_t now,
                   struct nxi_link **ret_l);
    /* NXC_EPEER: the link has failed, down will follow from the next poll. */
    int (*send)(struct nxi_link *l, const struct nxi_frame *frame, enum nxi_send_mode mode, uint64_t now);
    /* Takes back a lent payload: what the peer still has to get of that frame
     * are zeros. No sent comes. */
    void (*revoke)(struct nxi_link *l, void *token);
    /* Reads the peer's memory: n stretches to the cursor, which moves. At most 1 MiB
     * in all. Returns the number of bytes, or NXC_EPEER, NXC_EACCESS. NULL when the fabric has none. */
    int64_t (*pull)(struct nxi_link *l, const struct iovec *from, size_t n, struct nxi_cursor *to);
    /* true when everything sent is out of our hands: in the ring, with the kernel. */
    bool (*flushed)(const struct nxi_link *l);
    /* Ends a link: what is unsent is tried once more and else dropped. No event comes. */
    void (*close)(struct nxi_link *l);
    /* Looks for work that needs no epoll: rings, busy sockets. Gives out events.
     * Returns how many frames or bytes moved (0: nothing). Cheap when idle. */
    int (*poll)(struct nxi_fabric *f, uint64_t now);
    /* Before the driver sleeps in epoll: says so to the peers (memory only), then
     * looks once more. true when there is something to do after all: then the
     * driver calls wake and goes on. */
    bool (*arm)(struct nxi_fabric *f);
    /* The driver leaves after a call that sent something, without polling on: what
     * was put off (a bell to a sleeping peer, a queued reply) is done now. NULL: nothing. */
    void (*settle)(struct nxi_fabric *f);
    /* The driver is awake again. */
    void (*wake)(struct nxi_fabric *f);
    /* In the child of a fork: closes descriptors, touches nothing that is shared. */
    void (*forked)(struct nxi_fabric *f);
    void (*free)(struct nxi_fabric *f); /* closes all links, without events */
    const struct nxi_onesided_ops *onesided; /* NULL: none; see onesided.h */
};

/* Each fabric's own struct starts with this. */
struct nxi_fabric {
    const struct nxi_fabric_ops    *ops;
    const struct nxi_fabric_events *events; /* set by the dialect before the first poll */
    void                           *arg;    /* for the events */
    const struct nxi_onesided_events *onesided_events; /* likewise, and */
    void                             *onesided_arg;    /* for those */
};

/* Open a fabric; NXC_ENOTSUP or NXC_ESYSTEM with the reason when this host can't. env outlives it. */
int nxi_shm_open(const struct nxi_fabric_env *env, struct nxi_fabric **ret_f);
int nxi_tcp_open(const struct nxi_fabric_env *env, struct nxi_fabric **ret_f);

#endif
