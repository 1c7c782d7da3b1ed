/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_CODEC_RKEY_H
#define NXI_CODEC_RKEY_H
/* UCX's packed rkey, the public metadata of NIXL's backend UCX: docs/wire.md. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0 when the entries lie inside the bytes, else NXC_EFORMAT with a detail that
 * wants the place before it. The functions below take only what passed. */
int nxi_rkey_check(const uint8_t *packed, size_t len);

/* The same rkey without its entries of length zero, which newer releases of UCX
 * refuse to unpack, and with the byte for an unknown device at its end if it had
 * none. ret has room for len + 1 bytes and may be packed itself; returns the length. */
size_t nxi_rkey_strip(const uint8_t *packed, size_t len, uint8_t *ret);

/* No entry has bytes and no device is named: every host memory of this worker
 * has the same packed rkey, whatever is registered. */
bool nxi_rkey_is_constant(const uint8_t *packed, size_t len);

/* UCX unpacks an rkey without being told its length. Entries shorter than a
 * transport expects and a list of devices without its end make it read on, for
 * less than 256 bytes if 0xff follows. So it gets a copy with these behind it;
 * ret has room for len + NXI_RKEY_PAD bytes. */
enum { NXI_RKEY_PAD = 256 };
void nxi_rkey_pad(const uint8_t *packed, size_t len, uint8_t *ret);

#endif
