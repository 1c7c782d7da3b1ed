/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/agent.h"

#include <nxconnect/nxconnect.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const struct nxi_agent *a, uint8_t **ret_blob, size_t *ret_len)
{
    if (nxi_agent_encode(a->name, a->conns, a->n_conns, a->sections, a->n_sections, ret_blob, ret_len) != 0)
        abort();
}

/* A blob that is read is written, read back, and written to the same bytes. */
static void round_trip(const struct nxi_agent *a)
{
    struct nxi_agent *back;
    uint8_t          *blob, *again;
    size_t            len, again_len;
    encode(a, &blob, &len);
    if (nxi_agent_decode(blob, len, &back) != 0)
        abort();
    encode(back, &again, &again_len);
    if (len != again_len || memcmp(blob, again, len) != 0)
        abort();
    nxi_agent_unref(back);
    free(again);
    free(blob);
}

/* The input is taken for a blob and for the text of one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nxi_agent *a;
    uint8_t          *blob;
    size_t            len;
    int               r = nxi_agent_decode(data, size, &a);
    if (r == 0) {
        round_trip(a);
        nxi_agent_unref(a);
    } else if (r != NXC_EFORMAT) {
        abort();
    }
    if (nxi_blob_from_text((const char *)data, size, &blob, &len) == 0)
        free(blob);
    return 0;
}
