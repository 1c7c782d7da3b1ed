/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/ticket.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const struct nxc_ticket *a, const struct nxc_ticket *b)
{
    if (a->kind != b->kind || a->n != b->n || memcmp(a->descs, b->descs, a->n * sizeof *a->descs) != 0 ||
        strcmp(a->key_text, b->key_text) != 0)
        abort();
}

/* An agent whatever the text is, so that the rest of a ticket is seen too. */
static int any_agent(const char *text, size_t len, struct nxi_agent **ret_a)
{
    static const char blob[] = "nixlSerDes|Agent\1\0\0\0\0\0\0\0w|Conns\10\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0|"
                               "t\1\0\0\0\0\0\0\0x|c\1\0\0\0\0\0\0\0x|\12\0\0\0\0\0\0\0MemSection|"
                               "nixlSecElms\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0|";
    (void)text;
    (void)len;
    return nxi_agent_decode((const uint8_t *)blob, sizeof blob - 1, ret_a);
}

/* A ticket that is read is printed and read back to the same. */
static void round_trip(const struct nxc_ticket *t)
{
    struct nxc_ticket *back;
    char              *json;
    size_t             len;
    if (nxi_ticket_encode(t->kind, t->descs, t->n, "x", t->key_text, &json, &len) != 0)
        return; /* short numbers and names took less than the limit, ours take more */
    if (nxi_ticket_decode(json, len, any_agent, &back) != 0)
        abort();
    same(t, back);
    nxi_ticket_free(back);
    free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const nxi_agent_from_text_fn agents[] = { nxi_agent_from_text, any_agent };
    for (int i = 0; i < 2; i++) {
        struct nxc_ticket *t;
        int                r = nxi_ticket_decode((const char *)data, size, agents[i], &t);
        if (r != 0 && r != NXC_EFORMAT)
            abort();
        if (r == 0) {
            round_trip(t);
            nxi_ticket_free(t);
        }
    }
    return 0;
}
