/* SPDX-License-Identifier: Apache-2.0 */
/* The text form of a blob: "b64:" and base64 of a zlib stream, or hex of one. */
#include "codec/agent.h"

#include "base/error.h"
#include "base/mem.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>
#include <zlib.h>

static const char prefix[] = "b64:", magic[] = "nixlSerDes|";
enum {
    PREFIX = sizeof prefix - 1,
    MAGIC = sizeof magic - 1,
    LEVEL = 6,          /* the original's */
    FIRST_CHUNK = 1024, /* of inflated bytes; most blobs are smaller */
};

static void *z_malloc(void *opaque, uInt n, uInt size)
{
    (void)opaque;
    size_t total;
    return nxi_mul(n, size, &total) ? nxi_malloc(total) : NULL;
}

static void z_free(void *opaque, void *ptr)
{
    (void)opaque;
    free(ptr);
}

static int no_memory(size_t len)
{
    return nxi_fail(NXC_ENOMEM, "no memory for metadata of %zu bytes", len);
}

static int sodium_up(void)
{
    return sodium_init() < 0 ? nxi_fail(NXC_ESYSTEM, "libsodium could not be initialized") : 0;
}

static int deflate_all(const uint8_t *in, size_t len, uint8_t **ret_out, size_t *ret_len)
{
    z_stream z = { .zalloc = z_malloc, .zfree = z_free };
    if (deflateInit(&z, LEVEL) != Z_OK)
        return no_memory(len);
    size_t   bound = deflateBound(&z, len);
    uint8_t *out = nxi_malloc(bound);
    if (!out) {
        deflateEnd(&z);
        return no_memory(len);
    }
    z.next_in = (Bytef *)in;
    z.avail_in = (uInt)len;
    z.next_out = out;
    z.avail_out = (uInt)bound;
    int zr = deflate(&z, Z_FINISH);
    assert(zr == Z_STREAM_END); /* bound is enough by zlib's promise */
    (void)zr;
    *ret_out = out;
    *ret_len = z.total_out;
    deflateEnd(&z);
    return 0;
}

int nxi_blob_to_text(const uint8_t *blob, size_t len, bool hex, char **ret_text)
{
    uint8_t *packed = NULL;
    size_t   n = 0;
    assert(len && len <= NXI_AGENT_MAX);
    int r = sodium_up();
    if (r < 0 || (r = deflate_all(blob, len, &packed, &n)) < 0)
        return r;
    size_t size = hex ? 2 * n + 1 : PREFIX + sodium_base64_encoded_len(n, sodium_base64_VARIANT_ORIGINAL);
    char  *text = nxi_malloc(size);
    if (text && hex)
        sodium_bin2hex(text, size, packed, n);
    else if (text)
        sodium_bin2base64(memcpy(text, prefix, PREFIX) + PREFIX, size - PREFIX, packed, n,
                          sodium_base64_VARIANT_ORIGINAL);
    free(packed);
    if (!text)
        return no_memory(len);
    *ret_text = text;
    return 0;
}

/* Makes room for what comes next: twice as much as has been inflated, so that
 * memory grows with what is there and not with what a header promises. */
static int grow(z_stream *z, uint8_t **out, size_t *cap)
{
    /* One byte over the limit: that too much comes shows only when it is there. */
    size_t   more = *cap ? *cap * 2 : FIRST_CHUNK;
    size_t   next = more > NXI_AGENT_MAX ? NXI_AGENT_MAX + 1 : more;
    uint8_t *p = nxi_realloc(*out, next);
    if (!p)
        return no_memory(next);
    *out = p;
    *cap = next;
    z->next_out = p + z->total_out;
    z->avail_out = (uInt)(next - z->total_out);
    return 0;
}

/* What inflate() said, and whether it has gone too far. */
static int inflate_error(const z_stream *z, int zr)
{
    if (zr == Z_MEM_ERROR)
        return no_memory(z->total_out);
    if (zr == Z_BUF_ERROR)
        return nxi_fail(NXC_EFORMAT, "zlib stream is cut off, at byte %lu of it", z->total_in);
    if (zr != Z_OK && zr != Z_STREAM_END)
        return nxi_fail(NXC_EFORMAT, "bad zlib stream (%s), at byte %lu of it", z->msg ? z->msg : "wants a dictionary",
                        z->total_in);
    if (z->total_out > NXI_AGENT_MAX)
        return nxi_fail(NXC_EFORMAT, "inflates to more than %d bytes, at byte %lu of the zlib stream", NXI_AGENT_MAX,
                        z->total_in);
    if (zr == Z_STREAM_END && z->avail_in)
        return nxi_fail(NXC_EFORMAT, "%u bytes too many, at byte %lu of the zlib stream", z->avail_in, z->total_in);
    return 0;
}

static int inflate_all(const uint8_t *in, size_t len, uint8_t **ret_out, size_t *ret_len)
{
    z_stream z = { .zalloc = z_malloc, .zfree = z_free, .next_in = (Bytef *)in, .avail_in = (uInt)len };
    uint8_t *out = NULL;
    size_t   cap = 0;
    int      zr = Z_OK, r = inflateInit(&z) == Z_OK ? 0 : no_memory(len);
    while (r == 0 && zr == Z_OK) {
        if (z.total_out == cap && (r = grow(&z, &out, &cap)) < 0)
            break;
        zr = inflate(&z, Z_NO_FLUSH);
        r = inflate_error(&z, zr);
    }
    if (r == 0) {
        *ret_out = out;
        *ret_len = z.total_out;
    } else {
        free(out);
    }
    inflateEnd(&z); /* copes with a stream that was never set up */
    return r;
}

/* The bytes that base64 or hex stand for. */
static int unarmor(const char *text, size_t len, bool b64, uint8_t **ret_bytes, size_t *ret_n)
{
    const char *at = b64 ? text + PREFIX : text, *end = at;
    size_t      left = len - (size_t)(at - text), n = 0;
    int         r = sodium_up();
    if (r < 0)
        return r;
    if (!left)
        return nxi_fail(NXC_EFORMAT, "is empty, at byte %zu of it", len);
    uint8_t *bytes = nxi_malloc(left);
    if (!bytes)
        return no_memory(left);
    r = b64 ? sodium_base642bin(bytes, left, at, left, NULL, &n, &end, sodium_base64_VARIANT_ORIGINAL)
            : sodium_hex2bin(bytes, left, at, left, NULL, &n, &end);
    if (r < 0 || end != at + left) {
        free(bytes);
        return nxi_fail(NXC_EFORMAT, "bad %s, at byte %td of it", b64 ? "base64" : "hex", end - text);
    }
    *ret_bytes = bytes;
    *ret_n = n;
    return 0;
}

int nxi_blob_from_text(const char *text, size_t len, uint8_t **ret_blob, size_t *ret_len)
{
    bool     b64 = len >= PREFIX && !memcmp(text, prefix, PREFIX);
    uint8_t *bytes = NULL;
    size_t   n = 0;
    if (len > NXI_AGENT_MAX)
        return nxi_fail(NXC_EFORMAT, "%zu bytes of text, at most %d", len, NXI_AGENT_MAX);
    int r = unarmor(text, len, b64, &bytes, &n);
    if (r < 0)
        return r;
    /* Hex of a blob that was never packed can be told apart, so it is taken too. */
    if (!b64 && n >= MAGIC && !memcmp(bytes, magic, MAGIC)) {
        *ret_blob = bytes;
        *ret_len = n;
        return 0;
    }
    r = inflate_all(bytes, n, ret_blob, ret_len);
    free(bytes);
    return r;
}
