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

_Static_assert(NXI_SECRET_LEN == crypto_verify_16_BYTES, "all of the secret is compared");

/* The offer of this key; NULL is all that who does not know the key can learn. crypto_verify_16
 * takes the same time for any key, as sodium_memcmp, and less: it is in the way of each small write. */
static struct nxi_xfer *find(struct nxi_native *n, const struct nxi_key *key, uint64_t now)
{
    struct nxi_id_node *node = nxi_id_map_find(&n->offers, key->op);
    if (!node && n->config.refill) {
        n->config.refill(n->config.arg, now);
        node = nxi_id_map_find(&n->offers, key->op);
    }
    struct nxi_xfer *x = nxi_xfer_by_offer(node);
    return x && crypto_verify_16(x->key.secret, key->secret) == 0 ? x : NULL;
}

/* 0 or why m may not use x. */
static int permit(const struct nxi_xfer *x, const struct nxi_msg *m)
{
    if (!x)
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
    struct nxi_key key = { .op = m->offer };
    memcpy(key.secret, m->secret, sizeof key.secret);
    x = find(n, &key, now);
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

bool nxi_offer_notified(struct nxi_native *n, const struct nxi_key *key, uint64_t now)
{
    static const struct nxi_end complete = { NXC_COMPLETE, 0, 0, "" };
    struct nxi_xfer            *x = find(n, key, now);
    if (!x)
        return false;
    atomic_store_explicit(&x->done, x->total, memory_order_relaxed);
    atomic_store_explicit(&x->transport, n->config.onesided->ops->name, memory_order_release);
    nxi_xfer_end(n, x, &complete, now);
    return true;
}
