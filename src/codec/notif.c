/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/notif.h"

#include "base/error.h"

static void put_notif(struct nxi_serdes_out *w, const struct nxi_notif *n)
{
    nxi_serdes_put(w, NXI_SERDES_MAGIC, sizeof NXI_SERDES_MAGIC - 1);
    nxi_serdes_put_field(w, "name", n->name.ptr, n->name.len);
    nxi_serdes_put_field(w, "msg", n->msg.ptr, n->msg.len);
}

size_t nxi_notif_size(size_t name_len, size_t msg_len)
{
    struct nxi_serdes_out w = { 0 };
    put_notif(&w, &(struct nxi_notif){ { NULL, name_len }, { NULL, msg_len } });
    return w.at;
}

void nxi_notif_encode(const struct nxi_notif *n, uint8_t *ret)
{
    put_notif(&(struct nxi_serdes_out){ .buf = ret }, n);
}

int nxi_notif_decode(const uint8_t *bytes, size_t len, struct nxi_notif *ret_n)
{
    struct nxi_serdes r;
    struct nxi_notif  n;
    int               e;
    if (len > NXI_NOTIF_MAX)
        return nxi_fail(NXC_EFORMAT, "the notification has %zu bytes, at most %d", len, NXI_NOTIF_MAX);
    if ((e = nxi_serdes_open(&r, bytes, len, "the notification")) < 0 ||
        (e = nxi_serdes_take(&r, "name", "name", &n.name)) < 0)
        return e;
    if (!n.name.len)
        return nxi_serdes_bad(&r, "is empty");
    if ((e = nxi_serdes_take(&r, "msg", "msg", &n.msg)) < 0 || (e = nxi_serdes_end(&r)) < 0)
        return e;
    *ret_n = n;
    return 0;
}
