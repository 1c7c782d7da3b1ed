/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/notif.h"

#include <nxconnect/nxconnect.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A notification that is read is written to the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nxi_notif n;
    int              r = nxi_notif_decode(data, size, &n);
    if (r != 0) {
        if (r != NXC_EFORMAT)
            abort();
        return 0;
    }
    if (nxi_notif_size(n.name.len, n.msg.len) != size)
        abort();
    uint8_t *again = malloc(size);
    nxi_notif_encode(&n, again);
    if (memcmp(again, data, size) != 0)
        abort();
    free(again);
    return 0;
}
