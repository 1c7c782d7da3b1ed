/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/craft.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

uint16_t craft_port_number;

static void must(bool ok)
{
    if (!ok)
        abort();
}

char *craft(const char *json, craft_fn *fn)
{
    enum { CONNS = 4 };
    struct nxi_agent_conn conns[CONNS];
    struct nxc_ticket    *t;
    uint8_t               info[NXI_ENTRY_MAX], *blob;
    char                  key_text[NXI_KEY_TEXT], *blob_text, *crafted;
    size_t                len;
    must(nxi_ticket_decode(json, strlen(json), nxi_agent_from_text, &t) == 0);
    struct nxi_key   key = t->key;
    struct nxi_entry entry = t->agent->native;
    fn(&(struct craft){ &key, &entry, t });
    const struct nxi_agent *a = t->agent;
    must(a->has_native && a->n_conns <= CONNS);
    for (size_t i = 0; i < a->n_conns; i++) {
        conns[i] = a->conns[i];
        if (conns[i].backend.len == 3 && !memcmp(conns[i].backend.ptr, "NXC", 3))
            conns[i].info = (struct nxi_span){ info, nxi_entry_encode(&entry, info) };
    }
    must(nxi_agent_encode(a->name, conns, a->n_conns, a->sections, a->n_sections, &blob, &len) == 0);
    must(nxi_blob_to_text(blob, len, false, &blob_text) == 0);
    nxi_key_encode(&key, key_text);
    must(nxi_ticket_encode(t->kind, t->descs, t->n, blob_text, key_text, &crafted, &len) == 0);
    free(blob);
    free(blob_text);
    nxi_ticket_free(t);
    return crafted;
}

void forge_secret(struct craft *c)
{
    c->key->secret[0] ^= 1;
}

void forge_op(struct craft *c)
{
    c->key->op += 1000000;
}

void forge_kind(struct craft *c)
{
    c->ticket->kind = c->ticket->kind == NXC_READ ? NXC_WRITE : NXC_READ;
}

void forge_size(struct craft *c)
{
    c->ticket->descs[0].len++;
}

void forge_instance(struct craft *c)
{
    c->entry->instance[0] ^= 1;
}

void forge_link_key(struct craft *c)
{
    c->entry->link_key[0] ^= 1;
}

void forge_version(struct craft *c)
{
    c->entry->version = 9;
    c->entry->version_min = 7;
}

void without_addrs(struct craft *c)
{
    c->entry->n = 0;
}

void craft_port(struct craft *c)
{
    uint16_t port = htons(craft_port_number);
    uint32_t host = htonl(INADDR_LOOPBACK);
    c->entry->n = 1;
    c->entry->addrs[0] = (struct nxi_addr){ .tag = NXI_ADDR_TCP4, .len = 6 };
    memcpy(c->entry->addrs[0].bytes, &host, 4);
    memcpy(c->entry->addrs[0].bytes + 4, &port, 2);
}
