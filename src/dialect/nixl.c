/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/nixl.h"

#include "base/error.h"
#include "base/log.h"
#include "codec/notif.h"
#include "codec/rkey.h"

#include <stdio.h>
#include <string.h>

static const struct nxi_onesided_ops *onesided(const struct nxi_native *n)
{
    return n->config.onesided->ops->onesided;
}

/* ---- a job's end -------------------------------------------------------------- */

static void want_turn(struct nxi_native *n, struct nxi_nixl_job *job, bool want)
{
    if (want == job->in_run)
        return;
    job->in_run = want;
    if (want)
        DL_APPEND2(n->nixl_run, job, run_prev, run_next);
    else
        DL_DELETE2(n->nixl_run, job, run_prev, run_next);
}

static void job_free(struct nxi_native *n, struct nxi_nixl_job *job)
{
    for (size_t i = 0; i < job->n_rkeys; i++)
        onesided(n)->forget(job->rkeys[i]);
    free(job->note);
    free(job);
}

void nxi_nixl_job_end(struct nxi_nixl_job *job, const struct nxi_end *end)
{
    if (job->ending)
        return; /* the first reason counts */
    job->ending = true;
    job->end = *end;
    snprintf(job->text, sizeof job->text, "%s", end->text);
    want_turn(job->x->native, job, false);
}

/* Ends it for its user, now that nothing of it touches memory. */
void nxi_nixl_job_settle(struct nxi_nixl_job *job, uint64_t now)
{
    struct nxi_xfer   *x = job->x;
    struct nxi_native *n = x->native;
    if (!job->ending || job->under_way)
        return;
    char           text[sizeof job->text];
    struct nxi_end end = job->end;
    memcpy(text, job->text, sizeof text);
    end.text = text;
    x->job = NULL;
    nxi_nixl_peer_leave(job->peer, job, now);
    job_free(n, job);
    nxi_xfer_end(n, x, &end, now);
}

static void job_fail(struct nxi_nixl_job *job, int code)
{
    const struct nxi_end end = { NXC_ERRORED, code, 0, nxc_err_detail() };
    nxi_nixl_job_end(job, &end);
}

/* ---- what it does --------------------------------------------------------------- */

static struct nxi_nixl_slot *free_slot(struct nxi_nixl_job *job)
{
    for (size_t i = 0; i < NXI_NIXL_WINDOW; i++)
        if (!job->slots[i].busy)
            return &job->slots[i];
    return NULL;
}

static void moved(struct nxi_nixl_job *job, uint64_t bytes)
{
    uint64_t done = atomic_load_explicit(&job->x->done, memory_order_relaxed);
    atomic_store_explicit(&job->x->done, done + bytes, memory_order_relaxed);
}

/* A request was made: r is what the fabric said. */
static void made(struct nxi_nixl_job *job, struct nxi_nixl_slot *slot, int r, uint64_t len, uint64_t now)
{
    if (r < 0) {
        job_fail(job, r);
    } else if (r == 1) {
        moved(job, len);
    } else {
        *slot = (struct nxi_nixl_slot){ job, len, true };
        job->under_way++;
        nxi_nixl_peer_made(job->peer, now);
    }
}

/* The key for descriptor i: the last one, when that is of the same registration or says the same. */
static int rkey_for(struct nxi_native *n, struct nxi_nixl_job *job, size_t i, struct nxi_rkey **ret_k)
{
    const struct nxi_nixl_target *to = job->x->nixl;
    const struct nxi_span        *meta = &to->covers[i]->meta, *last = meta;
    if (job->n_rkeys)
        last = &to->covers[job->rkey_of]->meta;
    if (!job->n_rkeys || last->len != meta->len || memcmp(last->ptr, meta->ptr, meta->len) != 0) {
        uint8_t *padded = nxi_malloc(meta->len + NXI_RKEY_PAD);
        if (!padded)
            return nxi_fail(NXC_ENOMEM, "no memory for a key");
        nxi_rkey_pad(meta->ptr, meta->len, padded);
        int r = onesided(n)->unpack(job->peer->remote, padded, &job->rkeys[job->n_rkeys]);
        free(padded);
        if (r < 0)
            return r;
        job->n_rkeys++;
        job->rkey_of = i;
    }
    *ret_k = job->rkeys[job->n_rkeys - 1];
    return 0;
}

/* Past descriptors of no bytes, which have no place in a blob and move nothing. */
static bool more(struct nxi_nixl_job *job)
{
    const struct nxi_xfer *x = job->x;
    while (job->at < x->n && job->off == x->descs[job->at].len) {
        job->at++;
        job->off = 0;
    }
    return job->at < x->n;
}

