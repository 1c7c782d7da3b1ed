/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/ucx_address.h"

#include "base/bytes.h"
#include "base/error.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

enum {
    VERSION_MASK = 0x0f, /* of the first byte: 0 is v1, 1 is v2 */
    HAS_NAME = 1 << 0,
    HAS_UUID = 1 << 1,
    HAS_CLIENT_ID = 1 << 2,

    NO_DEVICES = 0xff,
    DOMAIN_MASK = 0x7f, /* the other bit: no transports follow */
    DEVICE_LAST = 0x80, /* in the length of a device address */
    DEVICE_HAS_PATHS = 0x40,
    DEVICE_HAS_NUMBER = 0x20,
    DEVICE_LEN_MASK = 0x1f,
    TRANSPORT_LAST = 0x80, /* in the length of a transport's address */
    TRANSPORT_HAS_EP = 0x40,
    TRANSPORT_LEN_MASK = 0x3f,

    ATTRS_V1 = 16, /* bytes that tell how fast a transport is and what it can do */
    ATTRS_V2 = 8,

    /* UCX counts devices, transports and memory domains in tables of these sizes. */
    DEVICES_MAX = 128,
    TRANSPORTS_MAX = 128,
    DOMAINS_MAX = 64,
    RELEASE_MASK = 0x0f,  /* of the domain of an empty last device in v1 */
    LEGACY_RELEASE = 0x2, /* of 1.18 */
};

/*
 * UCX names a transport by the checksum of its name (CRC-16/X-25). An address of
 * no bytes is NULL to it, which a transport that makes one does not expect.
 */
static const struct {
    uint16_t name;
    bool     device, interface; /* it has an address of this kind */
} transports[] = {
    { 0x7563, false, true }, /* self */
    { 0x19cf, true, true },  /* tcp */
    { 0x538d, true, true },  /* sysv */
    { 0xd3a7, true, true },  /* posix */
    { 0x83dd, true, true },  /* xpmem */
    { 0x8b47, true, true },  /* cma */
    { 0x1377, true, false }, /* knem */
    { 0x8a27, true, false }, /* rc_verbs */
    { 0xd47a, true, true },  /* rc_mlx5 */
    { 0x397e, true, true },  /* dc_mlx5 */
    { 0xd131, true, true },  /* ud_verbs */
    { 0x0fb3, true, true },  /* ud_mlx5 */
    { 0x4f26, true, true },  /* srd */
    { 0xd94a, true, true },  /* gga_mlx5 */
    { 0x18ba, true, true },  /* rc_gda */
    { 0xd374, false, true }, /* cuda_copy */
    { 0x5942, true, true },  /* cuda_ipc */
    { 0x3867, false, true }, /* gdr_copy */
    { 0xea5a, false, true }, /* rocm_copy */
    { 0xb4fa, true, true },  /* rocm_ipc */
    { 0x15e2, false, true }, /* ze_copy */
};

struct walk {
    const uint8_t *bytes;
    size_t         len, at;
    bool           v2;
    size_t         n_devices, n_transports; /* also which one we are in: 1 is the first */
    size_t         device_len;
    unsigned       domain_max; /* of the devices with transports */
    unsigned       release;    /* four bits of it; 0 also if it is not there */
};

__attribute__((format(printf, 2, 3))) static int bad(const struct walk *w, const char *format, ...)
{
    char    where[48] = "", problem[64];
    va_list args;
    va_start(args, format);
    vsnprintf(problem, sizeof problem, format, args);
    va_end(args);
    if (w->n_devices)
        snprintf(where, sizeof where, "device %zu, transport %zu: ", w->n_devices, w->n_transports);
    return nxi_fail(NXC_EFORMAT, "worker address, %s%s at its byte %zu", where, problem, w->at);
}

static int take(struct walk *w, size_t n, const char *field, const uint8_t **ret)
{
    if (n > w->len - w->at)
        return bad(w, "%s is cut off", field);
    *ret = w->bytes + w->at;
    w->at += n;
    return 0;
}

/* A byte with flags in its upper bits. In v2 a value of all ones stands in a byte of its own after it. */
static int take_packed(struct walk *w, unsigned mask, const char *field, unsigned *ret_flags, unsigned *ret_value)
{
    const uint8_t *p = NULL;
    int            e = take(w, 1, field, &p);
    if (e < 0)
        return e;
    *ret_flags = *p & ~mask;
    *ret_value = *p & mask;
    if (!w->v2 || *ret_value != mask)
        return 0;
    if ((e = take(w, 1, field, &p)) < 0)
        return e;
    *ret_value = *p;
    return 0;
}

static int walk_header(struct walk *w)
{
    const uint8_t *p = NULL;
    int            e = take(w, 1, "version", &p);
    if (e < 0)
        return e;
    if ((*p & VERSION_MASK) > 1)
        return nxi_fail(NXC_EFORMAT, "is a worker address of version nibble %u", *p & VERSION_MASK);
    w->v2 = *p & VERSION_MASK;
    unsigned flags = *p >> 4;
    if (w->v2) {
        if ((e = take(w, 1, "flags", &p)) < 0)
            return e;
        flags = *p;
    }
    /* Without it UCX would take all such workers for one. Releases before 1.12
     * have it in v1 without saying so. */
    if (!(flags & HAS_UUID))
        return bad(w, "there is no worker's number");
    if ((e = take(w, 8, "worker's number", &p)) < 0)
        return e;
    if (flags & HAS_CLIENT_ID && (e = take(w, 8, "client's number", &p)) < 0)
        return e;
    if (flags & HAS_NAME && ((e = take(w, 1, "name", &p)) < 0 || (e = take(w, *p, "name", &p)) < 0))
        return e;
    return 0;
}

