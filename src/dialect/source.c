/* SPDX-License-Identifier: Apache-2.0 */
/* The side that has the bytes: begins or was begun, sends or lets pull, votes,
 * and waits for the receiver's decision. */
#include "dialect/channel.h"

#include "base/bytes.h"
#include "base/error.h"

/* So many bytes go ahead of the others where a passive source's would be the first that go
 * over an idle TCP link: the kernel takes a large piece twice as fast behind a small one,
 * as BEGIN is one for an active source (docs/benchmarks.md). */
enum { FIRST_PIECE = 4096 };

static void moved(struct nxi_xfer *x, uint64_t bytes)
{
    uint64_t done = atomic_load_explicit(&x->done, memory_order_relaxed);
    atomic_store_explicit(&x->done, done + bytes, memory_order_relaxed);
}

/* Is x better pulled by the peer than sent? Fills the list of stretches. */
static bool list_stretches(const struct nxi_channel *ch, const struct nxi_xfer *x, uint8_t *list, size_t *ret_len)
{
    const struct nxi_link *l = ch->link;
    struct iovec           iov[NXI_PULL_IOV];
    uint64_t               covered;
    if (!l->peer_can_pull || x->no_pull || x->total < l->pull_min || x->total > l->pull_max)
        return false;
    size_t n = nxi_cursor_iov(&x->cursor, x->total, iov, NXI_PULL_IOV, &covered);
    if (covered != x->total)
        return false; /* more pieces than a list holds */
    for (size_t i = 0; i < n; i++) {
        nxi_put64(list + i * NXI_MSG_STRETCH_LEN, (uintptr_t)iov[i].iov_base);
        nxi_put64(list + i * NXI_MSG_STRETCH_LEN + 8, iov[i].iov_len);
    }
    *ret_len = n * NXI_MSG_STRETCH_LEN;
    return true;
}

/* Sends m with the list of stretches; the peer pulls from here on. */
static int offer_pull(struct nxi_channel *ch, struct nxi_xfer *x, const struct nxi_msg *m, uint8_t *list,
                      size_t len, uint64_t now)
{
    struct nxc_desc   desc = nxc_desc_host(list, len);
    struct nxi_cursor cursor = nxi_cursor_at(&desc, 1);
    int               r = nxi_channel_send(ch, m, &cursor, len, NXI_SEND_WHOLE, NULL, now);
    if (r < 0)
        return r;
    x->phase = NXI_XFER_PULLED;
    atomic_store_explicit(&x->transport, ch->pull_name, memory_order_release);
    return 1;
}

/* Small enough for one frame: bytes and vote in one message. */
static int send_whole(struct nxi_channel *ch, struct nxi_xfer *x, struct nxi_msg *m, uint64_t now)
{
    m->flags |= NXI_FLAG_VOTE;
    int r = nxi_channel_send(ch, m, &x->cursor, x->total, NXI_SEND_WHOLE, NULL, now);
    if (r < 0)
        return r;
    moved(x, x->total);
    x->phase = NXI_XFER_VOTED;
    return 1;
}

int nxi_source_first(struct nxi_channel *ch, struct nxi_xfer *x, struct nxi_msg *m, uint64_t now)
{
    uint8_t list[NXI_PULL_IOV * NXI_MSG_STRETCH_LEN];
    size_t  len;
    if (x->total <= ch->link->eager_max)
        return send_whole(ch, x, m, now);
    if (!list_stretches(ch, x, list, &len))
        return 0;
    if (m->type == NXI_MSG_BEGIN)
        m->flags |= NXI_FLAG_OFFER;
    else
        m->type = NXI_MSG_OFFER;
    return offer_pull(ch, x, m, list, len, now);
}

static uint64_t left(const struct nxi_xfer *x)
{
    return x->total - atomic_load_explicit(&x->done, memory_order_relaxed);
}

static int vote(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now)
{
    nxi_channel_say(ch, &(struct nxi_msg){ .type = NXI_MSG_VOTE, .id = x->wire_id }, now);
    x->phase = NXI_XFER_VOTED;
    return 1;
}

/* The next piece. On a link that copies, the last one takes the vote along: it is
 * in the ring before its header is seen. Elsewhere the vote goes out as a message
 * of its own, behind the last byte. */
static int send_piece(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now, uint64_t *ret_moved)
{
    uint64_t len = left(x), most = ch->link->piece_max;
    if (len == x->total && !x->active && !ch->link->copies && most > FIRST_PIECE)
        most = FIRST_PIECE;
    if (len > most)
        len = most;
    bool           last = len == left(x);
    struct nxi_msg m = { .type = NXI_MSG_DATA, .id = x->wire_id };
    if (last && ch->link->copies)
        m.flags = NXI_FLAG_VOTE;
    x->lent_len = len;
    int r = nxi_channel_send(ch, &m, &x->cursor, len, NXI_SEND_LEND, x, now);
    if (r < 0)
        return r;
    *ret_moved = len;
    if (r == 0) {
        x->lent = true;
        ch->blocked = true; /* until sent */
        return 0;
    }
    moved(x, len);
    if (!last)
        return 0;
    if (!ch->link->copies)
        return vote(ch, x, now);
    x->phase = NXI_XFER_VOTED;
    return 1;
}

int nxi_source_turn(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now, uint64_t *ret_moved)
{
    if (x->lent)
        return NXC_EAGAIN;
    if (!x->streams) { /* a passive source, or one whose pull the peer declined */
        struct nxi_msg m = { .type = NXI_MSG_DATA, .id = x->wire_id };
        int            r = nxi_source_first(ch, x, &m, now);
        if (r != 0)
            return r;
        x->streams = true;
    }
    return send_piece(ch, x, now, ret_moved);
}

void nxi_source_sent(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now)
{
    x->lent = false;
    moved(x, x->lent_len);
    if (left(x) == 0) {
        nxi_channel_unqueue(ch, x);
        vote(ch, x, now);
    }
}

int nxi_source_message(struct nxi_channel *ch, struct nxi_xfer *x, const struct nxi_msg *m, uint64_t now)
{
    static const struct nxi_end complete = { NXC_COMPLETE, 0, 0, "" };
    switch (m->type) {
    case NXI_MSG_END:
        nxi_xfer_end_as_told(ch->native, x, m, now);
        return 0;
    case NXI_MSG_DONE:
        if (x->phase != NXI_XFER_VOTED)
            break;
        nxi_xfer_end(ch->native, x, &complete, now);
        return 0;
    case NXI_MSG_PULLED:
        if (x->phase != NXI_XFER_PULLED)
            break;
        moved(x, x->total);
        vote(ch, x, now);
        return 0;
    case NXI_MSG_NO_PULL:
        if (x->phase != NXI_XFER_PULLED)
            break;
        x->no_pull = true;
        x->phase = NXI_XFER_SENDING;
        atomic_store_explicit(&x->transport, ch->name, memory_order_release);
        nxi_channel_run(ch, x, now);
        return 0;
    }
    return nxi_fail(NXC_EPEER, "message type %d to a source in phase %d", m->type, x->phase);
}
