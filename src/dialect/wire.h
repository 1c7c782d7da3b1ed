/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_DIALECT_WIRE_H
#define NXI_DIALECT_WIRE_H
/*
 * The messages of the native dialect, protocol 1: the header of a fabric's frame.
 * Integers are little-endian. docs/wire.md tells their order.
 *
 *   0  u8   type                      16  u64  total    BEGIN: bytes of the transfer
 *   1  u8   flags                     24  u64  offer    BEGIN: the number in the ticket's key
 *   2  u16  reason  END               32  16 B secret   BEGIN: the key's random bytes
 *   4  i32  code    END: NXC_E code
 *   4  u32  n       BEGIN: descriptors
 *   8  u64  id      the transfer on this link, chosen by who begins it
 */
#include <stddef.h>
#include <stdint.h>

enum nxi_msg_type {
    NXI_MSG_BEGIN = 1, /* opener: uses an offer */
    NXI_MSG_DATA,      /* source: the next bytes, as payload */
    NXI_MSG_OFFER,     /* source: pull it; the payload lists stretches, u64 address and u64 length each */
    NXI_MSG_NO_PULL,   /* receiver: can't, send it */
    NXI_MSG_PULLED,    /* receiver: has read all of it */
    NXI_MSG_VOTE,      /* source: all is sent and nothing was taken back */
    NXI_MSG_DONE,      /* receiver: complete */
    NXI_MSG_END,       /* either: over without completion */
    NXI_MSG_BEAT,      /* either: alive */
};

enum nxi_msg_flag {
    NXI_FLAG_WRITE = 1, /* BEGIN: of a writable; else of a readable */
    NXI_FLAG_VOTE = 2,  /* BEGIN, DATA: the payload ends the transfer and is vouched for */
    NXI_FLAG_OFFER = 4, /* BEGIN of a write: the payload is that of OFFER */
};

enum nxi_end_reason {
    NXI_END_CANCELLED = 1,
    NXI_END_TIMEDOUT,
    NXI_END_GONE,    /* the connector was freed */
    NXI_END_REFUSED, /* code says why; the offer is as before */
    NXI_END_FAILED,  /* code says what failed over there */
};

struct nxi_msg {
    uint8_t  type, flags;
    uint16_t reason;
    int32_t  code;
    uint32_t n;
    uint64_t id, total, offer;
    uint8_t  secret[16];
};

enum { NXI_MSG_LEN = 16, NXI_MSG_BEGIN_LEN = 48, NXI_MSG_BEAT_LEN = 8, NXI_MSG_STRETCH_LEN = 16 };

/* buf has room for NXI_MSG_BEGIN_LEN; returns the length. */
size_t nxi_msg_encode(const struct nxi_msg *m, uint8_t *buf);
/* NXC_EPEER for anything that protocol 1 does not have. */
int nxi_msg_decode(const uint8_t *bytes, size_t len, struct nxi_msg *ret_m);

#endif
