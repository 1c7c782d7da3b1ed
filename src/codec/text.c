/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/text.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The first name of a device is the one that is printed. */
static const struct {
    const char *name;
    uint32_t    device;
} devices[] = {
    { "cpu", NXC_HOST }, { "host", NXC_HOST }, { "cuda", NXC_CUDA }, { "gpu", NXC_CUDA }, { "xpu", NXC_XPU },
};

int nxi_u64_parse(const char *text, size_t len, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (len && text[0] == '-')
        return nxi_fail(NXC_EFORMAT, "is negative");
    if (!len || (len > 1 && text[0] == '0'))
        return nxi_fail(NXC_EFORMAT, "is not a whole number");
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return nxi_fail(NXC_EFORMAT, "is not a whole number");
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
            return nxi_fail(NXC_EFORMAT, "does not fit 64 bits");
    }
    if (value > max)
        return nxi_fail(NXC_EFORMAT, "is more than %llu", (unsigned long long)max);
    *ret_value = value;
    return 0;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

int nxi_device_parse(const char *text, size_t len, uint32_t *ret_device, uint32_t *ret_id)
{
    char shown[NXI_SHOWN];
    while (len && is_space(text[0]))
        text++, len--;
    while (len && is_space(text[len - 1]))
        len--;
    const char *colon = len ? memchr(text, ':', len) : NULL;
    size_t      name_len = colon ? (size_t)(colon - text) : len;
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        if (strlen(devices[i].name) != name_len || strncasecmp(devices[i].name, text, name_len) != 0)
            continue;
        uint64_t id = 0;
        if (colon &&
            (devices[i].device == NXC_HOST || nxi_u64_parse(colon + 1, len - name_len - 1, NXI_DEVICE_ID_MAX, &id) < 0))
            break;
        *ret_device = devices[i].device;
        *ret_id = (uint32_t)id;
        return 0;
    }
    return nxi_fail(NXC_EDEVICE, "unknown device \"%s\"", nxi_show(text, len, shown));
}

int nxc_device_parse(const char *name, struct nxc_desc *desc)
{
    if (!name || !desc)
        return nxi_fail(NXC_EINVAL, "%s is NULL", name ? "desc" : "name");
    return nxi_device_parse(name, strlen(name), &desc->device, &desc->device_id);
}

int nxc_device_format(const struct nxc_desc *desc, char *buf, size_t cap)
{
    if (!desc || !buf)
        return nxi_fail(NXC_EINVAL, "%s is NULL", desc ? "buf" : "desc");
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        if (devices[i].device != desc->device)
            continue;
        int n = desc->device == NXC_HOST ? snprintf(buf, cap, "%s", devices[i].name)
                                         : snprintf(buf, cap, "%s:%u", devices[i].name, desc->device_id);
        return (size_t)n < cap ? 0 : nxi_fail(NXC_EINVAL, "cap is %zu, the device needs %d", cap, n + 1);
    }
    return nxi_fail(NXC_EDEVICE, "unknown device %u", desc->device);
}

/* How many bytes the character at p takes, at most left; 0 if it is none. */
static size_t utf8_char(const uint8_t *p, size_t left)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 }; /* by length: less is overlong */
    if (p[0] < 0x80)
        return 1;
    size_t   n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    uint32_t c = p[0] & (0x7fu >> n);
    if (p[0] < 0xc0 || p[0] > 0xf7 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : n;
}

bool nxi_utf8_valid(const char *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text;
    while (len) {
        size_t n = utf8_char(p, len);
        if (!n)
            return false;
        p += n;
        len -= n;
    }
    return true;
}

const char *nxi_show(const char *text, size_t len, char buf[NXI_SHOWN])
{
    size_t n = len < NXI_SHOWN ? len : NXI_SHOWN - 4;
    for (size_t i = 0; i < n; i++)
        buf[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    strcpy(buf + n, n < len ? "..." : "");
    return buf;
}
