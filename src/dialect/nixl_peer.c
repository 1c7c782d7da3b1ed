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

static bool waits(const struct nxi_nixl_peer *p)
{
    const struct nxi_nixl_job *job;
    DL_FOREACH (p->jobs, job)
        if (job->under_way)
            return true;
    return false;
}

/* While something is under way we look now and then, which also lets the fabric
 * look for itself whether the peer lives. */
void nxi_nixl_peer_watch(struct nxi_nixl_peer *p, uint64_t now)
{
    uint64_t at = p->jobs ? nxi_after(now, patience(p) / 8) : nxi_after(p->stirred, NXI_NIXL_IDLE_S * NXI_SEC);
    nxi_timer_set(p->native->config.timers, &p->timer, at);
}

static void on_timer(struct nxi_timer *t, uint64_t now)
{
    struct nxi_nixl_peer *p = (struct nxi_nixl_peer *)((char *)t - offsetof(struct nxi_nixl_peer, timer));
    if (!p->jobs)
        nxi_nixl_peer_free(p);
    else if (waits(p) && !p->lost && now - p->stirred >= patience(p))
        nxi_nixl_peer_lose(p, p->reached ? "the peer fell silent" : "the peer was not reached in time", now);
    else
        nxi_nixl_peer_watch(p, now);
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

int nxi_nixl_peer_get(struct nxi_native *n, const struct nxi_span *address, uint64_t now, struct nxi_nixl_peer **ret_p)
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
        p->stirred = now;
    }
    *ret_p = p;
    return 0;
}

void nxi_nixl_peer_join(struct nxi_nixl_peer *p, struct nxi_nixl_job *job, uint64_t now)
{
    bool first = !p->jobs;
    job->peer = p;
    DL_APPEND(p->jobs, job);
    if (!first)
        return;
    p->stirred = now; /* while idle nothing had to move */
    nxi_nixl_peer_watch(p, now);
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
    p->stirred = now;
    nxi_nixl_peer_watch(p, now);
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
