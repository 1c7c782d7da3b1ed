/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a message's header: what is taken writes back to the same bytes,
 * but for those that its type does not use. */
#include "dialect/wire.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nxi_msg m, back;
    uint8_t        buf[NXI_MSG_BEGIN_LEN];
    memset(&m, 0, sizeof m);
    memset(&back, 0, sizeof back);
    int r = nxi_msg_decode(data, size, &m);
    if (r != 0)
        return r == NXC_EPEER ? 0 : (abort(), 0);
    if (nxi_msg_encode(&m, buf) != size || nxi_msg_decode(buf, size, &back) != 0 || memcmp(&m, &back, sizeof m) != 0)
        abort();
    return 0;
}
