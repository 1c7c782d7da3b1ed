/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_FABRIC_TCP_H
#define NXI_FABRIC_TCP_H
/*
 * The inside of the tcp fabric, shared by its files only:
 *
 *   tcp.c          the fabric: which links are looked at when, and their end
 *   tcp_listen.c   the option `listen`, this worker's addresses, accepting
 *   tcp_connect.c  from a fresh socket to a greeted link, on both sides
 *   tcp_in.c       frames in: through a read-ahead buffer or straight to the sink
 *   tcp_out.c      frames out: copied to a queue or straight from lent memory
 *
 * On the stream, after the greeting, a frame is: u32 payload length and u8
 * header length, 3 bytes zero, the header, the payload.
 */
#include "fabric/fabric.h"
#include "fabric/greet.h"

#include <net/if.h>
#include <netinet/in.h>

enum {
    NXI_TCP_LISTENERS = NXI_ENTRY_ADDRS - 2, /* the entry needs places for other fabrics too */
    NXI_TCP_GUESTS = 64,                     /* accepted and not greeted yet, at most */
    NXI_TCP_HOT = 4,                         /* links that poll tries without asking epoll */
    NXI_TCP_PREFIX = 8,                      /* bytes of a frame before its header */
    NXI_TCP_PAYLOAD_MAX = 16 << 20,          /* a longer frame breaks the protocol */
    NXI_TCP_EAGER_MAX = 16 << 10,
    NXI_TCP_PIECE_MAX = 512 << 10,
    NXI_TCP_AHEAD = (16 << 10) + 128,      /* bytes that are read ahead of the frame under way */
    NXI_TCP_QUEUE_MAX = 64 << 10,  /* unsent bytes above which a send is refused */
    NXI_TCP_PAUSE_AT = 256 << 10,  /* unsent replies above which requests are no longer read */
    NXI_TCP_ADDR_TEXT = 64,        /* "[ipv6]:port" */
};

union nxi_tcp_addr {
    struct sockaddr     any;
    struct sockaddr_in  in4;
    struct sockaddr_in6 in6;
};

/* Something that may still be in the batch that epoll gave: freed when the next poll begins. */
struct nxi_tcp_grave {
    struct nxi_tcp_grave *next;
    void                 *mem;
};

struct nxi_tcp_listener {
    struct nxi_watch   watch;
    struct nxi_tcp    *fabric;
    int                fd;
    union nxi_tcp_addr addr; /* with the real port */
    char               device[IF_NAMESIZE];
};

/* A connection that is not greeted yet: one attempt of a link that we open, or a
 * guest, of whom nothing is known. */
struct nxi_tcp_conn {
    struct nxi_watch     watch;
    struct nxi_tcp      *fabric;
    struct nxi_tcp_link *link; /* NULL: a guest */
    int                  fd;   /* -1: over, in its grave */
    bool                 connecting;
    union nxi_tcp_addr   peer;
    uint64_t             deadline; /* of a guest */
    struct nxi_greet     greet;
    struct nxi_tcp_conn *prev, *next;
    struct nxi_tcp_grave grave;
};

/* What a link has only until it is greeted. */
struct nxi_tcp_dial {
    struct nxi_timer     timer;
    struct nxi_tcp_link *link;
    struct nxi_tcp_conn *attempts; /* open ones */
    uint8_t              instance[NXI_INSTANCE_LEN], link_key[NXI_LINK_KEY_LEN];
    uint64_t             deadline;
    size_t               n, tried; /* tried: addrs[0] to addrs[tried - 1] */
    union nxi_tcp_addr   addrs[NXI_ENTRY_ADDRS];
    char                 error[128]; /* why the last attempt failed */
};

struct nxi_tcp_link {
    struct nxi_link      link;
    struct nxi_watch     watch;
    struct nxi_tcp      *fabric;
    struct nxi_tcp_dial *dial; /* NULL: greeted, or over */
    int                  fd;   /* -1: not greeted, or over */
    bool                 over; /* closed or down: in its grave, no event may follow */
    bool                 due, hot, serving;
    uint32_t             interest; /* what epoll watches for */
    int                  failed;   /* errno of a send: what is there is still read, then the link goes down */
    uint64_t             moved;    /* when bytes last moved */
    struct nxi_tcp_link *prev, *next, *due_prev, *due_next;
    union nxi_tcp_addr   peer;

    /* out: queue[at .. at + len), and a lent payload behind the first lent_before bytes of it */
    uint8_t          *queue;
    size_t            queue_at, queue_len, queue_cap;
    bool              blocked; /* the kernel took less than it was offered */
    bool              draining; /* the kernel has taken all, but not sent it */
    bool              refused; /* a send got NXC_EAGAIN: writable is owed */
    bool              lent, revoked;
    void             *lent_token;
    struct nxi_cursor lent_from;
    uint64_t          lent_left;
    size_t            lent_before;

