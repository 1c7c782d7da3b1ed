/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_CONNECTOR_H
#define NXI_CONNECTOR_H
/*
 * The connector: fabrics, the dialect, and who drives them. One thread at a time
 * drives: it holds `drive`, polls, and feeds the state machine. That is the
 * progress thread, or in its place a caller in nxc_op_wait (the lead), so that a
 * busy exchange needs no thread switch. docs/threads.md tells the whole story.
 */
#include "base/timers.h"
#include "dialect/native.h"
#include "op.h"
#include "region.h"

#include <nxconnect/nxconnect.h>
#include <pthread.h>
#include <stdatomic.h>

/* A thread that sleeps in nxc_op_wait while another one leads. */
struct nxi_follower {
    struct nxc_op       *op;
    pthread_cond_t       cond;
    struct nxi_follower *prev, *next;
};

struct nxc_connector {
    /* fixed at birth */
    char                 *name;       /* the worker_id */
    char                 *agent_name; /* <worker_id>-1 */
    struct nxi_fabric_env env;
    uint32_t              keepalive_ms, max_ops;
    uint64_t              spin_ns;
    unsigned              fork_count; /* of the process, when it was made */
    struct nxi_fabric    *onesided;   /* among fabrics: the one for NIXL workers, NULL when those are not admitted */
    bool                  require_nixl; /* native peers too are spoken with as if they were NIXL workers */
    size_t                entry_len;  /* 0: there is no way for native peers */
    uint8_t               entry[NXI_ENTRY_MAX]; /* NXC, for the tickets' blobs */
    uint8_t              *blob;       /* of a ticket for native peers only: the same in all its tickets */
    size_t                blob_len;
    char                 *blob_text[2]; /* by enum nxc_encoding */
    int                   ends_fd;    /* what nxc_connector_fd() gives */
    int                   thread_epfd; /* the thread sleeps on it: env.epfd and thread_bell */
    int                   thread_bell, lead_bell;
    pthread_t             thread;
    bool                  has_thread;
    /* any thread */
    atomic_uint              refs; /* the user's, and one per operation and region */
    _Atomic(struct nxc_op *) inbox;
    atomic_uint              agent_no; /* the agent in tickets for NIXL workers is called <worker_id>-<agent_no> */
    atomic_bool              stopping, closed;
    atomic_bool              led;      /* there is a lead */
    atomic_uint              wanted;   /* threads that wait for drive: the progress thread gives way */
    _Atomic uint64_t         left_at;  /* when the last lead left */
    atomic_bool              lingering; /* it did not say so to the peers, and the thread looks after it */
    atomic_bool              pausing;   /* the thread is about to look at lingering by itself */
    atomic_bool              left_work; /* why the thread's bell was rung: there is work that nobody does */
    atomic_uint              followers_n;
    /* under drive */
    pthread_mutex_t    drive;
    struct nxi_timers  timers;
    struct nxi_fabric *fabrics[NXI_FABRICS_MAX];
    size_t             n_fabrics;
    struct nxi_native *native;
    bool               armed;       /* the fabrics think that we sleep */
    uint64_t           thread_until; /* when the progress thread's sleep ends by itself */
    unsigned           streak;      /* leads that came soon after the one before */
    uint64_t           drive_now;   /* the time, as the driver last read it */
    uint64_t           epoll_at;    /* when epoll was last asked while spinning */
    bool               ends_untold; /* operations have ended since followers were looked for */
    struct nxc_op     *lead_asleep; /* what the lead sleeps for, in epoll; NULL while it is awake */
    uint64_t           lead_until;  /* when that sleep ends by itself */
    struct nxi_watch   lead_watch;
    /* under followers_lock */
    pthread_mutex_t      followers_lock;
    struct nxi_follower *followers;
    /* under ends_lock */
    pthread_mutex_t ends_lock;
    struct nxc_op  *ends;
    /* under regions_lock */
    pthread_mutex_t    regions_lock;
    struct nxi_regions regions;
    /* under text_lock */
    pthread_mutex_t text_lock;
    uint8_t         random[2048]; /* drawn from the kernel, each byte used once */
    size_t          random_left;
    /* under fork.c's lock */
    struct nxc_connector *fork_prev, *fork_next;

    /* started is anybody's to count, and makes the operations' numbers; the rest is the driver's */
    struct {
        _Atomic uint64_t started, completed, cancelled, errored, bytes_read, bytes_written, region_bytes, region_hits,
            region_misses, peers;
    } stats;
};

/* connector.c. opts has the current size. */
int  nxi_connector_new(const struct nxc_connector_opts *opts, struct nxc_connector **ret_c);
void nxi_connector_close(struct nxc_connector *c);
struct nxc_connector *nxi_connector_ref(struct nxc_connector *c);
void nxi_connector_unref(struct nxc_connector *c);
static inline uint64_t nxi_connector_unfinished(const struct nxc_connector *c)
{
    /* The ends first: whose end is seen, its start is seen too, so the difference is never negative. */
    uint64_t ended = atomic_load_explicit(&c->stats.completed, memory_order_acquire) +
                     atomic_load_explicit(&c->stats.cancelled, memory_order_acquire) +
                     atomic_load_explicit(&c->stats.errored, memory_order_acquire);
    return atomic_load_explicit(&c->stats.started, memory_order_relaxed) - ended;
}
/* Random bytes from the kernel's generator, drawn many at a time: a call for each
 * operation costs as much as all the rest of it. */
void nxi_connector_random(struct nxc_connector *c, void *buf, size_t len);

/* progress.c */
int  nxi_progress_start(struct nxc_connector *c); /* the thread */
void nxi_progress_stop(struct nxc_connector *c);
/* Starts op, which nobody else knows yet; as nxi_progress_want, at less cost. */
void nxi_progress_start_op(struct nxc_connector *c, struct nxc_op *op);
/* Tells the driver what is wanted of op, and does it here and now when nobody drives. Never blocks. */
void nxi_progress_want(struct nxc_connector *c, struct nxc_op *op, unsigned wants);
/* Drives until op (NULL: nothing in particular) has ended, or until the time
 * `until`. The caller holds drive and has woken the fabrics. */
void nxi_progress_drive(struct nxc_connector *c, struct nxc_op *op, uint64_t until);
/* Takes and gives back the right to drive; the fabrics are awake between the two. */
void nxi_progress_enter(struct nxc_connector *c);
void nxi_progress_leave(struct nxc_connector *c);
/* The thread has been stopped and drive is held: drives until the dialect has stopped. */
void nxi_progress_finish(struct nxc_connector *c, uint64_t until);
void nxi_progress_refill(void *arg, uint64_t now); /* for the dialect */

/* wait.c. true when op has ended, false when until has passed. */
bool nxi_wait(struct nxc_connector *c, struct nxc_op *op, uint64_t until);
void nxi_wait_wake(struct nxc_connector *c); /* those whose operation has ended */

/* queue.c: the ends that wait for nxc_connector_next(). put stores the status too. */
void nxi_queue_put(struct nxc_connector *c, struct nxc_op *op, enum nxc_status status);
void nxi_queue_remove(struct nxc_connector *c, struct nxc_op *op);
int  nxi_queue_next(struct nxc_connector *c, struct nxc_event *ret_events, unsigned max);

/* fork.c */
int      nxi_fork_add(struct nxc_connector *c);
void     nxi_fork_remove(struct nxc_connector *c);
unsigned nxi_fork_count(void);
static inline bool nxi_forked(const struct nxc_connector *c)
{
    return c->fork_count != nxi_fork_count();
}

#endif
