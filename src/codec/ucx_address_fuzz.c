/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/ucx_address.h"

#include <nxconnect/nxconnect.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads an address as UCX does, without its length and without any check, and
 * returns how many bytes it read. */
static size_t read_blindly(const uint8_t *start)
{
    const uint8_t *p = start;
    unsigned       v2 = *p & 1, flags = v2 ? p[1] : *p >> 4, domain, device, length, last;
    p += 1 + v2 + 8 + (flags & 4 ? 8 : 0);
    if (flags & 1)
        p += 1 + *p;
    if (*p == 0xff)
        return (size_t)(p + 1 - start);
    do {
        domain = *p++;
        p += v2 && (domain & 0x7f) == 0x7f;
        device = *p++;
        length = device & 0x1f;
        if (v2 && length == 0x1f)
            length = *p++;
        p += !!(device & 0x40) + !!(device & 0x20) + length;
        for (last = domain & 0x80; !last;) {
            p += 2 + (v2 ? 8 : 16);
            last = *p & 0x80;
            length = *p++ & 0x3f;
            if (v2 && length == 0x3f)
                length = *p++;
            p += length;
        }
    } while (!(device & 0x80));
    return (size_t)(p - start);
}

/* What passes is read in full and not a byte further; cut or longer it does not pass. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int r = nxi_ucx_address_check(data, size);
    if (r != 0) {
        if (r != NXC_EFORMAT)
            abort();
        return 0;
    }
    if (read_blindly(data) != size || nxi_ucx_address_check(data, size - 1) == 0)
        abort();
    uint8_t *padded = malloc(size + NXI_UCX_ADDRESS_PAD);
    nxi_ucx_address_pad(data, size, padded);
    if (nxi_ucx_address_check(padded, size) != 0 || nxi_ucx_address_check(padded, size + 1) == 0)
        abort();
    free(padded);
    return 0;
}
