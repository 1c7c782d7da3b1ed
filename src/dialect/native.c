/* SPDX-License-Identifier: Apache-2.0 */
/* The dialect's outer side: start, cancel, stop, and the one place where
 * transfers end. */
#include "dialect/channel.h"
#include "dialect/nixl.h"

#include "base/error.h"

#include <stdio.h>

int nxi_native_new(const struct nxi_native_config *config, struct nxi_native **ret_n)
{
    struct nxi_native *n = nxi_calloc(1, sizeof *n);
    if (!n)
        return nxi_fail(NXC_ENOMEM, "no memory for a connector");
    n->config = *config;
    for (size_t i = 0; i < config->n_fabrics; i++) {
        config->fabrics[i]->events = &nxi_channel_events;
        config->fabrics[i]->arg = n;
    }
    nxi_nixl_init(n);
    *ret_n = n;
    return 0;
}

/* Ends everything that x has with its channel, its peer, the timers. */
static void detach(struct nxi_native *n, struct nxi_xfer *x, uint64_t now)
{
    struct nxi_channel *ch = x->channel;
    if (x->phase == NXI_XFER_OFFERED)
        nxi_offer_remove(n, x);
    if (x->peer)
        DL_DELETE(x->peer->waiting, x);
    if (ch) {
        nxi_channel_unqueue(ch, x);
        nxi_channel_remove(ch, x, now);
        if (ch->incoming_x == x) {
            /* The rest of the payload under way must not reach the user's memory. */
            ch->incoming_x = NULL;
            ch->link->sink = (struct nxi_cursor){ 0 };
        }
        if (x->lent) {
            ch->link->fabric->ops->revoke(ch->link, x);
            ch->blocked = false; /* no sent will come; the next try tells */
        }
    }
    if (x->has_timer) {
        nxi_timer_unset(n->config.timers, &x->timer);
        nxi_timers_release(n->config.timers);
    }
    free(x->pull_iov);
    x->pull_iov = NULL;
    x->peer = NULL;
    x->channel = NULL;
    x->has_timer = x->lent = false;
}

void nxi_xfer_end(struct nxi_native *n, struct nxi_xfer *x, const struct nxi_end *end, uint64_t now)
{
    struct nxi_channel *ch = x->channel;
    bool                begun = ch && ch->up && x->phase > NXI_XFER_STARTING;
    uint64_t            wire_id = x->wire_id;
    detach(n, x, now);
    x->phase = NXI_XFER_ENDED;
    n->n_xfers--;
    if (begun && end->reason)
        nxi_channel_end_message(ch, wire_id, end->reason, end->error, now);
    n->config.ended(n->config.arg, x, end->status, end->error, end->text);
}

void nxi_xfer_fail(struct nxi_native *n, struct nxi_xfer *x, int code, const char *text, uint64_t now)
{
    struct nxi_end end = { NXC_ERRORED, code, NXI_END_FAILED, text };
    nxi_xfer_end(n, x, &end, now);
}

/* The peer's words for how it ended over there. */
void nxi_xfer_end_as_told(struct nxi_native *n, struct nxi_xfer *x, const struct nxi_msg *m, uint64_t now)
{
    struct nxi_end end = { NXC_ERRORED, NXC_EPEER, 0, "the peer failed" };
    char           text[96];
    switch (m->reason) {
    case NXI_END_CANCELLED:
        end = (struct nxi_end){ NXC_CANCELLED, NXC_ECANCELLED, 0, "cancelled by the peer" };
        break;
    case NXI_END_TIMEDOUT:
        end = (struct nxi_end){ NXC_ERRORED, NXC_ETIMEDOUT, 0, "the peer's limit: its time was up" };
        break;
    case NXI_END_GONE:
        end.text = "the peer's connector was freed";
        break;
    case NXI_END_REFUSED:
        end.error = m->code == NXC_EKIND || m->code == NXC_ESIZE || m->code == NXC_ENOMEM ? m->code : NXC_EACCESS;
        end.text = end.error == NXC_EACCESS ? "the peer refused: the ticket's operation has ended, is in use, or "
                                              "never was"
                   : end.error == NXC_EKIND ? "the peer refused: its operation is of the other kind"
                   : end.error == NXC_ESIZE ? "the peer refused: its sizes differ"
                                            : "the peer refused: it is out of memory";
        break;
    case NXI_END_FAILED:
        snprintf(text, sizeof text, "the peer failed: %s", nxc_err_text(m->code < 0 ? m->code : NXC_EPEER));
        end.text = text;
        break;
    }
    nxi_xfer_end(n, x, &end, now);
}

static void deadline(struct nxi_timer *t, uint64_t now)
{
    struct nxi_xfer   *x = (struct nxi_xfer *)((char *)t - offsetof(struct nxi_xfer, timer));
    struct nxi_native *n = x->native;
    struct nxi_end     end = { NXC_ERRORED, NXC_ETIMEDOUT, NXI_END_TIMEDOUT, "time limit reached" };
    if (nxi_xfer_voted(x)) {
        /* The receiver decides, and may have: it is told nothing that could contradict it. */
        end.reason = 0;
        end.text = "time limit reached before the peer confirmed: it may have all bytes";
        if (now < x->deadline) { /* cancelled, and waited for the peer's word */
            end.error = NXC_EPEER;
            end.text = "the peer did not confirm in time: it may have all bytes";
        }
    }
    if (x->phase == NXI_XFER_ONESIDED)
        nxi_nixl_end(x, &end, now);
    else
        nxi_xfer_end(n, x, &end, now);
}

