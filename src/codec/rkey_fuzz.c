/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/rkey.h"

#include <nxconnect/nxconnect.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What passes the check is stripped to what passes it too and has nothing more to strip. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int r = nxi_rkey_check(data, size);
    if (r != 0) {
        if (r != NXC_EFORMAT)
            abort();
        return 0;
    }
    uint8_t *once = malloc(size + 1), *twice = malloc(size + 2), *padded = malloc(size + NXI_RKEY_PAD);
    size_t   n = nxi_rkey_strip(data, size, once);
    if (n > size + 1 || nxi_rkey_check(once, n) != 0)
        abort();
    if (nxi_rkey_strip(once, n, twice) != n || memcmp(once, twice, n) != 0)
        abort();
    if (nxi_rkey_is_constant(data, size) != nxi_rkey_is_constant(once, n))
        abort();
    nxi_rkey_pad(data, size, padded);
    free(padded);
    free(twice);
    free(once);
    return 0;
}
