/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/wire.h"

#include "base/bytes.h"
#include "base/error.h"

size_t nxi_msg_encode(const struct nxi_msg *m, uint8_t *buf)
{
    buf[0] = m->type;
    buf[1] = m->flags;
    nxi_put16(buf + 2, m->reason);
    nxi_put32(buf + 4, m->type == NXI_MSG_BEGIN ? m->n : (uint32_t)m->code);
    if (m->type == NXI_MSG_BEAT)
        return NXI_MSG_BEAT_LEN;
    nxi_put64(buf + 8, m->id);
    if (m->type != NXI_MSG_BEGIN)
        return NXI_MSG_LEN;
    nxi_put64(buf + 16, m->total);
    nxi_put64(buf + 24, m->offer);
    memcpy(buf + 32, m->secret, sizeof m->secret);
    return NXI_MSG_BEGIN_LEN;
}

static size_t length_of(uint8_t type)
{
    if (type == NXI_MSG_BEGIN)
        return NXI_MSG_BEGIN_LEN;
    if (type == NXI_MSG_BEAT)
        return NXI_MSG_BEAT_LEN;
    return type > NXI_MSG_BEGIN && type < NXI_MSG_BEAT ? NXI_MSG_LEN : 0;
}

static uint8_t flags_of(uint8_t type)
{
    if (type == NXI_MSG_BEGIN)
        return NXI_FLAG_WRITE | NXI_FLAG_VOTE | NXI_FLAG_OFFER;
    return type == NXI_MSG_DATA ? NXI_FLAG_VOTE : 0;
}

int nxi_msg_decode(const uint8_t *bytes, size_t len, struct nxi_msg *ret_m)
{
    if (!len || len != length_of(bytes[0]))
        return nxi_fail(NXC_EPEER, "a message of type %d and %zu bytes", len ? bytes[0] : 0, len);
    struct nxi_msg m = { .type = bytes[0], .flags = bytes[1], .reason = nxi_get16(bytes + 2) };
    if (m.flags & ~flags_of(m.type))
        return nxi_fail(NXC_EPEER, "unknown flags 0x%x in message type %d", m.flags, m.type);
    if (m.type == NXI_MSG_BEGIN) {
        m.n = nxi_get32(bytes + 4);
        m.total = nxi_get64(bytes + 16);
        m.offer = nxi_get64(bytes + 24);
        memcpy(m.secret, bytes + 32, sizeof m.secret);
    } else {
        m.code = (int32_t)nxi_get32(bytes + 4);
    }
    if (m.type != NXI_MSG_BEAT)
        m.id = nxi_get64(bytes + 8);
    *ret_m = m;
    return 0;
}
