/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entry NXC, the connection info of the backend "NXC" in a blob. Integers
 * are little-endian.
 *
 *   u16  version      the newest protocol that the worker speaks, 1 or more
 *   u16  version_min  and the oldest, from 1 to version
 *   -- what follows is read only by who speaks one of these versions --
 *   16   instance     random, not all zero: which connector this is
 *   16   link key     proved by both sides in the greeting on a link
 *   then addresses until the end, in the worker's order of preference:
 *   u8   tag
 *   u8   length
 *        bytes
 *
 *   tag 1 shm   0 bytes; at most one
 *   tag 2 tcp4  6 bytes, IPv4 address and port in network order
 *   tag 3 tcp6  18 bytes, IPv6 address and port in network order
 *   tag 4 tls   reserved, 32 bytes
 *   tag 5 sim   4 bytes, in tests only
 *
 * A tag that a reader does not know, and a reserved one, is skipped by its
 * length. A known tag with another length, an address that is cut off and more
 * than 16 known addresses make the entry malformed. An entry without any known
 * address is well formed; its worker just can't be reached.
 */
#include "codec/entry.h"

#include "base/bytes.h"
#include "base/error.h"

#include <assert.h>

enum { FIXED = 4 + NXI_INSTANCE_LEN + NXI_LINK_KEY_LEN };

/* The length that a tag demands, -1 for those to be skipped. */
static int addr_len(uint8_t tag)
{
    switch (tag) {
    case NXI_ADDR_SHM:
        return 0;
    case NXI_ADDR_TCP4:
        return 4 + 2;
    case NXI_ADDR_TCP6:
        return 16 + 2;
    case NXI_ADDR_SIM:
        return 4;
    default:
        return -1;
    }
}

size_t nxi_entry_encode(const struct nxi_entry *e, uint8_t *buf)
{
    static_assert(FIXED + NXI_ENTRY_ADDRS * (2 + sizeof e->addrs->bytes) <= NXI_ENTRY_MAX, "every entry fits");
    uint8_t *at = buf + FIXED;
    assert(e->n <= NXI_ENTRY_ADDRS);
    nxi_put16(buf, e->version);
    nxi_put16(buf + 2, e->version_min);
    memcpy(buf + 4, e->instance, NXI_INSTANCE_LEN);
    memcpy(buf + 4 + NXI_INSTANCE_LEN, e->link_key, NXI_LINK_KEY_LEN);
    for (size_t i = 0; i < e->n; i++) {
        const struct nxi_addr *a = &e->addrs[i];
        assert(a->len == addr_len(a->tag));
        *at++ = a->tag;
        *at++ = a->len;
        memcpy(at, a->bytes, a->len);
        at += a->len;
    }
    return (size_t)(at - buf);
}

int nxi_entry_check(const struct nxi_entry *e)
{
    static_assert(NXI_PROTOCOL_MIN == 1 && NXI_PROTOCOL == 1, "the text names the one version that there is");
    if (e->version_min <= NXI_PROTOCOL && e->version >= NXI_PROTOCOL_MIN)
        return 0;
    return nxi_fail(NXC_EVERSION, "the peer speaks protocol %u to %u, this library %d", e->version_min, e->version,
                    NXI_PROTOCOL);
}

/* One address of known tag into e. */
static int add_addr(struct nxi_entry *e, const uint8_t *p, size_t at)
{
    uint8_t tag = p[0], len = p[1];
    if (len != addr_len(tag))
        return nxi_fail(NXC_EFORMAT, "address of tag %u has %u bytes and not %d, at byte %zu of the NXC entry", tag,
                        len, addr_len(tag), at);
    if (e->n == NXI_ENTRY_ADDRS)
        return nxi_fail(NXC_EFORMAT, "more than %d addresses, at byte %zu of the NXC entry", NXI_ENTRY_ADDRS, at);
    for (size_t i = 0; tag == NXI_ADDR_SHM && i < e->n; i++) {
        if (e->addrs[i].tag == NXI_ADDR_SHM)
            return nxi_fail(NXC_EFORMAT, "a second shm address, at byte %zu of the NXC entry", at);
    }
    struct nxi_addr *a = &e->addrs[e->n++];
    a->tag = tag;
    a->len = len;
    memcpy(a->bytes, p + 2, len);
    return 0;
}

int nxi_entry_decode(const uint8_t *bytes, size_t len, struct nxi_entry *ret_e)
{
    static const uint8_t zero[NXI_INSTANCE_LEN];
    struct nxi_entry     e = { 0 };
    if (len < 4)
        return nxi_fail(NXC_EFORMAT, "version is cut off, at byte %zu of the NXC entry", len);
    e.version = nxi_get16(bytes);
    e.version_min = nxi_get16(bytes + 2);
    if (!e.version_min || e.version_min > e.version)
        return nxi_fail(NXC_EFORMAT, "version %u to %u is no range, at byte 0 of the NXC entry", e.version_min,
                        e.version);
    int r = nxi_entry_check(&e);
    if (r < 0) {
        *ret_e = e;
        return r;
    }
    if (len < FIXED)
        return nxi_fail(NXC_EFORMAT, "%s is cut off, at byte %zu of the NXC entry",
                        len < 4 + NXI_INSTANCE_LEN ? "instance" : "link key", len);
    memcpy(e.instance, bytes + 4, NXI_INSTANCE_LEN);
    memcpy(e.link_key, bytes + 4 + NXI_INSTANCE_LEN, NXI_LINK_KEY_LEN);
    if (!memcmp(e.instance, zero, NXI_INSTANCE_LEN))
        return nxi_fail(NXC_EFORMAT, "instance is all zero, at byte 4 of the NXC entry");
    for (size_t at = FIXED; at < len; at += 2u + bytes[at + 1]) {
        if (len - at < 2 || len - at - 2 < bytes[at + 1])
            return nxi_fail(NXC_EFORMAT, "address %zu is cut off, at byte %zu of the NXC entry", e.n, at);
        if (addr_len(bytes[at]) >= 0 && (r = add_addr(&e, bytes + at, at)) < 0)
            return r;
    }
    *ret_e = e;
    return 0;
}
