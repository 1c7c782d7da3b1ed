/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_CODEC_TICKET_H
#define NXI_CODEC_TICKET_H
/* The ticket's JSON: NIXL Connect's RdmaMetadata, four fields. */
#include "codec/agent.h"

#include <nxconnect/nxconnect.h>

enum {
    NXI_TICKET_MAX = 1 << 20,       /* bytes of JSON, at most */
    NXI_TICKET_DESCS_MAX = 1 << 15, /* descriptors, at most */
    NXI_KEY_MAX = 1024,             /* bytes of a notification key, at most */
    NXI_SECRET_LEN = 16,
};

/* The capability in a native ticket: base64url, without padding, of the
 * operation's number (8 bytes, little-endian; where the owner finds it) and 16
 * random bytes (compared in constant time). 32 characters. */
struct nxi_key {
    uint64_t op;
    uint8_t  secret[NXI_SECRET_LEN];
};
enum { NXI_KEY_TEXT = 33 };
void nxi_key_encode(const struct nxi_key *key, char text[NXI_KEY_TEXT]);
int  nxi_key_decode(const char *text, size_t len, struct nxi_key *ret_key); /* NXC_EFORMAT */

struct nxc_ticket {
    enum nxc_kind     kind;
    size_t            n;
    struct nxc_desc  *descs;
    char             *key_text; /* notification_key, unescaped UTF-8, NUL-terminated */
    struct nxi_key    key;      /* decoded from it when agent->has_native and native_err is 0 */
    struct nxi_agent *agent;
};

/* Turns nixl_metadata's text into an agent, a new reference. A caller that has
 * seen the text before may answer from what it remembers. */
typedef int (*nxi_agent_from_text_fn)(const char *text, size_t len, struct nxi_agent **ret_a);
/* The plain way: nxi_blob_from_text() and nxi_agent_decode(). */
int nxi_agent_from_text(const char *text, size_t len, struct nxi_agent **ret_a);

/* NXC_EFORMAT with field and position for anything that is not a ticket. A blob
 * without connections is refused here: nobody could be reached with it. With an
 * NXC entry the key must decode, else NXC_EFORMAT. An NXC entry of another version
 * parses (agent->native_err says so): the ticket can be shown, and begin refuses it. */
int  nxi_ticket_decode(const char *json, size_t len, nxi_agent_from_text_fn agent, struct nxc_ticket **ret_t);
void nxi_ticket_free(struct nxc_ticket *t);

/* Prints a ticket: compact JSON, fields in the original's order. blob_text is
 * the finished text of nixl_metadata. NXC_ELIMIT for a ticket that no reader
 * would take. *ret_json is NUL-terminated, the caller's to free(). */
int nxi_ticket_encode(enum nxc_kind kind, const struct nxc_desc *descs, size_t n, const char *blob_text,
                      const char *key_text, char **ret_json, size_t *ret_len);

#endif
