/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/interop/deal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    bool        ours_passive, bytes_to_us;
    const char *their_kind; /* in offer or begin */
} facts[PAIRINGS] = {
    [OUR_READABLE] = { true, false, "read" },
    [OUR_WRITABLE] = { true, true, "write" },
    [THEIR_READABLE] = { false, true, "readable" },
    [THEIR_WRITABLE] = { false, false, "writable" },
};

static void must(int r)
{
    if (r < 0)
        fail_msg("%s: %s", nxc_err_name(r), nxc_err_detail());
}

/* A number is never used twice, so a stale byte is never the right one. */
static unsigned fresh_number(void)
{
    static unsigned last;
    return ++last;
}

void deal_make_at(struct deal *d, enum pairing pairing, nxc_connector *c, struct python *p, const struct blocks *at)
{
    *d = (struct deal){ .pairing = pairing, .c = c, .p = p, .number = fresh_number(), .blocks = *at };
    if (facts[pairing].bytes_to_us)
        blocks_poison(&d->blocks);
    else
        blocks_fill(&d->blocks, d->number);
}

void deal_make(struct deal *d, enum pairing pairing, nxc_connector *c, struct python *p, const size_t *sizes, size_t n)
{
    struct blocks b;
    blocks_make(&b, sizes, n);
    deal_make_at(d, pairing, c, p, &b);
}

/* ",\"fill\":7" where the bytes come from Python. */
static const char *filling(const struct deal *d, char text[32])
{
    text[0] = 0;
    if (facts[d->pairing].bytes_to_us)
        snprintf(text, 32, ",\"fill\":%u", d->number);
    return text;
}

static char *our_offer(struct deal *d, enum nxc_encoding encoding, const struct nxc_op_opts *opts)
{
    const char *json;
    size_t      len;
    must(facts[d->pairing].bytes_to_us ? nxc_op_create_writable(d->c, d->blocks.descs, d->blocks.n, opts, &d->op)
                                       : nxc_op_create_readable(d->c, d->blocks.descs, d->blocks.n, opts, &d->op));
    must(nxc_op_ticket(d->op, encoding, &json, &len));
    return strndup(json, len);
}

static char *their_offer(struct deal *d, enum nxc_encoding encoding)
{
    char     fill[32], *sizes = blocks_json(&d->blocks);
    yajl_val answer =
        python_ask(d->p, "{\"do\":\"offer\",\"op\":\"%u\",\"kind\":\"%s\",\"hex\":%s,\"sizes\":%s%s}", d->number,
                   facts[d->pairing].their_kind, encoding == NXC_HEX ? "true" : "false", sizes, filling(d, fill));
    free(sizes);
    return strdup(answer_text(answer, "ticket"));
}

char *deal_offer(struct deal *d, enum nxc_encoding encoding, const struct nxc_op_opts *opts)
{
    return facts[d->pairing].ours_passive ? our_offer(d, encoding, opts) : their_offer(d, encoding);
}

int deal_try(nxc_connector *c, enum nxc_kind kind, const char *ticket, const struct blocks *b, nxc_op **ret_op)
{
    nxc_ticket *t;
    int         r = nxc_ticket_parse(ticket, strlen(ticket), &t);
    if (r < 0)
        return r;
    r = kind == NXC_READ ? nxc_op_begin_read(c, t, b->descs, b->n, NULL, ret_op)
                         : nxc_op_begin_write(c, t, b->descs, b->n, NULL, ret_op);
    nxc_ticket_free(t);
    return r;
}

void deal_use(struct deal *d, const char *ticket)
{
    if (!facts[d->pairing].ours_passive) {
        must(deal_try(d->c, facts[d->pairing].bytes_to_us ? NXC_READ : NXC_WRITE, ticket, &d->blocks, &d->op));
        return;
    }
    char fill[32], *sizes = blocks_json(&d->blocks), *quoted = json_string(ticket, strlen(ticket));
    python_ask(d->p, "{\"do\":\"begin\",\"op\":\"%u\",\"kind\":\"%s\",\"sizes\":%s,\"ticket\":%s%s}", d->number,
               facts[d->pairing].their_kind, sizes, quoted, filling(d, fill));
    free(quoted);
    free(sizes);
}

void deal_begin(struct deal *d, enum pairing pairing, nxc_connector *c, struct python *p, const size_t *sizes, size_t n)
{
    deal_make(d, pairing, c, p, sizes, n);
    char *ticket = deal_offer(d, NXC_B64, NULL);
    deal_use(d, ticket);
    free(ticket);
}

void deal_settle(struct deal *d)
{
    const char *why = "";
    python_order(d->p, "{\"do\":\"wait\",\"ops\":[\"%u\"],\"seconds\":%d}", d->number, DEAL_LIMIT_S);
    int      r = nxc_op_wait(d->op, DEAL_LIMIT_S * 1000);
    yajl_val answer = python_answer(d->p);
    nxc_op_error(d->op, &why);
    if (r || answer_status(answer, 0) != NXC_COMPLETE)
        fail_msg("ours: %s %s; theirs: status %d", nxc_err_name(r), why ? why : "", answer_status(answer, 0));
    assert_int_equal(nxc_op_status(d->op), NXC_COMPLETE);
    long long bad = blocks_wrong(&d->blocks, d->number);
    if (bad >= 0)
        fail_msg("our byte %lld is wrong", bad);
    answer = python_ask(d->p, "{\"do\":\"verify\",\"op\":\"%u\",\"seed\":%u}", d->number, d->number);
    if (answer_number(answer, "bad") >= 0)
        fail_msg("their byte %lld is wrong", answer_number(answer, "bad"));
    nxc_op_free(d->op);
    d->op = NULL;
}

void deal_drop(struct deal *d)
{
    python_ask(d->p, "{\"do\":\"drop\",\"op\":\"%u\"}", d->number);
    blocks_free(&d->blocks);
}

void deal_end(struct deal *d)
{
    deal_settle(d);
    deal_drop(d);
}

void deal_each(nxc_connector *c, struct python *p)
{
    const size_t sizes[] = { 4096, 17 };
    for (enum pairing pairing = 0; pairing < PAIRINGS; pairing++) {
        struct deal d;
        deal_begin(&d, pairing, c, p, sizes, 2);
        deal_end(&d);
    }
}
