/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_CODEC_TEXT_H
#define NXI_CODEC_TEXT_H
/* Small texts: devices and whole numbers. nxc_device_parse() and
 * nxc_device_format() are here too. */
#include <nxconnect/nxconnect.h>

#include <stdbool.h>

enum { NXI_DEVICE_ID_MAX = 65535 };

/* Decimal digits only, no sign, no leading zero (but "0"), at most max; else
 * NXC_EFORMAT, with a detail that wants a subject before it: "is negative". */
int nxi_u64_parse(const char *text, size_t len, uint64_t max, uint64_t *ret_value);
/* "cpu", "host", "cuda[:N]", "gpu[:N]", "xpu[:N]", trimmed, any case; len bytes. NXC_EDEVICE. */
int nxi_device_parse(const char *text, size_t len, uint32_t *ret_device, uint32_t *ret_id);

/* Strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool nxi_utf8_valid(const char *text, size_t len);

/* A foreign text made fit to be shown: cut short, what is not printable ASCII
 * replaced. Returns buf. */
enum { NXI_SHOWN = 48 };
const char *nxi_show(const char *text, size_t len, char buf[NXI_SHOWN]);

#endif
