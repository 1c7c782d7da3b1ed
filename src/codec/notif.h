/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_CODEC_NOTIF_H
#define NXI_CODEC_NOTIF_H
/* NIXL's notification, the payload of an active message: who sends it, which is
 * a claim and not a proof, and what. Format: docs/wire.md. */
#include "codec/serdes.h"

enum { NXI_NOTIF_MAX = 64 << 10 }; /* bytes of a payload, at most */

/* Spans into the payload. */
struct nxi_notif {
    struct nxi_span name; /* of an agent, any bytes but at least one */
    struct nxi_span msg;  /* any bytes, also none */
};

/* The length that a payload gets, and the payload itself into so many bytes. */
size_t nxi_notif_size(size_t name_len, size_t msg_len);
void   nxi_notif_encode(const struct nxi_notif *n, uint8_t *ret);

/* NXC_EFORMAT with field and position for what NIXL does not write. */
int nxi_notif_decode(const uint8_t *bytes, size_t len, struct nxi_notif *ret_n);

#endif
