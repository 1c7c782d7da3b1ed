/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/ticket.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "codec/text.h"
#include "codec/ticket_json.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>

enum { KEY_BYTES = 8 + NXI_SECRET_LEN, KEY_VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING };

/* The secret was made by libsodium, so that sodium_init() has been called. */
void nxi_key_encode(const struct nxi_key *key, char text[NXI_KEY_TEXT])
{
    uint8_t bytes[KEY_BYTES];
    nxi_put64(bytes, key->op);
    memcpy(bytes + 8, key->secret, NXI_SECRET_LEN);
    sodium_bin2base64(text, NXI_KEY_TEXT, bytes, sizeof bytes, KEY_VARIANT);
}

int nxi_key_decode(const char *text, size_t len, struct nxi_key *ret_key)
{
    uint8_t bytes[KEY_BYTES];
    size_t  n;
    if (sodium_init() < 0)
        return nxi_fail(NXC_ESYSTEM, "libsodium could not be initialized");
    if (sodium_base642bin(bytes, sizeof bytes, text, len, NULL, &n, NULL, KEY_VARIANT) < 0 || n != sizeof bytes)
        return nxi_fail(NXC_EFORMAT, "is not %d characters of base64url", NXI_KEY_TEXT - 1);
    ret_key->op = nxi_get64(bytes);
    memcpy(ret_key->secret, bytes + 8, NXI_SECRET_LEN);
    return 0;
}

int nxi_agent_from_text(const char *text, size_t len, struct nxi_agent **ret_a)
{
    uint8_t *blob;
    size_t   n;
    int      r = nxi_blob_from_text(text, len, &blob, &n);
    if (r < 0)
        return r;
    r = nxi_agent_decode(blob, n, ret_a);
    free(blob);
    return r;
}

/* Says in which field of the ticket an error from below lies. */
static int in_field(int err, const char *field, size_t at)
{
    char text[192];
    if (err != NXC_EFORMAT)
        return err;
    snprintf(text, sizeof text, "%s", nxc_err_detail());
    return nxi_fail(err, "%s: %s (value at byte %zu)", field, text, at);
}

/* What lies in the texts of a ticket whose JSON is fine. */
static int read_texts(struct nxc_ticket *t, const struct nxi_ticket_json *j, nxi_agent_from_text_fn agent)
{
    int r = agent(j->metadata, j->metadata_len, &t->agent);
    if (r < 0)
        return in_field(r, "nixl_metadata", j->metadata_at);
    if (!t->agent->n_conns)
        return in_field(nxi_fail(NXC_EFORMAT, "Conns: is 0, the worker can't be reached"), "nixl_metadata",
                        j->metadata_at);
    if (!t->agent->has_native || t->agent->native_err)
        return 0;
    return in_field(nxi_key_decode(t->key_text, strlen(t->key_text), &t->key), "notification_key", j->key_at);
}

int nxi_ticket_decode(const char *json, size_t len, nxi_agent_from_text_fn agent, struct nxc_ticket **ret_t)
{
    struct nxi_ticket_json j = { 0 };
    struct nxc_ticket     *t = nxi_calloc(1, sizeof *t);
    if (!t)
        return nxi_fail(NXC_ENOMEM, "no memory for a ticket");
    int r = nxi_ticket_json_read(json, len, t, &j);
    if (r == 0)
        r = read_texts(t, &j, agent);
    free(j.metadata_copy);
    if (r == 0)
        *ret_t = t;
    else
        nxi_ticket_free(t);
    return r;
}

void nxi_ticket_free(struct nxc_ticket *t)
{
    if (!t)
        return;
    nxi_agent_unref(t->agent);
    free(t->key_text);
    free(t->descs);
    free(t);
}

/* ---- printing ------------------------------------------------------------ */

static char *put(char *at, const char *text)
{
    return stpcpy(at, text);
}

static char *put_u64(char *at, uint64_t value)
{
    char digits[20], *p = digits + sizeof digits;
    do {
        *--p = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    size_t n = (size_t)(digits + sizeof digits - p);
    return (char *)memcpy(at, p, n) + n;
}

/* A string's content, escaped as the original's printer does it. */
static char *put_escaped(char *at, const char *text)
{
    static const char hex[] = "0123456789abcdef", special[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    for (; *text; text++) {
        const char *found;
        if ((unsigned char)*text >= ' ' && *text != '"' && *text != '\\') {
            *at++ = *text;
        } else if ((found = strchr(special, *text))) {
            *at++ = '\\';
            *at++ = letters[found - special];
        } else {
            at = put(at, "\\u00");
            *at++ = hex[*text >> 4];
            *at++ = hex[*text & 15];
        }
    }
    return at;
}

static char *put_desc(char *at, const struct nxc_desc *d)
{
    if (d->device == NXC_HOST) {
        at = put(at, "{\"device\":\"cpu");
    } else {
        at = put(at, d->device == NXC_CUDA ? "{\"device\":\"cuda:" : "{\"device\":\"xpu:");
        at = put_u64(at, d->device_id);
    }
    at = put_u64(put(at, "\",\"ptr\":"), d->addr);
    at = put_u64(put(at, ",\"size\":"), d->len);
    return put(at, "}");
}

enum {
    FRAME_MAX = 128, /* more than all of a ticket but its descriptors and texts */
    DESC_MAX = 96,   /* a descriptor and its comma, with the longest numbers */
    ESCAPE_MAX = 6,  /* what one byte can become */
};

int nxi_ticket_encode(enum nxc_kind kind, const struct nxc_desc *descs, size_t n, const char *blob_text,
                      const char *key_text, char **ret_json, size_t *ret_len)
{
    static_assert((uint64_t)DESC_MAX * NXI_TICKET_DESCS_MAX + NXI_TICKET_MAX < SIZE_MAX / 2, "cap can't wrap");
    size_t blob_len = strlen(blob_text), key_len = strlen(key_text);
    if (n > NXI_TICKET_DESCS_MAX || blob_len > NXI_TICKET_MAX || key_len > NXI_KEY_MAX)
        return nxi_fail(NXC_ELIMIT, "ticket of %zu descriptors and %zu bytes of metadata", n, blob_len);
    char *json = nxi_malloc(FRAME_MAX + DESC_MAX * n + blob_len + ESCAPE_MAX * key_len);
    if (!json)
        return nxi_fail(NXC_ENOMEM, "no memory for a ticket");
    char *at = put(json, "{\"descriptors\":[");
    for (size_t i = 0; i < n; i++)
        at = put_desc(i ? put(at, ",") : at, &descs[i]);
    at = put(put(at, "],\"nixl_metadata\":\""), blob_text);
    at = put_escaped(put(at, "\",\"notification_key\":\""), key_text);
    at = put_u64(put(at, "\",\"operation_kind\":"), kind);
    at = put(at, "}");
    size_t len = (size_t)(at - json);
    if (len > NXI_TICKET_MAX) {
        free(json);
        return nxi_fail(NXC_ELIMIT, "ticket of %zu bytes, at most %d", len, NXI_TICKET_MAX);
    }
    *ret_json = json;
    *ret_len = len;
    return 0;
}