    /* in */
    bool     in_payload; /* a payload event is owed */
    uint64_t payload_left;
    size_t   ahead_at, ahead_len; /* the unread bytes are ahead[at .. len) */
    uint8_t  ahead[NXI_TCP_AHEAD];

    struct nxi_tcp_grave grave;
};

struct nxi_tcp {
    struct nxi_fabric           fabric;
    const struct nxi_fabric_env *env;
    size_t                  n_listeners, n_guests;
    struct nxi_tcp_listener listeners[NXI_TCP_LISTENERS];
    struct nxi_tcp_conn    *guests;    /* oldest first */
    uint64_t                accept_at; /* when a pause in accepting ends, NXI_NEVER: there is none */
    struct nxi_timer        timer;     /* for that and the oldest guest's deadline */
    struct nxi_tcp_link    *links, *due;
    size_t                  n_due;
    struct nxi_tcp_link    *hot[NXI_TCP_HOT];
    bool                    armed; /* the driver sleeps: epoll alone tells */
    struct nxi_tcp_grave   *graves;
};

#define nxi_tcp_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* ---- tcp.c */
struct nxi_tcp_link *nxi_tcp_link_new(struct nxi_tcp *f); /* NULL: no memory */
void nxi_tcp_bury(struct nxi_tcp *f, struct nxi_tcp_grave *g, void *mem);
/* Bytes have moved: poll looks at the link by itself for a while. */
void nxi_tcp_heat(struct nxi_tcp_link *l, uint64_t now);
/* The next poll serves the link, whatever epoll says. */
void nxi_tcp_make_due(struct nxi_tcp_link *l);
/* Tells epoll what the link waits for. */
void nxi_tcp_update_interest(struct nxi_tcp_link *l);
/* Does all that can be done on a greeted link now. Gives out events; l may be over
 * afterwards. Returns how many frames or bytes moved. */
int  nxi_tcp_serve(struct nxi_tcp_link *l, uint64_t now);
/* Ends the link and tells the dialect. */
void nxi_tcp_down(struct nxi_tcp_link *l, int code, const char *text, uint64_t now);
/* Closes a socket so that the peer gets what was sent. */
void nxi_tcp_hang_up(const struct nxi_tcp *f, int fd);

/* ---- tcp_listen.c */
/* One part of the option `listen`. */
struct nxi_tcp_place {
    char               device[IF_NAMESIZE]; /* an interface; "": addr, where a wildcard stands for all but loopback */
    union nxi_tcp_addr addr;
    uint16_t           port_min, port_max; /* 0, 0: any */
};
int  nxi_tcp_place_parse(const char *text, size_t len, struct nxi_tcp_place *ret_p);
int  nxi_tcp_listen(struct nxi_tcp *f);
void nxi_tcp_unlisten(struct nxi_tcp *f);
/* Sets the fabric's timer to what is next. */
void nxi_tcp_schedule(struct nxi_tcp *f);
socklen_t nxi_tcp_addr_len(const union nxi_tcp_addr *a);
const char *nxi_tcp_addr_text(const union nxi_tcp_addr *a, char text[NXI_TCP_ADDR_TEXT]);
/* The name of a link on this socket: "tcp/eth0", or "tcp". */
void nxi_tcp_link_name(const struct nxi_tcp *f, int fd, char *name, size_t cap);

/* ---- tcp_connect.c */
int  nxi_tcp_connect(struct nxi_fabric *f, const struct nxi_entry *to, void *owner, uint64_t now,
                     struct nxi_link **ret_l);
void nxi_tcp_undial(struct nxi_tcp_link *l);
/* Takes over an accepted socket. */
void nxi_tcp_guest_new(struct nxi_tcp *f, int fd, const union nxi_tcp_addr *peer, uint64_t now);
/* Sends those away that had time enough. */
void nxi_tcp_guests_late(struct nxi_tcp *f, uint64_t now);
void nxi_tcp_conn_close(struct nxi_tcp_conn *c);

/* ---- tcp_in.c */
/* Reads and gives out frames, a fair share. Returns how much; the link may be over afterwards. */
int nxi_tcp_receive(struct nxi_tcp_link *l, uint64_t now);
/* True while the peer asks for more than it reads. */
bool nxi_tcp_paused(const struct nxi_tcp_link *l);

/* ---- tcp_out.c */
int  nxi_tcp_send(struct nxi_link *l, const struct nxi_frame *frame, enum nxi_send_mode mode, uint64_t now);
void nxi_tcp_revoke(struct nxi_link *l, void *token);
bool nxi_tcp_flushed(const struct nxi_link *l);
/* Queues plain bytes. NULL: no memory. */
uint8_t *nxi_tcp_queue(struct nxi_tcp_link *l, size_t len);
/* Hands to the kernel what it takes. Returns how much; an error is in l->failed. */
size_t nxi_tcp_push(struct nxi_tcp_link *l);
/* push, and the events that follow from it. */
int nxi_tcp_transmit(struct nxi_tcp_link *l, uint64_t now);

#endif
