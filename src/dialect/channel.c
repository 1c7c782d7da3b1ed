/* SPDX-License-Identifier: Apache-2.0 */
/* Channels: the fabrics' events, whose turn it is to send, beats and idle links. */
#include "dialect/channel.h"

#include "base/error.h"
#include "base/intern.h"
#include "base/log.h"

#include <stdio.h>

enum { PUMP_BYTES = 1 << 20 }; /* so much in one go, then the driver looks at the rest of its world */

/* ---- life ---------------------------------------------------------------- */

static void on_beat(struct nxi_timer *t, uint64_t now);

int nxi_channel_new(struct nxi_native *n, struct nxi_peer *peer, struct nxi_channel **ret_ch)
{
    struct nxi_channel *ch = nxi_calloc(1, sizeof *ch);
    if (!ch || nxi_timers_reserve(n->config.timers) < 0) {
        free(ch);
        return nxi_fail(NXC_ENOMEM, "no memory for a link");
    }
    ch->native = n;
    ch->peer = peer;
    ch->beat.fn = on_beat;
    DL_APPEND(n->channels, ch);
    *ret_ch = ch;
    return 0;
}

void nxi_channel_free(struct nxi_channel *ch)
{
    nxi_timer_unset(ch->native->config.timers, &ch->beat);
    nxi_timers_release(ch->native->config.timers);
    if (ch->counted)
        atomic_fetch_sub_explicit(ch->native->config.links, 1, memory_order_relaxed);
    DL_DELETE(ch->native->channels, ch);
    nxi_id_map_free(&ch->begun);
    free(ch);
}

static uint64_t beat_interval(const struct nxi_channel *ch)
{
    return ch->link->keepalive_ms * NXI_MS / 3;
}

void nxi_channel_up(struct nxi_channel *ch, uint64_t now)
{
    char pull_name[48];
    snprintf(pull_name, sizeof pull_name, "%s+pull", ch->link->name);
    ch->up = true;
    ch->counted = true;
    atomic_fetch_add_explicit(ch->native->config.links, 1, memory_order_relaxed);
    ch->name = nxi_intern(ch->link->name, "other");
    ch->pull_name = nxi_intern(pull_name, "other");
    ch->idle_since = now;
    nxi_timer_set(ch->native->config.timers, &ch->beat, nxi_after(now, beat_interval(ch)));
    nxi_log(NXI_LOG_DEBUG, "link up over %s", ch->name);
}

int nxi_channel_add(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now)
{
    int r = nxi_id_map_add(&ch->begun, &x->by_wire, x->wire_id);
    if (r < 0)
        return r;
    x->channel = ch;
    x->on_wire = true;
    atomic_store_explicit(&x->transport, ch->name, memory_order_release);
    if (ch->begun.n == 1) {
        /* Silence counts from here; while idle nobody had to say anything. */
        struct nxi_timers *ts = ch->native->config.timers;
        uint64_t           at = nxi_after(now, beat_interval(ch));
        ch->busy_since = now;
        if (!ch->beat.index || ch->beat.at > at)
            nxi_timer_set(ts, &ch->beat, at);
    }
    return 0;
}

void nxi_channel_remove(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now)
{
    if (!x->on_wire)
        return;
    nxi_id_map_remove(&ch->begun, &x->by_wire);
    x->on_wire = false;
    if (ch->begun.n == 0)
        ch->idle_since = now;
}

/* Ends the link from our side and all that runs on it. */
static void hang_up(struct nxi_channel *ch, const char *text, uint64_t now)
{
    struct nxi_link *l = ch->link;
    /* First the ends, which take back what is lent: close tries to send what is left. */
    nxi_channel_events.down(ch->native, l, NXC_EPEER, text, now);
    l->fabric->ops->close(l);
}

