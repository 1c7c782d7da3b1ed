/* SPDX-License-Identifier: Apache-2.0 */
/* The side that gets the bytes. It decides: COMPLETE when it has every byte and
 * the source's vote. */
#include "dialect/channel.h"

#include "base/bytes.h"
#include "base/error.h"

enum { PULL_BYTES = 1 << 20 }; /* in one call: a pull can't be interrupted */

static uint64_t got(const struct nxi_xfer *x)
{
    return atomic_load_explicit(&x->done, memory_order_relaxed);
}

static void complete(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now)
{
    static const struct nxi_end end = { NXC_COMPLETE, 0, 0, "" };
    nxi_channel_say(ch, &(struct nxi_msg){ .type = NXI_MSG_DONE, .id = x->wire_id }, now);
    nxi_xfer_end(ch->native, x, &end, now);
}

void nxi_receiver_expect(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t payload_len, bool vote)
{
    ch->incoming = NXI_IN_DATA;
    ch->incoming_x = x;
    ch->incoming_len = payload_len;
    ch->incoming_vote = vote;
    ch->link->sink = x->cursor;
}

int nxi_receiver_expect_stretches(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t payload_len)
{
    if (!ch->link->can_pull || payload_len > sizeof ch->stretches || payload_len % NXI_MSG_STRETCH_LEN)
        return nxi_fail(NXC_EPEER, "a list of %llu bytes to pull", (unsigned long long)payload_len);
    ch->incoming = NXI_IN_STRETCHES;
    ch->incoming_x = x;
    ch->incoming_len = payload_len;
    ch->stretches_desc = nxc_desc_host(ch->stretches, payload_len);
    ch->link->sink = nxi_cursor_at(&ch->stretches_desc, 1);
    return 0;
}

int nxi_receiver_message(struct nxi_channel *ch, struct nxi_xfer *x, const struct nxi_msg *m,
                         uint64_t payload_len, uint64_t now)
{
    bool receiving = x->phase == NXI_XFER_RECEIVING;
    switch (m->type) {
    case NXI_MSG_END:
        nxi_xfer_end_as_told(ch->native, x, m, now);
        return 0;
    case NXI_MSG_DATA:
        if (!receiving || payload_len > x->total - got(x))
            break;
        nxi_receiver_expect(ch, x, payload_len, m->flags & NXI_FLAG_VOTE);
        return payload_len ? 0 : nxi_receiver_payload(ch, now);
    case NXI_MSG_OFFER:
        if (!receiving || got(x) || x->no_pull || !payload_len)
            break;
        return nxi_receiver_expect_stretches(ch, x, payload_len);
    case NXI_MSG_VOTE:
        if (x->phase != NXI_XFER_AWAIT_VOTE && !(receiving && got(x) == x->total))
            break;
        complete(ch, x, now);
        return 0;
    }
    return nxi_fail(NXC_EPEER, "message type %d to a receiver in phase %d", m->type, x->phase);
}

static int data_arrived(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now)
{
    x->cursor = ch->link->sink; /* the fabric has moved it */
    atomic_store_explicit(&x->done, got(x) + ch->incoming_len, memory_order_relaxed);
    if (!ch->incoming_vote)
        return 0;
    if (got(x) != x->total)
        return nxi_fail(NXC_EPEER, "a vote before the last byte");
    complete(ch, x, now);
    return 0;
}

/* The list of what to pull is here. It is checked in full before it is used: the
 * sum is what the transfer needs, so no pull can write beyond our memory. */
static int stretches_arrived(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now)
{
    size_t   n = ch->incoming_len / NXI_MSG_STRETCH_LEN;
    uint64_t sum = 0;
    x->pull_iov = nxi_calloc(n, sizeof *x->pull_iov);
    if (!x->pull_iov) {
        nxi_xfer_fail(ch->native, x, NXC_ENOMEM, "no memory for an operation", now);
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t addr = nxi_get64(ch->stretches + i * NXI_MSG_STRETCH_LEN);
        uint64_t len = nxi_get64(ch->stretches + i * NXI_MSG_STRETCH_LEN + 8);
        if (!len || len > x->total - sum || addr > UINTPTR_MAX - len)
            return nxi_fail(NXC_EPEER, "a bad stretch to pull");
        x->pull_iov[i] = (struct iovec){ (void *)(uintptr_t)addr, len };
        sum += len;
    }
    if (sum != x->total)
        return nxi_fail(NXC_EPEER, "stretches to pull of the wrong sum");
    x->pull_n = n;
    x->pull_at = 0;
    x->phase = NXI_XFER_PULLING;
    x->in_pulls = true;
    atomic_store_explicit(&x->transport, ch->pull_name, memory_order_release);
    DL_APPEND(ch->pulls, x);
    return 0;
}

int nxi_receiver_payload(struct nxi_channel *ch, uint64_t now)
{
    struct nxi_xfer  *x = ch->incoming_x;
    enum nxi_incoming what = ch->incoming;
    ch->incoming = NXI_IN_NOTHING;
    ch->incoming_x = NULL;
    if (!x)
        return 0; /* ended in mid-way: what came was scrap */
    return what == NXI_IN_DATA ? data_arrived(ch, x, now) : stretches_arrived(ch, x, now);
}

/* Takes n bytes off the front of what is still to be pulled. */
static void pulled(struct nxi_xfer *x, uint64_t n)
{
    atomic_store_explicit(&x->done, got(x) + n, memory_order_relaxed);
    while (n) {
        struct iovec *v = &x->pull_iov[x->pull_at];
        uint64_t      part = n < v->iov_len ? n : v->iov_len;
        v->iov_base = (char *)v->iov_base + part;
        v->iov_len -= part;
        n -= part;
        x->pull_at += v->iov_len == 0;
    }
}

/* Some memory can't be read from outside its process; the source can still copy it. */
static void decline(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now)
{
    nxi_channel_unqueue(ch, x);
    free(x->pull_iov);
    x->pull_iov = NULL;
    x->no_pull = true;
    x->cursor = nxi_cursor_at(x->descs, x->n);
    atomic_store_explicit(&x->done, 0, memory_order_relaxed);
    atomic_store_explicit(&x->transport, ch->name, memory_order_release);
    x->phase = NXI_XFER_RECEIVING;
    nxi_channel_say(ch, &(struct nxi_msg){ .type = NXI_MSG_NO_PULL, .id = x->wire_id }, now);
}

void nxi_receiver_pull(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now)
{
    struct iovec part[NXI_PULL_IOV];
    uint64_t     sum = 0;
    size_t       n = 0;
    for (size_t i = x->pull_at; i < x->pull_n && n < NXI_PULL_IOV && sum < PULL_BYTES; i++) {
        part[n] = x->pull_iov[i];
        if (part[n].iov_len > PULL_BYTES - sum)
            part[n].iov_len = PULL_BYTES - sum;
        sum += part[n++].iov_len;
    }
    int64_t r = ch->link->fabric->ops->pull(ch->link, part, n, &x->cursor);
    if (r < 0 || (r == 0 && sum)) {
        decline(ch, x, now);
        return;
    }
    pulled(x, (uint64_t)r);
    if (got(x) < x->total)
        return;
    nxi_channel_unqueue(ch, x);
    x->phase = NXI_XFER_AWAIT_VOTE;
    nxi_channel_say(ch, &(struct nxi_msg){ .type = NXI_MSG_PULLED, .id = x->wire_id }, now);
}
