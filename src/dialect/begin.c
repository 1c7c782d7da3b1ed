/* SPDX-License-Identifier: Apache-2.0 */
/* How an active transfer makes itself known to the peer. offer.c is the other end. */
#include "dialect/channel.h"

#include "base/error.h"

int nxi_begin_turn(struct nxi_channel *ch, struct nxi_xfer *x, uint64_t now)
{
    struct nxi_msg m = { .type = NXI_MSG_BEGIN, .id = x->wire_id, .n = (uint32_t)x->n, .total = x->total,
                         .offer = x->key.op };
    memcpy(m.secret, x->key.secret, sizeof m.secret);
    int r;
    if (x->kind == NXC_WRITE) {
        m.flags = NXI_FLAG_WRITE;
        r = nxi_source_first(ch, x, &m, now);
        if (r != 0)
            return r;
    }
    r = nxi_channel_send(ch, &m, NULL, 0, NXI_SEND_WHOLE, NULL, now);
    if (r < 0)
        return r;
    x->streams = x->kind == NXC_WRITE;
    x->phase = x->streams ? NXI_XFER_SENDING : NXI_XFER_RECEIVING;
    return x->streams ? 0 : 1;
}
