/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_CODEC_ENTRY_H
#define NXI_CODEC_ENTRY_H
/* The entry "NXC" among a blob's backends: how a native peer finds and greets
 * the worker. Pure bytes; docs/wire.md has the layout. */
#include <stddef.h>
#include <stdint.h>

enum {
    NXI_PROTOCOL = 1,     /* the version that we speak */
    NXI_PROTOCOL_MIN = 1, /* and the oldest */
    NXI_INSTANCE_LEN = 16,
    NXI_LINK_KEY_LEN = 16,
    NXI_ENTRY_ADDRS = 16, /* at most so many addresses in an entry */
    NXI_ENTRY_MAX = 640,  /* bytes of an encoded entry, at most */
};

/* Tags of addresses. A reader skips those that it does not know. */
enum nxi_addr_tag {
    NXI_ADDR_SHM = 1,  /* no bytes: the abstract socket's name follows from the instance */
    NXI_ADDR_TCP4 = 2, /* 4 bytes address, 2 bytes port, both in network order */
    NXI_ADDR_TCP6 = 3, /* 16 bytes address, 2 bytes port */
    NXI_ADDR_TLS = 4,  /* reserved: 32 bytes, SHA-256 of the worker's certificate */
    NXI_ADDR_SIM = 5,  /* tests only: 4 bytes, the node's number */
};

struct nxi_addr {
    uint8_t tag, len;
    uint8_t bytes[18];
};

struct nxi_entry {
    uint16_t        version, version_min;
    uint8_t         instance[NXI_INSTANCE_LEN]; /* random, of one connector: who the peer is */
    uint8_t         link_key[NXI_LINK_KEY_LEN]; /* random, the same in all tickets of a connector */
    size_t          n;
    struct nxi_addr addrs[NXI_ENTRY_ADDRS];
};

/* Returns the length; buf has room for NXI_ENTRY_MAX. */
size_t nxi_entry_encode(const struct nxi_entry *e, uint8_t *buf);
/* NXC_EFORMAT with the field and position; an entry of another version, of which
 * only version and version_min are read and set then, is NXC_EVERSION naming both. */
int nxi_entry_decode(const uint8_t *bytes, size_t len, struct nxi_entry *ret_e);
/* 0, or NXC_EVERSION naming both when its versions and ours have none in common. */
int nxi_entry_check(const struct nxi_entry *e);

#endif
