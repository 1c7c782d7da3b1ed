/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_CODEC_TICKET_JSON_H
#define NXI_CODEC_TICKET_JSON_H
/* The JSON of a ticket, with its rules but without what lies in its texts. */
#include "codec/ticket.h"

struct nxi_ticket_json {
    const char *metadata; /* nixl_metadata: in the JSON, or in metadata_copy */
    size_t      metadata_len;
    size_t      metadata_at, key_at; /* where these values begin in the JSON */
    char       *metadata_copy;       /* NULL unless the text had escapes; the caller's to free() */
};

/* Sets kind, descs, n and key_text of t, which is zero before. After a failure
 * they may be half set: nxi_ticket_free() and free(metadata_copy) in any case. */
int nxi_ticket_json_read(const char *json, size_t len, struct nxc_ticket *t, struct nxi_ticket_json *ret_j);

#endif
