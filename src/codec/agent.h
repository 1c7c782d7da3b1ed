/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_CODEC_AGENT_H
#define NXI_CODEC_AGENT_H
/* NIXL's agent metadata, the blob in a ticket. Reads the form of NIXL 0.6.0 and
 * later, and the older one (0.3.1 to 0.5.x) with a sorted flag; writes the
 * later one. Format: docs/wire.md. */
#include "codec/entry.h"
#include "codec/serdes.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NXI_AGENT_MAX = 16 << 20 }; /* bytes of a blob, inflated, at most */

/* All spans lie inside the agent's own copy of the blob. */
struct nxi_agent_conn {
    struct nxi_span backend, info;
};

struct nxi_agent_desc {
    uint64_t        addr, len, dev;
    struct nxi_span meta; /* the backend's public metadata, for UCX a packed rkey */
};

struct nxi_agent_section {
    struct nxi_span        backend;
    int32_t                mem_type; /* 0 DRAM .. 4 FILE */
    size_t                 n;
    struct nxi_agent_desc *descs; /* after decoding: sorted by dev, addr, len */
};

/* Immutable once made, shared by reference count. */
struct nxi_agent {
    atomic_uint               refs;
    char                     *name; /* NUL-terminated; a name with a NUL inside is refused */
    size_t                    n_conns, n_sections;
    struct nxi_agent_conn    *conns;
    struct nxi_agent_section *sections;
    bool                      has_native;  /* an NXC entry is there */
    int                       native_err;  /* 0, or NXC_EVERSION: known, but not ours */
    struct nxi_entry          native;      /* when has_native; with native_err only its versions */
};

/* Reads an inflated blob; every hostile one is NXC_EFORMAT, with the field and
 * its position in nxc_err_detail(). Copies what it needs. Partial metadata is
 * read too: n_conns is 0 then, and nobody can be reached with it alone. */
int nxi_agent_decode(const uint8_t *blob, size_t len, struct nxi_agent **ret_a);
struct nxi_agent *nxi_agent_ref(struct nxi_agent *a);
void nxi_agent_unref(struct nxi_agent *a); /* takes NULL */

/* What the agent has of a backend: its connection, its section of a memory type.
 * There is at most one of each; NULL if there is none. */
const struct nxi_agent_conn    *nxi_agent_conn_find(const struct nxi_agent *a, const char *backend);
const struct nxi_agent_section *nxi_agent_section_find(const struct nxi_agent *a, const char *backend,
                                                       int32_t mem_type);

/* Writes a blob with these connections and sections, in the order given;
 * NXC_ELIMIT when it would exceed NXI_AGENT_MAX. *ret_blob is the caller's to free(). */
int nxi_agent_encode(const char *name, const struct nxi_agent_conn *conns, size_t n_conns,
                     const struct nxi_agent_section *sections, size_t n_sections,
                     uint8_t **ret_blob, size_t *ret_len);

/* Blob to the text of a ticket's field nixl_metadata (a zlib stream in base64
 * after "b64:", or in hex) and back. Hex of a blob that is not packed is read
 * too. Texts are NUL-terminated and the caller's to free(). */
int nxi_blob_to_text(const uint8_t *blob, size_t len, bool hex, char **ret_text);
int nxi_blob_from_text(const char *text, size_t len, uint8_t **ret_blob, size_t *ret_len);

#endif