static void move_piece(struct nxi_native *n, struct nxi_nixl_job *job, struct nxi_nixl_slot *slot, uint64_t now)
{
    const struct nxi_xfer        *x = job->x;
    const struct nxi_nixl_target *to = x->nixl;
    uint64_t                      left = x->descs[job->at].len - job->off;
    struct nxi_access             a = {
                    .write = x->kind == NXC_WRITE,
                    .here = (char *)(uintptr_t)x->descs[job->at].addr + job->off,
                    .len = left < NXI_NIXL_PIECE ? left : NXI_NIXL_PIECE,
                    .mem = to->mems[job->at],
                    .there = to->descs[job->at].addr + job->off,
    };
    int r = rkey_for(n, job, job->at, &a.rkey);
    if (r == 0)
        r = onesided(n)->move(job->peer->remote, &a, slot);
    job->off += a.len;
    made(job, slot, r, a.len, now);
}

/* Whether the next step can be taken now; else something that is under way comes first. */
static bool ready(struct nxi_nixl_job *job)
{
    return !job->ending && (job->stage == NXI_NIXL_MOVING ? free_slot(job) != NULL : !job->under_way);
}

static void step(struct nxi_native *n, struct nxi_nixl_job *job, uint64_t now)
{
    static const struct nxi_end complete = { NXC_COMPLETE, 0, 0, "" };
    struct nxi_nixl_slot       *slot = free_slot(job);
    struct nxi_remote          *remote = job->peer->remote;
    switch (job->stage) {
    case NXI_NIXL_MOVING:
        if (more(job)) {
            move_piece(n, job, slot, now);
            break;
        }
        job->stage = NXI_NIXL_FLUSHING;
        if (job->x->kind == NXC_WRITE) /* what was read is here when its requests are over */
            made(job, slot, onesided(n)->flush(remote, slot), 0, now);
        break;
    case NXI_NIXL_FLUSHING: /* the peer is told when all is where it should be, never before */
        job->stage = NXI_NIXL_NOTIFYING;
        made(job, slot, onesided(n)->notify(remote, job->note, job->note_len, slot), 0, now);
        break;
    case NXI_NIXL_NOTIFYING:
        nxi_nixl_job_end(job, &complete);
        break;
    }
}

/* Goes on as far as it can in one turn, so that others have theirs. job may be gone afterwards. */
static void take_turn(struct nxi_native *n, struct nxi_nixl_job *job, uint64_t now)
{
    for (int i = 0; i < NXI_NIXL_TURN && ready(job); i++)
        step(n, job, now);
    want_turn(n, job, ready(job));
    nxi_nixl_job_settle(job, now);
}

/* ---- start, end, poll -------------------------------------------------------------- */

static int write_note(struct nxi_native *n, struct nxi_nixl_job *job)
{
    const char            *key = job->x->nixl->key_text, *name = n->config.agent_name;
    const struct nxi_notif note = { { (const uint8_t *)name, strlen(name) }, { (const uint8_t *)key, strlen(key) } };
    job->note_len = nxi_notif_size(note.name.len, note.msg.len);
    if (!(job->note = nxi_malloc(job->note_len)))
        return nxi_fail(NXC_ENOMEM, "no memory for a notification");
    nxi_notif_encode(&note, job->note);
    return 0;
}

void nxi_nixl_start(struct nxi_native *n, struct nxi_xfer *x, uint64_t now)
{
    const struct nxi_agent_conn *conn = nxi_agent_conn_find(x->nixl->agent, "UCX");
    struct nxi_nixl_job         *job = nxi_calloc(1, sizeof *job + x->n * sizeof *job->rkeys);
    struct nxi_nixl_peer        *p;
    if (!job) {
        nxi_xfer_fail(n, x, NXC_ENOMEM, "no memory for an operation", now);
        return;
    }
    job->x = x;
    int r = write_note(n, job);
    if (r == 0)
        r = nxi_nixl_peer_get(n, &conn->info, &p);
    if (r < 0) {
        job_free(n, job);
        nxi_xfer_fail(n, x, r, nxc_err_detail(), now);
        return;
    }
    x->job = job;
    x->phase = NXI_XFER_ONESIDED;
    atomic_store_explicit(&x->transport, n->config.onesided->ops->name, memory_order_release);
    nxi_nixl_peer_join(p, job, now);
    take_turn(n, job, now);
}

void nxi_nixl_end(struct nxi_xfer *x, const struct nxi_end *end, uint64_t now)
{
    struct nxi_end last = *end;
    if (x->job->stage == NXI_NIXL_NOTIFYING) {
        /* The notification can't be called back: it ends as it would have. A peer that takes
         * none ends it, through the watch over what is under way. */
        if (end->status == NXC_CANCELLED)
            return;
        last.text = "time limit reached while the peer was being told: it may have been told";
    }
    nxi_nixl_job_end(x->job, &last);
    nxi_nixl_peer_hurry(x->job->peer, now);
    nxi_nixl_job_settle(x->job, now);
}

