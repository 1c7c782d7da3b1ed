/* SPDX-License-Identifier: Apache-2.0 */
/* Peers: workers that we open links to, found by their address, never by name.
 * The best fabric that reaches one is taken. */
#include "dialect/channel.h"

#include "base/error.h"
#include "base/log.h"

enum { PEER_KEY_LEN = NXI_INSTANCE_LEN + NXI_LINK_KEY_LEN };
_Static_assert(offsetof(struct nxi_entry, link_key) == offsetof(struct nxi_entry, instance) + NXI_INSTANCE_LEN,
               "a peer's key is both, as one stretch of bytes");

static struct nxi_peer *find(struct nxi_native *n, const struct nxi_entry *e)
{
    struct nxi_peer *p = n->last_peer; /* most often it is the same as before */
    if (!p || memcmp(p->entry.instance, e->instance, PEER_KEY_LEN) != 0)
        HASH_FIND(hh, n->peers, e->instance, PEER_KEY_LEN, p);
    return n->last_peer = p;
}

static struct nxi_peer *make(struct nxi_native *n, const struct nxi_entry *e)
{
    struct nxi_peer *p = nxi_calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->native = n;
    p->entry = *e;
    HASH_ADD_KEYPTR(hh, n->peers, p->entry.instance, PEER_KEY_LEN, p);
    if (!p->hh.tbl) {
        free(p);
        return NULL;
    }
    return p;
}

void nxi_peer_free(struct nxi_peer *p)
{
    HASH_DELETE(hh, p->native->peers, p);
    if (p->native->last_peer == p)
        p->native->last_peer = NULL;
    free(p);
}

/* Ends all that wait, and the peer. */
static void give_up(struct nxi_peer *p, int code, const char *text, uint64_t now)
{
    struct nxi_xfer *x;
    while ((x = p->waiting))
        nxi_xfer_fail(p->native, x, code, text, now);
    nxi_peer_free(p);
}

/* Tries fabrics from p->fabric on. The last one's reason is the text that users get. */
static void try_fabrics(struct nxi_peer *p, int code, const char *text, uint64_t now)
{
    struct nxi_native *n = p->native;
    for (; p->fabric < n->config.n_fabrics; p->fabric++) {
        struct nxi_fabric  *f = n->config.fabrics[p->fabric];
        struct nxi_channel *ch;
        if (n->config.require && f != n->config.require)
            continue;
        int r = nxi_channel_new(n, p, &ch);
        if (r < 0) {
            give_up(p, r, "no memory for a link", now);
            return;
        }
        p->channel = ch;
        r = f->ops->connect(f, &p->entry, ch, now, &ch->link);
        if (r == 0)
            return;
        p->channel = NULL;
        nxi_channel_free(ch);
        if (r != NXC_EUNREACH && r != NXC_ENOTSUP) {
            give_up(p, r, nxc_err_text(r), now);
            return;
        }
    }
    give_up(p, code, text, now);
}

static void try_all(struct nxi_peer *p, const char *text, uint64_t now)
{
    p->fabric = 0;
    p->until = nxi_after(now, p->native->config.connect_ms * NXI_MS);
    try_fabrics(p, NXC_EUNREACH, text, now);
}

/* x goes over ch. It counts as under way from here on, so that a peer that makes no
 * room for its BEGIN is noticed. */
static void board(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now)
{
    int r = nxi_channel_add(ch, x, now);
    if (r < 0) {
        nxi_xfer_fail(ch->native, x, r, "no memory for an operation", now);
        return;
    }
    x->phase = NXI_XFER_STARTING;
    nxi_channel_run(ch, x, now);
}

void nxi_peer_start(struct nxi_native *n, struct nxi_xfer *x, uint64_t now)
{
    struct nxi_peer *p = find(n, x->to);
    bool             fresh = !p;
    if (fresh)
        p = make(n, x->to);
    x->to = NULL; /* the ticket may go */
    if (!p) {
        nxi_xfer_fail(n, x, NXC_ENOMEM, "no memory for a peer", now);
        return;
    }
    x->wire_id = x->id;
    if (p->channel && p->channel->up) {
        board(p->channel, x, now);
        return;
    }
    x->phase = NXI_XFER_CONNECTING;
    x->peer = p;
    DL_APPEND(p->waiting, x);
    if (fresh)
        try_all(p, "the ticket has no address that this worker can use", now);
}

void nxi_peer_up(struct nxi_peer *p, uint64_t now)
{
    struct nxi_channel *ch = p->channel;
    struct nxi_xfer    *x;
    nxi_log(NXI_LOG_DEBUG, "peer reached over %s", ch->name);
    while ((x = p->waiting)) {
        DL_DELETE(p->waiting, x);
        x->peer = NULL;
        board(ch, x, now);
    }
}

void nxi_peer_unreached(struct nxi_peer *p, int code, const char *text, uint64_t now)
{
    if ((code != NXC_EUNREACH && code != NXC_ENOTSUP) || now >= p->until) {
        give_up(p, code == NXC_ENOTSUP ? NXC_EUNREACH : code, text, now);
        return;
    }
    p->fabric++;
    try_fabrics(p, NXC_EUNREACH, text, now);
}

void nxi_peer_unlinked(struct nxi_peer *p, uint64_t now)
{
    if (p->waiting)
        try_all(p, "the peer went away", now);
    else
        nxi_peer_free(p);
}