static void on_beat(struct nxi_timer *t, uint64_t now)
{
    struct nxi_channel *ch = (struct nxi_channel *)((char *)t - offsetof(struct nxi_channel, beat));
    struct nxi_timers  *ts = ch->native->config.timers;
    uint64_t            limit = ch->link->keepalive_ms * NXI_MS;
    if (ch->begun.n == 0) {
        uint64_t idle = (ch->link->opened_here ? NXI_IDLE_OPENER_S : NXI_IDLE_ACCEPTOR_S) * NXI_SEC;
        uint64_t at = ch->idle_since + idle;
        if (now >= at)
            hang_up(ch, "idle", now);
        else
            nxi_timer_set(ts, &ch->beat, at);
        return;
    }
    uint64_t heard = ch->link->heard > ch->busy_since ? ch->link->heard : ch->busy_since;
    if (now > heard && now - heard >= limit) {
        hang_up(ch, "the peer fell silent", now);
        return;
    }
    nxi_channel_say(ch, &(struct nxi_msg){ .type = NXI_MSG_BEAT }, now);
    uint64_t at = nxi_after(now, beat_interval(ch));
    nxi_timer_set(ts, &ch->beat, at < heard + limit ? at : heard + limit);
}

/* ---- saying and sending -------------------------------------------------- */

int nxi_channel_send(struct nxi_channel *ch, const struct nxi_msg *m, struct nxi_cursor *payload,
                        uint64_t payload_len, enum nxi_send_mode mode, void *token, uint64_t now)
{
    uint8_t          header[NXI_MSG_BEGIN_LEN];
    struct nxi_frame frame = { header, nxi_msg_encode(m, header), payload, payload_len, token };
    return ch->link->fabric->ops->send(ch->link, &frame, mode, now);
}

void nxi_channel_say(struct nxi_channel *ch, const struct nxi_msg *m, uint64_t now)
{
    /* A failure is the link's: its end follows from the next poll. */
    nxi_channel_send(ch, m, NULL, 0, NXI_SEND_REPLY, NULL, now);
}

void nxi_channel_end_message(struct nxi_channel *ch, uint64_t id, uint16_t reason, int code, uint64_t now)
{
    struct nxi_msg m = { .type = NXI_MSG_END, .id = id, .reason = reason, .code = code };
    nxi_channel_say(ch, &m, now);
}

void nxi_channel_unqueue(struct nxi_channel *ch, struct nxi_xfer *x)
{
    if (x->in_run)
        DL_DELETE(ch->run, x);
    if (x->in_pulls)
        DL_DELETE(ch->pulls, x);
    x->in_run = x->in_pulls = false;
}

void nxi_channel_run(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now)
{
    x->turn_left = ch->native->config.turn_bytes;
    x->in_run = true;
    DL_APPEND(ch->run, x);
    if (ch->run == x && !ch->blocked)
        nxi_channel_pump(ch, now);
}

/* x has had what it may have in one go: the others first. */
static void rotate(struct nxi_channel *ch, struct nxi_xfer *x)
{
    DL_DELETE(ch->run, x);
    DL_APPEND(ch->run, x);
    x->turn_left = ch->native->config.turn_bytes;
}

int nxi_channel_pump(struct nxi_channel *ch, uint64_t now)
{
    int      did = 0;
    uint64_t bytes = 0;
    while (ch->run && !ch->blocked && bytes < PUMP_BYTES) {
        struct nxi_xfer *x = ch->run;
        uint64_t         moved = 0;
        int              r = x->phase == NXI_XFER_STARTING ? nxi_begin_turn(ch, x, now)
                                                           : nxi_source_turn(ch, x, now, &moved);
        if (r == NXC_EAGAIN)
            ch->blocked = true;
        else if (r < 0)
            break;
        else
            did++;
        bytes += moved;
        if (r == 1) {
            nxi_channel_unqueue(ch, x);
        } else if (r == 0) {
            x->turn_left -= moved < x->turn_left ? moved : x->turn_left;
            if (!x->turn_left)
                rotate(ch, x);
        }
    }
    if (ch->pulls) {
        struct nxi_xfer *x = ch->pulls;
        DL_DELETE(ch->pulls, x);
        DL_APPEND(ch->pulls, x);
        nxi_receiver_pull(ch, x, now);
        did++;
    }
    return did;
}

/* ---- the fabric's events --------------------------------------------------- */