static int set_timer(struct nxi_native *n, struct nxi_xfer *x, uint64_t at)
{
    int r = x->has_timer ? 0 : nxi_timers_reserve(n->config.timers);
    if (r < 0)
        return r;
    x->has_timer = true;
    x->timer.fn = deadline;
    nxi_timer_set(n->config.timers, &x->timer, at);
    return 0;
}

void nxi_native_start(struct nxi_native *n, struct nxi_xfer *x, uint64_t now)
{
    int r = 0;
    n->n_xfers++;
    x->native = n;
    x->cursor = nxi_cursor_at(x->descs, x->n);
    if (x->deadline != NXI_NEVER)
        r = set_timer(n, x, x->deadline);
    if (r == 0 && !x->active)
        r = nxi_offer_add(n, x);
    if (r < 0)
        nxi_xfer_fail(n, x, r, "no memory for an operation", now);
    else if (x->nixl)
        nxi_nixl_start(n, x, now);
    else if (x->active)
        nxi_peer_start(n, x, now);
}

void nxi_native_cancel(struct nxi_native *n, struct nxi_xfer *x, uint64_t now)
{
    static const struct nxi_end end = { NXC_CANCELLED, NXC_ECANCELLED, NXI_END_CANCELLED, "cancelled" };
    if (x->phase == NXI_XFER_NEW || x->phase == NXI_XFER_ENDED)
        return;
    if (x->phase == NXI_XFER_ONESIDED) {
        nxi_nixl_end(x, &end, now);
        return;
    }
    if (!nxi_xfer_voted(x)) {
        nxi_xfer_end(n, x, &end, now);
        return;
    }
    /* Only the receiver can end it now, but who cancels does not want to wait for ever. */
    uint64_t limit = nxi_after(now, x->channel->link->keepalive_ms * NXI_MS);
    if (!x->impatient && limit < x->deadline)
        x->impatient = set_timer(n, x, limit) == 0;
}

static const struct nxi_end gone = { NXC_CANCELLED, NXC_ECANCELLED, NXI_END_GONE, "the connector was freed" };

void nxi_native_stop(struct nxi_native *n, uint64_t now)
{
    struct nxi_xfer    *x, *next_x;
    struct nxi_channel *ch;
    struct nxi_peer    *p, *next_peer;
    NXI_ID_MAP_EACH (&n->offers, i, node, next)
        nxi_xfer_end(n, nxi_xfer_by_offer(node), &gone, now);
    DL_FOREACH (n->channels, ch)
        NXI_ID_MAP_EACH (&ch->begun, i, node, next)
            if (!nxi_xfer_voted(nxi_xfer_by_wire(node)))
                nxi_xfer_end(n, nxi_xfer_by_wire(node), &gone, now);
    HASH_ITER (hh, n->peers, p, next_peer)
        DL_FOREACH_SAFE (p->waiting, x, next_x)
            nxi_xfer_end(n, x, &gone, now);
    nxi_nixl_stop(n, &gone, now);
}

bool nxi_native_stopped(const struct nxi_native *n)
{
    if (n->n_xfers)
        return false;
    for (const struct nxi_channel *ch = n->channels; ch; ch = ch->next)
        if (ch->up && !ch->link->fabric->ops->flushed(ch->link))
            return false;
    return true;
}

void nxi_native_free(struct nxi_native *n)
{
    struct nxi_channel *ch, *next_ch;
    struct nxi_peer    *p, *next_peer;
    if (!n)
        return;
    nxi_native_stop(n, 0);
    nxi_nixl_free(n);
    DL_FOREACH_SAFE (n->channels, ch, next_ch) {
        ch->up = false; /* nothing more is said on it */
        NXI_ID_MAP_EACH (&ch->begun, i, node, next)
            nxi_xfer_fail(n, nxi_xfer_by_wire(node), NXC_EPEER,
                          "the peer did not confirm in time: it may have all bytes", 0);
        ch->link->fabric->ops->close(ch->link);
        nxi_channel_free(ch);
    }
    HASH_ITER (hh, n->peers, p, next_peer)
        nxi_peer_free(p);
    nxi_id_map_free(&n->offers);
    free(n);
}

void nxi_native_away(struct nxi_native *n, uint64_t now)
{
    for (struct nxi_channel *ch = n->channels; ch; ch = ch->next)
        ch->busy_since = now;
}

static bool has_work(const struct nxi_channel *ch)
{
    return (ch->run && !ch->blocked) || ch->pulls;
}

int nxi_native_poll(struct nxi_native *n, uint64_t now)
{
    struct nxi_channel *ch, *next;
    int                 did = 0;
    DL_FOREACH_SAFE (n->channels, ch, next)
        if (has_work(ch))
            did += nxi_channel_pump(ch, now);
    return n->nixl_run ? did + nxi_nixl_poll(n, now) : did;
}

bool nxi_native_busy(const struct nxi_native *n)
{
    for (const struct nxi_channel *ch = n->channels; ch; ch = ch->next)
        if (has_work(ch))
            return true;
    return n->nixl_run != NULL;
}

size_t nxi_native_unfinished(const struct nxi_native *n)
{
    return n->n_xfers;
}