void nxi_nixl_stop(struct nxi_native *n, const struct nxi_end *end, uint64_t now)
{
    struct nxi_nixl_peer *p, *next_peer;
    struct nxi_nixl_job  *job, *next_job;
    HASH_ITER (hh, n->nixl_peers, p, next_peer)
        DL_FOREACH_SAFE (p->jobs, job, next_job)
            nxi_nixl_end(job->x, end, now);
}

int nxi_nixl_poll(struct nxi_native *n, uint64_t now)
{
    struct nxi_nixl_job *last = n->nixl_run ? n->nixl_run->run_prev : NULL, *job;
    int                  did = 0;
    while (last && (job = n->nixl_run)) {
        bool end = job == last;
        want_turn(n, job, false); /* to the end, if it wants more */
        take_turn(n, job, now);
        did++;
        if (end)
            break;
    }
    return did;
}

/* ---- the fabric's events -------------------------------------------------------------- */

static void on_finished(void *arg, void *token, int code, uint64_t now)
{
    struct nxi_native    *n = arg;
    struct nxi_nixl_slot *slot = token;
    struct nxi_nixl_job  *job = slot->job;
    slot->busy = false;
    job->under_way--;
    nxi_nixl_peer_finished(job->peer, code, now);
    if (code == 0) {
        moved(job, slot->len);
    } else {
        const struct nxi_end end = { NXC_ERRORED, job->peer->reached ? NXC_EPEER : NXC_EUNREACH, 0,
                                     job->peer->reached ? "the peer went away" : "the peer was not reached" };
        nxi_nixl_job_end(job, &end);
    }
    take_turn(n, job, now);
}

static void on_notified(void *arg, const uint8_t *payload, size_t len, uint64_t now)
{
    struct nxi_native *n = arg;
    struct nxi_notif   note;
    struct nxi_key     key;
    /* Whose name it bears is a claim: the key alone counts. */
    if (nxi_notif_decode(payload, len, &note) == 0 &&
        nxi_key_decode((const char *)note.msg.ptr, note.msg.len, &key) == 0 && nxi_offer_notified(n, &key, now))
        return;
    nxi_log(NXI_LOG_DEBUG, "a notification that belongs to no offer was dropped");
}

static void on_lost(void *arg, void *owner, const char *text, uint64_t now)
{
    (void)arg;
    nxi_nixl_peer_lose(owner, text, now);
}

static const struct nxi_onesided_events events = { on_finished, on_notified, on_lost };

void nxi_nixl_init(struct nxi_native *n)
{
    if (!n->config.onesided)
        return;
    n->config.onesided->onesided_events = &events;
    n->config.onesided->onesided_arg = n;
}

/* ---- the end of it all ------------------------------------------------------------------ */

static void deaf_finished(void *arg, void *token, int code, uint64_t now)
{
    (void)arg, (void)token, (void)code, (void)now;
}

static void deaf_notified(void *arg, const uint8_t *payload, size_t len, uint64_t now)
{
    (void)arg, (void)payload, (void)len, (void)now;
}

static void deaf_lost(void *arg, void *owner, const char *text, uint64_t now)
{
    (void)arg, (void)owner, (void)text, (void)now;
}

static const struct nxi_onesided_events deaf = { deaf_finished, deaf_notified, deaf_lost };

void nxi_nixl_free(struct nxi_native *n)
{
    static const struct nxi_end gone = { NXC_ERRORED, NXC_EPEER, 0, "the connector was freed" };
    enum { LAST_POLLS = 1000 };
    struct nxi_nixl_peer *p, *next;
    struct nxi_nixl_job  *job;
    struct nxi_fabric    *f = n->config.onesided;
    if (!f)
        return;
    HASH_ITER (hh, n->nixl_peers, p, next)
        if (p->jobs)
            nxi_nixl_peer_lose(p, gone.text, 0);
        else
            nxi_nixl_peer_free(p);
    /* Closing them has ended their requests, as the fabric now tells. */
    for (int i = 0; n->nixl_lost && i < LAST_POLLS; i++)
        f->ops->poll(f, 0);
    f->onesided_events = &deaf;
    while ((p = n->nixl_lost)) {
        nxi_log(NXI_LOG_ERROR, "a NIXL peer's requests do not end");
        DL_FOREACH (p->jobs, job)
            job->under_way = 0;
        nxi_nixl_peer_end_jobs(p, &gone, 0);
    }
}