static void on_up(void *arg, struct nxi_link *l, uint64_t now)
{
    struct nxi_native  *n = arg;
    struct nxi_channel *ch = l->owner;
    if (!ch) {
        if (nxi_channel_new(n, NULL, &ch) < 0) {
            l->fabric->ops->close(l);
            return;
        }
        ch->link = l;
        l->owner = ch;
    }
    nxi_channel_up(ch, now);
    if (ch->peer)
        nxi_peer_up(ch->peer, now);
}

static int on_header(void *arg, struct nxi_link *l, const uint8_t *header, size_t header_len,
                     uint64_t payload_len, uint64_t now)
{
    (void)arg;
    struct nxi_channel *ch = l->owner;
    struct nxi_msg      m;
    struct nxi_xfer    *x;
    int                 r = nxi_msg_decode(header, header_len, &m);
    if (r < 0)
        return r;
    ch->incoming = NXI_IN_NOTHING;
    ch->incoming_x = NULL;
    ch->incoming_len = payload_len;
    if (m.type == NXI_MSG_BEGIN)
        return nxi_offer_begin(ch, &m, payload_len, now);
    if (payload_len && m.type != NXI_MSG_DATA && m.type != NXI_MSG_OFFER)
        return nxi_fail(NXC_EPEER, "a payload with message type %d", m.type);
    if (m.type == NXI_MSG_BEAT)
        return 0;
    x = nxi_xfer_by_wire(nxi_id_map_find(&ch->begun, m.id));
    if (!x)
        return 0; /* it has ended here; what is still under way is scrap */
    return nxi_xfer_is_source(x) ? nxi_source_message(ch, x, &m, now)
                                 : nxi_receiver_message(ch, x, &m, payload_len, now);
}

static int on_payload(void *arg, struct nxi_link *l, uint64_t now)
{
    (void)arg;
    return nxi_receiver_payload(l->owner, now);
}

static void on_sent(void *arg, struct nxi_link *l, void *token, uint64_t now)
{
    (void)arg;
    struct nxi_channel *ch = l->owner;
    ch->blocked = false;
    nxi_source_sent(ch, token, now);
    nxi_channel_pump(ch, now);
}

static void on_writable(void *arg, struct nxi_link *l, uint64_t now)
{
    (void)arg;
    struct nxi_channel *ch = l->owner;
    ch->blocked = false;
    nxi_channel_pump(ch, now);
}

/* What had begun on a lost link ends; a source that has voted can't know how. */
static void lose_all(struct nxi_channel *ch, int code, const char *text, uint64_t now)
{
    NXI_ID_MAP_EACH (&ch->begun, i, node, next) {
        struct nxi_xfer *x = nxi_xfer_by_wire(node);
        if (x->phase == NXI_XFER_STARTING) {
            nxi_channel_remove(ch, x, now); /* its BEGIN found no room: it has not begun */
            continue;
        }
        char why[160];
        snprintf(why, sizeof why, "%s%s", text,
                 nxi_xfer_voted(x) ? ", before it confirmed: it may have all bytes" : "");
        nxi_xfer_fail(ch->native, x, code, why, now);
    }
}

static void on_down(void *arg, struct nxi_link *l, int code, const char *text, uint64_t now)
{
    (void)arg;
    struct nxi_channel *ch = l->owner;
    struct nxi_peer    *p = ch->peer;
    struct nxi_xfer    *x;
    bool                was_up = ch->up;
    ch->up = false; /* nothing can be said on it any more */
    if (was_up)
        nxi_log(NXI_LOG_INFO, "link over %s ended: %s", ch->name, text);
    lose_all(ch, NXC_EPEER, text, now);
    while (p && (x = ch->run)) { /* not begun: another link will do */
        nxi_channel_unqueue(ch, x);
        x->channel = NULL;
        x->peer = p;
        x->phase = NXI_XFER_CONNECTING;
        DL_APPEND(p->waiting, x);
    }
    if (p)
        p->channel = NULL;
    nxi_channel_free(ch);
    if (p && was_up)
        nxi_peer_unlinked(p, now);
    else if (p)
        nxi_peer_unreached(p, code, text, now);
}

const struct nxi_fabric_events nxi_channel_events = {
    .up = on_up,
    .header = on_header,
    .payload = on_payload,
    .sent = on_sent,
    .writable = on_writable,
    .down = on_down,
};
