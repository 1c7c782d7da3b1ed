/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_CODEC_UCX_ADDRESS_H
#define NXI_CODEC_UCX_ADDRESS_H
/* UCX's worker address, the connection info of NIXL's backend UCX: docs/wire.md. */
#include <stddef.h>
#include <stdint.h>

enum { NXI_UCX_ADDRESS_MAX = 64 << 10 }; /* bytes, at most */

/* UCX takes an address without its length and believes what is in it. 0 when it
 * reads these bytes, all of them and none behind them; else NXC_EFORMAT with a
 * detail that wants a subject before it. Holds for UCX without unified mode,
 * which has another format. */
int nxi_ucx_address_check(const uint8_t *bytes, size_t len);

/* The transports of UCX believe that their part of an address is as long as they
 * make it themselves. So UCX gets a copy with zeros behind it; ret has room for
 * len + NXI_UCX_ADDRESS_PAD bytes. */
enum { NXI_UCX_ADDRESS_PAD = 256 };
void nxi_ucx_address_pad(const uint8_t *bytes, size_t len, uint8_t *ret);

#endif
