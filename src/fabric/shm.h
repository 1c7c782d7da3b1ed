/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_FABRIC_SHM_H
#define NXI_FABRIC_SHM_H
/*
 * The inside of the shm fabric, shared by its files only:
 *
 *   shm.c         the fabric: birth and end, poll, the table of calls
 *   shm_listen.c  the abstract socket, accepting
 *   shm_setup.c   from a fresh socket to a link that is up, on both sides
 *   shm_map.c     the memory that both map: making, passing and checking it
 *   shm_link.c    frames in and out of the rings, the end of a link
 *   shm_wake.c    sleeping, and ringing those who sleep
 *   shm_pull.c    reading the peer's memory
 *   shm_ring.c    one ring
 *
 * A link is a Unix socket and two rings in a memfd. The socket carries the
 * greeting (greet.h); the opener's last message of it brings the memfd; one byte
 * back from the listener says that it is mapped, and both are up. From then on
 * a byte on the socket is a bell that wakes the other side, and the end of the
 * socket is the end of the link. All events are given out by poll: watches and
 * timers only note what has happened.
 */
#include "fabric/fabric.h"
#include "fabric/greet.h"
#include "fabric/shm_ring.h"

#include <sys/types.h>
#include <sys/un.h>

enum {
    NXI_SHM_GUESTS = 64,           /* accepted and not greeted yet, at most */
    NXI_SHM_GUEST_MS = 2000,       /* so long may they take */
    NXI_SHM_PAUSE_AT = 256 << 10,  /* queued replies above which requests are no longer read */
    NXI_SHM_TURN = 1,              /* records that one poll takes from the rings, at most */
    NXI_SHM_EAGER_MAX = 16 << 10,
    NXI_SHM_PIECE_MAX = NXI_RING_PAYLOAD_MAX,
    NXI_SHM_PULL_MIN = 1 << 20,    /* where there is one processor only, see nxi_shm_pull_pays() */
    NXI_SHM_PULL_STEP = 1 << 20,   /* bytes in one pull, at most: it can't be interrupted */
    NXI_SHM_WHY = 128,
};

/* What one side tells the other; only that side writes it, but for `asleep`,
 * which the other takes back when it rings. 128 bytes apart: lines are fetched in pairs. */
struct nxi_shm_side {
    _Alignas(128) _Atomic uint32_t head; /* its place in the ring that it reads */
    _Alignas(128) _Atomic uint32_t asleep;
    _Atomic uint32_t               wants_room; /* its frames do not fit: ring when some were read */
    _Atomic uint32_t               can_pull;
    _Atomic uint64_t               cpus; /* where it may run, a bit each; all ones when it may on more than 64 */
};

/* The memory that both map. The opener's things come first. */
struct nxi_shm_map {
    struct nxi_shm_side sides[2];
    _Alignas(4096) uint8_t rings[2][NXI_RING_BYTES]; /* what that side writes */
};

enum nxi_shm_stage {
    NXI_SHM_KNOCKING,   /* opener: the listener's backlog is full, a timer tries again */
    NXI_SHM_GREETING,
    NXI_SHM_CONFIRMING, /* opener: waits until the listener has mapped the memory */
    NXI_SHM_GREETED,    /* the dialect is to hear that it is up */
    NXI_SHM_UP,
    NXI_SHM_GONE,       /* in its grave: no event may follow */
};

/* A reply that found the ring full. */
struct nxi_shm_reply {
    struct nxi_shm_reply *next;
    size_t                header_len, payload_len;
    uint8_t               bytes[]; /* header, payload */
};

/* What a link has only until it is up. */
struct nxi_shm_setup {
    struct nxi_greet   greet;
    struct sockaddr_un to;
    uint8_t            instance[NXI_INSTANCE_LEN], link_key[NXI_LINK_KEY_LEN]; /* the listener's */
    uint64_t           deadline;
};

struct nxi_shm;

struct nxi_shm_link {
    struct nxi_link     link;
    struct nxi_watch    bell;  /* the socket */
    struct nxi_watch    death; /* the peer's process */
    struct nxi_timer    timer; /* of the setup */
    struct nxi_shm     *fabric;
    enum nxi_shm_stage  stage;
    int                 fd, pidfd;
    pid_t               pid; /* 0: the kernel does not tell */
    int                 failed; /* the code that the link goes down with, 0: none */
    bool                hung;   /* the peer is gone: what it left is read, then the link goes down */
    uint32_t            grace;  /* bytes that may still be read then */
    char                why[NXI_SHM_WHY];
    struct nxi_shm_link *prev, *next;

    struct nxi_shm_setup  *setup; /* NULL: up, or over */

    /* mapped */
    struct nxi_shm_map    *map;
    struct nxi_shm_side   *ours, *theirs;
    struct nxi_ring_reader in;
    struct nxi_ring_writer out;
    struct nxi_shm_reply  *replies, **replies_end; /* oldest first */
    size_t                 reply_bytes;
    uint32_t               need; /* room that is waited for, 0: none */
    bool                   refused; /* a send got NXC_EAGAIN: writable is owed */

    /* the bell that may have to be rung, see shm_wake.c */
    bool                 unsettled;
    uint32_t             mark; /* what was sent up to here */
    uint64_t             marked_at;
    struct nxi_shm_link *unsettled_next;
};

