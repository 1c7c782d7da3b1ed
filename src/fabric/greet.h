/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_FABRIC_GREET_H
#define NXI_FABRIC_GREET_H
/*
 * The greeting on a fresh stream, the same on all fabrics: versions, limits, and
 * the proof that both sides know the link key of the side that was connected to.
 * Bytes in, bytes out; the fabric moves them.
 *
 *   opener -> listener  HELLO
 *   listener -> opener  HELLO, MAC
 *   opener -> listener  MAC       (frames may follow in the same write)
 *
 * HELLO (64 bytes): magic "NXC\n", u16 version, u16 oldest version, u32
 * keepalive_ms, u32 flags (0), 16 bytes nonce, 16 bytes instance of the
 * listener, 16 bytes for the fabric's own use. The first 8 bytes keep their place in all
 * versions. MAC (32 bytes): BLAKE2b keyed with the link key over a byte that
 * names the sender's role ('l' or 'o') and both HELLOs, the opener's first.
 *
 * A listener that meets a foreign version answers with its HELLO and a zero MAC and hangs
 * up, so that the opener can name both. One that meets another instance or a wrong MAC hangs up without a word.
 */
#include "codec/entry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NXI_HELLO_LEN = 64,
    NXI_MAC_LEN = 32,
    NXI_GREET_EXTRA = 16,
    NXI_GREET_OUT = NXI_HELLO_LEN + NXI_MAC_LEN, /* what nxi_greet_output() gives, at most */
};

struct nxi_greet {
    /* results, valid when nxi_greet_input() has returned 1 */
    uint16_t version;
    uint32_t keepalive_ms;                /* the smaller of the two */
    uint8_t  peer_extra[NXI_GREET_EXTRA]; /* from the peer's HELLO */
    /* private */
    bool    opener;
    int     state;
    uint8_t instance[NXI_INSTANCE_LEN], link_key[NXI_LINK_KEY_LEN];
    uint8_t ours[NXI_HELLO_LEN], theirs[NXI_HELLO_LEN];
    uint8_t in[NXI_GREET_OUT], out[NXI_GREET_OUT];
    size_t  in_len, out_len;
};

/* instance and link_key are the listener's: the opener has them from the
 * ticket's entry. extra may be NULL: zeros. */
void nxi_greet_start(struct nxi_greet *g, bool opener, const uint8_t *instance, const uint8_t *link_key,
                     uint32_t keepalive_ms, const uint8_t *extra);
/* What is to be sent now: copies it to buf (room for NXI_GREET_OUT), once. 0: nothing. */
size_t nxi_greet_output(struct nxi_greet *g, uint8_t *buf);
/* Takes bytes from the peer and says how many it used (never more than the
 * greeting has). 1: greeted (send the output first if there is some); 0: more is needed;
 * NXC_EVERSION, NXC_EACCESS, NXC_EPEER (not a greeting): send the output, if any, and hang up. */
int nxi_greet_input(struct nxi_greet *g, const uint8_t *bytes, size_t len, size_t *ret_used);

#endif