/* UCX weighs transports by these and ends the process if the sum is no number,
 * or if messages are not even as long as its own headers. v1: overhead, bandwidth,
 * latency as float, u32 priority and abilities. v2: the same three in a byte each,
 * whose lower half is an exponent, u8 priority, u16 longest message, u16 abilities. */
static int check_attrs(const struct walk *w, const uint8_t *attrs)
{
    enum { NO_NUMBER = 0x0f, MESSAGES = 1 << 1, MESSAGE_UNIT = 64, MESSAGE_LEAST = 512 };
    for (size_t i = 0; i < 3; i++) {
        float value = 0;
        if (!w->v2)
            memcpy(&value, &(uint32_t){ nxi_get32(attrs + 4 * i) }, sizeof value);
        if (w->v2 ? (attrs[i] & NO_NUMBER) == NO_NUMBER : !(value >= 0 && value < INFINITY))
            return bad(w, "attribute %zu is no number", i);
    }
    if (w->v2 && nxi_get16(attrs + 6) & MESSAGES && nxi_get16(attrs + 4) * MESSAGE_UNIT < MESSAGE_LEAST)
        return bad(w, "messages of %d bytes", nxi_get16(attrs + 4) * MESSAGE_UNIT);
    return 0;
}

static int check_needs(const struct walk *w, uint16_t name, unsigned len)
{
    for (size_t i = 0; i < sizeof transports / sizeof *transports; i++) {
        if (transports[i].name != name)
            continue;
        if (transports[i].device && !w->device_len)
            return bad(w, "has no device address");
        if (transports[i].interface && !len)
            return bad(w, "has no address");
    }
    return 0;
}

static int walk_transport(struct walk *w, bool *ret_last)
{
    const uint8_t *name = NULL, *attrs = NULL, *p;
    unsigned       flags, len;
    int            e;
    if (++w->n_transports > TRANSPORTS_MAX)
        return bad(w, "at most %d transports", TRANSPORTS_MAX);
    if ((e = take(w, 2, "name", &name)) < 0 || (e = take(w, w->v2 ? ATTRS_V2 : ATTRS_V1, "attributes", &attrs)) < 0 ||
        (e = check_attrs(w, attrs)) < 0 ||
        (e = take_packed(w, TRANSPORT_LEN_MASK, "length", &flags, &len)) < 0 ||
        (e = take(w, len, "address", &p)) < 0)
        return e;
    /* Workers tell these to each other while they connect, never to others before. */
    if (flags & TRANSPORT_HAS_EP)
        return bad(w, "has endpoints");
    *ret_last = flags & TRANSPORT_LAST;
    return check_needs(w, nxi_get16(name), len);
}

static int walk_device(struct walk *w, bool *ret_last)
{
    const uint8_t *p = NULL;
    unsigned       empty, domain, flags, len;
    int            e;
    if (++w->n_devices > DEVICES_MAX)
        return bad(w, "at most %d devices", DEVICES_MAX);
    if ((e = take_packed(w, DOMAIN_MASK, "memory domain", &empty, &domain)) < 0 ||
        (e = take_packed(w, DEVICE_LEN_MASK, "device length", &flags, &len)) < 0 ||
        (e = take(w, !!(flags & DEVICE_HAS_PATHS), "number of paths", &p)) < 0 ||
        (e = take(w, !!(flags & DEVICE_HAS_NUMBER), "device number", &p)) < 0 ||
        (e = take(w, len, "device address", &p)) < 0)
        return e;
    w->device_len = len;
    *ret_last = flags & DEVICE_LAST;
    if (!empty && domain > w->domain_max)
        w->domain_max = domain;
    if (empty && *ret_last && !w->v2)
        w->release = domain & RELEASE_MASK;
    for (bool last = empty; e == 0 && !last;)
        e = walk_transport(w, &last);
    return e;
}

/* UCX has tables by memory domain. In v1 two bits of the domain were flags until
 * 1.18, which later releases mask if the address is that old: it has no release
 * (before 1.16), or one of 16, 17, 18. */
static int check_domains(const struct walk *w)
{
    bool flags = !w->v2 && w->release <= LEGACY_RELEASE;
    return flags || w->domain_max < DOMAINS_MAX ? 0 : bad(w, "memory domain %u", w->domain_max);
}

int nxi_ucx_address_check(const uint8_t *bytes, size_t len)
{
    struct walk w = { .bytes = bytes, .len = len };
    int         e;
    if (!len)
        return nxi_fail(NXC_EFORMAT, "is empty");
    if (len > NXI_UCX_ADDRESS_MAX)
        return nxi_fail(NXC_EFORMAT, "has %zu bytes, at most %d", len, NXI_UCX_ADDRESS_MAX);
    if ((e = walk_header(&w)) < 0)
        return e;
    if (w.at < len && bytes[w.at] == NO_DEVICES) /* a worker that nobody can reach */
        w.at++;
    else
        for (bool last = false; e == 0 && !last;)
            e = walk_device(&w, &last);
    if (e < 0)
        return e;
    if (w.at < len)
        return bad(&w, "%zu bytes too many", len - w.at);
    return check_domains(&w);
}

void nxi_ucx_address_pad(const uint8_t *bytes, size_t len, uint8_t *ret)
{
    memcpy(ret, bytes, len);
    memset(ret + len, 0, NXI_UCX_ADDRESS_PAD);
}
