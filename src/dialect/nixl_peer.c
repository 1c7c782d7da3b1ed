/* SPDX-License-Identifier: Apache-2.0 */
/* The workers that we reach into. One is its address, never its name: a worker
 * that was started again under its old name is another one. */
#include "dialect/nixl.h"

#include "base/error.h"
#include "base/log.h"
#include "codec/ucx_address.h"

static const struct nxi_onesided_ops *onesided(const struct nxi_nixl_peer *p)
{
    return p->native->config.onesided->ops->onesided;
}

/* For how long nothing need move before the peer is given up, in ns. When nobody needs it
 * any more that is short: closing it is what makes its requests end. */
static uint64_t patience(const struct nxi_nixl_peer *p)
{
    const struct nxi_native_config *c = &p->native->config;
    const struct nxi_nixl_job      *job;
    DL_FOREACH (p->jobs, job)
        if (!job->ending)
            return (p->reached ? c->keepalive_ms : c->connect_ms) * NXI_MS;
    return NXI_NIXL_GRACE_MS * NXI_MS;
}

static void set_look(struct nxi_nixl_peer *p, uint64_t at)
{
    p->look = at;
    nxi_timer_set(p->native->config.timers, &p->timer, at);
}

/* While there are jobs we look now and then, which also lets the fabric look for itself
 * whether the peer lives. */
static uint64_t next_look(const struct nxi_nixl_peer *p, uint64_t now)
{
    return nxi_after(now, patience(p) / NXI_NIXL_LOOKS);
}

/* Never later than before: who cancels again and again must not put it off. */
void nxi_nixl_peer_hurry(struct nxi_nixl_peer *p, uint64_t now)
{
    uint64_t at = next_look(p, now);
    if (at < p->look)
        set_look(p, at);
}

static void restart_silence(struct nxi_nixl_peer *p, uint64_t now)
{
    p->silence = 0;
    p->counted = now;
}

/* One that was done at once is not told of here: it says nothing of the peer. */
void nxi_nixl_peer_made(struct nxi_nixl_peer *p, uint64_t now)
{
    if (p->under_way++ == 0)
        restart_silence(p, now);
}

void nxi_nixl_peer_finished(struct nxi_nixl_peer *p, int code, uint64_t now)
{
    p->under_way--;
    if (code < 0)
        return;
    p->reached = true;
    restart_silence(p, now);
}

/* A look that comes late counts as if it had come in time: it was we who were stopped,
 * and what the peer says meanwhile may not have arrived. */
static bool silent_too_long(struct nxi_nixl_peer *p, uint64_t now)
{
    if (!p->under_way)
        return false;
    if (p->look > p->counted)
        p->silence += p->look - p->counted;
    p->counted = now;
    return p->silence >= patience(p);
}

static void on_timer(struct nxi_timer *t, uint64_t now)
{
    struct nxi_nixl_peer *p = (struct nxi_nixl_peer *)((char *)t - offsetof(struct nxi_nixl_peer, timer));
    if (!p->jobs)
        nxi_nixl_peer_free(p);
    else if (!p->lost && silent_too_long(p, now))
        nxi_nixl_peer_lose(p, p->reached ? "the peer fell silent" : "the peer was not reached in time", now);
    else
        set_look(p, next_look(p, now));
}

static struct nxi_nixl_peer *make(struct nxi_native *n, const struct nxi_span *address)
{
    struct nxi_nixl_peer *p = nxi_calloc(1, sizeof *p + address->len + NXI_UCX_ADDRESS_PAD);
    if (!p)
        return NULL;
    if (nxi_timers_reserve(n->config.timers) < 0) {
        free(p);
        return NULL;
    }
    p->native = n;
    p->len = address->len;
    p->timer.fn = on_timer;
    nxi_ucx_address_pad(address->ptr, address->len, p->address);
    HASH_ADD(hh, n->nixl_peers, address, p->len, p);
    if (!p->hh.tbl) {
        nxi_timers_release(n->config.timers);
        free(p);
        return NULL;
    }
    return p;
}

int nxi_nixl_peer_get(struct nxi_native *n, const struct nxi_span *address, struct nxi_nixl_peer **ret_p)
{
    struct nxi_nixl_peer *p;
    HASH_FIND(hh, n->nixl_peers, address->ptr, address->len, p);
    if (!p) {
        if (!(p = make(n, address)))
            return nxi_fail(NXC_ENOMEM, "no memory for a peer");
        int r = onesided(p)->connect(n->config.onesided, p->address, p->len, p, &p->remote);
        if (r < 0) {
            nxi_nixl_peer_free(p);
            return r;
        }
        atomic_fetch_add_explicit(n->config.links, 1, memory_order_relaxed);
    }
    *ret_p = p;
    return 0;
}

void nxi_nixl_peer_join(struct nxi_nixl_peer *p, struct nxi_nixl_job *job, uint64_t now)
{
    bool first = !p->jobs;
    job->peer = p;
    DL_APPEND(p->jobs, job);
    if (first)
        set_look(p, next_look(p, now));
}

void nxi_nixl_peer_leave(struct nxi_nixl_peer *p, struct nxi_nixl_job *job, uint64_t now)
{
    DL_DELETE(p->jobs, job);
    if (p->jobs)
        return;
    if (p->lost) {
        nxi_nixl_peer_free(p);
        return;
    }
    set_look(p, nxi_after(now, NXI_NIXL_IDLE_S * NXI_SEC));
}

static void close_remote(struct nxi_nixl_peer *p)
{
    if (!p->remote)
        return;
    onesided(p)->close(p->remote);
    p->remote = NULL;
    atomic_fetch_sub_explicit(p->native->config.links, 1, memory_order_relaxed);
}

/* Out of the table: who needs that worker next tries anew. */
static void drop(struct nxi_nixl_peer *p)
{
    if (p->lost)
        return;
    p->lost = true;
    HASH_DELETE(hh, p->native->nixl_peers, p);
    DL_APPEND(p->native->nixl_lost, p);
}

void nxi_nixl_peer_end_jobs(struct nxi_nixl_peer *p, const struct nxi_end *end, uint64_t now)
{
    struct nxi_nixl_job *job, *next;
    /* The last one that settles may take the peer along, so p is not looked at again. */
    for (job = p->jobs; job; job = next) {
        next = job->next;
        nxi_nixl_job_end(job, end);
        nxi_nixl_job_settle(job, now);
    }
}

void nxi_nixl_peer_lose(struct nxi_nixl_peer *p, const char *text, uint64_t now)
{
    const struct nxi_end end = { NXC_ERRORED, p->reached ? NXC_EPEER : NXC_EUNREACH, 0, text };
    if (p->lost)
        return;
    nxi_log(NXI_LOG_INFO, "a NIXL peer is given up: %s", text);
    drop(p);
    close_remote(p);
    if (!p->jobs)
        nxi_nixl_peer_free(p);
    else
        nxi_nixl_peer_end_jobs(p, &end, now);
}

void nxi_nixl_peer_free(struct nxi_nixl_peer *p)
{
    drop(p);
    DL_DELETE(p->native->nixl_lost, p);
    close_remote(p);
    nxi_timer_unset(p->native->config.timers, &p->timer);
    nxi_timers_release(p->native->config.timers);
    free(p);
}
