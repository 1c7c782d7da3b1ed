/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_BASE_BYTES_H
#define NXI_BASE_BYTES_H
/* Integers in little-endian bytes: every format of ours on the wire uses them. */
#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t nxi_get16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return le16toh(v);
}

static inline uint32_t nxi_get32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return le32toh(v);
}

static inline uint64_t nxi_get64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

static inline void nxi_put16(void *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, sizeof v);
}

static inline void nxi_put32(void *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof v);
}

static inline void nxi_put64(void *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof v);
}

#endif
