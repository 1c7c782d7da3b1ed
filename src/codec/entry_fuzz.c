/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/entry.h"

#include <nxconnect/nxconnect.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An entry that is read is written and read back to the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct nxi_entry e, back; /* static: padding is zero, so that memcmp may be used */
    uint8_t                 buf[NXI_ENTRY_MAX];
    memset(&e, 0, sizeof e);
    memset(&back, 0, sizeof back);
    int r = nxi_entry_decode(data, size, &e);
    if (r == NXC_EVERSION ? nxi_entry_check(&e) == 0 : r != 0 && r != NXC_EFORMAT)
        abort();
    if (r == 0 && (nxi_entry_decode(buf, nxi_entry_encode(&e, buf), &back) != 0 || memcmp(&e, &back, sizeof e) != 0))
        abort();
    return 0;
}
