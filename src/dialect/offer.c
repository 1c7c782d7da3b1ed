/* SPDX-License-Identifier: Apache-2.0 */
/* Offers that nobody has begun, and what happens when somebody does. */
#include "dialect/channel.h"

#include "base/error.h"

#include <sodium.h>

int nxi_offer_add(struct nxi_native *n, struct nxi_xfer *x)
{
    int r = nxi_id_map_add(&n->offers, &x->by_offer, x->id);
    if (r < 0)
        return r;
    x->phase = NXI_XFER_OFFERED;
    return 0;
}

void nxi_offer_remove(struct nxi_native *n, struct nxi_xfer *x)
{
    nxi_id_map_remove(&n->offers, &x->by_offer);
}

static struct nxi_xfer *find(struct nxi_native *n, const struct nxi_msg *m, uint64_t now)
{
    struct nxi_id_node *node = nxi_id_map_find(&n->offers, m->offer);
    if (!node && n->config.refill) {
        n->config.refill(n->config.arg, now);
        node = nxi_id_map_find(&n->offers, m->offer);
    }
    return nxi_xfer_by_offer(node);
}

_Static_assert(sizeof((struct nxi_msg *)0)->secret == crypto_verify_16_BYTES, "all of the secret is compared");

/* 0 or why m may not use x. Nothing of x is told to who does not know the key. crypto_verify_16
 * takes the same time for any key, as sodium_memcmp, and less: it is in the way of each small write. */
static int permit(const struct nxi_xfer *x, const struct nxi_msg *m)
{
    if (!x || crypto_verify_16(x->key.secret, m->secret) != 0)
        return NXC_EACCESS;
    if (x->kind != (m->flags & NXI_FLAG_WRITE ? NXC_WRITE : NXC_READ))
        return NXC_EKIND;
    return x->n == m->n && x->total == m->total ? 0 : NXC_ESIZE;
}

/* What may come with a BEGIN: all of a small write, with the vote; a list of
 * stretches to pull for a write; else nothing. */
static bool well_formed(const struct nxi_channel *ch, const struct nxi_msg *m, uint64_t payload_len)
{
    bool write = m->flags & NXI_FLAG_WRITE, vote = m->flags & NXI_FLAG_VOTE, offer = m->flags & NXI_FLAG_OFFER;
    if (!ch->link || ch->link->opened_here || (vote && offer))
        return false;
    if (vote)
        return write && payload_len == m->total;
    if (offer)
        return write && payload_len != 0;
    return payload_len == 0;
}

int nxi_offer_begin(struct nxi_channel *ch, const struct nxi_msg *m, uint64_t payload_len, uint64_t now)
{
    struct nxi_native *n = ch->native;
    struct nxi_xfer   *x;
    if (!well_formed(ch, m, payload_len))
        return nxi_fail(NXC_EPEER, "a malformed BEGIN");
    if (nxi_id_map_find(&ch->begun, m->id))
        return nxi_fail(NXC_EPEER, "a second BEGIN with one id");
    x = find(n, m, now);
    int r = permit(x, m);
    if (r == 0) {
        x->wire_id = m->id;
        r = nxi_channel_add(ch, x, now);
    }
    if (r < 0) {
        nxi_channel_end_message(ch, m->id, NXI_END_REFUSED, r, now);
        return 0;
    }
    nxi_offer_remove(n, x);
    n->config.begun(n->config.arg, x);
    if (nxi_xfer_is_source(x)) {
        x->phase = NXI_XFER_SENDING;
        nxi_channel_run(ch, x, now);
        return 0;
    }
    x->phase = NXI_XFER_RECEIVING;
    if (m->flags & NXI_FLAG_OFFER)
        return nxi_receiver_expect_stretches(ch, x, payload_len);
    if (m->flags & NXI_FLAG_VOTE)
        nxi_receiver_expect(ch, x, payload_len, true);
    if (m->flags & NXI_FLAG_VOTE && !payload_len)
        return nxi_receiver_payload(ch, now);
    return 0;
}