struct nxi_shm {
    struct nxi_fabric            fabric;
    const struct nxi_fabric_env *env;
    struct nxi_shm_link *links;
    struct nxi_shm_link *turn;      /* whom poll serves next; NULL: the first */
    size_t               n_links;
    struct nxi_shm_link *unsettled;
    uint64_t             settle_at; /* when the first of those is due */
    struct nxi_shm_link *graves;    /* freed when the next poll begins */
    uint64_t             probe;     /* random, at an address that peers are told: see shm_pull.c */

    struct nxi_watch listener;
    int              listen_fd;
    size_t           n_guests;
    bool             listening;  /* the listener is watched */
    struct nxi_timer listen_timer; /* when accepting failed: try again */
};

#define nxi_shm_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* ---- shm.c */
int  nxi_shm_watch(struct nxi_shm *f, int fd, struct nxi_watch *w);

/* ---- shm_listen.c */
int  nxi_shm_listen(struct nxi_shm *f);
void nxi_shm_unlisten(struct nxi_shm *f);
/* Watches the listener, or not while too many guests are there. */
void nxi_shm_admit(struct nxi_shm *f);
void nxi_shm_address(const uint8_t instance[NXI_INSTANCE_LEN], struct sockaddr_un *ret_a);

/* ---- shm_setup.c */
int  nxi_shm_connect(struct nxi_fabric *f, const struct nxi_entry *to, void *owner, uint64_t now,
                     struct nxi_link **ret_l);
/* Takes over an accepted socket. */
int  nxi_shm_guest_new(struct nxi_shm *f, int fd, uint64_t now);
/* Ends the setup, well or not: gives back what only it needs. */
void nxi_shm_setup_end(struct nxi_shm_link *l);

/* ---- shm_map.c */
/* The opener's: makes the memory and maps it. Returns the memfd, which the caller closes. */
int nxi_shm_map_make(struct nxi_shm_map **ret_map);
/* The listener's: checks that it is as it should be, and can't be taken away, and maps it. */
int nxi_shm_map_take(int memfd, struct nxi_shm_map **ret_map);
int nxi_shm_fd_send(int fd, const void *bytes, size_t len, int memfd);
/* Like recv; *ret_memfd (-1 at first) gets the first descriptor that comes, others are closed. */
ssize_t nxi_shm_fd_recv(int fd, void *buf, size_t cap, int *ret_memfd);

/* ---- shm_link.c */
struct nxi_shm_link *nxi_shm_link_new(struct nxi_shm *f, bool opened_here); /* NULL: no memory */
/* The rings are there: which is whose. */
void nxi_shm_link_map(struct nxi_shm_link *l, struct nxi_shm_map *map);
/* Notes why the link ends; poll tells. The first reason counts. why may be nxc_err_detail(). */
void nxi_shm_fail(struct nxi_shm_link *l, int code, const char *why);
/* The peer's end was seen. */
void nxi_shm_hang_up(struct nxi_shm_link *l, const char *why);
/* Closes everything; the link lies in its grave until the next poll. */
void nxi_shm_bury(struct nxi_shm_link *l);
int  nxi_shm_send(struct nxi_link *l, const struct nxi_frame *frame, enum nxi_send_mode mode, uint64_t now);
void nxi_shm_close(struct nxi_link *l);
bool nxi_shm_flushed(const struct nxi_link *l);
/* Whether nxi_shm_serve() would find something to do. Memory only. */
bool nxi_shm_due(struct nxi_shm_link *l);
/* Takes up to max records, sends what waited for room, gives out what was noted.
 * l may be gone afterwards. Returns how many records and frames moved. */
int  nxi_shm_serve(struct nxi_shm_link *l, int max, uint64_t now);

/* ---- shm_wake.c */
/* Something was sent, or room made: the peer may have to be rung. */
void nxi_shm_unsettle(struct nxi_shm_link *l, uint64_t now);
void nxi_shm_unsettle_not(struct nxi_shm_link *l);
/* Rings those who have slept on what was sent a while ago. */
void nxi_shm_settle_due(struct nxi_shm *f, uint64_t now);
void nxi_shm_settle(struct nxi_fabric *f);
bool nxi_shm_arm(struct nxi_fabric *f);
void nxi_shm_wake(struct nxi_fabric *f);

/* ---- shm_pull.c */
void    nxi_shm_probe_tell(const struct nxi_shm *f, uint8_t extra[NXI_GREET_EXTRA]);
/* Whether the kernel lets us read the peer's memory, and it is the peer's. */
bool    nxi_shm_probe_try(pid_t pid, const uint8_t extra[NXI_GREET_EXTRA]);
int64_t nxi_shm_pull(struct nxi_link *l, const struct iovec *from, size_t n, struct nxi_cursor *to);
/* The processors that this process may run on, for nxi_shm_side.cpus. */
uint64_t nxi_shm_cpus(void);
/* Whether pulling beats the ring. With two processors it does not at any size, since
 * both copy at once; with one, from NXI_SHM_PULL_MIN on (docs/benchmarks.md). */
bool nxi_shm_pull_pays(uint64_t our_cpus, uint64_t their_cpus);

#endif
