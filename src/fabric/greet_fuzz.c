/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a stranger in place of a greeting, to either side, in two parts. */
#include "fabric/greet.h"

#include "base/error.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t instance[NXI_INSTANCE_LEN] = { 1 }, link_key[NXI_LINK_KEY_LEN] = { 2 };
    struct nxi_greet     g;
    uint8_t              out[NXI_GREET_OUT];
    if (size < 2)
        return 0;
    nxi_greet_start(&g, data[0] & 1, instance, link_key, 1000, NULL);
    nxi_greet_output(&g, out);
    size_t at = 2, cut = 2 + data[1] % (size - 1), used;
    for (int part = 0; part < 2; part++, cut = size) {
        int r = nxi_greet_input(&g, data + at, cut - at, &used);
        if (used > cut - at || r == 1 || nxi_greet_output(&g, out) > sizeof out)
            abort(); /* nobody can be greeted who does not know the link key */
        if (r < 0)
            break;
        at += used;
    }
    return 0;
}
