/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A packed rkey: u64 map of memory domains, u8 memory type, then for each bit of
 * the map, from the lowest, u8 size and so many bytes. Then, since 1.20 always
 * when the map is not 0, u8 device of the memory (0xff: unknown), and if it is
 * known 3 bytes for each device that has a distance to it, and 0xff.
 */
#include "codec/rkey.h"

#include "base/bytes.h"
#include "base/error.h"

#include <assert.h>

enum {
    HEAD = 8 + 1,
    TAIL_MAX = 256, /* what releases of UCX append is far less */
    MEM_TYPES = 9,  /* host to Level Zero managed, of the newest UCX */
    NO_DEVICE = 0xff,
};

int nxi_rkey_check(const uint8_t *packed, size_t len)
{
    size_t at = HEAD;
    if (len < at)
        return nxi_fail(NXC_EFORMAT, "rkey of %zu bytes, at least %d", len, HEAD);
    if (packed[8] >= MEM_TYPES)
        return nxi_fail(NXC_EFORMAT, "rkey of memory type %u", packed[8]);
    for (uint64_t map = nxi_get64(packed); map; map &= map - 1) {
        if (at >= len || packed[at] > len - at - 1)
            return nxi_fail(NXC_EFORMAT, "rkey is cut off");
        at += 1u + packed[at];
    }
    return len - at <= TAIL_MAX ? 0 : nxi_fail(NXC_EFORMAT, "rkey with %zu bytes too many", len - at);
}

size_t nxi_rkey_strip(const uint8_t *packed, size_t len, uint8_t *ret)
{
    uint64_t map = nxi_get64(packed), kept = map;
    size_t   at = HEAD, end = HEAD;
    ret[8] = packed[8];
    for (; map; map &= map - 1) {
        size_t size = 1u + packed[at];
        assert(at + size <= len);
        if (size > 1) {
            memmove(ret + end, packed + at, size);
            end += size;
        } else {
            kept &= ~(map & -map); /* the lowest bit of map */
        }
        at += size;
    }
    nxi_put64(ret, kept);
    memmove(ret + end, packed + at, len - at);
    end += len - at;
    if (at == len)
        ret[end++] = NO_DEVICE;
    return end;
}

bool nxi_rkey_is_constant(const uint8_t *packed, size_t len)
{
    size_t at = HEAD;
    for (uint64_t map = nxi_get64(packed); map; map &= map - 1, at++) {
        assert(at < len);
        if (packed[at] != 0)
            return false;
    }
    return at == len || (at + 1 == len && packed[at] == NO_DEVICE);
}

void nxi_rkey_pad(const uint8_t *packed, size_t len, uint8_t *ret)
{
    memcpy(ret, packed, len);
    memset(ret + len, NO_DEVICE, NXI_RKEY_PAD);
}
