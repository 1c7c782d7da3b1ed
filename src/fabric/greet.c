/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/greet.h"

#include "base/bytes.h"
#include "base/error.h"

#include <sodium.h>
#include <string.h>

/* Places in a HELLO. */
enum {
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_OLDEST = 6,
    AT_KEEPALIVE = 8,
    AT_FLAGS = 12,
    AT_NONCE = 16,
    AT_INSTANCE = 32,
    AT_EXTRA = 48,
    HEAD_LEN = 8, /* what keeps its place in all versions */
    NONCE_LEN = 16,
};

enum { WANT_HELLO, WANT_MAC, GREETED };

static const uint8_t magic[4] = { 'N', 'X', 'C', '\n' };

/* The MAC that the opener or the listener sends. */
static void make_mac(const struct nxi_greet *g, bool by_opener, uint8_t mac[NXI_MAC_LEN])
{
    const uint8_t role = by_opener ? 'o' : 'l';
    crypto_generichash_state s;
    crypto_generichash_init(&s, g->link_key, NXI_LINK_KEY_LEN, NXI_MAC_LEN);
    crypto_generichash_update(&s, &role, 1);
    crypto_generichash_update(&s, g->opener ? g->ours : g->theirs, NXI_HELLO_LEN);
    crypto_generichash_update(&s, g->opener ? g->theirs : g->ours, NXI_HELLO_LEN);
    crypto_generichash_final(&s, mac, NXI_MAC_LEN);
}

/* Looks at as much of the HELLO's head as has come, so that a stranger is sent
 * away at its first wrong byte and a HELLO of a longer version is not waited for. */
static int check_head(struct nxi_greet *g)
{
    size_t n = g->in_len < sizeof magic ? g->in_len : sizeof magic;
    if (memcmp(g->in, magic, n) != 0)
        return nxi_fail(NXC_EPEER, "not a greeting of nxconnect");
    if (g->in_len < HEAD_LEN)
        return 0;
    uint16_t newest = nxi_get16(g->in + AT_VERSION), oldest = nxi_get16(g->in + AT_OLDEST);
    if (newest < oldest)
        return nxi_fail(NXC_EPEER, "greeting with versions %u to %u", oldest, newest);
    if (newest < NXI_PROTOCOL_MIN || oldest > NXI_PROTOCOL) {
        if (!g->opener) {
            memcpy(g->out, g->ours, NXI_HELLO_LEN);
            memset(g->out + NXI_HELLO_LEN, 0, NXI_MAC_LEN);
            g->out_len = NXI_GREET_OUT;
        }
        return nxi_fail(NXC_EVERSION, "the peer speaks protocol %u to %u, we speak %d to %d", oldest, newest,
                        NXI_PROTOCOL_MIN, NXI_PROTOCOL);
    }
    g->version = newest < NXI_PROTOCOL ? newest : NXI_PROTOCOL;
    return 0;
}

static int take_hello(struct nxi_greet *g)
{
    memcpy(g->theirs, g->in, NXI_HELLO_LEN);
    if (memcmp(g->theirs + AT_INSTANCE, g->instance, NXI_INSTANCE_LEN) != 0)
        return nxi_fail(NXC_EACCESS, "greeting for another worker");
    uint32_t keepalive = nxi_get32(g->theirs + AT_KEEPALIVE);
    if (keepalive == 0)
        return nxi_fail(NXC_EPEER, "greeting with a keepalive of 0");
    if (keepalive < g->keepalive_ms)
        g->keepalive_ms = keepalive;
    memcpy(g->peer_extra, g->theirs + AT_EXTRA, NXI_GREET_EXTRA);
    if (!g->opener) {
        memcpy(g->out, g->ours, NXI_HELLO_LEN);
        make_mac(g, false, g->out + NXI_HELLO_LEN);
        g->out_len = NXI_GREET_OUT;
    }
    g->state = WANT_MAC;
    return 0;
}

static int take_mac(struct nxi_greet *g)
{
    uint8_t expected[NXI_MAC_LEN];
    make_mac(g, !g->opener, expected);
    if (sodium_memcmp(expected, g->in, NXI_MAC_LEN) != 0)
        return nxi_fail(NXC_EACCESS, "the peer has another link key");
    if (g->opener) {
        make_mac(g, true, g->out);
        g->out_len = NXI_MAC_LEN;
    }
    g->state = GREETED;
    return 0;
}

void nxi_greet_start(struct nxi_greet *g, bool opener, const uint8_t *instance, const uint8_t *link_key,
                     uint32_t keepalive_ms, const uint8_t *extra)
{
    memset(g, 0, sizeof *g);
    g->opener = opener;
    g->keepalive_ms = keepalive_ms;
    memcpy(g->instance, instance, NXI_INSTANCE_LEN);
    memcpy(g->link_key, link_key, NXI_LINK_KEY_LEN);

    memcpy(g->ours + AT_MAGIC, magic, sizeof magic);
    nxi_put16(g->ours + AT_VERSION, NXI_PROTOCOL);
    nxi_put16(g->ours + AT_OLDEST, NXI_PROTOCOL_MIN);
    nxi_put32(g->ours + AT_KEEPALIVE, keepalive_ms);
    nxi_put32(g->ours + AT_FLAGS, 0);
    randombytes_buf(g->ours + AT_NONCE, NONCE_LEN);
    memcpy(g->ours + AT_INSTANCE, instance, NXI_INSTANCE_LEN);
    if (extra)
        memcpy(g->ours + AT_EXTRA, extra, NXI_GREET_EXTRA);

    if (opener) {
        memcpy(g->out, g->ours, NXI_HELLO_LEN);
        g->out_len = NXI_HELLO_LEN;
    }
}

size_t nxi_greet_output(struct nxi_greet *g, uint8_t *buf)
{
    size_t n = g->out_len;
    memcpy(buf, g->out, n);
    g->out_len = 0;
    return n;
}

int nxi_greet_input(struct nxi_greet *g, const uint8_t *bytes, size_t len, size_t *ret_used)
{
    *ret_used = 0;
    while (g->state != GREETED) {
        size_t want = g->state == WANT_HELLO ? NXI_HELLO_LEN : NXI_MAC_LEN;
        size_t n = want - g->in_len < len - *ret_used ? want - g->in_len : len - *ret_used;
        if (n == 0)
            return 0;
        memcpy(g->in + g->in_len, bytes + *ret_used, n);
        g->in_len += n;
        *ret_used += n;

        int r = g->state == WANT_HELLO ? check_head(g) : 0;
        if (r < 0)
            return r;
        if (g->in_len < want)
            return 0;
        r = g->state == WANT_HELLO ? take_hello(g) : take_mac(g);
        if (r < 0)
            return r;
        g->in_len = 0;
    }
    return 1;
}
